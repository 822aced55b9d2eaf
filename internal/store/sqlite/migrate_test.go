package sqlite

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
)

// A backlog of the first release is claimed in today's order: what had been tried, in
// whatever state, after what had not.
func TestUpgradeKeepsTheBacklog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	w, err := sql.Open("sqlite", dsn(path)+"&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	old := &DB{path: path, w: w}
	if err := old.apply(t.Context(), "migrations/0001_initial.sql"); err != nil {
		t.Fatal(err)
	}
	const past, later = "2026-01-01T00:00:00.000000+00:00", "2026-01-01T00:00:01.000000+00:00"
	for _, row := range [][]any{
		{"given-back", "ready", 1, "", "", ""},
		{"backed-off", "ready", 1, "", "", past}, // made ready by a claim when its time had come
		{"backs-off", "parked", 1, "", "", later},
		{"fresh", "ready", 0, "", "", ""},
		{"changed-while-leased", "parked", 0, "token", past, ""},
	} {
		mustExec(t, old, "INSERT INTO raw_traces VALUES (?1, 'digest', '', '{}')", row[0])
		mustExec(t, old, `INSERT INTO extraction_state (trace_id, status, fetched_at, attempts, lease_token, lease_until, retry_at)
			VALUES (?1, ?2, '', ?3, ?4, ?5, ?6)`, row...)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	db := open(t, path)
	checkBacklogCounts(t, db)
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 10, Now: now, LeaseUntil: now.Add(time.Minute), NewToken: func() string { return "t" }})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range claims {
		got = append(got, c.TraceID)
	}
	if want := []string{"changed-while-leased", "fresh", "given-back", "backed-off", "backs-off"}; !slices.Equal(got, want) {
		t.Errorf("claimed %q, want %q", got, want)
	}
}
