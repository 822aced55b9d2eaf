package extract

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p, done := withPatience(t.Context(), 10*time.Second)
		defer done()
		child, cancel := context.WithTimeout(p, time.Hour)
		defer cancel()
		time.Sleep(4 * time.Second)
		err := patiently(child, func() error { time.Sleep(time.Minute); return child.Err() })
		if err != nil {
			t.Errorf("while suspended: %v", err)
		}
		if d, ok := child.Deadline(); !ok || time.Until(d) != 6*time.Second {
			t.Errorf("%v are left, want 6s", time.Until(d))
		}
		<-child.Done()
		if got := time.Since(start); got != 70*time.Second {
			t.Errorf("ended after %v, want 70s", got)
		}
		if !errors.Is(child.Err(), context.DeadlineExceeded) || p.suspendedFor() != time.Minute {
			t.Errorf("ended with %v after %v of waiting", child.Err(), p.suspendedFor())
		}
	})
}

// Suspended, it still ends with its parent, and with the parent's cause.
func TestPatienceEndsWithItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, stop := context.WithCancelCause(t.Context())
		p, done := withPatience(parent, time.Second)
		defer done()
		child, cancel := context.WithCancel(p)
		defer cancel()
		p.suspend()
		time.Sleep(time.Hour)
		stop(errStopped)
		<-child.Done()
		synctest.Wait()
		if !errors.Is(child.Err(), context.Canceled) || !errors.Is(context.Cause(child), errStopped) {
			t.Errorf("ended with %v because of %v", child.Err(), context.Cause(child))
		}
		p.resume()
		if d := time.Until(first(p.Deadline())); d > time.Second {
			t.Errorf("%v are left", d)
		}
	})
}

func first[T, U any](v T, _ U) T { return v }

// Waits inside of waits count once.
func TestPatienceNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, done := withPatience(t.Context(), time.Second)
		defer done()
		_ = patiently(p, func() error {
			return patiently(p, func() error { time.Sleep(time.Hour); return nil })
		})
		if p.Err() != nil || p.suspendedFor() != time.Hour {
			t.Errorf("after an hour of waiting: %v, %v", p.Err(), p.suspendedFor())
		}
	})
}
