package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

// prepare makes the input that the engine would make of a payload.
func prepare(t interface {
	Helper()
	Fatalf(string, ...any)
}, payload, hint, severity string) *extract.Input {
	t.Helper()
	tr, err := trace.Decode([]byte(payload))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	return &extract.Input{
		TraceID: "trace-1", FailureType: hint, Severity: severity, ServiceName: "shop", Trace: tr,
		Compacted: trace.Compact(tr, extract.DefaultBudget), Signals: signal.Detect(tr, hint),
	}
}

func analyze(t *testing.T, in *extract.Input) evalforge.Analysis {
	t.Helper()
	ans, err := New().Analyze(context.Background(), in)
	if err != nil {
		t.Fatalf("Analyze: %v", err)
	}
	if err := ans.Analysis.Validate(); err != nil {
		t.Errorf("the analysis cannot be stored: %v", err)
	}
	return ans.Analysis
}

const (
	unknownTool = `{"messages":[
		{"role":"user","content":"Where is my parcel 4711?"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"track_parcel","arguments":"{\"parcel\":\"4711\"}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"Error: tool track_parcel not found"},
		{"role":"assistant","content":"I cannot see your parcel at the moment."}],
		"tools":[{"type":"function","function":{"name":"get_order","parameters":{"type":"object","properties":{"id":{"type":"string"}}}}}]}`
	fine = `{"messages":[
		{"role":"user","content":"What does the blue lamp cost?"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"get_price","arguments":"{\"item\":\"lamp-blue\"}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"{\"price\": 24.9, \"currency\": \"EUR\"}"},
		{"role":"assistant","content":"The blue lamp costs 24.90 EUR."}]}`
	overloaded = `{"model":"m","prompt":"Summarise the meeting notes.","response":"","error":"503 Service Unavailable","latency_ms":12,"tool_calls":[],"retry_count":3}`
	unreadable = `{"blob":"zzzz zzzz zzzz zzzz","n":3}`
)

func TestWrongToolBlamesTheStepThatPlannedTheCall(t *testing.T) {
	a := analyze(t, prepare(t, unknownTool, "unknown", ""))
	if a.FailureType != evalforge.WrongTool || a.TriggerCondition != signal.CondUnknownTool {
		t.Errorf("got %s, %q", a.FailureType, a.TriggerCondition)
	}
	if a.FailingStep == nil || a.FailingStep.Index != 1 {
		t.Errorf("failing step %+v, want index 1, the call, and not 2, its error", a.FailingStep)
	}
	if a.Confidence < 0.8 {
		t.Errorf("confidence %.2f for a mechanical proof, want at least 0.8", a.Confidence)
	}
	if got := a.ReproductionContext.ToolsInvolved; len(got) != 1 || got[0] != "track_parcel" {
		t.Errorf("tools involved %q, want track_parcel", got)
	}
	if !strings.Contains(a.Title, "step 1") || !strings.Contains(a.Summary, "track_parcel") {
		t.Errorf("title %q and summary %q do not name the step and the tool", a.Title, a.Summary)
	}
}

func TestInfrastructureErrorBlamesTheErringStep(t *testing.T) {
	a := analyze(t, prepare(t, overloaded, "", "low"))
	if a.FailureType != evalforge.InfrastructureError || a.TriggerCondition != signal.CondModelServer {
		t.Errorf("got %s, %q", a.FailureType, a.TriggerCondition)
	}
	if a.FailingStep == nil || a.FailingStep.Index != 0 {
		t.Errorf("failing step %+v, want index 0", a.FailingStep)
	}
	if a.Severity != evalforge.High {
		t.Errorf("severity %s: ingestion's lower word must not reduce that of a proven failure", a.Severity)
	}
}

// A run without any sign of failure must not be claimed to fail.
func TestSuccessIsNotClaimedToFail(t *testing.T) {
	for _, payload := range []string{fine, unreadable} {
		a := analyze(t, prepare(t, payload, "unknown", "critical"))
		if a.FailureType != evalforge.Other || a.Confidence >= 0.5 {
			t.Errorf("claimed %s with confidence %.2f", a.FailureType, a.Confidence)
		}
		if a.Severity != evalforge.Critical {
			t.Errorf("severity %s, want ingestion's, the only word about it", a.Severity)
		}
	}
	if a := analyze(t, prepare(t, fine, "", "")); a.TriggerCondition != signal.CondNoError || a.Severity != evalforge.Low {
		t.Errorf("got %q, %s", a.TriggerCondition, a.Severity)
	}
	if a := analyze(t, prepare(t, unreadable, "", "")); a.TriggerCondition != signal.CondOpaque {
		t.Errorf("an unreadable trace got %q, want %q", a.TriggerCondition, signal.CondOpaque)
	}
}

func TestSeverity(t *testing.T) {
	for _, tc := range []struct {
		failure    evalforge.FailureType
		confidence float64
		hint       string
		want       evalforge.Severity
	}{
		{evalforge.PIILeak, 0.9, "", evalforge.Critical},
		{evalforge.PIILeak, 0.4, "", evalforge.Medium},
		{evalforge.WrongTool, 0.9, "high", evalforge.High},
		{evalforge.WrongTool, 0.9, "low", evalforge.Medium},
		{evalforge.Other, 0.1, "HIGH ", evalforge.High},
		{evalforge.Other, 0.1, "sev1", evalforge.Low},
	} {
		f := &finding{in: &extract.Input{Severity: tc.hint}, failureType: tc.failure, confidence: tc.confidence}
		if got := f.severity(); got != tc.want {
			t.Errorf("%s at %.1f with hint %q: %s, want %s", tc.failure, tc.confidence, tc.hint, got, tc.want)
		}
	}
}

func TestConfidence(t *testing.T) {
	sig := func(name string, ft evalforge.FailureType, w float64) signal.Signal {
		return signal.Signal{Name: name, FailureType: ft, Condition: signal.CondSameCall, Weight: w, Step: -1, Cause: -1, Detail: name}
	}
	for _, tc := range []struct {
		name    string
		signals []signal.Signal
		ft      evalforge.FailureType
		want    float64
	}{
		{"one signal", []signal.Signal{sig("a", evalforge.RunawayLoop, 0.8)}, evalforge.RunawayLoop, 0.8},
		{"two that agree", []signal.Signal{sig("a", evalforge.RunawayLoop, 0.8), sig("b", evalforge.RunawayLoop, 0.4)}, evalforge.RunawayLoop, 0.84},
		{"the same one twice", []signal.Signal{sig("a", evalforge.RunawayLoop, 0.8), sig("a", evalforge.RunawayLoop, 0.8)}, evalforge.RunawayLoop, 0.8},
		{"one against it", []signal.Signal{sig("a", evalforge.RunawayLoop, 0.8), sig("b", evalforge.WrongTool, 0.5)}, evalforge.RunawayLoop, 0.7},
		{"weak", []signal.Signal{sig("a", evalforge.RunawayLoop, 0.49)}, evalforge.RunawayLoop, 0.45},
		{"too weak for a type", []signal.Signal{sig("a", evalforge.RunawayLoop, 0.3)}, evalforge.Other, 0.2},
		{"other", []signal.Signal{sig("a", evalforge.Other, 0.45)}, evalforge.Other, 0.45},
		{"nothing", nil, evalforge.Other, 0.1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := decide(&extract.Input{Trace: &trace.Trace{}}, tc.signals)
			if f.failureType != tc.ft || f.confidence != tc.want {
				t.Errorf("%s with %.2f, want %s with %.2f", f.failureType, f.confidence, tc.ft, tc.want)
			}
		})
	}
}

// Actions and labels come from the vocabulary, and match the failure type, whatever
// signal leads.
func TestEveryConditionGivesItsActions(t *testing.T) {
	for _, c := range prompts.Categories() {
		for _, cond := range c.Conditions {
			in := prepare(t, fine, "", "")
			in.Signals = []signal.Signal{{Name: "s", FailureType: c.FailureType, Condition: cond.Label, Weight: 0.9, Step: 1, Cause: 1, Detail: "seen at step 1"}}
			a := analyze(t, in)
			if a.TriggerCondition != cond.Label || a.FailureType != c.FailureType {
				t.Errorf("%s, %q: got %s, %q", c.FailureType, cond.Label, a.FailureType, a.TriggerCondition)
			}
			if fmt.Sprint(a.RecommendedActions) != fmt.Sprint(cond.Actions) {
				t.Errorf("%q: actions %q", cond.Label, a.RecommendedActions)
			}
		}
	}
}

func TestAnalyzeStopsWhenTheContextIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := New().Analyze(ctx, prepare(t, fine, "", "")); err == nil {
		t.Error("no error for a cancelled context")
	}
}

// Whatever the trace: the analysis can be stored, claims a failure only where a signal
// decides, names steps that exist, and quotes only what stands in the compacted trace.
func TestAnalysisOfAnyTrace(t *testing.T) {
	fragments := []string{"", "ok", "Error: timed out", "[REDACTED:EMAIL:12ab]", "you are an idiot", "###STOP###", "日本語のテキストです。", "429 Too Many Requests",
		"Let's assume simulated data", `{"results":[]}`, strings.Repeat("a long line of words ", 400), "As of my last update", "line\nline\tline \u2028 line", "Result: incorrect", "exitcode: 1 (execution failed)\nCode output: x"}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.SampledFrom(fragments), rapid.String())
		var messages []map[string]any
		for range rapid.IntRange(0, 8).Draw(t, "messages") {
			m := map[string]any{"role": rapid.SampledFrom([]string{"user", "assistant", "system", "tool"}).Draw(t, "role"), "content": s.Draw(t, "content")}
			if rapid.Bool().Draw(t, "named") {
				m["name"] = rapid.SampledFrom([]string{"planner", "coder", "Checker\n"}).Draw(t, "name")
			}
			if m["role"] == "assistant" && rapid.Bool().Draw(t, "calls") {
				m["tool_calls"] = []any{map[string]any{"id": "c1", "type": "function", "function": map[string]any{"name": s.Draw(t, "tool"), "arguments": s.Draw(t, "args")}}}
			}
			messages = append(messages, m)
		}
		payload, err := json.Marshal(map[string]any{"messages": messages, "error": s.Draw(t, "error")})
		if err != nil {
			t.Fatal(err)
		}
		in := prepare(t, string(payload), s.Draw(t, "hint"), s.Draw(t, "severity"))
		in.ServiceName = s.Draw(t, "service")
		ans, err := New().Analyze(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		a := ans.Analysis
		if err := a.Validate(); err != nil {
			t.Fatalf("cannot be stored: %v", err)
		}
		decided := false
		for _, sig := range in.Signals {
			decided = decided || sig.Decides()
		}
		if !decided && a.Confidence >= signal.Decisive {
			t.Fatalf("claims %s with %.2f and no signal that decides", a.FailureType, a.Confidence)
		}
		exists := func(i int) bool {
			for _, st := range in.Trace.Steps {
				if st.Index == i {
					return true
				}
			}
			return false
		}
		if f := a.FailingStep; f != nil && !exists(f.Index) {
			t.Fatalf("failing step %d does not exist", f.Index)
		}
		sent := newQuoter(in).text
		for _, r := range a.Evidence.Refs {
			if !strings.Contains(sent, r.Quote) || letters(r.Quote) < extract.MinQuoteRunes {
				t.Fatalf("quote %q proves nothing", r.Quote)
			}
			if r.Step != nil && !exists(*r.Step) {
				t.Fatalf("quoted step %d does not exist", *r.Step)
			}
		}
	})
}
