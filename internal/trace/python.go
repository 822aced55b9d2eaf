package trace

import (
	"strings"
	"unicode/utf8"
)

// pythonValue reads s, a dict or list as Python prints it ({'city': 'Rome', 'n': None}), and
// returns the value that its JSON would have. Frameworks in Python write a tool's input so
// where the model's call has JSON.
func pythonValue(s string) (any, bool) {
	s = strings.TrimSpace(s)
	if s == "" || s[0] != '{' && s[0] != '[' || !utf8.ValidString(s) {
		return nil, false
	}
	b, ok := pythonJSON(s)
	if !ok {
		return nil, false
	}
	v, err := parseJSON(b)
	return v, err == nil
}

// pythonJSON rewrites what Python writes otherwise than JSON: quotes, escapes, the names of
// constants, tuples. The result need not be JSON; a text without its end has none there either.
func pythonJSON(s string) ([]byte, bool) {
	b := make([]byte, 0, len(s)+len(s)/8)
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\'' || c == '"':
			text, n, ended, ok := pythonString(s[i:])
			if !ok {
				return nil, false
			}
			b = appendString(b, text)
			if i += n; !ended {
				b = b[:len(b)-1]
			}
		case c == '(':
			b, i = append(b, '['), i+1
		case c == ')':
			b, i = append(b, ']'), i+1
		case c >= 'A' && c <= 'Z':
			n := 1
			for i+n < len(s) && (s[i+n]|0x20 >= 'a' && s[i+n]|0x20 <= 'z') {
				n++
			}
			switch s[i : i+n] {
			case "True":
				b = append(b, "true"...)
			case "False":
				b = append(b, "false"...)
			case "None":
				b = append(b, "null"...)
			default: // an object's constructor
				return nil, false
			}
			i += n
		default:
			b, i = append(b, c), i+1
		}
	}
	return b, true
}

// pythonString reads the string literal that s starts with and returns its length, and
// whether it has an end.
func pythonString(s string) (text string, n int, ended, ok bool) {
	var sb strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case s[0]:
			return sb.String(), i + 1, true, true
		case '\\':
			if i++; i == len(s) {
				continue
			}
			switch c := s[i]; c {
			case 'n':
				sb.WriteByte('\n')
			case 't':
				sb.WriteByte('\t')
			case 'r':
				sb.WriteByte('\r')
			case '\\', '\'', '"':
				sb.WriteByte(c)
			default: // \x1b and the like: the text is not what it seems
				return "", 0, false, false
			}
		default:
			sb.WriteByte(c)
		}
	}
	return sb.String(), len(s), false, true
}
