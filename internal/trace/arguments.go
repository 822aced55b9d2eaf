package trace

import (
	"strings"
	"unicode/utf8"
)

// This file writes the arguments of most calls in canonical form: of those that are texts of
// an object of texts, numbers and words.

// maxFlat bounds the fields of such an object; it is far more than tools have.
const maxFlat = 12

// flatArguments returns s in the form of [ToolIO.Args], if it is such an object without
// escapes. It reports false for everything else, and for what is no JSON: making objects of
// arguments only to write them again was a tenth of the time that a chat with tools took.
func flatArguments(s string) (args string, ok bool) {
	var room [maxFlat]flatField
	fields := room[:0]
	f := flat{s: s}
	if !f.take('{') {
		return "", false
	}
	for more := !f.take('}'); more; {
		key, ok := f.text()
		if !ok || !f.take(':') || len(fields) == maxFlat {
			return "", false
		}
		value, ok := f.value()
		if !ok {
			return "", false
		}
		at := len(fields)
		for at > 0 && unquoted(fields[at-1].key) >= unquoted(key) {
			if at--; fields[at].key == key {
				return "", false // the last one counts
			}
		}
		f.moved = f.moved || at < len(fields)
		fields = append(fields, flatField{})
		copy(fields[at+1:], fields[at:])
		fields[at] = flatField{key, value}
		if more = f.take(','); !more && !f.take('}') {
			return "", false
		}
	}
	if f.space(); f.i < len(s) || !utf8.ValidString(s) {
		return "", false
	}
	if !f.moved { // it is written so: no copy is needed
		return s, true
	}
	var few [256]byte
	b := append(few[:0], '{')
	for i, field := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, field.key...), ':'), field.value...)
	}
	return string(append(b, '}')), true
}

// A flatField is a field as it is written.
type flatField struct{ key, value string }

// unquoted returns s, a string as it is written, without its quotes: those come after a
// space.
func unquoted(s string) string { return s[1 : len(s)-1] }

// A flat reads the text of an object.
type flat struct {
	s     string
	i     int
	moved bool // it has white space, or is not in order
}

func (f *flat) space() {
	for f.i < len(f.s) && strings.IndexByte(" \t\r\n", f.s[f.i]) >= 0 {
		f.i++
		f.moved = true
	}
}

// take moves past c, and white space before it, and reports whether it was there.
func (f *flat) take(c byte) bool {
	if f.space(); f.i == len(f.s) || f.s[f.i] != c {
		return false
	}
	f.i++
	return true
}

// text reads a string without escapes, with its quotes.
func (f *flat) text() (string, bool) {
	if !f.take('"') {
		return "", false
	}
	end := f.i + special(f.s[f.i:])
	if end == len(f.s) || f.s[end] != '"' {
		return "", false
	}
	text := f.s[f.i-1 : end+1]
	f.i = end + 1
	return text, true
}

// value reads a string without escapes, a word or a whole number.
func (f *flat) value() (string, bool) {
	if f.space(); f.i == len(f.s) {
		return "", false
	}
	rest := f.s[f.i:]
	if rest[0] == '"' {
		return f.text()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(rest, word) {
			f.i += len(word)
			return word, true
		}
	}
	n := 0
	if rest[0] == '-' {
		n = 1
	}
	first := n
	for n < len(rest) && rest[n]-'0' <= 9 {
		n++
	}
	if n == first || rest[first] == '0' && n > first+1 || n < len(rest) && strings.IndexByte(".eE", rest[n]) >= 0 {
		return "", false
	}
	f.i += n
	return rest[:n], true
}
