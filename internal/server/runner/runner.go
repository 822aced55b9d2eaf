// Package runner makes the extraction runs of a service, and lets others watch them.
//
// A [Runner] is the one door to the engine in a process that serves: the run trigger,
// the scheduler and the pages go through it. It bounds how many runs are made at once,
// knows how far each is, and stops them all in an orderly way when the process has to
// end. Runs may overlap: leases keep them apart.
package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// Errors of [Runner.Run] for a run that was not begun.
var (
	// ErrStopping means that [Runner.Stop] was called.
	ErrStopping = errors.New("the service is shutting down: no run was begun")
	// ErrBusy means that [Options.MaxRuns] runs are under way.
	ErrBusy = errors.New("too many runs are under way: none was begun")
)

// Options tune a [Runner]; the zero value of each is its default.
type Options struct {
	// MaxRuns bounds the runs that are made at once; default 8. Two are normal, when a
	// delivery comes twice; more are a caller that has lost patience.
	MaxRuns int
}

// recent is how many outcomes [Active] keeps of a run.
const recent = 20

// backlog is how many events a watcher may be behind before it loses some.
const backlog = 64

// A Runner makes runs. It is safe for concurrent use.
type Runner struct {
	engine *extract.Engine
	max    int

	mu       sync.Mutex
	stopping bool
	runs     map[string]*active // by run id
	watchers map[chan Event]struct{}
	idle     chan struct{} // closed when the last run has ended after Stop
}

// An active is a run under way.
type active struct {
	Active
	stop context.CancelFunc
}

// An Active is how far a run under way is.
type Active struct {
	RunID     string
	Trigger   evalforge.Trigger
	StartedAt time.Time
	Done      int // traces ended
	Batch     int // traces the run picks up at most
	// Outcomes counts the traces that ended, by outcome.
	Outcomes map[string]int
	// Recent are the outcomes of the last traces that ended, newest last, at most 20.
	Recent []evalforge.TraceOutcome
}

func (a Active) clone() Active {
	outcomes := make(map[string]int, len(a.Outcomes))
	for k, n := range a.Outcomes {
		outcomes[k] = n
	}
	a.Outcomes, a.Recent = outcomes, slices.Clone(a.Recent)
	return a
}

// Kinds of an [Event].
const (
	Started  = "started"
	Trace    = "trace" // a trace ended
	Finished = "finished"
)

// An Event is something that happened in a run, with how far it is since.
type Event struct {
	RunID  string
	Kind   string // Started, Trace or Finished
	Active Active
}

// New returns a runner over engine.
func New(engine *extract.Engine, o Options) *Runner {
	return &Runner{
		engine:   engine,
		max:      cmp.Or(o.MaxRuns, 8),
		runs:     make(map[string]*active),
		watchers: make(map[chan Event]struct{}),
		idle:     make(chan struct{}),
	}
}

// Run makes one run, as [extract.Engine.Run] does. It fails with [ErrStopping] or [ErrBusy] when
// it does not begin one. A dry run is neither counted nor shown: it works on nothing.
func (r *Runner) Run(ctx context.Context, req extract.RunRequest) (evalforge.Run, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if req.DryRun {
		return r.engine.Run(ctx, req)
	}
	now := r.engine.Pipeline.Now()
	req.RunID = cmp.Or(req.RunID, extract.NewRunID("run", now))
	a := &active{stop: stop, Active: Active{
		RunID: req.RunID, Trigger: cmp.Or(req.Trigger, evalforge.Manual), StartedAt: now,
		Batch: cmp.Or(req.BatchSize, r.engine.Options.BatchSize, extract.DefaultBatchSize), Outcomes: map[string]int{},
	}}
	if err := r.begin(a); err != nil {
		return evalforge.Run{}, err
	}
	defer r.end(a)
	told := req.Progress
	req.Progress = func(p extract.Progress) {
		r.progress(a, p)
		if told != nil {
			told(p)
		}
	}
	return r.engine.Run(ctx, req)
}

func (r *Runner) begin(a *active) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopping:
		return ErrStopping
	case len(r.runs) >= r.max:
		return fmt.Errorf("%w (%d are)", ErrBusy, r.max)
	case r.runs[a.RunID] != nil:
		return fmt.Errorf("run %s is under way already", a.RunID)
	}
	r.runs[a.RunID] = a
	r.tell(Started, a)
	return nil
}

func (r *Runner) progress(a *active, p extract.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.Done, a.Batch = p.Done, p.Batch
	a.Outcomes[string(p.Outcome.Status)]++
	if a.Recent = append(a.Recent, p.Outcome); len(a.Recent) > recent {
		a.Recent = slices.Delete(a.Recent, 0, len(a.Recent)-recent)
	}
	r.tell(Trace, a)
}

func (r *Runner) end(a *active) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs, a.RunID)
	r.tell(Finished, a)
	if r.stopping && len(r.runs) == 0 {
		close(r.idle)
	}
}

// tell sends an event to each watcher that has room for it. r.mu is held.
func (r *Runner) tell(kind string, a *active) {
	for w := range r.watchers {
		select {
		case w <- Event{a.RunID, kind, a.clone()}:
		default: // a slow watcher loses events; the run does not wait for it
		}
	}
}

// Active returns the runs under way, oldest first.
func (r *Runner) Active() []Active {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Active, 0, len(r.runs))
	for _, a := range r.runs {
		list = append(list, a.clone())
	}
	slices.SortFunc(list, func(a, b Active) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.RunID, b.RunID))
	})
	return list
}

// Busy reports whether a run is under way.
func (r *Runner) Busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.runs) > 0
}

// Watch returns what happens from now on. The channel is closed when ctx is done or the
// runner has stopped. A watcher that falls behind by more than a few dozen events loses some;
// each event carries the whole state, so the next one makes up for it.
func (r *Runner) Watch(ctx context.Context) <-chan Event {
	w := make(chan Event, backlog)
	r.mu.Lock()
	r.watchers[w] = struct{}{}
	r.mu.Unlock()
	unwatch := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, ok := r.watchers[w]; ok {
			delete(r.watchers, w)
			close(w)
		}
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-r.idle:
		}
		unwatch()
	}()
	return w
}

// Stop makes every run under way claim no more traces: those in flight get
// [extract.Options.Grace] to finish, the records are written, and Run returns. No run begins
// after it. The returned channel is closed when all have ended.
func (r *Runner) Stop() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return r.idle
	}
	r.stopping = true
	for _, a := range r.runs {
		a.stop()
	}
	if len(r.runs) == 0 {
		close(r.idle)
	}
	return r.idle
}
