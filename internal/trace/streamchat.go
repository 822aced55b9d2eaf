package trace

// Answers in pieces of OpenAI's chat completions and completions:
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
