package memory

import (
	"fmt"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// BenchmarkClaim claims batches of 50 and gives them back; the time must not depend on
// the backlog.
func BenchmarkClaim(b *testing.B) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, backlog := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("backlog=%d", backlog), func(b *testing.B) {
			s := New()
			for i := range backlog {
				tr := evalforge.RawTrace{TraceID: fmt.Sprintf("t%06d", i), FetchedAt: evalforge.At(now.Add(time.Duration(i) * time.Second)),
					Payload: []byte(`{"input":"x"}`)}
				if _, err := s.PutTrace(b.Context(), tr); err != nil {
					b.Fatal(err)
				}
			}
			for i := 0; b.Loop(); i++ {
				claims, err := s.Claim(b.Context(), extract.ClaimRequest{RunID: fmt.Sprintf("run_%d", i), Limit: 50, Now: now,
					LeaseUntil: now.Add(time.Minute), NewToken: func() string { return fmt.Sprint(i) }})
				if err != nil || len(claims) != 50 {
					b.Fatalf("got %d claims and error %v", len(claims), err)
				}
				for _, c := range claims {
					if err := s.Release(b.Context(), c.Lease); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
