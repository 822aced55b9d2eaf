package signal

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

// texts are fragments that the detectors look for, so that random traces reach them.
var texts = []string{
	"", "ok", "Error: not found", "exitcode: 1 (execution failed)\nCode output: ConnectionError: timed out", "exitcode: 0 (execution succeeded)\nCode output: ",
	"As of my last update", "what is the latest price?", `{"results":[]}`, `{"error":{"message":"missing required field"}}`, `{"a":[{"price":1,"date":"2020-01-01"},{"price":2,"date":"2021-01-01"},{"price":3,"date":"2022-01-01"}]}`,
	"[REDACTED:API_KEY:12ab]", "call [REDACTED:PHONE:0f0f] for his number", "you are an idiot", "Let's assume simulated data", "I've cancelled order AB-123456 at 42 km/h",
	"the cheapest is 2", "```python\nprint(1)\n```", "TERMINATE", "429 Too Many Requests", "Result: incorrect", "you made that up", "Ünïcödé … 日本語 \x00 text", "broken \xff utf8", "{\"json\": [1,",
	strings.Repeat("long text ", 60), "superseded by version 2", "stale: true", "today is 2026-01-01",
}

func text(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.SampledFrom(texts), rapid.String()).Draw(t, label)
}

// anyTrace draws a trace as no decoder would dare to make it: parents that do not exist
// or form cycles, message numbers out of range, missing parts.
func anyTrace(t *rapid.T) *trace.Trace {
	tr := &trace.Trace{Dropped: rapid.IntRange(0, 1).Draw(t, "dropped")}
	if rapid.Bool().Draw(t, "started") {
		tr.Start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	}
	for range rapid.IntRange(0, 12).Draw(t, "messages") {
		m := trace.Message{Role: rapid.SampledFrom([]string{"user", "assistant", "system", "tool", ""}).Draw(t, "role"), Text: text(t, "text")}
		for range rapid.IntRange(0, 2).Draw(t, "calls") {
			m.Calls = append(m.Calls, trace.Call{ID: rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "id"), Name: name(t), Args: text(t, "args")})
		}
		if m.Role == "tool" {
			m.ToolID = rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "tool id")
		}
		tr.Messages = append(tr.Messages, m)
	}
	for range rapid.IntRange(0, 2).Draw(t, "tools") {
		tr.Tools = append(tr.Tools, trace.Tool{Name: name(t), Schema: rapid.SampledFrom([]string{"", weatherSchema, "{", `{"type":["string",1]}`}).Draw(t, "schema")})
	}
	refs := func(label string) []int {
		if len(tr.Messages) == 0 {
			return nil
		}
		return rapid.SliceOfN(rapid.IntRange(0, len(tr.Messages)-1), 0, 3).Draw(t, label)
	}
	ids := []string{"", "1", "2", "3"}
	for i := range rapid.IntRange(0, 12).Draw(t, "steps") {
		s := trace.Step{
			Index: i, ID: rapid.SampledFrom(ids).Draw(t, "id"), Parent: rapid.SampledFrom(ids).Draw(t, "parent"),
			Kind: rapid.SampledFrom([]trace.Kind{trace.KindInput, trace.KindLLM, trace.KindTool, trace.KindRetrieval, trace.KindAgent, trace.KindChain, trace.KindOpaque}).Draw(t, "kind"),
			Name: name(t), Agent: rapid.SampledFrom([]string{"", "a", "Validator"}).Draw(t, "agent"),
			Status: rapid.SampledFrom([]trace.Status{trace.Unset, trace.OK, trace.Error}).Draw(t, "status"),
			In:     refs("in"), Out: refs("out"), Input: text(t, "input"), Output: text(t, "output"),
			Finish: rapid.SampledFrom([]string{"", "stop", "length", "content_filter"}).Draw(t, "finish"),
		}
		if rapid.Bool().Draw(t, "failed") {
			s.Err = &trace.Failure{Type: name(t), Message: text(t, "error"), HTTP: rapid.SampledFrom([]int{0, 400, 404, 429, 500}).Draw(t, "http")}
		}
		if rapid.Bool().Draw(t, "is tool") {
			s.Tool = &trace.ToolIO{CallID: rapid.SampledFrom(ids).Draw(t, "call"), Name: name(t), Args: text(t, "args"), Result: text(t, "result"), HasResult: rapid.Bool().Draw(t, "has"), IsErr: rapid.Bool().Draw(t, "is error")}
		}
		tr.Steps = append(tr.Steps, s)
	}
	for range rapid.IntRange(0, 2).Draw(t, "labels") {
		tr.Labels = append(tr.Labels, trace.Label{Name: rapid.SampledFrom([]string{"toxicity", "groundedness", "pii", "quality", "tool_selection"}).Draw(t, "label"), Value: rapid.SampledFrom([]string{"", "fail", "pass", "true"}).Draw(t, "value"), StepID: rapid.SampledFrom(ids).Draw(t, "step"), Explanation: text(t, "why")})
	}
	return tr
}

func name(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "weather", "web_search", "cancel_order", "transfer_to_b", "checker"}).Draw(t, "name")
}

// content joins every text of a trace.
func content(tr *trace.Trace) string {
	var b strings.Builder
	add := func(list ...string) {
		for _, s := range list {
			b.WriteString(s)
			b.WriteByte(0)
		}
	}
	for _, m := range tr.Messages {
		add(m.Text, m.Refusal)
		for _, c := range m.Calls {
			add(c.Name, c.Args)
		}
	}
	for _, s := range tr.Steps {
		add(s.Name, s.Input, s.Output)
		if s.Err != nil {
			add(s.Err.Type, s.Err.Code, s.Err.Message)
		}
		if s.Tool != nil {
			add(s.Tool.Name, s.Tool.Args, s.Tool.Result)
		}
	}
	for _, l := range tr.Labels {
		add(l.Value, l.Explanation)
	}
	return b.String()
}

// Whatever the trace: no panic, steps that exist, weights between 0 and 1, quotes of
// bounded length that stand in the trace, deciding signals first, details that are one
// line of text.
func TestSignalsOfAnyTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		hint := rapid.SampledFrom([]string{"", "hallucination", "toxicity", "infrastructure_error"}).Draw(t, "hint")
		all := content(tr)
		undecided := false
		for _, s := range Detect(tr, hint) {
			if s.Name == "" || s.Detail == "" || s.FailureType == "" && s.Condition != "" {
				t.Fatalf("signal without name, detail or type: %+v", s)
			}
			if s.Step < -1 || s.Step >= len(tr.Steps) || s.Cause < -1 || s.Cause >= len(tr.Steps) {
				t.Fatalf("%s names step %d and cause %d of %d steps", s.Name, s.Step, s.Cause, len(tr.Steps))
			}
			if s.Weight <= 0 || s.Weight > 1 {
				t.Fatalf("%s has weight %v", s.Name, s.Weight)
			}
			if s.FailureType == evalforge.Other && s.Weight >= Decisive {
				t.Fatalf("%s decides for other", s.Name)
			}
			if s.Decides() && undecided {
				t.Fatalf("%s decides and comes after one that does not", s.Name)
			}
			undecided = undecided || !s.Decides()
			if s.Quote != "" {
				if n := utf8.RuneCountInString(s.Quote); n < minQuote || n > maxQuote {
					t.Fatalf("%s: quote of %d characters", s.Name, n)
				}
				if !strings.Contains(all, s.Quote) {
					t.Fatalf("%s: quote %q is not in the trace", s.Name, s.Quote)
				}
			}
			if strings.ContainsAny(s.Detail, "\n\r\x00") {
				t.Fatalf("%s: detail %q is not one line", s.Name, s.Detail)
			}
		}
		if i, ok := Suspect(tr); ok && (i < 0 || i >= len(tr.Steps)) {
			t.Fatalf("suspects step %d of %d", i, len(tr.Steps))
		}
	})
}

// The same trace gives the same signals, and is not changed.
func TestDetectIsPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		before := content(tr)
		a, b := Detect(tr, ""), Detect(tr, "")
		if len(a) != len(b) {
			t.Fatalf("%d signals, then %d", len(a), len(b))
		}
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("signal %d differs: %+v, then %+v", i, a[i], b[i])
			}
		}
		if content(tr) != before {
			t.Fatal("the trace was changed")
		}
	})
}

func TestQuoteIsVerbatimAndBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(1, 40).Draw(t, "times"))
		i := rapid.IntRange(0, len(s)).Draw(t, "start")
		j := rapid.IntRange(i, len(s)).Draw(t, "end")
		q := quote(s, i, j)
		if q == "" {
			return
		}
		if !strings.Contains(s, q) {
			t.Fatalf("%q is not in %q", q, s)
		}
		if n := utf8.RuneCountInString(q); n < minQuote || n > maxQuote {
			t.Fatalf("%d characters", n)
		}
	})
}

func TestDetectNil(t *testing.T) {
	if got := Detect(nil, "toxicity"); got != nil {
		t.Errorf("Detect(nil) = %v", got)
	}
	if _, ok := Suspect(&trace.Trace{}); ok {
		t.Error("an empty trace has a suspect")
	}
}
