package prompts

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/evalforge/evalforge"
)

// The examples teach by imitation, so each answer must be what the engine would store:
// valid against the schema and the validation rules, with a label of the vocabulary,
// and with quotes that stand verbatim in the step they name.
func TestExamplesAreIdeal(t *testing.T) {
	schema, err := evalforge.AnalysisSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(Examples()); n < 3 || n > 4 {
		t.Errorf("%d examples, want 3 or 4", n)
	}
	for i, e := range Examples() {
		var instance any
		if err := json.Unmarshal(e.Answer, &instance); err != nil {
			t.Fatalf("example %d: %v", i, err)
		}
		if err := schema.Validate(instance); err != nil {
			t.Errorf("example %d: schema: %v", i, err)
		}
		var a evalforge.Analysis
		d := json.NewDecoder(bytes.NewReader(e.Answer))
		d.DisallowUnknownFields()
		if err := d.Decode(&a); err != nil {
			t.Fatalf("example %d: %v", i, err)
		}
		if err := a.Validate(); err != nil {
			t.Errorf("example %d: %v", i, err)
		}
		cond, ft, ok := ConditionFor(a.TriggerCondition)
		if !ok || ft != a.FailureType || cond.Label != a.TriggerCondition {
			t.Errorf("example %d: trigger condition %q is not a label of %s", i, a.TriggerCondition, a.FailureType)
		}
		steps := stepTexts(t, e.Trace)
		if f := a.FailingStep; f != nil && steps[f.Index] == "" {
			t.Errorf("example %d: failing step %d does not exist", i, f.Index)
		}
		for _, r := range a.Evidence.Refs {
			if r.Step == nil || !strings.Contains(steps[*r.Step], r.Quote) || len(r.Quote) < 8 {
				t.Errorf("example %d: quote %q does not stand in its step", i, r.Quote)
			}
		}
		if x := a.Evidence.Excerpt; x != nil && !strings.Contains(string(e.Trace), *x) {
			t.Errorf("example %d: excerpt %q does not stand in the trace", i, *x)
		}
	}
}

// stepTexts returns the JSON of each step by its index.
func stepTexts(t *testing.T, raw json.RawMessage) map[int]string {
	t.Helper()
	var tr struct {
		Steps []json.RawMessage `json:"steps"`
	}
	if err := json.Unmarshal(raw, &tr); err != nil {
		t.Fatal(err)
	}
	out := map[int]string{}
	for _, s := range tr.Steps {
		var step struct {
			I *int `json:"i"`
		}
		if err := json.Unmarshal(s, &step); err != nil {
			t.Fatalf("step %s: %v", s, err)
		}
		if step.I != nil { // a note on omitted steps has none
			out[*step.I] = string(s)
		}
	}
	return out
}

func TestRequestHasEachPlaceOnceAndTheTraceLast(t *testing.T) {
	r := Request()
	for place, want := range map[string]int{"{{marker}}": 5, "{{hints}}": 1, "{{trace}}": 1} {
		if got := strings.Count(r, place); got != want {
			t.Errorf("request.md has %s %d times, want %d", place, got, want)
		}
	}
	if strings.Index(r, "{{hints}}") > strings.Index(r, "{{trace}}") {
		t.Error("request.md: the trace must come last")
	}
	if rest := r[strings.Index(r, "{{trace}}"):]; strings.Count(rest, "\n") != 2 {
		t.Errorf("request.md: more than the end line follows the trace: %q", rest)
	}
}

// Caching and provenance both need the same bytes each time.
func TestVersionIsStableAndCoversEveryFile(t *testing.T) {
	if Version() != version() || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(Version()) {
		t.Errorf("Version() = %q", Version())
	}
	all := strings.Join(names(), " ")
	for _, want := range []string{"system.md", "request.md", "categories.json", "examples/1-invented-argument.json"} {
		if !strings.Contains(all, want) {
			t.Errorf("Version does not cover %s: %s", want, all)
		}
	}
}
