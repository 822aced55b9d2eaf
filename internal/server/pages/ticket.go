package pages

import (
	"bytes"
	"fmt"
	"strings"
)

// writeTicket writes a pattern as Markdown. Text of the trace can add nothing to the ticket but text:
// quotes stand in fences longer than any in them, the rest is escaped.
func writeTicket(b *bytes.Buffer, page *patternPage) {
	p := &page.Pattern
	fmt.Fprintf(b, "# %s\n\n", inline(p.Title))
	fmt.Fprintf(b, "**%s** · severity **%s** · confidence %.0f %% · trigger: %s\n\n", words(p.FailureType), p.Severity, 100*p.Confidence, inline(p.TriggerCondition))
	section := func(title, text string) {
		if text != "" {
			fmt.Fprintf(b, "## %s\n\n%s\n\n", title, inline(text))
		}
	}
	section("What happened", p.Summary)
	section("Why", p.RootCauseHypothesis)
	if len(p.RecommendedActions) > 0 {
		b.WriteString("## What to do\n\n")
		for i, a := range p.RecommendedActions {
			fmt.Fprintf(b, "%d. %s\n", i+1, inline(a))
		}
		b.WriteString("\n")
	}
	b.WriteString("## Evidence\n\n")
	for _, q := range page.Quotes {
		where, state := "", "not found in the trace"
		if q.Step != nil {
			where = fmt.Sprintf("Step %d, ", *q.Step)
		}
		if q.Verified {
			state = "verified"
		}
		fence := strings.Repeat("`", max(3, longestRun(q.Text, '`')+1))
		fmt.Fprintf(b, "%s%s:\n\n%s\n%s\n%s\n\n", where, state, fence, q.Text, fence)
	}
	for _, s := range p.Evidence.Signals {
		fmt.Fprintf(b, "- %s\n", inline(s))
	}
	b.WriteString("\n## Source\n\n")
	fmt.Fprintf(b, "- Trace: %s\n", inline(p.SourceTraceID))
	if page.Timeline != nil && !page.Timeline.Began.IsZero() {
		fmt.Fprintf(b, "- Began: %s\n", page.Timeline.Began)
	}
	if !page.CameIn.IsZero() {
		fmt.Fprintf(b, "- Came in: %s\n", page.CameIn)
	}
	if f := p.FailingStep; f != nil {
		fmt.Fprintf(b, "- Failing step: %d %s\n", f.Index, inline(join(f.Name, f.Agent)))
	}
	for _, l := range page.Sources {
		fmt.Fprintf(b, "- %s: <%s>\n", l.Name, l.URL)
	}
	if s := p.Provenance.ServiceName; s != "" {
		fmt.Fprintf(b, "- Service: %s\n", inline(s))
	}
	fmt.Fprintf(b, "- Extracted: %s by %s, run %s, fingerprint %s\n", p.ExtractedAt, inline(join(p.Provenance.Analyzer, p.Provenance.ModelVersion)),
		inline(p.Provenance.RunID), inline(p.Fingerprint))
}

// inline escapes what Markdown, or HTML in it, would take for more than text, and puts it on one line.
func inline(s string) string {
	var b strings.Builder
	for _, r := range strings.Join(strings.Fields(s), " ") {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_{}[]#|~!@", r):
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func longestRun(s string, c byte) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
