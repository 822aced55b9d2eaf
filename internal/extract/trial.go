package extract

import (
	"context"
	"errors"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/pace"
)

// A Trial makes extractions of which nothing is stored, as evaluation does, at the pace and
// within the budgets of a run. It is safe for concurrent use.
type Trial struct {
	run  *run
	asks context.Context // of whoever began the trial
	stop context.CancelCauseFunc
}

// Trial begins a trial. The returned context is done when ctx is, or when no more calls of
// the model are to be made, with the reason as its cause; extractions that are under way
// then come to their end, as in a run.
func (e *Engine) Trial(ctx context.Context) (*Trial, context.Context, error) {
	o := e.Options.withDefaults()
	if e.Ledger == nil && !o.Budgets.none() {
		return nil, nil, errors.New("there are budgets, but no ledger to count in: the engine is wired wrongly")
	}
	now := e.Pipeline.Now()
	r := &run{Engine: e, o: o, log: e.Log, asked: ctx, rec: evalforge.Run{RunID: NewRunID("eval", now), StartedAt: evalforge.At(now)}}
	limiter := e.Pace
	if limiter == nil {
		limiter = pace.NewLimiter(pace.Limits{Concurrency: o.Concurrency})
	}
	r.turns = newTurns(r, limiter)
	going, stop := context.WithCancelCause(ctx)
	return &Trial{r, ctx, stop}, going, nil
}

// Extract takes a trace through the pipeline, in the time that a trace has in a run. It is
// not canceled with the trial's own context, so that what is paid for is not lost.
func (t *Trial) Extract(ctx context.Context, raw evalforge.RawTrace) (Extraction, error) {
	if err := context.Cause(ctx); err != nil {
		return Extraction{}, err
	}
	patience, done := withPatience(t.asks, t.run.o.TraceTimeout)
	defer done()
	x, err := t.run.Pipeline.Extract(WithGate(patience, traceGate{t.run.turns, raw.TraceID}), raw)
	x.Stages.Analyze = max(0, x.Stages.Analyze-patience.suspendedFor().Milliseconds())
	var h *halt
	if errors.As(err, &h) {
		t.stop(h)
	}
	return x, err
}
