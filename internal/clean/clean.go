// Package clean redacts documents on their way out, to a terminal, a file, a page or
// another program. What this program stored is redacted already; documents of other writers, and
// of older policies, may not be. Identifiers and digests are left alone: they are what the
// next question is asked with.
package clean

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/redact"
)

// A Redactor replaces secrets and personal data, as [redact.Redactor] does.
type Redactor interface {
	Text(s string) (string, redact.Counts)
	JSON(b []byte) ([]byte, redact.Counts, error)
}

// A Cleaner redacts documents. It is as safe for concurrent use as its redactor.
type Cleaner struct{ r Redactor }

// New returns a cleaner.
func New(r Redactor) Cleaner { return Cleaner{r} }

// Text returns s redacted.
func (c Cleaner) Text(s string) string {
	out, _ := c.r.Text(s)
	return out
}

// Pattern returns p redacted. It fails on a pattern that cannot be redacted, which then
// must not be shown.
func (c Cleaner) Pattern(p evalforge.Pattern) (evalforge.Pattern, error) {
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
	p.Provenance = c.provenance(p.Provenance)
	return p, nil
}

// provenance returns p with its texts redacted. The rest are ids, digests and numbers.
func (c Cleaner) provenance(p evalforge.Provenance) evalforge.Provenance {
	p.ServiceName, p.ModelVersion, p.Repaired = c.Text(p.ServiceName), c.Text(p.ModelVersion), c.Text(p.Repaired)
	p.Warnings = c.list(p.Warnings)
	p.ConfidenceMoves = slices.Clone(p.ConfidenceMoves)
	for i := range p.ConfidenceMoves {
		p.ConfidenceMoves[i].Reason = c.Text(p.ConfidenceMoves[i].Reason)
	}
	return p
}

// Run returns r redacted.
func (c Cleaner) Run(r evalforge.Run) evalforge.Run {
	r.ThrottleReason = c.visible(r.ThrottleReason)
	outcomes := make([]evalforge.TraceOutcome, len(r.TraceOutcomes))
	for i, o := range r.TraceOutcomes {
		if o.ErrorReason != nil {
			s := c.visible(*o.ErrorReason)
			o.ErrorReason = &s
		}
		outcomes[i] = o
	}
	r.TraceOutcomes = outcomes
	return r
}

// visible returns s redacted, without what a terminal acts on and nobody sees: errors may
// repeat what a model or a trace said.
func (c Cleaner) visible(s string) string { return c.Text(excerpt.Visible(s)) }

// Error returns e redacted.
func (c Cleaner) Error(e evalforge.ExtractionError) evalforge.ExtractionError {
	e.ErrorMessage = c.visible(e.ErrorMessage)
	e.ModelResponseExcerpt = c.visible(e.ModelResponseExcerpt)
	return e
}

func (c Cleaner) list(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = c.Text(s)
	}
	return out
}
