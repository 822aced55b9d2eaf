package extract

import (
	"context"
	"time"

	"github.com/evalforge/evalforge/internal/pace"
)

// A Gate stands before every call of a model: it waits for the call's turn within the
// quotas, and reserves its worst case in the budgets. A run brings its own to the
// analyzer, in the context; outside of runs there is none. An analyzer that asks a model
// passes [Enter] before each call, every repetition included.
type Gate interface {
	// Enter waits until the call may be made. An error, of [KindHalted] when the run is
	// to make no more calls, means that it must not be. The time spent waiting is not
	// counted against the trace's time budget, so the deadline of ctx may be later
	// afterwards. The returned function is called once, when the call has ended.
	Enter(ctx context.Context, c Call) (leave func(CallEnd), err error)
}

// A Call is one request to a model that is to be made.
type Call struct {
	Model string
	// Most returns what bounds the call. It is asked when the call is about to be made,
	// and again after a wait: what other calls meet meanwhile can change it.
	Most func() Bound
	// Prompt bounds the tokens of the prompt.
	Prompt int64
}

// A Bound is what a call can take at most, whatever it says: its money at a price that
// depends on which model answers, its tokens with thoughts and answer.
type Bound struct {
	// Any holds whichever model answers the call.
	Any Amount
	// Usual holds if the model that is asked answers, or one that is known to stand in for
	// it. It is Any where no other is to be expected.
	Usual Amount
}

// A CallEnd is how a call ended.
type CallEnd struct {
	// Took is what the call took, if Known: as the service reported it, or nothing, where
	// it refused the call. What a call took that was cancelled, or whose answer broke off,
	// is not known.
	Took   Amount
	Known  bool
	Prompt int64 // tokens of the prompt, 0 if not known
	// Failed is why the service did not answer, for reasons that need not be the trace's:
	// its quota, its load, its health, the way to it, its slowness. Nil when it answered,
	// well or not.
	Failed error
	// Refused says that it had no room for the call, and Wait how long to wait before the
	// next one. Exhausted says that waiting does not help for now: as for a daily quota.
	Refused   bool
	Wait      time.Duration
	Exhausted bool
	// OverQuota says that it refused the call for a quota, and Quota which one it named.
	OverQuota bool
	Quota     pace.Quota
}

type gateKey struct{}

// WithGate returns a context whose calls of models go through g.
func WithGate(ctx context.Context, g Gate) context.Context {
	return context.WithValue(ctx, gateKey{}, g)
}

// Gated reports whether calls under ctx go through a gate. The gate then does the waiting
// that a refusal asks for.
func Gated(ctx context.Context) bool { return gateOf(ctx) != nil }

func gateOf(ctx context.Context) Gate {
	g, _ := ctx.Value(gateKey{}).(Gate)
	return g
}

// Enter passes the gate of ctx. Without one it returns at once.
func Enter(ctx context.Context, c Call) (leave func(CallEnd), err error) {
	g := gateOf(ctx)
	if g == nil {
		return func(CallEnd) {}, nil
	}
	return g.Enter(ctx, c)
}

// An Estimator is an [Analyzer] that can say what an analysis would take, without making
// any call.
type Estimator interface {
	Estimate(in *Input) Estimate
}

// An Estimate is what an analysis would take.
type Estimate struct {
	Likely Amount // of one call that is answered
	Most   Amount // of one call
}
