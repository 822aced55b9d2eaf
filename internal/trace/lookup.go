package trace

import "strings"

// A lookup is an object with a summary of its keys, which tells of most others that they
// are not there. Emitters have many words for one thing, so that a span is asked for some
// two hundred keys, of which it has ten: that was a fifth of the time that a short one took.
type lookup struct {
	m map[string]any
	summary
}

// A summary has the bits of an object's keys, and of how they start.
type summary struct{ keys, starts uint64 }

// lookupIn summarizes m. A key that is put into m later must be added to the summary.
func lookupIn(m map[string]any) lookup {
	l := lookup{m: m}
	for k := range m {
		l.add(k)
	}
	return l
}

// lookAlways returns a lookup that knows nothing of m, which may change.
func lookAlways(m map[string]any) lookup { return lookup{m, summary{^uint64(0), ^uint64(0)}} }

// keyBit returns one bit, which few other keys of a span have in common with k: it is told
// by the length and the last byte.
func keyBit(k string) uint64 {
	if k == "" {
		return 1
	}
	return 1 << ((uint(len(k))*7 ^ uint(k[len(k)-1])) & 63)
}

// The lengths of the starts that a lookup knows, in bytes: "gen_ai.", and more of it.
const shortStart, longStart = 7, 10

// startBits returns a bit each for the two starts of k, as far as it is so long.
func startBits(k string) (bits uint64) {
	if len(k) >= shortStart {
		bits = startBit(k[:shortStart])
	}
	if len(k) >= longStart {
		bits |= startBit(k[:longStart])
	}
	return bits
}

func startBit(start string) uint64 {
	n := uint(start[0]) ^ uint(start[3])<<1 ^ uint(start[6])<<2
	if len(start) == longStart {
		n ^= uint(start[7])<<1 ^ uint(start[8])<<3 ^ uint(start[9])*5
	}
	return 1 << (n & 63)
}

// mayStart reports whether keys may start with prefix.
func (l lookup) mayStart(prefix string) bool {
	switch n := len(prefix); {
	case n >= longStart:
		return l.starts&startBit(prefix[:longStart]) != 0
	case n >= shortStart:
		return l.starts&startBit(prefix[:shortStart]) != 0
	}
	return len(l.m) > 0
}

// hasPrefix reports whether one of the keys starts with prefix.
func (l lookup) hasPrefix(prefix string) bool {
	if !l.mayStart(prefix) {
		return false
	}
	for k := range l.m {
		if strings.HasPrefix(k, prefix) {
			return true
		}
	}
	return false
}

// add takes k in.
func (s *summary) add(k string) {
	s.keys |= keyBit(k)
	s.starts |= startBits(k)
}

// get returns the value of k, or nil.
func (l lookup) get(k string) any {
	if l.keys&keyBit(k) == 0 {
		return nil
	}
	return l.m[k]
}

// first is [first] in the object.
func (l lookup) first(keys ...string) any {
	for _, k := range keys {
		if v := l.get(k); v != nil {
			return v
		}
	}
	return nil
}

// text is [firstText] in the object.
func (l lookup) text(keys ...string) string {
	for _, k := range keys {
		if s := scalar(l.get(k)); s != "" {
			return s
		}
	}
	return ""
}

// count is [count] in the object.
func (l lookup) count(keys ...string) int {
	for _, k := range keys {
		if n := countOf(l.get(k)); n >= 0 {
			return n
		}
	}
	return -1
}

// has reports whether one of keys is there, even if it is null.
func (l lookup) has(keys ...string) bool {
	for _, k := range keys {
		if l.keys&keyBit(k) == 0 {
			continue
		}
		if _, ok := l.m[k]; ok {
			return true
		}
	}
	return false
}
