package extract

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/pace"
)

// Defaults of [Options].
const (
	DefaultBatchSize    = 50
	MaxBatchSize        = 500
	DefaultTraceTimeout = 15 * time.Second
	DefaultMaxAttempts  = 3
	DefaultLease        = time.Minute
	DefaultBackoff      = time.Minute
	// DefaultGrace is what a stopping run gives the traces in flight: Cloud Run kills an
	// instance 10 seconds after SIGTERM, and the summary has to be written after them.
	DefaultGrace = 6 * time.Second
)

// ClockSkew is how far apart the clocks of two workers may be, at least: each lease ends so
// much later than its worker needs, so that one whose clock is ahead does not take a trace
// from one that is alive. (Renewed at a third of its time, a lease tolerates two thirds of
// that beyond it.) A greater skew costs money, not results: the trace is worked on twice,
// and the lease's token lets one commit.
const ClockSkew = 10 * time.Second

const (
	maxBackoff = time.Hour
	// storeTimeout bounds each write that ends a trace or a run. It is apart from the
	// trace's own budget, so that an answer that arrived in time is never thrown away.
	storeTimeout = 10 * time.Second
	// stopTimeout is storeTimeout once the run is being stopped.
	stopTimeout = time.Second
	// persistFor is how long such a write is repeated while the store fails, with waits
	// that double from firstWait; a store that is down for longer ends the run.
	// recordFor is the same for the record of a failed trace, which costs nothing to
	// lose: the trace comes back when its lease expires.
	persistFor = time.Minute
	recordFor  = 40 * time.Second
	firstWait  = 250 * time.Millisecond
	// excerptRunes bounds the excerpt of a refused answer in an error document.
	excerptRunes = 200
)

// Options tune an [Engine]; the zero value is the default of each.
type Options struct {
	BatchSize    int           // traces a run picks up at most, 1 to [MaxBatchSize]
	TraceTimeout time.Duration // time budget of one trace's analysis
	Concurrency  int           // traces worked on at once; 1 by default
	MaxAttempts  int           // failed runs after which a trace is quarantined
	Backoff      time.Duration // wait after a first failure; doubles with each, up to an hour. Negative: none
	Lease        time.Duration // how long a crashed worker keeps its trace, but for [ClockSkew]; renewed while working
	Grace        time.Duration // how long a stopped run lets the traces in flight finish
	Budgets      Budgets       // what calls of models may take; needs [Engine.Ledger]
}

func (o Options) withDefaults() Options {
	o.BatchSize = cmp.Or(o.BatchSize, DefaultBatchSize)
	o.TraceTimeout = cmp.Or(o.TraceTimeout, DefaultTraceTimeout)
	o.Concurrency = cmp.Or(o.Concurrency, 1)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, DefaultMaxAttempts)
	o.Backoff = cmp.Or(o.Backoff, DefaultBackoff)
	o.Lease = cmp.Or(o.Lease, DefaultLease)
	o.Grace = cmp.Or(o.Grace, DefaultGrace)
	return o
}

// An Engine runs extractions. The HTTP route, the scheduler, the Cloud Run job and the
// command line all call [Engine.Run]. It is safe for concurrent use; runs may overlap.
type Engine struct {
	Queue    Queue
	Pipeline *Pipeline
	Log      *slog.Logger
	Options  Options
	Observer Observer // nil: none
	// Ledger counts what calls of models take; nil if there are no budgets.
	Ledger Ledger
	// Pace spreads the calls of all runs; nil: each run goes as fast as it can.
	Pace *pace.Limiter
	// Owner names this process in leases, for people to read.
	Owner string
}

// A RunRequest says what one run is to do.
type RunRequest struct {
	BatchSize int      // 0 means the engine's
	DryRun    bool     // no model call, no write
	TraceIDs  []string // only these, if not empty
	// KeptSince excludes answers that were kept before: they are not used again. The zero
	// time excludes none.
	KeptSince time.Time
	Trigger   evalforge.Trigger
	// RunID is the id of the run; "" means a new one, as [NewRunID] makes it.
	RunID string
	// Delivery, if not zero, is recorded with a run that does what it was asked for: not with
	// one that fails or is stopped.
	Delivery evalforge.Delivery
	// ClaimUntil is when the run stops claiming; what is in flight then is finished. The
	// zero time is no bound.
	ClaimUntil time.Time
	// Progress, if not nil, is called after each trace, never concurrently.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Done    int // traces ended
	Batch   int // traces the run picks up at most
	Outcome evalforge.TraceOutcome
}

// errStopped is the cause with which a stopping run cancels what is still in flight.
var errStopped = errors.New("the run was stopped")

// Run makes one extraction run: it claims due traces one after the other, fresh ones
// before those tried before, which have a small share of their own, takes each through the pipeline in isolation, and stores the record of the run.
//
// Canceling ctx stops it in an orderly way: nothing more is claimed, traces in flight
// get [Options.Grace] to finish and are then released, and the record is still written.
//
// The returned run is meaningful, and adds up, even with an error. An error means that
// the run could not do its work: the store failed, or the analyzer's configuration is
// wrong ([KindConfig]). Failures of single traces are outcomes, not errors.
func (e *Engine) Run(ctx context.Context, req RunRequest) (evalforge.Run, error) {
	o := e.Options.withDefaults()
	size := cmp.Or(req.BatchSize, o.BatchSize)
	if size < 1 || size > MaxBatchSize {
		return evalforge.Run{}, fmt.Errorf("batch size %d is not between 1 and %d", size, MaxBatchSize)
	}
	if e.Ledger == nil && !o.Budgets.none() {
		return evalforge.Run{}, errors.New("there are budgets, but no ledger to count in: the engine is wired wrongly")
	}
	now := e.Pipeline.Now()
	r := &run{
		Engine: e, o: o, req: req, size: size,
		queue: e.Queue, asked: ctx,
		rec: evalforge.Run{
			RunID:         cmp.Or(req.RunID, NewRunID("run", now)),
			StartedAt:     evalforge.At(now),
			TriggeredBy:   cmp.Or(req.Trigger, evalforge.Manual),
			BatchSize:     size,
			DryRun:        req.DryRun,
			Analyzer:      e.Pipeline.Analyzer.Name(),
			Model:         e.Pipeline.Analyzer.Model(),
			Redactions:    map[string]int{},
			TraceOutcomes: []evalforge.TraceOutcome{},
		},
	}
	r.log = e.Log.With("run_id", r.rec.RunID)
	limiter := e.Pace
	if limiter == nil {
		limiter = pace.NewLimiter(pace.Limits{Concurrency: o.Concurrency})
	}
	r.turns = newTurns(r, limiter)
	work := r.run
	if req.DryRun {
		work = r.dry
	}
	ctx, ended := r.observe(ctx)
	rec, err := work(ctx)
	ended(rec, err)
	return rec, err
}

// NewRunID returns an id of the form run_YYYYMMDD_HHMMSS_<8 hex>; prefix is "run" in it.
func NewRunID(prefix string, now time.Time) string {
	var b [4]byte
	rand.Read(b[:]) // never fails, by its documentation
	return prefix + "_" + now.UTC().Format("20060102_150405") + "_" + hex.EncodeToString(b[:])
}

// run is the state of one Engine.Run.
type run struct {
	*Engine
	o     Options
	req   RunRequest
	size  int
	queue Queue
	log   *slog.Logger
	asked context.Context // done when the run is told to stop
	turns *turns

	mu       sync.Mutex
	rec      evalforge.Run
	claimed  int   // claims made or under way
	early    bool  // the run ends early
	fatal    error // why, if that is an error
	suspects []*job
}

// stopping reports whether the run was told to stop.
func (r *run) stopping() bool { return r.asked.Err() != nil }

// A job is a trace that the run picked up.
type job struct {
	Claim
	*watch
	x   Extraction
	err error // of a suspect
}

// retryEvery is the share of a run that retries have before fresh traces: every tenth
// claim, and the last of a batch. Without one, a stream of fresh traces that fills each run
// would keep every trace that failed once from its next try for ever.
const retryEvery = 10

// forRetry reports whether the nth claim of the run, from 1, is of that share.
func (r *run) forRetry(nth int) bool {
	return nth%retryEvery == 0 || nth == r.size && r.size > 1
}

func (r *run) claimRequest(limit int, retries bool) ClaimRequest {
	now := r.Pipeline.Now()
	return ClaimRequest{
		RunID: r.rec.RunID, Owner: r.Owner, Limit: limit, TraceIDs: r.req.TraceIDs, Retries: retries,
		Now: now, LeaseUntil: now.Add(r.o.Lease + ClockSkew), NewToken: rand.Text,
	}
}

func (r *run) dry(ctx context.Context) (evalforge.Run, error) {
	picked, err := r.peek(ctx)
	for _, c := range picked {
		r.rec.WouldProcess = append(r.rec.WouldProcess, c.TraceID)
	}
	r.rec.Estimate = r.estimate(ctx, picked)
	r.rec.FinishedAt = evalforge.At(r.Pipeline.Now())
	if err != nil {
		err = fmt.Errorf("looking at the backlog: %w", err)
	}
	return r.rec, err
}

// peek returns what the run would claim, in its order.
func (r *run) peek(ctx context.Context) ([]Claim, error) {
	fresh, err := r.queue.Peek(ctx, r.claimRequest(r.size, false))
	if err != nil {
		return nil, err
	}
	retries, err := r.queue.Peek(ctx, r.claimRequest(r.size, true))
	if err != nil {
		return nil, err
	}
	var picked []Claim
	taken := map[string]bool{}
	for nth := 1; nth <= len(fresh); nth++ {
		list := fresh
		if r.forRetry(nth) {
			list = retries
		}
		i := slices.IndexFunc(list, func(c Claim) bool { return !taken[c.TraceID] })
		if i < 0 {
			break
		}
		taken[list[i].TraceID] = true
		picked = append(picked, list[i])
	}
	return picked, nil
}

func (r *run) run(ctx context.Context) (evalforge.Run, error) {
	// work outlives ctx by the grace period, for the traces in flight.
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(ended)
		t := time.NewTimer(r.o.Grace)
		defer t.Stop()
		select {
		case <-t.C:
			stop(errStopped)
		case <-work.Done():
		}
	})
	defer func() {
		stop(nil)
		if !unwatch() {
			<-ended
		}
	}()

	var wg sync.WaitGroup
	for range min(r.o.Concurrency, r.size) {
		wg.Go(func() {
			for {
				c, ok := r.next(ctx, work)
				if !ok {
					return
				}
				r.work(work, c)
			}
		})
	}
	wg.Wait()
	r.endSuspects(work)
	return r.end(ctx)
}

// next claims one trace. It reports false when the run is to claim no more.
func (r *run) next(ctx, work context.Context) (Claim, bool) {
	r.mu.Lock()
	if ctx.Err() != nil || r.early || r.claimed >= r.size {
		r.mu.Unlock()
		return Claim{}, false
	}
	if u := r.req.ClaimUntil; !u.IsZero() && !r.Pipeline.Now().Before(u) {
		r.rec.Throttled, r.rec.ThrottleReason = true, "the time for the run was up"
		r.mu.Unlock()
		return Claim{}, false
	}
	r.claimed++
	nth := r.claimed
	r.mu.Unlock()

	// A claim is not broken off by a stop: it could have taken a lease that nobody holds.
	cctx, cancel := r.storeContext(ctx)
	defer cancel()
	claims, err := r.queue.Claim(cctx, r.claimRequest(1, r.forRetry(nth)))
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || len(claims) == 0 {
		r.claimed--
		if err != nil {
			r.endEarly("the store failed", fmt.Errorf("claiming a trace: %w", err))
		}
		return Claim{}, false
	}
	r.rec.PickedUpCount++
	return claims[0], true
}

// endEarly makes the run claim no more. r.mu is held.
func (r *run) endEarly(reason string, err error) {
	if !r.early {
		r.early, r.fatal, r.rec.Throttled, r.rec.ThrottleReason = true, err, true, reason
	}
}

// storeContext is the context of a write that must not be lost: it is not canceled with
// ctx, only bounded, more tightly when the run is being stopped.
func (r *run) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	d := storeTimeout
	if r.stopping() {
		d = stopTimeout
	}
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}

// work takes one claimed trace to its outcome. Exactly one of settle, release and
// suspect is called for it.
func (r *run) work(ctx context.Context, c Claim) {
	ctx, w := r.watch(ctx, c)
	j := &job{Claim: c, watch: w}
	err := r.extract(ctx, j)

	var h *halt
	switch {
	case err != nil && context.Cause(ctx) == errStopped && KindOf(err) != KindInvalidTrace:
		r.release(ctx, j, err)
		return
	case KindOf(err) == KindConfig:
		h = &halt{"the analyzer's configuration is wrong", err}
	case KindOf(err) == KindHalted && !errors.As(err, &h):
		h = &halt{reason: errStopped.Error()}
	}
	if h != nil {
		r.mu.Lock()
		r.endEarly(h.reason, h.err)
		r.mu.Unlock()
		r.release(ctx, j, err)
		return
	}
	if err == nil {
		start := r.Pipeline.Now()
		err = r.commit(ctx, j)
		j.x.Stages.Commit = r.Pipeline.since(start)
	}
	switch {
	case err == nil:
		id := j.x.Pattern.PatternID
		r.settle(j, evalforge.TraceOutcome{Status: evalforge.Stored, PatternID: &id, DerivedFrom: j.x.Pattern.Provenance.DerivedFrom}, j.x.Spent)
		w.stored(ctx, &j.x)
	case errors.Is(err, errUnchanged):
		reason := err.Error()
		r.settle(j, evalforge.TraceOutcome{Status: evalforge.Skipped, ErrorReason: &reason}, Spent{})
		w.unchanged(ctx)
	case modelFailed(err) && r.turns.breaker.Silent():
		r.suspect(ctx, j, err)
	default:
		r.fail(ctx, j, err)
	}
	r.judgeSuspects(ctx)
}

var errUnchanged = errors.New("unchanged since its pattern was extracted")

// extract runs the pipeline under the trace's deadline and lease. Nothing a trace does
// to the code below leaves it: a panic is an error of this trace.
func (r *run) extract(ctx context.Context, j *job) (err error) {
	c := &j.Claim
	defer func() {
		if p := recover(); p != nil {
			// The panic's value may hold trace content; the stack does not.
			r.log.ErrorContext(ctx, "panic while extracting; please report it", "source_trace_id", c.TraceID,
				"panic_type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = &Error{Kind: KindInternal, Err: fmt.Errorf("the extraction code panicked (%T); its stack is in the log", p)}
		}
	}()
	if c.Err != nil {
		return &Error{Kind: KindInvalidTrace, Err: fmt.Errorf("the stored document could not be read: %w", c.Err)}
	}
	if err := c.Trace.Validate(); err != nil {
		return &Error{Kind: KindInvalidTrace, Err: err}
	}
	if c.ExtractedDigest != "" && c.ExtractedDigest == c.Digest {
		return r.markUnchanged(ctx, c)
	}
	if c.Attempt > r.o.MaxAttempts {
		return &Error{Kind: KindInternal, Err: fmt.Errorf("claimed %d times without coming to an end: the workers died over it", c.Attempt-1)}
	}
	patience, done := withPatience(ctx, r.o.TraceTimeout)
	defer done()
	kctx := keptSince(patience, later(r.req.KeptSince, c.KeptSince))
	if c.Anew {
		kctx = refusedSince(kctx, r.rec.StartedAt.Time)
	}
	tctx, lost := context.WithCancelCause(WithGate(kctx, traceGate{r.turns, c.TraceID}))
	defer lost(nil)
	stop := r.keepLease(tctx, c.Lease, lost)
	defer stop()
	j.x, err = r.Pipeline.Extract(tctx, c.Trace)
	j.x.Stages.Analyze = max(0, j.x.Stages.Analyze-patience.suspendedFor().Milliseconds())
	if err == nil {
		j.x.Pattern.Provenance.RunID = r.rec.RunID
	} else if cause := context.Cause(tctx); errors.Is(cause, ErrLeaseLost) {
		gone := &Error{Kind: KindStore, Err: cause}
		var e *Error
		if errors.As(err, &e) {
			gone.Spent = e.Spent // it was paid, whoever has the trace now
		}
		err = gone
	}
	return err
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// keepLease renews a lease until the returned function is called, which waits for it to
// end. When the lease is lost, it cancels the work on the trace.
func (r *run) keepLease(ctx context.Context, l Lease, lost context.CancelCauseFunc) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(max(r.o.Lease/3, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			rctx, cancel := r.storeContext(ctx)
			err := r.queue.Renew(rctx, l, r.Pipeline.Now().Add(r.o.Lease+ClockSkew))
			cancel()
			if errors.Is(err, ErrLeaseLost) {
				lost(err)
				return
			}
			if err != nil {
				// The lease may still hold: the commit's fence decides.
				r.log.WarnContext(ctx, "a lease could not be renewed", "source_trace_id", l.TraceID, "error", r.redacted(err))
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// redacted returns err's text, safe to store and log.
func (r *run) redacted(err error) string {
	text, _ := r.Pipeline.Redactor.Text(excerpt.Visible(err.Error()))
	return cutRunes(noTags(text), evalforge.MaxItemRunes)
}

// end closes the run's record and stores it.
func (r *run) end(ctx context.Context) (evalforge.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil && !r.rec.Throttled {
		r.rec.Throttled, r.rec.ThrottleReason = true, "the run was stopped"
	}
	r.rec.FinishedAt = evalforge.At(r.Pipeline.Now())
	r.rec.Model = r.Pipeline.Analyzer.Model() // a successor may have taken over
	err := r.fatal
	if cerr := r.rec.Check(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	if err == nil && ctx.Err() == nil {
		r.rec.Delivery = r.req.Delivery
	}
	if serr := r.persist(ctx, persistFor, func(ctx context.Context) error { return r.queue.SaveRun(ctx, r.rec) }); serr != nil {
		err = errors.Join(err, fmt.Errorf("storing the record of the run: %w", serr))
	}
	return r.rec, err
}
