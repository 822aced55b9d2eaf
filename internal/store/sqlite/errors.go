package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// explain says what err means and what to do about it. Once ctx is done, that is the
// reason, whatever SQLite made of it.
func (db *DB) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	if hint := db.hint(code(err)); hint != "" {
		return fmt.Errorf("%s: %s: %w", op, hint, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// hint says what a primary result code of SQLite means for the file, or "".
func (db *DB) hint(code int) string {
	switch code {
	case sqlite3.SQLITE_NOTADB:
		return db.path + " is not an SQLite database; choose another file"
	case sqlite3.SQLITE_CORRUPT:
		return db.path + " is damaged; restore it from a copy, or save what can be read with: sqlite3 FILE .recover"
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return db.path + " cannot be opened; check that the file and its folder exist and may be written to by this user"
	case sqlite3.SQLITE_READONLY:
		return db.path + " or its folder is read-only; make both writable, or choose another file"
	case sqlite3.SQLITE_FULL:
		return "the disk with " + db.path + " is full; nothing of this was written; free some space and repeat"
	case sqlite3.SQLITE_IOERR:
		return "the disk with " + db.path + " failed; nothing of this was written; check the disk and its free space"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Sprintf("%s has been locked by another process for %s; find it (fuser %[1]s) and end it", db.path, busyTimeout)
	}
	return ""
}

// code returns the primary result code of SQLite in err's chain, or 0.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

func isBusy(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_BUSY || c == sqlite3.SQLITE_LOCKED
}
