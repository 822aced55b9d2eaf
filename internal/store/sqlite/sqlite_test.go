package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/storetest"
)

// open opens a store that is closed with the test.
func open(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t testing.TB, db *DB, query string, args ...any) {
	t.Helper()
	if _, err := db.w.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open: func(t *testing.T) extract.Store { return open(t, filepath.Join(t.TempDir(), "a b?#%41.db")) },
		Ingest: func(t *testing.T, s extract.Store, tr evalforge.RawTrace) {
			if _, err := s.(*DB).put(t.Context(), tr, true); err != nil {
				t.Fatal(err)
			}
		},
		Remove: func(t *testing.T, s extract.Store, id string) {
			mustExec(t, s.(*DB), "DELETE FROM raw_traces WHERE trace_id = ?", id)
		},
		Malform: func(t *testing.T, s extract.Store, id string) {
			mustExec(t, s.(*DB), `UPDATE raw_traces SET doc = '{"fetched_at": 17}' WHERE trace_id = ?`, id)
		},
		Another: func(t *testing.T, s extract.Store) extract.Store { return open(t, s.(*DB).path) },
	})
}
