package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// commitPattern takes a pattern through the store.
func commitPattern(t *testing.T, db *DB, p evalforge.Pattern, payload string) {
	t.Helper()
	if _, err := db.PutTrace(t.Context(), evalforge.RawTrace{TraceID: p.SourceTraceID, Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
	claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "run " + payload, Limit: 1, Now: benchStart, LeaseUntil: benchStart.Add(time.Minute),
		NewToken: func() string { return "token " + payload }})
	if err != nil || len(claims) != 1 {
		t.Fatalf("got %d claims and error %v", len(claims), err)
	}
	if err := db.Commit(t.Context(), claims[0].Lease, extract.Result{Pattern: &p, Digest: claims[0].Digest, At: benchStart}); err != nil {
		t.Fatal(err)
	}
}

// The words of a pattern that was replaced are nowhere in the file, not even in the
// index of words.
func TestReplacedWordsAreGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	p := testPattern("a", benchStart)
	p.Summary = "qzv7marker and others"
	commitPattern(t, db, p, `{"n":1}`)
	if b, err := os.ReadFile(path + "-wal"); err != nil || !bytes.Contains(b, []byte("qzv7marker")) {
		t.Fatalf("the pattern was not written as this test thinks: %v", err)
	}
	p.Summary = "harmless"
	commitPattern(t, db, p, `{"n":2}`)
	if _, err := db.w.Exec("DELETE FROM pattern_history"); err != nil { // which keeps it by intent
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("zv7marker")) {
		t.Error("the file still holds a word that was replaced")
	}
}

// A pattern that an earlier version stored is found like one stored today.
func TestMigratedPatterns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	p := testPattern("a", benchStart)
	p.TriggerCondition, p.Confidence, p.Severity = "Tool times out", 0.75, evalforge.High
	p.Evidence.Refs = []evalforge.EvidenceRef{{Quote: "a quote", Verified: true, Match: "exact"}}
	p.Provenance.ServiceName, p.Provenance.Model, p.Provenance.RunID = "bot", "gemini-2.5-flash", "run_9"
	commitPattern(t, db, p, `{"n":1}`)
	for _, undo := range []string{
		"DROP TRIGGER failure_patterns_inserted", "DROP TRIGGER failure_patterns_updating", "DROP TRIGGER failure_patterns_updated",
		"DROP TRIGGER failure_patterns_deleting", "DROP TABLE pattern_text", "DROP VIEW pattern_search", "DROP TABLE pattern_days",
		"DROP INDEX failure_patterns_newest", "DROP INDEX failure_patterns_confidence", "DROP INDEX failure_patterns_severity_rank",
		"DROP INDEX failure_patterns_trigger", "DROP INDEX failure_patterns_run",
		"ALTER TABLE failure_patterns DROP COLUMN severity_rank", "ALTER TABLE failure_patterns DROP COLUMN verified",
		"ALTER TABLE failure_patterns DROP COLUMN confidence", "ALTER TABLE failure_patterns DROP COLUMN run_id",
		"ALTER TABLE failure_patterns DROP COLUMN model", "ALTER TABLE failure_patterns DROP COLUMN service_name",
		"ALTER TABLE failure_patterns DROP COLUMN trigger_label",
		"CREATE INDEX failure_patterns_newest ON failure_patterns (extracted_at, trace_id)",
		"DELETE FROM schema_migrations WHERE name = 'migrations/0004_insights.sql'",
	} {
		if _, err := db.w.Exec(undo); err != nil {
			t.Fatalf("%s: %v", undo, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	yes := true
	got, _, err := db.Patterns(t.Context(), extract.PatternQuery{TriggerCondition: "tool times out", MinConfidence: 0.75, Severity: evalforge.High,
		Service: "bot", Model: "gemini-2.5-flash", RunID: "run_9", Verified: &yes, Text: "unknown"})
	if err != nil || len(got) != 0 {
		t.Errorf("by a word it does not have: got %d patterns and error %v", len(got), err)
	}
	got, _, err = db.Patterns(t.Context(), extract.PatternQuery{TriggerCondition: "tool times out", MinConfidence: 0.75, Severity: evalforge.High,
		Service: "bot", Model: "gemini-2.5-flash", RunID: "run_9", Verified: &yes, Text: "times", Sort: extract.BySeverity})
	if err != nil || len(got) != 1 {
		t.Errorf("got %d patterns and error %v, want 1", len(got), err)
	}
	stats, err := db.PatternStats(t.Context(), extract.StatsQuery{})
	want := extract.Stats{Counts: []extract.Count{{Day: extract.Day(benchStart), FailureType: p.FailureType, Severity: p.Severity, Count: 1}}, Complete: true}
	if d := cmp.Diff(want, stats); d != "" || err != nil {
		t.Errorf("stats: error %v (-want +got):\n%s", err, d)
	}
	p.Title = "another"
	commitPattern(t, db, p, `{"n":2}`)
}
