package sqlite

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

var benchStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// seed writes n small traces in the given state, all as old as the given day, in one
// transaction.
func seed(b *testing.B, db *DB, prefix string, n int, status, day string) {
	b.Helper()
	mustExec(b, db, `WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?2)
		INSERT INTO raw_traces SELECT format('%s-%09d', ?1, i), 'digest', '',
			format('{"trace_id":"%s-%09d","fetched_at":"%sT00:00:00.%06d+00:00","trace_payload":{"text":"%s"},"processed":false,"recurrence_count":1}',
				?1, i, ?3, i, ?4) FROM c`, prefix, n, day, strings.Repeat("x", 300))
	retryAt, quarantinedAt := "", ""
	switch status {
	case "parked":
		retryAt = "2027-01-01T00:00:00.000000+00:00"
	case "quarantined":
		quarantinedAt = "2026-01-01T00:00:00.000000+00:00"
	}
	mustExec(b, db, `INSERT INTO extraction_state (trace_id, status, fetched_at, retry_at, quarantined_at)
		SELECT trace_id, ?2, doc ->> '$.fetched_at', ?3, ?4 FROM raw_traces WHERE trace_id GLOB ?1 || '-*'`, prefix, status, retryAt, quarantinedAt)
}

// BenchmarkClaim claims batches of 50 from backlogs of several sizes, and with traces at
// the head that cannot be claimed. The time must not depend on either.
func BenchmarkClaim(b *testing.B) {
	for _, bm := range []struct {
		name                       string
		fresh, quarantined, parked int
	}{
		{"backlog=1000", 1000, 0, 0},
		{"backlog=100000", 100_000, 0, 0},
		{"backlog=1000/quarantined=10000", 1000, 10_000, 0},
		{"backlog=1000/backing-off=10000", 1000, 0, 10_000},
	} {
		b.Run(bm.name, func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "x.db"))
			seed(b, db, "fresh", bm.fresh, "ready", "2026-01-02")
			seed(b, db, "poison", max(bm.quarantined, 1), "quarantined", "2025-01-01")
			seed(b, db, "waiting", max(bm.parked, 1), "parked", "2025-01-01")
			mustExec(b, db, "PRAGMA wal_checkpoint(TRUNCATE)") // the seed is not what is measured
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				claims, err := db.Claim(b.Context(), extract.ClaimRequest{RunID: fmt.Sprintf("run_%d", i), Owner: "b", Limit: 50,
					Now: benchStart, LeaseUntil: benchStart.Add(time.Minute), NewToken: func() string { return fmt.Sprintf("token-%d", i) }})
				if err != nil || len(claims) != 50 {
					b.Fatalf("got %d claims and error %v", len(claims), err)
				}
				b.StopTimer()
				mustExec(b, db, "UPDATE extraction_state SET status = 'ready', lease_token = '', lease_until = '', runs = '[]' WHERE status = 'parked' AND due_at <> '' AND due_at <= ?",
					text(benchStart.Add(time.Minute)))
				b.StartTimer()
			}
		})
	}
}

// BenchmarkClaimAndCommit takes traces of the median size through the store, durably:
// batches of 50, each trace committed in a transaction of its own.
func BenchmarkClaimAndCommit(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "x.db"))
	payload := fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("0123456789", 2000))
	var claims []extract.Claim
	traces := 0
	b.ReportAllocs()
	for b.Loop() {
		if len(claims) == 0 {
			b.StopTimer()
			for range 50 {
				traces++
				if _, err := db.PutTrace(b.Context(), evalforge.RawTrace{TraceID: fmt.Sprintf("t%09d", traces), Payload: payload}); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
			var err error
			claims, err = db.Claim(b.Context(), extract.ClaimRequest{RunID: fmt.Sprintf("run_%d", traces), Owner: "b", Limit: 50, Now: benchStart,
				LeaseUntil: benchStart.Add(time.Minute), NewToken: func() string { return fmt.Sprintf("token-%d", traces) }})
			if err != nil || len(claims) != 50 {
				b.Fatalf("got %d claims and error %v", len(claims), err)
			}
		}
		c := claims[0]
		claims = claims[1:]
		p := testPattern(c.TraceID, benchStart)
		if err := db.Commit(b.Context(), c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: benchStart}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "traces/s")
}

func BenchmarkPutTrace(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "x.db"))
	payload := fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("0123456789", 2000))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := db.PutTrace(b.Context(), evalforge.RawTrace{TraceID: fmt.Sprintf("t%09d", i), Payload: payload}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBacklog counts 100,000 traces.
func BenchmarkBacklog(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "x.db"))
	seed(b, db, "fresh", 100_000, "ready", "2026-01-02")
	b.ResetTimer()
	for b.Loop() {
		if got, err := db.Backlog(b.Context(), benchStart); err != nil || got.Pending != 100_000 {
			b.Fatalf("got %+v and error %v", got, err)
		}
	}
}
