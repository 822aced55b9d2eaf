package cli

import (
	"encoding/json"
	"fmt"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/redact"
)

// A cleaner redacts documents on their way out. What this program stored is redacted
// already; documents of other writers, and of older policies, may not be. Identifiers
// and digests are left alone: they are what the next command is given.
type cleaner struct{ r *redact.Redactor }

func (c cleaner) text(s string) string {
	out, _ := c.r.Text(s)
	return out
}

func (c cleaner) pattern(p evalforge.Pattern) (evalforge.Pattern, error) {
	b, err := json.Marshal(p.Analysis)
	if err != nil {
		return p, fmt.Errorf("pattern %s: %w", p.PatternID, err)
	}
	if b, _, err = c.r.JSON(b); err != nil {
		return p, fmt.Errorf("pattern %s could not be redacted, so it is not shown: %w", p.PatternID, err)
	}
	p.Analysis = evalforge.Analysis{}
	if err := json.Unmarshal(b, &p.Analysis); err != nil {
		return p, fmt.Errorf("pattern %s could not be redacted, so it is not shown: %w", p.PatternID, err)
	}
	p.Provenance.Warnings = c.list(p.Provenance.Warnings)
	return p, nil
}

func (c cleaner) run(r evalforge.Run) evalforge.Run {
	r.ThrottleReason = c.text(r.ThrottleReason)
	outcomes := make([]evalforge.TraceOutcome, len(r.TraceOutcomes))
	for i, o := range r.TraceOutcomes {
		if o.ErrorReason != nil {
			s := c.text(*o.ErrorReason)
			o.ErrorReason = &s
		}
		outcomes[i] = o
	}
	r.TraceOutcomes = outcomes
	return r
}

func (c cleaner) extractionError(e evalforge.ExtractionError) evalforge.ExtractionError {
	e.ErrorMessage = c.text(e.ErrorMessage)
	e.ModelResponseExcerpt = c.text(e.ModelResponseExcerpt)
	return e
}

func (c cleaner) list(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = c.text(s)
	}
	return out
}
