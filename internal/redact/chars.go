package redact

import "strings"

func isDigit(c byte) bool { return c-'0' < 10 }
func isUpper(c byte) bool { return c-'A' < 26 }
func isLower(c byte) bool { return c-'a' < 26 }
func isAlpha(c byte) bool { return c|0x20-'a' < 26 && c < 0x80 }
func isAlnum(c byte) bool { return isAlpha(c) || isDigit(c) }
func isHex(c byte) bool   { return isDigit(c) || (c|0x20)-'a' < 6 }
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// A charset is a set of bytes.
type charset [256]bool

func newCharset(extra string, f func(byte) bool) *charset {
	var cs charset
	for c := range 256 {
		cs[c] = f(byte(c)) || strings.IndexByte(extra, byte(c)) >= 0 && c < 0x80
	}
	return &cs
}

// run returns the end of the run of cs in s that starts at i, at most max bytes on.
func (cs *charset) run(s string, i, max int) int {
	if len(s)-i > max {
		s = s[:i+max]
	}
	for i < len(s) && cs[s[i]] {
		i++
	}
	return i
}

// before returns the start of the run of cs in s that ends at i, at most max bytes back.
func (cs *charset) before(s string, i, max int) int {
	lo := i - max
	if lo < 0 {
		lo = 0
	}
	for i > lo && cs[s[i-1]] {
		i--
	}
	return i
}

// at returns s[i], or a space outside s: the ends of a text bound a value like white
// space does.
func at(s string, i int) byte {
	if i < 0 || i >= len(s) {
		return ' '
	}
	return s[i]
}

// lower appends s in ASCII lower case to buf.
func lower(buf []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if isUpper(c) {
			c |= 0x20
		}
		buf = append(buf, c)
	}
	return buf
}

// foldPrefix reports whether s starts with prefix (which is in lower case), whatever
// the case of s.
func foldPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
