package trace

// Answers in pieces of Ollama's chat and generate: https://docs.ollama.com/api/streaming

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
