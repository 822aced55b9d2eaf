package extract

import (
	"bytes"
	"strconv"
	"strings"
)

// Copies of one failure differ in ids, times and measured numbers. A template is a JSON
// text with those values replaced by marks, numbered by first occurrence: equal values
// get equal marks, so what is equal or different within a copy stays so. Two texts with
// the same template are copies of each other, and a text about one becomes one about the
// other by putting in the other's values.
//
// What is a value is said by isValue. Small whole numbers are none: a 429 is not a 503; nor
// are the codes of errors, see codes.go.
type template struct {
	text   []byte
	values []string        // by the number of their mark
	marks  map[string]int  // by value
	codes  map[string]bool // what looks like a value and is none
}

// Marks stand between two characters of the private use area, which nothing else uses:
// a text that has them has no template.
const (
	markOpen  = "\uE000"
	markClose = "\uE001"
)

// newTemplate returns the template of a JSON text, or nil if it has marks already.
func newTemplate(text []byte) *template {
	if bytes.Contains(text, []byte(markOpen)) || bytes.Contains(text, []byte(markClose)) {
		return nil
	}
	t := &template{marks: map[string]int{}, codes: codesIn(text)}
	t.text = eachToken(text, false, func(token string) (string, bool) {
		if !t.isValue(token) {
			return "", false
		}
		kind, value := split(token)
		n, ok := t.marks[value]
		if !ok {
			n = len(t.values)
			t.marks[value] = n
			t.values = append(t.values, value)
		}
		return kind + markOpen + strconv.Itoa(n) + markClose, true
	})
	return t
}

func (t *template) isValue(token string) bool { return isValue(token) && !t.codes[token] }

// split parts a redaction placeholder into its kind, which is the same in all copies, and
// the digest of what it stands for. Any other token is a value as a whole.
func split(token string) (kind, value string) {
	if !strings.HasPrefix(token, redacted) {
		return "", token
	}
	i := strings.LastIndexByte(token, ':') + 1
	return token[:i], token[i:]
}

const redacted = "REDACTED:"

// generalize returns a JSON text with t's values in its strings replaced by their marks,
// and whether it has no other value: such a text is right for every copy.
func (t *template) generalize(text []byte) (general []byte, complete bool) {
	complete = true
	general = eachToken(text, true, func(token string) (string, bool) {
		if !t.isValue(token) {
			return "", false
		}
		kind, value := split(token)
		n, ok := t.marks[value]
		if !ok {
			complete = false
			return "", false
		}
		return kind + markOpen + strconv.Itoa(n) + markClose, true
	})
	return general, complete
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
		number, after, found := bytes.Cut(rest, []byte(markClose))
		n, err := strconv.Atoi(string(number))
		if !found || err != nil || n < 0 || n >= len(t.values) {
			return nil, false
		}
		b.WriteString(t.values[n])
		general = after
	}
}

// eachToken returns a JSON text with those of its tokens replaced that replace says.
// Escapes are no part of tokens. With stringsOnly, what is outside of strings stays.
func eachToken(text []byte, stringsOnly bool, replace func(string) (string, bool)) []byte {
	out := make([]byte, 0, len(text)+64)
	inString := false
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			n := escapeLen(text[i:])
			out = append(out, text[i:i+n]...)
			i += n
		case !tokenByte(c):
			inString = inString != (c == '"')
			out = append(out, c)
			i++
		default:
			end := i
			for end < len(text) && tokenByte(text[end]) {
				end++
			}
			out = appendToken(out, string(text[i:end]), stringsOnly && !inString, replace)
			i = end
		}
	}
	return out
}

// escapeLen returns the length of the JSON escape that text begins with.
func escapeLen(text []byte) int {
	if len(text) > 1 && text[1] == 'u' {
		return min(6, len(text))
	}
	return min(2, len(text))
}

// nextToken returns where the first token at or after i begins and ends.
func nextToken(text []byte, i int) (from, to int) {
	for i < len(text) && !tokenByte(text[i]) {
		if text[i] == '\\' {
			i += escapeLen(text[i:])
		} else {
			i++
		}
	}
	for to = i; to < len(text) && tokenByte(text[to]); to++ {
	}
	return i, to
}

// tokenPunctuation is what stands around tokens, of the characters that stand in them.
const tokenPunctuation = ".:-_+"

// appendToken appends a token without the punctuation around it, replaced or not.
func appendToken(out []byte, run string, leave bool, replace func(string) (string, bool)) []byte {
	token := strings.Trim(run, tokenPunctuation)
	if leave || token == "" {
		return append(out, run...)
	}
	if with, ok := replace(token); ok {
		at := strings.Index(run, token)
		out = append(out, run[:at]...)
		out = append(out, with...)
		return append(out, run[at+len(token):]...)
	}
	return append(out, run...)
}

func tokenByte(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	return c == '-' || c == '_' || c == ':' || c == '.' || c == '+'
}

// isValue reports a token that may differ between copies of one failure: a redaction
// placeholder, what has at least four digits (ids, times, large numbers), a decimal
// number, or a number with a unit of time.
func isValue(token string) bool {
	if strings.HasPrefix(token, redacted) {
		return true
	}
	digits, letters, points := 0, 0, 0
	for i := range len(token) {
		switch c := token[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			points++
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letters++
		}
	}
	switch {
	case digits == 0:
		return false
	case digits >= 4:
		return true
	case letters == 0:
		return points == 1 && digits+points == len(token)
	}
	return isDuration(token)
}

// isDuration reports a number followed by a unit of time.
func isDuration(token string) bool {
	unit := strings.TrimLeft(token, "0123456789.")
	switch unit {
	case "ns", "us", "ms", "s", "sec", "m", "min", "h":
		return len(unit) < len(token)
	}
	return false
}
