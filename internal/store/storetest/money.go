package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
)

// reservation returns one of n billionths of a dollar and as many tokens, in the window
// of a run with a limit and in that of a day without.
func reservation(id string, n int64, limit extract.Amount) extract.Reservation {
	return extract.Reservation{ID: id, At: t0, Most: extract.Amount{NanoUSD: n, Tokens: n},
		Windows: []extract.Window{{Name: "run/run_1", Limit: limit}, {Name: "day/2026-01-02"}}}
}

func (e *env) reserve(r extract.Reservation) {
	e.Helper()
	e.must(e.s.Reserve(e.ctx, r))
}

// wantSpend checks what a window counts, in both units alike.
func (e *env) wantSpend(window string, counted, open int64) {
	e.Helper()
	got, err := e.s.Spend(e.ctx, window)
	e.must(err)
	want := extract.Spend{Counted: extract.Amount{NanoUSD: counted, Tokens: counted}, Open: extract.Amount{NanoUSD: open, Tokens: open}}
	e.diff("spend of "+window, got, want)
}

func (e *env) wantOverBudget(err error, window string) {
	e.Helper()
	var over *extract.OverBudgetError
	if !errors.As(err, &over) || over.Window.Name != window {
		e.Errorf("got error %v, want one about the budget %s", err, window)
	}
}

func ledgerLimit(e *env) {
	e.wantSpend("run/run_1", 0, 0)
	limit := extract.Amount{NanoUSD: 100}
	e.reserve(reservation("a", 60, limit))
	e.reserve(reservation("b", 40, limit)) // exactly full
	e.wantSpend("run/run_1", 100, 100)
	e.wantOverBudget(e.s.Reserve(e.ctx, reservation("c", 1, limit)), "run/run_1")
	e.wantSpend("run/run_1", 100, 100)
	e.reserve(reservation("d", 0, limit))
	// Tokens have a limit of their own.
	e.wantOverBudget(e.s.Reserve(e.ctx, reservation("e", 1, extract.Amount{Tokens: 100})), "run/run_1")
	e.reserve(reservation("f", 1, extract.Amount{Tokens: 101}))
	e.reserve(reservation("g", 1, extract.Amount{})) // without a limit
	e.wantSpend("run/run_1", 102, 102)
}

func ledgerAllOrNone(e *env) {
	r := reservation("a", 10, extract.Amount{})
	r.Windows[1].Limit = extract.Amount{Tokens: 15}
	e.reserve(r)
	r.ID = "b"
	e.wantOverBudget(e.s.Reserve(e.ctx, r), "day/2026-01-02")
	e.wantSpend("run/run_1", 10, 10)
	e.wantSpend("day/2026-01-02", 10, 10)
	e.wantSpend("day/2026-01-03", 0, 0)
}

func ledgerSettles(e *env) {
	limit := extract.Amount{NanoUSD: 100}
	a, b := reservation("a", 60, limit), reservation("b", 40, limit)
	e.reserve(a)
	e.reserve(a) // once more, as after a lost acknowledgement
	e.wantSpend("run/run_1", 60, 60)
	e.reserve(b)
	for range 2 { // the second time it is not known any more
		e.must(e.s.Settle(e.ctx, a, extract.Amount{NanoUSD: 7, Tokens: 7}))
		e.wantSpend("run/run_1", 47, 40)
		e.wantSpend("day/2026-01-02", 47, 40)
	}
	e.reserve(reservation("c", 53, limit)) // there is room again
	e.must(e.s.Settle(e.ctx, b, extract.Amount{NanoUSD: 41, Tokens: 41}))
	e.wantSpend("run/run_1", 7+41+53, 53) // counted as it is, over the limit too
	e.must(e.s.Settle(e.ctx, reservation("never made", 5, limit), extract.Amount{NanoUSD: 5, Tokens: 5}))
	e.wantSpend("run/run_1", 7+41+53, 53)
	if e.h.Another != nil {
		e.s = e.h.Another(e.T, e.s)
		e.wantSpend("day/2026-01-02", 7+41+53, 53)
	}
}

// Whatever happens at once, no more is counted than the limit.
func ledgerRace(e *env) {
	const workers, calls, limit = 8, 12, 200
	stores := []extract.Store{e.s}
	if e.h.Another != nil {
		stores = append(stores, e.h.Another(e.T, e.s))
	}
	var refused, made atomic.Int64
	inParallel(workers, func(w int) {
		s := stores[w%len(stores)]
		for i := range calls {
			r := reservation(fmt.Sprintf("%d-%d", w, i), 10, extract.Amount{NanoUSD: limit})
			err := s.Reserve(e.ctx, r)
			var over *extract.OverBudgetError
			switch {
			case errors.As(err, &over):
				refused.Add(1)
				continue
			case err != nil:
				e.Errorf("reserve: %v", err)
				continue
			}
			made.Add(1)
			if i%3 == 0 {
				continue // its worker died
			}
			if err := s.Settle(e.ctx, r, extract.Amount{NanoUSD: 4, Tokens: 4}); err != nil {
				e.Errorf("settle: %v", err)
			}
		}
	})
	got, err := e.s.Spend(e.ctx, "run/run_1")
	e.must(err)
	if got.Counted.NanoUSD > limit {
		e.Errorf("%d are counted, over the limit of %d", got.Counted.NanoUSD, limit)
	}
	if got.Counted.NanoUSD+10 <= limit && refused.Load() > 0 {
		e.Errorf("%d reservations were refused, although only %d of %d are counted", refused.Load(), got.Counted.NanoUSD, limit)
	}
	day, err := e.s.Spend(e.ctx, "day/2026-01-02")
	e.must(err)
	e.diff("spend of the day", day, got)
}

func ledgerUnsettled(e *env) {
	const n = extract.MaxOpenReservations
	id := func(i int) string { return fmt.Sprintf("%06d", i) }
	for i := range 3 {
		e.reserve(reservation(id(i), 1, extract.Amount{}))
	}
	last := reservation(id(3), 1, extract.Amount{})
	e.reserve(last)
	e.must(e.s.Settle(e.ctx, last, extract.Amount{}))
	e.wantSpend("run/run_1", 3, 3)
	// With as many more as a store must remember, the oldest may be forgotten. They count
	// all the same. (Only where that many take no time.)
	if e.h.Another != nil {
		return
	}
	for i := range n {
		e.reserve(reservation(id(10+i), 1, extract.Amount{}))
	}
	got, err := e.s.Spend(e.ctx, "run/run_1")
	e.must(err)
	if got.Counted.NanoUSD != 3+n {
		e.Errorf("counted %d, want %d", got.Counted.NanoUSD, 3+n)
	}
}

func ledgerBadRequests(e *env) {
	good := reservation("a", 1, extract.Amount{})
	for name, tt := range map[string]struct {
		field string
		spoil func(*extract.Reservation)
	}{
		"no id":           {"id", func(r *extract.Reservation) { r.ID = "" }},
		"long id":         {"id", func(r *extract.Reservation) { r.ID = strings.Repeat("x", 65) }},
		"no time":         {"at", func(r *extract.Reservation) { r.At = time.Time{} }},
		"no window":       {"windows", func(r *extract.Reservation) { r.Windows = nil }},
		"a window twice":  {"windows", func(r *extract.Reservation) { r.Windows[1] = r.Windows[0] }},
		"odd window":      {"window", func(r *extract.Reservation) { r.Windows[0].Name = "run" }},
		"deep window":     {"window", func(r *extract.Reservation) { r.Windows[0].Name = "run/a/b" }},
		"negative amount": {"most", func(r *extract.Reservation) { r.Most.Tokens = -1 }},
		"negative limit":  {"limit", func(r *extract.Reservation) { r.Windows[0].Limit.NanoUSD = -1 }},
	} {
		r := good
		r.Windows = append([]extract.Window{}, good.Windows...)
		tt.spoil(&r)
		e.wantField("reserve with "+name, e.s.Reserve(e.ctx, r), tt.field)
	}
	e.wantField("settle with a negative amount", e.s.Settle(e.ctx, good, extract.Amount{NanoUSD: -1}), "took")
	_, err := e.s.Spend(e.ctx, "x")
	e.wantField("spend", err, "window")
	e.wantSpend("run/run_1", 0, 0)
}
