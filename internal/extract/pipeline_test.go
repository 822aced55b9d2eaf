package extract_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/trace"
)

// extractOne runs one trace through a pipeline whose analyzer answers a.
func extractOne(t *testing.T, a *extract.Answer) (evalforge.Pattern, error) {
	t.Helper()
	p := &extract.Pipeline{Analyzer: answering(a), Redactor: redactor(t), Now: time.Now}
	x, err := p.Extract(t.Context(), rawTrace("t1", 0))
	return x.Pattern, err
}

func TestEvidenceIsCheckedAgainstWhatWasSent(t *testing.T) {
	step := func(n int) *int { return &n }
	ref := func(n *int, q string) evalforge.EvidenceRef { return evalforge.EvidenceRef{Step: n, Quote: q} }
	tests := []struct {
		name    string
		refs    []evalforge.EvidenceRef
		excerpt string
		kind    extract.Kind // of the error, or ""
		match   []string
		steps   []int // -1 for null
		lower   bool  // confidence falls
	}{
		{name: "exact", refs: []evalforge.EvidenceRef{ref(step(1), "the catalog service answered 503")}, match: []string{"exact"}, steps: []int{1}},
		{name: "white space differs", refs: []evalforge.EvidenceRef{ref(step(1), "the catalog\n service  answered 503")}, match: []string{"whitespace"}, steps: []int{1}},
		{name: "attributed to the wrong step", refs: []evalforge.EvidenceRef{ref(step(0), "the catalog service answered 503")}, match: []string{"exact"}, steps: []int{1}},
		{name: "step does not exist", refs: []evalforge.EvidenceRef{ref(step(77), "the catalog service answered 503")}, match: []string{"exact"}, steps: []int{1}},
		{name: "one of two is invented", refs: []evalforge.EvidenceRef{ref(step(1), "the catalog service answered 503"), ref(step(1), "the disk of the server is full")},
			match: []string{"exact"}, steps: []int{1}, lower: true},
		{name: "all invented", refs: []evalforge.EvidenceRef{ref(step(1), "the disk of the server is full")}, kind: extract.KindEvidence},
		{name: "invented excerpt alone", excerpt: "the disk of the server is full", kind: extract.KindEvidence},
		{name: "too short to mean anything", refs: []evalforge.EvidenceRef{ref(step(1), "503")}, kind: extract.KindEvidence},
		{name: "no quote at all", match: nil, lower: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good()
			a.Analysis.Evidence.Refs, a.Analysis.Evidence.Excerpt = tt.refs, nil
			if tt.excerpt != "" {
				a.Analysis.Evidence.Excerpt = &tt.excerpt
			}
			p, err := extractOne(t, a)
			if tt.kind != "" {
				if got := extract.KindOf(err); err == nil || got != tt.kind {
					t.Fatalf("got %v (%s), want kind %s", err, got, tt.kind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var match []string
			var steps []int
			for _, r := range p.Evidence.Refs {
				match = append(match, r.Match)
				n := -1
				if r.Step != nil {
					n = *r.Step
				}
				steps = append(steps, n)
				if r.Verified != (r.Match != "absent") {
					t.Errorf("verified=%v with match %s", r.Verified, r.Match)
				}
			}
			if diff := cmp.Diff(tt.match, match); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.steps, steps); diff != "" {
				t.Error(diff)
			}
			if lowered := p.Confidence < 0.9; lowered != tt.lower {
				t.Errorf("confidence %v, lowered %v, want %v", p.Confidence, lowered, tt.lower)
			}
		})
	}
}

func TestModelCannotVouchForItsOwnEvidence(t *testing.T) {
	a := good()
	a.Analysis.Evidence.Excerpt = nil
	a.Analysis.Evidence.Refs = append(a.Analysis.Evidence.Refs, evalforge.EvidenceRef{Quote: "an invented passage", Verified: true, Match: "exact", SpanID: "x"})
	p, err := extractOne(t, a)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Evidence.Refs); n != 1 || p.Provenance.QuotesDropped != 1 {
		t.Errorf("%d quotes are stored and %d counted as dropped, want one each: %+v", n, p.Provenance.QuotesDropped, p.Evidence.Refs)
	}
}

func TestFailingStepIsTakenFromTheTrace(t *testing.T) {
	a := good()
	a.Analysis.FailingStep = &evalforge.FailingStep{Index: 1, Name: "invented", SpanID: "invented", Agent: "invented"}
	p, err := extractOne(t, a)
	if err != nil {
		t.Fatal(err)
	}
	if f := p.FailingStep; f == nil || f.Index != 1 || f.Name == "invented" || f.SpanID != "" || f.Agent == "invented" {
		t.Errorf("failing step = %+v", f)
	}
	a.Analysis.FailingStep = &evalforge.FailingStep{Index: 99}
	if p, err = extractOne(t, a); err != nil || p.FailingStep != nil || p.Confidence >= 0.9 {
		t.Errorf("a step that does not exist: %+v, confidence %v, %v; want null and less confidence", p.FailingStep, p.Confidence, err)
	}
}

// Every field of an answer passes the redactor.
func TestAnswerIsRedacted(t *testing.T) {
	const canary = "jo.doe@example.com"
	a := good()
	x := &a.Analysis
	with := func(s string) string { return s + " " + canary }
	x.Title, x.Summary, x.RootCauseHypothesis, x.ConfidenceRationale = with(x.Title), with(x.Summary), with(x.RootCauseHypothesis), with(x.ConfidenceRationale)
	x.Evidence.Signals = []string{with("a signal")}
	x.RecommendedActions = []string{with("an action")}
	state := with("some state")
	x.ReproductionContext = evalforge.ReproductionContext{InputPattern: with("input"), RequiredState: &state, ToolsInvolved: []string{}}
	p, err := extractOne(t, a)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), canary) {
		t.Errorf("a canary survives in the pattern:\n%s", b)
	}
	if n := strings.Count(string(b), "[REDACTED:EMAIL:"); n != 8 {
		t.Errorf("%d placeholders, want 8:\n%s", n, b)
	}
}

func TestAnswerThatBreaksTheRulesIsRefused(t *testing.T) {
	for name, breakIt := range map[string]func(*evalforge.Analysis){
		"title":               func(a *evalforge.Analysis) { a.Title = " " },
		"failure_type":        func(a *evalforge.Analysis) { a.FailureType = "timeout" },
		"evidence.signals":    func(a *evalforge.Analysis) { a.Evidence.Signals = nil },
		"recommended_actions": func(a *evalforge.Analysis) { a.RecommendedActions = []string{} },
		"confidence":          func(a *evalforge.Analysis) { a.Confidence = 2 },
		"input_pattern":       func(a *evalforge.Analysis) { a.ReproductionContext.InputPattern = "" },
		"trigger_condition":   func(a *evalforge.Analysis) { a.TriggerCondition = "4711" },
	} {
		a := good()
		a.Raw = []byte("raw answer")
		breakIt(&a.Analysis)
		_, err := extractOne(t, a)
		var e *extract.Error
		if !errors.As(err, &e) || e.Kind != extract.KindSchema || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want a schema error naming the field", name, err)
			continue
		}
		if e.Spent.CostUSD != 0.5 || !e.Final || string(e.Response) != "raw answer" {
			t.Errorf("%s: the error carries cost %v, response %q and final %v; want both calls', the answer's and true", name, e.Spent.CostUSD, e.Response, e.Final)
		}
	}
}

func TestLabelsLoseTheTracesNumbers(t *testing.T) {
	a := good()
	a.Analysis.TriggerCondition = "  order 4711 lookup   fails "
	p, err := extractOne(t, a)
	if err != nil || p.TriggerCondition != "order lookup fails" {
		t.Errorf("trigger condition = %q, %v", p.TriggerCondition, err)
	}
}

func TestPrepareRedactsBeforeAnythingElse(t *testing.T) {
	raw := rawTrace("t1", 0)
	raw.Payload = json.RawMessage(`{"messages":[{"role":"user","content":"I am jo.doe@example.com, card 4111 1111 1111 1111"},{"role":"assistant","content":"Noted."}]}`)
	raw.FailureType = "mail jo.doe@example.com"
	p := &extract.Pipeline{Analyzer: answering(good()), Redactor: redactor(t), Now: time.Now}
	in, err := p.Prepare(raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{"compacted": string(in.Compacted.JSON), "hint": in.FailureType, "message": in.Trace.Messages[0].Text} {
		if strings.Contains(s, "jo.doe") || strings.Contains(s, "4111") {
			t.Errorf("%s is not redacted: %s", name, s)
		}
	}
	if got := in.Redactions.Total(); got != 2 {
		t.Errorf("%d redactions counted, want the two of the payload", got)
	}
	if len(in.Compacted.JSON) > trace.MaxBytes {
		t.Errorf("%d bytes are sent", len(in.Compacted.JSON))
	}
}

func TestFingerprintGroupsRecurrences(t *testing.T) {
	a := good().Analysis
	a.FailingStep = &evalforge.FailingStep{Name: "lookup-17", Agent: "worker"}
	b := a
	b.Title, b.Summary, b.Confidence = "other words", "other", 0.2
	b.TriggerCondition = "Dependency  Unavailable."
	b.FailingStep = &evalforge.FailingStep{Name: "lookup-18", Agent: "worker", Index: 9}
	if extract.Fingerprint(&a) != extract.Fingerprint(&b) {
		t.Error("the same failure of two traces has two fingerprints")
	}
	b.FailingStep = &evalforge.FailingStep{Name: "search", Agent: "worker"}
	if extract.Fingerprint(&a) == extract.Fingerprint(&b) {
		t.Error("failures of two steps have one fingerprint")
	}
}

func TestDeadlineBeatsWhateverTheAnalyzerMadeOfIt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	p := &extract.Pipeline{Analyzer: failing(errors.New("connection broke")), Redactor: redactor(t), Now: time.Now}
	if _, err := p.Extract(ctx, rawTrace("t1", 0)); extract.KindOf(err) != extract.KindTimeout {
		t.Errorf("got %v, want a timeout", err)
	}
}
