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

// OpenAI's chat completions and completions:
// https://platform.openai.com/docs/api-reference/chat-streaming

func isChatChunk(m map[string]any, _ bool) bool {
	choices, ok := m["choices"].([]any)
	if !ok || m["object"] == "chat.completion.chunk" {
		return ok
	}
	if len(choices) == 0 { // Azure's first
		return m["prompt_filter_results"] != nil
	}
	c := object(choices[0])
	return c["delta"] != nil && c["message"] == nil
}

// A chatChoice is one of the answers in the making.
type chatChoice struct {
	text, content, refusal pieced
	reasoning              pieced
	calls                  []*chatCall
	finish                 any
}

type chatCall struct {
	id, name string
	args     pieced
}

func joinChatChunks(pieces []map[string]any) map[string]any {
	out := map[string]any{"object": "chat.completion"}
	var choices []*chatChoice
	for _, m := range pieces {
		keep(out, m, "id", "model", "created", "usage", "error")
		for i, e := range list(m["choices"]) {
			o := object(e)
			if n := count(o, "index"); n >= 0 {
				i = n
			}
			if c := at(&choices, i); c != nil {
				c.add(o)
			}
		}
	}
	var all []any
	for i, c := range choices {
		if c != nil {
			all = append(all, c.whole(i))
		}
	}
	out["choices"] = all
	return out
}

func (c *chatChoice) add(m map[string]any) {
	if v := m["finish_reason"]; v != nil && v != "" {
		c.finish = v
	}
	c.text.add(m["text"])
	delta := object(first(m, "delta", "message"))
	c.content.add(delta["content"])
	c.refusal.add(delta["refusal"])
	c.reasoning.add(first(delta, "reasoning_content", "reasoning"))
	for _, e := range list(delta["tool_calls"]) {
		c.addCall(object(e))
	}
	if f := object(delta["function_call"]); f != nil {
		c.addCall(map[string]any{"index": "0", "function": f})
	}
}

// addCall adds a piece of a call. Servers that do not number calls begin one with its id.
func (c *chatChoice) addCall(m map[string]any) {
	id, n := scalar(m["id"]), count(m, "index")
	if n < 0 {
		if n = max(len(c.calls)-1, 0); id != "" && len(c.calls) > 0 && c.calls[n].id != id {
			n++
		}
	}
	call := at(&c.calls, n)
	if call == nil {
		return
	}
	fill(&call.id, id)
	f := object(m["function"])
	fill(&call.name, scalar(f["name"]))
	call.args.add(f["arguments"])
}

// whole returns the choice as it is in one piece.
func (c *chatChoice) whole(i int) map[string]any {
	message := map[string]any{"role": "assistant"}
	c.content.put(message, "content")
	c.refusal.put(message, "refusal")
	c.reasoning.put(message, "reasoning_content")
	var calls []any
	for _, call := range c.calls {
		if call != nil {
			calls = append(calls, map[string]any{"id": call.id, "type": "function", "function": map[string]any{"name": call.name, "arguments": call.args.String()}})
		}
	}
	if calls != nil {
		message["tool_calls"] = calls
	}
	choice := map[string]any{"finish_reason": c.finish}
	if c.text.Len() > 0 {
		choice["text"] = c.text.String()
	} else {
		choice["message"] = message
	}
	return choice
}

// Anthropic's Messages API: https://docs.claude.com/en/docs/build-with-claude/streaming

func isMessageEvent(m map[string]any, _ bool) bool {
	switch m["type"] {
	case "message_start":
		return object(m["message"]) != nil
	case "content_block_start":
		return object(m["content_block"]) != nil
	case "content_block_delta", "message_delta":
		return object(m["delta"]) != nil
	}
	return false
}

// A messageBlock is one block of the answer's content in the making.
type messageBlock struct {
	start                map[string]any
	text, thinking, args pieced
}

func joinMessageEvents(pieces []map[string]any) map[string]any {
	out := map[string]any{"type": "message", "role": "assistant"}
	usage := make(map[string]any)
	var blocks []*messageBlock
	for _, m := range pieces {
		switch m["type"] {
		case "message_start":
			start := object(m["message"])
			keep(out, start, "id", "model", "role", "stop_reason")
			addUsage(usage, start)
		case "content_block_start", "content_block_delta":
			if b := at(&blocks, count(m, "index")); b != nil {
				b.add(m)
			}
		case "message_delta":
			keep(out, object(m["delta"]), "stop_reason")
			addUsage(usage, m)
		case "error":
			keep(out, m, "error")
		}
	}
	var content []any
	for _, b := range blocks {
		if b != nil {
			content = append(content, b.whole())
		}
	}
	out["content"], out["usage"] = content, usage
	return out
}

// addUsage adds the counts of m, which may be later ones, to usage.
func addUsage(usage, m map[string]any) {
	u := object(m["usage"])
	keep(usage, u, sortedKeys(u)...)
}

func (b *messageBlock) add(m map[string]any) {
	if block := object(m["content_block"]); block != nil {
		b.start = block
		return
	}
	delta := object(m["delta"])
	b.text.add(delta["text"])
	b.thinking.add(delta["thinking"])
	b.args.add(delta["partial_json"])
}

// whole returns the block as it is in one piece. Its start has what is not streamed.
func (b *messageBlock) whole() map[string]any {
	out := map[string]any{"type": "text"}
	keep(out, b.start, sortedKeys(b.start)...)
	b.text.put(out, "text")
	b.thinking.put(out, "thinking")
	b.args.put(out, "input")
	return out
}

// OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses-streaming

func isResponseEvent(m map[string]any, _ bool) bool {
	kind, _ := m["type"].(string)
	return strings.HasPrefix(kind, "response.") && first(m, "response", "item", "delta", "item_id", "output_index") != nil
}

// A responseItem is one item of the response's output in the making.
type responseItem struct {
	item       map[string]any
	done       bool
	text, args pieced
}

func joinResponseEvents(pieces []map[string]any) map[string]any {
	out := map[string]any{"object": "response"}
	var items []*responseItem
	for _, m := range pieces {
		if r := object(m["response"]); r != nil {
			keep(out, r, sortedKeys(r)...)
			continue
		}
		if m["type"] == "error" {
			out["error"] = first(m, "error")
			if out["error"] == nil {
				out["error"] = map[string]any{"code": m["code"], "message": m["message"]}
			}
			continue
		}
		if it := at(&items, count(m, "output_index")); it != nil {
			it.add(m)
		}
	}
	if len(list(out["output"])) > 0 { // the last event has it whole
		return out
	}
	output := []any{}
	for _, it := range items {
		if it != nil {
			output = append(output, it.whole())
		}
	}
	out["output"] = output
	return out
}

func (it *responseItem) add(m map[string]any) {
	if item := object(m["item"]); item != nil {
		it.item, it.done = item, m["type"] == "response.output_item.done"
		return
	}
	switch m["type"] {
	case "response.output_text.delta", "response.refusal.delta":
		it.text.add(m["delta"])
	case "response.function_call_arguments.delta", "response.mcp_call_arguments.delta", "response.custom_tool_call_input.delta":
		it.args.add(m["delta"])
	}
}

// whole returns the item: as it was when it was done, else what came of it.
func (it *responseItem) whole() map[string]any {
	if it.done {
		return it.item
	}
	out := map[string]any{"type": "message", "role": "assistant"}
	keep(out, it.item, sortedKeys(it.item)...)
	if out["type"] != "message" {
		delete(out, "role")
	}
	it.text.put(out, "content")
	it.args.put(out, "arguments")
	return out
}

// Bedrock's ConverseStream: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html

func isConverseEvent(m map[string]any, _ bool) bool {
	return len(m) <= 2 && (object(m["messageStart"]) != nil || object(m["contentBlockDelta"]) != nil)
}

func joinConverseEvents(pieces []map[string]any) map[string]any {
	out := make(map[string]any)
	var blocks []*messageBlock
	for _, m := range pieces {
		for _, k := range [...]string{"contentBlockStart", "contentBlockDelta"} {
			event := object(m[k])
			if event == nil {
				continue
			}
			if b := at(&blocks, max(0, count(event, "contentBlockIndex"))); b != nil {
				b.addConverse(event)
			}
		}
		keep(out, object(m["messageStop"]), "stopReason")
		keep(out, object(m["metadata"]), "usage")
		for _, k := range sortedKeys(m) {
			if e := object(m[k]); strings.HasSuffix(k, "Exception") && e != nil {
				out["error"] = map[string]any{"type": k, "message": e["message"]}
			}
		}
	}
	var content []any
	for _, b := range blocks {
		if b != nil {
			content = append(content, b.wholeConverse())
		}
	}
	out["output"] = map[string]any{"message": map[string]any{"role": "assistant", "content": content}}
	return out
}

func (b *messageBlock) addConverse(event map[string]any) {
	if start := object(event["start"]); start != nil {
		b.start = start
	}
	delta := object(event["delta"])
	b.text.add(delta["text"])
	b.args.add(object(delta["toolUse"])["input"])
	b.thinking.add(object(delta["reasoningContent"])["text"])
}

func (b *messageBlock) wholeConverse() map[string]any {
	if call := object(b.start["toolUse"]); call != nil {
		return map[string]any{"toolUse": with(call, "input", b.args.String())}
	}
	return map[string]any{"text": b.thinking.String() + b.text.String()}
}

// Gemini's streamGenerateContent: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent

func isCandidatesPart(m map[string]any, only bool) bool {
	if only && len(m) == 1 && object(m["error"]) != nil {
		return true
	}
	candidates, ok := m["candidates"].([]any)
	return ok && (only || !slices.ContainsFunc(candidates, func(c any) bool {
		m, _ := c.(map[string]any)
		return first(m, "finishReason", "finish_reason") != nil
	}))
}

// A candidateParts is one candidate in the making.
type candidateParts struct {
	parts  []any
	text   map[string]any // the part whose text goes on, which said holds, or nil
	said   pieced
	finish any
}

func joinCandidates(pieces []map[string]any) map[string]any {
	out := make(map[string]any)
	var candidates []*candidateParts
	for _, m := range pieces {
		keep(out, m, "responseId", "modelVersion", "usageMetadata", "usage_metadata", "model_version", "promptFeedback", "createTime", "error")
		for i, e := range list(m["candidates"]) {
			o := object(e)
			if n := count(o, "index"); n >= 0 {
				i = n
			}
			if c := at(&candidates, i); c != nil {
				c.add(o)
			}
		}
	}
	var all []any
	for _, c := range candidates {
		if c != nil {
			c.endText()
			all = append(all, map[string]any{"finishReason": c.finish, "content": map[string]any{"role": "model", "parts": c.parts}})
		}
	}
	out["candidates"] = all
	return out
}

// add takes a piece in. A text goes on in the next piece.
func (c *candidateParts) add(m map[string]any) {
	if v := first(m, "finishReason", "finish_reason"); v != nil {
		c.finish = v
	}
	for _, e := range list(object(m["content"])["parts"]) {
		part := object(e)
		if part == nil {
			continue
		}
		said, isText := part["text"].(string)
		if !isText || c.text != nil && truth(c.text["thought"]) != truth(part["thought"]) {
			c.endText()
		}
		if !isText {
			c.parts = append(c.parts, part)
			continue
		}
		if c.text == nil {
			c.text = part
		}
		c.said.WriteString(said)
	}
}

// endText ends the part whose text goes on.
func (c *candidateParts) endText() {
	if c.text != nil {
		c.parts = append(c.parts, with(c.text, "text", c.said.String()))
	}
	c.text, c.said = nil, pieced{}
}

// Ollama's chat and generate: https://docs.ollama.com/api/streaming

func isOllamaChunk(m map[string]any, only bool) bool {
	done, ok := m["done"].(bool)
	return ok && (only || !done) && m["model"] != nil && first(m, "message", "response") != nil
}

func joinOllamaChunks(pieces []map[string]any) map[string]any {
	out := make(map[string]any)
	var c chatChoice
	var calls []any
	for _, m := range pieces {
		keep(out, m, "model", "created_at", "error")
		message := object(m["message"])
		c.content.add(first(message, "content"))
		c.content.add(m["response"])
		calls = append(calls, list(message["tool_calls"])...)
		if v := m["done_reason"]; v != nil {
			c.finish = v
		}
		if n := m["eval_count"]; n != nil {
			out["usage"] = map[string]any{"prompt_tokens": m["prompt_eval_count"], "completion_tokens": n}
		}
	}
	choice := c.whole(0)
	if calls != nil {
		choice["message"].(map[string]any)["tool_calls"] = calls
	}
	out["choices"] = []any{choice}
	return out
}
