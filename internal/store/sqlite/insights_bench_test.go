package sqlite

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// seedPatterns writes n patterns of a usual size, over 100 days, in one transaction.
func seedPatterns(b *testing.B, db *DB, n int) {
	b.Helper()
	tx, err := db.w.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	put, err := tx.Prepare(sqlPutPattern)
	if err != nil {
		b.Fatal(err)
	}
	types, severities := evalforge.FailureTypes(), evalforge.Severities()
	for i := range n {
		p := testPattern(fmt.Sprintf("t%09d", i), benchStart.Add(time.Duration(i)*(100*24*time.Hour/time.Duration(n))))
		p.FailureType, p.Severity = types[i%len(types)], severities[i%7%4]
		p.Fingerprint = fmt.Sprintf("fp-%d", i%400)
		p.TriggerCondition = fmt.Sprintf("condition %c", 'a'+i%26)
		p.Confidence = float64(i%100) / 100
		p.Summary = strings.Repeat(fmt.Sprintf("The planner asked tool%d for a fare and was given none, word%d. ", i%50, i), 8)
		p.RootCauseHypothesis = strings.Repeat("The deadline of the gateway is shorter than that of the tool. ", 8)
		p.Provenance.ServiceName = fmt.Sprintf("service-%d", i%20)
		p.Provenance.Model, p.Provenance.RunID = "gemini-2.5-flash", fmt.Sprintf("run_%d", i/50)
		doc, err := store.Encode(p)
		if err != nil {
			b.Fatal(err)
		}
		_, err = put.Exec(p.SourceTraceID, p.ExtractedAt.String(), string(p.FailureType), string(p.Severity), p.Fingerprint, string(doc),
			p.TriggerCondition, p.Provenance.ServiceName, p.Provenance.Model, p.Provenance.RunID, p.Confidence, i%3 == 0)
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	mustExec(b, db, "PRAGMA wal_checkpoint(TRUNCATE)")
}

// BenchmarkPatterns asks 100,000 patterns what pages ask. Each must answer in less than
// 50 milliseconds.
func BenchmarkPatterns(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "x.db"))
	seedPatterns(b, db, 100_000)
	yes := true
	page := extract.PageQuery{Limit: 50}
	month := extract.StatsQuery{Since: benchStart.Add(60 * 24 * time.Hour), Until: benchStart.Add(90 * 24 * time.Hour)}
	for _, bm := range []struct {
		name string
		q    extract.PatternQuery
	}{
		{"newest", extract.PatternQuery{}},
		{"oldest", extract.PatternQuery{Sort: extract.Oldest}},
		{"confidence", extract.PatternQuery{Sort: extract.ByConfidence}},
		{"severity", extract.PatternQuery{Sort: extract.BySeverity}},
		{"type", extract.PatternQuery{FailureType: evalforge.ClientError}},
		{"run", extract.PatternQuery{RunID: "run_1234"}},
		{"fingerprint", extract.PatternQuery{Fingerprint: "fp-7"}},
		{"many filters", extract.PatternQuery{FailureType: evalforge.ClientError, Severity: evalforge.High, Service: "service-7", MinConfidence: 0.5, Verified: &yes}},
		{"nothing passes", extract.PatternQuery{Service: "unknown"}},
		{"nothing passes by confidence", extract.PatternQuery{Service: "unknown", Sort: extract.ByConfidence}},
		{"nothing of a type passes", extract.PatternQuery{FailureType: evalforge.ClientError, Service: "unknown"}},
		{"rare word", extract.PatternQuery{Text: "word77123"}},
		{"word of 2000", extract.PatternQuery{Text: "tool7 fare"}},
		{"word of all", extract.PatternQuery{Text: "planner"}},
		{"word of all, nothing passes", extract.PatternQuery{Text: "planner", Service: "unknown"}},
		{"word that only Go knows", extract.PatternQuery{Text: "日本"}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			bm.q.PageQuery = page
			for b.Loop() {
				if _, _, err := db.Patterns(b.Context(), bm.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.Pattern(b.Context(), "t000077123"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stats of a month", func(b *testing.B) {
		for b.Loop() {
			if s, err := db.PatternStats(b.Context(), month); err != nil || len(s.Counts) < 100 {
				b.Fatal(s, err)
			}
		}
	})
	b.Run("groups of a month", func(b *testing.B) {
		for b.Loop() {
			if g, err := db.Groups(b.Context(), extract.GroupQuery{StatsQuery: month}); err != nil || len(g.List) != 10 {
				b.Fatal(g, err)
			}
		}
	})
}
