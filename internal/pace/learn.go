package pace

import (
	"slices"
	"time"
)

// A Quota is what a service said that it allows in a minute. A zero is nothing said.
type Quota struct{ Requests, Tokens int }

// When a call is refused for quota, what was taken in the minute before is the quota, if
// it is one of a minute. That is not certain: others may use it too, or the service was
// only busy. So it is tried again and again whether more is allowed, by a little first,
// and by twice as much each time while it is; and less often each time it is not. A try
// that fails costs one refusal, and the wait until the service has room again, which is
// short for a quota that is used evenly.
const (
	firstStep, lastStep = 0.02, 1 // by which a quota is raised
	// firstTry and lastTry bound the time until the first try after a refusal, nextTry is
	// that until the next one after a try that went well.
	firstTry, lastTry, nextTry = 2 * time.Minute, 16 * time.Minute, time.Minute
	// quickTry is all of these while what is known comes from less than most of a minute:
	// from calls of less than enoughTime, unless the service asks to wait until a minute
	// after the first of them, as it does when it was these calls that used the quota up.
	quickTry   = 10 * time.Second
	enoughTime = 50 * time.Second
	fullMinute = 58 * time.Second
	// near is how close to what was thought a refusal confirms it.
	near = 0.1
	// quotaWait is the least wait that a service asks for when a quota of a minute is used
	// up early in it. A shorter one is for a burst or a moment's load, unless it comes again
	// within a minute.
	quotaWait = 5 * time.Second
	// idle is after how long without calls nothing is known of the last minute.
	idle = 2 * time.Minute
)

// A learning is what was learned and is to be tried next.
type learning struct {
	refused time.Time // last
	step    float64
	every   time.Duration // until the first try after a refusal
	tryAt   time.Time     // zero: nothing was learned
	short   bool          // a call had to wait for the quota since the last try
}

// learn notes a refusal for quota of a call that took so much, and reports whether a rate
// is known. Of calls that were under way at the same time only the first counts that is
// refused; the others say that what it saw was too much. l.mu is held.
func (l *Limiter) learn(t *Turn, took used, r Result, now time.Time, first bool) bool {
	g := &l.learning
	known := !g.tryAt.IsZero()
	if !first {
		l.requests.unsee(float64(took.requests))
		l.tokens.unsee(took.tokens)
		return known
	}
	full := now.Sub(l.busy) >= enoughTime || now.Sub(l.busy)+r.Wait >= fullMinute
	again := now.Sub(g.refused) < time.Minute
	g.refused = now
	if !known && r.Quota == (Quota{}) && r.Wait < quotaWait && !(full && again) {
		return false
	}
	requests, tokens := l.minute.since(t.began.Add(-time.Minute))
	if requests == 0 {
		return known // the quota was used up by others
	}
	l.requests.see(float64(requests), r.Quota.Requests)
	l.tokens.see(tokens, r.Quota.Tokens)
	quota := l.which(r.Quota)
	before := quota.learned
	l.requests.learned, l.tokens.learned = 0, 0
	quota.settle()
	if quota == l.requests && r.Quota.Tokens > 0 { // both are named
		l.tokens.settle()
	}
	g.step = firstStep
	switch {
	case !full:
		g.step, g.every = lastStep, quickTry
	case before > 0 && quota.learned > before*(1-near):
		g.every = min(max(2*g.every, firstTry), lastTry)
	default:
		g.every = firstTry
	}
	g.tryAt, g.short = latest(now, l.hold).Add(g.every), false
	return true
}

// raise raises what was learned, if it is time and more is wanted. l.mu is held.
func (l *Limiter) raise(now time.Time) {
	g := &l.learning
	if g.tryAt.IsZero() || !g.short || now.Before(g.tryAt) {
		return
	}
	l.requests.raise(g.step, 1)
	l.tokens.raise(g.step, 0)
	if g.step > firstStep { // the last try went well
		g.every = min(g.every, firstTry)
	}
	g.step = min(2*g.step, lastStep)
	g.tryAt, g.short = now.Add(min(g.every, nextTry)), false
}

// which returns what a quota is of, the requests or the tokens of a minute. Where the
// service does not name it, that is what was about as much at each refusal.
func (l *Limiter) which(named Quota) *rate {
	switch {
	case named.Requests > 0:
		return l.requests
	case named.Tokens > 0 || l.tokens.spread() < l.requests.spread():
		return l.tokens
	}
	return l.requests
}

// memory is how many refusals a rate remembers, and recent of how many the one counts
// before which most was taken: a smaller one was for something else, as another caller.
const memory, recent = 4, 2

// see notes what was taken in the minute before a refusal, and the quota that the service
// named, or 0.
func (r *rate) see(n float64, named int) {
	r.named = float64(named)
	r.seen = append(r.seen, n)
	r.seen = r.seen[max(0, len(r.seen)-memory):]
}

// spread returns how different what was seen is, from 0 to 1.
func (r *rate) spread() float64 {
	if len(r.seen) == 0 {
		return 0
	}
	most := slices.Max(r.seen)
	return (most - slices.Min(r.seen)) / max(most, 1)
}

// unsee corrects what see noted last: so much of it was refused, too.
func (r *rate) unsee(n float64) {
	if len(r.seen) > 0 {
		r.seen[len(r.seen)-1] -= n
	}
	if r.learned > 0 {
		r.settle()
	}
}

func (r *rate) settle() {
	r.learned = r.bounded(slices.Max(r.seen[max(0, len(r.seen)-recent):]))
}

func (r *rate) bounded(n float64) float64 {
	if r.named > 0 {
		n = min(n, r.named)
	}
	return max(1, n)
}

// raise raises what was learned by a share of it, and by at least so much.
func (r *rate) raise(step, least float64) {
	if r.learned > 0 {
		r.learned = r.bounded(r.learned + max(step*r.learned, least))
	}
}
