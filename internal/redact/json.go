package redact

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

const (
	// maxNesting bounds arrays and objects in each other, like encoding/json does.
	maxNesting = 10_000
	// maxStringDepth bounds JSON inside strings inside JSON. Each level at least doubles
	// the escapes in front of a quote, so that real data ends long before.
	maxStringDepth = 8
)

// A syntaxError says where a document stops being JSON. It never quotes the document.
type syntaxError struct {
	offset int
	reason string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at byte %d: %s", e.offset, e.reason)
}

var errNesting = errors.New("JSON nested too deeply: more than " + strconv.Itoa(maxNesting) + " levels")

// A walk goes once through the document in, checks that it is JSON, and copies it to
// out as soon as something changes.
type walk struct {
	st     *state
	in     string
	pos    int
	out    []byte
	copied int // in[:copied] is in out, as redacted
	depth  int // how many strings the document is inside
	level  *level
}

// A level is the buffers of one depth of JSON in strings: while a document is walked,
// those of the documents around it are in use. Strings that are said to be views lie in
// such a buffer, and are valid until the next string of their level is decoded or cut.
type level struct {
	decoded []byte    // the string that was decoded last
	out     []byte    // the document, as redacted
	cut     [2][]byte // a text, as redacted in the last two rounds
}

// view returns b as a string, without a copy.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// document redacts a JSON text that stands inside depth strings. It returns nil when
// nothing changed; the result is a view of its level.
func (st *state) document(in string, depth int) ([]byte, error) {
	w := walk{st: st, in: in, depth: depth, level: &st.levels[depth]}
	w.out = w.level.out[:0]
	w.space()
	if err := w.value(keyInfo{}, 0); err != nil {
		return nil, err
	}
	w.space()
	if w.pos < len(w.in) {
		return nil, w.errorf("text after the end of the value")
	}
	if w.copied == 0 {
		return nil, nil
	}
	w.out = append(w.out, in[w.copied:]...)
	w.level.out = w.out
	return w.out, nil
}

func (w *walk) errorf(reason string) error { return &syntaxError{w.pos, reason} }

// replace puts the string s, as JSON writes it, in the place of in[start:w.pos].
func (w *walk) replace(start int, s string) {
	if w.copied == 0 {
		// Placeholders are about as long as what they stand for.
		w.out = slices.Grow(w.out, len(w.in)+len(w.in)/8)
	}
	w.out = appendQuoted(append(w.out, w.in[w.copied:start]...), s)
	w.copied = w.pos
}

func (w *walk) space() {
	for w.pos < len(w.in) && isSpace(w.in[w.pos]) {
		w.pos++
	}
}

// value redacts the value at w.pos, which belongs to a key with info.
func (w *walk) value(info keyInfo, nesting int) error {
	if nesting > maxNesting {
		return errNesting
	}
	switch c := at(w.in, w.pos); {
	case c == '"':
		return w.text(info)
	case c == '{':
		return w.object(info, nesting)
	case c == '[':
		return w.array(info, nesting)
	case c == '-' || isDigit(c):
		return w.number(info)
	}
	for _, literal := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(w.in[w.pos:], literal) {
			w.pos += len(literal)
			return nil
		}
	}
	return w.errorf("expected a value")
}

func (w *walk) array(info keyInfo, nesting int) error {
	w.pos++ // [
	w.space()
	if at(w.in, w.pos) == ']' {
		w.pos++
		return nil
	}
	header, isHeader := w.headerPair()
	for n := 0; ; n++ {
		w.space()
		if isHeader && n == 1 && info.treatment != always {
			info = header
		}
		if err := w.value(info, nesting+1); err != nil {
			return err
		}
		w.space()
		switch at(w.in, w.pos) {
		case ',':
			w.pos++
		case ']':
			w.pos++
			return nil
		default:
			return w.errorf("expected ',' or ']' in an array")
		}
	}
}

// maxHeaderBytes bounds the name in a pair that is written as an array.
const maxHeaderBytes = 40

// headerPair looks at the array of two strings at w.pos, ["authorization", "…"], and
// returns what the policy says about the first of them, if the second is a secret by it.
func (w *walk) headerPair() (keyInfo, bool) {
	i := w.pos + 1
	end := nameSet.run(w.in, min(i, len(w.in)), maxHeaderBytes)
	if at(w.in, w.pos) != '"' || end == i || at(w.in, end) != '"' {
		return keyInfo{}, false
	}
	k := end + 1
	for k < len(w.in) && isSpace(w.in[k]) {
		k++
	}
	if at(w.in, k) != ',' {
		return keyInfo{}, false
	}
	for k++; k < len(w.in) && isSpace(w.in[k]); k++ {
	}
	if at(w.in, k) != '"' || classify(w.in[i:end]) == noKey {
		return keyInfo{}, false
	}
	k = stringEnd(w.in, k+1) + 1
	for k < len(w.in) && isSpace(w.in[k]) {
		k++
	}
	info := w.st.r.policy.key(keyInfo{}, w.in[i:end])
	return info, at(w.in, k) == ']' && (info.treatment == always || info.treatment == secretive)
}

// object redacts an object that is the value of a key with info.
//
// In a list of pairs, {"key": "user.name", "value": {"stringValue": …}} as OTLP writes
// attributes, or {"name": "Authorization", "value": …} as HAR writes headers, the value
// is treated as if the pair were a member.
func (w *walk) object(info keyInfo, nesting int) error {
	w.pos++ // {
	w.space()
	if at(w.in, w.pos) == '}' {
		w.pos++
		return nil
	}
	var (
		names map[string]bool // keys with a placeholder; true when we put it there
		pair  keyInfo         // what the policy says about the name of a pair
		named bool
	)
	for {
		w.space()
		if at(w.in, w.pos) != '"' {
			return w.errorf("expected a key in an object")
		}
		start := w.pos
		key, err := w.quoted()
		if err != nil {
			return err
		}
		known := w.st.memberKey(key)
		clean, changed := key, false
		if known == nil || !known.plain {
			clean, changed = w.st.name(key, w.depth+1)
		}
		if changed || w.pos-start != len(key)+2 {
			clean = strings.Clone(clean) // it is a view, and strings follow
		}
		if known != nil && known.plain {
			// As most are.
		} else if changed || strings.Contains(clean, placeholderOpen) {
			if names == nil {
				names = make(map[string]bool)
			}
			// Two values can share a placeholder; two keys of an object must not.
			unique := clean
			for n := 2; ; n++ {
				ours, taken := names[unique]
				if !taken || !changed && !ours {
					break
				}
				unique, changed = clean+"#"+strconv.Itoa(n), true
			}
			clean = unique
			names[clean] = changed
			known = nil
		} else if known != nil && !w.st.settled && w.st.r.find == nil {
			known.plain = true
		}
		if changed {
			w.replace(start, clean)
			w.noteNames()
		}
		w.space()
		if at(w.in, w.pos) != ':' {
			return w.errorf("expected ':' after a key")
		}
		w.pos++
		w.space()
		member := w.st.member(info, clean, known)
		if info.schema && at(w.in, w.pos) == '{' {
			// "password" under "properties" is declared, not given.
			member = keyInfo{}
		}
		switch clean {
		case "key", "name":
			if at(w.in, w.pos) == '"' && !named {
				save := w.pos
				name, err := w.quoted()
				if err != nil {
					return err
				}
				w.pos = save
				pair, named = w.st.key(keyInfo{}, name, w.st.memberKey(name)), true
				if info.treatment == always && member == info && clean == "key" {
					// The name of a pair inside a value that goes: the name stays.
					member = keyInfo{}
				}
			}
		case "value":
			if !named {
				pair, named = w.nameAfterValue()
			}
			if named && member.treatment == scan {
				member = pair
			}
		}
		if err := w.value(member, nesting+1); err != nil {
			return err
		}
		w.space()
		switch at(w.in, w.pos) {
		case ',':
			w.pos++
		case '}':
			w.pos++
			return nil
		default:
			return w.errorf("expected ',' or '}' in an object")
		}
	}
}

// nameAfterValue looks behind a string that is the "value" of a pair for the name of
// the pair.
func (w *walk) nameAfterValue() (keyInfo, bool) {
	peek := walk{st: w.st, in: w.in, pos: w.pos, level: w.level}
	if at(peek.in, peek.pos) != '"' {
		return keyInfo{}, false
	}
	if _, err := peek.quoted(); err != nil {
		return keyInfo{}, false
	}
	peek.space()
	if at(peek.in, peek.pos) != ',' {
		return keyInfo{}, false
	}
	peek.pos++
	peek.space()
	rest := peek.in[peek.pos:]
	if !strings.HasPrefix(rest, `"key"`) && !strings.HasPrefix(rest, `"name"`) {
		return keyInfo{}, false
	}
	peek.pos += strings.IndexByte(rest[1:], '"') + 2
	peek.space()
	if at(peek.in, peek.pos) != ':' {
		return keyInfo{}, false
	}
	peek.pos++
	peek.space()
	if at(peek.in, peek.pos) != '"' {
		return keyInfo{}, false
	}
	name, err := peek.quoted()
	if err != nil {
		return keyInfo{}, false
	}
	return w.st.key(keyInfo{}, name, w.st.memberKey(name)), true
}

// member is what the policy says about key inside a value of a key with parent: what
// goes as a whole goes with everything in it.
func (st *state) member(parent keyInfo, key string, k *memberKey) keyInfo {
	if parent.treatment == always {
		if parent.kind == Address && st.r.policy.places[fold(key)] {
			return keyInfo{}
		}
		return parent
	}
	info := st.key(parent, key, k)
	if info.treatment == scan && (key == "value" || strings.HasSuffix(key, "Value") || key == "values") {
		// The wrappers of OTLP: {"stringValue": …}, {"arrayValue": {"values": […]}}.
		info.treatment, info.kind = parent.treatment, parent.kind
		info.version, info.spared = parent.version, parent.spared
	}
	return info
}

// minDroppedDigits is the length from which a number is dropped when the time is over:
// shorter ones tell nobody apart.
const minDroppedDigits = 7

// number checks the number at w.pos and replaces it if its key says what it is.
func (w *walk) number(info keyInfo) error {
	start := w.pos
	if at(w.in, w.pos) == '-' {
		w.pos++
	}
	switch c := at(w.in, w.pos); {
	case c == '0':
		w.pos++
	case isDigit(c):
		w.digits()
	default:
		return w.errorf("expected a digit")
	}
	if at(w.in, w.pos) == '.' {
		w.pos++
		if !w.digits() {
			return w.errorf("expected a digit after '.'")
		}
	}
	if at(w.in, w.pos)|0x20 == 'e' {
		w.pos++
		if c := at(w.in, w.pos); c == '+' || c == '-' {
			w.pos++
		}
		if !w.digits() {
			return w.errorf("expected a digit in the exponent")
		}
	}
	if w.st.expired && w.pos-start >= minDroppedDigits {
		w.replace(start, w.st.hide(Dropped, w.in[start:w.pos]))
		return nil
	}
	if kind, ok := w.st.literal(w.in[start:w.pos], info); ok {
		w.replace(start, w.st.hide(kind, w.in[start:w.pos]))
	}
	return nil
}

func (w *walk) digits() bool {
	start := w.pos
	for w.pos < len(w.in) && isDigit(w.in[w.pos]) {
		w.pos++
	}
	return w.pos > start
}

// text redacts the string at w.pos.
func (w *walk) text(info keyInfo) error {
	start := w.pos
	s, err := w.quoted()
	if err != nil {
		return err
	}
	if clean, changed := w.st.value(s, info, w.depth+1); changed {
		w.replace(start, clean)
		w.noteNames()
	}
	return nil
}

// noteNames remembers, in the outermost document, that a name was learned from what was
// just replaced.
func (w *walk) noteNames() {
	if w.depth == 0 && w.st.learned {
		w.st.unnamed, w.st.learned = len(w.out), false
	}
}

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
			r, ok := hex4(w.in, w.pos)
			if !ok {
				return "", w.errorf("invalid \\u escape")
			}
			w.pos += 4
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if strings.HasPrefix(w.in[min(w.pos, len(w.in)):], `\u`) {
					low, ok = hex4(w.in, w.pos+2)
				}
				if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
					r = pair
					w.pos += 6
				} else {
					r = utf8.RuneError
				}
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
