package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// Answers and unsettled reservations go after 90 days, some with each new one, and what was
// reserved stays counted.
func TestRetention(t *testing.T) {
	ctx, db := t.Context(), open(t, filepath.Join(t.TempDir(), "x.db"))
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	key := func(i int) string { return fmt.Sprintf("%064x", i) }
	add := func(i int, at time.Time) {
		t.Helper()
		if err := db.SaveAnswer(ctx, extract.KeptAnswer{Key: key(i), TraceID: "t", SavedAt: evalforge.At(at)}); err != nil {
			t.Fatal(err)
		}
		r := extract.Reservation{ID: fmt.Sprint(i), At: at, Most: extract.Amount{NanoUSD: 1, Tokens: 1},
			Windows: []extract.Window{{Name: "run/run_1"}, {Name: extract.DayWindow(start)}}}
		if err := db.Reserve(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(table string) (n int) {
		t.Helper()
		if err := db.r.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const old = 3 * expireAtOnce
	for i := range old {
		add(i, start.Add(time.Duration(i)*time.Second))
	}
	add(old, start.Add(store.Retention)) // to the day: nothing is too old
	if a, r := rows("answers"), rows("ledger_reservations"); a != old+1 || r != 2*(old+1) {
		t.Errorf("%d answers and %d reservations after 90 days, want all %d and %d", a, r, old+1, 2*(old+1))
	}
	if _, err := db.Answer(ctx, key(0)); err != nil {
		t.Error(err)
	}
	after := start.Add(store.Retention + time.Hour)
	for i := range 6 {
		add(old+1+i, after)
		if a, want := rows("answers"), old+2+i-(i+1)*expireAtOnce; a != max(want, 2+i) {
			t.Errorf("%d answers after %d more, want %d", a, i+1, max(want, 2+i))
		}
	}
	if r := rows("ledger_reservations"); r != 2*7 {
		t.Errorf("%d reservations are left, want the 14 of the new calls", r)
	}
	if _, err := db.Answer(ctx, key(0)); !errors.Is(err, evalforge.ErrNotFound) {
		t.Errorf("the oldest answer: %v, want that it is gone", err)
	}
	s, err := db.Spend(ctx, "run/run_1")
	if err != nil || s.Counted.Tokens != old+7 || s.Open.Tokens != 7 {
		t.Errorf("spend %+v, %v; want all %d counted, 7 open", s, err, old+7)
	}
	// A settlement that comes after all changes nothing.
	late := extract.Reservation{ID: "0", At: start, Most: extract.Amount{NanoUSD: 1, Tokens: 1}, Windows: []extract.Window{{Name: "run/run_1"}}}
	if err := db.Settle(ctx, late, extract.Amount{}); err != nil {
		t.Fatal(err)
	}
	if s, err := db.Spend(ctx, "run/run_1"); err != nil || s.Counted.Tokens != old+7 {
		t.Errorf("spend %+v, %v after a late settlement", s, err)
	}
}
