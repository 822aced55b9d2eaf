package trace

import "iter"

// Messages as LangChain writes them: serialised objects, {"lc": 1, "id": […, "HumanMessage"],
// "kwargs": {…}}; what messages_to_dict gives, {"type": "human", "data": {…}}; and what
// prompts are made of, ["human", "hi"].

// langChainMessage returns the fields of a serialised message, with its role if they do not
// name it. Of any other object it returns the object itself.
func langChainMessage(m map[string]any, role string) (map[string]any, string) {
	if kw := object(m["kwargs"]); m["lc"] != nil && kw != nil {
		if id := list(m["id"]); len(id) > 0 && kw["role"] == nil && kw["type"] == nil {
			role = scalar(id[len(id)-1])
		}
		return kw, role
	}
	if data, ok := m["data"].(map[string]any); ok && data["content"] != nil && m["role"] == nil && m["content"] == nil {
		if data["role"] == nil && data["type"] == nil {
			role = scalar(m["type"])
		}
		return data, role
	}
	return m, role
}

// firstGenerations returns the first of each of a result's generations, with its message.
func firstGenerations(generations any) iter.Seq2[map[string]any, map[string]any] {
	return func(yield func(g, message map[string]any) bool) {
		for _, e := range list(generations) {
			if inner, ok := e.([]any); ok && len(inner) > 0 {
				e = inner[0]
			}
			g := object(e)
			if !yield(g, object(object(g["message"])["kwargs"])) {
				return
			}
		}
	}
}

// generationUsage returns the token counts that the message of a result's generation has, or
// nil.
func generationUsage(generations any) map[string]any {
	for _, message := range firstGenerations(generations) {
		if usage := object(message["usage_metadata"]); usage != nil {
			return usage
		}
	}
	return nil
}

// generationFinish returns why the model stopped, of a result's generations, or "".
func generationFinish(generations any) string {
	for g, message := range firstGenerations(generations) {
		for _, from := range [...]map[string]any{object(first(g, "generation_info", "generationInfo")), object(message["response_metadata"])} {
			if s := finishReason(from); s != "" {
				return s
			}
		}
	}
	return ""
}

// messageTuple returns the message that l is, a role and a text.
func messageTuple(l []any) (map[string]any, bool) {
	if len(l) != 2 {
		return nil, false
	}
	role, ok := l[0].(string)
	if !ok {
		return nil, false
	}
	switch normalRole(role) {
	case "user", "assistant", "system", "tool":
	default:
		return nil, false
	}
	switch l[1].(type) {
	case string, []any:
		return map[string]any{"role": role, "content": l[1]}, true
	}
	return nil, false
}
