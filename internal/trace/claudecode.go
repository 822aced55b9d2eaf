package trace

import (
	"fmt"
	"slices"
	"strings"
)

// Claude Code session logs: JSON Lines, one entry a line, and the events of its
// stream-json output: https://docs.claude.com/en/docs/claude-code/sdk
//
// An answer is written in one line per block of its content, with the same message id and
// usage on each. Results of tools are user entries, of which each makes a step;
// toolUseResult repeats the result. What agents do that a tool started stands in side
// chains, in files of their own with the same session id, or within progress entries.

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
	case session != "" && claudeBookkeeping(kind):
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

// claudeBookkeeping reports whether entries of that type are about the program, not the
// conversation.
func claudeBookkeeping(kind string) bool {
	switch kind {
	case "file-history-snapshot", "queue-operation", "progress", "attachment", "permission-mode", "mode", "last-prompt", "custom-title", "ai-title",
		"agent-name", "agent-setting", "agent-color", "tag", "pr-link", "worktree-state", "content-replacement", "attribution-snapshot", "speculation-accept",
		"stream_event", "rate_limit_event", "control_request", "control_response", "keep_alive", "tool_progress", "auth_status", "marble-origami-commit", "bridge-session":
		return true
	}
	return false
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
	d := claudeDecoder{
		b: b, calls: make(map[string]Call), counted: make(map[string]int),
		seen: make(map[string]bool), since: make(map[string][]int), agents: make(map[string]string),
	}
	for i, e := range claudeEntries(doc) {
		m := object(e)
		if m == nil {
			d.skipped++
			continue
		}
		fill(&b.t.Session, firstText(m, "sessionId", "session_id"))
		d.line(m, i, pointer(base, i))
	}
	fill(&b.t.ID, b.t.Session)
	b.t.Service = "claude-code"
	if d.skipped > 0 {
		b.warn("%d entries of the session log could not be read and were skipped", d.skipped)
	}
}

type claudeDecoder struct {
	b       *builder
	since   map[string][]int  // messages since the model's last turn, by agent
	calls   map[string]Call   // by id
	counted map[string]int    // by message id, the position in b.t.Steps of the step that has its usage
	seen    map[string]bool   // ids of entries: a session that goes on elsewhere has them again
	agents  map[string]string // that calls started, by call id: an agent's task is read once, not for each of its entries
	declare []int
	skipped int
}

// line reads the ith entry, which is at source.
func (d *claudeDecoder) line(m map[string]any, i int, source string) {
	agent := ""
	if data := object(m["data"]); scalar(m["type"]) == "progress" && object(data["message"]) != nil { // an agent's own entry
		agent = anyOf(scalar(data["agentId"]), "sidechain")
		m, source = object(data["message"]), source+"/data/message"
	}
	if claudeBookkeeping(scalar(m["type"])) {
		return
	}
	id := scalar(m["uuid"])
	if d.seen[id] && id != "" {
		return
	}
	d.seen[id] = true
	s := Step{Index: i, Tokens: unknownTokens, Source: source, Start: instant(m["timestamp"]), ID: id, Agent: agent}
	if caller := scalar(m["parent_tool_use_id"]); caller != "" {
		s.Agent = d.agent(caller)
	}
	if truth(m["isSidechain"]) {
		s.Agent = anyOf(scalar(m["agentId"]), "sidechain")
	}
	steps := d.entry(s, m)
	if steps == nil {
		d.skipped++
	}
	t := d.b.t
	for _, s := range steps {
		if n := len(t.Steps); n > 0 {
			s.Index = max(s.Index, t.Steps[n-1].Index+1)
		}
		t.Steps = append(t.Steps, s)
		if t.Start.IsZero() {
			t.Start = s.Start
		}
	}
}

// agent returns the name of the agent that the call of that id started.
func (d *claudeDecoder) agent(caller string) string {
	name, known := d.agents[caller]
	if !known {
		name = anyOf(scalar(object(d.calls[caller].Args)["subagent_type"]), "sidechain")
		d.agents[caller] = name
	}
	return name
}

// entry returns the steps that an entry makes, each like s: several for several results,
// none when there is nothing to read.
func (d *claudeDecoder) entry(s Step, m map[string]any) []Step {
	message := object(m["message"])
	switch kind := scalar(m["type"]); kind {
	case "assistant":
		if message == nil || !d.assistant(&s, m, message) {
			return nil
		}
	case "user":
		if message == nil {
			return nil
		}
		return d.user(s, m, message)
	case "summary":
		s.Kind, s.Name, s.Output = KindChain, "summary", scalar(m["summary"])
	case "system":
		s.Kind, s.Name = KindChain, anyOf(scalar(m["subtype"]), "system")
		s.Output = anyOf(scalar(m["content"]), joined(list(m["hookErrors"])))
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
			s.Err = &Failure{Type: s.Finish, Message: anyOf(join(s.Output, joined(list(m["errors"]))), "the session ended with "+s.Finish)}
		}
		for _, e := range list(m["permission_denials"]) {
			name := firstText(object(e), "tool_name", "name")
			d.b.label(Label{Name: "permission_denied", Value: name, Source: "permission_denials", StepID: s.ID})
		}
	default:
		return nil
	}
	return []Step{s}
}

// joined returns the texts in l, each in a line of its own.
func joined(l []any) string {
	var texts lines
	for _, e := range l {
		texts.add(scalar(e))
	}
	return texts.text()
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
		delete(d.agents, c.ID)
	}
	s.In, s.Declared = d.since[s.Agent], d.declare
	d.since[s.Agent] = slices.Clone(s.Out)
	d.usage(s, message)
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

// usage reads the usage of a message, of which each block that was streamed is an entry: it
// counts once, with the message's first step, and as the last one states it, for it grows.
func (d *claudeDecoder) usage(s *Step, message map[string]any) {
	u := object(message["usage"])
	if u == nil {
		return
	}
	tokens := Tokens{In: count(u, "input_tokens"), Out: count(u, "output_tokens"), Cached: count(u, "cache_read_input_tokens")}
	id := scalar(message["id"])
	if at, ok := d.counted[id]; ok && id != "" {
		first := &d.b.t.Steps[at].Tokens
		*first = Tokens{In: max(first.In, tokens.In), Out: max(first.Out, tokens.Out), Cached: max(first.Cached, tokens.Cached)}
		return
	}
	s.Tokens, d.counted[id] = tokens, len(d.b.t.Steps)
}

// user reads what the user said, or the results of tools.
func (d *claudeDecoder) user(s Step, m, message map[string]any) []Step {
	var results, said []Message
	for _, msg := range parseMessage(message, "user") {
		if msg.Role == "tool" {
			results = append(results, msg)
		} else {
			said = append(said, msg)
		}
	}
	var steps []Step
	for i, r := range results {
		if len(results) == 1 {
			readToolUseResult(&r, first(m, "toolUseResult", "tool_use_result"))
		}
		if i > 0 {
			s.ID = fmt.Sprint(scalar(m["uuid"]), "/", i)
		}
		steps = append(steps, d.result(s, r))
	}
	out := d.b.pool(said)
	d.since[s.Agent] = append(d.since[s.Agent], out...)
	switch {
	case len(out) == 0:
	case steps != nil:
		last := &steps[len(steps)-1]
		last.Out = append(last.Out, out...)
	default:
		s.Kind, s.Name, s.Out = KindInput, "user", out
		if truth(m["isCompactSummary"]) {
			s.Name = "compact summary"
		}
		steps = []Step{s}
	}
	return steps
}

// result makes s the execution of the tool whose result r is.
func (d *claudeDecoder) result(s Step, r Message) Step {
	if inner, ok := strings.CutPrefix(r.Text, "<tool_use_error>"); ok {
		r.Text, r.IsErr = strings.TrimSuffix(inner, "</tool_use_error>"), true
	}
	call := d.calls[r.ToolID]
	s.Kind, s.Name = KindTool, anyOf(call.Name, "tool")
	s.Tool = &ToolIO{
		CallID: r.ToolID, Name: call.Name, Args: call.Args, ArgsErr: call.ArgsErr,
		Result: r.Text, HasResult: true, IsErr: r.IsErr,
	}
	if r.IsErr {
		s.Status = Error
	}
	s.Out = d.b.pool([]Message{r})
	d.since[s.Agent] = append(d.since[s.Agent], s.Out...)
	return s
}

// readToolUseResult takes from an entry's toolUseResult what its message leaves out: that
// the text is an error's, or the text itself.
func readToolUseResult(r *Message, v any) {
	if s, ok := v.(string); ok {
		r.IsErr = r.IsErr || strings.HasPrefix(s, "Error: ")
		fill(&r.Text, s)
		return
	}
	if m := object(v); r.Text == "" {
		r.Text = join(scalar(m["stdout"]), scalar(m["stderr"]))
	}
}
