package extract

import (
	"encoding/json"
	"reflect"

	"github.com/evalforge/evalforge"
)

// A Change is a field in which two patterns differ.
type Change struct {
	Field  string `json:"field"` // as stored
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// Diff lists the fields of the analyses in which two patterns of a trace differ, the
// judgement first and the prose last.
func Diff(before, after *evalforge.Pattern) []Change {
	b, a := fields(before), fields(after)
	changes := []Change{}
	for _, name := range []string{"failure_type", "trigger_condition", "severity", "confidence", "failing_step", "title", "summary",
		"root_cause_hypothesis", "evidence", "recommended_actions", "reproduction_context", "confidence_rationale"} {
		if !reflect.DeepEqual(b[name], a[name]) {
			changes = append(changes, Change{name, b[name], a[name]})
		}
	}
	return changes
}

// fields returns an analysis as JSON values.
func fields(p *evalforge.Pattern) map[string]any {
	var m map[string]any
	// An analysis always encodes, and what it encodes to decodes.
	if text, err := json.Marshal(p.Analysis); err == nil {
		_ = json.Unmarshal(text, &m)
	}
	return m
}
