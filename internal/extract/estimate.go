package extract

import (
	"context"
	"time"

	"github.com/evalforge/evalforge"
)

// An Estimating adds up what working on traces would take. It makes no call of a model.
type Estimating struct {
	pipeline *Pipeline
	since    time.Time
	seen     map[string]bool
	calls    int
	likely   Amount
	most     Amount
}

// Estimating returns an empty sum. Answers that were kept before since are taken not to
// be used: see [RunRequest.KeptSince].
func (p *Pipeline) Estimating(since time.Time) *Estimating {
	return &Estimating{pipeline: p, since: since, seen: map[string]bool{}}
}

// Add adds a trace. One that would not be sent to a model adds nothing: it cannot be
// analyzed, an answer for it is kept, or it is a copy of another one.
func (e *Estimating) Add(ctx context.Context, t evalforge.RawTrace) {
	a, ok := e.pipeline.Analyzer.(Estimator)
	if !ok {
		return
	}
	in, err := e.pipeline.Prepare(t)
	if err != nil {
		return
	}
	if id, ok := e.pipeline.identify(in); ok {
		ctx := keptSince(ctx, e.since)
		r := e.pipeline.Reuse
		if e.seen[id.copies] || r.find(ctx, id.copies) != nil || r.find(ctx, id.exact) != nil || e.pipeline.findRefusal(ctx, id) != nil {
			return
		}
		e.seen[id.copies] = true
	}
	one := a.Estimate(in)
	e.calls++
	e.likely, e.most = e.likely.Add(one.Likely), e.most.Add(one.Most)
}

// Sum returns the sum, or nil if the analyzer asks no model.
func (e *Estimating) Sum() *evalforge.RunEstimate {
	if _, ok := e.pipeline.Analyzer.(Estimator); !ok {
		return nil
	}
	return &evalforge.RunEstimate{Calls: e.calls, Tokens: e.likely.Tokens, CostUSD: e.likely.USD(), MostCostUSD: e.most.USD()}
}

// estimate says what working on the claims would take. Unchanged traces take nothing.
func (r *run) estimate(ctx context.Context, claims []Claim) *evalforge.RunEstimate {
	e := r.Pipeline.Estimating(r.req.KeptSince)
	for _, c := range claims {
		if c.Err == nil && (c.ExtractedDigest == "" || c.ExtractedDigest != c.Digest) {
			e.since = later(r.req.KeptSince, c.KeptSince)
			e.Add(ctx, c.Trace)
		}
	}
	return e.Sum()
}
