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

	alone chan struct{} // held by the call that is to show which model answers

	mu      sync.Mutex
	halted  error         // why no more calls are made
	broken  int           // calls that failed at an unknown price since the last answer
	flying  int           // calls with a reservation that is not settled, or being tried
	settled chan struct{} // closed when one is, and at the end
}

func newTurns(r *run, l *pace.Limiter) *turns {
	return &turns{run: r, limiter: l, settled: make(chan struct{}), alone: make(chan struct{}, 1)}
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
	res, free, err := g.reserve(ctx, c.Most)
	if err == nil {
		err = g.open() // it may have come to that while we waited
		if err != nil {
			g.settle(ctx, res, Amount{})
			free()
		}
	}
	if err != nil {
		turn.Leave(pace.Result{Unmade: true})
		return nil, err
	}
	began := g.run.Pipeline.Now()
	return func(end CallEnd) {
		turn.Leave(pace.Result{Tokens: end.Prompt, Refused: end.Refused, Wait: min(end.Wait, longestWait),
			OverQuota: end.OverQuota, Quota: end.Quota})
		if end.Known {
			g.settle(ctx, res, end.Took)
		} else {
			g.settle(ctx, nil, Amount{}) // it stays counted at its worst case
		}
		free()
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
		g.mend()
	case !end.Known && g.tooMany():
		g.breaker.Trip(end.Failed)
		g.halt(&halt{reason: fmt.Sprintf("the model does not answer, and %d calls that may be billed count against the budget: %s",
			maxBroken, g.run.redacted(end.Failed))})
	case g.breaker.Failed(g.traceID, began, g.run.Pipeline.Now(), end.Failed):
		g.halt(&halt{reason: "the model does not answer: " + g.run.redacted(end.Failed)})
	}
}

// maxBroken is how many calls without an answer between them a run with a budget makes that
// fail at a price which nobody knows. They stay counted at their worst case, so an outage of
// seconds would otherwise use up the budget of a day.
const maxBroken = 16

// tooMany counts a call that failed at an unknown price, and reports whether it is the last.
func (t *turns) tooMany() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken++
	return t.broken >= maxBroken && !t.run.o.Budgets.none()
}

// mend notes an answer.
func (t *turns) mend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = 0
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
// The result is nil where there is no budget. free is called when the call has ended.
//
// A budget that has no room for the call at the price of any model, even when nothing is
// spent, would allow none at all. There the usual price is reserved, and the call is alone
// until it has shown which model answers.
func (g traceGate) reserve(ctx context.Context, bound func() Bound) (res *Reservation, free func(), err error) {
	free = func() {}
	if g.run.o.Budgets.none() {
		return nil, free, nil
	}
	defer func() {
		if err != nil {
			free()
		}
	}()
	for alone := false; ; {
		if err := g.open(); err != nil {
			return nil, free, err
		}
		most, sure := g.largest(bound())
		if !sure && !alone {
			select {
			case g.alone <- struct{}{}:
				alone, free = true, func() { <-g.alone }
			case <-ctx.Done():
				return nil, free, g.interrupted(ctx)
			}
			continue // who held it may have shown that
		}
		res, settled, err := g.tryOnce(ctx, most)
		if err != nil || res != nil {
			return res, free, err
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return nil, free, g.interrupted(ctx)
		}
	}
}

// largest returns what is to be reserved for a call, and whether that holds whichever model
// answers.
func (t *turns) largest(b Bound) (most Amount, any bool) {
	for _, l := range []Amount{t.run.o.Budgets.Run, t.run.o.Budgets.Day} {
		if b.Any != b.Usual && b.Any.Over(l) {
			return b.Usual, false
		}
	}
	return b.Any, true
}

// tryOnce makes a reservation. Where it does not fit yet, it returns what to wait for;
// where it never will in this run, the run is halted.
func (g traceGate) tryOnce(ctx context.Context, most Amount) (res *Reservation, settled <-chan struct{}, err error) {
	g.mu.Lock()
	began := g.settled
	g.flying++
	g.mu.Unlock()
	now := g.run.Pipeline.Now()
	res = &Reservation{ID: rand.Text(), At: now, Windows: g.windows(now), Most: most}
	over, err := g.tryReserve(ctx, *res)
	switch {
	case err != nil:
		g.landed()
		return nil, nil, g.halt(&halt{"the store failed", fmt.Errorf("reserving what a call may cost: %w", err)})
	case over == nil:
		return res, nil, nil
	}
	g.mu.Lock()
	g.flying--
	// Another call, or a reservation that was tried at the same time, may have taken the
	// room only for now. Of those that were tried at once, the last has nothing to wait for.
	alone := g.flying == 0 && g.settled == began
	g.mu.Unlock()
	if alone {
		return nil, nil, g.halt(&halt{reason: overBudget(over)})
	}
	return nil, began, nil
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
