package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

const (
	sqlAnswer = `SELECT doc FROM answers WHERE key = ?1`

	sqlSaveAnswer = `INSERT INTO answers (key, trace_id, saved_at, doc) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (key) DO UPDATE SET trace_id = ?2, saved_at = ?3, doc = ?4`

	sqlHistory = `SELECT doc FROM pattern_history WHERE trace_id = ?1 ORDER BY n DESC LIMIT ?2`

	sqlReopenTrace = `UPDATE raw_traces SET processed_at = '',
			doc = CASE WHEN json_valid(doc) THEN json_remove(json_set(doc, '$.processed', json('false')), '$.processed_at') ELSE doc END
		WHERE trace_id = ?1`

	sqlReopenState = `UPDATE extraction_state SET status = 'ready', attempts = 0, retry_at = '', quarantined_at = '',
			extracted_digest = '', updated_at = ?2, anew_since = ?2
		WHERE trace_id = ?1`
)

// Answer implements [extract.Answers].
func (db *DB) Answer(ctx context.Context, key string) (extract.KeptAnswer, error) {
	if err := store.CheckAnswerKey(key); err != nil {
		return extract.KeptAnswer{}, fmt.Errorf("answer: %w", err)
	}
	return get[extract.KeptAnswer](ctx, db, "answers", sqlAnswer, key)
}

// SaveAnswer implements [extract.Answers].
func (db *DB) SaveAnswer(ctx context.Context, a extract.KeptAnswer) error {
	doc, err := store.EncodeKeptAnswer(a)
	if err != nil {
		return fmt.Errorf("save answer: %w", err)
	}
	err = db.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, sqlSaveAnswer, a.Key, a.TraceID, a.SavedAt.String(), string(doc)); err != nil {
			return err
		}
		return expire(ctx, tx, sqlExpireAnswers, a.SavedAt.Time)
	})
	return db.explain(ctx, "save answer", err)
}

// History implements [extract.Reviser]. A trigger fills it: see the migration.
func (db *DB) History(ctx context.Context, traceID string, limit int) ([]evalforge.Pattern, error) {
	if err := store.HistoryLimit(limit); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	op := "history of " + traceID
	rows, err := db.r.QueryContext(ctx, sqlHistory, traceID, limit)
	if err != nil {
		return nil, db.explain(ctx, op, err)
	}
	defer rows.Close()
	list := []evalforge.Pattern{}
	for rows.Next() {
		var doc []byte
		if err := rows.Scan(&doc); err != nil {
			return nil, db.explain(ctx, op, err)
		}
		p, err := store.Decode[evalforge.Pattern]("history", traceID, doc)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, db.explain(ctx, op, rows.Err())
}

// Reopen implements [extract.Reviser].
func (db *DB) Reopen(ctx context.Context, traceID string, now time.Time) error {
	err := db.write(ctx, func(tx *sql.Tx) error {
		var status string
		_, err := scanState(tx.QueryRowContext(ctx, sqlState, traceID).Scan, &status)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return store.NotFound("raw_traces", traceID)
		case err != nil:
			return err
		case status != "processed":
			return store.Unprocessed(traceID)
		}
		if _, err := tx.ExecContext(ctx, sqlReopenTrace, traceID); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, sqlReopenState, traceID, text(now))
		return err
	})
	return db.explain(ctx, "reopen", err)
}
