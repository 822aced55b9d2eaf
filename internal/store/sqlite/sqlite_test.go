package sqlite

import (
	"os"
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

// newFile returns a function that writes an empty store to a path. Making its tables takes longer than what most tests
// do with them.
func newFile(t *testing.T) func(path string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "empty.db")
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	empty, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(path string) {
		if err := os.WriteFile(path, empty, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// openQuick opens a store that does not wait for the disk. Only after a power cut could that be seen; that stores do
// wait is what TestPragmas holds, and what is left after a crash what TestKill does.
func openQuick(t *testing.T, path string) *DB {
	t.Helper()
	db := open(t, path)
	mustExec(t, db, "PRAGMA synchronous = OFF")
	return db
}

func TestStore(t *testing.T)     { storetest.Run(t, harness(t)) }
func TestHistories(t *testing.T) { storetest.RunHistories(t, harness(t)) }

func harness(t *testing.T) storetest.Harness {
	t.Helper()
	create := newFile(t)
	return storetest.Harness{
		Open: func(t *testing.T) extract.Store {
			path := filepath.Join(t.TempDir(), "a b?#%41.db")
			create(path)
			return openQuick(t, path)
		},
		Ingest: func(t *testing.T, s extract.Store, tr evalforge.RawTrace) {
			if _, err := s.(*DB).put(t.Context(), tr, true); err != nil {
				t.Fatal(err)
			}
		},
		Remove: func(t *testing.T, s extract.Store, id string) {
			mustExec(t, s.(*DB), "DELETE FROM raw_traces WHERE trace_id = ?", id)
		},
		Malform: func(t *testing.T, s extract.Store, id string) {
			mustExec(t, s.(*DB), `UPDATE raw_traces SET doc = '{"service_name": 17}' WHERE trace_id = ?`, id)
		},
		Another: func(t *testing.T, s extract.Store) extract.Store { return openQuick(t, s.(*DB).path) },
	}
}
