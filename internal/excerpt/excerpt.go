// Package excerpt makes texts from outside short enough, and plain enough, to stand in a
// sentence: a name of a tool in a title, the message of an error in a list.
package excerpt

import "strings"

// Clip returns s if it has at most n characters, and otherwise its first n-1 with an
// ellipsis. The result is valid UTF-8: bytes that are not go. n is at least 1. Of a long s
// no more is read than that takes.
func Clip(s string, n int) string {
	runes, end := 0, 0
	for i := range s {
		switch runes {
		case n - 1:
			end = i
		case n:
			return strings.ToValidUTF8(s[:end], "") + "…"
		}
		runes++
	}
	return strings.ToValidUTF8(s, "")
}

// Line returns s on one line: each run of white space, control characters and what is no
// UTF-8 is one space, and there is none at the ends.
func Line(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, s)), " ")
}
