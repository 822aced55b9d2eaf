package redact

import (
	"math/bits"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// This file reads and writes the strings of JSON.

// special are the bytes that do not stand for themselves in a string.
var special = *newCharset("\"\\", func(c byte) bool { return c < 0x20 })

// nextSpecial returns the position of the first special byte of s from i on, or len(s).
func nextSpecial(s string, i int) int {
	// Eight bytes at a time: a byte of x is zero where s has the byte looked for, and
	// (x - 0x01…) &^ x & 0x80… is not zero if some byte of x is (Bit Twiddling Hacks).
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		v := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, slash := v^('"'*ones), v^('\\'*ones)
		// Borrows go upwards: the lowest bit set is at the first of them.
		if found := ((v-0x20*ones)&^v | (quote-ones)&^quote | (slash-ones)&^slash) & highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(s) && !special[s[i]] {
		i++
	}
	return i
}

// quoted reads the string at w.pos, which is at its opening quote, and returns it
// decoded: a part of the document, or a view.
func (w *walk) quoted() (string, error) {
	w.pos++
	start := w.pos
	i := nextSpecial(w.in, start)
	w.pos = i
	if i < len(w.in) {
		switch w.in[i] {
		case '"':
			w.pos++
			return w.in[start:i], nil
		case '\\':
			return w.unescape(start)
		}
		return "", w.errorf("control character in a string")
	}
	return "", w.errorf("string without an end")
}

// minExactDecode is the size of the buffer for decoded strings to begin with. For a
// longer string it grows once, to the string's length.
const minExactDecode = 1 << 10

// stringEnd returns the end of the string that s[i] is inside of, or len(s).
func stringEnd(s string, i int) int {
	for i < len(s) {
		switch s[i] {
		case '"':
			return i
		case '\\':
			i++
		}
		i = nextSpecial(s, min(i+1, len(s)))
	}
	return len(s)
}

// unescape goes on where quoted met the first backslash.
func (w *walk) unescape(start int) (string, error) {
	b := w.level.decoded[:0]
	if n := w.pos - start; n > cap(b) || cap(b) < minExactDecode {
		b = slices.Grow(b, n+minExactDecode)
	}
	defer func() { w.level.decoded = b }()
	for {
		if cap(b)-len(b) < w.pos-start+utf8.UTFMax {
			b = slices.Grow(b, stringEnd(w.in, w.pos)-start)
		}
		b = append(b, w.in[start:w.pos]...)
		c := at(w.in, w.pos+1)
		w.pos += 2
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, ok := w.codePoint()
			if !ok {
				return "", w.errorf("invalid \\u escape")
			}
			b = utf8.AppendRune(b, r)
		default:
			return "", w.errorf("invalid escape in a string")
		}
		start = w.pos
		w.pos = nextSpecial(w.in, min(w.pos, len(w.in)))
		switch c := at(w.in, w.pos); {
		case c == '"':
			b = append(b, w.in[start:w.pos]...)
			w.pos++
			return view(b), nil
		case c == '\\':
		case w.pos >= len(w.in):
			return "", w.errorf("string without an end")
		default:
			return "", w.errorf("control character in a string")
		}
	}
}

// codePoint reads what follows a \u, with the second half of a surrogate pair. Half a pair
// is utf8.RuneError, as encoding/json has it.
func (w *walk) codePoint() (rune, bool) {
	r, ok := hex4(w.in, w.pos)
	if !ok {
		return 0, false
	}
	w.pos += 4
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	if !strings.HasPrefix(w.in[min(w.pos, len(w.in)):], `\u`) {
		return utf8.RuneError, true
	}
	low, ok := hex4(w.in, w.pos+2)
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		w.pos += 6
		return pair, true
	}
	return utf8.RuneError, true
}

// hex4 reads four hex digits of s at i.
func hex4(s string, i int) (rune, bool) {
	if i < 0 || i+4 > len(s) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[i : i+4]) {
		switch {
		case isDigit(c):
			c -= '0'
		case isHex(c):
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendQuoted appends s as a JSON string. Bytes that need no escape stay as they are.
func appendQuoted(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for {
		i := nextSpecial(s, start)
		if i == len(s) {
			break
		}
		c := s[i]
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}
