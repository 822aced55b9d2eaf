package extract_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A slowLedger takes the given times for its reservations, in the order in which they are
// asked for, and none for those after.
type slowLedger struct {
	extract.Ledger
	takes []time.Duration
	asked atomic.Int64
}

func (l *slowLedger) Reserve(ctx context.Context, r extract.Reservation) error {
	if n := int(l.asked.Add(1)); n <= len(l.takes) {
		time.Sleep(l.takes[n-1])
	}
	return l.Ledger.Reserve(ctx, r)
}

// Two calls that do not fit, each refused while the other was being tried, do not wait for
// one another: with nothing under way that could make room, the run ends.
func TestRefusedReservationsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := memory.New()
		put(t, s, 3)
		silent := func(int64) (extract.CallEnd, error) { return extract.CallEnd{}, nil }
		e := budgetEngine(t, s, paying(&calls, silent), 3, extract.Budgets{Run: extract.Amount{NanoUSD: 10}})
		// The first call has all of the budget, and ends after two seconds without a word of
		// what it took. By then the second was refused and asks again; the third is still
		// asking, is refused, and asks again while the second is.
		e.Ledger = &slowLedger{Ledger: s, takes: []time.Duration{0, time.Second, 3 * time.Second, 2 * time.Second, 2 * time.Second}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		run := mustRun(t, ctx, e, s, extract.RunRequest{})
		if took := time.Since(start); took > time.Minute || !strings.Contains(run.ThrottleReason, "EVALFORGE_RUN_BUDGET_USD") {
			t.Errorf("the run took %v and ended because %q", took, run.ThrottleReason)
		}
		if calls.Load() != 1 || run.StoredCount != 1 || run.NotStartedCount != 2 {
			t.Errorf("%d calls; %d stored, %d not started; want one, one, two", calls.Load(), run.StoredCount, run.NotStartedCount)
		}
	})
}
