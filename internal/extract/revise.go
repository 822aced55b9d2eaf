package extract

import (
	"context"
	"errors"
	"time"

	"github.com/evalforge/evalforge"
)

// MaxHistory is how many replaced patterns of a trace are kept.
const MaxHistory = 20

// A Reviser extracts anew what was extracted before, and keeps what was there.
//
// Whenever [Queue.Commit] replaces a pattern by a different one, the old one goes into
// the trace's history in the same transaction; the oldest beyond [MaxHistory] are
// dropped.
type Reviser interface {
	// History returns the patterns of a trace that were replaced, the last one first, at
	// most limit of them (1 to MaxHistory). A trace without any has an empty history,
	// and so has one that is unknown.
	History(ctx context.Context, traceID string, limit int) ([]evalforge.Pattern, error)
	// Reopen makes a processed trace due at now, although it did not change, with its
	// attempts at zero. Its pattern stays until another one is committed, and until then
	// its claims say that it is to be analyzed anew ([Claim.KeptSince]). It reports a
	// trace that is unknown ([evalforge.ErrNotFound]) and one that is not processed
	// ([ErrNotProcessed]): that one waits for a run anyway, or is quarantined.
	Reopen(ctx context.Context, traceID string, now time.Time) error
}

// ErrNotProcessed is returned, wrapped, by [Reviser.Reopen].
var ErrNotProcessed = errors.New("not processed yet")
