package signal

import (
	"strings"
	"testing"

	"github.com/evalforge/evalforge/internal/trace"
)

// A conv builds the trace of a conversation as the decoder of chat messages would: one
// step per message.
type conv struct{ t trace.Trace }

func (c *conv) add(s trace.Step, m trace.Message) *conv {
	s.Index = len(c.t.Steps)
	s.Tokens = trace.Tokens{In: -1, Out: -1, Cached: -1}
	c.t.Messages = append(c.t.Messages, m)
	s.Out = []int{len(c.t.Messages) - 1}
	c.t.Steps = append(c.t.Steps, s)
	return c
}

func (c *conv) system(text string) *conv {
	return c.add(trace.Step{Kind: trace.KindInput, Name: "system"}, trace.Message{Role: "system", Text: text})
}

func (c *conv) user(text string) *conv {
	return c.add(trace.Step{Kind: trace.KindInput, Name: "user"}, trace.Message{Role: "user", Text: text})
}

func (c *conv) say(text string) *conv {
	return c.add(trace.Step{Kind: trace.KindLLM, Name: "assistant"}, trace.Message{Role: "assistant", Text: text})
}

func (c *conv) agent(name, text string) *conv {
	return c.add(trace.Step{Kind: trace.KindAgent, Name: name, Agent: name}, trace.Message{Role: "assistant", Name: name, Text: text})
}

// call adds a call and its result.
func (c *conv) call(name, args, result string) *conv {
	id := "call-" + string(rune('a'+len(c.t.Steps)%26)) + strings.Repeat("x", len(c.t.Steps)/26)
	c.add(trace.Step{Kind: trace.KindLLM, Name: "assistant"}, trace.Message{Role: "assistant", Calls: []trace.Call{{ID: id, Name: name, Args: args}}})
	return c.add(
		trace.Step{Kind: trace.KindTool, Name: name, Tool: &trace.ToolIO{CallID: id, Name: name, Args: args, Result: result, HasResult: true}},
		trace.Message{Role: "tool", Text: result, ToolID: id})
}

// run adds the report of a code executor.
func (c *conv) run(report string) *conv {
	return c.add(
		trace.Step{Kind: trace.KindTool, Name: "executor", Agent: "executor", Tool: &trace.ToolIO{Name: "executor", Result: report, HasResult: true}},
		trace.Message{Role: "user", Text: report})
}

func (c *conv) tool(name, schema string) *conv {
	c.t.Tools = append(c.t.Tools, trace.Tool{Name: name, Schema: schema})
	return c
}

// fail marks the last step as failed.
func (c *conv) fail(f trace.Failure) *conv {
	s := &c.t.Steps[len(c.t.Steps)-1]
	s.Err, s.Status = &f, trace.Error
	return c
}

func (c *conv) finish(reason string) *conv {
	c.t.Steps[len(c.t.Steps)-1].Finish = reason
	return c
}

func (c *conv) label(name, value string, score *float64) *conv {
	c.t.Labels = append(c.t.Labels, trace.Label{Name: name, Value: value, Score: score})
	return c
}

// lead returns the signal that decides, or the zero Signal.
func lead(signals []Signal) Signal {
	for _, s := range signals {
		if s.Decides() {
			return s
		}
	}
	return Signal{}
}

func named(signals []Signal, name string) (Signal, bool) {
	for _, s := range signals {
		if s.Name == name {
			return s, true
		}
	}
	return Signal{}, false
}

func score(f float64) *float64 { return &f }

func detect(t *testing.T, c *conv) []Signal {
	t.Helper()
	return Detect(&c.t, "")
}
