package extract_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/pace"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A trial spends no more than a run may, at no more than its pace, and says why it ended;
// what was under way then is an answer all the same.
func TestTrialKeepsBudgetAndPace(t *testing.T) {
	for _, workers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			var calls, answers atomic.Int64
			s := memory.New()
			e := budgetEngine(t, s, paying(&calls, nil), workers, extract.Budgets{Run: extract.Amount{NanoUSD: 25}, Day: extract.Amount{NanoUSD: 1000}})
			e.Pace = pace.NewLimiter(pace.Limits{Concurrency: workers, RequestsPerMinute: 10})
			trial, ctx, err := e.Trial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for ctx.Err() == nil {
						if _, err := trial.Extract(ctx, rawTrace("t1", 0)); err == nil {
							answers.Add(1)
						}
					}
				})
			}
			wg.Wait()
			// After n calls n are counted; the next one fits while n+10 <= 25.
			if calls.Load() != 16 || answers.Load() != 16 {
				t.Errorf("%d workers made %d calls and got %d answers, want 16", workers, calls.Load(), answers.Load())
			}
			if cause := context.Cause(ctx); cause == nil || !strings.Contains(cause.Error(), "EVALFORGE_RUN_BUDGET_USD") {
				t.Errorf("it ended because of %v, want the budget of the run", cause)
			}
			if took := time.Since(began); took < time.Minute {
				t.Errorf("16 calls at 10 a minute took %v", took)
			}
			spend, err := s.Spend(t.Context(), extract.DayWindow(e.Pipeline.Now()))
			if err != nil || spend.Counted.NanoUSD != 16 {
				t.Errorf("the day counts %+v, %v; want what 16 calls took", spend, err)
			}
		})
	}
}
