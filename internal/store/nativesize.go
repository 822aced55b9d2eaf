package store

import (
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
)

// nativeRoom is what a raw trace may take of [MaxNative], in bytes: the rest is for the
// path of its document, whatever project and prefix are called, and for what its commit adds.
const nativeRoom = 960 << 10

// PayloadRoom returns how many bytes ([JSONSize]) the payload of t may take so that every
// store can hold t. It is negative when the fields beside the payload are too long already.
func PayloadRoom(t evalforge.RawTrace) int {
	t.Payload = nil
	beside, err := Encode(t)
	if err != nil { // only a payload can fail
		return 0
	}
	return nativeRoom - 2*len(t.TraceID) - JSONSize(beside)
}

// widest is how many native bytes a byte of JSON can become: one digit and a comma are an
// integer of 8.
const widest = 4

// MayFit reports whether a payload of n bytes of JSON takes at most room bytes whatever it
// holds: then it need not be measured.
func MayFit(n, room int) bool { return n <= room/widest }

// JSONSize returns what the JSON document doc takes as a field of a native document, in
// bytes: as [NativeSize] of [Native], without making the value. Where an object has a key
// twice it is more than that. What is no JSON has some size.
func JSONSize(doc []byte) int {
	m := measure{doc: doc}
	return m.value(1, false)
}

// A measure goes through a document.
type measure struct {
	doc []byte
	at  int
}

// peek returns the next byte that is no white space, or 0.
func (m *measure) peek() byte {
	for ; m.at < len(m.doc); m.at++ {
		switch c := m.doc[m.at]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
		default:
			return c
		}
	}
	return 0
}

// value measures the next value, which has level maps and arrays around it.
func (m *measure) value(level int, inArray bool) int {
	switch m.peek() {
	case 0:
		return 0
	case '"':
		return m.string() + 1
	case '[':
		start := m.at
		if inArray || level > maxNativeDepth {
			m.skip()
			return m.wrapped(start)
		}
		return m.array(level)
	case '{':
		start := m.at
		if level > maxNativeDepth {
			m.skip()
			return m.wrapped(start)
		}
		n, storable := m.object(level)
		if !storable {
			return m.wrapped(start)
		}
		return n
	}
	start := m.at
	for m.at < len(m.doc) && !ends(m.doc[m.at]) {
		m.at++
	}
	switch text := m.doc[start:m.at]; {
	case len(text) == 0: // a stray bracket
		m.at++
		return 1
	case text[0] == 't', text[0] == 'f', text[0] == 'n':
		return 1
	case len(text) < 16 && digits(text):
		return 8
	default:
		v, err := number(string(text))
		if err != nil { // no number can fail
			return len(text)
		}
		return NativeSize(v)
	}
}

// skip goes past the array or object at hand.
func (m *measure) skip() {
	for depth := 0; m.at < len(m.doc); {
		switch m.doc[m.at] {
		case '"':
			m.string()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if m.at++; depth == 0 {
			return
		}
	}
}

func (m *measure) array(level int) int {
	n := 0
	m.at++
	for {
		switch m.peek() {
		case 0:
			return n
		case ']':
			m.at++
			return n
		}
		n += m.value(level+1, true)
	}
}

func (m *measure) object(level int) (n int, ok bool) {
	ok = true
	keys, stand := 0, false
	m.at++
	for {
		switch m.peek() {
		case 0:
			return n, ok
		case '}':
			m.at++
			return n, ok && !(stand && keys == 1)
		case '"':
		default: // no JSON
			m.at++
			continue
		}
		start := m.at
		long := m.string()
		switch key := m.doc[start:m.at]; {
		case long == 0 || long > maxNativeKey:
			ok = false
		case len(key) > 1 && (key[1] == '_' || key[1] == '~' || key[1] == '\\'):
			var k string
			if json.Unmarshal(key, &k) == nil {
				ok = ok && storableKey(k)
				stand = stand || k == WrapKey
			}
		}
		keys++
		n += long + 1 + m.value(level+1, false)
	}
}

// string goes past the string at hand and returns how many bytes its text has.
func (m *measure) string() int {
	n := 0
	m.at++
	for m.at < len(m.doc) {
		switch c := m.doc[m.at]; {
		case c == '"':
			m.at++
			return n
		case c == '\\':
			n += m.escape()
		case c < utf8.RuneSelf:
			m.at++
			n++
		default:
			r, size := utf8.DecodeRune(m.doc[m.at:])
			m.at += size
			n += utf8.RuneLen(r) // 3 for a byte that is not UTF-8
		}
	}
	return n
}

// escape goes past the escape at hand and returns how many bytes it stands for.
func (m *measure) escape() int {
	if m.at+1 < len(m.doc) && m.doc[m.at+1] != 'u' {
		m.at += 2
		return 1
	}
	r, ok := m.unit()
	if !ok {
		return 1
	}
	if utf16.IsSurrogate(r) {
		before := m.at
		if low, ok := m.unit(); ok {
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return utf8.RuneLen(both)
			}
		}
		m.at = before
		r = utf8.RuneError
	}
	return utf8.RuneLen(r)
}

// unit reads an escape of four hex digits, if there is one.
func (m *measure) unit() (rune, bool) {
	const length = len(`\u0000`)
	if m.at+length > len(m.doc) || m.doc[m.at] != '\\' || m.doc[m.at+1] != 'u' {
		m.at++
		return 0, false
	}
	n, err := strconv.ParseUint(string(m.doc[m.at+2:m.at+length]), 16, 16)
	m.at += length
	return rune(n), err == nil
}

// wrapped measures the value from start on as the text that stands for it.
func (m *measure) wrapped(start int) int {
	const beside = len(WrapKey) + 2
	v, err := ParseNative(m.doc[start:m.at])
	if err != nil {
		return beside + m.at - start
	}
	text, err := Encode(v)
	if err != nil {
		return beside + m.at - start
	}
	return beside + len(text)
}

// ends reports whether c is behind a number or a word.
func ends(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', ',', ':', ']', '}', '[', '{', '"':
		return true
	}
	return false
}

// digits reports whether text is a number of digits alone as an integer is written.
func digits(text []byte) bool {
	if text[0] == '0' {
		return len(text) == 1
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
