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

// snakeKey returns fooBar and FooBar as foo_bar, and any other key as it is. A key of
// something else than letters is no field's name.
func snakeKey(k string) string {
	if strings.IndexFunc(k, isUpper) < 0 || strings.ContainsFunc(k, func(r rune) bool { return !isUpper(r) && (r < 'a' || r > 'z') }) {
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
