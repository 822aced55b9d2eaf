package trace

import (
	"slices"
	"strconv"
	"strings"
)

// This file writes one step, its call, its error and its messages.

func (r *renderer) step(i int) {
	s := &r.t.Steps[i]
	r.open()
	r.int("i", s.Index)
	r.name("kind", string(s.Kind))
	if s.Name != s.Agent && s.Name != string(s.Kind) && s.Name != r.lastName[s.Kind] && !r.saysRole(s) && (s.Tool == nil || !namesTool(s.Name, s.Tool.Name)) {
		r.name("name", s.Name)
		r.lastName[s.Kind] = s.Name
	}
	if s.Kind != KindTool || s.Agent != r.agent {
		r.name("agent", s.Agent)
		r.agent = s.Agent
	}
	if s.Model != r.model && s.Model != "" {
		r.name("model", s.Model)
		r.model = s.Model
	}
	if p := r.parent[i]; p >= 0 {
		r.int("parent", r.t.Steps[p].Index)
	}
	if s.Status == Error {
		r.name("status", string(s.Status))
	}
	if s.Err != nil {
		r.failure(s.Err, s.Index)
	}
	if s.Dur > 0 {
		r.int("ms", int(s.Dur.Milliseconds()))
	}
	if s.Tokens.In > 0 || s.Tokens.Out > 0 {
		r.key("tokens")
		r.str(strconv.Itoa(s.Tokens.In) + "/" + strconv.Itoa(s.Tokens.Out))
	}
	if !endedAsUsual(s.Finish) {
		r.name("finish", s.Finish)
	}
	if len(s.Declared) > 0 && len(s.Declared) < len(r.t.Tools) {
		r.key("tools")
		r.list(len(s.Declared), func(n int) { r.buf = strconv.AppendInt(r.buf, int64(s.Declared[n]), 10) })
	}
	if s.ID != "" || !r.allRendered(s.In) {
		r.messages("in", s.In, "")
	}
	if s.Kind == KindOpaque {
		r.opaque(s.Input)
	} else {
		r.content("input", s.Input, place{stepInput, s.Index})
	}
	if s.Tool != nil {
		r.tool(s)
	} else {
		r.messages("out", s.Out, spokenBy(s.Kind))
	}
	r.content("output", s.Output, place{stepOutput, s.Index})
	if len(s.Attrs) > 0 {
		r.attrs(s.Attrs)
	}
	r.close()
}

// saysRole reports whether the step's name is the role of its message, which is written
// there.
func (r *renderer) saysRole(s *Step) bool {
	return len(s.Out) > 0 && s.Out[0] >= 0 && s.Out[0] < len(r.t.Messages) && r.t.Messages[s.Out[0]].Role == s.Name
}

// namesTool reports whether a span's name says no more than its tool's: "execute_tool x",
// "x.tool".
func namesTool(name, tool string) bool {
	if name == tool {
		return true
	}
	before, after, ok := strings.Cut(name, tool)
	return ok && len(before)+len(after) <= len("execute_tool ")
}

func (r *renderer) allRendered(ms []int) bool {
	for _, m := range ms {
		if m < 0 || m >= len(r.rendered) || !r.rendered[m] {
			return false
		}
	}
	return true
}

func (r *renderer) failure(f *Failure, step int) {
	r.key("error")
	r.open()
	r.name("type", f.Type)
	r.name("code", f.Code)
	if f.HTTP > 0 {
		r.int("http", f.HTTP)
	}
	r.content("message", f.Message, place{stepError, step})
	r.content("stack", f.Stack, place{stepStack, step})
	r.close()
}

// tool writes a call with its result, and the step's messages that say the same.
func (r *renderer) tool(s *Step) {
	io := s.Tool
	r.key("tool")
	r.open()
	r.name("name", io.Name)
	r.name("id", io.CallID)
	if !r.asked(io) {
		r.content("args", io.Args, place{stepArgs, s.Index})
	}
	r.content("args_error", io.ArgsErr, place{})
	if io.HasResult {
		if io.Result == "" {
			r.key("result")
			r.str("")
		}
		r.content("result", io.Result, place{stepResult, s.Index})
	}
	if io.IsErr {
		r.yes("is_error")
	}
	r.close()
	if len(s.Out) == 1 && s.Out[0] >= 0 && s.Out[0] < len(r.t.Messages) {
		if m := &r.t.Messages[s.Out[0]]; m.Text == io.Result && m.Calls == nil && m.Refusal == "" && !r.rendered[s.Out[0]] {
			r.rendered[s.Out[0]] = true
			r.int("m", s.Out[0])
			return
		}
	}
	r.messages("out", s.Out, spokenBy(s.Kind))
}

// asked reports whether the call of io was written, with its arguments: the one with its
// id, or for a tool that was told none, the last one of its name.
func (r *renderer) asked(io *ToolIO) bool {
	calls, key := r.calls, io.CallID
	if key == "" {
		calls, key = r.lastCall, io.Name
	}
	args, ok := calls[key]
	return ok && args == io.Args
}

// endedAsUsual reports whether a finish reason says no more than that the model came to
// the end of its turn: with an answer, or with the calls that stand beside it.
func endedAsUsual(reason string) bool {
	switch strings.ToLower(reason) {
	case "stop", "end_turn", "tool_calls", "tool-calls", "tool_use", "function_call", "completed":
		return true
	}
	return false
}

// spokenBy returns the role of the messages that a step of that kind produces as a rule.
func spokenBy(k Kind) string {
	if k == KindLLM || k == KindAgent {
		return "assistant"
	}
	return ""
}

// messages writes messages: in full where they come first, later as ranges of numbers.
// The role is left out where it is the given one, or told by the call that is answered.
func (r *renderer) messages(key string, ms []int, role string) {
	if len(ms) == 0 {
		return
	}
	r.key(key)
	r.buf = append(r.buf, '[')
	head, tail := len(ms), len(ms)
	if r.items > 0 && len(ms) > r.items {
		fresh := 0 // references are short: only new messages count
		for _, m := range ms {
			if m < 0 || m >= len(r.rendered) || !r.rendered[m] {
				fresh++
			}
		}
		if fresh > r.items || len(ms) > 64*r.items {
			head, tail = r.items/2, len(ms)-r.items/2
		}
	}
	for i := 0; i < len(ms) && !r.over(); {
		if i == head && head < tail {
			r.open()
			r.int("omitted_messages", tail-head)
			r.close()
			i = tail
			continue
		}
		m := ms[i]
		if m < 0 || m >= len(r.t.Messages) {
			i++
			continue
		}
		if !r.rendered[m] {
			r.rendered[m] = true
			r.message(m, role)
			i++
			continue
		}
		end := i + 1
		for end < len(ms) && end != head && ms[end] == ms[end-1]+1 && ms[end] < len(r.rendered) && r.rendered[ms[end]] {
			end++
		}
		r.comma()
		ref := strconv.Itoa(m)
		if end-i > 1 {
			ref += "-" + strconv.Itoa(ms[end-1])
		}
		r.str(ref)
		i = end
	}
	r.buf = append(r.buf, ']')
}

func (r *renderer) message(n int, role string) {
	m := &r.t.Messages[n]
	r.open()
	r.int("m", n)
	if m.Role != role && (m.Role != "tool" || m.ToolID == "") {
		r.name("role", m.Role)
	}
	r.name("name", m.Name)
	r.name("call", m.ToolID)
	r.content("text", m.Text, place{messageText, n})
	r.content("refusal", m.Refusal, place{messageRefusal, n})
	if m.IsErr {
		r.yes("is_error")
	}
	if len(m.Calls) > 0 {
		r.key("calls")
		r.list(len(m.Calls), func(i int) {
			c := &m.Calls[i]
			r.open()
			r.name("name", c.Name)
			r.name("id", c.ID)
			r.content("args", c.Args, place{messageArgs, n})
			r.content("args_error", c.ArgsErr, place{})
			r.close()
			if c.ID != "" {
				r.calls[c.ID] = c.Args
			}
			r.lastCall[c.Name] = c.Args
		})
	}
	r.close()
}

func (r *renderer) attrs(attrs map[string]string) {
	keys := make([]string, 0, len(attrs))
	for k := range attrs {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	r.key("attrs")
	r.open()
	for n, k := range keys {
		if r.items > 0 && n >= r.items {
			break
		}
		if r.names == 0 || len(k) <= r.names {
			r.content(string(appendEscaped(nil, k)), attrs[k], place{})
		}
	}
	r.close()
}

// opaque writes a payload that was not understood. A long one keeps its end.
func (r *renderer) opaque(s string) {
	if len(s) <= opaqueLimit {
		r.content("input", s, place{})
		return
	}
	n := opaqueKeep
	if r.cap > 0 {
		n = min(n, r.cap)
	}
	if r.water != nil {
		r.water.add(tailOf(s, opaqueKeep), 1, 0, 0)
		r.water.tails = true
	}
	kept := tailOf(s, n)
	r.cut += len(s) - len(kept)
	r.key("input")
	r.buf = appendParts(r.buf, "", len(s)-len(kept), kept)
}
