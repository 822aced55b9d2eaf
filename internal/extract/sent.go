package extract

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/trace"
)

// A sent is the text that was sent, indexed for looking quotes up: the content of each
// JSON string, as it stands between its quotation marks and, where that differs, decoded.
// What the renderer wrote around the content (its keys, kinds, roles, notes on what is
// left out) is ours, and evidence of nothing.
type sent struct {
	doc      []byte
	text     string    // stretches, each followed by a zero byte, so that no quote runs from one into the next
	at       []stretch // ascending by start
	worth    [][]int   // spans of text that prove nothing: placeholders and cut marks
	unspaced *folded   // text with white space folded; made when first needed
}

// A stretch is one string of the document in [sent.text].
type stretch struct {
	start   int // in text
	doc     int // of its first byte, in the document
	decoded bool
	step    int // source index of the step it stands in, or -1
}

// A place is where a quote was found.
type place struct {
	match  string // one of the match constants
	offset int    // of the quote's first byte in the document
	step   int    // source index, or -1 outside of steps
}

var (
	placeholder = regexp.MustCompile(`\[REDACTED:([A-Z][A-Z0-9_]*):[0-9a-f]{4}\]`)
	// unproving matches what the redactor and the renderer put into content.
	unproving = regexp.MustCompile(placeholder.String() + `|…\[\d+ bytes cut\]…|` + regexp.QuoteMeta(trace.CutMark))
)

// newSent indexes a rendered trace.
func newSent(doc []byte) *sent {
	s := &sent{doc: doc}
	var b strings.Builder
	b.Grow(2 * len(doc))
	eachText(doc, func(from, to, step int) {
		literal := doc[from:to]
		s.at = append(s.at, stretch{b.Len(), from, false, step})
		b.Write(literal)
		b.WriteByte(0)
		if bytes.IndexByte(literal, '\\') < 0 {
			return
		}
		var decoded string
		if json.Unmarshal(doc[from-1:to+1], &decoded) == nil {
			s.at = append(s.at, stretch{b.Len(), from, true, step})
			b.WriteString(noZero(decoded))
			b.WriteByte(0)
		}
	})
	s.text = b.String()
	s.worth = unproving.FindAllStringIndex(s.text, -1)
	return s
}

// Quotable returns the content of a rendered trace that quotes are looked for in: each
// string that is the trace's own, decoded, followed by a zero byte.
func Quotable(doc []byte) string {
	var b strings.Builder
	b.Grow(len(doc))
	eachText(doc, func(from, to, _ int) {
		var decoded string
		if json.Unmarshal(doc[from-1:to+1], &decoded) == nil {
			b.WriteString(decoded)
			b.WriteByte(0)
		}
	})
	return b.String()
}

// maxOccurrences bounds how many occurrences of one quote are looked at for the one in
// the step that was named.
const maxOccurrences = 100

// find looks a quote up, verbatim and then with white space folded, if possible in the
// step with the source index want. Of a quote, [MinQuoteRunes] letters and digits outside
// of what proves nothing must be found.
func (s *sent) find(quote string, want int) place {
	if letters(quote) < MinQuoteRunes {
		return place{matchAbsent, 0, -1}
	}
	same := func(at int) int { return at }
	if p, ok := s.search(s.text, quote, same, want); ok {
		p.match = matchExact
		return p
	}
	if s.unspaced == nil {
		s.unspaced = fold(s.text)
	}
	if p, ok := s.search(s.unspaced.text, strings.TrimSpace(fold(quote).text), s.unspaced.origin, want); ok {
		p.match = matchWhitespace
		return p
	}
	return place{matchAbsent, 0, -1}
}

// search finds quote in a form of the text; origin leads back from it to text.
func (s *sent) search(text, quote string, origin func(int) int, want int) (place, bool) {
	var first place
	found := false
	for from, n := 0, 0; quote != "" && n < maxOccurrences; n++ {
		i := strings.Index(text[from:], quote)
		if i < 0 {
			break
		}
		start := from + i
		from = start + 1
		lo, hi := origin(start), origin(start+len(quote)-1)+1
		if s.proving(lo, hi) < MinQuoteRunes {
			continue
		}
		p := s.placeOf(lo)
		if p.step == want {
			return p, true
		}
		if !found {
			first, found = p, true
		}
	}
	return first, found
}

// proving counts the letters and digits of text[lo:hi] outside of what proves nothing.
func (s *sent) proving(lo, hi int) int {
	n := letters(s.text[lo:hi])
	i, _ := slices.BinarySearchFunc(s.worth, lo, func(span []int, at int) int { return span[1] - 1 - at })
	for ; i < len(s.worth) && s.worth[i][0] < hi; i++ {
		n -= letters(s.text[max(lo, s.worth[i][0]):min(hi, s.worth[i][1])])
	}
	return n
}

// placeOf returns where in the document the byte at of the text stands.
func (s *sent) placeOf(at int) place {
	i, ok := slices.BinarySearchFunc(s.at, at, func(st stretch, n int) int { return st.start - n })
	if !ok {
		i--
	}
	st := s.at[i]
	offset := st.doc + at - st.start
	if st.decoded {
		offset = st.doc + encodedLen(s.doc[st.doc:], at-st.start)
	}
	return place{offset: offset, step: st.step}
}

// nameForm is the form of a tool's name where nothing says which words are tools.
var nameForm = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_.:/-]{2,63}$`)

// holdsName reports whether a name occurs in any content, as a whole.
func (s *sent) holdsName(name string) bool {
	return nameForm.MatchString(name) && regexp.MustCompile(`(?:^|[^\p{L}\p{N}_])`+regexp.QuoteMeta(name)+`(?:$|[^\p{L}\p{N}_])`).MatchString(s.text)
}

// encodedLen returns how many bytes of a JSON string's content make its first n decoded
// bytes.
func encodedLen(literal []byte, n int) int {
	i := 0
	for n > 0 && i < len(literal) {
		size, made := 1, 1
		if literal[i] == '\\' && i+1 < len(literal) {
			size = 2
			if literal[i+1] == 'u' && i+6 <= len(literal) {
				r, err := strconv.ParseUint(string(literal[i+2:i+6]), 16, 16)
				size, made = 6, max(1, utf8.RuneLen(rune(r)))
				switch {
				case err != nil:
				case r >= 0xD800 && r < 0xDC00 && bytes.HasPrefix(literal[i+6:], []byte(`\u`)):
					size, made = 12, 4
				case r >= 0xD800 && r < 0xE000:
					made = utf8.RuneLen(utf8.RuneError)
				}
			}
		}
		i, n = i+size, n-made
	}
	return i
}

// ours are the keys under which the renderer of package trace writes words of its own.
var ours = map[string]bool{"kind": true, "role": true, "format": true, "tokens": true, "identical_to": true, "warnings": true}

// A level is an object or array around a place in a document.
type level struct {
	object  bool
	key     string // under which it stands, or the last key in it
	wantKey bool
	attrs   bool // keys and values are the trace's
}

// eachText calls use for the content of each string of a rendered trace that is the
// trace's own: where it begins and ends between its quotation marks, and the source index
// of the step it stands in, or -1. doc is valid JSON by Compact's contract.
func eachText(doc []byte, use func(from, to, step int)) {
	var levels []level
	top := func() *level {
		if len(levels) == 0 {
			return &level{}
		}
		return &levels[len(levels)-1]
	}
	step := -1
	for i := 0; i < len(doc); i++ {
		l := top()
		switch c := doc[i]; c {
		case '{', '[':
			levels = append(levels, level{object: c == '{', key: l.key, wantKey: c == '{', attrs: l.attrs || c == '{' && l.key == "attrs"})
		case '}', ']':
			if len(levels) == stepLevel {
				step = -1
			}
			levels = levels[:max(0, len(levels)-1)]
		case ':':
			l.wantKey = false
		case ',':
			l.wantKey = l.object
		case '"':
			end := stringEnd(doc, i+1)
			switch {
			case l.attrs:
				use(i+1, end, step)
			case l.wantKey:
				l.key = string(doc[i+1 : end])
			case !ours[l.key] && !strings.HasSuffix(l.key, "_same_as"):
				use(i+1, end, step)
			}
			i = end
		default:
			if l.key == "i" && len(levels) == stepLevel && levels[1].key == "steps" && c >= '0' && c <= '9' {
				end := i
				for end < len(doc) && doc[end] >= '0' && doc[end] <= '9' {
					end++
				}
				if n, err := strconv.Atoi(string(doc[i:end])); err == nil {
					step = n
				}
				i = end - 1
			}
		}
	}
}

// stepLevel is how deep the members of a step stand: {"steps":[{…}]}.
const stepLevel = 3

// stringEnd returns where the string ends whose content begins at from.
func stringEnd(doc []byte, from int) int {
	for from < len(doc) && doc[from] != '"' {
		if doc[from] == '\\' {
			from++
		}
		from++
	}
	return min(from, len(doc))
}

// quotable reports whether there is anything to quote.
func (s *sent) quotable() bool { return s.proving(0, len(s.text)) >= MinQuoteRunes }

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

// A folded is a text with each run of white space as one space, without invisible
// characters and with letters and their marks composed (NFC), and where each of its bytes
// was before. Names of files come decomposed from some systems, and models write them
// composed: to readers they are the same.
type folded struct {
	text string
	from []int32
}

func (f *folded) origin(at int) int { return int(f.from[at]) }

// noZero returns text of a trace as it stands in [sent.text], where zero bytes part strings: its own, which
// binary output has, are another control character of the same length. No quote has either.
func noZero(s string) string { return strings.ReplaceAll(s, "\x00", "\x01") }

// fold folds s. Zero bytes stay: they part strings.
func fold(s string) *folded {
	f := folded{from: make([]int32, 0, len(s))}
	b := make([]byte, 0, len(s))
	space := false
	for i := 0; i < len(s); {
		if n := excerpt.EscapeSequence(s[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case unicode.IsSpace(r):
			if !space {
				b, f.from = append(b, ' '), append(f.from, int32(i))
			}
			space = true
		case r != 0 && excerpt.Invisible(r):
		default:
			space = false
			size = cluster(s[i:], size)
			c := norm.NFC.String(s[i : i+size])
			same := c == s[i:i+size]
			for k := range len(c) {
				at := i
				if same {
					at += k
				} else if k == len(c)-1 {
					at += size - 1
				}
				b, f.from = append(b, c[k]), append(f.from, int32(at))
			}
		}
		i += size
	}
	f.text = string(b)
	return &f
}

// cluster returns the length of the character that s begins with, which takes size bytes,
// and the marks that composition may join to it.
func cluster(s string, size int) int {
	const firstMark = 0xCC // the first byte of U+0300, the first mark of all
	if size >= len(s) || s[0] < utf8.RuneSelf && s[size] < firstMark {
		return size
	}
	return max(size, norm.NFC.NextBoundaryInString(s, true))
}
