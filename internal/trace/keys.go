package trace

import "strings"

// snakeKeys returns m with its own keys in snake_case, as programs in other languages than
// JavaScript and C# write them. What has only such keys is m itself; inner objects stay as
// they are.
func snakeKeys(m map[string]any) map[string]any {
	var out map[string]any
	for k, v := range m {
		s := snakeKey(k)
		if s == k {
			continue
		}
		if out == nil {
			out = make(map[string]any, len(m))
			for k, v := range m {
				out[k] = v
			}
		}
		if out[s] == nil {
			out[s] = v
		}
	}
	if out == nil {
		return m
	}
	return out
}

// maxFieldName is the longest name of a field that is known in another spelling, in bytes.
const maxFieldName = 32

// snakeKey returns fooBar and FooBar as foo_bar, and any other key as it is: what is no name of
// a field may be data, in which a secret is known by its spelling.
func snakeKey(k string) string {
	if len(k) > maxFieldName || strings.IndexFunc(k, isUpper) < 0 || strings.IndexFunc(k, isNoLetter) >= 0 {
		return k
	}
	var sb strings.Builder
	for i, r := range k {
		if isUpper(r) {
			if i > 0 {
				sb.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		sb.WriteRune(r)
	}
	return sb.String()
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

func isNoLetter(r rune) bool { return !isUpper(r) && (r < 'a' || r > 'z') && r != '_' }
