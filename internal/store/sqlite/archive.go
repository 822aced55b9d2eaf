package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

const (
	sqlDigest = `SELECT digest FROM raw_traces WHERE trace_id = ?1`

	sqlInsertTrace = `INSERT INTO raw_traces (trace_id, digest, processed_at, doc) VALUES (?1, ?2, '', ?3)`

	sqlInsertState = `INSERT INTO extraction_state (trace_id, status, fetched_at) VALUES (?1, 'ready', ?2)`

	sqlReplaceTrace = `UPDATE raw_traces SET digest = ?2, processed_at = '', doc = ?3 WHERE trace_id = ?1`

	// A live lease stays: its holder's commit finds the changed digest.
	sqlRequeueChanged = `UPDATE extraction_state SET fetched_at = ?2, attempts = 0, retry_at = '', quarantined_at = '', status = 'ready'
		WHERE trace_id = ?1`

	sqlRequeueUnchanged = `UPDATE extraction_state SET fetched_at = ?2,
			status = CASE WHEN quarantined_at <> '' THEN 'quarantined' WHEN attempts > 0 THEN 'parked' ELSE 'ready' END
		WHERE trace_id = ?1`

	sqlTrace   = `SELECT doc, processed_at FROM raw_traces WHERE trace_id = ?1`
	sqlPattern = `SELECT doc FROM failure_patterns WHERE trace_id = ?1`
	sqlRun     = `SELECT doc FROM extraction_runs WHERE run_id = ?1`

	sqlDelivered = `SELECT doc FROM extraction_runs WHERE doc ->> '$.delivery.key' = ?1 AND started_at >= ?2
		ORDER BY started_at DESC, run_id DESC LIMIT 1`

	sqlStateColumns = `trace_id, run_id, attempts, lease_owner, lease_token, lease_until, retry_at, quarantined_at,
		last_error, last_error_type, extracted_digest, updated_at, anew_since`

	sqlState = `SELECT ` + sqlStateColumns + `, status FROM extraction_state WHERE trace_id = ?1`

	sqlRetry = `UPDATE extraction_state SET status = 'ready', attempts = 0, retry_at = '', quarantined_at = '', updated_at = ?2
		WHERE trace_id = ?1`

	sqlBacklog = `SELECT
		(SELECT n FROM backlog WHERE status = 'ready'),
		(SELECT n FROM backlog WHERE status = 'parked'),
		(SELECT n FROM backlog WHERE status = 'quarantined'),
		(SELECT n FROM backlog WHERE status = 'processed'),
		(SELECT count(*) FROM extraction_state WHERE status IN ('ready', 'parked') AND due_at <> '' AND due_at > ?1 AND lease_token <> ''),
		(SELECT count(*) FROM extraction_state WHERE status IN ('ready', 'parked') AND due_at <> '' AND due_at > ?1 AND lease_token = ''),
		(SELECT min(fetched_at) FROM extraction_state WHERE status = 'ready' AND status <> 'processed'),
		(SELECT min(fetched_at) FROM extraction_state WHERE status = 'parked' AND status <> 'processed')`
)

// PutTrace implements [extract.Archive].
func (db *DB) PutTrace(ctx context.Context, t evalforge.RawTrace) (extract.PutResult, error) {
	return db.put(ctx, t, false)
}

// put writes a raw trace; one that is unchanged only if always is set.
func (db *DB) put(ctx context.Context, t evalforge.RawTrace, always bool) (extract.PutResult, error) {
	t, err := store.IncomingTrace(t)
	if err != nil {
		return "", fmt.Errorf("put trace: %w", err)
	}
	doc, err := store.Encode(t)
	if err != nil {
		return "", fmt.Errorf("put trace %s: %w", t.TraceID, err)
	}
	digest := t.Digest()
	var result extract.PutResult
	err = db.write(ctx, func(tx *sql.Tx) error {
		var old string
		err := tx.QueryRowContext(ctx, sqlDigest, t.TraceID).Scan(&old)
		if errors.Is(err, sql.ErrNoRows) {
			result = extract.Created
			if _, err := tx.ExecContext(ctx, sqlInsertTrace, t.TraceID, digest, string(doc)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, sqlInsertState, t.TraceID, t.FetchedAt.String())
			return err
		}
		if err != nil {
			return err
		}
		if old == digest && !always {
			result = extract.Unchanged
			return nil
		}
		result = extract.Replaced
		if _, err := tx.ExecContext(ctx, sqlReplaceTrace, t.TraceID, digest, string(doc)); err != nil {
			return err
		}
		requeue := sqlRequeueChanged
		if old == digest {
			requeue = sqlRequeueUnchanged
		}
		_, err = tx.ExecContext(ctx, requeue, t.TraceID, t.FetchedAt.String())
		return err
	})
	if err != nil {
		return "", db.explain(ctx, "put trace "+t.TraceID, err)
	}
	return result, nil
}

// Trace implements [extract.Archive].
func (db *DB) Trace(ctx context.Context, id string) (evalforge.RawTrace, error) {
	var doc []byte
	var processedAt string
	err := db.r.QueryRowContext(ctx, sqlTrace, id).Scan(&doc, &processedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return evalforge.RawTrace{}, store.NotFound("raw_traces", id)
	}
	if err != nil {
		return evalforge.RawTrace{}, db.explain(ctx, "trace "+id, err)
	}
	return decodeTrace(id, doc, processedAt)
}

// Pattern implements [extract.Archive].
func (db *DB) Pattern(ctx context.Context, traceID string) (evalforge.Pattern, error) {
	return get[evalforge.Pattern](ctx, db, "failure_patterns", sqlPattern, traceID)
}

// Run implements [extract.Archive].
func (db *DB) Run(ctx context.Context, runID string) (evalforge.Run, error) {
	return get[evalforge.Run](ctx, db, "extraction_runs", sqlRun, runID)
}

// Delivered implements [extract.Archive].
func (db *DB) Delivered(ctx context.Context, key string, since time.Time) (evalforge.Run, error) {
	return get[evalforge.Run](ctx, db, "extraction_runs", sqlDelivered, key, evalforge.At(since).String())
}

func get[T any](ctx context.Context, db *DB, collection, query, id string, more ...any) (T, error) {
	var doc []byte
	var zero T
	err := db.r.QueryRowContext(ctx, query, append([]any{id}, more...)...).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return zero, store.NotFound(collection, id)
	}
	if err != nil {
		return zero, db.explain(ctx, collection+"/"+id, err)
	}
	return store.Decode[T](collection, id, doc)
}

// Runs implements [extract.Archive].
func (db *DB) Runs(ctx context.Context, q extract.PageQuery) ([]evalforge.Run, string, error) {
	return list(ctx, db, runsQuery(), q, decodeDoc[evalforge.Run])
}

// Errors implements [extract.Archive].
func (db *DB) Errors(ctx context.Context, q extract.ErrorQuery) ([]evalforge.ExtractionError, string, error) {
	return list(ctx, db, errorsQuery(q), q.PageQuery, decodeDoc[evalforge.ExtractionError])
}

// States implements [extract.Archive].
func (db *DB) States(ctx context.Context, q extract.StateQuery) ([]extract.State, string, error) {
	return list(ctx, db, statesQuery(q), q.PageQuery, func(_ string, rows *sql.Rows) (store.Cursor, extract.State, error) {
		s, err := scanState(rows.Scan)
		return store.Cursor{Time: s.UpdatedAt.String(), ID: s.TraceID}, s, err
	})
}

func runsQuery() listQuery {
	return listQuery{table: "extraction_runs", time: "started_at", id: "run_id"}
}

func errorsQuery(q extract.ErrorQuery) listQuery {
	l := listQuery{table: "extraction_errors", time: "recorded_at", id: "id"}
	l.filter("run_id", q.RunID)
	l.filter("trace_id", q.TraceID)
	return l
}

func statesQuery(q extract.StateQuery) listQuery {
	l := listQuery{table: "extraction_state", time: "updated_at", id: "trace_id", columns: sqlStateColumns}
	if q.Quarantined {
		l.where = append(l.where, "status = 'quarantined'")
	} else {
		l.where = append(l.where, "updated_at <> ''")
	}
	return l
}

// A listQuery is a list by time and id, newest first.
type listQuery struct {
	table, time, id string
	columns         string // by default time, id and doc
	where           []string
	args            []any
}

// filter keeps the rows whose column is value, if value is not empty.
func (l *listQuery) filter(column, value string) {
	if value != "" {
		l.where = append(l.where, column+" = ?")
		l.args = append(l.args, value)
	}
}

// page returns the statement for at most limit rows after a place.
func (l listQuery) page(limit int, after *store.Cursor) (string, []any) {
	if l.columns == "" {
		l.columns = l.time + ", " + l.id + ", doc"
	}
	if after != nil {
		l.where = append(l.where, fmt.Sprintf("(%s, %s) < (?, ?)", l.time, l.id))
		l.args = append(l.args, after.Time, after.ID)
	}
	query := "SELECT " + l.columns + " FROM " + l.table
	if len(l.where) > 0 {
		query += " WHERE " + strings.Join(l.where, " AND ")
	}
	query += fmt.Sprintf(" ORDER BY %s DESC, %s DESC LIMIT ?", l.time, l.id)
	return query, append(l.args, limit)
}

// list returns one page, read row by row with scan.
func list[T any](ctx context.Context, db *DB, l listQuery, q extract.PageQuery,
	scan func(collection string, rows *sql.Rows) (store.Cursor, T, error)) ([]T, string, error) {
	limit, at, err := store.Page(l.table, q)
	if err != nil {
		return nil, "", fmt.Errorf("list %s: %w", l.table, err)
	}
	var after *store.Cursor
	if q.After != "" {
		after = &at
	}
	query, args := l.page(limit+1, after) // one more, to see whether there is a next page
	rows, err := db.r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, "", db.explain(ctx, "list "+l.table, err)
	}
	defer rows.Close()
	page, next := []T{}, ""
	for rows.Next() {
		if len(page) == limit {
			next = at.Encode(l.table)
			break
		}
		place, v, err := scan(l.table, rows)
		if err != nil {
			return nil, "", db.explain(ctx, "list "+l.table, err)
		}
		at, page = place, append(page, v)
	}
	if err := rows.Err(); err != nil {
		return nil, "", db.explain(ctx, "list "+l.table, err)
	}
	return page, next, nil
}

func decodeDoc[T any](collection string, rows *sql.Rows) (store.Cursor, T, error) {
	var place store.Cursor
	var doc []byte
	if err := rows.Scan(&place.Time, &place.ID, &doc); err != nil {
		var zero T
		return place, zero, err
	}
	v, err := store.Decode[T](collection, place.ID, doc)
	return place, v, err
}

func scanState(scan func(...any) error, more ...any) (extract.State, error) {
	var s extract.State
	var leaseUntil, retryAt, quarantinedAt, updatedAt, anewSince string
	err := scan(append([]any{&s.TraceID, &s.RunID, &s.Attempts, &s.LeaseOwner, &s.LeaseToken, &leaseUntil, &retryAt,
		&quarantinedAt, &s.LastError, &s.LastErrorType, &s.ExtractedDigest, &updatedAt, &anewSince}, more...)...)
	if err != nil {
		return s, err
	}
	for _, f := range []struct {
		to   *evalforge.Timestamp
		from string
	}{{&s.LeaseUntil, leaseUntil}, {&s.RetryAt, retryAt}, {&s.QuarantinedAt, quarantinedAt}, {&s.UpdatedAt, updatedAt}, {&s.AnewSince, anewSince}} {
		if *f.to, err = evalforge.ParseTimestamp(f.from); err != nil {
			return s, fmt.Errorf("extraction_state/%s: %w", s.TraceID, err)
		}
	}
	return s, nil
}

// State implements [extract.Archive].
func (db *DB) State(ctx context.Context, traceID string) (extract.State, error) {
	var status string
	s, err := scanState(db.r.QueryRowContext(ctx, sqlState, traceID).Scan, &status)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && s.UpdatedAt.IsZero():
		return extract.State{}, store.NotFound("extraction_state", traceID)
	case err != nil:
		return extract.State{}, db.explain(ctx, "state of "+traceID, err)
	}
	return s, nil
}

// Retry implements [extract.Archive].
func (db *DB) Retry(ctx context.Context, traceID string, now time.Time) error {
	err := db.write(ctx, func(tx *sql.Tx) error {
		var status string
		s, err := scanState(tx.QueryRowContext(ctx, sqlState, traceID).Scan, &status)
		if errors.Is(err, sql.ErrNoRows) {
			return store.NotFound("raw_traces", traceID)
		}
		if err != nil {
			return err
		}
		if err := store.Retryable(traceID, status == "processed", s, evalforge.At(now).Time); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, sqlRetry, traceID, text(now))
		return err
	})
	return db.explain(ctx, "retry", err)
}

// Backlog implements [extract.Archive]. Its cost grows with the number of traces that
// are leased or back off, and with nothing else.
func (db *DB) Backlog(ctx context.Context, now time.Time) (extract.Backlog, error) {
	var b extract.Backlog
	var ready, parked int
	var oldestReady, oldestParked sql.NullString
	err := db.r.QueryRowContext(ctx, sqlBacklog, text(now)).Scan(&ready, &parked, &b.Quarantined, &b.Processed,
		&b.Leased, &b.BackingOff, &oldestReady, &oldestParked)
	if err != nil {
		return b, db.explain(ctx, "backlog", err)
	}
	b.Pending = ready + parked + b.Quarantined
	oldest := oldestReady
	if !oldest.Valid || oldestParked.Valid && oldestParked.String < oldest.String {
		oldest = oldestParked
	}
	if b.OldestDue, err = evalforge.ParseTimestamp(oldest.String); err != nil {
		return b, fmt.Errorf("backlog: oldest trace: %w", err)
	}
	return b, nil
}
