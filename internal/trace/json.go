package trace

import (
	"encoding/json"
	"strings"
	"unsafe"
)

// A parser reads JSON into the types that encoding/json gives for any with UseNumber. It
// is here because decoding is nearly all of what importing costs: strings without escapes
// share the document's memory instead of being copied, and the attribute lists of OTLP
// become one map instead of two per attribute. Whatever it does not accept is read again
// by encoding/json, which then says what is wrong, so that it decides nothing.
type parser struct {
	w       *workspace // for objects and arrays
	s       string
	i       int
	depth   int
	texts   texts   // strings with escapes, decoded
	scratch []byte  // of a long one
	values  []any   // of the arrays under way
	fields  []field // of the objects under way
	// otlp makes attrMap of the values of "attributes" that are OTLP's lists of keys and
	// values, and plain values of the AnyValues under "body".
	otlp bool
	// lists counts the lists of messages so far, of which the first shares nothing; shared
	// has the values of the texts that recur in a document: messages and declarations of
	// tools. Nothing that was parsed is ever changed.
	lists  int
	shared map[string]any
}

// A field is one of an object's.
type field struct {
	key   string
	value any
}

// A texts is the memory of decoded strings. Short ones lie in a block with others.
type texts struct{ block []byte }

// blockSize is the size of a block, in bytes; what takes an eighth of one has its own.
const blockSize = 8 << 10

// keep returns a copy of b, which is from a document of which rest bytes are still to be
// read.
func (t *texts) keep(b []byte, rest int) string {
	if len(b) >= blockSize/8 {
		return string(b)
	}
	n := len(t.block)
	if cap(t.block)-n < len(b) {
		t.block, n = make([]byte, 0, min(blockSize, len(b)+rest)), 0
	}
	t.block = append(t.block, b...)
	return viewOf(t.block[n:])
}

// viewOf returns b as a string, without a copy.
func viewOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf returns the bytes of s, which nobody may change.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// maxDepth bounds how deep values may nest, as encoding/json does.
const maxDepth = 10_000

// parseFast parses s, which must be valid UTF-8, and reports whether it could. The value is
// in the memory of w.
func (w *workspace) parseFast(s string, otlp bool) (any, bool) {
	var p *parser
	if w == nil {
		p = &parser{}
	} else {
		p = &w.parser
		p.restart()
	}
	p.w, p.s, p.otlp = w, s, otlp
	v, ok := p.value()
	if !ok {
		return nil, false
	}
	p.space()
	return v, p.i == len(p.s)
}

// restart makes p ready for another document of the same trace.
func (p *parser) restart() {
	p.i, p.depth, p.lists = 0, 0, 0
	p.values, p.fields = cleared(p.values, keptValues), cleared(p.fields, keptEntries) // an error leaves some
	p.shared = emptied(p.shared)
}

// reset makes p ready for another trace. The memory of decoded strings is the last one's.
func (p *parser) reset() {
	p.restart()
	p.w, p.s, p.texts = nil, "", texts{}
}

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\n', '\t', '\r':
			p.i++
		default:
			return
		}
	}
}

// next moves to the next byte that is not white space and returns it, or 0 at the end.
func (p *parser) next() byte {
	p.space()
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// take moves past c, and white space before it, and reports whether it was there.
func (p *parser) take(c byte) bool {
	if p.next() != c {
		return false
	}
	p.i++
	return true
}

func (p *parser) word(w string) bool {
	if !strings.HasPrefix(p.s[p.i:], w) {
		return false
	}
	p.i += len(w)
	return true
}

func (p *parser) value() (any, bool) {
	switch c := p.next(); c {
	case '{':
		return p.object()
	case '[':
		return p.array(false)
	case '"':
		return p.boxedString()
	case 't':
		return true, p.word("true")
	case 'f':
		return false, p.word("false")
	case 'n':
		return nil, p.word("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return p.number()
		}
		return nil, false
	}
}

// boxedString reads a string as a value. The words that stand in every message of a chat are
// constants: they take no memory, which is a twentieth of what a chat takes.
func (p *parser) boxedString() (any, bool) {
	s, ok := p.str()
	switch s {
	case "user":
		return "user", ok
	case "assistant":
		return "assistant", ok
	case "tool":
		return "tool", ok
	case "function":
		return "function", ok
	case "text":
		return "text", ok
	}
	return s, ok
}

func (p *parser) object() (any, bool) {
	p.i++ // {
	if p.depth++; p.depth > maxDepth {
		return nil, false
	}
	if p.take('}') {
		p.depth--
		return p.w.newObject(0), true
	}
	base := len(p.fields)
	for {
		if p.next() != '"' {
			return nil, false
		}
		k, ok := p.str()
		if !ok || !p.take(':') {
			return nil, false
		}
		var v any
		switch {
		case !p.otlp:
			v, ok = p.value()
		case k == "attributes", k == "body":
			v, ok = p.otlpValue(k)
		case k == "tools":
			p.space()
			v, ok = p.sharedValue()
		case k == "messages" && p.next() == '[':
			p.lists++
			v, ok = p.array(p.lists > 1)
		default:
			v, ok = p.value()
		}
		if !ok {
			return nil, false
		}
		p.fields = append(p.fields, field{k, v})
		if p.take(',') {
			continue
		}
		p.depth--
		return p.takeFields(base), p.take('}')
	}
}

// takeFields returns the fields from base on as an object. Of equal ones the last counts.
func (p *parser) takeFields(base int) map[string]any {
	m := p.w.newObject(len(p.fields) - base)
	for _, f := range p.fields[base:] {
		m[f.key] = f.value
	}
	clear(p.fields[base:])
	p.fields = p.fields[:base]
	return m
}

// array reads the array that starts here, with its elements shared if share is set.
func (p *parser) array(share bool) (any, bool) {
	p.i++ // [
	if p.depth++; p.depth > maxDepth {
		return nil, false
	}
	base := len(p.values)
	if !p.take(']') {
		for {
			var v any
			var ok bool
			if share && p.next() == '{' {
				v, ok = p.sharedValue()
			} else {
				v, ok = p.value()
			}
			if !ok {
				return nil, false
			}
			p.values = append(p.values, v)
			if p.take(',') {
				continue
			}
			if !p.take(']') {
				return nil, false
			}
			break
		}
	}
	p.depth--
	return p.takeValues(base), true
}

// takeValues returns the values from base on as an array.
func (p *parser) takeValues(base int) []any {
	out := p.w.newArray(len(p.values) - base)
	copy(out, p.values[base:])
	clear(p.values[base:])
	p.values = p.values[:base]
	return out
}

// sharedValue reads the value that starts here, or takes the one that the same text gave
// before.
func (p *parser) sharedValue() (any, bool) {
	start := p.i
	if !p.skip() {
		return nil, false
	}
	end := p.i
	if v, ok := p.shared[p.s[start:end]]; ok {
		return v, true
	}
	p.i = start
	v, ok := p.value()
	if !ok || p.i != end {
		return nil, false
	}
	if p.shared == nil {
		p.shared = make(map[string]any)
	}
	p.shared[p.s[start:end]] = v
	return v, true
}

func (p *parser) number() (any, bool) {
	start := p.i
	digits := func() bool {
		from := p.i
		for p.i < len(p.s) && p.s[p.i]-'0' <= 9 {
			p.i++
		}
		return p.i > from
	}
	if p.s[p.i] == '-' {
		p.i++
	}
	first := p.i
	if !digits() || p.s[first] == '0' && p.i > first+1 {
		return nil, false
	}
	if p.i < len(p.s) && p.s[p.i] == '.' {
		if p.i++; !digits() {
			return nil, false
		}
	}
	if p.i < len(p.s) && p.s[p.i]|0x20 == 'e' {
		if p.i++; p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		if !digits() {
			return nil, false
		}
	}
	return json.Number(p.s[start:p.i]), true
}

// Masks for eight bytes at a time.
const ones, highs = 0x0101010101010101, 0x8080808080808080

// Bounds of the buffer in which strings are decoded, in bytes. A string that needs more
// room is decoded where it stays.
const (
	minScratch = 4 << 10
	maxScratch = 256 << 10
)

// skip moves past the value that starts here without reading it: only quotes and brackets
// are looked at, so what is skipped may be no valid JSON.
func (p *parser) skip() bool {
	depth := 0
	for {
		switch p.next() {
		case '"':
			p.i++
			past, ok := quoted(p.s, p.i)
			if !ok {
				return false
			}
			p.i = past
		case '{', '[':
			p.i++
			depth++
			continue
		case '}', ']':
			p.i++
			depth--
		case ',', ':':
			p.i++
			continue
		case 0:
			return false
		default:
			for p.i < len(p.s) && strings.IndexByte(" \t\r\n,:]}{[\"", p.s[p.i]) < 0 {
				p.i++
			}
		}
		if depth <= 0 {
			return depth == 0
		}
	}
}
