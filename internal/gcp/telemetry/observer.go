package telemetry

import (
	"cmp"
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

var _ extract.Observer = (*Telemetry)(nil)

func label(name, value string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String(name, value))
}

func (i *instruments) count(ctx context.Context, name string, n float64, labels ...attribute.KeyValue) {
	if n > 0 {
		i.counters[name].Add(ctx, n, metric.WithAttributes(labels...))
	}
}

func (i *instruments) measure(ctx context.Context, name string, d time.Duration, labels ...attribute.KeyValue) {
	i.histograms[name].Record(ctx, d.Seconds(), metric.WithAttributes(labels...))
}

// Run implements [extract.Observer].
func (t *Telemetry) Run(ctx context.Context, r extract.RunStart) (context.Context, func(evalforge.Run, error)) {
	trigger := attribute.String("trigger", string(r.Trigger))
	ctx, span := t.tracer.Start(ctx, "extraction run", trace.WithAttributes(
		attribute.String("evalforge.run_id", r.RunID), attribute.String("evalforge.trigger", string(r.Trigger)),
		attribute.Int("evalforge.batch_size", r.BatchSize), attribute.Bool("evalforge.dry_run", r.DryRun),
		attribute.String("evalforge.analyzer", r.Analyzer), attribute.String("gen_ai.request.model", r.Model)))
	start := t.now()
	return ctx, func(rec evalforge.Run, err error) {
		defer span.End()
		span.SetAttributes(
			attribute.Int("evalforge.picked_up", rec.PickedUpCount), attribute.Int("evalforge.stored", rec.StoredCount),
			attribute.Int("evalforge.skipped", rec.SkippedCount), attribute.Int("evalforge.failed", rec.FailedCount()),
			attribute.Int("evalforge.not_started", rec.NotStartedCount), attribute.Bool("evalforge.throttled", rec.Throttled),
			attribute.Float64("evalforge.cost_usd", rec.CostUSD))
		result := "ok"
		switch {
		case err != nil: // its text is in the log, redacted
			result = "failed"
			span.SetStatus(codes.Error, "the run could not do its work")
		case rec.Throttled:
			result = "incomplete"
		}
		if r.DryRun {
			return
		}
		end := t.now()
		t.metrics.count(ctx, mRuns, 1, trigger, attribute.String("result", result))
		t.metrics.measure(ctx, mRunTime, end.Sub(start), trigger)
		if err == nil {
			t.metrics.lastRun.Record(ctx, float64(end.UnixMilli())/1000)
		}
	}
}

// Trace implements [extract.Observer].
func (t *Telemetry) Trace(ctx context.Context, s extract.TraceStart) (context.Context, func(extract.TraceEnd)) {
	t.metrics.count(ctx, mTraces, 1, attribute.String("outcome", extract.OutcomePickedUp))
	ctx, span := t.tracer.Start(ctx, "extract trace", trace.WithAttributes(
		attribute.String("evalforge.run_id", s.RunID), attribute.String("evalforge.source_trace_id", s.TraceID),
		attribute.Int("evalforge.attempt", s.Attempt), attribute.String("gen_ai.request.model", s.Model)))
	return ctx, func(e extract.TraceEnd) {
		defer span.End()
		t.describe(span, e)
		t.measureTrace(ctx, cmp.Or(e.Model, s.Analyzer), e)
	}
}

// describe puts how a trace ended on its span. The names under gen_ai are OpenTelemetry's.
func (t *Telemetry) describe(span trace.Span, e extract.TraceEnd) {
	span.SetAttributes(
		attribute.String("evalforge.outcome", e.Outcome), attribute.Float64("evalforge.cost_usd", e.Spent.CostUSD),
		attribute.Int("evalforge.model_calls", e.Spent.Attempts),
		attribute.Int64("gen_ai.usage.input_tokens", e.Spent.Tokens.Prompt), attribute.Int64("gen_ai.usage.output_tokens", e.Spent.Tokens.Output))
	if e.Outcome == extract.OutcomeStored {
		span.SetAttributes(
			attribute.String("evalforge.pattern_id", e.PatternID), attribute.String("evalforge.failure_type", string(e.FailureType)),
			attribute.String("evalforge.severity", string(e.Severity)), attribute.Float64("evalforge.confidence", e.Confidence),
			attribute.String("evalforge.prompt_sha256", e.PromptSHA256), attribute.Int64("evalforge.model_ms", e.ModelTime.Milliseconds()),
			attribute.String("gen_ai.response.model", e.ModelVersion))
		if e.Temperature != nil {
			span.SetAttributes(attribute.Float64("gen_ai.request.temperature", *e.Temperature))
		}
	}
	if e.Kind != "" {
		span.SetAttributes(attribute.String("error.type", string(e.Kind)), attribute.Bool("evalforge.quarantined", e.Quarantined))
		span.SetStatus(codes.Error, string(e.Kind))
	}
}

// measureTrace counts how a trace ended; name is the model, or the analyzer without one.
func (t *Telemetry) measureTrace(ctx context.Context, name string, e extract.TraceEnd) {
	m := t.metrics
	outcome, model := attribute.String("outcome", e.Outcome), attribute.String("model", name)
	m.count(ctx, mTraces, 1, outcome)
	m.measure(ctx, mTraceTime, e.Elapsed, outcome)
	if e.Kind != "" {
		m.count(ctx, mFailures, 1, attribute.String("kind", string(e.Kind)))
	}
	if e.Outcome == extract.OutcomeStored {
		m.count(ctx, mPatterns, 1, attribute.String("failure_type", string(e.FailureType)), attribute.String("severity", string(e.Severity)))
	}
	if e.DerivedFrom != "" {
		m.count(ctx, mReused, 1)
	}
	if e.Quarantined {
		m.count(ctx, mQuarantined, 1)
	}
	if e.LeaseLost {
		m.count(ctx, mLeases, 1)
	}
	if e.ModelTime > 0 {
		m.measure(ctx, mModelTime, e.ModelTime, model)
	}
	m.count(ctx, mModelCalls, float64(e.Spent.Attempts), model)
	m.count(ctx, mCost, e.Spent.CostUSD, model)
	for kind, n := range map[string]int64{"prompt": e.Spent.Tokens.Prompt, "cached": e.Spent.Tokens.Cached, "output": e.Spent.Tokens.Output} {
		m.count(ctx, mTokens, float64(n), model, attribute.String("type", kind))
	}
	for kind, n := range e.Redactions {
		m.count(ctx, mRedactions, float64(n), attribute.String("kind", string(kind)))
	}
}
