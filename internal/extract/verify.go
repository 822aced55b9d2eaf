package extract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

// MinQuoteRunes is the least number of letters and digits, outside redaction
// placeholders, that make a quote evidence: shorter ones occur anywhere by chance.
const MinQuoteRunes = 8

// How a quote was found, as stored in evidence.refs.
const (
	matchExact      = "exact"
	matchWhitespace = "whitespace" // equal but for white space
	matchAbsent     = "absent"
)

var placeholder = regexp.MustCompile(`\[REDACTED:([A-Z][A-Z0-9_]*):[0-9a-f]{4}\]`)

// verify checks a's quotes and step references against exactly what was sent, fills in
// what only the engine knows (span ids, names, agents), and lowers the confidence of a
// finding whose evidence is weak:
//
//   - A quote that does not occur is kept, marked as absent; an excerpt that does not
//     occur is removed.
//   - A quote attributed to a step that does not hold it is attributed to one that does.
//   - If there are quotes and none of them holds, the whole analysis is refused.
//   - If there is no quote at all, confidence is halved and at most 0.4.
//   - If some quotes do not hold, confidence falls in proportion, by up to a quarter.
func verify(a *evalforge.Analysis, in *Input) error {
	h := newHaystack(in.Compacted.JSON)
	refs := slices.Clone(a.Evidence.Refs)
	if e := a.Evidence.Excerpt; e != nil {
		if !slices.ContainsFunc(refs, func(r evalforge.EvidenceRef) bool { return r.Quote == *e }) {
			refs = append(refs, evalforge.EvidenceRef{Quote: *e})
		}
		if h.find(*e) == matchAbsent {
			a.Evidence.Excerpt = nil
		}
	}
	if len(refs) > evalforge.MaxItems {
		refs = refs[len(refs)-evalforge.MaxItems:] // the excerpt is last
	}
	verified := 0
	for i := range refs {
		r := &refs[i]
		r.SpanID, r.Match = "", h.find(r.Quote)
		r.Verified = r.Match != matchAbsent
		pos := position(in.Trace, r.Step)
		if r.Verified {
			verified++
			pos = locate(in.Trace, r.Quote, pos)
		}
		if pos < 0 {
			r.Step = nil
			continue
		}
		idx := in.Trace.Steps[pos].Index
		r.Step, r.SpanID = &idx, in.Trace.Steps[pos].ID
	}
	a.Evidence.Refs = refs
	if f := a.FailingStep; f != nil {
		pos := position(in.Trace, &f.Index)
		if pos < 0 {
			a.FailingStep = nil
			a.ConfidenceRationale += " The step that was named as failing does not exist in the trace."
			a.Confidence *= 0.75
		} else {
			s := &in.Trace.Steps[pos]
			a.FailingStep = &evalforge.FailingStep{Index: s.Index, SpanID: s.ID, Name: s.Name, Agent: s.Agent}
		}
	}
	switch {
	case len(refs) == 0:
		a.Confidence = min(a.Confidence/2, 0.4)
		a.ConfidenceRationale += " Lowered: no passage of the trace was quoted."
	case verified == 0:
		return fmt.Errorf("none of the %d quotes given as evidence occurs in the trace that was sent", len(refs))
	case verified < len(refs):
		a.Confidence *= 0.75 + 0.25*float64(verified)/float64(len(refs))
		a.ConfidenceRationale += fmt.Sprintf(" Lowered: %d of %d quotes do not occur in the trace.", len(refs)-verified, len(refs))
	}
	return nil
}

// A haystack is the text that was sent, in the two forms in which a quote may reproduce
// it: each JSON string decoded, and as it stands between its quotation marks. The JSON
// around the strings is ours, and evidence of nothing.
type haystack struct {
	text   string
	folded string // text with white space folded; made when first needed
}

func newHaystack(doc []byte) *haystack {
	var b strings.Builder
	b.Grow(2 * len(doc))
	for i := 0; i < len(doc); i++ {
		if doc[i] != '"' {
			continue
		}
		end := i + 1
		for end < len(doc) && doc[end] != '"' {
			if doc[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(doc)) // doc is valid JSON by Compact's contract
		literal := doc[i+1 : end]
		b.Write(literal)
		b.WriteByte(0) // no quote runs from one string into the next
		if bytes.IndexByte(literal, '\\') >= 0 {
			var decoded string
			if json.Unmarshal(doc[i:min(end+1, len(doc))], &decoded) == nil {
				b.WriteString(decoded)
				b.WriteByte(0)
			}
		}
		i = end
	}
	return &haystack{text: b.String()}
}

func (h *haystack) find(quote string) string {
	switch {
	case letters(placeholder.ReplaceAllString(quote, "")) < MinQuoteRunes:
		return matchAbsent
	case strings.Contains(h.text, quote):
		return matchExact
	}
	if h.folded == "" {
		h.folded = foldSpace(h.text)
	}
	if strings.Contains(h.folded, strings.TrimSpace(foldSpace(quote))) {
		return matchWhitespace
	}
	return matchAbsent
}

// letters counts the letters and digits of s.
func letters(s string) int {
	n := 0
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			n++
		}
	}
	return n
}

// foldSpace replaces every run of white space by one space.
func foldSpace(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	in := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			if !in {
				b.WriteByte(' ')
			}
			in = true
			continue
		}
		in = false
		b.WriteRune(r)
	}
	return b.String()
}

// position returns the position in t.Steps of the step whose source index is *index,
// or -1.
func position(t *trace.Trace, index *int) int {
	if index == nil {
		return -1
	}
	i, ok := slices.BinarySearchFunc(t.Steps, *index, func(s trace.Step, n int) int { return s.Index - n })
	if !ok {
		return -1
	}
	return i
}

// locate returns the position of the step that quote is from: claimed if that step
// holds it or no step does, else the first that does.
func locate(t *trace.Trace, quote string, claimed int) int {
	folded := strings.TrimSpace(foldSpace(quote))
	if claimed >= 0 && holds(t, claimed, folded) {
		return claimed
	}
	for i := range t.Steps {
		if holds(t, i, folded) {
			return i
		}
	}
	return claimed
}

// holds reports whether step i itself, its output first of all, contains the text.
func holds(t *trace.Trace, i int, folded string) bool {
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
		return len(s) >= len(folded)/2 && strings.Contains(foldSpace(s), folded)
	})
}
