package pages

import (
	"regexp"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/trace"
)

// A segment is a piece of a text that looks the same from end to end.
type segment struct {
	Text string
	Kind string // "", "redacted" or "cut"
	// Marks are the numbers of the quotes that the piece belongs to, from 1, Begins those whose first piece it is.
	Marks, Begins []int
}

// A span is where a quote stands in a text, in bytes.
type span struct{ from, to, mark int }

// odd is what stands in a text instead of something else: a placeholder of the redactor, or the mark of a
// cut.
var odd = regexp.MustCompile(`\[REDACTED:[A-Z][A-Z0-9_]*:[0-9a-f]{4}\]|…\[\d+ bytes cut\]…|` + regexp.QuoteMeta(trace.CutMark))

// segments divides text at its quotes, placeholders and cuts. Spans may overlap.
func segments(text string, spans []span) []segment {
	ends := []int{0, len(text)}
	for _, sp := range spans {
		ends = append(ends, sp.from, sp.to)
	}
	slices.Sort(ends)
	ends = slices.Compact(ends)
	var list []segment
	for i, from := range ends[:len(ends)-1] {
		var marks, begins []int
		for _, sp := range spans {
			if sp.from <= from && from < sp.to {
				marks = append(marks, sp.mark)
			}
			if sp.from == from {
				begins = append(begins, sp.mark)
			}
		}
		n := len(list)
		list = appendPlain(list, text[from:ends[i+1]], marks)
		list[n].Begins = begins
	}
	return list
}

// appendPlain appends the pieces of a text, which is not empty.
func appendPlain(list []segment, text string, marks []int) []segment {
	at := 0
	for _, loc := range odd.FindAllStringIndex(text, -1) {
		if loc[0] > at {
			list = append(list, segment{Text: text[at:loc[0]], Marks: marks})
		}
		kind := "cut"
		if text[loc[0]] == '[' {
			kind = "redacted"
		}
		list = append(list, segment{Text: text[loc[0]:loc[1]], Kind: kind, Marks: marks})
		at = loc[1]
	}
	if at < len(text) {
		list = append(list, segment{Text: text[at:], Marks: marks})
	}
	return list
}

// A passage is a text of a step in which quotes are marked.
type passage struct {
	*extract.Passage
	text  string
	segs  *[]segment
	spans []span
}

// passages returns the texts of s in the order in which a quote is looked for in them: what it says before what it
// is called.
func (s *step) passages() []*passage {
	var texts, names []*passage
	add := func(list *[]*passage, text string, segs *[]segment) {
		if text != "" {
			*list = append(*list, &passage{extract.NewPassage(text), text, segs, nil})
		}
	}
	for _, blocks := range [][]block{s.Blocks, s.Attrs} {
		for i := range blocks {
			b := &blocks[i]
			add(&texts, b.text, &b.Segs)
			add(&names, b.Label, &b.Head)
		}
	}
	add(&names, s.Name, &s.Title)
	add(&names, s.Agent, &s.By)
	return append(texts, names...)
}

// highlight divides the texts of all steps, marks each verified quote where it stands, in its own step if that
// holds it, and reports which were found.
func (t *timeline) highlight(refs []evalforge.EvidenceRef) []bool {
	found := make([]bool, len(refs))
	passages := make([][]*passage, len(t.Steps))
	own := map[int]int{} // position by index
	for n := range t.Steps {
		if s := &t.Steps[n]; s.Note == "" {
			passages[n], own[s.Index] = s.passages(), n
		}
	}
	for i, ref := range refs {
		if !ref.Verified {
			continue
		}
		at, named := -1, false
		if ref.Step != nil {
			at, named = own[*ref.Step]
		}
		if named {
			found[i] = mark(passages[at], ref.Quote, i+1)
		}
		for n := 0; n < len(passages) && !found[i]; n++ {
			if found[i] = mark(passages[n], ref.Quote, i+1); found[i] {
				t.Steps[n].Evidence = append(t.Steps[n].Evidence, i+1)
			}
		}
		if named && found[i] { // also where its text is shown at another step that has it
			t.Steps[at].Evidence = append(t.Steps[at].Evidence, i+1)
		}
	}
	for _, list := range passages {
		for _, p := range list {
			*p.segs = segments(p.text, p.spans)
		}
	}
	return found
}

// mark marks a quote in the first passage that holds it.
func mark(list []*passage, quote string, number int) bool {
	for _, p := range list {
		if from, to := p.Find(quote); to > from {
			p.spans = append(p.spans, span{from, to, number})
			return true
		}
	}
	return false
}
