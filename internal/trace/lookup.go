package trace

// A lookup is an object with a summary of its keys, which tells of most others that they
// are not there. Emitters have many words for one thing, so that a span is asked for some
// two hundred keys, of which it has ten: that was a fifth of the time that a short one took.
type lookup struct {
	m    map[string]any
	keys uint64 // the bits of all keys of m
}

// lookupIn summarizes m. A key that is put into m later must be told by [lookup.set].
func lookupIn(m map[string]any) lookup {
	l := lookup{m: m}
	for k := range m {
		l.keys |= keyBit(k)
	}
	return l
}

// keyBit returns one bit, which few other keys of a span have in common with k: it is told
// by the length and the last byte.
func keyBit(k string) uint64 {
	if k == "" {
		return 1
	}
	return 1 << ((uint(len(k))*7 ^ uint(k[len(k)-1])) & 63)
}

// set puts v into the object.
func (l *lookup) set(k string, v any) {
	l.m[k] = v
	l.keys |= keyBit(k)
}

// get returns the value of k, or nil.
func (l *lookup) get(k string) any {
	if l.keys&keyBit(k) == 0 {
		return nil
	}
	return l.m[k]
}

// first is [first] in the object.
func (l *lookup) first(keys ...string) any {
	for _, k := range keys {
		if v := l.get(k); v != nil {
			return v
		}
	}
	return nil
}

// text is [firstText] in the object.
func (l *lookup) text(keys ...string) string {
	for _, k := range keys {
		if s := scalar(l.get(k)); s != "" {
			return s
		}
	}
	return ""
}

// count is [count] in the object.
func (l *lookup) count(keys ...string) int {
	for _, k := range keys {
		if n := countOf(l.get(k)); n >= 0 {
			return n
		}
	}
	return -1
}

// has reports whether one of keys is there, even if it is null.
func (l *lookup) has(keys ...string) bool {
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
