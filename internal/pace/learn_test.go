package pace

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A quota that nobody told is learned, whatever it is of and however the service counts:
// nearly all of it is used, at the price of few refusals.
func TestUnknownQuota(t *testing.T) {
	var nth atomic.Uint64
	sized := func() (int, int) {
		r := rand.New(rand.NewPCG(nth.Add(1), 1))
		most := 4000 + r.IntN(12_000)
		return most, int(float64(most) / (3 + 2*r.Float64()))
	}
	for name, tt := range map[string]struct {
		service       *service
		told          Limits
		n             int
		used, refused float64 // at least and at most
	}{
		"60 requests":                {&service{requests: 60}, Limits{}, 2000, 0.97, 0.01},
		"60 requests, 300 calls":     {&service{requests: 60}, Limits{}, 300, 0.95, 0.02},
		"10 requests":                {&service{requests: 10}, Limits{}, 300, 0.95, 0.02},
		"400 requests":               {&service{requests: 400}, Limits{}, 2000, 0.95, 0.01},
		"60 requests, named":         {&service{requests: 60, says: Quota{Requests: 60}}, Limits{}, 2000, 0.97, 0.003},
		"500,000 tokens":             {&service{tokens: 500_000}, Limits{}, 1000, 0.90, 0.015},
		"500,000 tokens, named":      {&service{tokens: 500_000, says: Quota{Tokens: 500_000}}, Limits{}, 1000, 0.95, 0.01},
		"60 requests, 100 told":      {&service{requests: 60}, Limits{RequestsPerMinute: 100}, 1000, 0.97, 0.01},
		"60 by the clock":            {&service{requests: 60, clock: true}, Limits{}, 1000, 0.95, 0.01},
		"60 requests, a bucket of 5": {&service{requests: 60, bucket: 5}, Limits{}, 1000, 0.85, 0.05},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := tt.service
				s.latency = 2 * time.Second
				told := tt.told
				told.Concurrency = 16
				took := drive(t, NewLimiter(told), s, 16, tt.n, sized)
				ideal := 0.0
				if s.requests > 0 {
					ideal = float64(tt.n-1) / float64(s.requests)
				}
				if s.tokens > 0 {
					ideal = max(ideal, float64(s.admittedTokens)/float64(s.tokens))
				}
				used := ideal / took.Minutes()
				refused := float64(s.tried-s.admitted) / float64(s.tried)
				t.Logf("%.1f %% of the quota used, %.2f %% of the calls refused", 100*used, 100*refused)
				if used < tt.used || refused > tt.refused {
					t.Errorf("%.1f %% of the quota used, %.2f %% of the calls refused; want at least %.0f %% and at most %.1f %%",
						100*used, 100*refused, 100*tt.used, 100*tt.refused)
				}
			})
		})
	}
}

// A service that was busy for a moment is soon called as before, and so is one that took
// what was learned back.
func TestLearnedQuotaIsTriedAgain(t *testing.T) {
	for name, wait := range map[string]time.Duration{"for a moment": time.Second, "for a while": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimiter(Limits{Concurrency: 16})
				s := &service{latency: 2 * time.Second}
				one := func() (int, int) { return 1, 1 }
				drive(t, l, s, 16, 20, one)
				enter(t, l).Leave(Result{Refused: true, OverQuota: true, Wait: wait})
				drive(t, l, s, 16, 1200, one)
				if took, ideal := drive(t, l, s, 16, 800, one), 100*time.Second; took > ideal+2*time.Second {
					t.Errorf("800 calls took %v when the service was no longer busy, want about %v", took, ideal)
				}
			})
		})
	}
}

// Two processes share a quota that neither knows.
func TestSharedUnknownQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{requests: 120, latency: 2 * time.Second}
		start := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				drive(t, NewLimiter(Limits{Concurrency: 8}), s, 8, 1000, func() (int, int) { return 1, 1 })
			})
		}
		wg.Wait()
		used := float64(s.admitted) / float64(s.requests) / time.Since(start).Minutes()
		refused := float64(s.tried-s.admitted) / float64(s.tried)
		t.Logf("%.1f %% of the quota used, %.2f %% of the calls refused", 100*used, 100*refused)
		if used < 0.85 || refused > 0.03 {
			t.Errorf("%.1f %% of the quota used, %.2f %% of the calls refused; want 85 %% and at most 3 %%", 100*used, 100*refused)
		}
	})
}

// A process that begins while another one's calls still count learns the quota all the
// same, and soon.
func TestUnknownQuotaAfterARestart(t *testing.T) {
	for _, ago := range []time.Duration{2 * time.Second, 20 * time.Second, 50 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &service{requests: 60, latency: 2 * time.Second}
			one := func() (int, int) { return 1, 1 }
			drive(t, NewLimiter(Limits{Concurrency: 16}), s, 16, 57, one)
			time.Sleep(ago)
			took := drive(t, NewLimiter(Limits{Concurrency: 16}), s, 16, 600, one)
			used := 599.0 / 60 / took.Minutes()
			refused := float64(s.tried-s.admitted) / float64(s.tried)
			t.Logf("after %v: %.1f %% of the quota used, %.2f %% of the calls refused", ago, 100*used, 100*refused)
			if used < 0.80 || refused > 0.03 {
				t.Errorf("after %v: %.1f %% of the quota used, %.2f %% of the calls refused; want 80 %% and at most 3 %%", ago, 100*used, 100*refused)
			}
		})
	}
}
