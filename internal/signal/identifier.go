package signal

import (
	"fmt"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
)

// identifier matches tokens that name one thing: at least six characters with digits.
var identifier = compile(`#?\b[A-Za-z]{0,12}[-_]?\d[A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*\b`)

// dateLike matches tokens that look like identifiers and are dates, times, phone
// numbers, versions or ordinals.
var dateLike = compile(`(?i)^(?:(?:19|20)\d{2}(?:[-_/]?\d{2}){0,2}(?:t\d+)?|\d{1,4}(?:st|nd|rd|th|am|pm|px|kg|km|mb|gb|hz|ghz|mah|ml|mg|cm|mm|k|m|bn?)|\d{1,2}h\d{2}|v?\d+(?:[.]\d+)+|\d{3}-\d{3,4}(?:-\d{4})?)$`)

// identifiers returns the identifiers in text, lower-cased, with their place.
func identifiers(text string) map[string][2]int {
	found := map[string][2]int{}
	clean := placeholder.ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat(" ", len(s)) })
	for _, m := range identifier.FindAllStringIndex(clean, 300) {
		tok := strings.ToLower(strings.TrimPrefix(clean[m[0]:m[1]], "#"))
		digits := 0
		for _, r := range tok {
			if r >= '0' && r <= '9' {
				digits++
			}
		}
		if len(tok) < 6 || digits < 3 || dateLike.MatchString(tok) {
			continue
		}
		// A decimal number or one with thousands separators is a figure, and a part of an
		// address or a longer word is none of its own.
		if m[1] < len(clean)-1 && strings.IndexByte(".,/:@", clean[m[1]]) >= 0 && clean[m[1]+1] > ' ' ||
			m[0] > 0 && strings.IndexByte(".,/:@$€£-", clean[m[0]-1]) >= 0 {
			continue
		}
		if _, ok := found[tok]; !ok {
			found[tok] = [2]int{m[0], m[1]}
		}
	}
	return found
}

// told reports whether the run was told something, in lower case, up to a step: by an
// input, a result or the input of a span.
func (v *view) told(needle string, before int) bool {
	for _, p := range v.lower {
		if p.step <= before && strings.Contains(p.text, needle) {
			return true
		}
	}
	return false
}

// absentIdentifier finds an answer that names an identifier which occurs nowhere in what
// the run was told, although tools answered. Identifiers, unlike amounts, cannot be
// computed.
func absentIdentifier(v *view) (Signal, bool) {
	if len(v.results) == 0 || v.t.Dropped > 0 {
		return Signal{}, false
	}
	for _, p := range v.addressed() {
		if v.verifier[p.step] {
			continue
		}
		ids := identifiers(withoutCode(p.text))
		if len(ids) == 0 {
			continue
		}
		if !v.resultBefore(p.step) {
			continue
		}
		for _, id := range sortedKeys(ids) {
			if v.told(id, p.step) || v.told(strings.NewReplacer("-", "", "_", "").Replace(id), p.step) {
				continue
			}
			at := ids[id]
			return Signal{
				Name: "absent_identifier", Condition: CondAbsentFigure, Weight: 0.65, Step: p.step, Cause: p.step, Quote: quote(p.text, at[0], at[1]),
				Detail: fmt.Sprintf("%s names an identifier that occurs in no input and no result", v.label(p.step)),
			}, true
		}
	}
	return Signal{}, false
}

// said reports whether an output up to a step has the text, in lower case.
func (v *view) said(needle string, before int) bool {
	for _, p := range v.outputs {
		if p.step <= before && strings.Contains(strings.ToLower(p.text), needle) {
			return true
		}
	}
	return false
}

func (v *view) resultBefore(step int) bool {
	for _, r := range v.results {
		if r.step <= step && !isNothing(r.text) {
			return true
		}
	}
	return false
}

// inventedArgument finds a call with an identifier that nobody had given before.
func inventedArgument(v *view) (Signal, bool) {
	if v.t.Dropped > 0 || len(v.inputs) == 0 {
		return Signal{}, false
	}
	for i := range v.calls {
		c := &v.calls[i]
		ids := identifiers(c.Args)
		if len(ids) == 0 {
			continue
		}
		failed := callFailed(c)
		for _, id := range sortedKeys(ids) {
			if !failed && !doesNotExist(c.Result, id) {
				continue // an identifier that worked was known from somewhere
			}
			if v.told(id, c.Step-1) || v.said(id, c.Step-1) {
				continue
			}
			at := ids[id]
			s := Signal{
				Name: "invented_argument", FailureType: evalforge.WrongTool, Condition: CondArgsInvented, Weight: 0.55,
				Step: c.Step, Cause: v.planner(c.Step, c), Quote: quote(c.Args, at[0], at[1]),
				Detail: fmt.Sprintf("%s calls %q with an identifier that occurs nowhere before, and the call failed",
					v.label(v.planner(c.Step, c)), excerpt.Clip(excerpt.Line(c.Name), 60)),
			}
			if v.recovers(incident{step: c.Step, call: c}) {
				s.Weight = recovered
			}
			return s, true
		}
	}
	return Signal{}, false
}

// unknownThing matches statements that a thing does not exist.
var unknownThing = compile(`(?i)\b(?:(?:does|do|did)(?:n['’]t| not) exist|not (?:be )?found|no such|unknown|not (?:a )?valid|invalid|no (?:\w+ ){0,3}(?:with|for|found|matching|match))\b`)

// doesNotExist reports whether a short result says of an identifier, given in lower
// case, that nothing has it.
func doesNotExist(result, id string) bool {
	return len(result) <= maxReport && strings.Contains(strings.ToLower(result), id) && unknownThing.MatchString(result)
}
