package trace

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// eight returns the first eight bytes of s, which must have as many. It compiles to one
// load.
func eight(s string) uint64 {
	s = s[:8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// specials returns a word with the highest bit of the first special byte among the eight
// of x set, and of none before it: a quote, a backslash or a control character. Bits of
// bytes after it say nothing.
func specials(x uint64) uint64 {
	q, b := x^(ones*'"'), x^(ones*'\\')
	return ((q-ones)&^q | (b-ones)&^b | (x-ones*' ')&^x) & highs
}

// special returns the offset of the first byte of s that ends a run of plain string
// bytes: a quote, a backslash or a control character; len(s) if there is none.
func special(s string) int {
	rest := s
	for len(rest) >= 8 {
		if hit := specials(eight(rest)); hit != 0 {
			return len(s) - len(rest) + bits.TrailingZeros64(hit)/8
		}
		rest = rest[8:]
	}
	for i := range len(rest) {
		if c := rest[i]; c == '"' || c == '\\' || c < ' ' {
			return len(s) - len(rest) + i
		}
	}
	return len(s)
}

// plainASCII returns the length of a start of s that is ASCII and has no special byte. It
// stops less than eight bytes before the first other one.
func plainASCII(s string) int {
	rest := s
	for len(rest) >= 8 {
		if x := eight(rest); specials(x)|x&highs != 0 {
			break
		}
		rest = rest[8:]
	}
	return len(s) - len(rest)
}

// str reads the string that starts here.
func (p *parser) str() (string, bool) {
	start := p.i + 1
	end := start + special(p.s[start:])
	if end >= len(p.s) {
		return "", false
	}
	if p.s[end] == '"' {
		p.i = end + 1
		return p.s[start:end], true
	}
	return p.decoded(start, end)
}

// decoded reads the string that starts at start and is plain up to i.
func (p *parser) decoded(start, i int) (string, bool) {
	s, b, stays := p.s, p.scratch, false
	if len(b) < i-start+2*8 {
		if b, stays = p.roomier(nil, start, i); b == nil {
			return "", false
		}
	}
	n := copy(b, s[start:i]) // b[:n] is decoded
	for i < len(s) {
		if len(b)-n < 2*8 {
			if b, stays = p.roomier(b[:n], i, i); b == nil {
				return "", false
			}
		}
		if i+8 <= len(s) { // eight bytes are copied, of which as many count as are plain
			x := eight(s[i:])
			binary.LittleEndian.PutUint64(b[n:], x)
			hit := specials(x)
			plain := bits.TrailingZeros64(hit) / 8
			i, n = i+plain, n+plain
			if hit == 0 {
				continue
			}
		}
		switch c := s[i]; {
		case c == '\\':
			if i+1 == len(s) {
				return "", false
			}
			if c := unescaped[s[i+1]]; c != 0 {
				b[n] = c
				i, n = i+2, n+1
				continue
			}
			r, past := p.unicode(i)
			if past < 0 {
				return "", false
			}
			i, n = past, n+utf8.EncodeRune(b[n:], r)
		case c == '"':
			p.i = i + 1
			if stays {
				return viewOf(b[:n]), true
			}
			p.scratch = b
			return p.texts.keep(b[:n], len(s)-i), true
		case c < ' ':
			return "", false
		default:
			b[n] = c
			i, n = i+1, n+1
		}
	}
	return "", false
}

// roomier returns b with room for what stands from from to i and some more, and whether it
// has room for all that is left of the string. It returns nil if the string has no end.
func (p *parser) roomier(b []byte, from, i int) (more []byte, whole bool) {
	n := min(max(minScratch, 2*(len(b)+i-from)), len(b)+len(p.s)-from+2*8)
	if n > maxScratch {
		past, ok := quoted(p.s, i)
		if !ok {
			return nil, false
		}
		n, whole = len(b)+past-from+2*8, true
	}
	more = make([]byte, n)
	copy(more, b)
	return more, whole
}

// quoted moves past the end of the string in which s[i] is, without decoding it.
func quoted(s string, i int) (past int, ok bool) {
	for i < len(s) {
		if i+8 <= len(s) {
			hit := specials(eight(s[i:]))
			if hit == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(hit) / 8
		}
		switch c := s[i]; {
		case c == '"':
			return i + 1, true
		case c == '\\':
			i += 2
		case c < ' ':
			return 0, false
		default:
			i++
		}
	}
	return 0, false
}

// unescaped has what stands for a byte after a backslash, or 0.
var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f'}

// unicode returns the rune that the escape \uXXXX at i stands for, two of them if it is a
// surrogate pair, and where it ends, or -1 when it is none.
func (p *parser) unicode(i int) (rune, int) {
	if p.s[i+1] != 'u' {
		return 0, -1
	}
	r, ok := hex4(p.s[i+2:])
	if !ok {
		return 0, -1
	}
	i += len(`\u0000`)
	if utf16.IsSurrogate(r) {
		r2, ok := rune(0), false
		if strings.HasPrefix(p.s[i:], `\u`) {
			r2, ok = hex4(p.s[i+2:])
		}
		if r = utf16.DecodeRune(r, r2); ok && r != utf8.RuneError {
			i += len(`\u0000`)
		}
	}
	return r, i
}

// hex4 decodes the four hex digits at the start of s.
func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for i := range 4 {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
