package pace

import (
	"sync"
	"time"
)

// A Breaker decides when calling a model that does not answer is to end. It opens, for
// good, once nothing but failures came for [BreakAfter], in [BreakCalls] calls or more
// that were about [BreakSubjects] subjects or more: what fails for one subject alone
// says nothing about the model. Calls that failed at the same time count as one.
//
// A Breaker is for one run; the next run tries again. The zero value is ready.
type Breaker struct {
	mu       sync.Mutex
	since    time.Time // of the first failure after the last answer; zero: none
	counted  time.Time // when the last failure that counts was seen
	calls    int
	subjects map[string]bool
	answered bool // ever
	open     bool
	reason   error
}

// What it takes to open a [Breaker].
const (
	BreakAfter    = 10 * time.Second
	BreakCalls    = 5
	BreakSubjects = 2
)

// Failed notes a call about a subject, made from one time to another, that failed for a
// reason that is not the subject's. It reports whether the breaker is open.
func (b *Breaker) Failed(subject string, from, to time.Time, reason error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() {
		b.since, b.subjects = from, map[string]bool{}
	}
	b.subjects[subject] = true
	if !from.Before(b.counted) {
		b.calls++
		b.counted = to
	}
	if b.calls >= BreakCalls && len(b.subjects) >= BreakSubjects && to.Sub(b.since) >= BreakAfter {
		b.open = true
	}
	b.reason = reason
	return b.open
}

// Trip opens the breaker at once, for a reason that says it all: a quota that is used up.
func (b *Breaker) Trip(reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open, b.reason = true, reason
}

// Answered notes that the model answered a call, well or not. An open breaker stays
// open.
func (b *Breaker) Answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since, b.calls, b.subjects, b.answered = time.Time{}, 0, nil, true
}

// Silent reports whether nothing but failures came since the last answer. An open breaker
// hears nothing any more.
func (b *Breaker) Silent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open || !b.since.IsZero()
}

// Down reports whether the breaker is open, or would be but for the time, and the model never
// answered: for a run that ends before.
func (b *Breaker) Down() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open || !b.answered && b.calls >= BreakCalls && len(b.subjects) >= BreakSubjects
}

// Open returns why the breaker is open, as of its last failure, or nil.
func (b *Breaker) Open() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return nil
	}
	return b.reason
}
