package pages

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

// A segment is a piece of a text that looks the same from end to end.
type segment struct {
	Text string
	Kind string // "", "redacted" or "cut"
	// Mark is the number of the quote that the piece belongs to, from 1, or 0. First is set on the
	// first piece of a quote.
	Mark  int
	First bool
}

// A span is where a quote stands in a text, in bytes.
type span struct{ from, to, mark int }

// odd is what stands in a text instead of something else: a placeholder of the redactor, or the mark of a
// cut.
var odd = regexp.MustCompile(`\[REDACTED:[A-Z][A-Z0-9_]*:[0-9a-f]{4}\]|…\[\d+ bytes cut\]…|` + regexp.QuoteMeta(trace.CutMark))

// segments divides text at its quotes, placeholders and cuts. Spans do not overlap and are in order.
func segments(text string, spans []span) []segment {
	var list []segment
	at := 0
	for _, sp := range spans {
		list = appendPlain(list, text[at:sp.from], 0)
		n := len(list)
		list = appendPlain(list, text[sp.from:sp.to], sp.mark)
		if len(list) > n {
			list[n].First = true
		}
		at = sp.to
	}
	return appendPlain(list, text[at:], 0)
}

func appendPlain(list []segment, text string, mark int) []segment {
	at := 0
	for _, loc := range odd.FindAllStringIndex(text, -1) {
		if loc[0] > at {
			list = append(list, segment{Text: text[at:loc[0]], Mark: mark})
		}
		kind := "cut"
		if text[loc[0]] == '[' {
			kind = "redacted"
		}
		list = append(list, segment{Text: text[loc[0]:loc[1]], Kind: kind, Mark: mark})
		at = loc[1]
	}
	if at < len(text) {
		list = append(list, segment{Text: text[at:], Mark: mark})
	}
	return list
}

// highlight marks each verified quote where it stands, in its own step if that holds it, and reports
// which were found.
func (t *timeline) highlight(refs []evalforge.EvidenceRef) []bool {
	found := make([]bool, len(refs))
	spans := map[*block][]span{}
	for i, ref := range refs {
		if !ref.Verified {
			continue
		}
		for _, anywhere := range []bool{false, true} {
			for n := range t.Steps {
				s := &t.Steps[n]
				if found[i] || s.Note != "" || !anywhere && (ref.Step == nil || *ref.Step != s.Index) {
					continue
				}
				if found[i] = s.mark(ref.Quote, i+1, spans); found[i] {
					s.Evidence = append(s.Evidence, i+1)
				}
			}
		}
	}
	for b, list := range spans {
		slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.from, b.from) })
		b.Segs = segments(b.text, list)
	}
	return found
}

// mark finds a quote in the texts of s. A part of another quote is not marked again, but counts as found.
func (s *step) mark(quote string, number int, spans map[*block][]span) bool {
	var blocks []*block
	for n := range s.Blocks {
		blocks = append(blocks, &s.Blocks[n])
	}
	for n := range s.Attrs {
		blocks = append(blocks, &s.Attrs[n])
	}
	for _, b := range blocks {
		from, to := locate(b.text, quote)
		if to <= from {
			continue
		}
		overlaps := slices.ContainsFunc(spans[b], func(o span) bool { return from < o.to && o.from < to })
		if !overlaps {
			spans[b] = append(spans[b], span{from, to, number})
		}
		return true
	}
	return false
}

// locate returns where quote stands in text: verbatim, as the JSON it was sent as, or with white space
// folded. Both are 0 if it does not.
func locate(text, quote string) (from, to int) {
	if quote = strings.TrimSpace(quote); quote == "" || text == "" {
		return 0, 0
	}
	forms := []string{quote}
	var decoded string
	if strings.Contains(quote, `\`) && json.Unmarshal([]byte(`"`+quote+`"`), &decoded) == nil {
		forms = append(forms, decoded)
	}
	for _, form := range forms {
		if i := strings.Index(text, form); i >= 0 {
			return i, i + len(form)
		}
	}
	return locateFolded(text, strings.Fields(quote))
}

// locateFolded finds words that follow one another with any white space between them. Only the first and
// the last may be parts of words of the text.
func locateFolded(text string, words []string) (from, to int) {
	for start := 0; ; {
		i := strings.Index(text[start:], words[0])
		if i < 0 {
			return 0, 0
		}
		from = start + i
		at, ok := from+len(words[0]), true
		for _, w := range words[1:] {
			rest := strings.TrimLeftFunc(text[at:], unicode.IsSpace)
			if len(rest) == len(text)-at || !strings.HasPrefix(rest, w) {
				ok = false
				break
			}
			at = len(text) - len(rest) + len(w)
		}
		if ok {
			return from, at
		}
		start = from + len(words[0])
	}
}
