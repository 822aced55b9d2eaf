package trace

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// This file reads JSON whose end is missing. SDKs of OpenTelemetry cut attributes at
// OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT characters, without a mark, and so do many back ends.

// CutMark stands in a text where its emitter cut it, or what it was written in.
const CutMark = "…[cut by the emitter]"

// cutField is the field, or element, in which an object or array that was cut between its
// values has its [CutMark].
const cutField = "…"

// IsCut reports whether text is what an emitter left of a longer one, as far as that could
// be told.
func IsCut(text string) bool { return strings.Contains(text, CutMark) }

// maxClosers bounds how deep cut JSON may nest.
const maxClosers = 256

// finished returns s, a JSON object or array that was cut, with an end: the text that the
// cut goes through keeps its beginning, a key or number that it goes through is left out,
// and [CutMark] stands in their place. Of a whole value with an ellipsis behind it, it
// returns the value. It reports false for anything else; what it returns need not be JSON.
func finished(s string) (string, bool) {
	var few [16]byte
	open := few[:0] // the brackets that are missing, innermost last
	whole := 0      // s[:whole] ends with a value, or with the bracket that opens one
	isKey := false
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case ' ', '\n', '\t', '\r':
			i++
		case '{', '[':
			if len(open) == maxClosers {
				return "", false
			}
			open = append(open, c+2) // the closing one, in ASCII
			i++
			whole, isKey = i, c == '{'
		case '}', ']':
			if len(open) == 0 || open[len(open)-1] != c {
				return "", false
			}
			open = open[:len(open)-1]
			i++
			whole, isKey = i, false
			if len(open) == 0 {
				return s[:i], i < len(s) && isEllipsis(s[i:])
			}
		case ',':
			i, isKey = i+1, len(open) > 0 && open[len(open)-1] == '}'
		case ':':
			i, isKey = i+1, false
		case '"':
			n, ended := literalLen(s[i:])
			if !ended && !isKey {
				return closed(s[:i+n], CutMark+`"`, open), len(open) > 0
			}
			if i += n; !ended {
				i = len(s)
			} else if !isKey {
				whole = i
			}
		default:
			n := strings.IndexAny(s[i:], ",]} \n\t\r")
			if n < 0 {
				if !isWordStart(s[i:]) {
					return "", false
				}
				i = len(s)
				break
			}
			i += n
			whole = i
		}
	}
	if len(open) == 0 {
		return "", false
	}
	end := `,"` + cutField + `":"` + CutMark + `"`
	if open[len(open)-1] == ']' {
		end = `,"` + CutMark + `"`
	}
	if c := s[whole-1]; c == '{' || c == '[' {
		end = end[1:]
	}
	return closed(s[:whole], end, open), true
}

// closed returns s, end and the brackets in open, innermost first.
func closed(s, end string, open []byte) string {
	b := make([]byte, 0, len(s)+len(end)+len(open))
	b = append(append(b, s...), end...)
	for _, c := range slices.Backward(open) {
		b = append(b, c)
	}
	return viewOf(b)
}

// literalLen returns the length of the string literal that s starts with. Of one that has
// no end it is what can be read of it: no half of an escape.
func literalLen(s string) (n int, ended bool) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i + 1, true
		case '\\':
			size := 2
			if strings.HasPrefix(s[i:], `\u`) {
				size = 6
			}
			if i+size > len(s) {
				return i, false
			}
			i += size - 1
		}
	}
	return len(s), false
}

// isWordStart reports whether s may be the beginning of a number, true, false or null.
func isWordStart(s string) bool {
	for _, w := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(w, s) {
			return true
		}
	}
	return strings.Trim(s, "+-.0123456789eE") == ""
}

// isEllipsis reports whether s only says that something was left out.
func isEllipsis(s string) bool {
	s = strings.ToLower(strings.Trim(s, " \t\r\n.…[]()<>"))
	return s == "" || s == "truncated" || s == "cut" || s == "more"
}

// mended returns what the text v holds that is an object or array but not JSON: cut is set
// for JSON, or what Python prints of a value, without its end. It reports false for
// anything else.
func (c *memo) mended(v any) (value any, cut, ok bool) {
	s, isText := v.(string)
	if s = strings.TrimSpace(s); !isText || c == nil || s == "" || s[0] != '{' && s[0] != '[' {
		return nil, false, false
	}
	m, known := c.mends[s]
	if !known {
		m.value, m.cut, m.ok = c.mend(s)
		remember(&c.mends, s, m)
	}
	return m.value, m.cut, m.ok
}

// A mending is what [memo.mended] returned for a text, and whether that was used: the text is
// not what it should be.
type mending struct {
	value          any
	cut, ok, noted bool
}

// isCut reports whether the text is known to be cut.
func (m mending) isCut() bool { return m.cut && m.noted }

// mend is [memo.mended] for a text that was not seen before.
func (c *memo) mend(s string) (value any, cut, ok bool) {
	if !utf8.ValidString(s) {
		return nil, false, false
	}
	if end, ok := finished(s); ok {
		if value, ok := c.w.parseFast(end, false); ok {
			return value, true, true
		}
	}
	b, ok := pythonJSON(s)
	if !ok {
		return nil, false, false
	}
	python := viewOf(b)
	if value, ok := c.w.parseFast(python, false); ok {
		return value, false, true
	}
	if end, ok := finished(python); ok {
		value, ok = c.w.parseFast(end, false)
		return value, true, ok
	}
	return nil, false, false
}

// held returns what v holds, as [memo.embedded] does, also where it is cut.
func (c *memo) held(v any) any {
	inner := c.embedded(v)
	if s, ok := inner.(string); ok {
		if value, cut, ok := c.mended(s); ok {
			c.note(s, cut)
			return value
		}
	}
	return inner
}

// note counts the attribute text, which is cut or else no JSON.
func (c *memo) note(text string, cut bool) {
	if c == nil {
		return
	}
	text = strings.TrimSpace(text)
	m := c.mends[text]
	if change := asInt(cut) - asInt(m.isCut()); change != 0 {
		n := utf8.RuneCountInString(text)
		remember(&c.cuts, n, c.cuts[n]+change)
	}
	m.cut, m.noted = cut, true
	remember(&c.mends, text, m)
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// conversation reads v, an attribute that is there to hold messages. What cannot be read as
// such is the text of one.
func (c *memo) conversation(v any, role string) []Message {
	if ms := c.parseMessages(v, role); len(ms) > 0 {
		return ms
	}
	v = c.embedded(v)
	switch s := text(v); strings.TrimSpace(s) {
	case "", "null", "[]", "{}":
		return nil
	default:
		c.note(s, false)
	}
	var out []Message
	for _, e := range list(v) {
		s, ok := e.(string)
		if !ok {
			out = nil
			break
		}
		out = append(out, Message{Role: role, Text: s})
	}
	if out != nil {
		return out
	}
	return []Message{{Role: role, Text: text(v)}}
}

// minLimit is the shortest limit of an emitter that is recognised, in characters.
const minLimit = 64

// cutByEmitter returns what the text v holds, if it is cut and no text of the spans is longer, or
// another one was cut at the same length: an emitter's limit holds for all of them, while what a
// model did not write to its end is shorter than the conversation that it stands in.
func (c *memo) cutByEmitter(v any) (any, bool) {
	s, _ := v.(string)
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r) // as SDKs in JavaScript and Java count; others count less
	}
	if c == nil || n < minLimit {
		return nil, false
	}
	value, cut, ok := c.mended(s)
	if !ok || !cut {
		return nil, false
	}
	if c.longest == 0 {
		for _, sp := range c.spans {
			c.longest = max(c.longest, sp.longestText())
		}
	}
	if n < c.longest && !c.limited(s) {
		return nil, false
	}
	c.note(s, true)
	return value, true
}

// limited reports whether another text was cut at the length of s.
func (c *memo) limited(s string) bool {
	return c.cuts[utf8.RuneCountInString(s)] > asInt(c.mends[s].isCut())
}

// longestText returns the length of the longest text of sp, in characters.
func (sp *span) longestText() int {
	n := longestText(sp.attrs)
	for _, v := range [...]any{sp.input, sp.output} {
		n = max(n, longestText(v))
	}
	for _, e := range sp.events {
		n = max(n, longestText(e.attrs), longestText(e.body))
	}
	return n
}

func longestText(v any) int {
	n := 0
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v)
	case []any:
		for _, e := range v {
			n = max(n, longestText(e))
		}
	case map[string]any:
		for _, e := range v {
			n = max(n, longestText(e))
		}
	}
	return n
}

// excuse marks arguments of the trace that its emitter cut, so that they are not held
// against the model.
func (c *memo) excuse(t *Trace) {
	for i := range t.Messages {
		for j := range t.Messages[i].Calls {
			call := &t.Messages[i].Calls[j]
			c.excuseArgs(&call.Args, &call.ArgsErr)
		}
	}
	for i := range t.Steps {
		if io := t.Steps[i].Tool; io != nil {
			c.excuseArgs(&io.Args, &io.ArgsErr)
		}
	}
}

func (c *memo) excuseArgs(args, problem *string) {
	if *problem == "" {
		return
	}
	if v, ok := c.cutByEmitter(*args); ok {
		*args, *problem = canonical(v), ""
	}
}

// warnUnclean says what attributes with messages were cut or are no JSON.
func (b *builder) warnUnclean() {
	cut, odd := 0, 0
	for _, m := range b.memo.mends {
		switch {
		case m.noted && m.cut:
			cut++
		case m.noted:
			odd++
		}
	}
	b.t.Dropped += cut
	if cut > 0 {
		b.warn("attributes that the emitter cut: of %d what is left was read", cut)
	}
	if odd > 0 {
		b.warn("attributes with messages that could not be read as such: %d were kept as text", odd)
	}
}
