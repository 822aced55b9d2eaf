package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evalforge/evalforge"
)

// quarantineOf says that a trace is quarantined and how it gets out, or returns "".
func (c *call) quarantineOf(ctx context.Context, s *session, traceID string) (string, error) {
	st, err := s.store.State(ctx, traceID)
	switch {
	case errors.Is(err, evalforge.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case st.QuarantinedAt.IsZero():
		return "", nil
	}
	return fmt.Sprintf("it is quarantined since %s: \"evalforge retry %s\" makes it due again", st.QuarantinedAt, traceID), nil
}

// explainTaken says what became of reopened traces that the run did not get to: another run
// may have been faster, which uses no kept answers for them either.
func (c *call) explainTaken(ctx context.Context, s *session, batch []rerunPattern, since time.Time, run *evalforge.Run) error {
	for i := range batch {
		p := &batch[i]
		if p.Outcome != "" || p.Reason != "" {
			continue
		}
		after, err := s.store.Pattern(ctx, p.TraceID)
		if err != nil && !errors.Is(err, evalforge.ErrNotFound) {
			return err
		}
		if err == nil && !after.ExtractedAt.Before(evalforge.At(since).Time) && after.Provenance.RunID != run.RunID {
			p.Outcome, p.Reason = evalforge.Stored, "by "+after.Provenance.RunID
			if err := p.diff(ctx, s, after); err != nil {
				return err
			}
			continue
		}
		if p.Reason, err = c.waitsFor(ctx, s, p.TraceID); err != nil {
			return err
		}
	}
	return nil
}

// waitsFor says why a trace that was reopened is not extracted anew yet.
func (c *call) waitsFor(ctx context.Context, s *session, traceID string) (string, error) {
	if why, err := c.quarantineOf(ctx, s, traceID); why != "" || err != nil {
		return why, err
	}
	st, err := s.store.State(ctx, traceID)
	switch {
	case errors.Is(err, evalforge.ErrNotFound):
	case err != nil:
		return "", err
	case st.LeaseToken != "" && st.LeaseUntil.After(c.Now()):
		return fmt.Sprintf("another run, %s, is extracting it anew", st.RunID), nil
	case !st.RetryAt.IsZero() && st.LastError != "":
		return fmt.Sprintf("another run, %s, failed at it: %s", st.RunID, s.clean.Text(st.LastError)), nil
	}
	return "it waits for the next run, which extracts it anew", nil
}
