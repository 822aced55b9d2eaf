package evalforge

import (
	"fmt"
	"slices"
	"strings"
)

// A FailureType is the category of a failure pattern. It is stored as a string, so
// stored values are immune to renumbering; the values are shared with the services
// that read the pattern collection.
type FailureType string

// The failure types. The first eight are what downstream services know; Other is the
// honest answer where none of them fits.
const (
	Hallucination       FailureType = "hallucination"
	Toxicity            FailureType = "toxicity"
	WrongTool           FailureType = "wrong_tool"
	RunawayLoop         FailureType = "runaway_loop"
	PIILeak             FailureType = "pii_leak"
	StaleData           FailureType = "stale_data"
	InfrastructureError FailureType = "infrastructure_error"
	ClientError         FailureType = "client_error"
	Other               FailureType = "other"
)

// FailureTypes returns every failure type in its documented order.
func FailureTypes() []FailureType {
	return []FailureType{Hallucination, Toxicity, WrongTool, RunawayLoop, PIILeak,
		StaleData, InfrastructureError, ClientError, Other}
}

// Validate reports a value that is none of [FailureTypes].
func (f FailureType) Validate() error { return oneOf("failure_type", f, FailureTypes()) }

// A Severity says how much a failure matters to the users of the failing application.
type Severity string

// The severities, least first.
const (
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities returns every severity, least first.
func Severities() []Severity { return []Severity{Low, Medium, High, Critical} }

// Validate reports a value that is none of [Severities].
func (s Severity) Validate() error { return oneOf("severity", s, Severities()) }

// An Outcome is how one picked-up trace ended in one run. Each picked-up trace has
// exactly one.
type Outcome string

// The outcomes.
const (
	Stored           Outcome = "stored"            // a pattern was committed
	Skipped          Outcome = "skipped"           // nothing to analyze, or unchanged since its pattern
	ValidationFailed Outcome = "validation_failed" // the answer broke the schema, or its evidence did not hold
	Errored          Outcome = "error"             // the model or the store failed
	TimedOut         Outcome = "timed_out"         // the trace's time budget ran out
)

// Outcomes returns every outcome.
func Outcomes() []Outcome {
	return []Outcome{Stored, Skipped, ValidationFailed, Errored, TimedOut}
}

// Validate reports a value that is none of [Outcomes].
func (o Outcome) Validate() error { return oneOf("status", o, Outcomes()) }

// An ErrorType classifies a document in the extraction_errors collection.
type ErrorType string

// The error types. VertexError keeps its historic name for every failure of the
// model's service, whichever backend answered.
const (
	InvalidJSON      ErrorType = "invalid_json"
	SchemaValidation ErrorType = "schema_validation"
	VertexError      ErrorType = "vertex_error"
	Timeout          ErrorType = "timeout"
	Oversize         ErrorType = "oversize"
	Unknown          ErrorType = "unknown"
)

// ErrorTypes returns every error type.
func ErrorTypes() []ErrorType {
	return []ErrorType{InvalidJSON, SchemaValidation, VertexError, Timeout, Oversize, Unknown}
}

// Validate reports a value that is none of [ErrorTypes].
func (e ErrorType) Validate() error { return oneOf("error_type", e, ErrorTypes()) }

// A Trigger says what started a run.
type Trigger string

// The triggers.
const (
	Scheduled Trigger = "scheduled"
	Manual    Trigger = "manual"
)

// ParseTrigger reads a trigger as callers send it: "scheduled", "manual", and
// "cloud-scheduler", which deployed schedulers send and which means scheduled.
// The empty string is Manual.
func ParseTrigger(s string) (Trigger, error) {
	switch s {
	case "", string(Manual):
		return Manual, nil
	case string(Scheduled), "cloud-scheduler":
		return Scheduled, nil
	}
	return "", fmt.Errorf("triggeredBy: %q is none of scheduled, manual, cloud-scheduler", s)
}

// Validate reports a value that is neither Scheduled nor Manual.
func (t Trigger) Validate() error { return oneOf("triggered_by", t, []Trigger{Scheduled, Manual}) }

func oneOf[T ~string](field string, v T, all []T) error {
	if slices.Contains(all, v) {
		return nil
	}
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = string(a)
	}
	return &FieldError{Field: field, Problem: fmt.Sprintf("%.60q is none of %s", string(v), strings.Join(names, ", "))}
}
