package pages

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
)

// Text of a trace adds no heading, list, link or HTML to a ticket: outside of fences every line of it is one
// of ours.
func TestTicketIsInert(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching("(<b>|# |[`]{1,5}|\n|\\[a\\]\\(b\\)|- |x ){1,8}")
		var page patternPage
		p := &page.Pattern
		p.Title, p.Summary, p.RootCauseHypothesis, p.RecommendedActions = text.Draw(t, "t"), text.Draw(t, "s"), text.Draw(t, "r"), []string{text.Draw(t, "a")}
		p.FailureType, p.Severity = evalforge.Other, evalforge.Low
		page.Quotes = []quote{{Text: text.Draw(t, "q"), Verified: true}}
		var b bytes.Buffer
		writeTicket(&b, &page)
		fence := ""
		for _, line := range strings.Split(b.String(), "\n") {
			switch {
			case fence == "" && strings.HasPrefix(line, "```"):
				fence = line
			case fence != "" && line == fence:
				fence = ""
			case fence == "" && (strings.Contains(line, "<b>") || strings.Contains(line, "[a](b)") || strings.HasPrefix(line, "# x # ")):
				t.Errorf("the line %q is not inert", line)
			}
		}
		if fence != "" {
			t.Errorf("a quote leaves its fence:\n%s", b.String())
		}
	})
}
