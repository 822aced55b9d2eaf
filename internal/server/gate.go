package server

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// A gate keeps requests that need the store from running before it can be used: the service
// starts while the store is down, and recovers when it is back.
type gate struct {
	open func(context.Context) error
	log  *slog.Logger
	kick chan struct{} // a request wants it open now
	done chan struct{} // closed once it is open
	why  atomic.Pointer[error]
}

// The pace of attempts to open a gate.
const (
	firstAttempt = 250 * time.Millisecond
	lastAttempt  = 15 * time.Second
	// attemptLimit bounds one attempt.
	attemptLimit = 5 * time.Second
	// gatePatience is how long a request waits for the gate.
	gatePatience = 2 * time.Second
)

// newGate returns a gate that open opens; nil for one that is open.
func newGate(open func(context.Context) error, log *slog.Logger) *gate {
	g := &gate{open: open, log: log, kick: make(chan struct{}, 1), done: make(chan struct{})}
	if open == nil {
		close(g.done)
	}
	return g
}

// run tries to open the gate until it is open or ctx is done.
func (g *gate) run(ctx context.Context) {
	if g.open == nil {
		return
	}
	for wait := firstAttempt; ; wait = min(2*wait, lastAttempt) {
		actx, cancel := context.WithTimeout(ctx, attemptLimit)
		err := g.open(actx)
		cancel()
		if err == nil {
			g.why.Store(nil)
			close(g.done)
			return
		}
		if ctx.Err() != nil {
			return
		}
		g.why.Store(&err)
		g.log.WarnContext(ctx, "the store cannot be used yet; trying again", "error", err, "wait", wait)
		// A request shortens the wait, but many requests do not make it nothing.
		if !pause(ctx, firstAttempt, nil) || !pause(ctx, wait-firstAttempt, g.kick) {
			return
		}
	}
}

// pause waits for d, or less if early delivers. It reports false when ctx is done.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-early:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// pass waits until the gate is open, for a moment. It reports whether it is.
func (g *gate) pass(ctx context.Context) bool {
	select {
	case <-g.done:
		return true
	default:
	}
	select {
	case g.kick <- struct{}{}:
	default:
	}
	t := time.NewTimer(gatePatience)
	defer t.Stop()
	select {
	case <-g.done:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

func (g *gate) isOpen() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// errClosed is why nothing was asked of the store.
var errClosed = errors.New("the store has not been reached since the service started")

// reason is why the gate is closed, or nil.
func (g *gate) reason() error {
	if p := g.why.Load(); p != nil {
		return *p
	}
	return nil
}
