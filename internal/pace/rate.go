package pace

import "time"

// A rate spreads what is taken of one quota evenly over time.
type rate struct {
	told float64   // per minute, by the settings; 0: nothing
	part float64   // of the quota that is used
	at   time.Time // when the next one fits

	// What refusals taught; see learn.go.
	learned float64   // per minute; 0: nothing
	named   float64   // by the service; 0: nothing
	seen    []float64 // taken in the minute before each of the last refusals
}

func newRate(perMinute int, part float64) *rate { return &rate{told: float64(perMinute), part: part} }

// quota returns what may be taken in a minute; 0: there is no limit.
func (r *rate) quota() float64 {
	if r.learned > 0 && (r.told == 0 || r.learned < r.told) {
		return r.learned
	}
	return r.told
}

// used returns what is taken in a minute at most; 0: there is no limit.
func (r *rate) used() float64 { return r.quota() * r.part }

// lasts returns for how long so much is enough.
func (r *rate) lasts(n float64) time.Duration {
	if q := r.quota(); q > 0 {
		return time.Duration(n / (share * q) * float64(time.Minute))
	}
	return 0
}

// slack is for how long a share of the quota that was not used can be used later: turns
// are taken a little late, and one quota waits for the other. It is the longest burst.
const slack = time.Second

func (r *rate) take(now time.Time, n float64) {
	if d := r.lasts(n); d > 0 {
		r.at = latest(r.at, now.Add(-slack)).Add(d)
	}
}

// give takes back what was taken, once it is known how much it was.
func (r *rate) give(n float64) { r.at = r.at.Add(-r.lasts(n)) }
