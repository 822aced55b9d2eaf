package trace

import "slices"

// This file reads conversations whose every entry is a step: OpenAI chat messages and
// the histories of multi-agent frameworks.

// chatList returns the list of messages in doc and its JSON pointer, or nil.
func chatList(doc any, keys ...string) ([]any, string) {
	switch doc := doc.(type) {
	case []any:
		if looksLikeChat(doc) {
			return doc, ""
		}
	case map[string]any:
		for _, k := range keys {
			if l := list(doc[k]); looksLikeChat(l) {
				return l, pointer("", k)
			}
		}
	}
	return nil, ""
}

// looksLikeChat reports whether at least half of the first entries are messages.
func looksLikeChat(l []any) bool {
	n := min(len(l), 10)
	messages := 0
	for _, e := range l[:n] {
		if isMessage(chatEntryOf(e)) {
			messages++
		}
	}
	return messages > 0 && messages*2 >= n
}

// chatEntryOf returns e, an entry of a list of messages, as an object, or nil.
func chatEntryOf(e any) map[string]any {
	if pair, ok := e.([]any); ok {
		m, _ := messageTuple(pair)
		return m
	}
	return object(e)
}

// isChatEntry recognises a message in a line of its own.
func isChatEntry(m map[string]any, _ bool) bool {
	_, role := m["role"].(string)
	return role && first(m, "content", "tool_calls", "parts") != nil && m["messages"] == nil && m["history"] == nil
}

func isChat(doc any) bool {
	l, _ := chatList(doc, chatKeys[:]...)
	return l != nil
}

// chatKeys are the fields under which documents keep a conversation.
var chatKeys = [...]string{"messages", "conversation", "chat_history", "turns", "history", "traj", "transcript", "contents", "input"}

func decodeChat(b *builder, doc any) {
	l, base := chatList(doc, chatKeys[:]...)
	d := chatDecoder{b: b}
	if m, ok := doc.(map[string]any); ok {
		d.tools = b.declare(parseTools(first(m, "tools", "functions", "tool_definitions")))
		d.header(m)
	}
	d.decode(l, base)
	if m, ok := doc.(map[string]any); ok {
		d.footer(m, len(l))
	}
}

// A chatDecoder turns a list of messages into steps, one per entry.
type chatDecoder struct {
	b     *builder
	tools []int // declared tools
	// own reads an entry in a format's own way and reports whether it makes a step; ok is
	// false for entries that are messages like any other's. Optional.
	own func(s *Step, m map[string]any) (made, ok bool)
	// turn classifies an entry that says msgs; chatEntry does unless it is set.
	turn func(s *Step, msgs []Message, role, name string)
	// prompts are the agents' system prompts, by agent; each goes to the agent's first step.
	prompts map[string]any
	pending []Call     // that have no result yet, at most maxPending
	since   []int      // messages since the last model turn
	one     [1]Message // of the entry, if it is a plain one
}

// maxPending bounds how many calls wait for their results: each result is looked for among
// them. The oldest are given up.
const maxPending = 1000

// header reads what a document says about the whole conversation.
func (d *chatDecoder) header(m map[string]any) {
	t, in := d.b.t, lookupIn(m)
	t.ID = in.text(traceIDKeys[:]...)
	t.Service = in.text("service", "service_name", "ml_app")
	t.Session = in.text("session_id", "sessionId")
	t.Start = instant(in.first("start_time", "startTime", "timestamp", "created_at", "started_at"))
	d.since = d.b.pool(systemPrompt(m))
	readVerdicts(d.b, m, "")
	if meta := object(in.get("metadata")); meta != nil {
		readVerdicts(d.b, meta, "")
	}
}

// footer adds what a document says about its end: an error, or a provider's response
// beside the messages.
func (d *chatDecoder) footer(m map[string]any, n int) {
	t := d.b.t
	if out := parseResponse(m); out != nil {
		s := Step{Index: n, Kind: KindLLM, Name: "response", Tokens: unknownTokens, In: d.since, Out: d.b.pool(out), Finish: finishReason(m), Declared: d.tools}
		t.Steps = append(t.Steps, s)
	} else if r := object(m["response"]); r != nil {
		if out := parseMessages(r, "assistant"); out != nil {
			t.Steps = append(t.Steps, Step{Index: n, Kind: KindLLM, Name: "response", Tokens: unknownTokens, In: d.since, Out: d.b.pool(out),
				Finish: finishReason(r), Declared: d.tools, Source: "/response"})
		}
	}
	if f := failureFrom(first(m, "error", "error_message", "exception", "error_str")); f != nil && len(t.Steps) > 0 {
		if info := object(m["error_information"]); info != nil { // LiteLLM's, beside the text
			fill(&f.Type, scalar(info["error_class"]))
			fill(&f.Code, scalar(info["error_code"]))
			fill(&f.Stack, scalar(info["traceback"]))
			f.infer()
		}
		last := &t.Steps[len(t.Steps)-1]
		if last.Kind == KindInput {
			t.Steps = append(t.Steps, Step{Index: last.Index + 1, Kind: KindLLM, Name: "error", Tokens: unknownTokens, Declared: d.tools})
			last = &t.Steps[len(t.Steps)-1]
		}
		last.Err, last.Status = f, Error
	}
}

func (d *chatDecoder) decode(l []any, base string) {
	t := d.b.t
	t.Steps = make([]Step, 0, len(l)+1) // the response, or an error
	d.b.expect(len(l))
	for i, e := range l {
		n := len(t.Steps)
		s := &t.Steps[:n+1][n] // put together where it stays, which is zero: a step is large to copy
		s.Index, s.Tokens, s.Source = i, unknownTokens, d.b.position(base, i)
		m := chatEntryOf(e)
		switch {
		case m != nil:
			if !d.entry(s, m) {
				*s = Step{}
				continue
			}
		case scalar(e) != "":
			s.Kind, s.Name, s.Input = KindInput, "text", scalar(e)
		default:
			s.Kind, s.Name, s.Input = KindOpaque, "entry", text(e)
			d.b.warn("entry %d of the messages is no object", i)
		}
		t.Steps = t.Steps[:n+1]
		if t.Start.IsZero() {
			t.Start = s.Start
		}
	}
}

// entryTimes are the fields in which an entry says when it was.
var entryTimes = [...]string{"timestamp", "created_at", "time"}

// entry reads one entry of the list into s. It reports false when it makes no step.
func (d *chatDecoder) entry(s *Step, m map[string]any) bool {
	role := scalar(m["role"])
	if msg, ok := plainMessage(m); ok {
		d.one[0] = msg
		s.Start = instant(first(m, entryTimes[:]...))
		d.messageEntry(s, d.one[:], role, msg.Name)
		return true
	}
	if d.own != nil {
		if made, ok := d.own(s, m); ok {
			return made
		}
	}
	s.Start = instant(first(m, entryTimes[:]...))
	inner := m
	if im := object(m["message"]); im != nil && role == "" { // a log line around a message
		inner = im
		role = scalar(im["role"])
		s.Finish = scalar(im["stop_reason"])
		s.Model = scalar(im["model"])
	}
	if !isMessage(m) {
		s.Kind, s.Name, s.Input = KindChain, firstText(m, "type", "name"), canonical(m)
		if s.Name == "" {
			s.Name = "entry"
		}
		if f := failureFrom(m["error"]); f != nil {
			s.Err, s.Status = f, Error
		}
		return true
	}
	msgs := parseMessage(inner, "user")
	if u := object(inner["usage"]); u != nil {
		s.Tokens = readTokens(u)
	}
	if f := finishReason(m); f != "" {
		s.Finish = f
	}
	if s.Model == "" {
		s.Model = scalar(inner["model"])
	}
	if f := failureFrom(first(m, "error", "exception")); f != nil {
		s.Err, s.Status = f, Error
	}
	name := scalar(inner["name"])
	if isResponseItem(inner) { // the tool's
		name = ""
	}
	if isResponseItem(inner) && d.b.pool(msgs) == nil { // about the request, not of the conversation
		return false
	}
	if isHostedCall(inner) {
		d.hostedEntry(s, msgs)
		return true
	}
	d.messageEntry(s, msgs, role, name)
	return true
}

// hostedEntry makes s the execution of a tool that the model's provider ran itself; msgs
// are the call and the result.
func (d *chatDecoder) hostedEntry(s *Step, msgs []Message) {
	d.await(msgs[0].Calls)
	d.toolEntry(s, msgs)
}

// messageEntry classifies an entry that says msgs.
func (d *chatDecoder) messageEntry(s *Step, msgs []Message, role, name string) {
	if d.turn != nil {
		d.turn(s, msgs, role, name)
		return
	}
	d.chatEntry(s, msgs, name)
}

// chatEntry classifies an entry of a plain conversation.
func (d *chatDecoder) chatEntry(s *Step, msgs []Message, name string) {
	first := msgs[0]
	switch {
	case first.Role == "tool":
		d.toolEntry(s, msgs)
	case first.Role == "assistant":
		d.modelEntry(s, msgs, KindLLM)
		s.Agent = name
	default:
		s.Kind, s.Name = KindInput, first.Role
		s.Out = d.b.pool(msgs)
		d.since = append(d.since, s.Out...)
	}
}

// modelEntry makes s the turn of a model or agent that said msgs.
func (d *chatDecoder) modelEntry(s *Step, msgs []Message, kind Kind) {
	s.Kind, s.Name = kind, msgs[0].Role
	s.Out = d.b.pool(msgs)
	s.In, d.since = d.since, s.Out
	if kind == KindLLM {
		s.Declared = d.tools
	}
	for i := range msgs {
		d.await(msgs[i].Calls)
	}
}

// await adds calls to the pending ones.
func (d *chatDecoder) await(calls []Call) {
	d.pending = append(d.pending, calls...)
	if n := len(d.pending) - maxPending; n > 0 {
		d.pending = d.pending[n:]
	}
}

// toolEntry makes s the execution of the tool whose results msgs are.
func (d *chatDecoder) toolEntry(s *Step, msgs []Message) {
	s.Kind = KindTool
	for i := range msgs {
		c, called := d.resolve(&msgs[i])
		if msgs[i].Role != "tool" || s.Tool != nil && (s.Tool.IsErr || !msgs[i].IsErr) {
			continue // of several results the first stands for the entry, or the first error
		}
		m := msgs[i]
		s.Tool = &ToolIO{CallID: m.ToolID, Name: m.Name, Result: m.Text, HasResult: true, IsErr: m.IsErr}
		if called {
			s.Tool.Args, s.Tool.ArgsErr = c.Args, c.ArgsErr
			if s.Tool.Name == "" {
				s.Tool.Name = c.Name
			}
			if s.Tool.CallID == "" {
				s.Tool.CallID = c.ID
			}
		}
		s.Name = s.Tool.Name
		if m.IsErr {
			s.Status = Error
		}
	}
	if s.Name == "" {
		s.Name = "tool"
	}
	s.Out = d.b.pool(msgs)
	d.since = append(d.since, s.Out...)
}

// resolve returns the call that result answers and takes it off the pending ones: the
// one of the same id, else, for a result without a known id, the oldest of its name.
func (d *chatDecoder) resolve(result *Message) (c Call, ok bool) {
	if result.Role != "tool" {
		return c, false
	}
	for i := range d.pending {
		c = d.pending[i]
		if c.ID == result.ToolID && (result.ToolID != "" || result.Name == "" || result.Name == c.Name) {
			d.pending = slices.Delete(d.pending, i, i+1)
			return c, true
		}
	}
	return Call{}, false
}
