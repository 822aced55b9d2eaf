package trace

import (
	"strings"
)

// Claude Code session logs: JSON Lines, one entry a line, and the events of its
// stream-json output: https://docs.claude.com/en/docs/claude-code/sdk
//
// An answer is written in one line per block of its content, with the same message id and
// usage on each. A tool's result is a user entry; toolUseResult repeats it.

// claudeSession returns the session that an entry belongs to; ok tells whether m is an
// entry. A line of a known session may lack its id; so may one that comes before it is
// known, whose session is "".
func claudeSession(m map[string]any, last string) (session string, ok bool) {
	kind, typed := m["type"].(string)
	if !typed {
		return "", false
	}
	session = firstText(m, "sessionId", "session_id")
	switch {
	case session != "" && first(m, "uuid", "message", "subtype", "operation") != nil:
		return session, true
	case session != "":
		return "", false
	case m["leafUuid"] != nil, m["messageId"] != nil && m["snapshot"] != nil: // these stand before the first entry, too
		return last, true
	case last == "":
		return "", false
	case kind == "summary", object(m["message"]) != nil && (kind == "user" || kind == "assistant"):
		return last, true
	}
	return "", false
}

func isClaudeCode(doc any) bool {
	l := claudeEntries(doc)
	n, found := min(len(l), 20), 0
	for _, e := range l[:n] {
		if m := object(e); m != nil {
			if session, ok := claudeSession(m, ""); ok && session != "" {
				found++
			}
		}
	}
	return found > 0 && found*2 >= n
}

func claudeEntries(doc any) []any {
	switch doc := doc.(type) {
	case []any:
		return doc
	case map[string]any:
		return list(doc["messages"])
	}
	return nil
}

func decodeClaudeCode(b *builder, doc any) {
	base := ""
	if m, ok := doc.(map[string]any); ok {
		base = "/messages"
		b.t.ID = traceID(m)
	}
	d := claudeDecoder{b: b, calls: make(map[string]Call), counted: make(map[string]bool)}
	for i, e := range claudeEntries(doc) {
		m := object(e)
		if m == nil {
			d.skipped++
			continue
		}
		fill(&b.t.Session, firstText(m, "sessionId", "session_id"))
		s := Step{Index: i, Tokens: unknownTokens, Source: pointer(base, i), Start: instant(m["timestamp"]), ID: scalar(m["uuid"])}
		if truth(m["isSidechain"]) {
			s.Agent = anyOf(scalar(m["agentId"]), "sidechain")
		}
		if !d.entry(&s, m) {
			d.skipped++
			continue
		}
		b.t.Steps = append(b.t.Steps, s)
		if b.t.Start.IsZero() {
			b.t.Start = s.Start
		}
	}
	fill(&b.t.ID, b.t.Session)
	b.t.Service = "claude-code"
	if d.skipped > 0 {
		b.warn("%d entries of the session log could not be read and were skipped", d.skipped)
	}
}

type claudeDecoder struct {
	b       *builder
	since   []int           // messages since the model's last turn
	calls   map[string]Call // by id
	counted map[string]bool // message ids whose usage was counted
	declare []int
	skipped int
}

// entry reads one entry into s; it reports false when there is nothing to read.
func (d *claudeDecoder) entry(s *Step, m map[string]any) bool {
	message := object(m["message"])
	switch kind := scalar(m["type"]); kind {
	case "assistant":
		return message != nil && d.assistant(s, m, message)
	case "user":
		return message != nil && d.user(s, m, message)
	case "summary":
		s.Kind, s.Name, s.Output = KindChain, "summary", scalar(m["summary"])
	case "system":
		s.Kind, s.Name = KindChain, anyOf(scalar(m["subtype"]), "system")
		s.Output = scalar(m["content"])
		if s.Name == "init" {
			d.declare = d.b.declare(parseTools(m["tools"]))
			s.Model = scalar(m["model"])
		}
		if scalar(m["level"]) == "error" || s.Name == "api_error" {
			s.Status, s.Err = Error, failureFrom(first(m, "error", "content"))
		}
	case "result":
		s.Kind, s.Name, s.Output = KindChain, "result", scalar(m["result"])
		s.Finish = scalar(m["subtype"])
		if strings.HasPrefix(s.Finish, "error") || truth(m["is_error"]) {
			s.Status = Error
			s.Err = &Failure{Type: s.Finish, Message: anyOf(s.Output, "the session ended with "+s.Finish)}
		}
		for _, e := range list(m["permission_denials"]) {
			name := firstText(object(e), "tool_name", "name")
			d.b.label(Label{Name: "permission_denied", Value: name, Source: "permission_denials", StepID: s.ID})
		}
	default:
		return false
	}
	return true
}

func (d *claudeDecoder) assistant(s *Step, m, message map[string]any) bool {
	msgs := parseMessage(message, "assistant")
	s.Kind, s.Name, s.Model = KindLLM, "assistant", scalar(message["model"])
	s.Finish = scalar(message["stop_reason"])
	s.Out = d.b.pool(msgs)
	if len(s.Out) == 0 {
		return false
	}
	for _, c := range msgs[0].Calls {
		d.calls[c.ID] = c
	}
	s.In, s.Declared = d.since, d.declare
	d.since = append([]int(nil), s.Out...)
	if id := scalar(message["id"]); id == "" || !d.counted[id] {
		d.counted[id] = true
		if u := object(message["usage"]); u != nil {
			s.Tokens = Tokens{In: count(u, "input_tokens"), Out: count(u, "output_tokens"), Cached: count(u, "cache_read_input_tokens")}
		}
	}
	if truth(m["isApiErrorMessage"]) {
		f := failureFromText(strings.TrimPrefix(msgs[0].Text, "API Error: "))
		f.Message = msgs[0].Text
		if e := scalar(m["error"]); e != "" {
			f.Type = e
		}
		s.Status, s.Err = Error, &f
	}
	return true
}

func (d *claudeDecoder) user(s *Step, m, message map[string]any) bool {
	msgs := parseMessage(message, "user")
	var results []Message
	for _, r := range msgs {
		if r.Role == "tool" {
			results = append(results, r)
		}
	}
	if results == nil {
		if s.Out = d.b.pool(msgs); len(s.Out) == 0 {
			return false
		}
		s.Kind, s.Name = KindInput, "user"
		d.since = append(d.since, s.Out...)
		return true
	}
	for i := range results {
		r := &results[i]
		if inner, ok := strings.CutPrefix(r.Text, "<tool_use_error>"); ok {
			r.Text, r.IsErr = strings.TrimSuffix(inner, "</tool_use_error>"), true
		}
	}
	call := d.calls[results[0].ToolID]
	s.Kind, s.Name = KindTool, anyOf(call.Name, "tool")
	s.Tool = &ToolIO{
		CallID: results[0].ToolID, Name: call.Name, Args: call.Args, ArgsErr: call.ArgsErr,
		Result: results[0].Text, HasResult: true, IsErr: results[0].IsErr,
	}
	if results[0].IsErr {
		s.Status = Error
	}
	for i, msg := range msgs { // in the order of the entry, with the errors marked
		if msg.Role == "tool" {
			for _, r := range results {
				if r.ToolID == msg.ToolID {
					msgs[i] = r
				}
			}
		}
	}
	s.Out = d.b.pool(msgs)
	d.since = append(d.since, s.Out...)
	return true
}
