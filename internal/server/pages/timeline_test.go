package pages

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/rules"
	"github.com/evalforge/evalforge/internal/trace"
)

func pipeline(t testing.TB) *extract.Pipeline {
	t.Helper()
	red, err := redact.New(redact.Options{Key: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	return &extract.Pipeline{Analyzer: rules.New(), Redactor: red, Now: time.Now}
}

// text returns what a step says, as the page has it.
func (s *step) text() string {
	var b strings.Builder
	for _, block := range append(s.Blocks, s.Attrs...) {
		b.WriteString(block.Label + ": " + block.Note)
		for _, seg := range block.Segs {
			b.WriteString(seg.Text)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestTimeline(t *testing.T) {
	call := `{"role":"assistant","content":"","tool_calls":[{"id":"c1","type":"function","function":{"name":"get_fare","arguments":"{\"to\": \"Oslo\"}"}}]}`
	payload := `{"messages":[{"role":"user","content":"What is the fare? Mail jo.bloggs@example.org"},` + call + `,
		{"role":"tool","tool_call_id":"c1","content":"Error: no such\n  route"},{"role":"assistant","content":"The fare is 40 EUR."}]}`
	in, err := pipeline(t).View(evalforge.RawTrace{TraceID: "a", Payload: []byte(payload)})
	if err != nil {
		t.Fatal(err)
	}
	step := 3
	p := &evalforge.Pattern{Analysis: evalforge.Analysis{
		FailingStep: &evalforge.FailingStep{Index: 3},
		Evidence: evalforge.Evidence{Refs: []evalforge.EvidenceRef{
			{Step: &step, Quote: "fare is 40 EUR", Verified: true}, {Step: &step, Quote: "no such route", Verified: true}, {Step: &step, Quote: "invented", Verified: false},
		}},
	}}
	got, found, err := newTimeline(in, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 3 || !found[0] || !found[1] || found[2] {
		t.Errorf("found %v, want the first two: the second is in another step than it says", found)
	}
	if len(got.Steps) != 4 {
		t.Fatalf("got %d steps, want 4", len(got.Steps))
	}
	for i, want := range []string{"[REDACTED:EMAIL:", "get_fare", "no such", "40 EUR"} {
		s := got.Steps[i]
		if s.Index != i || !strings.Contains(s.text(), want) {
			t.Errorf("step %d is %d: %q, want %q in it", i, s.Index, s.text(), want)
		}
		if s.Failing != (i == 3) {
			t.Errorf("step %d failing: %v", i, s.Failing)
		}
		if s.Open != (i >= 2) {
			t.Errorf("step %d open: %v", i, s.Open)
		}
	}
	if s := got.Steps[2]; s.Status != "error" && len(s.Evidence) != 1 {
		t.Errorf("the tool's step: status %q, evidence %v", s.Status, s.Evidence)
	}
}

// What is open is what to look at: not the filler before it.
func TestTimelineOpensWhatMatters(t *testing.T) {
	doc := `{"steps":[{"i":0,"kind":"llm","output":"` + strings.Repeat("filler ", 4000) + `"},{"i":1,"kind":"tool","output":"short"},{"i":2,"kind":"llm","output":"a\nb"}]}`
	in := &extract.Input{Trace: &trace.Trace{}, Compacted: trace.Compacted{JSON: []byte(doc)}}
	for _, test := range []struct {
		pattern evalforge.Pattern
		want    []bool
	}{
		{evalforge.Pattern{Analysis: evalforge.Analysis{FailingStep: &evalforge.FailingStep{Index: 2}}}, []bool{false, false, true}},
		{evalforge.Pattern{Analysis: evalforge.Analysis{Evidence: evalforge.Evidence{Refs: []evalforge.EvidenceRef{{Quote: "short", Verified: true}}}}}, []bool{false, true, false}},
		{evalforge.Pattern{}, []bool{true, true, true}},
	} {
		got, _, err := newTimeline(in, &test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range got.Steps {
			if s.Open != test.want[i] || (s.Blocks[0].Long() > 0) != (i == 0) {
				t.Errorf("step %d is open: %v, and its text long: %d", i, s.Open, s.Blocks[0].Long())
			}
		}
	}
}

// Steps that repeat are folded, and what is cut is said.
func TestTimelineNotes(t *testing.T) {
	in, err := pipeline(t).View(evalforge.RawTrace{TraceID: "a", Payload: []byte(`{"messages":[{"role":"user","content":"hello"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	in.Compacted.JSON = []byte(`{"format":"openai","steps":[{"i":0,"kind":"input","error":"text"},{"repeated_steps":4,"from":2,"to":5,"identical_to":"steps 0-1, 2 more times"},` +
		`{"omitted_steps":7,"from":6,"to":12},{"omitted_steps":9}]}`)
	got, _, err := newTimeline(in, &evalforge.Pattern{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "Steps 2–5 (4) repeat others: identical to steps 0-1, 2 more times.", "Steps 6–12 (7) are left out", "9 steps are left out"} {
		if !strings.HasPrefix(got.Steps[i].Note, want) || want == "" && got.Steps[i].Note != "" {
			t.Errorf("note %d: got %q, want %q", i, got.Steps[i].Note, want)
		}
	}
	if s := got.Steps[0]; !strings.Contains(s.text(), "error: text") || s.Status != "error" {
		t.Errorf("an error that is a text: %q", s.text())
	}
}

// A step that repeats earlier texts shows how they begin, and says where they are.
func TestTimelineRepeats(t *testing.T) {
	long := strings.Repeat("the fare to Oslo is forty euros ", 40)
	doc := `{"format":"x","steps":[
		{"i":0,"kind":"llm","in":[{"m":0,"role":"user","text":"What is the fare?"}],"out":[{"m":1,"text":"` + long + `"}],"output_same_as":"m 1"},
		{"i":1,"kind":"tool","tool":{"name":"fare","result":"no such route to that town"},"m":2},
		{"i":2,"kind":"llm","in":["0-2"],"out":["1"]},
		{"i":3,"kind":"llm","in":["2"]},
		{"i":4,"kind":"tool","tool":{"name":"fare","result_same_as":"step 1 result"}},
		{"i":5,"kind":"agent","out":[{"m":3,"text_same_as":"m 1","calls":[{"name":"book","args":"{}"}]}]},
		{"i":6,"kind":"agent","output_same_as":"m 99"}]}`
	got, _, err := newTimeline(&extract.Input{Trace: &trace.Trace{}, Compacted: trace.Compacted{JSON: []byte(doc)}}, &evalforge.Pattern{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		preview, text string
		same          int
	}{
		{"the fare to Oslo", "output: the same as above\n", -1},
		{"no such route", "", -1},
		{"as at step 0: the fare to Oslo", "says again: begins so, and is the same as at", 0},
		{"as at step 1: no such route to that town", "conversation so far: one message, shown where it came first, atno such route", 1},
		{"as at step 1: no such route to that town", "result fare: the same as at", 1},
		{"as at step 0: the fare to Oslo", "assistant calls book: {}", 0},
		{"", "the same text as in m 99", -1},
	} {
		s := got.Steps[i]
		if !strings.HasPrefix(s.Preview, want.preview) || want.preview == "" && s.Preview != "" || !strings.Contains(s.text(), want.text) {
			t.Errorf("step %d: got preview %q and text %q, want %+v", i, s.Preview, s.text(), want)
		}
		same := -1
		for _, b := range s.Blocks {
			if b.Same != nil {
				same = *b.Same
			}
		}
		if same != want.same {
			t.Errorf("step %d: leads to step %d, want %d", i, same, want.same)
		}
	}
}

// Whatever payload a pattern was extracted from, it has a timeline.
func FuzzTimeline(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":"a question about fares"},{"role":"assistant","content":"an answer about nothing"}]}`))
	f.Add([]byte(`{"spans":[{"name":"x","error":{"message":"boom"}}],"text":"\u202e<script>"}`))
	f.Add([]byte(`{"resourceSpans":[]}`))
	p := pipeline(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		raw := evalforge.RawTrace{TraceID: "a", Payload: json.RawMessage(payload)}
		x, err := p.Extract(t.Context(), raw)
		if err != nil {
			return
		}
		in, err := p.View(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := newTimeline(in, &x.Pattern); err != nil {
			t.Error(err)
		}
	})
}

// Evidence of texts that storing must change is marked where its original stands.
func TestTimelineMarksWhatStoringChanges(t *testing.T) {
	for _, said := range []string{
		"TypeError: unsupported operand for <class 'int'> and <class 'str'>",
		"panic: lookup of user: <nil> pointer",
		"ConnectionError: <urllib3.connection.HTTPSConnection object at 0x7f> refused",
		"<html><head><title>502 Bad Gateway</title></head></html>",
		"<Error><Code>NoSuchBucket</Code></Error>",
		"\x1b[31mfatal error:\x1b[0m the disk is full",
		"error: the \u202ename\u202c is not known here",
	} {
		content, err := json.Marshal(said)
		if err != nil {
			t.Fatal(err)
		}
		payload := `{"messages":[{"role":"user","content":"do it"},{"role":"assistant","content":"","tool_calls":[{"id":"c1","type":"function","function":{"name":"run","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"c1","content":` + string(content) + `},{"role":"assistant","content":"It is done."}]}`
		p, raw := pipeline(t), evalforge.RawTrace{TraceID: "a", Payload: []byte(payload)}
		p.Analyzer = quoting{said}
		x, err := p.Extract(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		in, err := p.View(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, found, err := newTimeline(in, &x.Pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || !found[0] {
			t.Errorf("%q, stored as %q, is not found", said, x.Pattern.Evidence.Refs[0].Quote)
			continue
		}
		s, marked := got.Steps[2], ""
		for _, seg := range s.Blocks[0].Segs {
			if len(seg.Marks) > 0 {
				marked += seg.Text
			}
		}
		if want := visible(said); len(s.Evidence) != 1 || !strings.Contains(want, marked) || len(marked) < len(want)-len("␛[31m") {
			t.Errorf("%q: marked is %q, and the step has the evidence %v", said, marked, s.Evidence)
		}
	}
}

// A quoting analyzer quotes one text.
type quoting struct{ quote string }

func (quoting) Name() string  { return "quoting" }
func (quoting) Model() string { return "" }

func (q quoting) Analyze(context.Context, *extract.Input) (*extract.Answer, error) {
	step := 2
	return &extract.Answer{Analysis: evalforge.Analysis{
		Title: "A tool fails", FailureType: evalforge.InfrastructureError, TriggerCondition: "tool error", Summary: "A tool fails.", RootCauseHypothesis: "The tool is broken.",
		Evidence: evalforge.Evidence{Signals: []string{"an error"}, Refs: []evalforge.EvidenceRef{{Step: &step, Quote: q.quote}}}, RecommendedActions: []string{"Repair the tool."},
		ReproductionContext: evalforge.ReproductionContext{InputPattern: "any"}, Severity: evalforge.High, Confidence: 0.9, ConfidenceRationale: "It is said.",
	}}, nil
}
