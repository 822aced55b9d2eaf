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
		r.agent = anyOf(sp.getText("agent.role", "graph.node.name"), sp.name) // CrewAI's and Agno's
	}
	if r.kind == KindLLM || r.kind == "" {
		readOpenInferenceModel(sp, r)
	}
	if r.kind == KindTool {
		readOpenInferenceTool(sp, r)
	}
	if r.kind == KindRetrieval {
		r.output = documents(sp)
		if !sp.has("input.value") {
			r.input = openInferenceTexts(sp, "embedding.embeddings", "embedding.text")
		}
	}
}

// readOpenInferenceTool reads the arguments of a Python function that is a tool where they are
// recorded as the function's own: DSPy's, and smolagents' beside a flag.
func readOpenInferenceTool(sp *span, r *reading) {
	m := sp.memo.object(sp.get("input.value"))
	kwargs := object(m["kwargs"])
	for k := range m {
		if k != "args" && k != "kwargs" && k != "sanitize_inputs_outputs" {
			return
		}
	}
	if len(kwargs) > 0 && len(list(m["args"])) == 0 && !sp.has(toolArgKeys[:]...) {
		r.tool = &ToolIO{Args: canonical(kwargs)}
	}
}

// readOpenInferenceModel reads a model's call. The request and response in input.value
// and output.value are set first and survive the SDK's attribute limit, which drops the
// indexed messages of long conversations; only they keep a refusal.
func readOpenInferenceModel(sp *span, r *reading) {
	readOpenInferenceRequest(sp, r)
	if lastIndex(sp.attrs, "llm.input_messages")+1 >= len(r.in) || list(sp.attrs["llm.input_messages"]) != nil {
		if ms := openInferenceMessages(sp, "llm.input_messages", "user"); isFuller(ms, r.in) {
			r.in = ms
		}
	}
	response := wholeAnswer(sp.memo.embedded(sp.get("output.value")))
	r.out = sp.memo.parseMessages(response, "assistant")
	if ms := openInferenceMessages(sp, "llm.output_messages", "assistant"); isFuller(ms, r.out) {
		r.out = ms
	}
	if r.finish == "" {
		r.finish = answerFinish(response)
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

// isFuller reports whether ms tell more of a conversation than old: more messages, or as
// many of which the last is whole.
func isFuller(ms, old []Message) bool {
	if len(ms) != len(old) || len(ms) == 0 {
		return len(ms) > len(old)
	}
	return isCutMessage(&old[len(old)-1]) && !isCutMessage(&ms[len(ms)-1])
}

func isCutMessage(m *Message) bool {
	return IsCut(m.Text) || len(m.Calls) > 0 && IsCut(m.Calls[len(m.Calls)-1].Args)
}

// readOpenInferenceRequest reads messages and tools of the request.
func readOpenInferenceRequest(sp *span, r *reading) {
	v := sp.get("input.value")
	if ms, tools, ok := sp.memo.request(v, "user"); ok {
		r.in, r.tools = ms, tools
		return
	}
	request := sp.memo.embedded(v)
	r.in = sp.memo.parseMessages(request, "user")
	if m := object(request); m != nil {
		r.tools = parseTools(first(m, "tools", "functions"))
	}
}

// readOpenInferenceTools reads the declared tools where the request has none.
func readOpenInferenceTools(sp *span, r *reading) {
	for _, t := range sp.indexed("llm.tools") {
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

// openInferenceMessages reads the messages under prefix: indexed attributes, or a list as
// Phoenix writes it, of objects that nest or have dotted keys.
func openInferenceMessages(sp *span, prefix, role string) []Message {
	items, _ := sp.memo.held(sp.attrs[prefix]).([]any)
	if items == nil {
		items = sp.indexed(prefix)
	}
	var out []Message
	for _, item := range items {
		m := object(item)
		if named := trimKeys(m, "message."); named != nil {
			out = append(out, openInferenceMessage(sp.memo, named, role)...)
		} else if isMessage(m) {
			out = append(out, parseMessage(m, role)...)
		} else if item != any(CutMark) {
			out = append(out, sp.memo.conversation(item, role)...)
		}
	}
	return out
}

// openInferenceMessage reads the message m, the keys of which have lost their "message.".
func openInferenceMessage(c *memo, m map[string]any, role string) []Message {
	calls := openInferenceList(c, m, "tool_calls", "tool_call.")
	if calls != nil {
		m["tool_calls"] = calls
	}
	if m["content"] == nil {
		if parts := openInferenceList(c, m, "contents", "message_content."); parts != nil {
			m["content"] = parts
		}
	}
	if name := scalar(m["function_call_name"]); name != "" && calls == nil {
		m["function_call"] = map[string]any{"name": name, "arguments": m["function_call_arguments_json"]}
	}
	return parseMessage(m, role)
}

// openInferenceList returns the objects under key in m, a list or indexed, without prefix at
// the beginning of their keys.
func openInferenceList(c *memo, m map[string]any, key, prefix string) []any {
	items := list(m[key])
	if items == nil {
		items = c.indexed(m, key)
	}
	var out []any
	for _, item := range items {
		o := object(item)
		if named := trimKeys(o, prefix); named != nil {
			o = named
		}
		out = append(out, o)
	}
	return out
}

// trimKeys returns a copy of m without prefix at the beginning of its keys, or nil when none
// has it.
func trimKeys(m map[string]any, prefix string) map[string]any {
	var out map[string]any
	for k, v := range m {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			if out == nil {
				out = make(map[string]any, len(m))
			}
			out[rest] = v
		}
	}
	if out == nil {
		return nil
	}
	for k, v := range m {
		if !strings.HasPrefix(k, prefix) {
			out[k] = v
		}
	}
	return out
}

// openInferenceTexts returns the texts that the items under prefix are, or have under key.
func openInferenceTexts(sp *span, prefix, key string) string {
	items := sp.memo.array(sp.attrs[prefix])
	if items == nil {
		items = sp.indexed(prefix)
	}
	var out lines
	for _, item := range items {
		out.add(anyOf(scalar(item), scalar(object(item)[key])))
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
		docs := sp.indexed(prefix)
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
