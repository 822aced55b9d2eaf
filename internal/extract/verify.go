package extract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

// MinQuoteRunes is the least number of letters and digits, outside redaction
// placeholders, that make a quote evidence: shorter ones occur anywhere by chance.
const MinQuoteRunes = 8

// How a quote was found, as stored in evidence.refs. Absent ones are not stored.
const (
	matchExact      = "exact"
	matchWhitespace = "whitespace" // equal but for white space, invisible characters and how marks are written
	matchAbsent     = "absent"
)

// A finding is what verification found out about an analysis.
type finding struct {
	quotes, verified int     // each once: a quote and a part of it are one
	dropped          int     // quotes that are not stored, those in prose included
	proof            float64 // what the verified quotes weigh together; 1 is one of full weight
	noStep           bool    // the failing step does not exist
	// doubts are problems for which an answer is asked for again, and stored all the same
	// if it is no better then.
	doubts []error
}

// verify checks what a claims about the trace against exactly what was sent, and fills in
// what only the engine knows (positions, span ids, names, agents):
//
//   - A quote that does not occur is dropped; an excerpt that does not is replaced by a
//     quote that does.
//   - A quote attributed to a step that does not hold it is attributed to the one in which
//     it was found, or to none.
//   - A quotation in prose that does not occur is replaced by a note, and counts as a quote
//     that is dropped.
//   - A failing step that does not exist is dropped, and so are tools that the trace
//     neither calls nor offers.
//   - If there are quotes and none of them holds, the prose names a step that does not
//     exist, or the label is text of the trace, the analysis is refused.
//
// What a program computed quotes in prose is not checked: its words are ours.
func verify(a *evalforge.Analysis, in *Input, computed bool) (finding, error) {
	s := newSent(in.Compacted.JSON)
	var f finding
	quotes := slices.Clone(a.Evidence.Refs)
	if e := a.Evidence.Excerpt; e != nil && !slices.ContainsFunc(quotes, func(r evalforge.EvidenceRef) bool { return r.Quote == *e }) {
		quotes = append(quotes, evalforge.EvidenceRef{Quote: *e})
	}
	var invented []string
	refs := make([]evalforge.EvidenceRef, 0, len(quotes))
	for _, q := range quotes {
		if r, ok := s.ref(in.Trace, q.Quote, q.Step); ok {
			if !slices.ContainsFunc(refs, func(o evalforge.EvidenceRef) bool { return o.Quote == r.Quote && *o.Offset == *r.Offset }) {
				refs = append(refs, r)
			}
		} else {
			invented = append(invented, q.Quote)
		}
	}
	if len(quotes) > 0 && len(refs) == 0 {
		return f, fmt.Errorf("none of the %d quotes given as evidence occurs in the trace that was sent", len(quotes))
	}
	if len(quotes) == 0 && !(a.FailureType == evalforge.Other && deniesFailure(a.TriggerCondition)) && s.quotable() {
		f.doubts = append(f.doubts, errors.New("evidence.refs is empty; quote what shows the failure, verbatim"))
	}
	verified := distinct(refs, func(r evalforge.EvidenceRef) string { return r.Quote })
	f.verified = len(verified)
	for _, q := range verified {
		f.proof += weight(q)
	}
	f.dropped = len(invented)
	f.quotes = f.verified + len(distinct(invented, func(q string) string { return q }))
	a.Evidence.Excerpt = verifiedExcerpt(a.Evidence.Excerpt, refs)
	if len(refs) > evalforge.MaxItems {
		refs = refs[len(refs)-evalforge.MaxItems:] // the excerpt is last
	}
	a.Evidence.Refs = refs
	if !computed {
		f.prose(a, in, s)
	}
	if n := a.FailingStep; n != nil {
		f.noStep = !locate(a, in.Trace)
	}
	a.ReproductionContext.ToolsInvolved = slices.DeleteFunc(a.ReproductionContext.ToolsInvolved, func(tool string) bool {
		return !isTool(in.Trace, tool) && !(in.Trace.Format == trace.FormatOpaque && s.holdsName(tool))
	})
	return f, errors.Join(namedSteps(a, in.Trace), copiedLabel(a.TriggerCondition, s))
}

// prose checks what a quotes in its prose.
func (f *finding) prose(a *evalforge.Analysis, in *Input, s *sent) {
	fields, n := misquoted(a, in, s)
	f.quotes, f.dropped = f.quotes+n, f.dropped+n
	for _, field := range fields {
		f.doubts = append(f.doubts, fmt.Errorf("%s puts something in quotation marks that does not occur in the trace; quote verbatim, or say it without quotation marks", field))
	}
}

// distinct returns the quotes of a list that are not part of another one, in the form in
// which they are compared.
func distinct[T any](list []T, quote func(T) string) []string {
	var quotes []string
	for _, x := range list {
		quotes = append(quotes, inProse(quote(x)))
	}
	slices.SortStableFunc(quotes, func(a, b string) int { return len(b) - len(a) })
	var kept []string
	for _, q := range quotes {
		if !slices.ContainsFunc(kept, func(k string) bool { return strings.Contains(k, q) }) {
			kept = append(kept, q)
		}
	}
	return kept
}

// A quote of this many words, or letters, is evidence of full weight. A single word
// ("upstream") is found in many a trace, whatever it is said to show.
const fullWords, fullLetters = 3, 24

// weight returns what a verified quote weighs, from above 0 to 1.
func weight(quote string) float64 {
	quote = unproving.ReplaceAllString(quote, " ")
	words := strings.FieldsFunc(quote, func(r rune) bool { return !isWordRune(r) })
	n := 0
	for _, r := range quote {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			n += 3 // a character is about half a word
		case isWordRune(r):
			n++
		}
	}
	return min(1, max(float64(len(words))/fullWords, float64(n)/fullLetters))
}

// ref returns the evidence that a quote is, and whether it is any.
func (s *sent) ref(t *trace.Trace, quote string, step *int) (evalforge.EvidenceRef, bool) {
	want := -1
	if step != nil {
		want = *step
	}
	p := s.find(quote, want)
	if p.match == matchAbsent {
		return evalforge.EvidenceRef{}, false
	}
	r := evalforge.EvidenceRef{Quote: quote, Verified: true, Match: p.match, Offset: &p.offset}
	at := position(t, p.step)
	// A message is sent once, in the step that has it first; every step that has it may be
	// named.
	if claimed := position(t, want); p.step != want && claimed >= 0 && holds(t, claimed, strings.TrimSpace(fold(quote).text)) {
		at = claimed
	}
	if at >= 0 {
		index := t.Steps[at].Index
		r.Step, r.SpanID = &index, t.Steps[at].ID
	}
	return r, true
}

// verifiedExcerpt returns the excerpt if it is among the verified quotes, else the first of them
// that is short enough.
func verifiedExcerpt(given *string, refs []evalforge.EvidenceRef) *string {
	if given == nil || slices.ContainsFunc(refs, func(r evalforge.EvidenceRef) bool { return r.Quote == *given }) {
		return given
	}
	for _, r := range refs {
		if s := r.Quote; cutRunes(s, evalforge.MaxExcerptRunes) == s {
			return &s
		}
	}
	return nil
}

// locate replaces the failing step by the trace's step of that index, or by null if there
// is none.
func locate(a *evalforge.Analysis, t *trace.Trace) bool {
	at := position(t, a.FailingStep.Index)
	if at < 0 {
		a.FailingStep = nil
		return false
	}
	s := &t.Steps[at]
	a.FailingStep = &evalforge.FailingStep{Index: s.Index, SpanID: s.ID, Name: s.Name, Agent: s.Agent}
	return true
}

// isTool reports whether the trace calls or offers a tool of this name.
func isTool(t *trace.Trace, name string) bool {
	is := func(s string) bool { return s != "" && strings.EqualFold(s, name) }
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Tool != nil && is(s.Tool.Name) || (s.Kind == trace.KindTool || s.Kind == trace.KindRetrieval) && is(s.Name) {
			return true
		}
	}
	for i := range t.Messages {
		for _, c := range t.Messages[i].Calls {
			if is(c.Name) {
				return true
			}
		}
	}
	return slices.ContainsFunc(t.Tools, func(t trace.Tool) bool { return is(t.Name) })
}

// namedSteps reports the steps that the prose names and the trace does not have. Words of
// the trace itself ("step 12 of the recipe") are no excuse: a trace could plant them.
func namedSteps(a *evalforge.Analysis, t *trace.Trace) error {
	var errs []error
	eachProse(a, func(field string, text *string) {
		for _, said := range stepsIn(*text) {
			// Recommended actions may count themselves: "as a second step".
			if !exists(said, t) && !(said.ordinal && strings.HasPrefix(field, "recommended_actions")) {
				errs = append(errs, fmt.Errorf("%s names %s %s, which does not exist; name steps by their index i, and nothing else \"%[2]s\" with a number", field, said.noun, said.text))
			}
		}
	})
	return errors.Join(errs...)
}

// exists reports whether the trace has the step, message, turn or span.
func exists(said saidStep, t *trace.Trace) bool {
	if position(t, said.n) >= 0 || said.counted && said.n >= 1 && said.n <= len(t.Steps) {
		return true
	}
	// What else is numbered is so by the trace's messages, and from 0 or 1.
	return said.noun != "step" && (said.n >= 0 && said.n <= max(len(t.Messages), len(t.Steps)) ||
		slices.ContainsFunc(t.Steps, func(s trace.Step) bool { return s.ID == said.text }))
}

// eachProse calls use for each text of a that the analyzer wrote itself, with its field.
func eachProse(a *evalforge.Analysis, use func(field string, text *string)) {
	use("title", &a.Title)
	use("trigger_condition", &a.TriggerCondition)
	use("summary", &a.Summary)
	use("root_cause_hypothesis", &a.RootCauseHypothesis)
	use("confidence_rationale", &a.ConfidenceRationale)
	use("reproduction_context.input_pattern", &a.ReproductionContext.InputPattern)
	if s := a.ReproductionContext.RequiredState; s != nil {
		use("reproduction_context.required_state", s)
	}
	for i := range a.Evidence.Signals {
		use(fmt.Sprintf("evidence.signals[%d]", i), &a.Evidence.Signals[i])
	}
	for i := range a.RecommendedActions {
		use(fmt.Sprintf("recommended_actions[%d]", i), &a.RecommendedActions[i])
	}
}

// position returns the position in t.Steps of the step with this source index, or -1.
func position(t *trace.Trace, index int) int {
	i, ok := slices.BinarySearchFunc(t.Steps, index, func(s trace.Step, n int) int { return s.Index - n })
	if !ok {
		return -1
	}
	return i
}

// holds reports whether step i itself contains the folded text.
func holds(t *trace.Trace, i int, text string) bool {
	s := &t.Steps[i]
	texts := []string{s.Output, s.Input, s.Name}
	if s.Err != nil {
		texts = append(texts, s.Err.Message, s.Err.Type, s.Err.Stack)
	}
	if s.Tool != nil {
		texts = append(texts, s.Tool.Result, s.Tool.Args)
	}
	for _, ids := range [][]int{s.Out, s.In} {
		for _, m := range ids {
			if m < 0 || m >= len(t.Messages) {
				continue
			}
			msg := &t.Messages[m]
			texts = append(texts, msg.Text, msg.Refusal)
			for _, c := range msg.Calls {
				texts = append(texts, c.Args)
			}
		}
	}
	return slices.ContainsFunc(texts, func(s string) bool {
		return strings.Contains(s, text) || strings.Contains(fold(noZero(s)).text, text)
	})
}
