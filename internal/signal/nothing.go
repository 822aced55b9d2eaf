package signal

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

var (
	// nothingText matches short results that say that there is nothing.
	nothingText = compile(`(?i)\bno (?:\w+ ){0,3}(?:results?|matches|match|records?|documents?|data|entries|entry|items?|information|rows|hits|flights|articles?|content|passages?)\b|\bnot found\b|\bnothing (?:was )?found\b|\b0 (?:results|matches|rows|records|documents|hits)\b|\bcould not find\b|\bdoes not exist\b|\bno such\b|\bempty\b`)
	emptyList   = compile(`"(?:results?|items|documents?|data|matches|rows|records|hits|chunks|passages|entries|output)"\s*:\s*(?:\[\s*\]|\{\s*\}|null|"")|"(?:count|total|total_results|num_results|hits)"\s*:\s*0\b`)
	// admission matches answers that own up to not having something.
	admission = compile(`(?i)^\W{0,3}no\b|\b(?:could ?n[o']t|could not|unable|can(?:no|')t|can not|sorry|unfortunately|apolog\w+|no (?:\w+ ){0,3}(?:results?|information|records?|data|match(?:es|ing)?|documents?|entr(?:y|ies)|details|luck)|not (?:find|found|available|have|exist|able|locate|sure|certain)|found no|no (?:figures?|numbers?|sources?|mention|sign|trace|evidence)|don['’]?t (?:have|see|find|know)|doesn['’]?t|didn['’]?t|wasn['’]?t|isn['’]?t|does not|did not|do not have|there (?:is|are|was|were|['’]s)(?: \w+)? no\b|no such|no longer|no one|not (?:present|there|listed|included|on (?:file|record)|any|exist\w*|recorded|stored|yet)|isn't|aren['’]?t|weren['’]?t|hasn['’]?t|haven['’]?t|never|absent|unavailable|unlisted|none|nothing|without|missing|however|assum\w+|failed|error|unknown|empty)\b`)
)

// isNothing reports whether a result is empty or says that there is nothing.
func isNothing(text string) bool {
	t := strings.TrimSpace(text)
	switch strings.ToLower(strings.Trim(t, `"'`)) {
	case "", "[]", "{}", "null", "none", "nil", "n/a", "no results", "()", "undefined":
		return true
	}
	if isExecution(t) {
		_, out, _ := strings.Cut(t, "\n")
		return strings.HasPrefix(t, "exitcode: 0") && isNothing(strings.TrimPrefix(strings.TrimSpace(out), "Code output:")) && len(t) < 80
	}
	return len(t) < 400 && (emptyList.MatchString(t) || len(t) < 200 && nothingText.MatchString(t))
}

// afterNothing finds an output full of specifics although what was looked up for it was
// empty: every result of the run, or the last one before the output when the output has
// several figures that nobody gave.
func afterNothing(v *view) (Signal, bool) {
	for i, p := range v.outputs {
		if v.verifier[p.step] || admission.MatchString(p.text) || strings.HasSuffix(strings.TrimSpace(p.text), "?") {
			continue
		}
		last, all := v.emptyBefore(p.step)
		if !last || v.anyChange() {
			continue
		}
		fresh := v.newFigures(p)
		s := Signal{
			Name: "answer_after_nothing", Condition: CondAfterNothing, Step: p.step, Cause: p.step, Quote: head(p.text),
			Detail: fmt.Sprintf("what was looked up was empty or not found, and %s answers without saying so", v.label(p.step)),
		}
		switch {
		case all && fresh > 0:
			s.Weight = 0.65
		case fresh >= 2:
			s.Weight = 0.6
		case all && i == v.final && utf8.RuneCountInString(p.text) >= 40:
			s.Weight = 0.55
		default:
			continue
		}
		return s, true
	}
	return Signal{}, false
}

// emptyBefore reports whether the last result before a step, and whether all of them,
// say that there is nothing. Both are false when there is none.
func (v *view) emptyBefore(step int) (last, all bool) {
	all = true
	n := 0
	for _, r := range v.results {
		if r.step >= step {
			break
		}
		n++
		last = isNothing(r.text)
		all = all && last
	}
	return n > 0 && last, n > 0 && all
}

// anyChange reports whether a call may have changed something: such calls often return
// nothing when they succeed.
func (v *view) anyChange() bool {
	for _, c := range v.calls {
		if changes(c.Name) {
			return true
		}
	}
	return false
}

// newFigures counts the figures of p that occur in no input and in no result before it.
func (v *view) newFigures(p passage) int {
	known := map[string]bool{}
	for _, list := range [][]passage{v.inputs, v.results} {
		for _, in := range list {
			if in.step <= p.step {
				addFigures(known, in.text)
			}
		}
	}
	n := 0
	for f := range figures(withoutCode(p.text)) {
		if !known[f] {
			n++
		}
	}
	return n
}
