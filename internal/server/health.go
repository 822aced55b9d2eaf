package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/runner"
)

// What bounds the work behind /health and /ready, however often they are asked.
const (
	// freshFor is how long counts of the backlog are good enough. Counting costs Firestore reads.
	freshFor = 30 * time.Second
	// healthPatience is how long /health waits for counts before it answers with older ones.
	healthPatience = 250 * time.Millisecond
	// countLimit bounds the counting itself.
	countLimit = 20 * time.Second
	// readyFor is how long the answer to /ready holds, and readyLimit bounds the question to the store.
	readyFor   = 2 * time.Second
	readyLimit = 3 * time.Second
)

// A health knows what /health and /ready answer, without asking the store each time.
type health struct {
	s *Server

	mu       sync.Mutex
	counting chan struct{} // closed when the counting under way ends; nil: none is
	counted  counts

	asking  sync.Mutex // one question to the store at a time
	asked   time.Time
	refused error
}

// counts are what is known of the store, and since when.
type counts struct {
	at      time.Time // zero: nothing is known yet
	backlog extract.Backlog
	last    *evalforge.RunSummary
	err     error // of the last attempt
}

func newHealth(s *Server) *health { return &health{s: s} }

// A healthAnswer is the answer of /health.
type healthAnswer struct {
	Status  string `json:"status"` // always ok: the process answers
	Version string `json:"version"`
	// StartedAt is when the process did.
	StartedAt evalforge.Timestamp `json:"startedAt"`
	// Ready is whether the store answered when it was asked last, by /ready or for the counts here; false until then.
	Ready bool `json:"ready"`
	// LastRun is the newest run without its traces, Backlog what waits; null until the store was asked.
	LastRun *lastRun `json:"lastRun"`
	Backlog *backlog `json:"backlog"`
	// CountedAt is how old both are.
	CountedAt *evalforge.Timestamp `json:"countedAt"`
	// ActiveRuns are the runs under way in this process.
	ActiveRuns []activeRun `json:"activeRuns"`
}

// A backlog is an [extract.Backlog] in the camelCase of the answers.
type backlog struct {
	Pending     int                 `json:"pending"` // unprocessed, whatever they wait for
	Leased      int                 `json:"leased"`
	BackingOff  int                 `json:"backingOff"`
	Quarantined int                 `json:"quarantined"`
	Processed   int                 `json:"processed"`
	OldestDue   evalforge.Timestamp `json:"oldestPending"`
}

type lastRun struct {
	RunID           string              `json:"runId"`
	StartedAt       evalforge.Timestamp `json:"startedAt"`
	FinishedAt      evalforge.Timestamp `json:"finishedAt"`
	PickedUpCount   int                 `json:"pickedUpCount"`
	StoredCount     int                 `json:"storedCount"`
	SkippedCount    int                 `json:"skippedCount"`
	FailedCount     int                 `json:"failedCount"`
	NotStartedCount int                 `json:"notStartedCount"`
	Throttled       bool                `json:"throttled"`
}

type activeRun struct {
	RunID       string              `json:"runId"`
	TriggeredBy evalforge.Trigger   `json:"triggeredBy"`
	StartedAt   evalforge.Timestamp `json:"startedAt"`
	Done        int                 `json:"done"`
	Batch       int                 `json:"batch"`
	Outcomes    map[string]int      `json:"outcomes"`
}

func activeRunOf(a runner.Active) activeRun {
	return activeRun{a.RunID, a.Trigger, evalforge.At(a.StartedAt), a.Done, a.Batch, a.Outcomes}
}

// getHealth answers that the process lives, with what is known of the store. It never waits for a slow store, nor
// fails because of one.
func (s *Server) getHealth(w http.ResponseWriter, r *http.Request) error {
	c := s.health.counts(r.Context())
	a := healthAnswer{Status: "ok", Version: s.o.Version, StartedAt: evalforge.At(s.started), Ready: s.health.ready(), ActiveRuns: []activeRun{}}
	if !c.at.IsZero() {
		at := evalforge.At(c.at)
		b := backlog(c.backlog)
		a.CountedAt, a.Backlog = &at, &b
		if l := c.last; l != nil {
			a.LastRun = &lastRun{l.RunID, l.StartedAt, l.FinishedAt, l.PickedUpCount, l.StoredCount, l.SkippedCount,
				l.ValidationFailedCount + l.ErrorCount + l.TimedOutCount, l.NotStartedCount, l.Throttled}
		}
	}
	for _, run := range s.o.Runner.Active() {
		a.ActiveRuns = append(a.ActiveRuns, activeRunOf(run))
	}
	return writeJSON(w, http.StatusOK, a)
}

// counts returns what is known, after having it counted anew if it is old.
func (h *health) counts(ctx context.Context) counts {
	h.mu.Lock()
	if h.s.o.Now().Sub(h.counted.at) < freshFor {
		defer h.mu.Unlock()
		return h.counted
	}
	done := h.counting
	if done == nil {
		done = make(chan struct{})
		h.counting = done
		// The counting outlives the request: the next one gets what it finds.
		go h.count(context.WithoutCancel(ctx), done)
	}
	h.mu.Unlock()
	t := time.NewTimer(healthPatience)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counted
}

func (h *health) count(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, countLimit)
	defer cancel()
	c, err := h.ask(ctx)
	if !errors.Is(err, errClosed) && h.asking.TryLock() {
		h.asked, h.refused = h.s.o.Now(), err
		h.asking.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.s.o.Log.WarnContext(ctx, "the backlog could not be counted", "error", err)
		h.counted.err = err
	} else {
		h.counted = c
	}
	h.counting = nil
	close(done)
}

func (h *health) ask(ctx context.Context) (counts, error) {
	if !h.s.gate.isOpen() {
		return counts{}, errClosed
	}
	c := counts{at: h.s.o.Now()}
	var err error
	if c.backlog, err = h.s.o.Store.Backlog(ctx, c.at); err != nil {
		return c, err
	}
	runs, _, err := h.s.o.Store.Runs(ctx, extract.PageQuery{Limit: 1})
	if err == nil && len(runs) > 0 {
		sum := runs[0].Summary()
		c.last = &sum
	}
	return c, err
}

// A readyAnswer is the answer of /ready when it is.
type readyAnswer struct {
	Status string `json:"status"` // ready
}

// getReady answers whether requests can be served: the settings are right, or the process would not run, and
// the store answers. The model is not asked: a run says better what is wrong with it.
func (s *Server) getReady(w http.ResponseWriter, r *http.Request) error {
	if err := s.health.check(r.Context()); err != nil {
		return &because{problem.New(problem.StoreUnavailable, "the store does not answer"), err}
	}
	return writeJSON(w, http.StatusOK, readyAnswer{"ready"})
}

// check asks the store whether it is there, unless it was asked a moment ago.
func (h *health) check(ctx context.Context) error {
	h.asking.Lock()
	defer h.asking.Unlock()
	if now := h.s.o.Now(); !h.asked.IsZero() && now.Sub(h.asked) < readyFor {
		return h.refused
	}
	// The answer holds for others too, whether or not this caller waits for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyLimit)
	defer cancel()
	err := h.probe(ctx)
	h.asked, h.refused = h.s.o.Now(), err
	return err
}

func (h *health) probe(ctx context.Context) error {
	if !h.s.gate.pass(ctx) {
		if err := h.s.gate.reason(); err != nil {
			return err
		}
		return errClosed
	}
	_, _, err := h.s.o.Store.Runs(ctx, extract.PageQuery{Limit: 1})
	return err
}

// ready reports what the store said when it was asked last.
func (h *health) ready() bool {
	if !h.asking.TryLock() {
		return false // it is being asked, and does not answer at once
	}
	defer h.asking.Unlock()
	return !h.asked.IsZero() && h.refused == nil
}
