package trace

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
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

// An attrMap is an OTLP list of attributes, decoded.
type attrMap map[string]any

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

// Bounds of the buffer in which strings are decoded, in bytes. A string that needs more
// room is decoded where it stays.
const (
	minScratch = 4 << 10
	maxScratch = 256 << 10
)

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

// otlpValue reads the value of key, "attributes" or "body": as OTLP's if it is that,
// else as any other.
func (p *parser) otlpValue(key string) (any, bool) {
	start, depth, values, fields := p.i, p.depth, len(p.values), len(p.fields)
	if key == "body" {
		if p.next() == '{' {
			if v, ok := p.anyValue(); ok {
				return v, true
			}
		}
	} else if p.next() == '[' {
		if m, ok := p.keyValues(); ok {
			return attrMap(m), true
		}
	}
	p.i, p.depth, p.values, p.fields = start, depth, p.values[:values], p.fields[:fields]
	return p.value()
}

// keyValues reads a list of {"key": …, "value": …}.
func (p *parser) keyValues() (map[string]any, bool) {
	if !p.take('[') {
		return nil, false
	}
	base := len(p.fields)
	if p.take(']') {
		return p.takeFields(base), true
	}
	for {
		if !p.take('{') || !p.field("key") || p.next() != '"' {
			return nil, false
		}
		k, ok := p.str()
		if !ok || k == "" {
			return nil, false
		}
		var v any
		if p.take(',') {
			if !p.field("value") || p.next() != '{' {
				return nil, false
			}
			if v, ok = p.anyValue(); !ok {
				return nil, false
			}
		}
		p.fields = append(p.fields, field{k, v})
		if !p.take('}') {
			return nil, false
		}
		if p.take(',') {
			continue
		}
		return p.takeFields(base), p.take(']')
	}
}

// field moves past a field's name and colon, if the field is name.
func (p *parser) field(name string) bool {
	if p.next() != '"' {
		return false
	}
	k, ok := p.str()
	return ok && k == name && p.take(':')
}

// anyValue reads an OTLP AnyValue, as the function anyValue decodes it.
func (p *parser) anyValue() (v any, ok bool) {
	if p.depth++; p.depth > maxDepth || !p.take('{') || p.next() != '"' {
		return nil, false
	}
	k, ok := p.str()
	if !ok || !p.take(':') {
		return nil, false
	}
	switch k {
	case "stringValue", "string_value", "intValue", "int_value", "doubleValue", "double_value", "boolValue", "bool_value", "bytesValue", "bytes_value":
		v, ok = p.value()
	case "kvlistValue", "kvlist_value":
		if !p.take('{') {
			return nil, false
		}
		m := p.w.newObject(0)
		if !p.take('}') {
			if !p.field("values") {
				return nil, false
			}
			if m, ok = p.keyValues(); !ok || !p.take('}') {
				return nil, false
			}
		}
		v = m
	case "arrayValue", "array_value":
		v, ok = p.anyValues()
	default:
		return nil, false
	}
	if !ok || !p.take('}') {
		return nil, false
	}
	p.depth--
	return v, true
}

func (p *parser) anyValues() (any, bool) {
	if !p.take('{') {
		return nil, false
	}
	base := len(p.values)
	if p.take('}') {
		return p.takeValues(base), true
	}
	if !p.field("values") || !p.take('[') {
		return nil, false
	}
	if !p.take(']') {
		for {
			if p.next() != '{' {
				return nil, false
			}
			v, ok := p.anyValue()
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
	return p.takeValues(base), p.take('}')
}

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
