package excerpt

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns s as valid UTF-8 without what a reader cannot see but a terminal, a
// browser or a model acts on, and without white space around it.
func Visible(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '\u2028' || r == '\u2029' || joiner(r) || Invisible(r) }) {
		return strings.TrimSpace(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	last := ' ' // written
	for i := 0; i < len(s); {
		if n := EscapeSequence(s[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == '\u2028' || r == '\u2029':
			r = '\n'
		case Invisible(r), joiner(r) && !joins(last):
			continue
		}
		b.WriteRune(r)
		last = r
	}
	return strings.TrimSpace(b.String())
}

// joiner reports the two joiners that scripts and emoji need. A row of them can carry
// hidden bits; one stays, behind what it can join.
func joiner(r rune) bool { return r == '\u200C' || r == '\u200D' }

func joins(r rune) bool { return r > 0x7F && !joiner(r) && !unicode.IsSpace(r) }

// blanks are characters without a glyph that Unicode does not count as format characters:
// variation selectors and tags, which can carry hidden bytes, fillers, and those that it
// reserves for such uses (Default_Ignorable_Code_Point).
var blanks = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x034F, 0x034F, 1}, {0x115F, 0x1160, 1}, {0x17B4, 0x17B5, 1}, {0x180B, 0x180F, 1}, {0x2065, 0x2065, 1},
		{0x2800, 0x2800, 1}, {0x3164, 0x3164, 1}, {0xFDD0, 0xFDEF, 1}, {0xFE00, 0xFE0F, 1}, {0xFFA0, 0xFFA0, 1}, {0xFFF0, 0xFFF8, 1},
		{0xFFFE, 0xFFFF, 1},
	},
	R32: []unicode.Range32{{0xE0000, 0xE0FFF, 1}},
}

// Invisible reports whether r has no glyph that everybody sees: control characters except
// tab and line feed, format characters (bidirectional overrides, zero-width characters)
// except the two joiners, blanks, and characters for private use.
func Invisible(r rune) bool {
	switch {
	case r < 0x20:
		return r != '\t' && r != '\n'
	case r < 0x7F:
		return false
	case r <= 0x9F:
		return true
	case joiner(r):
		return false
	}
	return unicode.In(r, unicode.Cf, unicode.Co, blanks)
}

// EscapeSequence returns the length of the terminal control sequence that s begins with,
// or 0: CSI (colours, cursor), OSC (titles, links), or a single function.
func EscapeSequence(s string) int {
	if len(s) < 2 || s[0] != 0x1B {
		return 0
	}
	switch s[1] {
	case '[':
		i := 2
		for i < len(s) && s[i] >= 0x20 && s[i] <= 0x3F {
			i++
		}
		if i < len(s) && s[i] >= 0x40 && s[i] <= 0x7E {
			return i + 1
		}
		return 2
	case ']':
		for i := 2; i < len(s) && i < 2048; i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == 0x1B && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return 2
	}
	if s[1] >= 0x30 && s[1] <= 0x7E {
		return 2
	}
	return 0
}
