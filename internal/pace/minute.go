package pace

import "time"

// minute is the time for which a call counts: a little more than the service's minute,
// because it counts a call somewhat later than we do, and not each by the same time.
const minute = time.Minute + 400*time.Millisecond

// A used is what one call took of the quota.
type used struct {
	at       time.Time
	requests int
	tokens   float64
}

// A lastMinute is what the calls of the last minute took.
type lastMinute struct {
	calls    []*used // oldest first
	requests int
	tokens   float64
}

// add counts a call.
func (w *lastMinute) add(at time.Time, tokens float64) *used {
	u := &used{at, 1, tokens}
	w.calls = append(w.calls, u)
	w.requests++
	w.tokens += tokens
	return u
}

// correct changes what a call took, if it still counts.
func (w *lastMinute) correct(u *used, requests int, tokens float64) {
	if len(w.calls) > 0 && !u.at.Before(w.calls[0].at) {
		w.requests += requests - u.requests
		w.tokens += tokens - u.tokens
	}
	u.requests, u.tokens = requests, tokens
}

// expire drops what is older than a minute.
func (w *lastMinute) expire(now time.Time) {
	n := 0
	for ; n < len(w.calls) && now.Sub(w.calls[n].at) >= minute; n++ {
		w.requests -= w.calls[n].requests
		w.tokens -= w.calls[n].tokens
	}
	if w.calls = w.calls[n:]; len(w.calls) == 0 {
		w.calls, w.requests, w.tokens = nil, 0, 0 // and no rounding is left
	}
}

// fits returns when a call of so many tokens fits beside the others, at the earliest. A
// call that is larger than the quota fits when it is alone.
func (w *lastMinute) fits(now time.Time, tokens float64, quotaRequests int, quotaTokens float64) time.Time {
	requests, sum := w.requests+1, w.tokens+tokens
	at := now
	for _, u := range w.calls {
		if (quotaRequests == 0 || requests <= quotaRequests) && (quotaTokens == 0 || sum <= quotaTokens) {
			break
		}
		requests -= u.requests
		sum -= u.tokens
		at = u.at.Add(minute)
	}
	return at
}

// since returns what was taken from a time on.
func (w *lastMinute) since(from time.Time) (requests int, tokens float64) {
	for _, u := range w.calls {
		if u.at.After(from) {
			requests, tokens = requests+u.requests, tokens+u.tokens
		}
	}
	return requests, tokens
}
