package trace

// Messages of Pydantic AI, as its agents dump them: requests and responses, each a list of
// parts that say what they are: https://ai.pydantic.dev/message-history/

// pydanticEvents returns the messages of a model's span of its instrumentation before
// version 2: events in an attribute.
func pydanticEvents(sp *span) []event {
	var out []event
	for _, e := range list(sp.get("events")) {
		if m := object(e); m["event.name"] != nil {
			out = append(out, event{name: scalar(m["event.name"]), body: m})
		}
	}
	return out
}

// pydanticTools returns the tools that such a span was offered.
func pydanticTools(sp *span) []Tool {
	return parseTools(object(sp.get("model_request_parameters"))["function_tools"])
}

// readPydanticRun reads the span of a whole run, where nothing else says what was said in it.
func readPydanticRun(sp *span, r *reading) {
	if v := sp.get("pydantic_ai.all_messages", "all_messages_events", "all_messages"); v != nil && r.in == nil && r.out == nil {
		r.in = sp.memo.parseMessages(v, "user")
		if r.kind == "" {
			r.kind = KindAgent
		}
	}
	v := text(sp.get("final_result"))
	if n := len(r.in); v != "" && r.output == "" && r.out == nil && (n == 0 || r.in[n-1].Text != v) {
		r.output = v
	}
}

func isPydantic(m map[string]any) bool {
	switch m["kind"] {
	case "request", "response":
		parts, ok := m["parts"].([]any)
		return ok && len(parts) > 0 && object(parts[0])["part_kind"] != nil
	}
	return false
}

// parsePydantic reads one request or response. A request holds several messages: prompts
// and the results of calls.
func parsePydantic(m map[string]any) []Message {
	var out []Message
	said := Message{Role: "assistant"}
	if s := scalar(m["instructions"]); s != "" {
		out = append(out, Message{Role: "system", Text: s})
	}
	for _, e := range list(m["parts"]) {
		part := object(e)
		switch kind := scalar(part["part_kind"]); kind {
		case "system-prompt":
			out = append(out, Message{Role: "system", Text: text(part["content"])})
		case "user-prompt":
			msg := Message{Role: "user"}
			readContent(&msg, nil, part["content"])
			out = append(out, msg)
		case "tool-return", "builtin-tool-return", "retry-prompt":
			r := toolResult(part)
			r.IsErr = r.IsErr || kind == "retry-prompt" || scalar(part["outcome"]) == "failed"
			out = append(out, r)
		case "tool-call", "builtin-tool-call":
			said.Calls = append(said.Calls, parseCall(part))
		default: // text, thinking
			said.Text = join(said.Text, text(part["content"]))
		}
	}
	if m["kind"] == "response" || said.Text != "" || said.Calls != nil {
		out = append(out, said)
	}
	if len(out) == 0 {
		return []Message{said}
	}
	return out
}
