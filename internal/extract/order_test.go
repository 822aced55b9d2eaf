package extract_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A dry run names what a run takes, in the order in which it takes it: fresh traces, and
// at its places the share of retries.
func TestDryRunShowsWhatARunTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 6)
		down := failing(&extract.Error{Kind: extract.KindUnavailable, Err: context.DeadlineExceeded})
		mustRun(t, t.Context(), engine(t, s, down, extract.Options{BatchSize: 6}), s, extract.RunRequest{})
		time.Sleep(time.Hour)
		for i := range 30 {
			if _, err := s.PutTrace(t.Context(), rawTrace(fmt.Sprintf("u%03d", i), 100+i)); err != nil {
				t.Fatal(err)
			}
		}
		e := engine(t, s, answering(good()), extract.Options{})
		for _, batch := range []int{1, 2, 5, 9, 10, 25} {
			dry, err := e.Run(t.Context(), extract.RunRequest{BatchSize: batch, DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			var took []string
			retries := 0
			run := mustRun(t, t.Context(), e, s, extract.RunRequest{BatchSize: batch})
			for _, o := range run.TraceOutcomes {
				took = append(took, o.SourceTraceID)
				if o.SourceTraceID[0] == 't' {
					retries++
				}
			}
			if !slices.Equal(dry.WouldProcess, took) || len(took) == 0 {
				t.Errorf("batch of %d: the dry run said %q, the run took %q", batch, dry.WouldProcess, took)
			}
			if batch == 1 && retries > 0 {
				t.Error("a batch of one was used for a retry while fresh traces waited")
			}
		}
	})
}

// A worker whose clock is ahead takes no trace from one that is alive.
func TestSkewedClockTakesNoLiveLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 1)
		slow := &scripted{answer: func(ctx context.Context, _ *extract.Input) (*extract.Answer, error) {
			time.Sleep(10 * time.Minute)
			return good(), ctx.Err()
		}}
		const lease = 30 * time.Second
		done := make(chan evalforge.Run)
		go func() {
			done <- mustRun(t, t.Context(), engine(t, s, slow, extract.Options{Lease: lease, TraceTimeout: time.Hour}), s, extract.RunRequest{})
		}()
		ahead := engine(t, s, answering(good()), extract.Options{})
		ahead.Pipeline.Now = func() time.Time { return time.Now().Add(extract.ClockSkew + 2*lease/3 - time.Second) }
		for range 550 {
			time.Sleep(time.Second)
			if run := mustRun(t, t.Context(), ahead, s, extract.RunRequest{}); run.PickedUpCount > 0 {
				t.Fatalf("a worker whose clock is ahead took %+v", run.TraceOutcomes)
			}
		}
		if run := <-done; run.StoredCount != 1 || slow.calls.Load() != 1 {
			t.Errorf("the live worker stored %d with %d calls, want 1 and 1", run.StoredCount, slow.calls.Load())
		}
	})
}
