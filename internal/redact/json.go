package redact

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	peeked int // how many bytes were looked at ahead, for the kinds of objects
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
		start := w.pos
		if err := w.value(info, nesting+1); err != nil {
			return err
		}
		if strings.HasPrefix(w.in[start:], `"--`) && info.treatment != always {
			if err := w.flagged(w.in[start+1 : w.pos-1]); err != nil {
				return err
			}
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

// object redacts an object that is the value of a key with info.
func (w *walk) object(info keyInfo, nesting int) error {
	w.pos++ // {
	w.space()
	if at(w.in, w.pos) == '}' {
		w.pos++
		return nil
	}
	var seen members
	for {
		w.space()
		if at(w.in, w.pos) != '"' {
			return w.errorf("expected a key in an object")
		}
		key, known, err := w.memberName(&seen)
		if err != nil {
			return err
		}
		w.space()
		if at(w.in, w.pos) != ':' {
			return w.errorf("expected ':' after a key")
		}
		w.pos++
		w.space()
		member := w.st.member(info, key, known)
		if at(w.in, w.pos) == '{' && (info.has(schema) || member.treatment == always && declares(w.in, w.pos)) {
			// "password" under "properties" is declared, not given.
			member = keyInfo{}
		}
		if len(key) == len("data") || len(key) == len("stringData") {
			if w.isSecretData(&seen, key) {
				member = keyInfo{treatment: always, kind: Secret}
			}
		}
		if member.treatment == always || len(key) == len("email") {
			w.noteSibling(&seen, member, key)
		}
		if mayBePair(key) {
			if member, err = w.paired(&seen, info, member, key); err != nil {
				return err
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

// members is what is remembered of an object while its members are read.
type members struct {
	names map[string]bool // keys with a placeholder; true when we put it there
	pair  keyInfo         // what the policy says about the name of a pair
	named bool            // pair is known
	// nameAt is where the name of the pair stands, if it has come.
	nameAt int
	// manifest reports that there is "apiVersion": "v1", kinded that there is a "kind", and
	// secret that it is "Secret".
	manifest, kinded, secret bool
	// fieldAt is where the field of a form stands that something is typed into.
	fieldAt int
	// personal reports that there is what only persons have, mail is the value of "email".
	personal bool
	mail     string
}

// memberName reads the key at w.pos, redacts it, and returns it as it is from now on, with
// what is known of it.
func (w *walk) memberName(seen *members) (string, *memberKey, error) {
	start := w.pos
	key, err := w.quoted()
	if err != nil {
		return "", nil, err
	}
	known := w.st.memberKey(key)
	clean, changed := key, false
	if known == nil || !known.plain {
		clean, changed = w.st.name(key, w.depth+1)
	}
	if changed || w.pos-start != len(key)+2 {
		clean = strings.Clone(clean) // it is a view, and strings follow
	}
	switch {
	case known != nil && known.plain: // as most are
	case changed || strings.Contains(clean, placeholderOpen):
		clean, changed = seen.unique(clean, changed)
		known = nil
	case known != nil && !w.st.settled && w.st.r.find == nil:
		known.plain = true
	}
	if changed {
		w.replace(start, clean)
		w.noteNames()
	}
	return clean, known, nil
}

// unique returns a key that holds a placeholder with a number behind it, if the object has
// the key already: two values can share a placeholder, two keys of an object must not.
func (m *members) unique(key string, changed bool) (string, bool) {
	if m.names == nil {
		m.names = make(map[string]bool)
	}
	unique := key
	for n := 2; ; n++ {
		ours, taken := m.names[unique]
		if !taken || !changed && !ours {
			break
		}
		unique, changed = key+"#"+strconv.Itoa(n), true
	}
	m.names[unique] = changed
	return unique, changed
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
		info.flags |= parent.flags & (version | spared)
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
