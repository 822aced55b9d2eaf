package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"slices"
	"strings"
	"time"
)

const (
	// maxRounds bounds how often a text is scanned again because the last scan changed
	// it. Two are the rule: one that finds and one that finds nothing more. A text that
	// is still changing after the last round is dropped as a whole.
	maxRounds = 16
	// maxCachedKeys bounds the keys whose treatment is remembered.
	maxCachedKeys = 4096
)

// A state is what one goroutine needs while it redacts: it is reused, not shared.
type state struct {
	r    *Redactor
	keys map[string]*memberKey
	// lastKey is the key that was asked for last. Objects of one form follow each other in
	// most documents, and so do their keys.
	lastKey *memberKey
	// recent are some of keys, by recentKey: most keys are found there.
	recent [256]*memberKey
	found  map[Kind]int
	spans  []span
	scan   scanner
	// levels are the buffers of each depth; the last is that of names.
	levels [nameLevel + 1]level
	second level // of the document that the second pass reads
	mac    hash.Hash
	// names are the names of persons that stood under keys. They are looked for from then
	// on, and again, in what came before, when the document is settled.
	names   []string
	settled bool
	// learned is set with each new name; unnamed is how much of the document was done
	// when the last one came: what follows was searched for all of them.
	learned bool
	unnamed int
	table   nameTable
	// deadline is when this text or document has had its time, and unchecked how many
	// bytes may still pass before the clock is read.
	deadline  time.Time
	unchecked int
	expired   bool
	// placeholders are those of values that were found before.
	placeholders map[foundValue]string
}

// A foundValue is what a placeholder stands for.
type foundValue struct {
	kind  Kind
	value string
}

// maxPlaceholders and maxCachedValue bound the values whose placeholders are remembered.
const (
	maxPlaceholders = 1024
	maxCachedValue  = 64
)

// nameLevel is the depth at which names of members are redacted.
const nameLevel = maxStringDepth + 1

// A span is a finding: the bytes [start, end) of a text.
type span struct {
	start, end int
	kind       Kind
}

func newState(r *Redactor) *state {
	st := &state{
		r:       r,
		keys:    make(map[string]*memberKey),
		lastKey: new(memberKey),

		placeholders: make(map[foundValue]string),
		scan:         scanner{policy: r.policy, shapes: r.shapes, regions: r.regions},
		mac:          hmac.New(sha256.New, r.key),
	}
	st.scan.late = st.late
	return st
}

func (st *state) reset() {
	st.found = nil
	if len(st.names) > 0 {
		st.table.reset()
	}
	st.names, st.settled, st.learned, st.unnamed = st.names[:0], false, false, 0
	st.deadline, st.unchecked, st.expired = st.r.now().Add(st.r.limit), clockBytes, false
}

// clockBytes is how much is redacted before the clock is read again: 2 ms or less.
const clockBytes = 256 << 10

// late reports whether the time is over, when n more bytes are to be looked at.
func (st *state) late(n int) bool {
	if st.unchecked -= n; st.unchecked < 0 && !st.expired {
		st.unchecked = clockBytes
		st.expired = st.r.now().After(st.deadline)
	}
	return st.expired
}

// counts returns what was found since the last reset; never nil.
func (st *state) counts() Counts {
	if st.found == nil {
		return Counts{}
	}
	return st.found
}

func (st *state) count(k Kind) {
	if st.found == nil {
		st.found = make(map[Kind]int)
	}
	st.found[k]++
}

// hide counts value and returns its placeholder.
func (st *state) hide(k Kind, value string) string {
	st.count(k)
	if k == Name && !st.settled {
		st.learn(value)
	}
	if len(value) > maxCachedValue {
		return placeholder(st.mac, k, value)
	}
	if p, ok := st.placeholders[foundValue{k, value}]; ok {
		return p
	}
	if len(st.placeholders) >= maxPlaceholders {
		clear(st.placeholders)
	}
	p := placeholder(st.mac, k, value)
	st.placeholders[foundValue{k, strings.Clone(value)}] = p
	return p
}

// A memberKey is what is remembered of a key: few keys make up most of a document.
type memberKey struct {
	key   string
	next  *memberKey // that came after it the last time
	plain bool       // nothing is found in it, and it has no placeholder
	known [4]bool    // which of info are known
	info  [4]keyInfo // by what the parent is
}

// memberKey returns what is remembered of key, or nil when it is not worth remembering.
func (st *state) memberKey(key string) *memberKey {
	if next := st.lastKey.next; next != nil && next.key == key {
		st.lastKey = next
		return next
	}
	recent := &st.recent[recentKey(key)]
	k := *recent
	if k == nil || k.key != key {
		if k = st.keys[key]; k == nil {
			if len(key) > maxKeyBytes {
				return nil
			}
			if len(st.keys) >= maxCachedKeys {
				clear(st.keys) // those in use stay with who uses them
			}
			k = &memberKey{key: strings.Clone(key)}
			st.keys[k.key] = k
		}
		*recent = k
	}
	st.lastKey.next = k
	st.lastKey = k
	return k
}

// recentKey is where key stands among the recent ones, if it is there.
func recentKey(key string) byte {
	n := len(key)
	if n == 0 {
		return 0
	}
	return byte(n)*7 ^ key[0]<<3 ^ key[n-1]<<1 ^ key[n/2]
}

// key returns what the policy says about key under parent. k is what is remembered of
// it, or nil.
func (st *state) key(parent keyInfo, key string, k *memberKey) keyInfo {
	if k == nil {
		return st.askPolicy(parent, key)
	}
	i := 0
	if parent.has(person) {
		i |= 1
	}
	if parent.has(host) {
		i |= 2
	}
	if !k.known[i] {
		k.info[i], k.known[i] = st.askPolicy(parent, key), true
	}
	return k.info[i]
}

func (st *state) askPolicy(parent keyInfo, key string) keyInfo {
	info := st.r.policy.key(parent, key)
	if info.treatment != always && st.r.shapes.namesVendor(key) {
		info.kind = Kind(strings.Clone(key))
	}
	return info
}

// vendorValue reports whether a string is a key of the vendor that its name names.
func (st *state) vendorValue(s string, info keyInfo) (Kind, bool) {
	vendor := info.vendor()
	if vendor == "" {
		return "", false
	}
	return st.scan.vendorValue(vendor, strings.TrimSpace(s))
}

// value redacts a decoded string that belongs to a key with info and stands inside
// depth strings. What it returns may be a view.
func (st *state) value(s string, info keyInfo, depth int) (string, bool) {
	if s == "" || isPlaceholder(s) {
		return s, false
	}
	if info.treatment == always {
		return st.hide(info.kind, s), true
	}
	return st.settle(s, info, depth)
}

// name redacts the key of an object that stands inside depth-1 strings. A key can hold
// JSON, too.
func (st *state) name(key string, depth int) (string, bool) {
	names := st.names
	st.names = nil // keys are the document's form, and do not change with its content
	defer func() { st.names = append(names, st.names...) }()
	if depth < maxStringDepth && looksLikeJSON(key) {
		if clean, changed, ok := st.nested(key, depth); ok {
			return clean, changed
		}
	}
	return st.settle(key, keyInfo{}, nameLevel)
}

// settle redacts s until nothing more is found in it.
func (st *state) settle(s string, info keyInfo, depth int) (string, bool) {
	if st.settled && !st.mayHaveNames(s) {
		return s, false // the first pass has settled it
	}
	changed := false
	for round := range maxRounds {
		if st.late(len(s)) && (depth != nameLevel || len(s) > maxKeyBytes) && !allPlaceholders(s) {
			return st.hide(Dropped, s), true
		}
		if depth < maxStringDepth && looksLikeJSON(s) {
			if clean, more, ok := st.nested(s, depth); ok {
				// Each string and key in it is settled, and so is the whole.
				return clean, changed || more
			}
		}
		if depth < maxStringDepth {
			if next, more := st.embedded(s, depth); more {
				s, changed = next, true
			}
		}
		next, more := st.text(s, info, &st.levels[depth].cut[round%2])
		if !more {
			return s, changed
		}
		s, changed = next, true
	}
	return st.hide(Dropped, s), true
}

// nested redacts s as a document inside depth strings, if it is JSON.
func (st *state) nested(s string, depth int) (clean string, changed, ok bool) {
	if st.settled {
		out, err := st.secondPass(s, len(s), depth)
		if err == nil && out != nil && !st.mayHaveNames(view(out)) {
			return view(out), true, true
		}
		// It is no JSON, or a name is outside of its strings.
	}
	found := st.found
	st.found = nil
	out, err := st.document(s, depth)
	inner := st.found
	st.found = found
	if err != nil {
		return "", false, false // what was found in it is found again in the text
	}
	for k, n := range inner {
		if st.found == nil {
			st.found = make(map[Kind]int)
		}
		st.found[k] += n
	}
	if out == nil {
		return s, false, true
	}
	return view(out), true, true
}

// looksLikeJSON reports whether s starts and ends like an array, an object or a string.
func looksLikeJSON(s string) bool {
	i, j := 0, len(s)
	for i < j && isSpace(s[i]) {
		i++
	}
	for j > i && isSpace(s[j-1]) {
		j--
	}
	if j-i < 2 {
		return false
	}
	switch s[i] {
	case '{':
		return s[j-1] == '}'
	case '[':
		return s[j-1] == ']'
	case '"':
		return s[j-1] == '"'
	}
	return false
}

// text redacts s as running text, in one round, into buf, which s is no view of.
func (st *state) text(s string, info keyInfo, buf *[]byte) (string, bool) {
	for _, secret := range st.r.secrets {
		if strings.Contains(s, secret) {
			if clean, changed := st.own(s, buf); changed {
				return clean, true
			}
			break // only a placeholder contains it
		}
	}
	if len(st.names) > 0 {
		if clean, changed := st.hideNames(s, buf); changed {
			return clean, true
		}
	}
	if len(s) < minFindingBytes {
		return s, false
	}
	if info.treatment == identifier && (len(s) > maxIdentifierBytes || !info.has(spared) && isProse(s)) {
		info = keyInfo{}
	}
	spans := st.spans[:0]
	st.scan.begin(info)
	for pos := 0; pos < len(s); {
		start, end := nextPlaceholder(s, pos)
		if kind, ok := wholeValue(s[pos:start], info); ok {
			spans = append(spans, span{pos, start, kind})
		} else if kind, ok := st.vendorValue(s[pos:start], info); ok {
			spans = append(spans, span{pos, start, kind})
		} else {
			spans = st.scan.segment(spans, s, pos, start)
		}
		pos = end
	}
	if st.r.find != nil {
		var ok bool
		if spans, ok = st.entities(s, spans); !ok {
			return st.hide(Dropped, s), true
		}
	}
	st.spans = spans
	if len(spans) == 0 {
		return s, false
	}
	return st.cut(s, spans, buf), true
}

// isProse reports whether s is words rather than an id, a time or a count.
func isProse(s string) bool {
	letters := 0
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' && letters >= 3 {
			return true
		}
		if letters++; !isAlpha(s[i]) {
			letters = 0
		}
	}
	return false
}

// own replaces the service's own secrets in s, outside placeholders, and nothing else.
func (st *state) own(s string, buf *[]byte) (string, bool) {
	spans := st.spans[:0]
	next := make([]int, len(st.r.secrets)) // where each occurs next
	for pos := 0; pos < len(s); {
		start, end := nextPlaceholder(s, pos)
		for i := range next {
			next[i] = pos - 1
		}
		for pos < start {
			best := span{start: start, end: start}
			for i, secret := range st.r.secrets {
				if next[i] < pos {
					next[i] = start
					if k := strings.Index(s[pos:start], secret); k >= 0 {
						next[i] = pos + k
					}
				}
				if next[i] < best.start {
					best = span{next[i], next[i] + len(secret), OwnSecret}
				}
			}
			if best.kind != "" {
				spans = append(spans, best)
			}
			pos = best.end
		}
		pos = end
	}
	st.spans = spans
	if len(spans) == 0 {
		return s, false
	}
	return st.cut(s, spans, buf), true
}

// cut returns s with spans, which ascend and do not overlap, replaced: a view of buf.
func (st *state) cut(s string, spans []span, buf *[]byte) string {
	b := slices.Grow((*buf)[:0], len(s)+len(s)/8)
	pos := 0
	for _, sp := range spans {
		b = append(append(b, s[pos:sp.start]...), st.hide(sp.kind, s[sp.start:sp.end])...)
		pos = sp.end
	}
	*buf = append(b, s[pos:]...)
	return view(*buf)
}

// wholeValue reports whether a string goes as a whole because of its key, and of what
// it looks like where the key alone is no proof.
func wholeValue(s string, info keyInfo) (Kind, bool) {
	switch info.treatment {
	case always:
		return info.kind, true
	case secretive:
		if v := strings.TrimSpace(s); isOpaque(v, 16) || len(v) >= 10 && isCredential(v) {
			return Secret, true
		}
	case opaqueOnly:
		if v := strings.TrimSpace(s); isOpaque(v, 20) || isBasic(v) {
			return Secret, true
		}
	case phoneLike:
		if n, other := countDigits(s); n >= 7 && n <= 15 && other <= 12 {
			return Phone, true
		}
	case cardLike:
		if n, other := countDigits(s); n >= 12 && n <= 19 && other <= 6 && luhn(s) {
			return Card, true
		}
	}
	return "", false
}

// literal reports whether the number s, as JSON writes it, goes because of its key.
func (st *state) literal(s string, info keyInfo) (Kind, bool) {
	switch info.treatment {
	case always:
		// Amounts and flags (a cookie's max-age, an address's longitude) are no secrets,
		// but nothing tells them from a PIN.
		return info.kind, true
	case phoneLike, cardLike:
		return wholeValue(s, info)
	}
	if len(s) >= minSecretBytes {
		for _, secret := range st.r.secrets {
			if s == secret {
				return OwnSecret, true
			}
		}
	}
	return "", false
}

// countDigits returns how many digits s has, and how many other characters.
func countDigits(s string) (digits, other int) {
	for i := 0; i < len(s); i++ {
		if isDigit(s[i]) {
			digits++
		} else {
			other++
		}
	}
	return digits, other
}
