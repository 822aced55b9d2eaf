package rules

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/trace"
)

// maxQuote bounds a quote, in characters. The least is [extract.MinQuoteRunes] letters
// and digits.
const maxQuote = 300

var placeholder = regexp.MustCompile(`\[REDACTED:[A-Z0-9_]+:[0-9a-f]{4}\]`)

// maxRefs bounds how many quotes an analysis gives.
const maxRefs = 6

// A quoter checks quotes against the text that evidence is verified in: the strings of
// the compacted trace.
type quoter struct{ text string }

// newQuoter collects the content of in.Compacted. Without a compacted trace it collects
// the messages of the trace itself.
func newQuoter(in *extract.Input) *quoter {
	if len(in.Compacted.JSON) > 0 {
		return &quoter{extract.Quotable(in.Compacted.JSON)}
	}
	var b strings.Builder
	if in.Trace != nil {
		for _, m := range in.Trace.Messages {
			b.WriteString(m.Text)
			b.WriteByte(0)
		}
	}
	return &quoter{b.String()}
}

// fit returns s, or the longest beginning of it that stands in the text and proves
// something, or "". A text that compaction cut in the middle keeps its beginning.
func (q *quoter) fit(s string) string {
	s = strings.TrimSpace(s)
	for letters(s) >= extract.MinQuoteRunes {
		if utf8.RuneCountInString(s) <= maxQuote && utf8.ValidString(s) && strings.Contains(q.text, s) {
			return s
		}
		r := []rune(s)
		s = strings.TrimSpace(string(r[:len(r)*3/4]))
	}
	return ""
}

// letters counts the letters and digits of s outside redaction placeholders.
func letters(s string) int {
	n := 0
	for _, r := range placeholder.ReplaceAllString(s, "") {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			n++
		}
	}
	return n
}

// evidence lists what was seen, with quotes that stand in the compacted trace.
func (f *finding) evidence(q *quoter) evalforge.Evidence {
	e := evalforge.Evidence{Refs: []evalforge.EvidenceRef{}}
	for i := range f.signals {
		if d := excerpt.Clip(excerpt.Line(f.signals[i].Detail), evalforge.MaxItemRunes); d != "" && len(e.Signals) < evalforge.MaxItems {
			e.Signals = appendNew(e.Signals, d)
		}
	}
	if len(e.Signals) == 0 {
		e.Signals = []string{"no deterministic signal was found in the trace"}
	}
	if f.lead != nil {
		f.ref(&e, q, f.lead.Step, f.lead.Quote)
		if f.cause != f.lead.Step {
			f.stepRef(&e, q, f.cause)
		}
	}
	for _, s := range f.signals {
		if f.lead == nil || s.FailureType == f.failureType {
			f.ref(&e, q, s.Step, s.Quote)
		}
	}
	if len(e.Refs) == 0 && f.lead != nil {
		f.stepRef(&e, q, f.lead.Step)
	}
	for i := len(f.t.Steps) - 1; i >= 0 && len(e.Refs) == 0; i-- { // the last step that says something
		f.stepRef(&e, q, i)
	}
	if len(e.Refs) > 0 {
		s := excerpt.Clip(e.Refs[0].Quote, evalforge.MaxExcerptRunes)
		e.Excerpt = &s
	}
	return e
}

// ref adds a quote, if it stands in the compacted trace and is new.
func (f *finding) ref(e *evalforge.Evidence, q *quoter, step int, text string) {
	s := q.fit(text)
	if s == "" || len(e.Refs) >= maxRefs {
		return
	}
	for _, r := range e.Refs {
		if r.Quote == s {
			return
		}
	}
	r := evalforge.EvidenceRef{Quote: s}
	if f.valid(step) && f.t.Steps[step].Index >= 0 {
		i := f.t.Steps[step].Index
		r.Step, r.SpanID = &i, f.t.Steps[step].ID
	}
	e.Refs = append(e.Refs, r)
}

// stepRef quotes what a step said or returned.
func (f *finding) stepRef(e *evalforge.Evidence, q *quoter, i int) {
	if !f.valid(i) {
		return
	}
	n := len(e.Refs)
	for _, text := range stepTexts(f.t, i) {
		text = strings.TrimSpace(text)
		line, _, _ := strings.Cut(text, "\n")
		if letters(line) < extract.MinQuoteRunes {
			line = text
		}
		if r := []rune(line); len(r) > 200 {
			line = string(r[:200])
		}
		f.ref(e, q, i, line)
		if len(e.Refs) > n {
			return
		}
	}
}

// stepTexts returns the texts of a step, most telling first.
func stepTexts(t *trace.Trace, i int) []string {
	s := &t.Steps[i]
	var texts []string
	if s.Err != nil {
		texts = append(texts, s.Err.Message, s.Err.Type)
	}
	for _, id := range s.Out {
		if id >= 0 && id < len(t.Messages) {
			m := &t.Messages[id]
			texts = append(texts, m.Text)
			for _, c := range m.Calls {
				texts = append(texts, c.Args)
			}
		}
	}
	if s.Tool != nil {
		texts = append(texts, s.Tool.Result, s.Tool.Args)
	}
	texts = append(texts, s.Output, s.Input)
	for _, id := range s.In {
		if id >= 0 && id < len(t.Messages) {
			texts = append(texts, t.Messages[id].Text)
		}
	}
	return append(texts, s.Name)
}
