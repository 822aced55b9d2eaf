package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/route"
)

// Bounds of what is kept to answer repeated deliveries. A delivery under way is known in this process only: one
// that comes to another instance meanwhile makes a second run, which leases make harmless: it works on what is due
// then, and on nothing twice. Once the run has ended, its stored record answers in every instance.
const (
	maxReplays   = 256
	replayFor    = 24 * time.Hour
	maxKeyLength = 255
)

// deliveryOf returns the delivery that r is, or nothing if it has no key. The key is the header
// Idempotency-Key; Cloud Scheduler, which cannot send one that differs from tick to tick, says by two headers
// of its own which tick of which job it delivers.
func deliveryOf(r *http.Request, req extract.RunRequest) (d evalforge.Delivery, err error) {
	key := strings.Trim(r.Header.Get("Idempotency-Key"), `"`)
	switch {
	case len(r.Header.Values("Idempotency-Key")) > 1:
		return d, problem.New(problem.BadRequest, "the header Idempotency-Key is there more than once")
	case len(key) > maxKeyLength:
		return d, problem.New(problem.BadRequest, fmt.Sprintf("the header Idempotency-Key is over %d characters", maxKeyLength))
	case key == "":
		job, at := r.Header.Get("X-CloudScheduler-JobName"), r.Header.Get("X-CloudScheduler-ScheduleTime")
		if job == "" || at == "" || len(job)+len(at) > maxKeyLength {
			return d, nil
		}
		key = "scheduler " + job + " " + at
	}
	asked, err := json.Marshal([]any{req.BatchSize, req.DryRun, req.TraceIDs, req.Trigger})
	if err != nil {
		return d, fmt.Errorf("encoding the request: %w", err)
	}
	return evalforge.Delivery{Key: sum(route.PrincipalOf(r.Context()).Name + " " + key), Asked: sum(string(asked))}, nil
}

func sum(s string) string {
	b := sha256.Sum256([]byte(s))
	return hex.EncodeToString(b[:])
}

// kept returns the run that a delivery was answered by before, in whatever instance, or nil.
func (s *Server) kept(ctx context.Context, d evalforge.Delivery) (*runAnswer, error) {
	if d.Key == "" {
		return nil, nil
	}
	rec, err := s.o.Store.Delivered(ctx, d.Key, s.o.Now().Add(-replayFor))
	switch {
	case errors.Is(err, evalforge.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking whether the request was answered before: %w", err)
	case rec.Delivery.Asked != d.Asked:
		return nil, errKeyReused()
	}
	rec = s.o.Clean.Run(rec)
	return &runAnswer{run: rec.Summary(), replayed: true}, nil
}

func errKeyReused() error {
	return problem.New(problem.Invalid, "the Idempotency-Key was used for another request").WithHint("use a new key for each request, and the same for its repetitions")
}

// replays answers deliveries that come again, without doing the work again. Only successes are
// kept: what failed is tried again.
type replays struct {
	now func() time.Time

	mu    sync.Mutex
	known map[string]*replay
}

// A runAnswer is what a request for a run gets.
type runAnswer struct {
	run      evalforge.RunSummary
	replayed bool // it is the answer of a request before
}

// A replay is one delivery, under way or done.
type replay struct {
	digest  string
	began   time.Time
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int // requests that want the answer
	out     runAnswer
	err     error
}

func newReplays(now func() time.Time) *replays {
	return &replays{now: now, known: make(map[string]*replay)}
}

// do returns what work returns for the delivery d, doing it only once: a delivery that comes while the work is
// under way waits for it. The work is canceled when nobody waits any more.
func (p *replays) do(ctx context.Context, d evalforge.Delivery, work func(context.Context) (runAnswer, error)) (out runAnswer, err error) {
	if d.Key == "" {
		return work(ctx)
	}
	r, first, err := p.join(ctx, d)
	if err != nil {
		return out, err
	}
	if first.ctx != nil {
		go p.work(r, d.Key, first.ctx, work)
	}
	select {
	case <-r.done:
		p.leave(d.Key, r)
		out = r.out
		out.replayed = out.replayed || first.ctx == nil
		return out, r.err
	case <-ctx.Done():
		p.leave(d.Key, r)
		return out, ctx.Err()
	}
}

// A lead is the context of the one who does the work; without one there is nothing to do.
type lead struct{ ctx context.Context }

// join finds the delivery or notes it as begun.
func (p *replays) join(ctx context.Context, d evalforge.Delivery) (*replay, lead, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	if r, ok := p.known[d.Key]; ok {
		if r.digest != d.Asked {
			return nil, lead{}, errKeyReused()
		}
		r.waiting++
		return r, lead{}, nil
	}
	if len(p.known) >= maxReplays && !p.forgetOldest() {
		return nil, lead{}, problem.New(problem.Busy, "too many requests with an Idempotency-Key are under way")
	}
	wctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &replay{digest: d.Asked, began: p.now(), done: make(chan struct{}), cancel: cancel, waiting: 1}
	p.known[d.Key] = r
	return r, lead{wctx}, nil
}

func (p *replays) work(r *replay, key string, ctx context.Context, work func(context.Context) (runAnswer, error)) {
	err := errPanicked // unless the work returns
	var out runAnswer
	defer func() {
		if err == errPanicked {
			_ = recover() // in a goroutine of its own it would end the process
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		r.out, r.err = out, err
		if err != nil {
			p.forget(key, r)
		}
		r.cancel()
		close(r.done)
	}()
	out, err = work(ctx)
}

var errPanicked error = problem.New(problem.Internal, "the code of the run panicked")

// leave cancels the work when the last one who waited has gone. What the canceled work returns is nobody's answer:
// who comes again has the work done again.
func (p *replays) leave(key string, r *replay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.waiting--; r.waiting > 0 || r.ended() {
		return
	}
	r.cancel()
	p.forget(key, r)
}

// forget forgets r, unless its key is another's by now. p.mu is held.
func (p *replays) forget(key string, r *replay) {
	if p.known[key] == r {
		delete(p.known, key)
	}
}

func (r *replay) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// expire forgets what is old. p.mu is held.
func (p *replays) expire() {
	for key, r := range p.known {
		if r.ended() && p.now().Sub(r.began) > replayFor {
			delete(p.known, key)
		}
	}
}

// forgetOldest makes room. It reports false when all are under way. p.mu is held.
func (p *replays) forgetOldest() bool {
	oldest := ""
	for key, r := range p.known {
		if r.ended() && (oldest == "" || r.began.Before(p.known[oldest].began)) {
			oldest = key
		}
	}
	delete(p.known, oldest)
	return oldest != ""
}
