package extract_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/pace"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// paying returns an analyzer whose every call can take 10 and takes 1, of both units, for
// two seconds. then, if not nil, says how a call ends instead.
func paying(calls *atomic.Int64, then func(n int64) (extract.CallEnd, error)) *scripted {
	return &scripted{answer: func(ctx context.Context, _ *extract.Input) (*extract.Answer, error) {
		leave, err := extract.Enter(ctx, extract.Call{Model: "m", Most: exactly(extract.Amount{NanoUSD: 10, Tokens: 10}), Prompt: 5})
		if err != nil {
			return nil, err
		}
		n := calls.Add(1)
		time.Sleep(2 * time.Second)
		end := extract.CallEnd{Took: extract.Amount{NanoUSD: 1, Tokens: 1}, Known: true, Prompt: 1}
		if then != nil {
			if end, err = then(n); err != nil {
				leave(end)
				return nil, err
			}
		}
		leave(end)
		return good(), nil
	}}
}

// exactly is the bound of a call whose price is known.
func exactly(most extract.Amount) func() extract.Bound {
	return func() extract.Bound { return extract.Bound{Any: most, Usual: most} }
}

func budgetEngine(t *testing.T, s extract.Store, a extract.Analyzer, workers int, b extract.Budgets) *extract.Engine {
	e := engine(t, s, a, extract.Options{Concurrency: workers, Budgets: b, Backoff: -1})
	e.Ledger = s
	return e
}

// A call that does not fit beside the worst cases of those under way waits for what they
// really take: the budget is used up, whatever the concurrency.
func TestBudgetIsUsedUp(t *testing.T) {
	for _, workers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int64
			s := memory.New()
			put(t, s, 40)
			// After n calls n are counted; the next one fits while n+10 <= 25.
			e := budgetEngine(t, s, paying(&calls, nil), workers, extract.Budgets{Run: extract.Amount{NanoUSD: 25}})
			run := mustRun(t, t.Context(), e, s, extract.RunRequest{})
			if got := calls.Load(); got != 16 {
				t.Errorf("%d workers made %d calls, want 16", workers, got)
			}
			if run.StoredCount != 16 || run.NotStartedCount < 1 || run.NotStartedCount > workers || !run.Throttled || !strings.Contains(run.ThrottleReason, "EVALFORGE_RUN_BUDGET_USD") {
				t.Errorf("%d stored, %d not started, throttled %v: %s", run.StoredCount, run.NotStartedCount, run.Throttled, run.ThrottleReason)
			}
			b, err := s.Backlog(t.Context(), e.Pipeline.Now())
			if err != nil || b.Pending != 24 || b.Leased+b.BackingOff+b.Quarantined != 0 {
				t.Errorf("backlog %+v, %v; want the other 24 waiting", b, err)
			}
		})
	}
}

// A budget of a day is one for all runs, and is there again the day after.
func TestBudgetOfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := memory.New()
		put(t, s, 30)
		e := budgetEngine(t, s, paying(&calls, nil), 2, extract.Budgets{Day: extract.Amount{Tokens: 14}})
		for day := range 2 {
			for range 3 {
				mustRun(t, t.Context(), e, s, extract.RunRequest{})
			}
			if got, want := calls.Load(), int64(5*(day+1)); got != want {
				t.Errorf("%d calls by day %d, want %d", got, day+1, want)
			}
			time.Sleep(24 * time.Hour)
		}
	})
}

// What a call took that nobody reported stays counted at its worst case.
func TestUnknownCostIsTheWorst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := memory.New()
		put(t, s, 5)
		silent := func(int64) (extract.CallEnd, error) { return extract.CallEnd{}, nil }
		e := budgetEngine(t, s, paying(&calls, silent), 2, extract.Budgets{Run: extract.Amount{NanoUSD: 39}})
		run := mustRun(t, t.Context(), e, s, extract.RunRequest{})
		if calls.Load() != 3 || run.StoredCount != 3 {
			t.Errorf("%d calls, %d stored; want three, whose worst cases fit", calls.Load(), run.StoredCount)
		}
	})
}

// A ledger that cannot be reached ends the run with an error; no call is made, and no
// trace is blamed.
func TestLedgerOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := memory.New()
		put(t, s, 5)
		e := budgetEngine(t, s, paying(&calls, nil), 2, extract.Budgets{Run: extract.Amount{NanoUSD: 100}})
		e.Ledger = unreachable{s}
		run, err := e.Run(t.Context(), extract.RunRequest{})
		if err == nil || !strings.Contains(err.Error(), "reserving what a call may cost") {
			t.Errorf("error %v", err)
		}
		if calls.Load() != 0 || run.ErrorCount != 0 || run.NotStartedCount != run.PickedUpCount || run.Check() != nil {
			t.Errorf("%d calls; %+v, %v", calls.Load(), run, run.Check())
		}
	})
}

type unreachable struct{ extract.Ledger }

func (unreachable) Reserve(context.Context, extract.Reservation) error {
	return errors.New("the store is down")
}

// A trace at which the model always fails is its own fault once the model answers for
// others, and stops nobody.
func TestPoisonIsNotAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 6)
		a := &scripted{answer: func(ctx context.Context, in *extract.Input) (*extract.Answer, error) {
			leave, err := extract.Enter(ctx, extract.Call{Prompt: 1, Most: exactly(extract.Amount{})})
			if err != nil {
				return nil, err
			}
			time.Sleep(4 * time.Second)
			if in.TraceID == "t000" || in.TraceID == "t003" {
				err := &extract.Error{Kind: extract.KindUnavailable, Err: errors.New("503")}
				leave(extract.CallEnd{Known: true, Failed: err})
				return nil, err
			}
			leave(extract.CallEnd{Known: true})
			return good(), nil
		}}
		e := engine(t, s, a, extract.Options{MaxAttempts: 2, Backoff: -1})
		for n := range 2 {
			run := mustRun(t, t.Context(), e, s, extract.RunRequest{})
			if run.ErrorCount != 2 || run.Throttled {
				t.Errorf("run %d: %d errors, throttled %v; want both poisoned traces, and no more", n, run.ErrorCount, run.Throttled)
			}
		}
		b, err := s.Backlog(t.Context(), e.Pipeline.Now())
		if err != nil || b.Quarantined != 2 || b.Processed != 4 {
			t.Errorf("backlog %+v, %v", b, err)
		}
	})
}

// A quota that is used up for the day ends the run at once.
func TestQuotaOfTheDayEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := memory.New()
		put(t, s, 5)
		end := func(n int64) (extract.CallEnd, error) {
			if n < 3 {
				return extract.CallEnd{Known: true}, nil
			}
			err := &extract.Error{Kind: extract.KindRateLimited, Err: errors.New("429 per day")}
			return extract.CallEnd{Known: true, Failed: err, Refused: true, Exhausted: true}, err
		}
		e := engine(t, s, paying(&calls, end), extract.Options{})
		e.Pace = pace.NewLimiter(pace.Limits{Concurrency: 1})
		run := mustRun(t, t.Context(), e, s, extract.RunRequest{})
		if calls.Load() != 3 || run.StoredCount != 2 || run.NotStartedCount != 1 || run.ErrorCount != 0 || !run.Throttled || !strings.Contains(run.ThrottleReason, "quota of the model is used up") {
			t.Errorf("%d calls, %d stored; %s", calls.Load(), run.StoredCount, run.ThrottleReason)
		}
	})
}
