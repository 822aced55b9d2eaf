// Package eval scores extraction on labelled cases, so that the quality of an analyzer
// is a number and not an impression.
//
// [ReadCases] streams cases from JSON Lines, [Run] extracts a pattern for each and
// compares it with the labels, and [WriteTable] prints the [Report] for people. The
// report puts trivial answers ("always the first step") beside every score, because an
// accuracy means nothing without the one that takes no looking.
package eval

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/evalforge/evalforge"
)

// A Case is one trace with what is known about it.
type Case struct {
	ID       string
	Trace    evalforge.RawTrace
	Expected Expected
	// Source says where the case stands, as "file:line".
	Source string
}

// Expected are the labels of a case. Each list is a set of accepted answers; an absent
// or empty one means that this question is not scored. Only failures are scored on the
// lists: when IsFailure is false, the one question is whether a failure is claimed.
type Expected struct {
	// IsFailure is false for a run that succeeded; nil, like true, is a failure.
	IsFailure *bool `json:"is_failure,omitempty"`
	// FailureTypes and TriggerConditions are compared after [evalforge.NormalizeLabel].
	FailureTypes      []string `json:"failure_types,omitempty"`
	TriggerConditions []string `json:"trigger_conditions,omitempty"`
	// FailingSteps are indices as the source counts its messages, history entries or
	// spans, from 0; FailingSpans are span ids. A step named by either is right.
	FailingSteps []int    `json:"failing_steps,omitempty"`
	FailingSpans []string `json:"failing_spans,omitempty"`
	// Agents are compared without regard to case and surrounding space.
	Agents []string `json:"agents,omitempty"`
}

// negative reports whether the labels mark a run that succeeded.
func (e *Expected) negative() bool { return e.IsFailure != nil && !*e.IsFailure }

// validate reports a label that no answer can ever match, which is a slip of whoever
// wrote it: scored, it would count against the analyzer.
func (e *Expected) validate() error {
	if types := e.FailureTypes; len(types) > 0 && !slices.ContainsFunc(types, knownType) {
		return &evalforge.FieldError{Field: "expected.failure_types",
			Problem: fmt.Sprintf("none of the accepted answers is a failure type; use one of %s", typeNames())}
	}
	for _, list := range []struct {
		field string
		items []string
	}{
		{"expected.trigger_conditions", e.TriggerConditions},
		{"expected.failing_spans", e.FailingSpans},
		{"expected.agents", e.Agents},
	} {
		for i, s := range list.items {
			if strings.TrimSpace(s) == "" {
				return &evalforge.FieldError{Field: fmt.Sprintf("%s[%d]", list.field, i),
					Problem: "must not be blank; remove it, or leave the list out if nothing is known"}
			}
		}
	}
	for i, n := range e.FailingSteps {
		if n < 0 {
			return &evalforge.FieldError{Field: fmt.Sprintf("expected.failing_steps[%d]", i),
				Problem: "must not be negative; steps are counted from 0"}
		}
	}
	return nil
}

func knownType(s string) bool {
	return slices.ContainsFunc(evalforge.FailureTypes(), func(f evalforge.FailureType) bool {
		return sameLabel(string(f), s)
	})
}

func typeNames() string {
	var names []string
	for _, f := range evalforge.FailureTypes() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// caseLine is a case as it stands in a file.
type caseLine struct {
	ID string `json:"id"`
	// Trace is a raw-trace document or a trace in any format that import reads.
	Trace json.RawMessage `json:"trace"`
	// TraceFile names a file with the trace instead: JSON, JSON Lines or either gzipped,
	// by a path relative to the folder of the cases.
	TraceFile string          `json:"trace_file"`
	Expected  json.RawMessage `json:"expected"`
}
