package trace

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every use of a tool is counted once, however many times the source tells of it.
func TestInvocations(t *testing.T) {
	call := func(id, name, args string) Message {
		return Message{Role: "assistant", Calls: []Call{{ID: id, Name: name, Args: args}}}
	}
	result := func(id, name, text string) Message {
		return Message{Role: "tool", ToolID: id, Name: name, Text: text}
	}
	tool := func(id, name, args, result string) *ToolIO {
		return &ToolIO{CallID: id, Name: name, Args: args, Result: result, HasResult: result != ""}
	}
	for _, tc := range []struct {
		name string
		in   Trace
		want []string // step<-caller name(args)=result
	}{
		{"messages only", Trace{
			Messages: []Message{call("1", "f", "{}"), result("1", "", "ok")},
			Steps:    []Step{{Kind: KindLLM, Out: []int{0}}, {Kind: KindLLM, In: []int{0, 1}}},
		}, []string{"0<-0 f({})=ok"}},
		{"span and messages", Trace{
			Messages: []Message{call("1", "f", "{}"), result("1", "", "ok")},
			Steps:    []Step{{Kind: KindLLM, Out: []int{0}}, {Kind: KindTool, Tool: tool("1", "f", "{}", "ok")}, {Kind: KindLLM, In: []int{0, 1}}},
		}, []string{"1<-0 f({})=ok"}},
		{"span without a result, message with it", Trace{
			Messages: []Message{call("1", "f", "{}"), result("1", "", "ok")},
			Steps:    []Step{{Kind: KindLLM, Out: []int{0}}, {Kind: KindTool, Tool: tool("1", "f", "", "")}, {Kind: KindLLM, In: []int{0, 1}}},
		}, []string{"1<-0 f({})=ok"}},
		{"spans only", Trace{
			Steps: []Step{{ID: "a", Kind: KindAgent}, {ID: "b", Parent: "a", Kind: KindTool, Tool: tool("", "f", "{}", "ok")}},
		}, []string{"1<-0 f({})=ok"}},
		{"planned, then carried out", Trace{
			Steps: []Step{{ID: "a", Kind: KindAgent, Tool: tool("", "f", "{}", "")}, {ID: "b", Kind: KindTool, Tool: tool("", "f", "{}", "ok")}},
		}, []string{"1<-0 f({})=ok"}},
		{"no ids, twice the same", Trace{
			Messages: []Message{call("", "f", "{}"), result("", "f", "ok")},
			Steps:    []Step{{Kind: KindLLM, Out: []int{0}}, {Kind: KindLLM, In: []int{0, 1}, Out: []int{0}}, {Kind: KindLLM, In: []int{0, 1, 0, 1}}},
		}, []string{"0<-0 f({})=ok", "1<-1 f({})=ok"}},
		{"an id used again", Trace{
			Messages: []Message{call("1", "f", "{}")},
			Steps: []Step{{Kind: KindLLM, Out: []int{0}}, {Kind: KindTool, Tool: tool("1", "f", "{}", "a")},
				{Kind: KindLLM, Out: []int{0}}, {Kind: KindTool, Tool: tool("1", "f", "{}", "b")}},
		}, []string{"1<-0 f({})=a", "3<-2 f({})=b"}},
		{"parallel calls answered in another order", Trace{
			Messages: []Message{{Role: "assistant", Calls: []Call{{ID: "1", Name: "f", Args: "{}"}, {ID: "2", Name: "g", Args: "{}"}}}, result("2", "", "G"), result("1", "", "F")},
			Steps:    []Step{{Kind: KindLLM, Out: []int{0}}, {Kind: KindLLM, In: []int{0, 1, 2}}},
		}, []string{"0<-0 f({})=F", "0<-0 g({})=G"}},
		{"history of a call that was not traced", Trace{
			Messages: []Message{call("1", "f", "{}"), result("1", "", "ok")},
			Steps:    []Step{{Kind: KindLLM, In: []int{0, 1}}},
		}, []string{"0<--1 f({})=ok"}},
		{"the same call in another spelling", Trace{
			Messages: []Message{call("1", "f", `{"a"`), call("1", "f", "{}"), result("1", "", "ok")},
			Steps:    []Step{{Kind: KindLLM, Out: []int{0}}, {Kind: KindLLM, In: []int{1, 2}}},
		}, []string{`0<-0 f({"a")=ok`}},
		{"parallel calls whose arguments Python printed", Trace{
			Messages: []Message{{Role: "assistant", Calls: []Call{{Name: "f", Args: `{"a":1}`}, {Name: "f", Args: `{"a":2}`}, {Name: "f", Args: `{"a":3}`}}}},
			Steps: []Step{
				{Kind: KindLLM, Out: []int{0}},
				{ID: "x", Kind: KindTool, Tool: &ToolIO{Name: "f", Args: "{'a': 2}", Result: "two", HasResult: true}},
				{ID: "y", Kind: KindTool, Tool: &ToolIO{Name: "f", Args: "<Query 1>", Result: "one", HasResult: true}},
				{ID: "z", Kind: KindTool, Tool: &ToolIO{Name: "f", Args: "3", Result: "three", HasResult: true}},
			},
		}, []string{`2<-0 f({"a":1})=one`, `1<-0 f({"a":2})=two`, `3<-0 f({"a":3})=three`}},
		{"a call that was never carried out", Trace{
			Messages: []Message{{Role: "assistant", Calls: []Call{{Name: "f", Args: `{"a":1}`}}}, {Role: "assistant", Calls: []Call{{Name: "f", Args: `{"a":2}`}}}},
			Steps: []Step{
				{Kind: KindLLM, Out: []int{0}}, {Kind: KindLLM, Out: []int{1}},
				{ID: "x", Kind: KindTool, Tool: &ToolIO{Name: "f", Args: "<Query>", Result: "two", HasResult: true}},
			},
		}, []string{`0<-0 f({"a":1})=`, `2<-1 f({"a":2})=two`}},
		{"the span around a call repeats it", Trace{
			Messages: []Message{call("1", "f", "{}")},
			Steps:    []Step{{ID: "a", Kind: KindAgent, Out: []int{0}}, {ID: "b", Parent: "a", Kind: KindLLM, Out: []int{0}}},
		}, []string{"1<-1 f({})="}},
		{"the span of a graph repeats all calls in it", Trace{
			Messages: []Message{call("1", "f", "{}"), result("1", "", "one"), call("2", "f", "{}"), result("2", "", "two")},
			Steps: []Step{
				{ID: "a", Kind: KindChain, Out: []int{0, 1, 2, 3}},
				{ID: "b", Parent: "a", Kind: KindChain}, {ID: "c", Parent: "b", Kind: KindLLM, Out: []int{0}},
				{ID: "d", Parent: "a", Kind: KindTool, Tool: tool("1", "f", "{}", "one")},
				{ID: "e", Parent: "a", Kind: KindChain}, {ID: "f", Parent: "e", Kind: KindLLM, In: []int{0, 1}, Out: []int{2}},
				{ID: "g", Parent: "a", Kind: KindTool, Tool: tool("2", "f", "{}", "two")},
			},
		}, []string{"3<-2 f({})=one", "6<-5 f({})=two"}},
		{"a graph's span repeats calls without ids", Trace{
			Messages: []Message{call("", "f", "{}"), result("", "f", "ok")},
			Steps: []Step{
				{ID: "a", Kind: KindChain, Out: []int{0, 1, 0, 1}},
				{ID: "b", Parent: "a", Kind: KindLLM, Out: []int{0}}, {ID: "c", Parent: "a", Kind: KindLLM, In: []int{0, 1}, Out: []int{0}},
			},
		}, []string{"1<-1 f({})=ok", "2<-2 f({})=ok"}},
		{"an id used again by another agent", Trace{
			Messages: []Message{call("1", "f", "{}")},
			Steps: []Step{
				{ID: "a", Kind: KindAgent, Out: []int{0}}, {ID: "b", Parent: "a", Kind: KindTool, Tool: tool("1", "f", "{}", "x")},
				{ID: "c", Kind: KindAgent}, {ID: "d", Parent: "c", Kind: KindLLM, Out: []int{0}},
			},
		}, []string{"1<-0 f({})=x", "3<-3 f({})="}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, inv := range tc.in.Invocations() {
				got = append(got, fmt.Sprintf("%d<-%d %s(%s)=%s", inv.Step, inv.Caller, inv.Name, inv.Args, inv.Result))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A loop is one invocation per turn.
func TestInvocationsLoop(t *testing.T) {
	tr, err := Decode([]byte(loopPayload(500)))
	if err != nil {
		t.Fatal(err)
	}
	invs := tr.Invocations()
	if len(invs) != 500 {
		t.Fatalf("%d invocations, want 500", len(invs))
	}
	for i, inv := range invs {
		if inv.Caller != 2+2*i || inv.Step != 3+2*i || inv.Result != "order not found" {
			t.Fatalf("invocation %d: %+v", i, inv)
		}
	}
}
