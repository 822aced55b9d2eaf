package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/sqlite"
)

// inFile keeps a service's documents in a file.
func inFile(s *service) {
	s.t.Helper()
	db, err := sqlite.Open(s.t.Context(), filepath.Join(s.t.TempDir(), "x.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	s.store = db
}

// BenchmarkListPatterns measures one page of patterns, without a network.
func BenchmarkListPatterns(b *testing.B) {
	for _, limit := range []int{20, 100} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			s := newService(b, inFile)
			s.fill(200)
			h := s.server.Handler()
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1/api/v1/patterns?limit=%d", limit), nil))
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
}

// fill stores n patterns, such as the samples have.
func (s *service) fill(n int) {
	s.t.Helper()
	s.samples()
	if _, err := s.runner.Run(s.t.Context(), extract.RunRequest{BatchSize: extract.MaxBatchSize}); err != nil {
		s.t.Fatal(err)
	}
	have, _, err := s.store.Patterns(s.t.Context(), extract.PatternQuery{PageQuery: extract.PageQuery{Limit: extract.MaxPage}})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range n - len(have) {
		p := have[i%len(have)]
		p.ExtractedAt = evalforge.At(time.Now())
		raw := evalforge.RawTrace{TraceID: fmt.Sprintf("more-%05d", i), FetchedAt: p.ExtractedAt, FailureType: "unknown", RecurrenceCount: 1, Payload: []byte(`{"text":"x"}`)}
		if _, err := s.store.PutTrace(s.t.Context(), raw); err != nil {
			s.t.Fatal(err)
		}
		c := claimOne(s.t, s)
		if err := s.store.Commit(s.t.Context(), c.Lease, resultOf(c, p)); err != nil {
			s.t.Fatal(err)
		}
	}
}
