package trace

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
)

// maxEmbedded is how often a string that holds JSON is decoded again: emitters put
// JSON into JSON strings up to three deep.
const maxEmbedded = 4

// parseJSON decodes exactly one JSON value; numbers stay as they are written. Invalid
// UTF-8 in strings becomes U+FFFD. Nesting is bounded by encoding/json (10,000). The value
// shares the memory of b.
func parseJSON(b []byte) (any, error) { return (*workspace)(nil).parseDocument(b, false) }

// parseDocument is parseJSON, with OTLP's attribute lists decoded if otlp is set. What it
// returns shares the memory of b, which must not change any more, and of w.
func (w *workspace) parseDocument(b []byte, otlp bool) (any, error) {
	if s := viewOf(b); utf8.ValidString(s) {
		if v, ok := w.parseFast(s, otlp); ok {
			return v, nil
		}
	}
	return readJSON(bytes.NewReader(b))
}

// parseText decodes s, which is exactly one JSON value, in the memory of w.
func (w *workspace) parseText(s string) (any, bool) {
	if v, ok := w.parseFast(s, false); ok && utf8.ValidString(s) {
		return v, true
	}
	if !json.Valid(bytesOf(s)) { // as a dict that Python printed: told without what a decoder allocates
		return nil, false
	}
	v, err := readJSON(strings.NewReader(s))
	return v, err == nil
}

func readJSON(r io.Reader) (any, error) {
	d := json.NewDecoder(r)
	d.UseNumber()
	var v any
	switch err := d.Decode(&v); {
	case err == io.EOF:
		return nil, errors.New("the payload is empty; want a JSON object")
	case err != nil:
		return nil, fmt.Errorf("the payload is not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("the payload has more than one JSON value (the second at byte %d)", d.InputOffset())
	}
	return v, nil
}

// embedded returns what v holds: when v is a string that is itself a JSON object, array
// or string, the decoded value, up to maxEmbedded times; else v.
func embedded(v any) any { return (*workspace)(nil).embedded(v) }

// embedded is the function of the same name with the value in the memory of w.
func (w *workspace) embedded(v any) any {
	for range maxEmbedded {
		s, ok := v.(string)
		if !ok {
			return v
		}
		s = strings.TrimSpace(s)
		if len(s) < 2 {
			return v
		}
		switch first, last := s[0], s[len(s)-1]; {
		case first == '{' && last == '}', first == '[' && last == ']', first == '"' && last == '"':
		default:
			return v
		}
		inner, ok := w.parseText(s)
		if !ok {
			return v
		}
		v = inner
	}
	return v
}

// object returns v as an object, decoding it when it is a string that holds one, or nil.
func object(v any) map[string]any { return (*workspace)(nil).object(v) }

// object is the function of the same name with the value in the memory of w.
func (w *workspace) object(v any) map[string]any {
	if s, ok := v.(string); ok {
		v = w.embedded(s)
	}
	m, _ := v.(map[string]any)
	return m
}

// list returns v as an array, decoding it when it is a string that holds one, or nil.
func list(v any) []any {
	if s, ok := v.(string); ok {
		v = embedded(s)
	}
	l, _ := v.([]any)
	return l
}

// text returns v as text: a string as it is, any other value as canonical JSON, null
// as "".
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	return canonical(v)
}

// scalar returns v as text when it is a string, number or boolean, else "".
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// first returns the first value of m under keys that is neither absent nor null.
func first(m map[string]any, keys ...string) any {
	for _, k := range keys {
		if v := m[k]; v != nil {
			return v
		}
	}
	return nil
}

// firstText returns the first scalar of m under keys that is not "".
func firstText(m map[string]any, keys ...string) string {
	for _, k := range keys {
		if s := scalar(m[k]); s != "" {
			return s
		}
	}
	return ""
}

// number returns v as a number, also when it is written as a string.
func number(v any) (float64, bool) {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = strings.TrimSpace(v)
	default:
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && f == f && f > -1e300 && f < 1e300
}

// count returns the first value of m under keys that is a whole number from 0 to
// 2^40, or -1.
func count(m map[string]any, keys ...string) int {
	for _, k := range keys {
		if n := countOf(m[k]); n >= 0 {
			return n
		}
	}
	return -1
}

// countOf returns v if it is a whole number from 0 to 2^40, else -1.
func countOf(v any) int {
	if f, ok := number(v); ok && f >= 0 && f <= 1<<40 {
		return int(f)
	}
	return -1
}

// truth returns v as a boolean; the words and numbers that emitters use count.
func truth(v any) bool {
	switch strings.ToLower(scalar(v)) {
	case "true", "1", "yes", "error":
		return true
	}
	return false
}

// instant reads a point in time: ISO-8601, or a number since 1970 whose unit is told by
// its size (seconds, ms, µs or ns). It returns the zero time for anything else.
func instant(v any) time.Time {
	if n, ok := v.(json.Number); ok {
		v = n.String()
	}
	s, ok := v.(string)
	if !ok || s == "" {
		return time.Time{}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return since1970(n)
	}
	if f, ok := number(s); ok {
		switch {
		case f < 1e6 || f > 1e20:
			return time.Time{}
		case f < 1e11:
			return time.UnixMicro(int64(f * 1e6)).UTC()
		case f < 1e18:
			return since1970(int64(f))
		}
		return time.Time{}
	}
	if t, err := evalforge.ParseTimestamp(s); err == nil {
		return t.Time
	}
	return time.Time{}
}

func since1970(n int64) time.Time {
	switch {
	case n <= 1e6:
		return time.Time{}
	case n < 1e11:
		return time.Unix(n, 0).UTC()
	case n < 1e14:
		return time.UnixMilli(n).UTC()
	case n < 1e17:
		return time.UnixMicro(n).UTC()
	}
	return time.Unix(0, n).UTC()
}

// canonical returns v as JSON with sorted keys, without white space and HTML escaping.
func canonical(v any) string { return (*workspace)(nil).canonical(v) }

// canonical is the function of the same name, with the text put together in the memory of w.
func (w *workspace) canonical(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool, json.Number:
		return scalar(v)
	}
	if w == nil {
		w = asides.Get().(*workspace)
		defer w.releaseAside()
	}
	w.text = appendCanonical(w.text[:0], v)
	return string(w.text)
}

func appendCanonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case json.Number:
		return append(b, v...)
	case string:
		return appendString(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCanonical(b, e)
		}
		return append(b, ']')
	case attrMap:
		return appendCanonical(b, map[string]any(v))
	case map[string]any:
		var few [8]field
		fields := few[:0]
		for k, e := range v {
			fields = append(fields, field{k, e})
		}
		slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.key, b.key) })
		b = append(b, '{')
		for i, f := range fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, f.key)
			b = append(b, ':')
			b = appendCanonical(b, f.value)
		}
		return append(b, '}')
	}
	return append(b, "null"...) // unreachable: parseJSON makes no other types
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Only what JSON demands is escaped, and
// invalid UTF-8 becomes U+FFFD, so the result is valid JSON and valid UTF-8 for any s.
func appendString(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s), '"')
}

// escapes has the letter by which a byte is escaped, or 0.
var escapes = [256]byte{'"': '"', '\\': '\\', '\n': 'n', '\r': 'r', '\t': 't'}

// spareOfEscaping is how much room appendEscaped wants behind what it writes, in bytes.
const spareOfEscaping = 2 * 8

// appendEscaped is appendString without the quotes.
func appendEscaped(b []byte, s string) []byte {
	ascii := plainASCII(s)
	b, s = append(b, s[:ascii]...), s[ascii:]
	if len(s) < 8 && isPlain(s) { // as most names end
		return append(b, s...)
	}
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // a U+FFFD for each byte
	}
	i, n := 0, len(b) // s[:i] is written, in b[:n]
	b = b[:cap(b)]
	for i+8 <= len(s) { // eight bytes are copied, of which as many count as are plain
		if len(b)-n < spareOfEscaping {
			b = slices.Grow(b[:n], len(s)-i+(len(s)-i)/8+spareOfEscaping)
			b = b[:cap(b)]
		}
		x := eight(s[i:])
		binary.LittleEndian.PutUint64(b[n:], x)
		hit := specials(x)
		plain := bits.TrailingZeros64(hit) / 8
		i, n = i+plain, n+plain
		if hit == 0 {
			continue
		}
		if e := escapes[s[i]]; e != 0 {
			b[n], b[n+1] = '\\', e
			n += 2
		} else {
			n = len(appendControl(b[:n], s[i]))
		}
		i++
	}
	b = b[:n]
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case escapes[c] != 0:
			b = append(b, '\\', escapes[c])
		case c < ' ':
			b = appendControl(b, c)
		default:
			b = append(b, c)
		}
	}
	return b
}

// isPlain reports whether s is ASCII that needs no escapes.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || escapes[c] != 0 {
			return false
		}
	}
	return true
}

// appendControl appends the escape of a control character that has no letter.
func appendControl(b []byte, c byte) []byte {
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// arguments returns a tool call's arguments in the form of [ToolIO.Args], and why they
// are no JSON object, or "".
func arguments(v any) (args, problem string) {
	if v == nil || v == "" {
		return "", ""
	}
	if s, ok := v.(string); ok {
		if args, ok := flatArguments(s); ok {
			return args, ""
		}
	}
	w := asides.Get().(*workspace) // what comes out is text
	defer w.releaseAside()
	return w.argumentsIn(v, w.embedded(v))
}

// argumentsIn is [arguments] for v, which holds inner.
func (w *workspace) argumentsIn(v, inner any) (args, problem string) {
	if v == nil || v == "" {
		return "", ""
	}
	switch inner := inner.(type) {
	case map[string]any:
		if w == nil {
			return canonical(inner), ""
		}
		w.text = appendCanonical(w.text[:0], inner)
		if s, ok := v.(string); ok && s == string(w.text) { // it is written so: no copy is needed
			return s, ""
		}
		return string(w.text), ""
	case string:
		if IsCut(inner) {
			return finishedArguments(inner), ""
		}
		_, err := readJSON(strings.NewReader(inner))
		if err == nil {
			return inner, "arguments are no JSON object"
		}
		return inner, "arguments are not valid JSON: " + strings.TrimPrefix(err.Error(), "the payload is not JSON: ")
	case []any:
		return w.canonical(inner), "arguments are a JSON array, not an object"
	}
	return w.canonical(inner), "arguments are no JSON object"
}

// finishedArguments returns arguments that were cut as a JSON object, if that is what their
// beginning is, else as they are.
func finishedArguments(s string) string {
	head, _, _ := strings.Cut(s, CutMark)
	if end, ok := finished(strings.TrimSpace(head)); ok {
		if v, ok := (*workspace)(nil).parseFast(end, false); ok {
			return canonical(v)
		}
	}
	return s
}

// isModels reports whether args, which are no JSON object, look like what a model wrote
// and not like the plain text or the Python object that a function was given.
func isModels(args string) bool {
	args = strings.TrimSpace(args)
	return strings.HasPrefix(args, "{") && !strings.HasPrefix(args, "{'")
}
