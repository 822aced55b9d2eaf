package extract

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/evalforge/evalforge"
)

// RefusedFor is how long a final refusal of the model's answers about a trace holds for
// equal traces: they are refused without a call. One that is retried by hand is asked about
// anew, and an answer that is kept then counts for all of them.
const RefusedFor = 24 * time.Hour

type refusedSinceKey struct{}

// refusedSince returns a context in which refusals from before t do not count.
func refusedSince(ctx context.Context, t time.Time) context.Context {
	return context.WithValue(ctx, refusedSinceKey{}, t)
}

// findRefusal returns the refusal of an equal trace that still holds, or nil.
func (p *Pipeline) findRefusal(ctx context.Context, id identity) *KeptAnswer {
	kept := p.Reuse.find(ctx, id.refused)
	if kept == nil || kept.Refused == nil || p.Now().Sub(kept.SavedAt.Time) >= RefusedFor {
		return nil
	}
	if since, ok := ctx.Value(refusedSinceKey{}).(time.Time); ok && kept.SavedAt.Before(since) {
		return nil
	}
	return kept
}

// keepRefusal keeps a final refusal for equal traces, and returns it; else nil.
func (p *Pipeline) keepRefusal(ctx context.Context, in *Input, id identity, err error) *KeptAnswer {
	e := asError(ctx, err)
	if !e.Final {
		return nil
	}
	reason, _ := p.Redactor.Text(e.Err.Error())
	text, jerr := json.Marshal(cutRunes(reason, evalforge.MaxItemRunes/2))
	if jerr != nil {
		return nil
	}
	text, _ = id.values.generalize(text)
	if json.Unmarshal(text, &reason) != nil {
		return nil
	}
	kept := KeptAnswer{
		Key: id.refused, TraceID: in.TraceID, Digest: id.exact, SavedAt: evalforge.At(p.Now()),
		Model: p.Analyzer.Model(), Tokens: e.Spent.Tokens, CostUSD: e.Spent.CostUSD, Attempts: e.Spent.Attempts,
		Refused: &Refusal{e.Kind, reason},
	}
	p.Reuse.save(ctx, kept)
	return &kept
}

// refusedLike is the failure of a trace whose equal was refused. It costs nothing.
func refusedLike(id identity, kept *KeptAnswer) *Error {
	reason := "the reason is in its error record"
	if text, err := json.Marshal(kept.Refused.Reason); err == nil {
		if text, ok := id.values.fill(text); ok {
			_ = json.Unmarshal(text, &reason) // else it stays what it is
		}
	}
	return &Error{Kind: kept.Refused.Kind, Final: true, Err: fmt.Errorf(
		"the answers about the equal trace %s were refused at %s, and the model is not asked the same again before %s unless a trace is retried by hand: %s",
		kept.TraceID, kept.SavedAt, evalforge.At(kept.SavedAt.Add(RefusedFor)), reason)}
}
