package trace

// Google's Agent Development Kit: sessions, whose events are what the user, the agents and
// their tools said, and the spans of its own instrumentation:
// https://google.github.io/adk-docs/events/, https://google.github.io/adk-docs/observability/
//
// Content is Gemini's. Python writes snake_case, the API server and other languages
// camelCase.

// isADKEvent recognises one event.
func isADKEvent(m map[string]any) bool {
	author, _ := m["author"].(string)
	if author == "" || firstText(m, "invocation_id", "invocationId") == "" {
		return false
	}
	return object(m["content"])["parts"] != nil || first(m, "actions", "error_code", "errorCode") != nil
}

// adkEvents returns the field in which a document has l, if that is a list of events.
func adkEvents(l []any) string {
	if len(l) == 0 {
		return ""
	}
	if m, _ := l[0].(map[string]any); !isADKEvent(m) {
		return ""
	}
	return "events"
}

// adkList returns the events in doc and their JSON pointer, or nil.
func adkList(doc any) ([]any, string) {
	switch doc := doc.(type) {
	case []any:
		if adkEvents(doc) != "" {
			return doc, ""
		}
	case map[string]any:
		for _, k := range [...]string{"events", messageList} {
			if l := list(doc[k]); adkEvents(l) != "" {
				return l, pointer("", k)
			}
		}
	}
	return nil, ""
}

func isADK(doc any) bool {
	l, _ := adkList(doc)
	return l != nil
}

func decodeADK(b *builder, doc any) {
	l, base := adkList(doc)
	d := chatDecoder{b: b}
	d.own = func(s *Step, m map[string]any) (made, ok bool) {
		return adkEvent(&d, s, snakeKeys(m)), true
	}
	if m, ok := doc.(map[string]any); ok {
		d.header(m)
		id := anyOf(b.t.ID, firstText(m, "id"))
		b.t.ID, b.t.Session = id, anyOf(b.t.Session, id)
		fill(&b.t.Service, firstText(m, "app_name", "appName"))
	}
	d.decode(l, base)
}

// adkEvent reads an event into s. It reports false where the event says nothing: pieces of an
// answer that comes whole after them, and changes of state.
func adkEvent(d *chatDecoder, s *Step, m map[string]any) bool {
	content := object(m["content"])
	code, said := scalar(m["error_code"]), scalar(m["error_message"])
	if truth(m["partial"]) || content["parts"] == nil && code+said == "" {
		return false
	}
	var msgs []Message
	if content != nil {
		msgs = parseMessage(content, "assistant")
	}
	s.Start = instant(m["timestamp"])
	author := scalar(m["author"])
	switch {
	case len(msgs) > 0 && msgs[0].Role == "tool":
		responses := functionResponses(content)
		for i, e := range responses[:min(len(responses), len(msgs))] {
			msgs[i].IsErr = msgs[i].IsErr || object(e["response"])["status"] == "error"
		}
		d.toolEntry(s, msgs)
		s.Agent = author
	case author == "user":
		d.chatEntry(s, msgs, "")
	default:
		if len(msgs) == 0 {
			msgs = []Message{{}}
		}
		for i := range msgs {
			if msgs[i].Role != "tool" {
				msgs[i].Role = "assistant"
			}
		}
		d.modelEntry(s, msgs, KindLLM)
		s.Agent = author
	}
	s.Tokens = readTokens(object(m["usage_metadata"]))
	s.Model, s.Finish = scalar(m["model_version"]), scalar(m["finish_reason"])
	if code+said != "" {
		s.Err, s.Status = &Failure{Code: code, Message: said}, Error
		s.Err.infer()
	}
	return true
}

// functionResponses returns the results among the parts of content, if there are no others.
func functionResponses(content map[string]any) []map[string]any {
	var out []map[string]any
	for _, e := range list(content["parts"]) {
		r := object(first(object(e), "function_response", "functionResponse"))
		if r == nil {
			return nil
		}
		out = append(out, r)
	}
	return out
}

func isADKSpan(sp *span) bool {
	return sp.has("gcp.vertex.agent.llm_request", "gcp.vertex.agent.tool_call_args", "gcp.vertex.agent.tool_response", "gcp.vertex.agent.invocation_id")
}

func readADKSpan(sp *span, r *reading) {
	readGenAI(sp, r)
	if v := sp.get("gcp.vertex.agent.tool_call_args", "gcp.vertex.agent.tool_response"); v != nil {
		readADKTool(sp, r)
		return
	}
	request := geminiRequest(sp.memo.object(sp.get("gcp.vertex.agent.llm_request")))
	response := sp.memo.object(sp.get("gcp.vertex.agent.llm_response"))
	if len(request) == 0 && len(response) == 0 {
		return
	}
	r.kind = KindLLM
	if r.in == nil {
		r.in = sp.memo.parseMessages(request, "user")
	}
	if r.tools == nil {
		r.tools = sp.memo.parseTools(request["tools"])
	}
	if content := object(response["content"]); content != nil && r.out == nil {
		r.out = parseMessage(content, "assistant")
	}
	fill(&r.model, scalar(request["model"]))
	fill(&r.finish, finishReason(response))
	if r.tokens == unknownTokens {
		r.tokens = readTokens(object(first(response, usageKeys[:]...)))
	}
	if code := firstText(response, "error_code", "errorCode"); code != "" && sp.failure == nil {
		sp.failure, sp.status = &Failure{Code: code, Message: firstText(response, "error_message", "errorMessage")}, Error
	}
}

func readADKTool(sp *span, r *reading) {
	r.kind, r.tool = KindTool, &ToolIO{Name: sp.getText("gen_ai.tool.name"), CallID: sp.getText("gen_ai.tool.call.id")}
	if r.tool.Name == "" {
		r.tool.Name = toolNameFromSpan(sp.name)
	}
	r.tool.Args, r.tool.ArgsErr = sp.memo.arguments(sp.get("gcp.vertex.agent.tool_call_args"))
	if v := sp.get("gcp.vertex.agent.tool_response"); v != nil {
		r.tool.Result, r.tool.HasResult = resultText(v), true
		r.tool.IsErr = isErrorResult(sp.memo.embedded(v)) || sp.memo.object(v)["status"] == "error"
	}
}
