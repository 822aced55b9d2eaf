package redact

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// This file reads and writes the strings of JSON.

// special are the bytes that do not stand for themselves in a string.
var special = *newCharset("\"\\", func(c byte) bool { return c < 0x20 })

// Eight bytes of a string are looked at as one number, the first byte lowest.
const ones, highs = 0x0101010101010101, 0x8080808080808080

// load8 returns s[i:i+8].
func load8(s string, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// specials returns a number whose lowest bit that is set is the highest one of the first
// special byte of v, or 0 when there is none.
func specials(v uint64) uint64 {
	// A byte of x is zero where v has the byte looked for, and (x - 0x01…) &^ x & 0x80… is
	// not zero if some byte of x is (Bit Twiddling Hacks). Borrows go upwards: the lowest
	// bit is right.
	quote, slash := v^('"'*ones), v^('\\'*ones)
	return ((v-0x20*ones)&^v | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// escapes has, for the byte behind a backslash, what both stand for, unless that takes more
// than a look; escaping is the other way round.
var escapes, escaping = func() (from, to [256]byte) {
	for _, e := range []string{"\"\"", "\\\\", "n\n", "r\r", "t\t"} {
		from[e[0]], to[e[1]] = e[1], e[0]
	}
	from['/'], from['b'], from['f'] = '/', '\b', '\f'
	return from, to
}()

// decodePlain appends what stands in a string of JSON from s[i] on, and returns how far it
// came: to a byte that is special and begins no escape of two bytes, or somewhere before, near
// the end of s or of the capacity of b.
func decodePlain(b []byte, s string, i int) ([]byte, int) {
	// What follows a special byte is copied with it and overwritten: most runs are short.
	n := len(b)
	b = b[:cap(b)]
	for i+8 < len(s) && n+8 < len(b) {
		v := load8(s, i)
		binary.LittleEndian.PutUint64(b[n:n+8], v)
		found := specials(v)
		if found == 0 {
			i, n = i+8, n+8
			continue
		}
		k := bits.TrailingZeros64(found) / 8
		i, n = i+k, n+k
		c := escapes[s[i+1]]
		if s[i] != '\\' || c == 0 {
			break
		}
		b[n] = c
		i, n = i+2, n+1
	}
	return b[:n], i
}

// encodePlain is decodePlain the other way round: it stops at a byte that has no escape of two
// bytes.
func encodePlain(b []byte, s string, i int) ([]byte, int) {
	n := len(b)
	b = b[:cap(b)]
	for i+8 <= len(s) && n+9 < len(b) {
		v := load8(s, i)
		binary.LittleEndian.PutUint64(b[n:n+8], v)
		found := specials(v)
		if found == 0 {
			i, n = i+8, n+8
			continue
		}
		k := bits.TrailingZeros64(found) / 8
		i, n = i+k, n+k
		c := escaping[s[i]]
		if c == 0 {
			break
		}
		b[n], b[n+1] = '\\', c
		i, n = i+1, n+2
	}
	return b[:n], i
}

// nextSpecial returns the position of the first special byte of s from i on, or len(s).
func nextSpecial(s string, i int) int {
	for ; i+8 <= len(s); i += 8 {
		if found := specials(load8(s, i)); found != 0 {
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
	b = append(b, w.in[start:w.pos]...)
	for {
		b, w.pos = decodePlain(b, w.in, w.pos)
		rest := w.pos
		w.pos = nextSpecial(w.in, rest)
		if cap(b)-len(b) < w.pos-rest+utf8.UTFMax {
			b = slices.Grow(b, stringEnd(w.in, w.pos)-rest)
		}
		b = append(b, w.in[rest:w.pos]...)
		switch c := at(w.in, w.pos); {
		case c == '"':
			w.pos++
			return view(b), nil
		case c == '\\':
		case w.pos >= len(w.in):
			return "", w.errorf("string without an end")
		default:
			return "", w.errorf("control character in a string")
		}
		c := at(w.in, w.pos+1)
		w.pos = min(w.pos+2, len(w.in))
		if escapes[c] != 0 {
			b = append(b, escapes[c])
			continue
		}
		if c != 'u' {
			return "", w.errorf("invalid escape in a string")
		}
		r, ok := w.codePoint()
		if !ok {
			return "", w.errorf("invalid \\u escape")
		}
		b = utf8.AppendRune(b, r)
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
	for i := 0; ; i++ {
		dst, i = encodePlain(dst, s, i)
		rest := i
		i = nextSpecial(s, rest)
		if dst = append(dst, s[rest:i]...); i == len(s) {
			return append(dst, '"')
		}
		if c := s[i]; escaping[c] != 0 {
			dst = append(dst, '\\', escaping[c])
		} else {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
}
