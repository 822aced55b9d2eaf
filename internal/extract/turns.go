package extract

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/evalforge/evalforge/internal/pace"
)

// Budgets bound what calls of models may take. A zero is no limit.
type Budgets struct {
	Run Amount // of each run
	Day Amount // of a day in UTC, over all runs and processes on one store
}

func (b Budgets) none() bool { return b == Budgets{} }

// turns is the gate of one run: its pace, its budgets, and the breaker that ends it when
// the model does not answer.
type turns struct {
	run     *run
	limiter *pace.Limiter
	breaker pace.Breaker

	mu      sync.Mutex
	halted  error         // why no more calls are made
	flying  int           // calls with a reservation that is not settled, or being tried
	settled chan struct{} // closed when one is, and at the end
}

func newTurns(r *run, l *pace.Limiter) *turns {
	return &turns{run: r, limiter: l, settled: make(chan struct{})}
}

// A halt is why a run makes no more calls.
type halt struct {
	reason string // for the record of the run
	err    error  // for its caller; nil where ending early is all that happened
}

func (h *halt) Error() string { return h.reason }

// halt ends all calls of the run, and its claims. The first reason stays.
func (t *turns) halt(h *halt) error {
	t.run.mu.Lock()
	t.run.endEarly(h.reason, h.err)
	t.run.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.halted == nil {
		t.halted = &Error{Kind: KindHalted, Err: h}
		t.wake()
	}
	return t.halted
}

// wake lets those try again that wait for room in a budget. t.mu is held.
func (t *turns) wake() {
	close(t.settled)
	t.settled = make(chan struct{})
}

func (t *turns) open() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.halted
}

// A traceGate is turns for the calls of one trace.
type traceGate struct {
	*turns
	traceID string
}

// Enter implements [Gate].
func (g traceGate) Enter(ctx context.Context, c Call) (leave func(CallEnd), err error) {
	err = patiently(ctx, func() error {
		leave, err = g.enter(ctx, c)
		return err
	})
	return leave, err
}

func (g traceGate) enter(ctx context.Context, c Call) (func(CallEnd), error) {
	if err := g.open(); err != nil {
		return nil, err
	}
	// A trace that still waits for its turn when the run is stopped has nothing to finish.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.run.asked, func() { cancel(errStopped) })()
	turn, err := g.limiter.Enter(ctx, c.Prompt)
	if err != nil {
		return nil, g.interrupted(ctx)
	}
	res, err := g.reserve(ctx, c.Most)
	if err == nil {
		err = g.open() // it may have come to that while we waited
		if err != nil {
			g.settle(ctx, res, Amount{})
		}
	}
	if err != nil {
		turn.Leave(pace.Result{Unmade: true})
		return nil, err
	}
	began := g.run.Pipeline.Now()
	return func(end CallEnd) {
		turn.Leave(pace.Result{Tokens: end.Prompt, Refused: end.Refused, Wait: min(end.Wait, longestWait)})
		if end.Known {
			g.settle(ctx, res, end.Took)
		} else {
			g.settle(ctx, nil, Amount{}) // it stays counted at its worst case
		}
		g.judge(began, end)
	}, nil
}

func (g traceGate) interrupted(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errStopped) {
		return &Error{Kind: KindHalted, Err: cause}
	}
	return &Error{Kind: KindOf(cause), Err: fmt.Errorf("waiting for a turn to call the model: %w", cause)}
}

// longestWait is the longest wait that a run makes because the service asks for it. A quota
// per minute asks for a minute; whatever asks for more is not there for this run.
const longestWait = 2 * time.Minute

// judge tells the breaker how a call ended.
func (g traceGate) judge(began time.Time, end CallEnd) {
	switch {
	case end.Exhausted:
		g.breaker.Trip(end.Failed)
		g.halt(&halt{reason: "the quota of the model is used up: " + g.run.redacted(end.Failed)})
	case end.Failed != nil && end.Wait > longestWait:
		g.breaker.Trip(end.Failed)
		g.halt(&halt{reason: fmt.Sprintf("the model asks to wait %v: %s", end.Wait, g.run.redacted(end.Failed))})
	case end.Failed == nil:
		g.breaker.Answered()
	case g.breaker.Failed(g.traceID, began, g.run.Pipeline.Now(), end.Failed):
		g.halt(&halt{reason: "the model does not answer: " + g.run.redacted(end.Failed)})
	}
}

// windows are the budgets that a call at a time counts against.
func (t *turns) windows(now time.Time) []Window {
	var list []Window
	if b := t.run.o.Budgets; b.Run != (Amount{}) {
		list = append(list, Window{RunWindow(t.run.rec.RunID), b.Run})
	}
	if b := t.run.o.Budgets; b.Day != (Amount{}) {
		list = append(list, Window{DayWindow(now), b.Day})
	}
	return list
}

// reserve reserves the worst case of a call. When it does not fit, but calls of this run
// are under way that will have taken less than was reserved for them, it waits for those.
// The result is nil where there is no budget.
func (g traceGate) reserve(ctx context.Context, most Amount) (*Reservation, error) {
	if g.run.o.Budgets.none() {
		return nil, nil
	}
	for {
		if err := g.open(); err != nil {
			return nil, err
		}
		g.mu.Lock()
		settled := g.settled
		g.flying++
		g.mu.Unlock()
		now := g.run.Pipeline.Now()
		res := Reservation{ID: rand.Text(), At: now, Windows: g.windows(now), Most: most}
		over, err := g.tryReserve(ctx, res)
		switch {
		case err != nil:
			g.landed()
			return nil, g.halt(&halt{"the store failed", fmt.Errorf("reserving what a call may cost: %w", err)})
		case over == nil:
			return &res, nil
		}
		switch g.miss(settled) {
		case alone:
			return nil, g.halt(&halt{reason: overBudget(over)})
		case overtaken:
			continue
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return nil, g.interrupted(ctx)
		}
	}
}

// What else was under way while a reservation was tried that did not fit.
const (
	alone     = iota // nothing: there is nothing to wait for
	overtaken        // a call that has ended since
	others           // calls, or reservations being tried, the last of which is not others
)

// miss notes that a reservation did not fit that was begun when settled was to be closed.
func (t *turns) miss(settled chan struct{}) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying--
	switch {
	case t.settled != settled:
		return overtaken
	case t.flying > 0:
		return others
	}
	return alone
}

// tryReserve makes a reservation. It returns separately that it does not fit.
func (t *turns) tryReserve(ctx context.Context, res Reservation) (over *OverBudgetError, err error) {
	err = t.run.persist(ctx, persistFor, func(ctx context.Context) error {
		over = nil
		err := t.run.Ledger.Reserve(ctx, res)
		if errors.As(err, &over) {
			return nil
		}
		return err
	})
	return over, err
}

// settle counts what a call took in place of its reservation; with a nil reservation it
// only notes that the call has ended. A settlement that fails leaves the worst case
// counted, which breaks no budget.
func (t *turns) settle(ctx context.Context, res *Reservation, took Amount) {
	if t.run.o.Budgets.none() {
		return
	}
	defer t.landed()
	if res == nil {
		return
	}
	err := t.run.persist(ctx, recordFor, func(ctx context.Context) error { return t.run.Ledger.Settle(ctx, *res, took) })
	if err != nil {
		t.run.log.WarnContext(ctx, "what a call took could not be stored; the budgets count its worst case", "error", t.run.redacted(err))
	}
}

// landed notes that a call with a reservation has ended.
func (t *turns) landed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying--
	t.wake()
}

// overBudget says for people which budget is used up, and what to do.
func overBudget(e *OverBudgetError) string {
	what, setting, then := "run", "EVALFORGE_RUN_BUDGET", ""
	if strings.HasPrefix(e.Window.Name, "day/") {
		what, setting, then = "day", "EVALFORGE_DAILY_BUDGET", ", or wait until 00:00 UTC"
	}
	unit := "_USD"
	if !e.Counted.Add(e.Most).Over(Amount{NanoUSD: e.Window.Limit.NanoUSD}) {
		unit = "_TOKENS"
	}
	return fmt.Sprintf("the budget of the %s is used up: of %s, %s are spent or reserved, and the next call could take %s; raise %s%s%s",
		what, e.Window.Limit, e.Counted, e.Most, setting, unit, then)
}
