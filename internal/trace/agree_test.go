package trace

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A scenario is a conversation as a program has it, for emitters to write in their ways: a
// model's turn that asks for a tool, the tool, and the turn that answers.
type scenario struct {
	name   string
	result string // of the tool
	err    string // of the tool, instead of a result
	llmErr string // of the second turn, instead of an answer
}

const (
	scenarioSystem = "You help customers of a shop."
	scenarioUser   = "Where is order 9?"
	scenarioArgs   = `{"id":"9"}`
	scenarioAnswer = "It is on its way."
)

func (sc scenario) toolText() string { return anyOf(sc.err, sc.result) }

// messages is the conversation before the turn n, in OpenAI's words.
func (sc scenario) messages(n int) []any {
	ms := []any{
		map[string]any{"role": "system", "content": scenarioSystem},
		map[string]any{"role": "user", "content": scenarioUser},
	}
	if n > 0 {
		ms = append(ms, sc.asked(), map[string]any{"role": "tool", "tool_call_id": "c1", "content": sc.toolText()})
	}
	return ms
}

func (sc scenario) asked() any {
	return map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{
		map[string]any{"id": "c1", "type": "function", "function": map[string]any{"name": "find_order", "arguments": scenarioArgs}},
	}}
}

// parts is m in the words of the GenAI conventions.
func parts(m any) any {
	msg := m.(map[string]any)
	var out []any
	switch {
	case msg["role"] == "tool":
		out = append(out, map[string]any{"type": "tool_call_response", "id": msg["tool_call_id"], "result": msg["content"]})
	case msg["tool_calls"] != nil:
		out = append(out, map[string]any{"type": "tool_call", "id": "c1", "name": "find_order", "arguments": json.RawMessage(scenarioArgs)})
	default:
		out = append(out, map[string]any{"type": "text", "content": msg["content"]})
	}
	return map[string]any{"role": msg["role"], "parts": out}
}

func mapped(l []any, f func(any) any) []any {
	out := make([]any, len(l))
	for i, e := range l {
		out[i] = f(e)
	}
	return out
}

// A recorded is one span of a scenario, of any emitter.
type recorded struct {
	id, parent int
	name       string
	attrs      map[string]any
	err        string
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func otlpOf(spans []recorded) string {
	var out []any
	for _, s := range spans {
		var attrs []any
		for _, k := range sortedKeys(s.attrs) {
			value := map[string]any{"stringValue": s.attrs[k]}
			if _, ok := s.attrs[k].(string); !ok {
				value = map[string]any{"stringValue": asJSON(s.attrs[k])}
			}
			attrs = append(attrs, map[string]any{"key": k, "value": value})
		}
		span := map[string]any{"traceId": strings.Repeat("a1", 16), "spanId": fmt.Sprintf("%016x", s.id), "name": s.name, "attributes": attrs,
			"startTimeUnixNano": fmt.Sprint(1772600000000000000 + s.id), "endTimeUnixNano": fmt.Sprint(1772600000000001000 + s.id)}
		if s.parent > 0 {
			span["parentSpanId"] = fmt.Sprintf("%016x", s.parent)
		}
		if s.err != "" {
			span["status"] = map[string]any{"code": 2, "message": s.err}
		}
		out = append(out, span)
	}
	slices.Reverse(out) // children first, as SDKs export them
	return asJSON(map[string]any{"resourceSpans": []any{map[string]any{"scopeSpans": []any{map[string]any{"spans": out}}}}})
}

// spans are the model's two turns and the tool between them, with what turn and tool say
// of them as attributes.
func (sc scenario) spans(turn func(n int) map[string]any, tool map[string]any) []recorded {
	return []recorded{
		{1, 0, "agent", map[string]any{}, ""},
		{2, 1, "chat m", turn(0), ""},
		{3, 1, "find_order", tool, sc.err},
		{4, 1, "chat m", turn(1), sc.llmErr},
	}
}

// said is what the model says in turn n, or nil.
func (sc scenario) said(n int) any {
	switch {
	case n == 0:
		return sc.asked()
	case sc.llmErr != "":
		return nil
	}
	return map[string]any{"role": "assistant", "content": scenarioAnswer}
}

// emitters write a scenario as six instrumentations do.
var emitters = map[string]func(scenario) string{
	"openinference": func(sc scenario) string {
		return otlpOf(sc.spans(func(n int) map[string]any {
			a := map[string]any{"openinference.span.kind": "LLM", "input.value": map[string]any{"messages": sc.messages(n)}}
			if out := sc.said(n); out != nil {
				a["output.value"] = map[string]any{"choices": []any{map[string]any{"message": out}}}
			}
			return a
		}, sc.withResult(map[string]any{"openinference.span.kind": "TOOL", "tool.name": "find_order", "input.value": scenarioArgs}, "output.value")))
	},
	"traceloop": func(sc scenario) string {
		return otlpOf(sc.spans(func(n int) map[string]any {
			a := map[string]any{"llm.request.type": "chat", "gen_ai.input.messages": mapped(sc.messages(n), parts)}
			if out := sc.said(n); out != nil {
				a["gen_ai.output.messages"] = []any{parts(out)}
			}
			return a
		}, sc.withResult(map[string]any{"traceloop.span.kind": "tool", "traceloop.entity.name": "find_order", "traceloop.entity.input": `{"args":[],"kwargs":` + scenarioArgs + `}`}, "traceloop.entity.output")))
	},
	"genai": func(sc scenario) string {
		return otlpOf(sc.spans(func(n int) map[string]any {
			a := map[string]any{"gen_ai.operation.name": "chat", "gen_ai.input.messages": mapped(sc.messages(n), parts)}
			if out := sc.said(n); out != nil {
				a["gen_ai.output.messages"] = []any{parts(out)}
			}
			return a
		}, sc.withResult(map[string]any{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order", "gen_ai.tool.call.id": "c1", "gen_ai.tool.call.arguments": scenarioArgs}, "gen_ai.tool.call.result")))
	},
	"vercel": func(sc scenario) string {
		return otlpOf(sc.spans(func(n int) map[string]any {
			a := map[string]any{"ai.operationId": "ai.generateText.doGenerate", "ai.prompt.messages": mapped(sc.messages(n), func(m any) any {
				msg := m.(map[string]any)
				switch {
				case msg["role"] == "tool":
					kind := "text"
					if sc.err != "" {
						kind = "error-text"
					}
					return map[string]any{"role": "tool", "content": []any{map[string]any{"type": "tool-result", "toolCallId": "c1", "toolName": "find_order", "output": map[string]any{"type": kind, "value": msg["content"]}}}}
				case msg["tool_calls"] != nil:
					return map[string]any{"role": "assistant", "content": []any{map[string]any{"type": "tool-call", "toolCallId": "c1", "toolName": "find_order", "input": json.RawMessage(scenarioArgs)}}}
				}
				return msg
			})}
			switch {
			case n == 0:
				a["ai.response.toolCalls"] = []any{map[string]any{"toolCallId": "c1", "toolName": "find_order", "input": scenarioArgs}}
			case sc.llmErr == "":
				a["ai.response.text"] = scenarioAnswer
			}
			return a
		}, sc.withResult(map[string]any{"ai.operationId": "ai.toolCall", "ai.toolCall.name": "find_order", "ai.toolCall.id": "c1", "ai.toolCall.args": scenarioArgs}, "ai.toolCall.result")))
	},
	"datadog": func(sc scenario) string {
		call := []any{map[string]any{"name": "find_order", "arguments": json.RawMessage(scenarioArgs), "tool_id": "c1", "type": "function"}}
		convert := func(m any) any {
			msg := m.(map[string]any)
			switch {
			case msg["role"] == "tool":
				return map[string]any{"role": "tool", "content": msg["content"], "tool_id": "c1"}
			case msg["tool_calls"] != nil:
				return map[string]any{"role": "assistant", "content": "", "tool_calls": call}
			}
			return msg
		}
		var out []any
		for _, s := range sc.spans(func(n int) map[string]any {
			meta := map[string]any{"span": map[string]any{"kind": "llm"}, "input": map[string]any{"messages": mapped(sc.messages(n), convert)}}
			if said := sc.said(n); said != nil {
				meta["output"] = map[string]any{"messages": []any{convert(said)}}
			}
			return meta
		}, map[string]any{"span": map[string]any{"kind": "tool"}, "input": map[string]any{"value": scenarioArgs}, "output": map[string]any{"value": sc.result}}) {
			if s.id == 1 {
				s.attrs["span"] = map[string]any{"kind": "agent"}
			}
			span := map[string]any{"trace_id": "t", "span_id": fmt.Sprint(s.id), "parent_id": "undefined", "name": s.name, "start_ns": 1772600000000000000 + s.id, "duration": 1000, "status": "ok", "meta": s.attrs}
			if s.parent > 0 {
				span["parent_id"] = fmt.Sprint(s.parent)
			}
			if s.err != "" {
				span["status"] = "error"
				s.attrs["error.message"] = s.err
				if s.id == 3 {
					delete(s.attrs, "output")
				}
			}
			out = append(out, span)
		}
		return asJSON(map[string]any{"spans": out})
	},
	"langsmith": func(sc scenario) string {
		var out []any
		for _, s := range sc.spans(func(n int) map[string]any {
			run := map[string]any{"run_type": "llm", "inputs": map[string]any{"messages": sc.messages(n)}}
			if said := sc.said(n); said != nil {
				run["outputs"] = map[string]any{"choices": []any{map[string]any{"message": said}}}
			}
			return run
		}, map[string]any{"run_type": "tool", "inputs": json.RawMessage(scenarioArgs), "outputs": map[string]any{"output": sc.result}}) {
			if s.attrs["run_type"] == nil {
				s.attrs["run_type"] = "chain"
			}
			s.attrs["id"], s.attrs["trace_id"], s.attrs["name"], s.attrs["start_time"] = fmt.Sprint("r", s.id), "r1", s.name, fmt.Sprintf("2026-03-04T05:06:0%dZ", s.id)
			if s.parent > 0 {
				s.attrs["parent_run_id"] = fmt.Sprint("r", s.parent)
			}
			if s.err != "" {
				s.attrs["error"], s.attrs["outputs"] = s.err, nil
			}
			out = append(out, s.attrs)
		}
		return asJSON(map[string]any{"runs": out})
	},
}

// withResult adds the tool's result to attributes, unless it failed.
func (sc scenario) withResult(attrs map[string]any, key string) map[string]any {
	if sc.err == "" {
		attrs[key] = sc.result
	}
	return attrs
}

// A told is what of a scenario must be the same, whoever recorded it.
type told struct {
	Messages []string
	Calls    []string
	Failing  string
}

func tell(t *Trace) told {
	var out told
	for _, m := range t.Messages {
		line := m.Role + ": " + m.Text
		for _, c := range m.Calls {
			line += " " + c.Name + c.Args
		}
		if !slices.Contains(out.Messages, line) {
			out.Messages = append(out.Messages, line)
		}
	}
	slices.Sort(out.Messages)
	for _, c := range t.Invocations() {
		out.Calls = append(out.Calls, fmt.Sprintf("%s(%s) = %q, asked by a step %t", c.Name, c.Args, c.Result, c.Caller >= 0))
	}
	for i := range t.Steps {
		if s := &t.Steps[i]; s.Err != nil {
			what := s.Err.Message
			if !strings.HasPrefix(what, s.Err.Type) { // some emitters have the type apart
				what = s.Err.Type + ": " + what
			}
			out.Failing += fmt.Sprintf("%s %s: %s;", s.Kind, s.Name, what)
		}
	}
	return out
}

// Whoever records a conversation, it has the same messages, calls, errors and failing step.
func TestEmittersAgree(t *testing.T) {
	for _, sc := range []scenario{
		{name: "fine", result: "order 9: in transit"},
		{name: "tool error in its text", result: "Error: order not found"},
		{name: "tool exception", err: "ConnectionError: order service unreachable"},
		{name: "model error", result: "order 9: in transit", llmErr: "429 Rate limit reached"},
		{name: "both", err: "ConnectionError: order service unreachable", llmErr: "429 Rate limit reached"},
	} {
		t.Run(sc.name, func(t *testing.T) {
			want := told{
				Messages: []string{"assistant:  find_order" + scenarioArgs, "system: " + scenarioSystem, "tool: " + sc.toolText(), "user: " + scenarioUser},
				Calls:    []string{fmt.Sprintf("find_order(%s) = %q, asked by a step true", scenarioArgs, sc.toolText())},
			}
			if sc.llmErr == "" {
				want.Messages = append(want.Messages, "assistant: "+scenarioAnswer)
			}
			if sc.err != "" {
				want.Failing = "tool find_order: " + sc.err + ";"
			}
			if sc.llmErr != "" {
				want.Failing += "llm chat m: " + sc.llmErr + ";"
			}
			slices.Sort(want.Messages)
			for name, emit := range emitters {
				tr, err := Decode([]byte(emit(sc)))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, tell(tr)); diff != "" {
					t.Errorf("%s, as %s (-want +got):\n%s", name, tr.Format, diff)
				}
			}
		})
	}
}
