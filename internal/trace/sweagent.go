package trace

import (
	"strconv"
	"strings"
)

// SWE-agent trajectories (.traj): https://swe-agent.com/latest/usage/trajectories/
//
// history is the conversation, trajectory the actions with their observations, once more.
// The history is decoded, each entry a step; demonstrations, which were shown to the agent
// but did not happen, are left out. A trajectory without history is decoded by its own
// entries.

func isSWEAgent(doc any) bool {
	m, _ := doc.(map[string]any)
	if isMiniSWE(m) {
		return true
	}
	l, ok := m["trajectory"].([]any)
	if !ok || m["info"] == nil && m["history"] == nil {
		return false
	}
	if len(l) == 0 {
		return first(object(m["info"]), "exit_status", "exitStatus") != nil
	}
	first := object(l[0])
	_, action := first["action"]
	_, observation := first["observation"]
	return action && observation
}

func decodeSWEAgent(b *builder, doc any) {
	m := doc.(map[string]any)
	d := sweDecoder{b: b, mini: isMiniSWE(m)}
	b.t.Service = "swe-agent"
	b.t.ID = firstText(m, "instance_id", "trace_id")
	trajectory := list(m["trajectory"])
	if d.mini {
		d.history("/messages", list(m["messages"]), nil)
	} else if history := list(m["history"]); len(history) > 0 {
		d.history("/history", history, trajectory)
	} else {
		d.trajectory(trajectory)
	}
	d.end(snakeKeys(object(m["info"])))
}

type sweDecoder struct {
	b       *builder
	since   []int  // messages since the agent's last turn
	pending ToolIO // the last action
	asked   bool   // pending has no observation yet
	mini    bool   // the trajectory is mini-swe-agent's
}

// history decodes the conversation history, which is at base.
func (d *sweDecoder) history(base string, history, trajectory []any) {
	t := d.b.t
	demos, actions := 0, 0
	for i, e := range history {
		m := object(e)
		if m == nil {
			d.b.warn("entry %d of the history is no object", i)
			continue
		}
		if truth(m["is_demo"]) {
			demos++
			continue
		}
		s := Step{Index: i, Tokens: unknownTokens, Source: pointer(base, i)}
		msgs := parseMessage(m, "user")
		if agent := scalar(m["agent"]); agent != "main" && agent != "primary" {
			s.Agent = agent
		}
		switch {
		case msgs[0].Role == "assistant":
			s.Kind, s.Name = KindLLM, "assistant"
			s.Out = d.b.pool(msgs)
			s.In, d.since = d.since, s.Out
			d.act(anyOf(scalar(m["action"]), d.written(msgs)), msgs)
			actions++
		case d.asked && msgs[0].Role != "system":
			d.observe(&s, msgs[0].Text, msgs)
			if ms, ok := number(observationTime(trajectory, actions-1)); ok {
				s.Dur = milliseconds(ms * 1000)
			}
		default:
			s.Kind, s.Name = KindInput, msgs[0].Role
			s.Out = d.b.pool(msgs)
			d.since = append(d.since, s.Out...)
		}
		t.Steps = append(t.Steps, s)
	}
	if demos > 0 {
		d.b.warn("demonstrations were left out: %d entries of the history", demos)
	}
	// The observation of the last action is as a rule only in the trajectory.
	if n := len(trajectory); d.asked && n > 0 && n == actions {
		if o := object(trajectory[n-1]); scalar(o["observation"]) != "" {
			s := Step{Index: len(history), Tokens: unknownTokens, Source: pointer("/trajectory", n-1)}
			d.observe(&s, scalar(o["observation"]), []Message{{Role: "tool", Text: scalar(o["observation"])}})
			t.Steps = append(t.Steps, s)
		}
	}
}

func observationTime(trajectory []any, i int) any {
	if i < 0 || i >= len(trajectory) {
		return nil
	}
	return object(trajectory[i])["execution_time"]
}

// isMiniSWE recognises the trajectories of mini-swe-agent: a conversation in which the
// agent writes its action as a block of code.
func isMiniSWE(m map[string]any) bool {
	return first(object(m["info"]), "exit_status", "exitStatus") != nil && m["trajectory"] == nil && m["history"] == nil && looksLikeChat(list(m["messages"]))
}

// written returns the action that a turn of mini-swe-agent writes, or "".
func (d *sweDecoder) written(msgs []Message) string {
	if !d.mini || msgs[0].Calls != nil {
		return ""
	}
	return codeBlocks(msgs[0].Text)
}

// act notes what the agent wants done.
func (d *sweDecoder) act(action string, msgs []Message) {
	d.pending = ToolIO{Args: strings.TrimSpace(action)}
	if calls := msgs[0].Calls; len(calls) > 0 {
		d.pending = ToolIO{CallID: calls[0].ID, Name: calls[0].Name, Args: calls[0].Args, ArgsErr: calls[0].ArgsErr}
	} else {
		d.pending.Name, _, _ = strings.Cut(d.pending.Args, " ")
		d.pending.Name, _, _ = strings.Cut(d.pending.Name, "\n")
	}
	d.asked = d.pending.Name != ""
}

// observe makes s the execution of the pending action.
func (d *sweDecoder) observe(s *Step, result string, msgs []Message) {
	io := d.pending
	io.Result, io.HasResult = result, true
	s.Kind, s.Name, s.Tool = KindTool, io.Name, &io
	msgs[0].Role, msgs[0].ToolID = "tool", io.CallID
	s.Out = d.b.pool(msgs)
	d.since = append(d.since, s.Out...)
	d.asked = false
}

func (d *sweDecoder) trajectory(l []any) {
	t := d.b.t
	for i, e := range l {
		m := object(e)
		if m == nil {
			d.b.warn("entry %d of the trajectory is no object", i)
			continue
		}
		s := Step{Index: i, Kind: KindLLM, Name: "assistant", Tokens: unknownTokens, Source: pointer("/trajectory", i)}
		// query repeats the history: what is new in it is what the agent was given.
		s.In = d.b.pool(parseMessages(first(m, "query", "messages"), "user"))
		response, thought := scalar(m["response"]), scalar(m["thought"])
		if !strings.Contains(response, thought) { // as a rule it is of the response
			response = join(thought, response)
		}
		s.Out = d.b.pool([]Message{{Role: "assistant", Text: response}})
		if action := strings.TrimSpace(scalar(m["action"])); action != "" {
			name, _, _ := strings.Cut(action, " ")
			_, has := m["observation"]
			s.Tool = &ToolIO{Name: name, Args: action, Result: scalar(m["observation"]), HasResult: has}
		}
		if sec, ok := number(first(m, "execution_time", "executionTime")); ok {
			s.Dur = milliseconds(sec * 1000)
		}
		t.Steps = append(t.Steps, s)
	}
}

// said reports whether one of the last messages has s.
func (d *sweDecoder) said(s string) bool {
	const last = 4
	ms := d.b.t.Messages
	for i := range ms[max(0, len(ms)-last):] {
		if strings.Contains(ms[len(ms)-1-i].Text, strings.TrimSpace(s)) {
			return true
		}
	}
	return false
}

// end reads how the run ended. Anything but a submission is a failure.
func (d *sweDecoder) end(info map[string]any) {
	t := d.b.t
	if len(t.Steps) == 0 {
		t.Steps = []Step{{Kind: KindAgent, Name: "swe-agent", Tokens: unknownTokens, Source: "/info"}}
	}
	last := &t.Steps[len(t.Steps)-1]
	status := scalar(info["exit_status"])
	last.Finish = status
	if status != "" && !strings.EqualFold(status, "submitted") {
		last.Status = Error
		last.Err = &Failure{Type: status, Message: "the run ended with " + status}
		if s := firstText(info, "error", "exit_reason", "exception"); s != "" {
			last.Err.Message += ": " + s
		}
	}
	if patch := scalar(info["submission"]); strings.TrimSpace(patch) != "" && !d.said(patch) {
		last.Output = join(last.Output, patch)
	}
	stats := snakeKeys(object(info["model_stats"]))
	for _, k := range [...]string{"tokens_sent", "tokens_received", "api_calls"} {
		if n := count(stats, k); n >= 0 {
			if last.Attrs == nil {
				last.Attrs = make(map[string]string)
			}
			last.Attrs["model_stats."+k] = strconv.Itoa(n)
		}
	}
}
