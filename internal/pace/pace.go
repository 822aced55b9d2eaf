// Package pace says when the next call of a model may be made, so that a quota is used
// up and not run into, and when to stop calling ([Breaker]). It makes no calls itself.
//
// A [Limiter] is shared by everything that calls on one quota. Each call asks for its
// turn with [Limiter.Enter] and gives it back with [Turn.Leave]:
//
//   - Turns are given in the order in which they were asked for, so no trace starves.
//   - Calls are spread evenly at a little less than the quota of requests and of tokens
//     per minute, because services count bursts of seconds, too.
//   - When the service refuses a call for load, everybody waits for as long as it asked
//     to, and from then on half as many calls may be under way at once; each answer adds
//     a little until all may again (additive increase, multiplicative decrease, as TCP).
package pace

import (
	"context"
	"sync"
	"time"
)

// Limits bound a [Limiter].
type Limits struct {
	RequestsPerMinute int // 0: no limit
	TokensPerMinute   int // of prompts; 0: no limit
	Concurrency       int // calls under way at once; at least 1
}

const (
	// share is how much of a quota is used. The rest absorbs what is not ours to know:
	// when exactly the service counts a call, and its tokens before it has counted them.
	share = 0.985
	// firstRatio is how much of the most tokens that a prompt can have it is taken to
	// have, until answers have said: text has about four bytes per token.
	firstRatio = 0.25
	// learn is the weight of one answer in that ratio.
	learn = 0.2
)

// A Limiter gives turns. It is used by many goroutines at once.
type Limiter struct {
	requests, tokens float64 // per second; 0: no limit
	most             float64 // calls at once

	turn chan struct{} // held by the caller that is next; waiters get it in order

	mu       sync.Mutex
	changed  chan struct{} // closed when what the next one waits for may have changed
	at       time.Time     // when the next request fits into the quota
	tokensAt time.Time     // when the next tokens do
	hold     time.Time     // nobody calls before
	window   float64       // calls that may be under way
	flying   int
	cutAt    time.Time // when the window was cut last
	ratio    float64
}

// NewLimiter returns a limiter.
func NewLimiter(l Limits) *Limiter {
	most := float64(max(1, l.Concurrency))
	return &Limiter{
		requests: share * float64(l.RequestsPerMinute) / 60, tokens: share * float64(l.TokensPerMinute) / 60,
		most: most, window: most, ratio: firstRatio,
		turn: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// A Turn is the right to make one call.
type Turn struct {
	l     *Limiter
	began time.Time
	most  int64 // tokens that the prompt can have at most
	taken float64
}

// Enter waits for a turn, for a call whose prompt has at most so many tokens. It returns
// early only with ctx's error. The turn must be given back.
func (l *Limiter) Enter(ctx context.Context, mostTokens int64) (*Turn, error) {
	select {
	case l.turn <- struct{}{}: // the runtime lets those that wait in one by one, in order
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.turn }()
	for {
		wait, changed, t := l.try(mostTokens)
		if t != nil {
			return t, nil
		}
		var timer <-chan time.Time // nil: until something changes
		if wait > 0 {
			tm := time.NewTimer(wait)
			defer tm.Stop()
			timer = tm.C
		}
		select {
		case <-timer:
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try gives the turn if it is time. Else it returns how long to wait at least, or 0 to
// wait for a change.
func (l *Limiter) try(mostTokens int64) (time.Duration, <-chan struct{}, *Turn) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flying >= max(1, int(l.window)) {
		return 0, l.changed, nil
	}
	ready := latest(l.at, l.tokensAt, l.hold)
	if wait := ready.Sub(now); wait > 0 {
		return wait, l.changed, nil
	}
	t := &Turn{l: l, began: now, most: mostTokens, taken: l.ratio * float64(mostTokens)}
	l.flying++
	// A quota that was not used is lost: there is no burst later.
	if l.requests > 0 {
		l.at = advance(l.at, now, 1/l.requests)
	}
	if l.tokens > 0 {
		l.tokensAt = advance(l.tokensAt, now, t.taken/l.tokens)
	}
	return 0, nil, t
}

// slack is how much a turn that is taken late may be made up for by the next one: timers
// and locks are late by a little each time, which would add up.
const slack = 50 * time.Millisecond

func advance(at, now time.Time, seconds float64) time.Time {
	return latest(at, now.Add(-slack)).Add(time.Duration(seconds * float64(time.Second)))
}

func latest(times ...time.Time) time.Time {
	var t time.Time
	for _, u := range times {
		if u.After(t) {
			t = u
		}
	}
	return t
}

// A Result is how a call ended.
type Result struct {
	// Tokens is how many the prompt had, or 0 where nobody said.
	Tokens int64
	// Refused says that the service had no room for the call: it was over a quota, or
	// the service over its load. Wait is how long it, or prudence, asks to wait.
	Refused bool
	Wait    time.Duration
	// Unmade says that no call was made after all. The turn's share of the quota goes to
	// the next one.
	Unmade bool
}

// Leave gives a turn back. It is called once.
func (t *Turn) Leave(r Result) {
	l := t.l
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying--
	switch {
	case r.Unmade:
		l.refund(1, t.taken)
	case r.Refused:
		if h := now.Add(r.Wait); h.After(l.hold) {
			l.hold = h
		}
		// Calls that began before the last cut say nothing about the time since.
		if !t.began.Before(l.cutAt) {
			l.window, l.cutAt = max(1, l.window/2), now
		}
		l.refund(0, t.taken) // what is refused has used no tokens
	default:
		if l.window < l.most {
			l.window = min(l.most, l.window+1/l.window)
		}
		if r.Tokens > 0 && t.most > 0 {
			l.refund(0, t.taken-float64(r.Tokens))
			l.ratio += learn * (float64(r.Tokens)/float64(t.most) - l.ratio)
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// refund gives requests and tokens back to the quota, or takes more, if negative.
func (l *Limiter) refund(requests, tokens float64) {
	if l.requests > 0 {
		l.at = l.at.Add(-time.Duration(requests / l.requests * float64(time.Second)))
	}
	if l.tokens > 0 {
		l.tokensAt = l.tokensAt.Add(-time.Duration(tokens / l.tokens * float64(time.Second)))
	}
}

// HeldUntil returns until when nobody may call, because the service asked so.
func (l *Limiter) HeldUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hold
}
