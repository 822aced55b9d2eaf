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
//   - A quota that nobody told is learned from what the last minute took when the service
//     refused a call for quota, or from the quota that it named (learn.go).
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
	// share is at how much of a quota calls are spread. The rest lets those catch up that
	// were late.
	share = 0.995
	// tokenShare is how much of a quota of tokens is used: what prompts have is not known
	// before they were counted. With more, refusals, which hold everybody, cost more than is
	// won: simulated, 97.1 % is used at the worst, with 99 % now and then 96.6 %.
	tokenShare = 0.987
	// firstRatio is how much of the most tokens that a prompt can have it is taken to
	// have, until answers have said: text has about four bytes per token.
	firstRatio = 0.25
	// weight is that of one answer in that ratio.
	weight = 0.2
	// stagger is how far apart the first calls start, firstWithin in how much time all of
	// them do: if there is no room for them, the first refusal stops the others.
	stagger, firstWithin = 20 * time.Millisecond, time.Second
)

// A Limiter gives turns. It is used by many goroutines at once.
type Limiter struct {
	most    float64       // calls at once
	stagger time.Duration // of first calls

	turn chan struct{} // held by the caller that is next; waiters get it in order

	mu       sync.Mutex
	changed  chan struct{} // closed when what the next one waits for may have changed
	hold     time.Time     // nobody calls before
	startAt  time.Time     // nor before, while the first calls start
	window   float64       // calls that may be under way
	minute   lastMinute
	flying   int
	cutAt    time.Time // when the window was cut last
	ratio    float64
	starts   int       // how many of the first calls, since busy, began
	lastAt   time.Time // when the last turn was given
	busy     time.Time // since when there were calls, without a long pause
	requests *rate
	tokens   *rate
	learning learning
}

// NewLimiter returns a limiter.
func NewLimiter(l Limits) *Limiter {
	most := float64(max(1, l.Concurrency))
	return &Limiter{
		most: most, window: most, ratio: firstRatio, stagger: min(stagger, firstWithin/time.Duration(most)),
		requests: newRate(l.RequestsPerMinute, 1), tokens: newRate(l.TokensPerMinute, tokenShare),
		turn: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// A Turn is the right to make one call.
type Turn struct {
	l     *Limiter
	began time.Time
	most  int64 // tokens that the prompt can have at most
	used  *used
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
	tokens := l.ratio * float64(mostTokens)
	l.minute.expire(now)
	l.raise(now)
	quota := latest(l.requests.at, l.tokens.at, l.minute.fits(now, tokens, int(l.requests.used()), l.tokens.used()))
	l.learning.short = l.learning.short || quota.After(now)
	if wait := latest(quota, l.hold, l.startAt).Sub(now); wait > 0 {
		return wait, l.changed, nil
	}
	if now.Sub(l.lastAt) > idle {
		l.busy, l.starts = now, 0
	}
	l.lastAt = now
	t := &Turn{l: l, began: now, most: mostTokens, used: l.minute.add(now, tokens)}
	l.flying++
	if l.starts < int(l.most) {
		l.starts++
		l.startAt = now.Add(l.stagger)
	}
	l.requests.take(now, 1)
	l.tokens.take(now, tokens)
	return 0, nil, t
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
	// OverQuota says that it refused the call for a quota and not for its load. Quota is
	// the quota that it named, zero where it did not.
	OverQuota bool
	Quota     Quota
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
		l.correct(t.used, 0, 0)
	case r.Refused:
		if h := now.Add(r.Wait); h.After(l.hold) {
			l.hold = h
		}
		took := *t.used
		l.correct(t.used, 0, 0) // what is refused counts for nothing
		// Calls that began before the last cut say nothing about the time since.
		first := t.began.After(l.cutAt)
		if first {
			l.cutAt = now
		}
		if r.OverQuota && l.learn(t, took, r, now, first) {
			break // the rate is what was too high
		}
		if first {
			l.window = max(1, l.window/2)
		}
	default:
		if l.window < l.most {
			l.window = min(l.most, l.window+1/l.window)
		}
		if r.Tokens > 0 && t.most > 0 {
			l.correct(t.used, 1, float64(r.Tokens))
			l.ratio += weight * (float64(r.Tokens)/float64(t.most) - l.ratio)
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// correct changes what a call took of the quota, once that is known.
func (l *Limiter) correct(u *used, requests int, tokens float64) {
	l.requests.give(float64(u.requests - requests))
	l.tokens.give(u.tokens - tokens)
	l.minute.correct(u, requests, tokens)
}

// HeldUntil returns until when nobody may call, because the service asked so.
func (l *Limiter) HeldUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hold
}
