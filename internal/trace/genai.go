package trace

import (
	"maps"
	"strings"
)

// GenAI semantic conventions of OpenTelemetry, current (messages as attributes or in one
// event) and before 1.37 (an event or log record per message):
// https://opentelemetry.io/docs/specs/semconv/gen-ai/

func isGenAI(sp *span) bool { return sp.hasPrefix("gen_ai.") || genAIEvents(sp) }

func genAIEvents(sp *span) bool {
	for _, e := range sp.events {
		if strings.HasPrefix(e.name, "gen_ai.") {
			return true
		}
	}
	return false
}

func readGenAI(sp *span, r *reading) {
	for _, e := range sp.events {
		if e.name == "gen_ai.client.inference.operation.details" || e.name == "gen_ai.client.operation.details" {
			for k, v := range maps.All(e.attrs) {
				if !sp.has(k) {
					sp.set(k, v)
				}
			}
			if m, ok := e.body.(map[string]any); ok {
				flatten(sp.attrs, "", m, 0)
				sp.summary = lookupIn(sp.attrs).summary
			}
		}
	}
	r.kind = kindOf(sp.getText("gen_ai.operation.name"))
	if r.kind == KindTool && (readToolEvents(sp, r) || readToolMessages(sp, r)) {
		return
	}
	if sp.has("event_loop.cycle_id") { // of Strands, around a call of the model and the tools it asks for
		r.kind = KindChain
	}
	r.model = sp.getText("gen_ai.response.model", "gen_ai.request.model")
	r.finish = finishReason(sp.get("gen_ai.response.finish_reasons"))
	readGenAIMessages(sp, r)
	r.tools = sp.memo.parseTools(sp.get("gen_ai.tool.definitions", "gen_ai.request.tools"))
	if r.tools == nil {
		r.tools = pydanticTools(sp)
	}
	if r.kind == KindAgent && sp.getText("gen_ai.agent.name") == "" {
		r.agent = strings.TrimPrefix(sp.name, "invoke_agent ")
	}
	readPydanticRun(sp, r)
}

// readGenAIMessages reads the messages from wherever the emitter put them.
func readGenAIMessages(sp *span, r *reading) {
	if v := sp.get("gen_ai.system_instructions"); v != nil {
		m := Message{Role: "system"}
		readContent(&m, nil, sp.memo.held(v))
		if m.Text != "" {
			r.in = append(r.in, m)
		}
	}
	r.in = append(r.in, sp.memo.conversation(sp.get("gen_ai.input.messages"), "user")...)
	if v := sp.get("gen_ai.output.messages"); v != nil {
		r.out = sp.memo.conversation(v, "assistant")
		if r.finish == "" {
			r.finish = answerFinish(sp.memo.held(v))
		}
	}
	if len(r.in) == 0 {
		r.in, _ = legacyMessages(sp, "gen_ai.prompt", "user")
	}
	if len(r.out) == 0 {
		var finish string
		r.out, finish = legacyMessages(sp, "gen_ai.completion", "assistant")
		fill(&r.finish, finish)
	}
	in, out, finish := eventMessages(sp.memo, append(sp.events, pydanticEvents(sp)...))
	if len(r.in) == 0 {
		r.in = in
	}
	if len(r.out) == 0 {
		r.out = out
	}
	if r.finish == "" {
		r.finish = finish
	}
}

// readToolEvents reads a tool's span whose events say what the tool was given, as the
// tool's message, and what it gave, as a choice: those of Strands. It reports whether they
// do.
func readToolEvents(sp *span, r *reading) bool {
	if sp.has(toolArgKeys[:]...) || sp.has(toolResultKeys[:]...) {
		return false
	}
	var io ToolIO
	for _, e := range sp.events {
		switch e.name {
		case "gen_ai.tool.message":
			io.Args, io.ArgsErr = arguments(e.attrs["content"])
		case "gen_ai.choice":
			var m Message
			results := readContent(&m, nil, sp.memo.bedrockParts(e.attrs["message"]))
			for _, r := range results {
				m.Text, m.IsErr = join(m.Text, r.Text), m.IsErr || r.IsErr
			}
			io.Result, io.HasResult, io.IsErr = m.Text, true, m.IsErr
		}
	}
	if io == (ToolIO{}) {
		return false
	}
	io.IsErr = io.IsErr || sp.getText("gen_ai.tool.status", "tool.status") == "error"
	r.tool = &io
	return true
}

// readToolMessages reads a tool's span that has its call as a message that it was given, and
// its result as one that it gave: that of Strands under the current conventions. It reports
// whether it does.
func readToolMessages(sp *span, r *reading) bool {
	if sp.has(toolArgKeys[:]...) || sp.has(toolResultKeys[:]...) {
		return false
	}
	var io ToolIO
	for _, m := range sp.memo.conversation(sp.get("gen_ai.input.messages"), "tool") {
		for _, c := range m.Calls {
			io.CallID, io.Name, io.Args, io.ArgsErr = c.ID, c.Name, c.Args, c.ArgsErr
		}
	}
	for _, m := range sp.memo.conversation(sp.get("gen_ai.output.messages"), "tool") {
		if m.Role == "tool" && m.Calls == nil {
			io.Result, io.HasResult, io.IsErr = m.Text, true, m.IsErr
		}
	}
	if io == (ToolIO{}) {
		return false
	}
	io.IsErr = io.IsErr || sp.getText("gen_ai.tool.status", "tool.status") == "error"
	r.tool = &io
	return true
}

// legacyMessages reads prefix as one JSON string, or as prefix.N.role and its like, and
// why the model stopped, if one of them says it.
func legacyMessages(sp *span, prefix, role string) (out []Message, finish string) {
	if v := sp.attrs[prefix]; v != nil {
		if ms := sp.memo.parseMessages(v, role); ms != nil {
			return ms, ""
		}
		if s := scalar(v); s != "" {
			return []Message{{Role: role, Text: s}}, ""
		}
		for _, e := range sp.memo.array(v) { // Spring AI writes the texts alone
			if s, ok := e.(string); ok && s != "" {
				out = append(out, Message{Role: role, Text: s})
			}
		}
		if out != nil {
			return out, ""
		}
	}
	for _, item := range sp.indexed(prefix) {
		m := item.(map[string]any)
		if m["content"] == "null" { // Traceloop writes a null content as the word
			delete(m, "content")
		}
		if parts := sp.memo.array(m["content"]); allParts(parts) { // Traceloop writes a list of parts as JSON
			m["content"] = parts
		} else if m["content"] != nil {
			m["content"] = sp.memo.bedrockParts(m["content"])
		}
		if calls := sp.memo.indexed(m, "tool_calls"); calls != nil {
			m["tool_calls"] = calls
		}
		out = append(out, parseMessage(m, role)...)
		if finish == "" {
			finish = finishReason(m)
		}
	}
	return out, finish
}

// eventMessages reads the messages among a span's events and log records.
func eventMessages(c *memo, events []event) (in, out []Message, finish string) {
	for _, e := range events {
		kind, ok := strings.CutPrefix(e.name, "gen_ai.")
		if !ok {
			continue
		}
		body := eventBody(c, e)
		switch kind {
		case "system.message", "user.message", "assistant.message", "tool.message":
			role, _, _ := strings.Cut(kind, ".")
			if m := object(body); m != nil {
				if parts := c.bedrockParts(m["content"]); parts != nil {
					m = with(m, "content", parts)
				}
				in = append(in, parseMessage(m, role)...)
			} else if s := scalar(body); s != "" {
				in = append(in, Message{Role: role, Text: s})
			}
		case "choice":
			m := object(body)
			if m == nil {
				break
			}
			if finish == "" {
				finish = finishReason(m)
			}
			if inner := object(m["message"]); inner != nil {
				m = inner
			} else if m["message"] != nil && m["content"] == nil { // only what it says
				m = with(m, "content", c.bedrockParts(m["message"]))
			}
			out = append(out, parseMessage(m, "assistant")...)
		case "content.prompt":
			in = append(in, promptMessages(c, first(e.attrs, "gen_ai.prompt"), "user")...)
		case "content.completion":
			out = append(out, promptMessages(c, first(e.attrs, "gen_ai.completion"), "assistant")...)
		}
	}
	return in, out, finish
}

func promptMessages(c *memo, v any, role string) []Message {
	if ms := c.parseMessages(v, role); len(ms) > 0 {
		return ms
	}
	if s := text(v); s != "" {
		return []Message{{Role: role, Text: s}}
	}
	return nil
}

// eventBody returns what an event says: its body, else its attributes.
func eventBody(c *memo, e event) any {
	if e.body != nil {
		return c.embedded(e.body)
	}
	if v := first(e.attrs, "body", "gen_ai.event.content", "message"); v != nil {
		if m := object(v); m != nil {
			if e.attrs["message"] != nil && e.attrs["body"] == nil {
				return e.attrs
			}
			return m
		}
	}
	return e.attrs
}
