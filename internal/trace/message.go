package trace

import "strings"

// messageKeys are the fields under which emitters put a list of messages.
var messageKeys = [...]string{"messages", "chat_history", "input_messages", "input", "contents"}

// usageKeys are the fields in which a provider's response has its token counts.
var usageKeys = [...]string{"usage", "usageMetadata", "usage_metadata"}

// parseMessages reads a conversation in any of the known dialects: a list of messages
// (also nested once more, as LangChain writes it), an object that holds one, a provider's
// request or response, or one message. role is the role of entries that name none. It
// returns nil when v is no conversation.
func parseMessages(v any, role string) []Message { return (*memo)(nil).parseMessages(v, role) }

// parseMessages is the function of the same name with what was read before looked up.
func (c *memo) parseMessages(v any, role string) []Message {
	if s, ok := v.(string); ok && c != nil {
		if s = strings.TrimSpace(s); s != "" && s[0] == '[' && s[len(s)-1] == ']' {
			if out, ok := c.list(s, role); ok {
				return out
			}
		}
	}
	switch v := c.embedded(v).(type) {
	case []any:
		if r := unstreamed(v); r != nil {
			return answer(r)
		}
		var out []Message
		for i, e := range v {
			if m, ok := e.(map[string]any); ok && c == nil {
				if msg, ok := plainMessage(m); ok {
					if out == nil {
						out = make([]Message, 0, len(v)-i)
					}
					out = append(out, msg)
					continue
				}
			}
			switch e := e.(type) {
			case []any:
				if m, ok := messageTuple(e); ok {
					out = append(out, c.parseMessage(m, role)...)
					continue
				}
				for _, inner := range e {
					m := object(inner)
					if pair, ok := inner.([]any); ok {
						m, _ = messageTuple(pair)
					}
					out = append(out, c.parseMessage(m, role)...)
				}
			default:
				out = append(out, c.parseMessage(object(e), role)...)
			}
		}
		return out
	case string:
		if value, cut, ok := c.mended(v); ok {
			if ms := c.parseMessages(value, role); len(ms) > 0 {
				c.note(v, cut)
				return ms
			}
		}
	case map[string]any:
		if ms := parseResponse(v); ms != nil {
			return ms
		}
		for _, k := range messageKeys {
			l := list(v[k])
			if l == nil {
				continue
			}
			if ms := c.parseMessages(l, role); ms != nil {
				return append(systemPrompt(v), ms...)
			}
		}
		if isMessage(v) {
			return parseMessage(v, role)
		}
	}
	return nil
}

// answer reads a provider's response, in whatever way it gives what the model said.
func answer(r map[string]any) []Message {
	out := parseResponse(r)
	if out == nil && isMessage(r) {
		out = parseMessage(r, "assistant")
	}
	return out
}

// systemPrompt reads the system prompt that some requests carry beside their messages.
func systemPrompt(request map[string]any) []Message {
	v := first(request, "system", "system_instruction", "systemInstruction", "instructions")
	if v == nil {
		return nil
	}
	m := Message{Role: "system"}
	if o := object(v); o != nil && o["parts"] != nil {
		v = o["parts"]
	}
	readContent(&m, nil, v)
	if m.Text == "" {
		return nil
	}
	return []Message{m}
}

// parseResponse reads a provider's response: OpenAI choices, the Responses API's output,
// Gemini candidates, LangChain generations. It returns nil for anything else.
func parseResponse(v map[string]any) []Message {
	var out []Message
	for _, key := range [...]string{"choices", "candidates", "generations", "output"} {
		for _, c := range list(v[key]) {
			if inner, ok := c.([]any); ok && len(inner) > 0 {
				c = inner[0]
			}
			choice := object(c)
			if choice == nil {
				continue
			}
			m := object(first(choice, "message", "delta"))
			if m == nil && key == "candidates" {
				m = object(choice["content"])
			}
			if m == nil {
				m = choice
			}
			if m["role"] != nil || isMessage(m) || m["text"] != nil {
				out = append(out, parseMessage(m, "assistant")...)
			}
		}
		if out != nil {
			return out
		}
	}
	if m := object(object(v["output"])["message"]); m["role"] != nil { // Bedrock's Converse API
		return parseMessage(m, "assistant")
	}
	return nil
}

// isMessage reports whether m looks like a message of a conversation.
func isMessage(m map[string]any) bool {
	if _, ok := m["role"].(string); ok {
		return true
	}
	switch {
	case m == nil:
		return false
	case m["lc"] != nil && m["kwargs"] != nil:
		return true
	case object(m["message"]) != nil:
		return isMessage(object(m["message"]))
	case isPydantic(m), isResponseItem(m):
		return true
	}
	switch m["type"] {
	case "human", "ai", "system", "tool", "function", "message", "AIMessageChunk":
		return true
	}
	_, source := m["source"].(string)
	return source && m["content"] != nil
}

// normalRole returns user, assistant, system or tool for what dialects call these, and
// any other role as it is.
func normalRole(role string) string {
	switch strings.ToLower(role) {
	case "user", "human", "humanmessage", "usermessage":
		return "user"
	case "assistant", "ai", "model", "bot", "aimessage", "aimessagechunk", "assistantmessage", "tool-call", "tool_call":
		return "assistant"
	case "system", "developer", "systemmessage":
		return "system"
	case "tool", "function", "ipython", "toolmessage", "functionmessage", "tool-response", "tool_response":
		return "tool"
	}
	return role
}

// plainMessage reads a message that says nothing but a role, a text, a name and OpenAI's
// calls, as most do. It looks at each field once, where the other dialects take some sixty
// questions, which were half the time of a chat.
func plainMessage(m map[string]any) (msg Message, ok bool) {
	var role, called string
	var calls []any
	for k, v := range m {
		ok = true
		switch k {
		case "role":
			role, ok = v.(string)
		case "content":
			msg.Text, ok = textOrNull(v)
		case "name":
			msg.Name, ok = textOrNull(v)
		case "tool_call_id":
			called, ok = textOrNull(v)
		case "tool_calls":
			calls, ok = v.([]any)
			ok = ok || v == nil
		case "id", "timestamp", "created_at", "time": // of the entry, not of what is said
		default:
			ok = v == nil
		}
		if !ok {
			return Message{}, false
		}
	}
	switch msg.Role = normalRole(role); msg.Role {
	case "user", "assistant", "system":
	case "tool":
		if msg.ToolID = called; called == "" || calls != nil {
			return Message{}, false
		}
	default: // an agent's name
		return Message{}, false
	}
	for _, c := range calls {
		call, ok := plainCall(c)
		if !ok {
			return Message{}, false
		}
		if msg.Calls == nil {
			msg.Calls = make([]Call, 0, len(calls))
		}
		msg.Calls = append(msg.Calls, call)
	}
	return msg, true
}

// textOrNull returns v if it is a string, and "" if it is null.
func textOrNull(v any) (s string, ok bool) {
	s, ok = v.(string)
	return s, ok || v == nil
}

// plainCall reads a tool call as OpenAI writes it.
func plainCall(v any) (c Call, ok bool) {
	m, _ := v.(map[string]any)
	var f map[string]any
	for k, v := range m {
		ok = true
		switch k {
		case "id":
			c.ID, ok = v.(string)
		case "function":
			f, ok = v.(map[string]any)
		case "type":
			ok = v == "function"
		case "index":
		default:
			ok = false
		}
		if !ok {
			return Call{}, false
		}
	}
	var args any
	for k, v := range f {
		ok = true
		switch k {
		case "name":
			c.Name, ok = v.(string)
		case "arguments":
			args = v
		default:
			ok = false
		}
		if !ok {
			return Call{}, false
		}
	}
	if c.Name == "" {
		return Call{}, false
	}
	c.Args, c.ArgsErr = arguments(args)
	return c, true
}

// parseMessage reads one message. Dialects that put several tool results into one
// message give several; a message never gives none. role is used when m names no role.
func parseMessage(m map[string]any, role string) []Message {
	if msg, ok := plainMessage(m); ok {
		return []Message{msg}
	}
	return anyMessage(m, role)
}

// anyMessage reads a message in any dialect.
func anyMessage(m map[string]any, role string) []Message {
	m, role = langChainMessage(m, role)
	if inner := object(m["message"]); inner != nil && m["role"] == nil {
		m = inner
	}
	if m["role"] == nil && isPydantic(m) {
		return parsePydantic(m)
	}
	if isResponseItem(m) {
		return parseResponseItem(m)
	}
	msg := Message{Name: scalar(m["name"]), Refusal: scalar(m["refusal"])}
	if r, ok := m["role"].(string); ok {
		role = r
	} else if t := scalar(m["type"]); t != "" && t != "message" {
		if n := normalRole(t); n != t || n == "system" || n == "tool" {
			role = t
		}
	}
	msg.Role = normalRole(role)
	switch msg.Role {
	case "user", "assistant", "system", "tool":
	default: // an agent's name
		msg.Role = "assistant"
		fill(&msg.Name, role)
	}
	var results []Message
	for _, k := range [...]string{"content", "contents", "parts", "text", "value"} {
		if m[k] != nil {
			results = readContent(&msg, results, m[k])
			break
		}
	}
	inParts := len(msg.Calls)
	for _, k := range [...]string{"tool_calls", "toolCalls", "invalid_tool_calls"} {
		for _, c := range list(m[k]) {
			if c := object(c); c != nil {
				msg.addCall(parseCall(c), inParts)
			}
		}
	}
	if fc := object(m["function_call"]); fc != nil {
		msg.Calls = append(msg.Calls, parseCall(fc))
	}
	if extra := object(m["additional_kwargs"]); extra != nil && msg.Calls == nil {
		for _, c := range list(extra["tool_calls"]) {
			if c := object(c); c != nil {
				msg.Calls = append(msg.Calls, parseCall(c))
			}
		}
	}
	if msg.Text == "" && msg.Calls == nil && results == nil { // all that there is of an answer that was cut off
		msg.Text = firstText(m, "reasoning_content", "reasoning")
	}
	for _, r := range list(first(m, "tool_results", "toolResults")) {
		if r := object(r); r != nil {
			results = append(results, toolResult(r))
		}
	}
	if msg.Role == "tool" {
		if l := list(m["tool_responses"]); l != nil { // AutoGen's first generation: content joins what these say
			for _, r := range l {
				if r := object(r); r != nil {
					results = append(results, toolResult(r))
				}
			}
			if results != nil {
				return results
			}
		}
		msg.ToolID = firstText(m, "tool_call_id", "toolCallId", "tool_use_id", "call_id", "tool_id", "id")
		msg.IsErr = msg.IsErr || truth(first(m, "is_error", "isError")) || scalar(m["status"]) == "error"
		if len(results) > 0 && msg.Text == "" {
			if len(results) == 1 && results[0].ToolID == "" {
				results[0].ToolID = msg.ToolID
			}
			return results
		}
	}
	if len(results) > 0 && msg.Text == "" && msg.Calls == nil && msg.Refusal == "" {
		return results
	}
	if msg.Role == "user" { // what it answers comes first, as Anthropic demands
		return append(results, msg)
	}
	return append([]Message{msg}, results...)
}

// addCall adds c to the calls of m. LangChain writes a provider's calls as parts of the
// content and once more beside it, complete where the part was streamed: c takes the place of
// the one of its id among the first inParts calls.
func (m *Message) addCall(c Call, inParts int) {
	for i := range m.Calls[:inParts] {
		if old := &m.Calls[i]; c.ID != "" && old.ID == c.ID {
			if c.Args != "" {
				*old = c
			}
			return
		}
	}
	m.Calls = append(m.Calls, c)
}

// parseCall reads one tool call in any dialect.
func parseCall(m map[string]any) Call {
	if inner := object(m["tool_call"]); inner != nil {
		m = inner
	}
	c := Call{ID: firstText(m, "id", "toolCallId", "tool_call_id", "call_id", "tool_id", "tool_use_id", "toolId")}
	if m["call_id"] != nil {
		c.ID = scalar(m["call_id"])
	}
	args := m
	if f := object(m["function"]); f != nil {
		args = f
	} else if f := object(m["custom"]); f != nil { // what such a tool is given is text
		return Call{ID: c.ID, Name: scalar(f["name"]), Args: text(f["input"])}
	}
	c.Name = firstText(args, "name", "toolName", "tool_name", "tool", "function")
	if c.Name == "" {
		c.Name = firstText(m, "name", "toolName", "tool_name", "tool", "function.name")
	}
	v := first(args, "arguments", "args", "input", "parameters", "tool_input", "function.arguments", "server_tool_call")
	if v == nil {
		v = m["function.arguments"]
	}
	c.Args, c.ArgsErr = arguments(v)
	return c
}

// toolResult reads one tool's result in any dialect.
func toolResult(m map[string]any) Message {
	r := Message{
		Role:   "tool",
		Name:   firstText(m, "name", "toolName", "tool_name"),
		ToolID: firstText(m, "tool_call_id", "tool_use_id", "toolCallId", "toolUseId", "call_id", "tool_id", "toolId", "id"),
		IsErr:  truth(first(m, "is_error", "isError")) || scalar(m["status"]) == "error",
	}
	v := first(m, "content", "result", "response", "output", "value", "text", "error", "server_tool_call_response")
	if o, ok := v.(map[string]any); ok && strings.HasSuffix(scalar(o["type"]), "_tool_result_error") { // of Anthropic's own tools
		r.IsErr = true
	}
	if o, ok := v.(map[string]any); ok && o["value"] != nil && o["type"] != nil { // Vercel
		switch o["type"] {
		case "error-text", "error-json":
			r.IsErr = true
		}
		v = o["value"]
	}
	if parts, ok := v.([]any); ok && (allParts(parts) || areBedrockParts(parts)) {
		readContent(&r, nil, parts)
		return r
	}
	if o, ok := v.(map[string]any); ok && isErrorResult(o) {
		r.IsErr = true
	}
	r.Text = text(v)
	return r
}

// allParts reports whether every element is a typed part of a message.
func allParts(parts []any) bool {
	for _, p := range parts {
		m, ok := p.(map[string]any)
		if !ok {
			return false
		}
		if _, ok := m["type"].(string); !ok {
			return false
		}
	}
	return len(parts) > 0
}

// finishReason returns why the model stopped, from a message or choice, or "".
func finishReason(v any) string {
	switch v := embedded(v).(type) {
	case []any:
		for _, e := range v {
			if s := scalar(e); s != "" {
				return s
			}
			if s := finishReason(e); s != "" {
				return s
			}
		}
	case map[string]any:
		if s := firstText(v, "finish_reason", "finishReason", "stop_reason", "stopReason"); s != "" {
			return s
		}
		for _, k := range [...]string{"choices", "candidates"} {
			if l := list(v[k]); l != nil {
				return finishReason(l)
			}
		}
		if d := object(v["incomplete_details"]); d != nil {
			return scalar(d["reason"])
		}
		return geminiRefusal(v)
	}
	return ""
}

// answerFinish is finishReason of what a model or any other step gave, of which a text is no
// reason.
func answerFinish(v any) string {
	if l, ok := v.([]any); ok && len(l) > 0 {
		if _, ok := l[0].(string); ok {
			return ""
		}
	}
	return finishReason(v)
}
