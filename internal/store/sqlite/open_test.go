package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/evalforge/evalforge"
)

// wantError checks that err says each of the words.
func wantError(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: got no error", what)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: got error %q, want it to say %q", what, err, w)
		}
	}
}

func TestOpenRefusesPaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, words := range map[string][]string{
		"":                                 {"sqlite:FILE"},
		":memory:":                         {"mem:"},
		"file::memory:?cache=shared":       {"plain path"},
		dir:                                {dir, "is a folder"},
		filepath.Join(dir, "no", "x.db"):   {filepath.Join(dir, "no"), "does not exist", "create it"},
		filepath.Join(file, "x.db"):        {"not a directory"},
		filepath.Join(dir, "x\x00y.db"):    {"not a file name"},
		dir + strings.Repeat("/long", 999): {"too long"},
	} {
		db, err := Open(t.Context(), path)
		wantError(t, fmt.Sprintf("open %.60q", path), err, words...)
		if db != nil {
			t.Errorf("open %.60q: got a store with the error", path)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the refused paths left %v, %v behind", entries, err)
	}
}

// Files that are not ours are refused, and left as they are.
func TestOpenRefusesForeignFiles(t *testing.T) {
	for _, tt := range []struct {
		name  string
		make  func(t *testing.T, path string)
		words []string
	}{
		{"text", func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("not a database\n"), 100), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"is not an SQLite database", "choose another file"}},
		{"another program's", func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec("CREATE TABLE photos (id INTEGER)"); err != nil {
				t.Fatal(err)
			}
		}, []string{"of another program", "choose another file"}},
		{"a newer version's", func(t *testing.T, path string) {
			db := open(t, path)
			mustExec(t, db, "INSERT INTO schema_migrations VALUES ('migrations/9999_future.sql', '')")
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}, []string{"newer version of evalforge", "9999_future", "update evalforge"}},
		{"another build's", func(t *testing.T, path string) {
			db := open(t, path)
			mustExec(t, db, "UPDATE schema_migrations SET sha256 = 'other'")
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}, []string{"another build of evalforge", "0001_initial"}},
		{"damaged", func(t *testing.T, path string) {
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 100; i < len(b); i++ {
				b[i] = 0xa5
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"is damaged", ".recover"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			tt.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(t.Context(), path)
			wantError(t, "open", err, append(tt.words, path)...)
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenTwiceAndAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	db := open(t, path)
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.r.QueryRow("SELECT count(*) FROM schema_migrations").Scan(&n); err != nil || n != len(files) {
		t.Errorf("%d migrations are recorded, error %v, want %d", n, err, len(files))
	}
}

func TestOpenCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, filepath.Join(t.TempDir(), "x.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want canceled", err)
	}
}

func TestPragmas(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "foreign_keys": "1", "busy_timeout": "30000",
	} {
		var got string
		if err := db.w.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %q and error %v, want %q", pragma, got, err, want)
		}
	}
}

func TestFileIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // has no such modes
	}
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	if _, err := db.PutTrace(t.Context(), evalforge.RawTrace{TraceID: "a"}); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("x.db%s: mode %o, want 600", suffix, got)
		}
	}
}

// Content that was replaced is nowhere in the files once the store is closed.
func TestReplacedContentIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	secret := "marker-" + strings.Repeat("s3cr3t", 2000) // spills to overflow pages
	for i, text := range []string{secret, "harmless"} {
		for _, id := range []string{"a", "b", "c"} {
			tr := evalforge.RawTrace{TraceID: id, RecurrenceCount: i, Payload: fmt.Appendf(nil, `{"text":%q}`, text)}
			if _, err := db.PutTrace(t.Context(), tr); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log is still there after Close: %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("s3cr3t")) {
		t.Error("the file still holds the replaced content")
	}
}

func TestDiskFull(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	put := func(id string, size int) error {
		_, err := db.PutTrace(t.Context(), evalforge.RawTrace{TraceID: id, Payload: fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", size))})
		return err
	}
	if err := put("before", 10); err != nil {
		t.Fatal(err)
	}
	var pages int
	if err := db.w.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, fmt.Sprintf("PRAGMA max_page_count = %d", pages+2))
	wantError(t, "put on a full disk", put("large", 100_000), "put trace large", db.path, "full", "free some space")
	if _, err := db.Trace(t.Context(), "large"); !errors.Is(err, evalforge.ErrNotFound) {
		t.Errorf("the failed put left something behind: %v", err)
	}
	mustExec(t, db, fmt.Sprintf("PRAGMA max_page_count = %d", pages+1000))
	if err := put("large", 100_000); err != nil {
		t.Errorf("put after space was freed: %v", err)
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, other := open(t, path), open(t, path)
	tx, err := other.w.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := db.PutTrace(ctx, evalforge.RawTrace{TraceID: "a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("put with a deadline: got error %v, want the deadline's", err)
	}
	if waited := time.Since(start); waited > 5*time.Second {
		t.Errorf("put with a deadline of 50 ms took %v", waited)
	}
	if _, err := db.Trace(t.Context(), "a"); !errors.Is(err, evalforge.ErrNotFound) {
		t.Errorf("reading while another writes: got error %v, want not found", err)
	}
	mustExec(t, db, "PRAGMA busy_timeout = 5")
	_, err = db.PutTrace(t.Context(), evalforge.RawTrace{TraceID: "a"})
	wantError(t, "put", err, path, "locked by another process", "fuser")
}

func TestReadOnly(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	mustExec(t, db, "PRAGMA query_only = 1") // fails as a read-only file does
	_, err := db.PutTrace(t.Context(), evalforge.RawTrace{TraceID: "a"})
	wantError(t, "put", err, db.path, "read-only", "writable")
}

func TestHints(t *testing.T) {
	db := &DB{path: "x.db"}
	for _, code := range []int{sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} {
		if hint := db.hint(code); !strings.Contains(hint, "x.db") || !strings.Contains(hint, ";") {
			t.Errorf("code %d: got hint %q, want the file, what is wrong and what to do", code, hint)
		}
	}
	if got := db.hint(sqlite3.SQLITE_CONSTRAINT); got != "" {
		t.Errorf("a bug of ours is explained as %q", got)
	}
}
