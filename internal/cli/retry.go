package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// A retryResult is what became of one id.
type retryResult struct {
	TraceID string `json:"traceId"`
	Result  string `json:"result"` // due, unknown, nothing_to_retry
	Reason  string `json:"reason,omitempty"`
}

func retryCommand() command {
	return command{
		name: "retry", args: "ID…", minArgs: 1, maxArgs: -1,
		short: "make quarantined or waiting traces due again",
		long: `Makes the traces with these ids due at once, with their attempts at zero. The next run picks them up.
Exit status 1: some of them were left alone, because they are unknown or have nothing to retry.`,
		examples: []string{"evalforge retry checkout-4711 && evalforge run"},
		uses:     []group{groupStore, groupRedaction}, formats: anyFormat(),
		run: retry,
	}
}

func retry(ctx context.Context, c *call) (err error) {
	s, err := c.open(ctx, mustExist)
	if err != nil {
		return err
	}
	defer func() { err = s.close(err) }()
	l := &listWriter{w: c.term.out, format: c.format}
	refused := 0
	for _, id := range c.args {
		r := retryResult{TraceID: id, Result: "due"}
		err := s.store.Retry(ctx, id, c.Now())
		switch {
		case err == nil:
		case errors.Is(err, evalforge.ErrNotFound):
			r.Result, r.Reason = "unknown", "there is no such trace"
		case errors.Is(err, extract.ErrNotRetryable):
			r.Result, r.Reason = "nothing_to_retry", s.clean.Text(retryReason(err))
		default:
			return fmt.Errorf("retry %s: %w", id, err)
		}
		if r.Reason != "" {
			refused++
		}
		if err := c.writeRetry(l, r); err != nil {
			return err
		}
	}
	if c.format != formatTable {
		if err := l.end(); err != nil {
			return err
		}
	}
	if refused > 0 {
		return somef(c.hint("", " shows the traces that failed", "errors list"), "%d of %s not made due", refused, count(len(c.args), "trace", "traces"))
	}
	return nil
}

func (c *call) writeRetry(l *listWriter, r retryResult) error {
	switch {
	case c.format != formatTable:
		return l.add(r)
	case r.Reason != "":
		c.term.note("%s: %s", printable(r.TraceID), printable(r.Reason))
	default:
		fmt.Fprintf(c.term.out, "%s is due again\n", printable(r.TraceID))
	}
	return nil
}
