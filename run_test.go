package evalforge

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRunAddsUp(t *testing.T) {
	r := Run{PickedUpCount: 6, NotStartedCount: 1}
	for _, o := range Outcomes() {
		r.Count(TraceOutcome{SourceTraceID: string(o), Status: o})
	}
	if err := r.Check(); err != nil {
		t.Errorf("a run that adds up is refused: %v", err)
	}
	if got := r.FailedCount(); got != 3 {
		t.Errorf("FailedCount = %d, want 3", got)
	}
	r.PickedUpCount++
	if r.Check() == nil {
		t.Error("a run that lost a trace is accepted")
	}
}

func TestRunSummaryIsTheHTTPContract(t *testing.T) {
	id := "pattern_a"
	r := Run{RunID: "run_20260102_030405_00000000", TraceOutcomes: []TraceOutcome{{SourceTraceID: "a", Status: Stored, PatternID: &id}}}
	b, err := json.Marshal(r.Summary())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"runId":`, `"pickedUpCount":0`, `"validationFailedCount":0`, `"timedOutCount":0`, `"notStartedCount":0`,
		`"throttled":false`, `"throttleReason":""`, `"costUsd":0`, `"tokens":{"prompt":0,"cached":0,"output":0}`, `"redactions":{}`,
		`"traceOutcomes":[{"sourceTraceId":"a","status":"stored","patternId":"pattern_a","errorReason":null}]`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the summary has no %s:\n%s", want, b)
		}
	}
}
