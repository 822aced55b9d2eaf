package extract

import (
	"context"
	"sync"
	"time"
)

// A patience is a context with a time budget that can be suspended: what a trace waits
// for its turn must not take from the time that it has for its analysis. While it is
// suspended it ends only with its parent.
type patience struct {
	parent context.Context
	done   chan struct{}

	mu        sync.Mutex
	err       error
	timer     *time.Timer
	deadline  time.Time     // while the time runs
	left      time.Duration // while it is suspended
	suspended int           // how often
	since     time.Time
	waited    time.Duration
}

// withPatience returns a context that ends after d, suspensions not counted. The
// returned function frees what it holds.
func withPatience(parent context.Context, d time.Duration) (*patience, func()) {
	p := &patience{parent: parent, done: make(chan struct{}), deadline: time.Now().Add(d)}
	p.mu.Lock() // the timer may fire at once
	p.timer = time.AfterFunc(d, p.expire)
	p.mu.Unlock()
	unwatch := context.AfterFunc(parent, func() { p.end(parent.Err()) })
	return p, func() {
		unwatch()
		p.end(context.Canceled)
	}
}

func (p *patience) expire() {
	p.mu.Lock()
	late := p.suspended > 0 || time.Now().Before(p.deadline) // the timer fired as it was stopped
	p.mu.Unlock()
	if !late {
		p.end(context.DeadlineExceeded)
	}
}

func (p *patience) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.timer.Stop()
		close(p.done)
	}
}

// suspend stops the time until resume is called as often.
func (p *patience) suspend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.suspended++; p.suspended == 1 {
		now := time.Now()
		p.timer.Stop()
		p.left, p.since = max(0, p.deadline.Sub(now)), now
	}
}

func (p *patience) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.suspended--; p.suspended == 0 && p.err == nil {
		now := time.Now()
		p.deadline = now.Add(p.left)
		p.waited += now.Sub(p.since)
		p.timer.Reset(p.left)
	}
}

// suspendedFor returns how long the time was stopped.
func (p *patience) suspendedFor() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waited
}

// Deadline implements [context.Context]. It moves with each suspension.
func (p *patience) Deadline() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.suspended > 0 {
		return time.Now().Add(p.left), true
	}
	return p.deadline, true
}

// Done implements [context.Context].
func (p *patience) Done() <-chan struct{} { return p.done }

// Err implements [context.Context].
func (p *patience) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Value implements [context.Context].
func (p *patience) Value(key any) any {
	if key == (patienceKey{}) {
		return p
	}
	return p.parent.Value(key)
}

type patienceKey struct{}

// patiently runs wait with the time budget of ctx suspended.
func patiently(ctx context.Context, wait func() error) error {
	if p, ok := ctx.Value(patienceKey{}).(*patience); ok {
		p.suspend()
		defer p.resume()
	}
	return wait()
}
