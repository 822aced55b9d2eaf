package extract

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/signal"
)

func TestConfidence(t *testing.T) {
	toolError := signal.Signal{Name: "tool_error", FailureType: evalforge.InfrastructureError, Weight: 0.8}
	loop := signal.Signal{Name: "tool_loop", FailureType: evalforge.RunawayLoop, Weight: 0.9}
	weak := signal.Signal{Name: "hedge", FailureType: evalforge.Hallucination, Weight: 0.3}
	quoted := finding{quotes: 2, verified: 2, proof: 2}
	tests := []struct {
		name  string
		w     weighing
		want  float64
		moved []string
	}{
		{"nothing speaks against it", weighing{given: 0.8, failureType: evalforge.InfrastructureError, finding: quoted}, 0.8, nil},
		{"signals agree", weighing{given: 0.6, failureType: evalforge.InfrastructureError, finding: quoted, signals: []signal.Signal{toolError}}, 0.68, []string{"signals"}},
		{"signals contradict", weighing{given: 0.9, failureType: evalforge.Hallucination, finding: quoted, signals: []signal.Signal{loop}}, 0.63, []string{"signals"}},
		{"signals contradict no failure", weighing{given: 1, failureType: evalforge.Other, label: signal.CondNoError, finding: quoted, signals: []signal.Signal{loop}}, 0.4, []string{"signals", "no_failure"}},
		{"a weak signal contradicts nothing", weighing{given: 0.9, failureType: evalforge.WrongTool, finding: quoted, signals: []signal.Signal{weak}}, 0.9, nil},
		{"half of the quotes invented", weighing{given: 0.8, failureType: evalforge.WrongTool, finding: finding{quotes: 4, verified: 2, proof: 2}}, 0.7, []string{"evidence"}},
		{"no quote", weighing{given: 0.95, failureType: evalforge.WrongTool}, 0.4, []string{"evidence"}},
		{"no quote, though signals agree", weighing{given: 0.95, failureType: evalforge.RunawayLoop, signals: []signal.Signal{loop}}, 0.4, []string{"signals", "evidence"}},
		{"one short quote", weighing{given: 0.9, failureType: evalforge.WrongTool, finding: finding{quotes: 1, verified: 1, proof: 0.5}}, 0.675, []string{"evidence"}},
		{"one short quote, computed", weighing{given: 0.9, computed: true, failureType: evalforge.WrongTool, finding: finding{quotes: 1, verified: 1, proof: 0.5}}, 0.9, nil},
		{"only invented ones in prose", weighing{given: 0.9, failureType: evalforge.WrongTool, finding: finding{quotes: 2}}, 0.3, []string{"evidence", "evidence"}},
		{"the model is not sure at all", weighing{given: 0, failureType: evalforge.InfrastructureError, finding: quoted, signals: []signal.Signal{toolError}}, 0, nil},
		{"the model is hardly sure", weighing{given: 0.1, failureType: evalforge.InfrastructureError, finding: quoted, signals: []signal.Signal{toolError}}, 0.136, []string{"signals"}},
		{"no failure in other words", weighing{given: 0.95, failureType: evalforge.Other, label: "no detectable error", finding: quoted}, 0.4, []string{"no_failure"}},
		{"half was not sent", weighing{given: 0.8, failureType: evalforge.WrongTool, finding: quoted, missing: 0.5}, 0.72, []string{"cut"}},
		{"ended early, second try, no such step", weighing{given: 0.8, failureType: evalforge.WrongTool, finding: finding{quotes: 1, verified: 1, proof: 1, noStep: true}, finish: "MAX_TOKENS", repaired: KindSchema}, 0.486, []string{"finish", "repair", "step"}},
		{"certain", weighing{given: 1, failureType: evalforge.WrongTool, finding: quoted}, 0.97, []string{"bound"}},
		{"computed from the signals already", weighing{given: 0.97, computed: true, failureType: evalforge.InfrastructureError, finding: quoted, signals: []signal.Signal{toolError, loop}, missing: 0.9, opaque: true}, 0.97, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, moves := confidence(tt.w)
			if math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("confidence = %v, want %v (%+v)", got, tt.want, moves)
			}
			var names []string
			for _, m := range moves {
				names = append(names, m.Name)
			}
			if diff := cmp.Diff(tt.moved, names); diff != "" {
				t.Errorf("moved by (-want +got):\n%s", diff)
			}
		})
	}
}

// For anything that can be weighed: the result is a probability, the moves lead to it from
// the given number, and worse evidence never makes it higher.
func TestConfidenceIsBoundedAndMonotonic(t *testing.T) {
	types := evalforge.FailureTypes()
	rapid.Check(t, func(t *rapid.T) {
		sig := rapid.Custom(func(t *rapid.T) signal.Signal {
			return signal.Signal{Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"),
				FailureType: rapid.SampledFrom(types).Draw(t, "type"), Weight: rapid.Float64Range(0, 1).Draw(t, "weight")}
		})
		q := rapid.IntRange(0, 5).Draw(t, "quotes")
		w := weighing{
			given: rapid.Float64Range(0, 1).Draw(t, "given"), computed: rapid.Bool().Draw(t, "computed"),
			failureType: rapid.SampledFrom(types).Draw(t, "type"), label: rapid.SampledFrom([]string{signal.CondNoError, "x"}).Draw(t, "label"),
			finding: finding{quotes: q, verified: rapid.IntRange(min(q, 1), q).Draw(t, "verified"), proof: rapid.Float64Range(0, 5).Draw(t, "proof"), noStep: rapid.Bool().Draw(t, "no step")},
			signals: rapid.SliceOfN(sig, 0, 4).Draw(t, "signals"), missing: rapid.Float64Range(0, 1).Draw(t, "missing"),
			opaque: rapid.Bool().Draw(t, "opaque"), finish: rapid.SampledFrom([]string{"", "MAX_TOKENS"}).Draw(t, "finish"),
			repaired: rapid.SampledFrom([]Kind{"", KindSchema}).Draw(t, "repaired"),
		}
		got, moves := confidence(w)
		if !(got >= 0 && got <= 1) {
			t.Fatalf("confidence %v of %+v", got, w)
		}
		sum := w.given
		for _, m := range moves {
			sum += m.By
		}
		if math.Abs(sum-got) > 1e-3 {
			t.Fatalf("the moves lead from %v to %v, not to %v: %+v", w.given, sum, got, moves)
		}
		worse := w
		switch rapid.IntRange(0, 5).Draw(t, "worse") {
		case 0:
			worse.missing = min(1, w.missing+0.3)
		case 1:
			worse.finding.verified = max(min(q, 1), w.finding.verified-1)
		case 2:
			worse.finding.noStep = true
		case 3:
			worse.repaired = KindEvidence
		case 4:
			worse.given = w.given / 2
		case 5:
			worse.finding.proof = w.finding.proof / 2
		}
		if c, _ := confidence(worse); c > got+1e-9 {
			t.Fatalf("worse evidence gives %v, not at most %v: %+v, %+v", c, got, w, worse)
		}
	})
}

// However long a rationale is, what moved the confidence stands in it, within its bound.
func TestExplain(t *testing.T) {
	moves := []evalforge.ConfidenceMove{{Name: "evidence", By: -0.1, Reason: "1 of 2 quotes do not occur in the trace"}}
	for _, rationale := range []string{"Explicit.", strings.Repeat("ä", evalforge.MaxTextRunes), ""} {
		got := explain(rationale, 0.9, 0.8, moves)
		if n := utf8.RuneCountInString(got); n > evalforge.MaxTextRunes {
			t.Errorf("%d characters", n)
		}
		if want := " Stored as 0.80 instead of 0.90: 1 of 2 quotes do not occur in the trace (-0.10)."; !strings.HasSuffix(got, want) {
			t.Errorf("rationale %.200q does not end with %q", got, want)
		}
	}
	if got := explain("Explicit.", 0.9, 0.9, nil); got != "Explicit." {
		t.Errorf("without a move: %q", got)
	}
}

func TestLabelsThatDenyAFailure(t *testing.T) {
	for _, label := range []string{
		signal.CondNoError, "no detectable error", "no error", "No errors found in the trace", "nothing went wrong", "run completed as designed",
		"task completed successfully", "all good", "everything worked as expected", "without any issue", "normal operation", "success", "expected behavior",
	} {
		if !deniesFailure(label) {
			t.Errorf("%q claims a failure", label)
		}
	}
	for _, label := range []string{
		"agent reasoning or planning error", "no error handling in tool", "agent ended before the task was done", "expected output missing",
		"agent falsely reported that the task succeeded", "task not completed", "run completed without result", "no result found", "answer given without error message",
		"unsuccessful", "success reported too early", "tool error unnoticed",
	} {
		if deniesFailure(label) {
			t.Errorf("%q denies a failure", label)
		}
	}
}
