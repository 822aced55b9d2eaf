package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/evalforge/evalforge/internal/store"
)

// Kept answers, and reservations that nobody settled, go when they are older than
// [store.Retention]. Whatever adds one deletes the oldest of its kind with it, in the same
// transaction and by the same clock, so that nothing else has to run, a crash leaves
// nothing half done, and no write takes long.
const (
	sqlExpireAnswers = `DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE saved_at < ?1 ORDER BY saved_at LIMIT ?2)`

	// The window goes on counting what was reserved.
	sqlExpireReservations = `DELETE FROM ledger_reservations WHERE (name, id) IN
		(SELECT name, id FROM ledger_reservations WHERE at < ?1 ORDER BY at LIMIT ?2)`
)

// expireAtOnce bounds the rows that one write deletes. It adds fewer.
const expireAtOnce = 16

// expire deletes what is too old by now with one of the statements above.
func expire(ctx context.Context, tx *sql.Tx, statement string, now time.Time) error {
	_, err := tx.ExecContext(ctx, statement, text(now.Add(-store.Retention)), expireAtOnce)
	return err
}
