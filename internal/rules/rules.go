// Package rules is the offline analyzer: it turns the deterministic signals of a trace
// into an analysis, without a model and without cost.
//
// It claims what signals prove and no more. Where none decides, the failure type is
// other with a confidence below one half, and where the steps give a hint at which of
// them went wrong, that step is named as a guess.
package rules

import (
	"context"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
	"github.com/evalforge/evalforge/internal/signal"
)

// Version identifies the rules that an analysis was made with: the detectors of package
// signal and what this package makes of them. Raise the number with every change after
// which the same trace may get another failure type, condition, failing step or
// confidence, so that patterns made by older rules can be found and made anew.
const Version = "rules-1"

// An Analyzer is the rules analyzer. It has no state.
type Analyzer struct{}

var _ extract.Analyzer = (*Analyzer)(nil)

// New returns the rules analyzer.
func New() *Analyzer { return &Analyzer{} }

// Name returns "rules".
func (*Analyzer) Name() string { return "rules" }

// Model returns "": no model is asked.
func (*Analyzer) Model() string { return "" }

// Analyze writes an analysis from in.Signals, or, when they are nil, from the signals
// of in.Trace. It fails only when ctx is done.
func (*Analyzer) Analyze(ctx context.Context, in *extract.Input) (*extract.Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	start := time.Now()
	signals := in.Signals
	if signals == nil {
		signals = signal.Detect(in.Trace, in.FailureType)
	}
	a := write(in, signals)
	return &extract.Answer{
		Analysis: a, ModelVersion: Version, PromptSHA256: prompts.Version(),
		Attempts: 1, Latency: time.Since(start), Computed: true,
	}, nil
}

// write fills every field of an analysis.
func write(in *extract.Input, signals []signal.Signal) evalforge.Analysis {
	f := decide(in, signals)
	q := newQuoter(in)
	return evalforge.Analysis{
		Title:               f.title(),
		FailureType:         f.failureType,
		TriggerCondition:    f.condition.Label,
		Summary:             f.summary(),
		RootCauseHypothesis: f.hypothesis(),
		Evidence:            f.evidence(q),
		RecommendedActions:  f.condition.Actions,
		ReproductionContext: f.reproduction(),
		Severity:            f.severity(),
		Confidence:          f.confidence,
		ConfidenceRationale: f.rationale(),
		FailingStep:         f.failingStep(),
	}
}
