package redact

import "strings"

// Documents stand in the middle of texts, too: "the service answered {…}". They are
// redacted as documents first, so that their keys count, and then with the text.

const (
	// maxUnbalanced and maxBroken bound how often something that starts like a document
	// and is none is tried: in one text, for want of an end or of syntax.
	maxUnbalanced = 4
	maxBroken     = 2
	// minEmbeddedBytes is the length of the shortest document that is worth it.
	minEmbeddedBytes = 12
)

// embedded redacts the documents in the text s, which stands inside depth-1 strings. It
// returns a copy when something changed.
func (st *state) embedded(s string, depth int) (string, bool) {
	var out []byte
	copied, unbalanced, broken := 0, 0, 0
	for i := 0; i+minEmbeddedBytes <= len(s); {
		k := strings.IndexByte(s[i:], '{')
		if k < 0 {
			break
		}
		i += k
		if !opensObject(s, i) {
			i++
			continue
		}
		end := balancedEnd(s, i)
		if end < 0 {
			if unbalanced++; unbalanced == maxUnbalanced {
				break
			}
			i++
			continue
		}
		clean, changed, ok := st.nested(s[i:end], depth)
		if !ok {
			if broken++; broken == maxBroken {
				break
			}
			i++
			continue
		}
		if changed {
			out = append(append(out, s[copied:i]...), clean...)
			copied = end
		}
		i = end
	}
	if copied == 0 {
		return s, false
	}
	return view(append(out, s[copied:]...)), true
}

// opensObject reports whether an object with a key opens at s[i].
func opensObject(s string, i int) bool {
	for i++; i < len(s) && isSpace(s[i]); i++ {
	}
	return at(s, i) == '"'
}

// balancedEnd returns the end of the object that opens at s[i], going by brackets and
// strings only, or -1.
func balancedEnd(s string, i int) int {
	open := 0
	for i < len(s) {
		switch s[i] {
		case '{', '[':
			open++
		case '}', ']':
			if open--; open == 0 {
				return i + 1
			}
		case '"':
			if i = stringEnd(s, i+1); i >= len(s) {
				return -1
			}
		}
		i++
	}
	return -1
}
