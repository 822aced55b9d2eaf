// Package extract is the engine: what happens to one trace ([Pipeline]) and to one
// batch of them ([Engine]), with the two interfaces it needs, [Store] and [Analyzer].
package extract

import (
	"context"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

// An Analyzer turns one prepared trace into an analysis. It is used by many goroutines
// at once.
//
// Analyze returns within ctx's deadline, and cancels whatever it started when ctx is
// done. It retries transient faults itself, inside that deadline. Its errors are
// [*Error] where the kind is known. It does not redact, verify quotes or validate
// beyond what it needs to decode its answer: the engine does.
type Analyzer interface {
	// Name is "rules" or "gemini", as settings and provenance name it.
	Name() string
	// Model is the model that is asked for, or "".
	Model() string
	Analyze(ctx context.Context, in *Input) (*Answer, error)
}

// An Input is one trace, ready to be analyzed. Everything in it is redacted.
type Input struct {
	TraceID     string
	FailureType string // ingestion's hint, free text
	Severity    string // ingestion's hint, free text
	ServiceName string
	Trace       *trace.Trace
	// Compacted is the trace as it is sent to a model: valid JSON, valid UTF-8, at most
	// [trace.MaxBytes]. Quotes are checked against exactly these bytes.
	Compacted trace.Compacted
	Signals   []signal.Signal
	// Redactions counts the placeholders in the payload, by kind.
	Redactions  redact.Counts
	Digest      string // of the raw trace
	BytesBefore int    // of the redacted payload
	// Repair is nil, or makes this the second question about the trace.
	Repair *Repair

	stages *evalforge.Stages // how long it took so far; one for both questions
}

// An Answer is what an analyzer found, and what it took.
type Answer struct {
	Analysis     evalforge.Analysis
	Model        string // as requested; may differ from the configured one after a fallback
	ModelVersion string // as the service named it
	PromptSHA256 string
	Temperature  *float64 // nil: the model takes none
	Tokens       evalforge.Tokens
	CostUSD      float64
	Attempts     int
	Unsure       Unsure // of attempts before the one that was answered
	Latency      time.Duration
	// Raw is the answer's text as it came, or nil. It is never stored.
	Raw []byte
	// Finish is why the service ended the answer, where that is not the usual "the
	// answer is complete"; else "".
	Finish string
	// Computed says that the confidence is computed from the signals of the whole trace,
	// and is not a model's own estimate.
	Computed bool
}

// spent returns what the answer took.
func (a *Answer) spent() Spent {
	return Spent{Tokens: a.Tokens, CostUSD: a.CostUSD, Attempts: a.Attempts, Latency: a.Latency, Unsure: a.Unsure}
}
