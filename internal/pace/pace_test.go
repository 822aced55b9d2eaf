package pace

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A service answers after a latency, and refuses what is over its quota in any minute,
// with a hint when there is room again.
type service struct {
	requests, tokens int // per minute; 0: no limit
	latency          time.Duration
	says             Quota // that it names in refusals
	clock            bool  // it counts by the minutes of the clock
	bucket           int   // it has a bucket of so many requests, which fills evenly

	mu              sync.Mutex
	log             []use // of the last minute
	admitted, tried int
	admittedTokens  int
}

type use struct {
	at     time.Time
	tokens int
}

// call makes a call, and returns how long to wait if it is refused.
func (s *service) call(tokens int) (wait time.Duration, refused bool) {
	if wait, refused := s.admit(tokens); refused {
		return wait, true
	}
	time.Sleep(s.latency)
	return 0, false
}

func (s *service) admit(tokens int) (time.Duration, bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried++
	if s.bucket > 0 {
		return s.pour(now)
	}
	if s.clock {
		if minute := now.Truncate(time.Minute); len(s.log) > 0 && s.log[0].at.Before(minute) {
			s.log = nil
		}
		if len(s.log) >= s.requests {
			return now.Truncate(time.Minute).Add(time.Minute).Sub(now), true
		}
		s.log = append(s.log, use{now, tokens})
		s.admitted++
		return 0, false
	}
	s.log = slices.DeleteFunc(s.log, func(u use) bool { return now.Sub(u.at) >= time.Minute })
	sum := tokens
	for _, u := range s.log {
		sum += u.tokens
	}
	if s.requests > 0 && len(s.log) >= s.requests || s.tokens > 0 && sum > s.tokens {
		return s.log[0].at.Add(time.Minute).Sub(now), true
	}
	s.log = append(s.log, use{now, tokens})
	s.admitted++
	s.admittedTokens += tokens
	return 0, false
}

// pour takes a request from the bucket.
func (s *service) pour(now time.Time) (time.Duration, bool) {
	one := time.Minute / time.Duration(s.requests)
	full := now.Add(-time.Duration(s.bucket) * one)
	if len(s.log) == 0 || s.log[0].at.Before(full) {
		s.log = []use{{at: full}}
	}
	if next := s.log[0].at.Add(one); next.After(now) {
		return next.Sub(now), true
	}
	s.log[0].at = s.log[0].at.Add(one)
	s.admitted++
	return 0, false
}

// drive makes n calls with so many workers, each again until it is not refused, and
// returns how long that took.
func drive(t *testing.T, l *Limiter, s *service, workers, n int, size func() (most, tokens int)) time.Duration {
	t.Helper()
	start := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				most, tokens := size()
				for {
					turn, err := l.Enter(t.Context(), int64(most))
					if err != nil {
						t.Error(err)
						return
					}
					wait, refused := s.call(tokens)
					turn.Leave(Result{Tokens: int64(tokens), Refused: refused, OverQuota: refused, Quota: s.says, Wait: max(wait, time.Second)})
					if !refused {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// With the quota known, nearly all of it is used and nearly nothing refused, whatever
// the quota is of.
func TestQuotaIsUsedAndNotRunInto(t *testing.T) {
	// Prompts of 4,000 to 16,000 bytes with 3 to 5 bytes a token.
	random := func() (int, int) {
		most := 4000 + rand.N(12_000)
		return most, int(float64(most) / (3 + 2*rand.Float64()))
	}
	for name, tt := range map[string]struct{ requests, tokens, workers, n int }{
		"60 requests":             {60, 0, 8, 600},
		"600 requests":            {600, 0, 32, 6000},
		"10 requests":             {10, 0, 4, 150},
		"200,000 tokens":          {0, 200_000, 16, 3000},
		"2,000,000 tokens":        {0, 2_000_000, 64, 10_000},
		"60 requests, 1m tokens":  {60, 1_000_000, 8, 600},
		"300 requests and tokens": {300, 700_000, 32, 3000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{requests: tt.requests, tokens: tt.tokens, latency: 2 * time.Second}
				l := NewLimiter(Limits{RequestsPerMinute: tt.requests, TokensPerMinute: tt.tokens, Concurrency: tt.workers})
				took := drive(t, l, s, tt.workers, tt.n, random) - s.latency // the last call's
				ideal := 0.0
				if tt.requests > 0 {
					ideal = float64(tt.n-1) / float64(tt.requests)
				}
				if tt.tokens > 0 {
					ideal = max(ideal, float64(s.admittedTokens)/float64(tt.tokens))
				}
				used := ideal / took.Minutes()
				refused := float64(s.tried-s.admitted) / float64(s.tried)
				t.Logf("%.1f %% of the quota used, %.2f %% of the calls refused", 100*used, 100*refused)
				if used < 0.97 {
					t.Errorf("%.1f %% of the quota is used, want 97 %%", 100*used)
				}
				if refused > 0.01 {
					t.Errorf("%.2f %% of the calls are refused, want at most 1 %%", 100*refused)
				}
			})
		})
	}
}

// Without limits nothing waits, but for the first calls, for less than a second.
func TestNoQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: 2 * time.Second}
		took := drive(t, NewLimiter(Limits{Concurrency: 16}), s, 16, 800, func() (int, int) { return 1, 1 })
		if ideal := 100 * time.Second; took < ideal || took >= ideal+time.Second {
			t.Errorf("took %v, want %v", took, ideal)
		}
	})
}

// What the service asks for holds for everybody, and halves the calls at once.
func TestRefusalHoldsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Limits{Concurrency: 8})
		var turns []*Turn
		for range 8 {
			turns = append(turns, enter(t, l))
		}
		start := time.Now()
		for _, turn := range turns {
			turn.Leave(Result{Refused: true, Wait: 7 * time.Second}) // at once: one cut
		}
		for range 4 {
			enter(t, l)
		}
		if got := time.Since(start); got != 7*time.Second {
			t.Errorf("the first calls after the refusal came after %v, want 7s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := l.Enter(ctx, 1); err == nil {
			t.Error("a fifth call at once; want half of the eight")
		}
	})
}

// Answers bring the calls at once back, one per round.
func TestWindowGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Limits{Concurrency: 4})
		enter(t, l).Leave(Result{Refused: true})
		rounds := 0
		for ; l.window < l.most && rounds < 100; rounds++ {
			var turns []*Turn
			for range int(l.window) {
				turns = append(turns, enter(t, l))
			}
			for _, turn := range turns {
				turn.Leave(Result{})
			}
		}
		if rounds != 3 {
			t.Errorf("after %d rounds all may call again, want 3", rounds)
		}
	})
}

// Turns come in the order in which they were asked for.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Limits{RequestsPerMinute: 60, Concurrency: 100})
		var mu sync.Mutex
		var got []int
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				turn := enter(t, l)
				mu.Lock()
				got = append(got, i)
				mu.Unlock()
				turn.Leave(Result{})
			})
			synctest.Wait()
		}
		wg.Wait()
		if !slices.IsSorted(got) {
			t.Errorf("turns came in the order %v", got)
		}
	})
}

// A call that gives up neither takes its turn nor keeps it from others.
func TestEnterCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Limits{RequestsPerMinute: 1, Concurrency: 2})
		first := enter(t, l)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if _, err := l.Enter(ctx, 1); err == nil {
				t.Fatal("a turn within the minute")
			}
			cancel()
		}
		first.Leave(Result{Unmade: true}) // its minute is free again
		start := time.Now()
		enter(t, l)
		if got := time.Since(start); got > time.Second {
			t.Errorf("the turn that was given back unused came after %v", got)
		}
	})
}

func enter(t *testing.T, l *Limiter) *Turn {
	t.Helper()
	turn, err := l.Enter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return turn
}
