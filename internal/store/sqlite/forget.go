package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

const (
	sqlForgetState = `SELECT lease_owner, updated_at <> '' FROM extraction_state WHERE trace_id = ?1`

	// The runs that worked on a trace, as far as its documents name them.
	sqlForgetRuns = `SELECT value, 1 FROM extraction_state s, json_each(s.runs) WHERE s.trace_id = ?1
		UNION SELECT run_id, 0 FROM extraction_errors WHERE trace_id = ?1
		UNION SELECT doc ->> '$.provenance.run_id', 0 FROM failure_patterns WHERE trace_id = ?1
		UNION SELECT doc ->> '$.provenance.run_id', 0 FROM pattern_history WHERE trace_id = ?1`

	// The state goes with the trace.
	sqlForgetTrace   = `DELETE FROM raw_traces WHERE trace_id = ?1`
	sqlForgetPattern = `DELETE FROM failure_patterns WHERE trace_id = ?1`
	sqlForgetHistory = `DELETE FROM pattern_history WHERE trace_id = ?1`
	sqlForgetErrors  = `DELETE FROM extraction_errors WHERE trace_id = ?1`
	sqlForgetAnswers = `DELETE FROM answers WHERE trace_id = ?1`
	sqlForgetReasons = `UPDATE extraction_runs SET doc = ?2 WHERE run_id = ?1`
)

// errKept ends a transaction that is to have no effect.
var errKept = errors.New("nothing is deleted")

// Kept implements [extract.Forgetter]: it forgets, and takes it back.
func (db *DB) Kept(ctx context.Context, traceID string) (f extract.Forgotten, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		if f, err = forget(ctx, tx, traceID); err != nil {
			return err
		}
		return errKept
	})
	if errors.Is(err, errKept) {
		return f, nil
	}
	return extract.Forgotten{}, db.explain(ctx, "look for what is kept of "+traceID, err)
}

// Forget implements [extract.Forgetter], in one transaction.
func (db *DB) Forget(ctx context.Context, traceID string) (f extract.Forgotten, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		f, err = forget(ctx, tx, traceID)
		return err
	})
	if err != nil {
		return extract.Forgotten{}, db.explain(ctx, "forget "+traceID, err)
	}
	return f, nil
}

func forget(ctx context.Context, tx *sql.Tx, traceID string) (f extract.Forgotten, err error) {
	err = tx.QueryRowContext(ctx, sqlForgetState, traceID).Scan(&f.Owner, &f.State)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return f, err
	}
	runs, err := workedOn(ctx, tx, traceID)
	if err != nil {
		return f, err
	}
	for _, id := range runs.IDs() {
		if err := forgetReasons(ctx, tx, id, traceID, runs[id], &f); err != nil {
			return f, err
		}
	}
	var n [5]int64
	for i, query := range []string{sqlForgetTrace, sqlForgetPattern, sqlForgetHistory, sqlForgetErrors, sqlForgetAnswers} {
		if n[i], err = affected(tx.ExecContext(ctx, query, traceID)); err != nil {
			return f, err
		}
	}
	f.Trace, f.Pattern, f.History, f.Errors, f.Answers = n[0] > 0, n[1] > 0, int(n[2]), int(n[3]), int(n[4])
	if f.None() {
		return f, store.NotFound("raw_traces", traceID)
	}
	return f, nil
}

func workedOn(ctx context.Context, tx *sql.Tx, traceID string) (store.WorkedOn, error) {
	rows, err := tx.QueryContext(ctx, sqlForgetRuns, traceID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	runs := store.WorkedOn{}
	for rows.Next() {
		var id sql.NullString
		var claimed bool
		if err := rows.Scan(&id, &claimed); err != nil {
			return nil, err
		}
		runs.Add(id.String, claimed)
	}
	return runs, rows.Err()
}

func forgetReasons(ctx context.Context, tx *sql.Tx, runID, traceID string, claimed bool, f *extract.Forgotten) error {
	var doc []byte
	err := tx.QueryRowContext(ctx, sqlRun, runID).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		if claimed {
			f.OpenRuns = append(f.OpenRuns, runID)
		}
		return nil
	}
	if err != nil {
		return err
	}
	run, err := store.Decode[evalforge.Run]("extraction_runs", runID, doc)
	if err != nil {
		return err
	}
	n := store.ForgetReasons(&run, traceID)
	if n == 0 {
		return nil
	}
	f.Reasons += n
	if doc, err = store.Encode(run); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, sqlForgetReasons, runID, string(doc))
	return err
}
