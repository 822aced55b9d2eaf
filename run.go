package evalforge

import "fmt"

// A Run is one document of the extraction_runs collection: what one extraction run did.
// The document id is RunID.
type Run struct {
	RunID      string    `json:"run_id"`
	StartedAt  Timestamp `json:"started_at"`
	FinishedAt Timestamp `json:"finished_at"`
	// TriggeredBy is Scheduled or Manual.
	TriggeredBy Trigger `json:"triggered_by"`
	BatchSize   int     `json:"batch_size"`
	DryRun      bool    `json:"dry_run,omitempty"` // such a run is never stored
	// Delivery is the request that a run answered whose caller may send it again, or zero.
	Delivery Delivery `json:"delivery,omitzero"`

	PickedUpCount         int `json:"picked_up_count"`
	StoredCount           int `json:"stored_count"`
	SkippedCount          int `json:"skipped_count"`
	ValidationFailedCount int `json:"validation_failed_count"`
	ErrorCount            int `json:"error_count"`
	TimedOutCount         int `json:"timed_out_count"`
	NotStartedCount       int `json:"not_started_count"` // picked up, then released unfinished by a shutdown or a budget

	Throttled      bool   `json:"throttled"`       // the run ended before its batch was done
	ThrottleReason string `json:"throttle_reason"` // why, or ""

	Analyzer string  `json:"analyzer"`
	Model    string  `json:"model"`
	CostUSD  float64 `json:"cost_usd"`
	// UnsureCostUSD is what calls whose usage nobody reported may have cost beyond CostUSD
	// at most: calls that were cancelled, or broke off.
	UnsureCostUSD float64        `json:"unsure_cost_usd,omitempty"`
	Tokens        Tokens         `json:"tokens"`
	Redactions    map[string]int `json:"redactions"` // values replaced, by kind

	TraceOutcomes []TraceOutcome `json:"trace_outcomes"`

	// WouldProcess lists, after a dry run, the traces that a run would have picked up.
	WouldProcess []string `json:"-"`
	// Estimate is what they would take, nil where the analyzer asks no model.
	Estimate *RunEstimate `json:"-"`
}

// A Delivery identifies a request that its caller may send more than once. Both are
// SHA-256 sums in hex, or both "".
type Delivery struct {
	Key   string `json:"key"`   // of who sends it, and under which key
	Asked string `json:"asked"` // of what it asks for
}

// A RunEstimate is what a run would take, by the sizes of its traces. No model is asked.
type RunEstimate struct {
	Calls   int     `json:"calls"`   // of the model, if each is answered at once
	Tokens  int64   `json:"tokens"`  // likely, prompts and answers
	CostUSD float64 `json:"costUsd"` // likely
	// MostCostUSD is the worst case of these calls, as budgets reserve it, if each is answered
	// at once: an answer that is cut off or refused is asked for again.
	MostCostUSD float64 `json:"mostCostUsd"`
}

// A TraceOutcome is how one trace ended in a run.
type TraceOutcome struct {
	SourceTraceID string  `json:"source_trace_id"`
	Status        Outcome `json:"status"`
	PatternID     *string `json:"pattern_id"`
	ErrorReason   *string `json:"error_reason"`

	StartedAt Timestamp `json:"started_at,omitzero"` // when the run claimed it
	ElapsedMS int64     `json:"elapsed_ms,omitempty"`
	Stages    Stages    `json:"stages,omitzero"`
	CostUSD   float64   `json:"cost_usd,omitempty"` // what this run paid for it
	// DerivedFrom is the trace whose kept answer the pattern repeats, or "".
	DerivedFrom string `json:"derived_from,omitempty"`
}

// Stages is how long the steps of one trace's extraction took, in milliseconds. What a
// trace waited for its turn within quotas is in none of them.
type Stages struct {
	Prepare int64 `json:"prepare"` // decode, redact, compact, find signals
	Analyze int64 `json:"analyze"` // the analyzer, with all its attempts
	Finish  int64 `json:"finish"`  // validate, verify, redact
	Commit  int64 `json:"commit"`  // the store
}

// Count adds an outcome to the run's record.
func (r *Run) Count(o TraceOutcome) {
	switch o.Status {
	case Stored:
		r.StoredCount++
	case Skipped:
		r.SkippedCount++
	case ValidationFailed:
		r.ValidationFailedCount++
	case Errored:
		r.ErrorCount++
	case TimedOut:
		r.TimedOutCount++
	}
	r.TraceOutcomes = append(r.TraceOutcomes, o)
}

// FailedCount is the number of traces that did not end as they should.
func (r *Run) FailedCount() int { return r.ValidationFailedCount + r.ErrorCount + r.TimedOutCount }

// Check reports a run whose counts do not add up.
func (r *Run) Check() error {
	sum := r.StoredCount + r.SkippedCount + r.ValidationFailedCount + r.ErrorCount + r.TimedOutCount
	if got := sum + r.NotStartedCount; got != r.PickedUpCount {
		return fmt.Errorf("run %s: picked up %d traces, but its outcomes add up to %d", r.RunID, r.PickedUpCount, got)
	}
	if len(r.TraceOutcomes) != sum {
		return fmt.Errorf("run %s: %d outcomes counted, %d listed", r.RunID, sum, len(r.TraceOutcomes))
	}
	return nil
}

// A RunSummary is a [Run] in the camelCase of the HTTP contract, as answered by the
// run trigger and printed by "evalforge run -o json".
type RunSummary struct {
	RunID                 string         `json:"runId"`
	StartedAt             Timestamp      `json:"startedAt"`
	FinishedAt            Timestamp      `json:"finishedAt"`
	TriggeredBy           Trigger        `json:"triggeredBy"`
	BatchSize             int            `json:"batchSize"`
	DryRun                bool           `json:"dryRun"`
	PickedUpCount         int            `json:"pickedUpCount"`
	StoredCount           int            `json:"storedCount"`
	SkippedCount          int            `json:"skippedCount"`
	ValidationFailedCount int            `json:"validationFailedCount"`
	ErrorCount            int            `json:"errorCount"`
	TimedOutCount         int            `json:"timedOutCount"`
	NotStartedCount       int            `json:"notStartedCount"`
	Throttled             bool           `json:"throttled"`
	ThrottleReason        string         `json:"throttleReason"`
	Analyzer              string         `json:"analyzer"`
	Model                 string         `json:"model"`
	CostUSD               float64        `json:"costUsd"`
	UnsureCostUSD         float64        `json:"unsureCostUsd,omitempty"`
	Tokens                Tokens         `json:"tokens"`
	Redactions            map[string]int `json:"redactions"`

	TraceOutcomes []TraceOutcomeSummary `json:"traceOutcomes"`
	WouldProcess  []string              `json:"wouldProcess,omitempty"` // after a dry run
	Estimate      *RunEstimate          `json:"estimate,omitempty"`     // after a dry run
}

// A TraceOutcomeSummary is a [TraceOutcome] in camelCase.
type TraceOutcomeSummary struct {
	SourceTraceID string  `json:"sourceTraceId"`
	Status        Outcome `json:"status"`
	PatternID     *string `json:"patternId"`
	ErrorReason   *string `json:"errorReason"`

	StartedAt Timestamp `json:"startedAt,omitzero"`
	ElapsedMS int64     `json:"elapsedMs,omitempty"`
	Stages    Stages    `json:"stages,omitzero"`
	CostUSD   float64   `json:"costUsd,omitempty"`

	DerivedFrom string `json:"derivedFrom,omitempty"`
}

// Summary returns r in the camelCase form. Lists and maps are never nil in it.
func (r *Run) Summary() RunSummary {
	s := RunSummary{
		RunID: r.RunID, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt, TriggeredBy: r.TriggeredBy,
		BatchSize: r.BatchSize, DryRun: r.DryRun, PickedUpCount: r.PickedUpCount, StoredCount: r.StoredCount,
		SkippedCount: r.SkippedCount, ValidationFailedCount: r.ValidationFailedCount, ErrorCount: r.ErrorCount,
		TimedOutCount: r.TimedOutCount, NotStartedCount: r.NotStartedCount, Throttled: r.Throttled,
		ThrottleReason: r.ThrottleReason, Analyzer: r.Analyzer, Model: r.Model, CostUSD: r.CostUSD, UnsureCostUSD: r.UnsureCostUSD,
		Tokens: r.Tokens, Redactions: r.Redactions, WouldProcess: r.WouldProcess, Estimate: r.Estimate,
		TraceOutcomes: make([]TraceOutcomeSummary, 0, len(r.TraceOutcomes)),
	}
	if s.Redactions == nil {
		s.Redactions = map[string]int{}
	}
	for _, o := range r.TraceOutcomes {
		s.TraceOutcomes = append(s.TraceOutcomes, TraceOutcomeSummary(o))
	}
	return s
}

// An ExtractionError is one document of the extraction_errors collection: why a trace
// did not become a pattern in a run. All text in it is redacted. The document id is [ExtractionError.ID].
type ExtractionError struct {
	RunID         string    `json:"run_id"`
	SourceTraceID string    `json:"source_trace_id"`
	ErrorType     ErrorType `json:"error_type"`
	ErrorMessage  string    `json:"error_message"`
	RecordedAt    Timestamp `json:"recorded_at"`
	// ModelResponseSHA256 identifies the answer that was refused, if there was one;
	// ModelResponseExcerpt is its redacted beginning, at most 200 characters.
	ModelResponseSHA256  string `json:"model_response_sha256,omitempty"`
	ModelResponseExcerpt string `json:"model_response_excerpt,omitempty"`
}

// ID returns the document id, "{run_id}:{source_trace_id}".
func (e *ExtractionError) ID() string { return e.RunID + ":" + e.SourceTraceID }
