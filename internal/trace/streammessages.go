package trace

// Answers in pieces of Anthropic's Messages API: https://docs.claude.com/en/docs/build-with-claude/streaming

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
