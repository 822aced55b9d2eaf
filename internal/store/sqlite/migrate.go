package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// migrations are applied in the order of their names, each once, each in a transaction
// of its own. One that was released is never changed: a new one follows.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the tables up to date.
func (db *DB) migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, name := range files {
		known[name] = true
		if err := db.apply(ctx, name); err != nil {
			return err
		}
	}
	applied, err := appliedMigrations(ctx, db.w)
	if err != nil {
		return err
	}
	for name := range applied {
		if !known[name] {
			return fmt.Errorf("%s was written by a newer version of evalforge (it has %q, which this version does not know); update evalforge or choose another file", db.path, name)
		}
	}
	return nil
}

// apply applies one migration unless it has been, in this or another process.
func (db *DB) apply(ctx context.Context, name string) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	return db.write(ctx, func(tx *sql.Tx) error {
		const create = "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, sha256 TEXT NOT NULL) STRICT"
		if _, err := tx.ExecContext(ctx, create); err != nil {
			return err
		}
		applied, err := appliedMigrations(ctx, tx)
		if err != nil {
			return err
		}
		switch was, ok := applied[name]; {
		case ok && was != digest:
			return fmt.Errorf("%s was made by another build of evalforge: its migration %q differs from this build's; use that build, or choose another file", db.path, name)
		case ok:
			return nil
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO schema_migrations VALUES (?, ?)", name, digest)
		return err
	})
}

// appliedMigrations returns the digests of the applied migrations by name.
func appliedMigrations(ctx context.Context, q interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) (map[string]string, error) {
	rows, err := q.QueryContext(ctx, "SELECT name, sha256 FROM schema_migrations")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	applied := map[string]string{}
	for rows.Next() {
		var name, digest string
		if err := rows.Scan(&name, &digest); err != nil {
			return nil, err
		}
		applied[name] = digest
	}
	return applied, rows.Err()
}
