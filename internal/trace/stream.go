package trace

import (
	"bytes"
	"slices"
	"strings"
)

// Answers that came in pieces, as clients that stream log them. The pieces are put together
// to the response that would have come in one, which is then read like any other.

// A streaming is one API's way to stream.
type streaming struct {
	// is recognises a piece; only tells that there is no other, so that a whole response is
	// one.
	is   func(piece map[string]any, only bool) bool
	join func(pieces []map[string]any) map[string]any
}

func streamings() [6]streaming {
	return [...]streaming{
		{isChatChunk, joinChatChunks},
		{isMessageEvent, joinMessageEvents},
		{isResponseEvent, joinResponseEvents},
		{isConverseEvent, joinConverseEvents},
		{isCandidatesPart, joinCandidates},
		{isOllamaChunk, joinOllamaChunks},
	}
}

// maxStreamHead is how many pieces may come before the first that tells what they are:
// pings, and what a gateway says about the request.
const maxStreamHead = 4

// Whole returns payload with the answers that it holds in pieces put together, in their
// place: a redactor sees no value that goes on from one piece to the next. Any other payload,
// and one that is no JSON, it returns as it is.
func Whole(payload []byte) []byte {
	if !slices.ContainsFunc(streamWords(), func(w string) bool { return bytes.Contains(payload, []byte(w)) }) {
		return payload
	}
	v, err := parseJSON(payload)
	if err != nil {
		return payload
	}
	if v, changed := wholeValue(v, 0); changed {
		return []byte(canonical(v))
	}
	return payload
}

// streamWords are of what one stands in each stream, also where that is in a string.
func streamWords() []string {
	return []string{`"delta`, `completion.chunk`, `"candidates`, `"done`}
}

// wholeValue is [Whole] for a value; depth counts the strings around it.
func wholeValue(v any, depth int) (whole any, changed bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e, ok := wholeValue(e, depth); ok {
				v[k], changed = e, true
			}
		}
	case []any:
		if r := unstreamed(v); r != nil && len(v) > 1 {
			return r, true
		}
		for i, e := range v {
			if e, ok := wholeValue(e, depth); ok {
				v[i], changed = e, true
			}
		}
	case string: // which it stays
		if r := unstreamed(v); r != nil {
			return canonical(r), true
		}
		if inner := embedded(v); depth < maxEmbedded && inner != any(v) {
			if whole, ok := wholeValue(inner, depth+1); ok {
				return canonical(whole), true
			}
		}
	}
	return v, changed
}

// unstreamed returns the response whose pieces v holds: a list, or the text of an event
// stream. For anything else it is nil.
func unstreamed(v any) map[string]any {
	l := pieceList(v, -1)
	how, ok := streamingOf(l)
	if !ok {
		return nil
	}
	pieces := make([]map[string]any, 0, len(l))
	for _, e := range l {
		if m := streamPiece(e); m != nil {
			pieces = append(pieces, m)
		}
	}
	return how.join(pieces)
}

// isStream reports whether v holds pieces of an answer.
func isStream(v any) bool {
	_, ok := streamingOf(pieceList(v, maxStreamHead))
	return ok
}

// pieceList returns the pieces that v may hold; of a text at most most, unless that is
// negative.
func pieceList(v any, most int) []any {
	switch v := v.(type) {
	case []any:
		if len(v) > 0 && object(v[0]) != nil {
			if _, isText := v[0].(string); isText { // each piece is
				return textPieces(v)
			}
		}
		return v
	case string:
		return streamText(v, most)
	}
	return nil
}

// textPieces returns the objects that the texts in l hold.
func textPieces(l []any) []any {
	out := make([]any, len(l))
	for i, e := range l {
		out[i] = embedded(e)
	}
	return out
}

// wholeAnswer returns the response whose pieces v is a list of, and anything else as it is.
func wholeAnswer(v any) any {
	if l, ok := v.([]any); ok {
		if r := unstreamed(l); r != nil {
			return r
		}
	}
	return v
}

func streamingOf(l []any) (streaming, bool) {
	for _, e := range l[:min(len(l), maxStreamHead)] {
		m := streamPiece(e)
		if m == nil || m["role"] != nil && m["object"] == nil {
			break
		}
		for _, s := range streamings() {
			if s.is(m, len(l) == 1) {
				return s, true
			}
		}
	}
	return streaming{}, false
}

// endsStream recognises a piece that says nothing, or comes last, of the answer with that id.
func endsStream(m map[string]any, id string) bool {
	switch m["type"] {
	case "ping", "content_block_stop", "message_stop":
		return true
	case "error":
		return first(m, "error", "message") != nil && len(m) <= 5
	}
	return m["candidates"] != nil && m["responseId"] == id
}

// streamPiece returns the piece that e, an element of a list, is, or that a logger or an
// event stream put into one of its fields.
func streamPiece(e any) map[string]any {
	m, _ := e.(map[string]any)
	for _, k := range [...]string{"data", "chunk", "payload"} {
		if inner, ok := m[k]; ok && len(m) <= 4 && m["object"] == nil {
			if m := object(inner); m != nil {
				return m
			}
		}
	}
	return m
}

// streamText returns the first data, most or all, of an event stream (text/event-stream) or of lines of JSON,
// or nil when s is neither.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
func streamText(s string, most int) []any {
	s = strings.TrimLeft(s, " \r\n")
	switch {
	case strings.HasPrefix(s, "data:"), strings.HasPrefix(s, "event:"), strings.HasPrefix(s, "id:"), strings.HasPrefix(s, ": "):
	case strings.HasPrefix(s, "{") && strings.Contains(s, "\n{"):
	default:
		return nil
	}
	var pieces []string
	for line := range strings.Lines(s) {
		data, ok := strings.CutPrefix(line, "data:")
		if data = strings.TrimSpace(data); strings.HasPrefix(data, "{") && (ok || line[0] == '{') {
			pieces = append(pieces, data)
		}
		if len(pieces) == most {
			break
		}
	}
	if l := list("[" + strings.Join(pieces, ",") + "]"); l != nil {
		return l
	}
	var out []any
	for _, p := range pieces { // of which one is broken
		if m := object(p); m != nil {
			out = append(out, m)
		}
	}
	return out
}

// A pieced text is one that comes in pieces.
type pieced struct{ strings.Builder }

func (p *pieced) add(v any) { p.WriteString(scalar(v)) }

// put sets key to the text, unless there is none.
func (p *pieced) put(m map[string]any, key string) {
	if p.Len() > 0 {
		m[key] = p.String()
	}
}

// keep takes over into out the fields of m that say something.
func keep(out, m map[string]any, keys ...string) {
	for _, k := range keys {
		if v := m[k]; v != nil && v != "" {
			out[k] = v
		}
	}
}

// at returns the element of *l at position n, which it makes where there is none. It is nil
// for a position that no answer has.
func at[T any](l *[]*T, n int) *T {
	const most = 10_000
	if n < 0 || n > most {
		return nil
	}
	for len(*l) <= n {
		*l = append(*l, nil)
	}
	if (*l)[n] == nil {
		(*l)[n] = new(T)
	}
	return (*l)[n]
}
