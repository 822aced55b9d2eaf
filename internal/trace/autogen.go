package trace

import (
	"maps"
	"regexp"
	"strings"
	"unicode"
)

// AutoGen: the histories of its first generation, as multi-agent benchmarks publish them
// (every entry a turn of the agent that name or role names), and the typed events of 0.4
// and later: https://microsoft.github.io/autogen/stable/reference/python/autogen_agentchat.messages.html

func isAutoGen(doc any) bool {
	if m, ok := doc.(map[string]any); ok && looksLikeChat(list(m["history"])) && m["trajectory"] == nil {
		return true
	}
	l, _ := autoGenList(doc)
	speakers := make(map[string]bool)
	for _, e := range l {
		m := object(e)
		if m == nil {
			continue
		}
		role := m["role"]
		if role == nil && isTyped(autoGenInner(m)) {
			return true
		}
		if name := scalar(m["name"]); name != "" && m["tool_calls"] == nil {
			switch normalRole(scalar(role)) {
			case "user", "assistant":
				speakers[name] = true
			}
		}
	}
	return len(speakers) >= 2
}

// isTyped reports whether m is an item of AutoGen 0.4, which names its source instead of a
// role; of the results of calls, some name only their type.
func isTyped(m map[string]any) bool {
	if m["role"] != nil {
		return false
	}
	kind := scalar(m["type"])
	_, source := m["source"].(string)
	switch kind {
	case "LLMCall", "ToolCall", "MessageHandlerException", "AgentConstructionException":
		return isCoreEvent(m)
	case "CodeExecutionEvent":
		return m["result"] != nil
	case "FunctionExecutionResultMessage", "ToolCallExecutionEvent", "ToolCallResultMessage", "SystemMessage":
		return m["content"] != nil
	}
	return source && m["content"] != nil
}

// isCoreEvent recognises what the runtime and the models' clients log, one event a line:
// https://microsoft.github.io/autogen/stable/reference/python/autogen_core.logging.html
func isCoreEvent(m map[string]any) bool {
	switch m["type"] {
	case "LLMCall":
		return list(m["messages"]) != nil && m["response"] != nil
	case "ToolCall":
		return m["tool_name"] != nil
	case "MessageHandlerException", "AgentConstructionException":
		return m["exception"] != nil
	case "Message", "MessageDropped":
		return m["payload"] != nil && m["kind"] != nil
	}
	return false
}

// isAutoGenEntry recognises an item in a line of its own, and at the end of a run's items
// its result, which repeats them.
func isAutoGenEntry(m map[string]any, open bool) bool {
	kind := scalar(m["type"])
	_, source := m["source"].(string)
	switch inner := autoGenInner(m); {
	case isCoreEvent(m):
		return true
	case isTyped(inner) && (strings.HasSuffix(scalar(inner["type"]), "Message") || strings.HasSuffix(scalar(inner["type"]), "Event")):
		return true
	}
	return source && kind == "SelectSpeakerEvent" || open && isTaskResult(m)
}

// isTaskResult recognises what a run returns, all its items again.
func isTaskResult(m map[string]any) bool {
	l := list(m["messages"])
	_, reason := m["stop_reason"]
	return reason && len(l) > 0 && isTyped(object(l[0]))
}

// autoGenInner returns the item within m, where m is what a logger or a response has around
// it, else m.
func autoGenInner(m map[string]any) map[string]any {
	for _, k := range [...]string{"agent_message", "chat_message", "message"} {
		if inner := object(m[k]); inner != nil && isTyped(inner) && m["role"] == nil {
			return inner
		}
	}
	if said, ok := m["message"].(string); ok && m["content"] == nil && m["source"] != nil && m["role"] == nil { // of Magentic-One's log
		return with(m, "content", said)
	}
	return m
}

// autoGenList returns the items of doc: a list of them, what a run returned, what the
// studio saved of it, or the state of a team, where they stand in the manager's thread or
// else in the context of an agent.
func autoGenList(doc any) (l []any, base string) {
	m, ok := doc.(map[string]any)
	if !ok {
		l, _ := doc.([]any)
		return l, ""
	}
	for _, k := range [...]string{"history", "messages", "chat_history", "events", "message_thread"} {
		if l := list(m[k]); len(l) > 0 {
			return l, pointer("", k)
		}
	}
	for _, k := range [...]string{"task_result", "team_result", "llm_context", "agent_state"} {
		if inner := object(m[k]); inner != nil {
			l, at := autoGenList(inner)
			return l, pointer("", k) + at
		}
	}
	states := object(m["agent_states"])
	for _, name := range sortedKeys(states) {
		if state := object(states[name]); state != nil && state["agent_states"] == nil {
			if found, at := autoGenList(state); len(found) > len(l) || len(found) > 0 && state["message_thread"] != nil {
				if l, base = found, pointer("/agent_states", name)+at; state["message_thread"] != nil {
					break
				}
			}
		}
	}
	return l, base
}

func decodeAutoGen(b *builder, doc any) {
	l, base := autoGenList(doc)
	d := chatDecoder{b: b}
	d.own, d.turn = d.autoGenEntry, d.agentEntry
	m, _ := doc.(map[string]any)
	if m != nil {
		d.prompts = maps.Clone(object(m["system_prompt"]))
		d.tools = b.declare(parseTools(first(m, "tools", "functions")))
		d.header(m)
	}
	d.decode(l, base)
	if reason := anyOf(firstText(m, "stop_reason", "stopReason"), scalar(object(m["task_result"])["stop_reason"])); reason != "" && len(b.t.Steps) > 0 {
		fill(&b.t.Steps[len(b.t.Steps)-1].Finish, reason)
	}
	if q := scalar(m["question"]); q != "" && len(b.t.Steps) > 0 {
		for _, msg := range b.t.Messages {
			if strings.Contains(msg.Text, q) {
				return
			}
		}
		s := &b.t.Steps[0]
		s.In = append([]int{b.message(Message{Role: "user", Name: "question", Text: q})}, s.In...)
	}
}

// exitCode matches the results of AutoGen's code executor.
var exitCode = regexp.MustCompile(`^exitcode: (-?\d+)`)

// agentEntry classifies an entry of a multi-agent history. There, role tells only from
// whose point of view the history was recorded: the name is the speaker.
func (d *chatDecoder) agentEntry(s *Step, msgs []Message, role, name string) {
	speaker := name
	if speaker == "" && normalRole(role) == role { // "Orchestrator (thought)", "WebSurfer"
		speaker, _, _ = strings.Cut(role, " (")
	}
	said := msgs[0].Text
	switch {
	case msgs[0].Role == "tool":
		d.toolEntry(s, msgs)
	case strings.HasPrefix(said, "exitcode: ") && exitCode.MatchString(said): // the first spares most texts the expression
		s.Kind, s.Name, s.Agent = KindTool, speaker, speaker
		msgs[0].Role = "tool"
		s.Tool = &ToolIO{Name: speaker, Args: d.lastCode(), Result: said, HasResult: true, IsErr: exitCode.FindStringSubmatch(said)[1] != "0"}
		s.Out = d.b.pool(msgs)
		d.since = append(d.since, s.Out...)
	case speaker == "" || isHuman(speaker) || msgs[0].Role == "system":
		if msgs[0].Role == "assistant" {
			if speaker == "" {
				d.modelEntry(s, msgs, KindLLM)
				return
			}
			msgs[0].Role = "user"
		}
		s.Kind, s.Name = KindInput, msgs[0].Role
		if speaker != "" {
			s.Name = speaker
		}
		s.Out = d.b.pool(msgs)
		d.since = append(d.since, s.Out...)
	default:
		if p := d.prompts[speaker]; p != nil {
			d.since = append(d.since, d.b.message(Message{Role: "system", Name: speaker, Text: text(p)}))
			delete(d.prompts, speaker)
		}
		msgs[0].Role = "assistant"
		d.modelEntry(s, msgs, KindAgent)
		s.Agent, s.Name = speaker, speaker
		if name == "" {
			s.Name = role
		}
	}
}

// isHuman reports whether a speaker of that name is no agent.
func isHuman(name string) bool {
	switch strings.ToLower(name) {
	case "human", "user", "user_proxy", "userproxy", "userproxyagent", "admin", "system":
		return true
	}
	return false
}

// lastCode returns the code in the newest turn that has some, or "".
func (d *chatDecoder) lastCode() string {
	steps := d.b.t.Steps
	for i := len(steps) - 1; i >= 0 && i >= len(steps)-8; i-- {
		if steps[i].Kind != KindAgent && steps[i].Kind != KindLLM {
			continue
		}
		for _, o := range steps[i].Out {
			if blocks := codeBlocks(d.b.t.Messages[o].Text); blocks != "" {
				return blocks
			}
		}
	}
	return ""
}

// codeBlocks returns the fenced blocks of code in s: three backquotes, the name of a
// language, and on the next lines what ends with three backquotes. Each line's end is looked
// for once, however many fences stand in it.
func codeBlocks(s string) string {
	const fence = "```"
	var blocks []string
	said, line := 0, -1 // where the line at hand ends, without the white space at its end and with it
	for at := 0; ; {
		next := strings.Index(s[at:], fence)
		if next < 0 {
			break
		}
		if at += next + len(fence); line < at {
			n := strings.IndexByte(s[at:], '\n')
			if n < 0 {
				break
			}
			line = at + n
			said = at + len(strings.TrimRight(s[at:line], " \t\r"))
		}
		if strings.ContainsFunc(s[at:max(at, said)], notLanguage) {
			continue
		}
		code := s[line+1:]
		end := strings.Index(code, fence)
		if end < 0 {
			break
		}
		blocks = append(blocks, strings.TrimRight(code[:end], "\n"))
		at = line + 1 + end + len(fence)
	}
	return strings.Join(blocks, "\n\n")
}

func notLanguage(r rune) bool {
	return r != '_' && r != '+' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// autoGenEntry reads an entry that is an item of AutoGen 0.4.
func (d *chatDecoder) autoGenEntry(s *Step, m map[string]any) (made, ok bool) {
	s.Start = instant(m["timestamp"]) // of the logger
	m = autoGenInner(m)
	t := d.b.t
	switch {
	case isTaskResult(m) && len(t.Steps) > 0: // of the entries before it
		fill(&t.Steps[len(t.Steps)-1].Finish, scalar(m["stop_reason"]))
		return false, true
	case isTyped(m):
		return d.typedEntry(s, m, scalar(m["source"])), true
	case isCoreEvent(m): // what agents sent each other, which they say as well
		return false, true
	}
	return false, false
}

// typedEntry reads an item of AutoGen 0.4, which has a source and a type. It reports false
// for what says nothing of its own.
func (d *chatDecoder) typedEntry(s *Step, m map[string]any, source string) bool {
	kind := scalar(m["type"])
	if kind == "AssistantMessage" && isCalls(m["content"]) {
		kind = "ToolCallRequestEvent"
	}
	s.Agent = source
	if at := instant(first(m, "created_at", "timestamp")); !at.IsZero() {
		s.Start = at
	}
	if u := object(m["models_usage"]); u != nil {
		s.Tokens = readTokens(u)
	}
	switch kind {
	case "ModelClientStreamingChunkEvent": // the whole message follows
		return false
	case "ToolCallRequestEvent", "ToolCallMessage":
		msg := Message{Role: "assistant", Name: source, Text: scalar(m["thought"])}
		for _, c := range list(m["content"]) {
			if c := object(c); c != nil {
				msg.Calls = append(msg.Calls, parseCall(c))
			}
		}
		d.modelEntry(s, []Message{msg}, KindAgent)
		s.Name = source
	case "ToolCallExecutionEvent", "ToolCallResultMessage", "FunctionExecutionResultMessage":
		var msgs []Message
		for _, r := range list(m["content"]) {
			if r := object(r); r != nil {
				msgs = append(msgs, toolResult(r))
			}
		}
		if msgs == nil {
			msgs = []Message{{Role: "tool", Text: text(m["content"])}}
		}
		d.toolEntry(s, msgs)
	case "CodeExecutionEvent":
		d.codeEntry(s, m["result"], source)
	case "MemoryQueryEvent":
		said := Message{}
		readContent(&said, nil, m["content"])
		s.Kind, s.Name, s.Output = KindRetrieval, kind, said.Text
	case "UserInputRequestedEvent", "SelectSpeakerEvent", "SelectorEvent":
		s.Kind, s.Name, s.Output = KindChain, kind, text(m["content"])
	case "LLMCall", "ToolCall", "MessageHandlerException", "AgentConstructionException":
		d.coreEntry(s, m, kind)
	default:
		msg := Message{Role: "assistant", Name: source}
		if _, ok := m["content"].(map[string]any); ok { // a structured message
			msg.Text = text(m["content"])
		} else {
			readContent(&msg, nil, m["content"])
		}
		if isHuman(source) {
			msg.Role = "user"
		}
		if kind == "SystemMessage" {
			msg.Role = "system"
		}
		d.agentEntry(s, []Message{msg}, msg.Role, source)
	}
	return true
}

// codeEntry makes s the execution of the code that was written last.
func (d *chatDecoder) codeEntry(s *Step, result any, source string) {
	s.Kind, s.Name = KindTool, source
	r := Message{Role: "tool", Name: source, Text: text(result)}
	if o := object(result); o != nil {
		r.Text = scalar(o["output"])
		r.IsErr = count(o, "exit_code") > 0
	}
	s.Tool = &ToolIO{Name: source, Args: d.lastCode(), Result: r.Text, HasResult: true, IsErr: r.IsErr}
	s.Out = d.b.pool([]Message{r})
	d.since = append(d.since, s.Out...)
}

// coreEntry reads what the runtime or a model's client logged.
func (d *chatDecoder) coreEntry(s *Step, m map[string]any, kind string) {
	agent, _, _ := strings.Cut(firstText(m, "agent_id", "handling_agent"), "/")
	s.Agent, s.Name = agent, kind
	switch kind {
	case "LLMCall":
		s.Kind, s.Tokens = KindLLM, readTokens(m)
		s.In = d.b.pool(parseMessages(m["messages"], "user"))
		out := parseMessages(m["response"], "assistant")
		s.Out, s.Finish = d.b.pool(out), finishReason(m["response"])
		s.Model = firstText(object(m["response"]), "model")
		s.Declared = d.b.declare(parseTools(m["tools"]))
	case "ToolCall":
		s.Kind, s.Name = KindTool, scalar(m["tool_name"])
		s.Tool = &ToolIO{Name: s.Name, CallID: scalar(m["call_id"])}
		s.Tool.Args, s.Tool.ArgsErr = arguments(m["arguments"])
		if v := m["result"]; v != nil {
			s.Tool.Result, s.Tool.HasResult = resultText(v), true
		}
	default:
		s.Kind, s.Status = KindChain, Error
		f := failureFromText(scalar(m["exception"]))
		s.Err = &f
	}
}

// isCalls reports whether content is a list of calls.
func isCalls(content any) bool {
	l := list(content)
	for _, e := range l {
		if m := object(e); m["arguments"] == nil || m["name"] == nil {
			return false
		}
	}
	return len(l) > 0
}
