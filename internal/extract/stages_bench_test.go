package extract_test

import (
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/rules"
)

// BenchmarkStages is what a median trace (20 KB) costs in each stage, with a model that
// answers at once: what EvalForge itself takes per trace is their sum. The stages are
// those of a trace's outcome; claiming, and budgets where there are some, come on top.
func BenchmarkStages(b *testing.B) {
	raw := conversation("median", 20<<10)
	b.Run("prepare", func(b *testing.B) {
		p := benchEngine(b, nil, rules.New()).Pipeline
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Prepare(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("prepare+analyze+finish", func(b *testing.B) {
		p := benchEngine(b, nil, answering(good())).Pipeline
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Extract(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("reuse", func(b *testing.B) { // on top: the digest of the input, and a kept answer
		s := openSQLite(b)
		e := benchEngine(b, s, versioned{answering(good())})
		e.Pipeline.Reuse = extract.NewReuse(s, e.Log)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.Pipeline.Extract(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("claim+commit", benchStore)
	b.Run("budget", func(b *testing.B) {
		s := openSQLite(b)
		r := extract.Reservation{At: time.Unix(1767322800, 0), Most: extract.Amount{NanoUSD: 1, Tokens: 1},
			Windows: []extract.Window{{Name: "run/run_1"}, {Name: "day/2026-01-02"}}}
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			r.ID = time.Duration(n).String()
			if err := s.Reserve(b.Context(), r); err != nil {
				b.Fatal(err)
			}
			if err := s.Settle(b.Context(), r, extract.Amount{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// versioned makes a scripted analyzer one whose answers can be kept.
type versioned struct{ *scripted }

func (versioned) Version() string { return "1" }

// benchStore is the store's part of a trace, on SQLite: claim and commit.
func benchStore(b *testing.B) {
	s := openSQLite(b)
	l := newBacklog(b, s, 0, 20<<10)
	e := benchEngine(b, s, rules.New())
	p, err := e.Pipeline.Extract(b.Context(), l.t)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		l.add(1)
		b.StartTimer()
		now := time.Unix(1767322800+int64(n), 0)
		claims, err := s.Claim(b.Context(), extract.ClaimRequest{RunID: "run_1", Owner: "bench", Limit: 1, Now: now, LeaseUntil: now.Add(time.Minute),
			NewToken: func() string { return time.Duration(n).String() }})
		if err != nil || len(claims) != 1 {
			b.Fatal(len(claims), err)
		}
		pat := p.Pattern
		pat.SourceTraceID, pat.PatternID = claims[0].TraceID, "pattern_"+claims[0].TraceID
		if err := s.Commit(b.Context(), claims[0].Lease, extract.Result{Pattern: &pat, Digest: claims[0].Digest, At: now}); err != nil {
			b.Fatal(err)
		}
	}
}
