package extract

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/redact"
)

// An Observer is told what happens in runs, to make spans and metrics of it. It is
// called by many goroutines at once and must not block. Nothing that it is told is
// content of a trace: ids, enums, numbers and digests only.
type Observer interface {
	// Run is called when a run starts. The run works under the returned context, and
	// calls end once, with its record and its error.
	Run(ctx context.Context, r RunStart) (_ context.Context, end func(evalforge.Run, error))
	// Trace is called when a trace was picked up. The trace is worked on under the
	// returned context, and end is called once.
	Trace(ctx context.Context, t TraceStart) (_ context.Context, end func(TraceEnd))
}

// A RunStart is what is known of a run when it starts.
type RunStart struct {
	RunID           string
	Trigger         evalforge.Trigger
	BatchSize       int
	DryRun          bool
	Analyzer, Model string
}

// A TraceStart is what is known of a trace when it was picked up.
type TraceStart struct {
	RunID, TraceID  string
	Attempt         int
	Analyzer, Model string // as asked for
}

// The outcomes of traces in logs and metrics. A trace that is picked up has one line with
// OutcomePickedUp and exactly one with another, unless the process dies.
const (
	OutcomePickedUp         = "picked_up"
	OutcomeStored           = "pattern_stored"
	OutcomeSkipped          = "skipped"
	OutcomeValidationFailed = "validation_failed"
	OutcomeError            = "error"
	OutcomeTimedOut         = "timed_out"
	OutcomeNotStarted       = "not_started" // given back by a run that was stopped
)

// A TraceEnd is how a trace ended in a run.
type TraceEnd struct {
	Outcome string
	Elapsed time.Duration // since it was picked up
	// Of a stored pattern.
	PatternID   string
	FailureType evalforge.FailureType
	Severity    evalforge.Severity
	Confidence  float64
	// DerivedFrom is the trace whose analysis the pattern repeats without a call, or "".
	DerivedFrom string
	Stages      evalforge.Stages
	// Of the analysis. After a failure, Model is the one that was asked for, and only
	// Spent is known of the rest.
	Model, ModelVersion string
	Temperature         *float64 // nil: the model takes none
	PromptSHA256        string
	ModelTime           time.Duration // what the analyzer took, with all attempts
	Spent               Spent
	Redactions          redact.Counts
	// Of a failure.
	Kind        Kind
	Quarantined bool
	LeaseLost   bool // another worker took the trace over
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Run(ctx context.Context, _ RunStart) (context.Context, func(evalforge.Run, error)) {
	return ctx, func(evalforge.Run, error) {}
}

func (nobody) Trace(ctx context.Context, _ TraceStart) (context.Context, func(TraceEnd)) {
	return ctx, func(TraceEnd) {}
}

// observer returns the engine's observer, which is never nil.
func (e *Engine) observer() Observer {
	if e.Observer == nil {
		return nobody{}
	}
	return e.Observer
}

// observe logs the start of a run and tells the observer. Its end is told by the
// returned function.
func (r *run) observe(ctx context.Context) (context.Context, func(evalforge.Run, error)) {
	ctx, end := r.observer().Run(ctx, RunStart{
		RunID: r.rec.RunID, Trigger: r.rec.TriggeredBy, BatchSize: r.size, DryRun: r.rec.DryRun,
		Analyzer: r.rec.Analyzer, Model: r.rec.Model,
	})
	r.log.InfoContext(ctx, "run started", "trigger", r.rec.TriggeredBy, "batch_size", r.size, "dry_run", r.rec.DryRun,
		"analyzer", r.rec.Analyzer, "model", r.rec.Model)
	return ctx, func(rec evalforge.Run, err error) {
		level, attrs := slog.LevelInfo, []any{
			"dry_run", rec.DryRun, "elapsed_ms", rec.FinishedAt.Sub(rec.StartedAt.Time).Milliseconds(),
			"picked_up", rec.PickedUpCount, "stored", rec.StoredCount, "skipped", rec.SkippedCount,
			"validation_failed", rec.ValidationFailedCount, "errors", rec.ErrorCount, "timed_out", rec.TimedOutCount,
			"not_started", rec.NotStartedCount, "throttled", rec.Throttled, "throttle_reason", rec.ThrottleReason,
			"tokens_prompt", rec.Tokens.Prompt, "tokens_output", rec.Tokens.Output, "cost_usd", rec.CostUSD,
		}
		if err != nil {
			level, attrs = slog.LevelError, append(attrs, "error", r.redacted(err))
		}
		r.log.Log(ctx, level, "run ended", attrs...)
		end(rec, err)
	}
}

// A watch follows one trace from its claim to its outcome.
type watch struct {
	run     *run
	log     *slog.Logger // of this trace
	started time.Time
	end     func(TraceEnd)
}

// watch logs that a trace was picked up and tells the observer. The trace is worked on
// under the returned context.
func (r *run) watch(ctx context.Context, c Claim) (context.Context, *watch) {
	ctx, end := r.observer().Trace(ctx, TraceStart{
		RunID: r.rec.RunID, TraceID: c.TraceID, Attempt: c.Attempt, Analyzer: r.rec.Analyzer, Model: r.rec.Model,
	})
	w := &watch{run: r, log: r.log.With("source_trace_id", c.TraceID, "attempt", c.Attempt), started: r.Pipeline.Now(), end: end}
	w.log.InfoContext(ctx, "trace picked up", "outcome", OutcomePickedUp)
	return ctx, w
}

// stored ends a trace whose pattern is in the store.
func (w *watch) stored(ctx context.Context, x *Extraction) {
	p := &x.Pattern.Provenance
	var modelTime time.Duration
	if x.Spent.Attempts > 0 { // else the latency is that of the analysis that is repeated
		modelTime = time.Duration(p.LatencyMS) * time.Millisecond
	}
	attrs := []any{
		"pattern_id", x.Pattern.PatternID, "failure_type", x.Pattern.FailureType, "pattern_severity", x.Pattern.Severity,
		"confidence", x.Pattern.Confidence, "prepare_ms", x.Stages.Prepare, "finish_ms", x.Stages.Finish, "commit_ms", x.Stages.Commit,
	}
	if p.DerivedFrom != "" {
		attrs = append(attrs, "derived_from", p.DerivedFrom)
	}
	w.ended(ctx, slog.LevelInfo, "pattern stored", TraceEnd{
		Outcome: OutcomeStored, PatternID: x.Pattern.PatternID,
		FailureType: x.Pattern.FailureType, Severity: x.Pattern.Severity, Confidence: x.Pattern.Confidence,
		Model: p.Model, ModelVersion: p.ModelVersion, Temperature: p.Temperature, PromptSHA256: p.PromptSHA256,
		DerivedFrom: p.DerivedFrom, Stages: x.Stages, ModelTime: modelTime, Spent: x.Spent, Redactions: x.Redactions,
	}, attrs...)
}

// unchanged ends a trace that needed no work.
func (w *watch) unchanged(ctx context.Context) {
	w.ended(ctx, slog.LevelInfo, "trace skipped", TraceEnd{Outcome: OutcomeSkipped}, "reason", errUnchanged.Error())
}

// failed ends a trace that became no pattern; text says why, redacted.
func (w *watch) failed(ctx context.Context, err error, text string, quarantined bool, spent Spent) {
	kind := KindOf(err)
	w.ended(ctx, slog.LevelWarn, "trace failed", TraceEnd{
		Outcome: string(kinds[kind].outcome), Model: w.run.rec.Model, Spent: spent,
		Kind: kind, Quarantined: quarantined, LeaseLost: errors.Is(err, ErrLeaseLost),
	}, "kind", kind, "quarantined", quarantined, "error", text)
}

// released ends a trace that was given back unfinished.
func (w *watch) released(ctx context.Context, spent Spent) {
	w.ended(ctx, slog.LevelInfo, "trace released", TraceEnd{Outcome: OutcomeNotStarted, Model: w.run.rec.Model, Spent: spent})
}

// ended logs how a trace ended, with what it took, and tells the observer.
func (w *watch) ended(ctx context.Context, level slog.Level, msg string, e TraceEnd, attrs ...any) {
	e.Elapsed = w.run.Pipeline.Now().Sub(w.started)
	attrs = append([]any{"outcome", e.Outcome, "elapsed_ms", e.Elapsed.Milliseconds()}, attrs...)
	if e.ModelTime > 0 {
		attrs = append(attrs, "model_ms", e.ModelTime.Milliseconds())
	}
	if e.Model != "" {
		attrs = append(attrs, "model", e.Model)
	}
	if e.ModelVersion != "" {
		attrs = append(attrs, "model_version", e.ModelVersion)
	}
	if e.Temperature != nil {
		attrs = append(attrs, "temperature", *e.Temperature)
	}
	if e.PromptSHA256 != "" {
		attrs = append(attrs, "prompt_sha256", e.PromptSHA256)
	}
	attrs = append(attrs, "model_calls", e.Spent.Attempts, "tokens_prompt", e.Spent.Tokens.Prompt,
		"tokens_output", e.Spent.Tokens.Output, "cost_usd", e.Spent.CostUSD)
	w.log.Log(ctx, level, msg, attrs...)
	w.end(e)
}
