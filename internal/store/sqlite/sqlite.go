// Package sqlite is the store in one SQLite file: the default on a laptop, and for one
// machine in production. Any number of processes on the same machine may share the file.
//
// # Durability
//
// The file is in WAL mode with synchronous=FULL: a method that returned nil has reached
// the disk, and survives kill -9 as well as a power cut. (NORMAL would be faster, but
// a power cut could take back the last commits, with answers in them that a model was
// paid for.) A transaction that was cut short leaves nothing behind.
//
// # What stays in the file
//
// secure_delete is on: content that is replaced or deleted is overwritten with zeros in
// the database file. The write-ahead log beside it (-wal) may hold older versions of a
// document until it is checkpointed, which [DB.Close] does. The file is made readable
// by its owner only.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite"

	"github.com/evalforge/evalforge/internal/extract"
)

// busyTimeout is how long a call waits for another process's write before it gives up.
// Writes take milliseconds; a lock held this long is held by something that hangs.
const busyTimeout = 30 * time.Second

// A DB is an open store. Writes go through one connection, one after the other, as
// SQLite wants them; reads see the last committed state and never wait for a write.
type DB struct {
	path string
	w    *sql.DB // one connection
	r    *sql.DB
}

var _ extract.Store = (*DB)(nil)

// Open opens the store in the file at path, and makes the file and its tables if they
// do not exist. The folder must exist. A file that is not an EvalForge database, or
// that a newer version wrote, is refused and left alone.
func Open(ctx context.Context, path string) (*DB, error) {
	created, err := checkPath(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db := &DB{path: path}
	db.w, err = sql.Open("sqlite", dsn(path, "foreign_keys(1)", "synchronous(FULL)", "secure_delete(1)",
		"temp_store(MEMORY)", "journal_size_limit(16777216)")+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db.w.SetMaxOpenConns(1)
	db.r, err = sql.Open("sqlite", dsn(path, "query_only(1)"))
	if err != nil {
		db.w.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	db.r.SetMaxOpenConns(4)
	if err := db.prepare(ctx, created); err != nil {
		db.r.Close()
		db.w.Close()
		return nil, db.explain(ctx, "open store", err)
	}
	return db, nil
}

// checkPath reports a path at which there can be no database, and whether there is none
// yet. It does not open the file: closing it again would drop the locks that another
// store in this process may have on it.
func checkPath(path string) (created bool, err error) {
	switch {
	case path == "":
		return false, errors.New("no file given; use sqlite:FILE")
	case strings.HasPrefix(path, ":"):
		return false, fmt.Errorf("%q is not a file; use mem: for a store in memory", path)
	case strings.HasPrefix(path, "file:"):
		return false, fmt.Errorf("%q is an URI; give the plain path of a file", path)
	case strings.ContainsRune(path, 0):
		return false, fmt.Errorf("%q is not a file name", path)
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return false, fmt.Errorf("%s is a folder; give a file in it, such as %s", path, filepath.Join(path, "evalforge.db"))
	case err == nil && !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a regular file; give another path", path)
	case err == nil:
		return false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("the folder %s of %s does not exist; create it first", dir, path)
	}
	return true, nil
}

// dsn names the file as SQLite wants it: a URI, so that no character of the path is
// taken for a parameter.
func dsn(path string, pragmas ...string) string {
	q := fmt.Sprintf("?_pragma=busy_timeout(%d)", busyTimeout.Milliseconds())
	for _, p := range pragmas {
		q += "&_pragma=" + p
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + q
}

// prepare makes the opened file ready for use.
func (db *DB) prepare(ctx context.Context, created bool) error {
	if err := db.checkOurs(ctx); err != nil {
		return err
	}
	if created {
		if err := os.Chmod(db.path, 0o600); err != nil {
			return err
		}
	}
	if err := db.enableWAL(ctx); err != nil {
		return err
	}
	return db.migrate(ctx)
}

// applicationID is what [migrations/0001_initial.sql] writes into the file's header.
const applicationID = 1163281222

// checkOurs refuses a database of another program.
func (db *DB) checkOurs(ctx context.Context) error {
	var id, tables int
	if err := db.w.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if err := db.w.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if tables > 0 && id != applicationID {
		return fmt.Errorf("%s is the SQLite database of another program; choose another file", db.path)
	}
	return nil
}

// enableWAL puts the file into WAL mode, in which it stays. The change needs the file
// alone for a moment, and SQLite does not wait for that: processes that open a new file
// at the same time get in each other's way.
func (db *DB) enableWAL(ctx context.Context) error {
	var mode string
	for attempt := 0; ; attempt++ {
		err := db.w.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return fmt.Errorf("%s cannot be in WAL mode (it is in mode %q); put it on a local disk", db.path, mode)
		case !isBusy(err) || attempt == 200:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close writes the log back into the file, so that the file alone is complete, and
// closes it. While another process has the file open, the log stays with that one.
func (db *DB) Close() error {
	// Busy is no failure: the other process checkpoints when it closes.
	_, checkpoint := db.w.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	if isBusy(checkpoint) || errors.Is(checkpoint, sql.ErrConnDone) {
		checkpoint = nil
	}
	if err := errors.Join(checkpoint, db.r.Close(), db.w.Close()); err != nil {
		return fmt.Errorf("close store %s: %w", db.path, err)
	}
	return nil
}

// String names the store as settings do.
func (db *DB) String() string { return "sqlite:" + db.path }

// InstallationKey implements [extract.Store].
func (db *DB) InstallationKey(ctx context.Context) ([]byte, error) {
	const get = "SELECT value FROM meta WHERE name = 'installation_key'"
	var key []byte
	err := db.r.QueryRowContext(ctx, get).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		err = db.write(ctx, func(tx *sql.Tx) error {
			fresh := make([]byte, 32)
			rand.Read(fresh) // never fails
			// Another process may have been faster; its key is the one.
			if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO meta VALUES ('installation_key', ?)", fresh); err != nil {
				return err
			}
			return tx.QueryRowContext(ctx, get).Scan(&key)
		})
	}
	if err != nil {
		return nil, db.explain(ctx, "installation key", err)
	}
	return key, nil
}

// write runs fn in a transaction that has the write lock from its start, and commits.
// When fn or the commit fails, nothing is written.
func (db *DB) write(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := db.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		// The transaction is gone one way or the other; err is what matters.
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}
