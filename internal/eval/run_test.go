package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var _ Extractor = (*extract.Pipeline)(nil)

// answers is an extractor that knows its answers, by trace id. A trace it does not know
// fails as one that the model's service could not be reached for.
type answers map[string]evalforge.Analysis

func (a answers) Extract(_ context.Context, raw evalforge.RawTrace) (extract.Extraction, error) {
	an, ok := a[raw.TraceID]
	if !ok {
		return extract.Extraction{}, &extract.Error{Kind: extract.KindUnavailable, Err: errors.New("service unavailable"),
			Spent: extract.Spent{CostUSD: 0.25, Tokens: evalforge.Tokens{Prompt: 10}}}
	}
	return extract.Extraction{
		Pattern: evalforge.Pattern{SourceTraceID: raw.TraceID, Analysis: an},
		Spent:   extract.Spent{CostUSD: an.Confidence / 10, Tokens: evalforge.Tokens{Prompt: 100, Output: 20}},
	}, nil
}

// analysis returns an answer with the fields that are scored.
func analysis(typ evalforge.FailureType, trigger string, conf float64, step *evalforge.FailingStep, quotes ...bool) evalforge.Analysis {
	a := evalforge.Analysis{FailureType: typ, TriggerCondition: trigger, Confidence: conf, FailingStep: step}
	for _, v := range quotes {
		a.Evidence.Refs = append(a.Evidence.Refs, evalforge.EvidenceRef{Quote: "a quote", Verified: v})
	}
	return a
}

// chat is a trace of n messages, whose steps are counted from 0 to n-1.
func chat(id string, n int) evalforge.RawTrace {
	var msgs []map[string]string
	for i := range n {
		role := "user"
		if i%2 == 1 {
			role = "assistant"
		}
		msgs = append(msgs, map[string]string{"role": role, "content": fmt.Sprintf("message number %d", i)})
	}
	b, err := json.Marshal(map[string]any{"messages": msgs})
	if err != nil {
		panic(err) // strings always marshal
	}
	return evalforge.RawTrace{TraceID: id, Payload: b}
}

func newCase(id string, e Expected) Case {
	return Case{ID: id, Source: "cases.jsonl:" + id, Trace: chat(id, 10), Expected: e}
}

// sequence yields cases, and after them errs.
func sequence(cases []Case, errs ...error) iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		for _, c := range cases {
			if !yield(c, nil) {
				return
			}
		}
		for _, err := range errs {
			if !yield(Case{}, err) {
				return
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }

// sample is a set of cases small enough to be scored by hand.
func sample() ([]Case, answers) {
	step := func(i int, agent string) *evalforge.FailingStep {
		return &evalforge.FailingStep{Index: i, Agent: agent}
	}
	cases := []Case{
		newCase("1", Expected{IsFailure: ptr(true), FailureTypes: []string{"wrong_tool", "client_error"},
			TriggerConditions: []string{"unknown tool requested"}, FailingSteps: []int{7}, Agents: []string{"Planner"}}),
		newCase("2", Expected{IsFailure: ptr(true), FailureTypes: []string{"Wrong Tool"}, FailingSteps: []int{0}, Agents: []string{"Coder"}}),
		newCase("3", Expected{FailureTypes: []string{"runaway_loop"}, FailingSteps: []int{9}}),
		newCase("4", Expected{FailureTypes: []string{"stale_data"}, TriggerConditions: []string{"old data"}, FailingSteps: []int{2}, Agents: []string{"planner"}}),
		newCase("5", Expected{IsFailure: ptr(false)}),
		newCase("6", Expected{IsFailure: ptr(false), FailureTypes: []string{"toxicity"}}),
		newCase("7", Expected{IsFailure: ptr(false)}),
		newCase("8", Expected{}),
	}
	return cases, answers{
		"1": analysis("client_error", "Unknown-tool  requested", 0.9, step(7, " planner "), true, true), // all right
		"2": analysis("wrong_tool", "anything", 0.8, step(3, "Planner"), true, false),                   // step 3 off, wrong agent
		"3": analysis("other", "anything", 0.35, nil),                                                   // wrong, no step
		// 4 fails
		"5": analysis("other", "nothing found", 0.2, nil),
		"6": analysis("toxicity", "insult", 0.5, nil, true), // a false alarm, and not a right answer
		// 7 fails
		"8": analysis("other", "anything", 0.1, nil), // nothing to score
	}
}

func TestRunMatchesHandComputedReport(t *testing.T) {
	cases, x := sample()
	bad := &CaseError{File: "cases.jsonl", Line: 9, ID: "9", Field: "trace", Err: errors.New("is missing")}
	got, err := Run(t.Context(), sequence(cases, bad), x, Options{})
	if err != nil {
		t.Fatal(err)
	}
	calibration := Calibration{
		// One answer in each of the bins of 0.9 (right), 0.8 (right) and 0.35 (wrong).
		ECE:                     ptr((0.1 + 0.2 + 0.35) / 3),
		MeanConfidenceCorrect:   ptr(0.85),
		MeanConfidenceIncorrect: ptr(0.35),
		CorrectAt08:             ptr(1.0), AnswersAt08: 2,
		Brier: ptr((0.1*0.1 + 0.2*0.2 + 0.35*0.35) / 3),
		Bins:  []Bin{{0.3, 1, 0.35, 0}, {0.8, 1, 0.8, 1}, {0.9, 1, 0.9, 1}},
	}
	want := Report{
		Cases:            8,
		FailureType:      Score{Scored: 4, Correct: 2, Accuracy: ptr(0.5), CI95: wilson(2, 4)},
		TriggerCondition: Score{Scored: 2, Correct: 1, Accuracy: ptr(0.5), CI95: wilson(1, 2)},
		FailingStep:      StepScore{Scored: 4, Correct: 1, Accuracy: ptr(0.25), Within3: ptr(0.5), CI95: wilson(1, 4)},
		Agent:            Score{Scored: 3, Correct: 1, Accuracy: ptr(1.0 / 3), CI95: wilson(1, 3)},
		FalseAlarms:      FalseAlarms{Negatives: 3, Unanswered: 1, Alarms: 1, Rate: ptr(0.5)},
		Evidence:         Evidence{Quotes: 5, Verified: 4},
		Calibration:      calibration,
		CalibrationGiven: calibration, // no number was moved
		Trivial: Trivial{
			AlwaysFirstStep: ptr(0.25), AlwaysLastStep: ptr(0.25),
			MajorityType: ptr(0.5), MajorityTypeAnswer: "wrong_tool",
			MajorityAgent: ptr(2.0 / 3), MajorityAgentAnswer: "planner",
		},
		Tokens:  evalforge.Tokens{Prompt: 620, Output: 120},
		CostUSD: 0.285 + 2*0.25,
		Errors: []CaseFailure{
			{ID: "4", Source: "cases.jsonl:4", Kind: "unavailable", Error: "service unavailable"},
			{ID: "7", Source: "cases.jsonl:7", Kind: "unavailable", Error: "service unavailable"},
			{ID: "9", Source: "cases.jsonl:9", Kind: KindInvalidCase, Error: "cases.jsonl:9: trace: is missing"},
		},
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })
	if diff := cmp.Diff(want, got, near); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestRunKeepsResultsInInputOrder(t *testing.T) {
	cases, x := sample()
	rep, err := Run(t.Context(), sequence(cases), x, Options{Concurrency: 4, KeepCases: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rep.Results {
		got = append(got, r.ID+" "+r.Outcome)
	}
	want := []string{"1 answered", "2 answered", "3 answered", "4 unavailable", "5 answered", "6 answered", "7 unavailable", "8 answered"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	line, err := json.Marshal(rep.Results[3])
	if err != nil {
		t.Fatal(err)
	}
	wantLine := `{"id":"4","source":"cases.jsonl:4","expected":{"failure_types":["stale_data"],"trigger_conditions":["old data"],"failing_steps":[2],"agents":["planner"]},` +
		`"got":null,"correct":{"failure_type":false,"trigger_condition":false,"failing_step":false,"failing_step_within3":false,"agent":false},` +
		`"false_alarm":null,"outcome":"unavailable","error":"service unavailable"}`
	if string(line) != wantLine {
		t.Errorf("line\n got %s\nwant %s", line, wantLine)
	}
}

func TestSpansNameSteps(t *testing.T) {
	payload := `{"spans": [
		{"trace_id": "t", "span_id": "aaaaaaaaaaaaaaa1", "name": "root", "start_time_unix_ns": 1, "end_time_unix_ns": 90},
		{"trace_id": "t", "span_id": "aaaaaaaaaaaaaaa2", "parent_span_id": "aaaaaaaaaaaaaaa1", "name": "search", "start_time_unix_ns": 2, "end_time_unix_ns": 30},
		{"trace_id": "t", "span_id": "aaaaaaaaaaaaaaa3", "parent_span_id": "aaaaaaaaaaaaaaa1", "name": "answer", "start_time_unix_ns": 40, "end_time_unix_ns": 80}]}`
	for _, tt := range []struct {
		name        string
		labels      Expected
		got         *evalforge.FailingStep
		right, near bool
		first, last bool
	}{
		{"by span id", Expected{FailingSpans: []string{"AAAAAAAAAAAAAAA2"}}, &evalforge.FailingStep{Index: 8, SpanID: "aaaaaaaaaaaaaaa2"}, true, true, false, false},
		{"by the span at the index", Expected{FailingSpans: []string{"aaaaaaaaaaaaaaa3"}}, &evalforge.FailingStep{Index: 2}, true, true, false, true},
		{"the wrong span nearby", Expected{FailingSpans: []string{"aaaaaaaaaaaaaaa1"}}, &evalforge.FailingStep{Index: 2, SpanID: "aaaaaaaaaaaaaaa3"}, false, true, true, false},
		{"a span that is not in the trace", Expected{FailingSpans: []string{"b"}}, &evalforge.FailingStep{Index: 2, SpanID: "aaaaaaaaaaaaaaa3"}, false, false, false, false},
		{"no span id matches no span", Expected{FailingSpans: []string{"b"}}, &evalforge.FailingStep{Index: 99}, false, false, false, false},
		{"either label will do", Expected{FailingSteps: []int{2}, FailingSpans: []string{"aaaaaaaaaaaaaaa1"}}, &evalforge.FailingStep{Index: 2, SpanID: "aaaaaaaaaaaaaaa3"}, true, true, true, true},
		{"three steps off", Expected{FailingSteps: []int{7}}, &evalforge.FailingStep{Index: 4}, false, true, false, false},
		{"four steps off", Expected{FailingSteps: []int{7}}, &evalforge.FailingStep{Index: 3}, false, false, false, false},
		{"no step named", Expected{FailingSteps: []int{0}}, nil, false, false, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Case{ID: "c", Trace: evalforge.RawTrace{TraceID: "t", Payload: json.RawMessage(payload)}, Expected: tt.labels}
			j := judge(c, extract.Extraction{Pattern: evalforge.Pattern{Analysis: evalforge.Analysis{FailingStep: tt.got}}}, nil)
			got := []bool{*j.Correct.FailingStep, *j.Correct.Within3, j.firstStep, j.lastStep}
			if want := []bool{tt.right, tt.near, tt.first, tt.last}; !slices.Equal(got, want) {
				t.Errorf("right, near, first, last = %v, want %v", got, want)
			}
		})
	}
}

func TestWilson(t *testing.T) {
	// From the closed form, as R's binom.wilson and Brown, Cai and DasGupta (2001) give it.
	for _, tt := range []struct {
		n, total int
		lo, hi   float64
	}{
		{0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}, {8, 10, 0.4902, 0.9433}, {1, 2, 0.0945, 0.9055}, {50, 100, 0.4038, 0.5962},
	} {
		ci := wilson(tt.n, tt.total)
		if math.Abs(ci[0]-tt.lo) > 5e-5 || math.Abs(ci[1]-tt.hi) > 5e-5 {
			t.Errorf("wilson(%d, %d) = %.4f, want [%.4f %.4f]", tt.n, tt.total, *ci, tt.lo, tt.hi)
		}
	}
	if ci := wilson(0, 0); ci != nil {
		t.Errorf("wilson(0, 0) = %v, want nil", ci)
	}
}

func TestReportOfNothingIsJSON(t *testing.T) {
	rep, err := Run(t.Context(), sequence(nil), answers{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "empty.json", got)
}

func TestWriteTable(t *testing.T) {
	cases, x := sample()
	bad := &CaseError{File: "cases.jsonl", Line: 9, ID: "9", Field: "trace", Err: errors.New("is missing; give the trace itself, or a file in trace_file")}
	for _, tt := range []struct {
		golden string
		cases  []Case
		errs   []error
	}{
		{"table.txt", cases, []error{bad}},
		{"table_negatives.txt", cases[4:5], nil},
		{"table_empty.txt", nil, nil},
	} {
		rep, err := Run(t.Context(), sequence(tt.cases, tt.errs...), x, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := WriteTable(&b, &rep); err != nil {
			t.Fatal(err)
		}
		golden(t, tt.golden, b.Bytes())
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), go test -update rewrites it:\n%s", name, diff)
	}
}

// blocking never answers, but heeds its context.
type blocking struct{ running, most atomic.Int64 }

func (b *blocking) Extract(ctx context.Context, _ evalforge.RawTrace) (extract.Extraction, error) {
	n := b.running.Add(1)
	for m := b.most.Load(); n > m && !b.most.CompareAndSwap(m, n); m = b.most.Load() {
	}
	defer b.running.Add(-1)
	<-ctx.Done()
	return extract.Extraction{}, ctx.Err()
}

func TestTimeoutIsScoredAndWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cases, _ := sample()
		x := &blocking{}
		progress := 0
		start := time.Now()
		rep, err := Run(t.Context(), sequence(cases), x, Options{Concurrency: 2, Timeout: 15 * time.Second, Progress: func(n int) { progress = n }})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(start), 60*time.Second; got != want {
			t.Errorf("8 cases, 2 at a time, took %v, want %v", got, want)
		}
		if got := x.most.Load(); got != 2 {
			t.Errorf("at most %d cases at once, want 2", got)
		}
		if rep.FailureType.Scored != 4 || rep.FailureType.Correct != 0 || len(rep.Errors) != 8 || rep.Errors[0].Kind != "timeout" {
			t.Errorf("report %+v", rep)
		}
		if progress != 8 {
			t.Errorf("progress ended at %d, want 8", progress)
		}
	})
}

func TestCancelledRunReportsWhatWasFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cases, x := sample()
		seq := func(yield func(Case, error) bool) {
			for i, c := range cases {
				if i == 3 {
					synctest.Wait()
					cancel()
				}
				if !yield(c, nil) {
					return
				}
			}
		}
		rep, err := Run(ctx, seq, x, Options{Concurrency: 1})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		if rep.Cases != 3 || len(rep.Errors) != 0 {
			t.Errorf("%d cases, %d errors; want 3 and 0", rep.Cases, len(rep.Errors))
		}
	})
}

func TestInterruptedCasesAreNotScored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cases, _ := sample()
		rep, err := Run(ctx, sequence(cases), &blocking{}, Options{Concurrency: 3, Timeout: time.Minute})
		if !errors.Is(err, context.DeadlineExceeded) || rep.Cases != 0 || len(rep.Errors) != 0 {
			t.Errorf("error %v, %d cases, errors %v; want the deadline, and nothing scored", err, rep.Cases, rep.Errors)
		}
	})
}

// The report of any cases does not depend on their order, keeps every rate within 0 and
// 1, and every interval around its rate.
func TestReportProperties(t *testing.T) {
	types := rapid.SampledFrom(evalforge.FailureTypes())
	agents := rapid.SampledFrom([]string{"planner", "Coder", "critic "})
	// Sums of these depend on their order in the last digits.
	confidence := rapid.Map(rapid.IntRange(0, 97), func(n int) float64 { return float64(n) / 97 })
	label := rapid.SampledFrom([]string{"a label", "A-Label", "another label"})
	rapid.Check(t, func(t *rapid.T) {
		x := answers{}
		var cases []Case
		for i := range rapid.IntRange(0, 20).Draw(t, "n") {
			id := fmt.Sprint(i)
			e := Expected{FailureTypes: rapid.SliceOfN(rapid.Map(types, func(f evalforge.FailureType) string { return string(f) }), 0, 3).Draw(t, "types"),
				TriggerConditions: rapid.SliceOfN(label, 0, 2).Draw(t, "triggers"),
				FailingSteps:      rapid.SliceOfN(rapid.IntRange(0, 12), 0, 2).Draw(t, "steps"),
				Agents:            rapid.SliceOfN(agents, 0, 2).Draw(t, "agents")}
			if rapid.Bool().Draw(t, "labelled") {
				e.IsFailure = ptr(rapid.Bool().Draw(t, "failure"))
			}
			cases = append(cases, newCase(id, e))
			if rapid.IntRange(0, 5).Draw(t, "fails") == 0 {
				continue
			}
			var step *evalforge.FailingStep
			if rapid.Bool().Draw(t, "step") {
				step = &evalforge.FailingStep{Index: rapid.IntRange(0, 12).Draw(t, "index"), Agent: agents.Draw(t, "agent")}
			}
			x[id] = analysis(types.Draw(t, "type"), label.Draw(t, "trigger"), confidence.Draw(t, "confidence"), step,
				rapid.SliceOfN(rapid.Bool(), 0, 3).Draw(t, "quotes")...)
		}
		rep, err := Run(context.Background(), sequence(cases), x, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(rep); err != nil {
			t.Fatalf("report is not JSON: %v", err)
		}
		shuffled, err := Run(context.Background(), sequence(rapid.Permutation(cases).Draw(t, "order")), x, Options{Concurrency: 3})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rep, shuffled); diff != "" {
			t.Errorf("another order gives another report:\n%s", diff)
		}
		fs := rep.FailingStep
		for _, s := range []Score{rep.FailureType, rep.TriggerCondition, rep.Agent, {fs.Scored, fs.Correct, fs.Accuracy, fs.CI95}} {
			if (s.Scored == 0) != (s.Accuracy == nil) || (s.Scored == 0) != (s.CI95 == nil) {
				t.Errorf("rates and scored cases disagree: %+v", s)
			}
			if s.Scored > 0 && !(0 <= s.CI95[0] && s.CI95[0] <= *s.Accuracy && *s.Accuracy <= s.CI95[1] && s.CI95[1] <= 1) {
				t.Errorf("accuracy %v outside of its interval %v", *s.Accuracy, *s.CI95)
			}
		}
		c, tr := rep.Calibration, rep.Trivial
		for i, p := range []*float64{fs.Within3, rep.FalseAlarms.Rate, c.ECE, c.MeanConfidenceCorrect, c.MeanConfidenceIncorrect,
			c.CorrectAt08, tr.AlwaysFirstStep, tr.AlwaysLastStep, tr.MajorityType, tr.MajorityAgent} {
			if p != nil && !(0 <= *p && *p <= 1+1e-12) {
				t.Errorf("rate %d is %v, which is not within 0 and 1", i, *p)
			}
		}
		if fs.Scored > 0 && *fs.Within3 < *fs.Accuracy {
			t.Errorf("within3 %v is less than accuracy %v", *fs.Within3, *fs.Accuracy)
		}
	})
}

// moved extracts patterns whose confidence was moved from a given number, and that lost
// three quotes each.
type moved struct {
	answers
	given map[string]float64
}

func (m moved) Extract(ctx context.Context, raw evalforge.RawTrace) (extract.Extraction, error) {
	x, err := m.answers.Extract(ctx, raw)
	x.Pattern.Provenance.ModelConfidence = ptr(m.given[raw.TraceID])
	x.Pattern.Provenance.QuotesDropped = 3
	return x, err
}

// What the engine made of the analyzers' own numbers is told apart from them.
func TestCalibrationBeforeAndAfter(t *testing.T) {
	x := moved{answers{"1": analysis("wrong_tool", "x", 0.6, nil), "2": analysis("wrong_tool", "x", 0.2, nil)}, map[string]float64{"1": 0.8, "2": 1}}
	rep, err := Run(t.Context(), sequence([]Case{
		newCase("1", Expected{IsFailure: ptr(true), FailureTypes: []string{"wrong_tool"}}),
		newCase("2", Expected{IsFailure: ptr(true), FailureTypes: []string{"toxicity"}}),
	}), x, Options{})
	if err != nil {
		t.Fatal(err)
	}
	near := func(name string, got *float64, want float64) {
		if got == nil || math.Abs(*got-want) > 1e-12 {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	near("ece", rep.Calibration.ECE, (0.4+0.2)/2)
	near("ece given", rep.CalibrationGiven.ECE, (0.2+1)/2)
	near("brier", rep.Calibration.Brier, (0.16+0.04)/2)
	near("brier given", rep.CalibrationGiven.Brier, (0.04+1)/2)
	if rep.Evidence.Quotes != 6 || rep.Evidence.Verified != 0 {
		t.Errorf("evidence = %+v, want the dropped quotes counted", rep.Evidence)
	}
	var b strings.Builder
	if err := WriteTable(&b, &rep); err != nil {
		t.Fatal(err)
	}
	if want := "As the analyzer gave it, it was off by 0.60; the mean squared error went from 0.520 to 0.100."; !strings.Contains(b.String(), want) {
		t.Errorf("table without %q:\n%s", want, b.String())
	}
}
