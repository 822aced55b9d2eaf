package trace

import "strings"

// OpenInference: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md

func isOpenInference(sp *span) bool {
	return sp.has("openinference.span.kind") || sp.hasPrefix("llm.input_messages", "llm.output_messages")
}

func readOpenInference(sp *span, r *reading) {
	r.kind = kindOf(sp.getText("openinference.span.kind"))
	r.model = sp.getText("llm.model_name", "embedding.model_name", "reranker.model_name")
	r.finish = sp.getText("llm.finish_reason")
	r.agent = sp.getText("agent.name")
	if r.agent == "" && r.kind == KindAgent {
		r.agent = sp.name
	}
	if r.kind == KindLLM || r.kind == "" {
		readOpenInferenceModel(sp, r)
	}
	if r.kind == KindRetrieval {
		r.output = documents(sp)
		if !sp.has("input.value") {
			r.input = openInferenceTexts(sp, "embedding.embeddings", "embedding.text")
		}
	}
}

// readOpenInferenceModel reads a model's call. The request and response in input.value
// and output.value are set first and survive the SDK's attribute limit, which drops the
// indexed messages of long conversations; only they keep a refusal.
func readOpenInferenceModel(sp *span, r *reading) {
	readOpenInferenceRequest(sp, r)
	if lastIndex(sp.attrs, "llm.input_messages") >= len(r.in) || list(sp.attrs["llm.input_messages"]) != nil {
		if ms := openInferenceMessages(sp, "llm.input_messages", "user"); len(ms) > len(r.in) {
			r.in = ms
		}
	}
	response := wholeAnswer(sp.memo.embedded(sp.get("output.value")))
	r.out = parseMessages(response, "assistant")
	if ms := openInferenceMessages(sp, "llm.output_messages", "assistant"); len(ms) > len(r.out) {
		r.out = ms
	}
	if r.finish == "" {
		r.finish = finishReason(response)
	}
	if s := openInferenceTexts(sp, "llm.prompts", "prompt.text"); s != "" && r.in == nil {
		r.in = []Message{{Role: "user", Text: s}}
	}
	if s := openInferenceTexts(sp, "llm.choices", "completion.text"); s != "" && r.out == nil {
		r.out = []Message{{Role: "assistant", Text: s}}
	}
	if r.tools == nil {
		readOpenInferenceTools(sp, r)
	}
}

// readOpenInferenceRequest reads messages and tools of the request.
func readOpenInferenceRequest(sp *span, r *reading) {
	v := sp.get("input.value")
	if ms, tools, ok := sp.memo.request(v, "user"); ok {
		r.in, r.tools = ms, tools
		return
	}
	request := sp.memo.embedded(v)
	r.in = parseMessages(request, "user")
	if m := object(request); m != nil {
		r.tools = parseTools(first(m, "tools", "functions"))
	}
}

// readOpenInferenceTools reads the declared tools where the request has none.
func readOpenInferenceTools(sp *span, r *reading) {
	for _, t := range sp.memo.indexed(sp.attrs, "llm.tools") {
		m := t.(map[string]any)
		r.tools = append(r.tools, sp.memo.parseTools(first(m, "tool.json_schema", "json_schema"))...)
	}
	for _, t := range list(sp.attrs["llm.tools"]) { // nested, not indexed
		m := object(t)
		if inner := object(m["tool"]); inner != nil {
			m = inner
		}
		r.tools = append(r.tools, parseTools(first(m, "tool.json_schema", "json_schema"))...)
	}
	if m := object(sp.get("llm.invocation_parameters")); r.tools == nil && m != nil {
		r.tools = parseTools(first(m, "tools", "functions"))
	}
}

// openInferenceMessages reads the indexed messages under prefix.
func openInferenceMessages(sp *span, prefix, role string) []Message {
	if l := list(sp.attrs[prefix]); l != nil {
		return parseMessages(l, role)
	}
	var out []Message
	for _, item := range sp.memo.indexed(sp.attrs, prefix) {
		flat := item.(map[string]any)
		m := make(map[string]any, len(flat))
		for k, v := range flat {
			m[strings.TrimPrefix(k, "message.")] = v
		}
		var calls []any
		for _, c := range sp.memo.indexed(m, "tool_calls") {
			call := make(map[string]any)
			for k, v := range c.(map[string]any) {
				call[strings.TrimPrefix(k, "tool_call.")] = v
			}
			calls = append(calls, call)
		}
		if calls != nil {
			m["tool_calls"] = calls
		}
		if m["content"] == nil {
			var parts []any
			for _, c := range sp.memo.indexed(m, "contents") {
				part := make(map[string]any)
				for k, v := range c.(map[string]any) {
					part[strings.TrimPrefix(k, "message_content.")] = v
				}
				parts = append(parts, part)
			}
			if parts != nil {
				m["content"] = parts
			}
		}
		if name := scalar(m["function_call_name"]); name != "" && calls == nil {
			m["function_call"] = map[string]any{"name": name, "arguments": m["function_call_arguments_json"]}
		}
		out = append(out, parseMessage(m, role)...)
	}
	return out
}

// openInferenceTexts returns the texts that the items under prefix have under key.
func openInferenceTexts(sp *span, prefix, key string) string {
	var out lines
	for _, item := range sp.memo.indexed(sp.attrs, prefix) {
		out.add(scalar(object(item)[key]))
	}
	return out.text()
}

// documents returns the contents of retrieved documents, or "" when output.value has
// them or there are none.
func documents(sp *span) string {
	if sp.has("output.value") {
		return ""
	}
	for _, prefix := range [...]string{"retrieval.documents", "reranker.output_documents"} {
		docs := sp.memo.indexed(sp.attrs, prefix)
		if l := list(sp.attrs[prefix]); l != nil {
			docs = l
		}
		var out []string
		for _, d := range docs {
			m := object(d)
			if inner := object(m["document"]); inner != nil {
				m = inner
			}
			if s := firstText(m, "document.content", "content"); s != "" {
				out = append(out, s)
			}
		}
		if out != nil {
			return strings.Join(out, "\n---\n")
		}
	}
	return ""
}
