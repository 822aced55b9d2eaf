package extract

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Copies of one failure differ in ids, times and durations. A template is a JSON
// text with those values replaced by marks, numbered by first occurrence: equal values
// get equal marks, so what is equal or different within a copy stays so. Two texts with
// the same template are copies of each other, and a text about one becomes one about the
// other by putting in the other's values.
//
// What is a value is said in values.go. Codes of errors are none, see codes.go.
type template struct {
	text   []byte
	values []string        // by the number of their mark
	marks  map[string]int  // by kind and value
	alike  map[string]int  // by value; -1 if it is one of several kinds
	rest   map[string]bool // names and numbers with a digit that are no value, and their parts
	codes  map[string]bool // what looks like a value and is none
}

// Marks stand between two characters of the private use area. Where the text itself has
// those, they are written as marks with a letter.
const (
	markOpen   = "\uE000"
	markClose  = "\uE001"
	plainOpen  = markOpen + "o" + markClose
	plainClose = markOpen + "c" + markClose
)

// A templateVersion is part of what answers are kept under: one that was kept with other
// marks must not be filled in.
const templateVersion = "2"

// newTemplate returns the template of a JSON text.
func newTemplate(text []byte) *template {
	t := &template{marks: map[string]int{}, alike: map[string]int{}, rest: map[string]bool{}, codes: codesIn(text)}
	values := dropFar(valuesIn(text, false, t.codes))
	places := make([]markPlace, len(values))
	for i, v := range values {
		places[i] = markPlace{v.from, v.to, t.number(v, string(text[v.from:v.to]))}
	}
	t.text = replaceAll(text, places)
	for p := range uncovered(text, values) {
		t.rest[string(text[p.from:p.to])] = true
	}
	return t
}

// number returns the number of a value's mark, a new one for a new value.
func (t *template) number(v value, s string) int {
	key := string(v.kind) + s
	n, ok := t.marks[key]
	if ok {
		return n
	}
	n = len(t.values)
	t.marks[key] = n
	t.values = append(t.values, s)
	if _, taken := t.alike[s]; taken {
		t.alike[s] = -1
	} else {
		t.alike[s] = n
	}
	return n
}

// A markPlace is where a mark is to stand.
type markPlace struct{ from, to, mark int }

// replaceAll returns a text with marks in their places.
func replaceAll(text []byte, places []markPlace) []byte {
	out := make([]byte, 0, len(text)+8*len(places))
	at := 0
	for _, p := range places {
		out = appendPlain(out, text[at:p.from])
		out = append(out, markOpen...)
		out = strconv.AppendInt(out, int64(p.mark), 10)
		out = append(out, markClose...)
		at = p.to
	}
	return appendPlain(out, text[at:])
}

var escapeMarks = strings.NewReplacer(markOpen, plainOpen, markClose, plainClose)

// appendPlain appends a text without values.
func appendPlain(out, text []byte) []byte {
	if !bytes.Contains(text, []byte(markOpen[:2])) { // the first bytes of both
		return append(out, text...)
	}
	return append(out, escapeMarks.Replace(string(text))...)
}

// generalize returns a JSON text with t's values in its strings replaced by their marks,
// and whether it is right for every copy then: it has no value, no longer number and no
// decimal that t's text has not, and none that means a value here and something else there.
func (t *template) generalize(text []byte) (general []byte, complete bool) {
	complete = true
	var known []markPlace
	found := valuesIn(text, true, t.codes)
	for _, v := range found {
		s := string(text[v.from:v.to])
		n, marked := t.marks[string(v.kind)+s]
		if !marked {
			n, marked = t.alike[s]
		}
		switch {
		case marked && n >= 0:
			known = append(known, markPlace{v.from, v.to, n})
		case marked || !t.rest[s]:
			complete = false
		}
	}
	for p := range uncovered(text, found) {
		s := string(text[p.from:p.to])
		n, marked := t.alike[s]
		switch {
		case !p.inString || p.whole && !isNumber(s):
		case marked && n >= 0 && len(s) >= longEnough && !t.rest[s]:
			known = append(known, markPlace{p.from, p.to, n})
		case marked: // or something else that is written alike
			complete = false
		case !t.rest[s] && !t.rest[p.of] && isUnusual(s):
			complete = false
		}
	}
	slices.SortFunc(known, func(a, b markPlace) int { return a.from - b.from })
	return replaceAll(text, known), complete
}

// longEnough is how many characters a value has that is known again wherever it stands: a
// shorter one may be a number of something else.
const longEnough = 4

// isUnusual reports a number that is hardly a count of something.
func isUnusual(s string) bool {
	digits := 0
	for i := range len(s) {
		if isDigit(s[i]) {
			digits++
		}
	}
	return digits >= 4 || isNumber(s) && strings.Contains(s, ".")
}

// A piece is a token with a digit, or a part of one.
type piece struct {
	token
	whole bool
	of    string // the token
}

// uncovered yields the tokens with a digit that have no values, and the parts of names with
// a digit that are none.
func uncovered(text []byte, values []value) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		for t := range tokens(text) {
			for len(values) > 0 && values[0].to <= t.from {
				values = values[1:]
			}
			if !hasDigit(text[t.from:t.to]) {
				continue
			}
			name := string(text[t.from:t.to])
			if len(values) == 0 || values[0].from >= t.to {
				if !yield(piece{t, true, name}) {
					return
				}
				if isNumber(name) {
					continue
				}
			}
			rest := values
			for from := t.from; from < t.to; {
				to := from
				for to < t.to && !isTokenPunctuation(text[to]) {
					to++
				}
				for len(rest) > 0 && rest[0].to <= from {
					rest = rest[1:]
				}
				covered := len(rest) > 0 && rest[0].from < to
				if !covered && hasDigit(text[from:to]) && !yield(piece{token{from, to, t.inString}, false, name}) {
					return
				}
				from = to + 1
			}
		}
	}
}

// fill puts t's values into a general text, and reports whether t has all of them.
func (t *template) fill(general []byte) ([]byte, bool) {
	var b bytes.Buffer
	for {
		before, rest, found := bytes.Cut(general, []byte(markOpen))
		b.Write(before)
		if !found {
			return b.Bytes(), true
		}
		mark, after, found := bytes.Cut(rest, []byte(markClose))
		if !found {
			return nil, false
		}
		switch string(mark) {
		case "o":
			b.WriteString(markOpen)
		case "c":
			b.WriteString(markClose)
		default:
			n, err := strconv.Atoi(string(mark))
			if err != nil || n < 0 || n >= len(t.values) {
				return nil, false
			}
			b.WriteString(t.values[n])
		}
		general = after
	}
}
