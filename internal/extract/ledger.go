package extract

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

// A Ledger keeps what calls of models may have cost, for budgets that all workers
// share. Before a call its worst case is reserved; afterwards that is replaced by what
// the call took. A reservation that is never settled, because its worker died or the
// service never said what a call took, stays counted at its worst case: so what is
// counted is at no time less than what was spent.
type Ledger interface {
	// Reserve counts r.Most in every window of r, or, if in one of them that would go
	// over its limit, in none: then it fails with an [*OverBudgetError]. Of many
	// reservations at once, in whatever processes, none sees the room that another one
	// takes. A repeated reservation of the same id is counted once.
	Reserve(ctx context.Context, r Reservation) error
	// Settle replaces what r counts, in each of its windows, by what the call took,
	// which may also be more. A reservation that a window does not know (any more) is
	// no error, and changes nothing there. A store may forget, oldest first, unsettled
	// reservations of a window that has over [MaxOpenReservations] of them, or that are
	// months old: they stay counted as they are.
	Settle(ctx context.Context, r Reservation, took Amount) error
	// Spend returns what a window counts: nothing, for one that was never reserved in.
	Spend(ctx context.Context, window string) (Spend, error)
}

// MaxOpenReservations is how many unsettled reservations of one window a store
// remembers at least.
const MaxOpenReservations = 1000

// A Reservation is the worst case of one call of a model.
type Reservation struct {
	ID      string // unique among all reservations; at most 64 bytes
	At      time.Time
	Windows []Window // at least one, at most [MaxWindows], each once
	Most    Amount
}

// MaxWindows bounds the windows of a reservation.
const MaxWindows = 4

// A Window is what a budget is for. A zero in Limit is no limit.
type Window struct {
	Name  string // "run/RUN_ID" or "day/YYYY-MM-DD": see [RunWindow] and [DayWindow]
	Limit Amount
}

// RunWindow names the window of one run.
func RunWindow(runID string) string { return "run/" + runID }

// DayWindow names the window of t's day in UTC.
func DayWindow(t time.Time) string { return "day/" + t.UTC().Format(time.DateOnly) }

// An Amount is money and tokens, neither negative. Money is counted in whole
// billionths of a US dollar, so that sums are exact: the cheapest cached token costs
// ten of them.
type Amount struct {
	NanoUSD int64 `json:"nano_usd"`
	Tokens  int64 `json:"tokens"` // given and taken together
}

// Add returns the sum of a and b.
func (a Amount) Add(b Amount) Amount { return Amount{a.NanoUSD + b.NanoUSD, a.Tokens + b.Tokens} }

// Sub returns a less b, which may be negative.
func (a Amount) Sub(b Amount) Amount { return Amount{a.NanoUSD - b.NanoUSD, a.Tokens - b.Tokens} }

// Over reports whether a exceeds limit, in which a zero is no limit.
func (a Amount) Over(limit Amount) bool {
	return limit.NanoUSD > 0 && a.NanoUSD > limit.NanoUSD || limit.Tokens > 0 && a.Tokens > limit.Tokens
}

// NanoUSD returns dollars in billionths, rounded up.
func NanoUSD(usd float64) int64 { return int64(math.Ceil(usd * 1e9)) }

// USD returns the money in US dollars.
func (a Amount) USD() float64 { return float64(a.NanoUSD) / 1e9 }

// String writes a for people, without what is zero.
func (a Amount) String() string {
	usd, tokens := fmt.Sprintf("$%.4f", a.USD()), strconv.FormatInt(a.Tokens, 10)+" tokens"
	switch {
	case a.Tokens == 0:
		return usd
	case a.NanoUSD == 0:
		return tokens
	}
	return usd + " and " + tokens
}

// Spend is what a window counts.
type Spend struct {
	Counted Amount // settled calls at what they took, all others at their worst case
	Open    Amount // the part of Counted that is not settled
}

// An OverBudgetError is a reservation that does not fit into a window.
type OverBudgetError struct {
	Window  Window
	Counted Amount // in it
	Most    Amount // of the call that does not fit
}

func (e *OverBudgetError) Error() string {
	return fmt.Sprintf("the budget %s of %s has no room for a call of up to %s: %s of it are spent or reserved",
		e.Window.Limit, e.Window.Name, e.Most, e.Counted)
}
