package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// pickedUp returns the traces that a run worked on, or that a dry run would.
func pickedUp(r *evalforge.Run) []string {
	ids := slices.Clone(r.WouldProcess)
	for _, o := range r.TraceOutcomes {
		ids = append(ids, o.SourceTraceID)
	}
	return ids
}

// noteWaiting says what is left to do: that there is more, when a run was full, and what
// the others wait for, when it found nothing. Named says that the run was about named
// traces only.
func (c *call) noteWaiting(ctx context.Context, s *session, r *evalforge.Run, named bool) {
	n := len(pickedUp(r))
	if named || n > 0 && (r.DryRun || r.PickedUpCount < r.BatchSize) {
		return
	}
	b, err := s.store.Backlog(ctx, c.Now())
	if err != nil {
		return // a courtesy; the run is done and reported
	}
	if n > 0 {
		if due := b.Pending - b.Leased - b.BackingOff - b.Quarantined; due > 0 {
			c.term.note("%s still waiting: run it again, or raise -batch", are(due, "trace", "traces"))
		}
		return
	}
	retry, free := c.nextDue(ctx, s, b)
	if b.BackingOff > 0 {
		c.term.note("%s backing off after a failure%s; %s takes one at once", are(b.BackingOff, "trace", "traces"), at(", the next is due at ", retry), c.command("run", "-trace", "ID"))
	}
	if b.Leased > 0 {
		c.term.note("%s being worked on by another run%s", are(b.Leased, "trace", "traces"), at("; the first is free again by ", free))
	}
	if b.Quarantined > 0 {
		c.term.note("%s quarantined after too many failures: %s says why, %s brings one back",
			are(b.Quarantined, "trace", "traces"), c.command("errors list"), c.command("retry", "ID"))
	}
}

// at writes a time after text; nothing for no time.
func at(text string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return text + t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// nextDue returns when the first trace that backs off is due, and when the first lease
// ends; a zero time where there is none.
func (c *call) nextDue(ctx context.Context, s *session, b extract.Backlog) (retry, free time.Time) {
	now := c.Now()
	q := extract.StateQuery{PageQuery: extract.PageQuery{Limit: extract.MaxPage}}
	states := pageByPage(q.PageQuery, func(p extract.PageQuery) ([]extract.State, string, error) {
		q.PageQuery = p
		return s.store.States(ctx, q)
	})
	backing, leased := b.BackingOff, b.Leased
	for st, err := range states {
		if err != nil || backing+leased <= 0 {
			break // what is known is said; all of them were seen
		}
		switch {
		case !st.QuarantinedAt.IsZero():
		case isLeased(st, now):
			leased--
			free = earlier(free, st.LeaseUntil.Time)
		case now.Before(st.RetryAt.Time):
			backing--
			retry = earlier(retry, st.RetryAt.Time)
		}
	}
	return retry, free
}

func isLeased(s extract.State, now time.Time) bool {
	return s.LeaseToken != "" && now.Before(s.LeaseUntil.Time)
}

// earlier returns the earlier of t and u; a zero t is none.
func earlier(t, u time.Time) time.Time {
	if t.IsZero() || u.Before(t) {
		return u
	}
	return t
}

// noteMissed says which of the named traces a run did not pick up, and why, and counts
// them.
func (c *call) noteMissed(ctx context.Context, s *session, r *evalforge.Run, named []string) (int, error) {
	picked := pickedUp(r)
	missed := 0
	for _, id := range named {
		if slices.Contains(picked, id) {
			continue
		}
		missed++
		why, err := c.whyMissed(ctx, s, id)
		if err != nil {
			return missed, fmt.Errorf("trace %s was not worked on; looking up why: %w", id, err)
		}
		c.term.note("trace %s: %s", printable(id), printable(why))
	}
	return missed, nil
}

// whyMissed says why a run left a trace that it was told to work on.
func (c *call) whyMissed(ctx context.Context, s *session, id string) (string, error) {
	t, err := s.store.Trace(ctx, id)
	switch {
	case errors.Is(err, evalforge.ErrNotFound):
		return "unknown: the store " + c.cfg.store.String() + " has no such trace", nil
	case err != nil:
		return "", err
	case t.Processed:
		return "already processed; see " + c.command("patterns show", id), nil
	}
	st, err := s.store.State(ctx, id)
	if err != nil && !errors.Is(err, evalforge.ErrNotFound) { // not found: it was never claimed
		return "", err
	}
	switch {
	case !st.QuarantinedAt.IsZero():
		return fmt.Sprintf("quarantined%s; bring it back with %s", strings.TrimSuffix(": "+s.clean.Text(st.LastError), ": "), c.command("retry", id)), nil
	case isLeased(st, c.Now()):
		return fmt.Sprintf("leased by %s until %s", st.LeaseOwner, st.LeaseUntil), nil
	}
	return "still waiting: the run ended, or its batch was full, before its turn; run it again, or raise -batch", nil
}
