package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// The queries of the queue. Those that find traces ask for a status other than
// processed, although the rest of the condition implies it: that is how SQLite sees that
// a partial index holds all the rows it needs.
const (
	sqlClaimColumns = `SELECT s.trace_id, s.attempts, s.runs, s.last_error_type <> '',
			iif(EXISTS (SELECT 1 FROM failure_patterns p WHERE p.trace_id = s.trace_id), s.extracted_digest, ''), s.anew_since, r.digest, r.doc `

	sqlClaimFrom = `FROM extraction_state s CROSS JOIN raw_traces r ON r.trace_id = s.trace_id `

	sqlNotByRun = ` AND NOT EXISTS (SELECT 1 FROM json_each(s.runs) WHERE value = ?2) `

	// A fresh trace is leased if it was written anew while somebody worked on it.
	sqlFresh = sqlClaimColumns + sqlClaimFrom + `WHERE s.status = 'ready' AND s.status <> 'processed' AND s.due_at <= ?1` + sqlNotByRun +
		`ORDER BY s.fetched_at, s.trace_id LIMIT ?3`

	sqlTried = sqlClaimColumns + sqlClaimFrom + `WHERE s.status = 'parked' AND s.due_at <= ?1` + sqlNotByRun +
		`ORDER BY s.due_at, s.trace_id LIMIT ?3`

	sqlNamed = sqlClaimColumns + `FROM (SELECT DISTINCT value AS trace_id FROM json_each(?4)) n
			CROSS JOIN extraction_state s ON s.trace_id = n.trace_id CROSS JOIN raw_traces r ON r.trace_id = n.trace_id
		WHERE s.status IN ('ready', 'parked') AND s.lease_until <= ?1` + sqlNotByRun +
		`ORDER BY (s.status = 'parked') <> ?5, CASE s.status WHEN 'ready' THEN s.fetched_at ELSE s.due_at END, s.trace_id LIMIT ?3`

	sqlLease = `UPDATE extraction_state SET status = 'parked', run_id = ?2, runs = ?3, attempts = attempts + 1,
			lease_owner = ?4, lease_token = ?5, lease_until = ?6, retry_at = '', updated_at = ?7
		WHERE trace_id = ?1`

	sqlRenew = `UPDATE extraction_state SET lease_until = ?3 WHERE trace_id = ?1 AND lease_token = ?2`

	sqlLeased = `SELECT r.digest, s.attempts, s.lease_token = ?2, s.ended = ?3 ` + sqlClaimFrom + `WHERE s.trace_id = ?1`

	sqlCommitState = `UPDATE extraction_state SET status = ?2, attempts = 0, lease_owner = '', lease_token = '', lease_until = '',
			last_error = '', last_error_type = '', extracted_digest = ?3, updated_at = ?4, ended = ?5, anew_since = ''
		WHERE trace_id = ?1`

	// A document that SQLite cannot edit (not JSON, or nested over 1,000 levels deep)
	// stays as it is; readers take the flag from the column.
	sqlCommitTrace = `UPDATE raw_traces SET processed_at = ?2,
			doc = CASE WHEN json_valid(doc) THEN json_set(doc, '$.processed', json('true'), '$.processed_at', ?2) ELSE doc END
		WHERE trace_id = ?1`

	sqlPutPattern = `INSERT INTO failure_patterns (trace_id, extracted_at, failure_type, severity, fingerprint, doc,
			trigger_label, service_name, model, run_id, confidence, verified)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
		ON CONFLICT (trace_id) DO UPDATE SET extracted_at = ?2, failure_type = ?3, severity = ?4, fingerprint = ?5, doc = ?6,
			trigger_label = ?7, service_name = ?8, model = ?9, run_id = ?10, confidence = ?11, verified = ?12`

	sqlFail = `UPDATE extraction_state SET status = ?2, lease_owner = '', lease_token = '', lease_until = '',
			retry_at = ?3, quarantined_at = ?4, last_error = ?5, last_error_type = ?6, updated_at = ?7, ended = ?8
		WHERE trace_id = ?1`

	sqlRelease = `UPDATE extraction_state SET status = CASE WHEN attempts > 1 THEN 'parked' ELSE 'ready' END, attempts = max(attempts - 1, 0),
			lease_owner = '', lease_token = '', lease_until = ''
		WHERE trace_id = ?1 AND lease_token = ?2`

	sqlSaveRun = `INSERT INTO extraction_runs (run_id, started_at, doc) VALUES (?1, ?2, ?3)
		ON CONFLICT (run_id) DO UPDATE SET started_at = ?2, doc = ?3`

	sqlPutError = `INSERT INTO extraction_errors (id, run_id, trace_id, recorded_at, doc) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (id) DO UPDATE SET recorded_at = ?4, doc = ?5`
)

// A found trace is one that can be leased.
type found struct {
	id, runs, extractedDigest, digest string
	anewSince                         string
	attempts                          int
	failed                            bool // before
	doc                               []byte
	token                             string
}

// Claim implements [extract.Queue].
func (db *DB) Claim(ctx context.Context, req extract.ClaimRequest) ([]extract.Claim, error) {
	if err := store.CheckClaim(req); err != nil {
		return nil, err
	}
	var due []found
	err := db.write(ctx, func(tx *sql.Tx) error {
		var err error
		if due, err = find(ctx, tx, req); err != nil {
			return err
		}
		return lease(ctx, tx, due, req)
	})
	if err != nil {
		return nil, db.explain(ctx, "claim", err)
	}
	return claims(due, req), nil
}

// Peek implements [extract.Queue].
func (db *DB) Peek(ctx context.Context, req extract.ClaimRequest) ([]extract.Claim, error) {
	if err := store.CheckPeek(req); err != nil {
		return nil, err
	}
	tx, err := db.r.BeginTx(ctx, nil)
	if err != nil {
		return nil, db.explain(ctx, "peek", err)
	}
	defer tx.Rollback() // it only reads
	due, err := find(ctx, tx, req)
	if err != nil {
		return nil, db.explain(ctx, "peek", err)
	}
	return claims(due, req), nil
}

// find returns what req may lease, in the order of claiming.
func find(ctx context.Context, tx *sql.Tx, req extract.ClaimRequest) ([]found, error) {
	if len(req.TraceIDs) > 0 {
		ids, err := json.Marshal(req.TraceIDs)
		if err != nil {
			return nil, err
		}
		return findBy(ctx, tx, sqlNamed, text(req.Now), req.RunID, req.Limit, string(ids), req.Retries)
	}
	first, second := sqlFresh, sqlTried
	if req.Retries {
		first, second = second, first
	}
	due, err := findBy(ctx, tx, first, text(req.Now), req.RunID, req.Limit)
	if err != nil || len(due) == req.Limit {
		return due, err
	}
	more, err := findBy(ctx, tx, second, text(req.Now), req.RunID, req.Limit-len(due))
	return append(due, more...), err
}

func findBy(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]found, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var due []found
	for rows.Next() {
		var f found
		if err := rows.Scan(&f.id, &f.attempts, &f.runs, &f.failed, &f.extractedDigest, &f.anewSince, &f.digest, &f.doc); err != nil {
			return nil, err
		}
		due = append(due, f)
	}
	return due, rows.Err()
}

func lease(ctx context.Context, tx *sql.Tx, due []found, req extract.ClaimRequest) error {
	if len(due) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, sqlLease)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for i := range due {
		var runs []string
		if err := json.Unmarshal([]byte(due[i].runs), &runs); err != nil {
			return fmt.Errorf("trace %s: list of runs: %w", due[i].id, err)
		}
		recent, err := json.Marshal(store.AddRun(runs, req.RunID))
		if err != nil {
			return err
		}
		due[i].token = req.NewToken()
		if _, err := stmt.ExecContext(ctx, due[i].id, req.RunID, string(recent), req.Owner, due[i].token,
			text(req.LeaseUntil), text(req.Now)); err != nil {
			return fmt.Errorf("trace %s: %w", due[i].id, err)
		}
	}
	return nil
}

// claims decodes what was found, outside of any transaction: it is the slow part.
func claims(due []found, req extract.ClaimRequest) []extract.Claim {
	list := make([]extract.Claim, 0, len(due))
	for _, f := range due {
		t, err := decodeTrace(f.id, f.doc, "")
		since, serr := evalforge.ParseTimestamp(f.anewSince)
		list = append(list, extract.Claim{
			Lease: extract.Lease{
				TraceID: f.id, RunID: req.RunID, Owner: req.Owner, Token: f.token,
				Until: evalforge.At(req.LeaseUntil).Time, Digest: f.digest,
			},
			Trace: t, Err: errors.Join(err, serr), Attempt: f.attempts + 1, Anew: f.attempts == 0 && f.failed,
			ExtractedDigest: f.extractedDigest, KeptSince: since.Time,
		})
	}
	return list
}

// decodeTrace reads a raw trace. Its processed flag is in the column: see sqlCommitTrace.
func decodeTrace(id string, doc []byte, processedAt string) (evalforge.RawTrace, error) {
	t, err := store.DecodeTrace(id, doc)
	t.Processed = processedAt != ""
	if err != nil || !t.Processed {
		return t, err
	}
	at, err := evalforge.ParseTimestamp(processedAt)
	t.ProcessedAt = &at
	return t, err
}

// text is t as it is stored.
func text(t time.Time) string { return evalforge.At(t).String() }

// lost is the error of a lease that is not, or no longer, held.
func lost(l extract.Lease) error { return fmt.Errorf("trace %s: %w", l.TraceID, extract.ErrLeaseLost) }

// Renew implements [extract.Queue].
func (db *DB) Renew(ctx context.Context, l extract.Lease, until time.Time) error {
	if err := store.CheckRenewal(until); err != nil {
		return err
	}
	err := db.write(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, sqlRenew, l.TraceID, held(l), text(until)))
		if err == nil && n == 0 {
			err = lost(l)
		}
		return err
	})
	return db.explain(ctx, "renew", err)
}

// held is l's token as an argument: NULL, which equals nothing, for a lease without one.
func held(l extract.Lease) any {
	if l.Token == "" {
		return nil
	}
	return l.Token
}

func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// A leased trace is what the end of a lease needs to know of its trace.
type leased struct {
	digest   string // as the trace is now
	attempts int    // 0 if it was changed or retried since it was claimed
}

// errRepeated says that a lease has ended already, in the same way.
var errRepeated = errors.New("the lease has ended so before")

// end returns the trace whose lease ends. It fails with errRepeated when it has ended so
// already, and with [extract.ErrLeaseLost] when l is not held, or the raw trace is gone.
func end(ctx context.Context, tx *sql.Tx, l extract.Lease, ending string) (leased, error) {
	var t leased
	var ours sql.NullBool
	var repeated bool
	err := tx.QueryRowContext(ctx, sqlLeased, l.TraceID, held(l), ending).Scan(&t.digest, &t.attempts, &ours, &repeated)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return t, lost(l)
	case err != nil:
		return t, err
	case repeated:
		return t, errRepeated
	case !ours.Bool:
		return t, lost(l)
	}
	return t, nil
}

// ending is what is stored of how a lease ended.
func ending(how string, l extract.Lease) string { return how + " " + l.Token }

// writeEnd is write for the end of a lease: repeating it is no error.
func (db *DB) writeEnd(ctx context.Context, op string, fn func(*sql.Tx) error) error {
	err := db.write(ctx, fn)
	if errors.Is(err, errRepeated) {
		return nil
	}
	return db.explain(ctx, op, err)
}

// Commit implements [extract.Queue].
func (db *DB) Commit(ctx context.Context, l extract.Lease, res extract.Result) error {
	p, err := store.CommittedPattern(l, res)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	var doc []byte
	if p != nil {
		if doc, err = store.Encode(p); err != nil {
			return fmt.Errorf("commit %s: %w", l.TraceID, err)
		}
	}
	how := ending("commit", l)
	return db.writeEnd(ctx, "commit", func(tx *sql.Tx) error {
		t, err := end(ctx, tx, l, how)
		if err != nil {
			return err
		}
		status := "ready" // ingestion brought another payload meanwhile
		if t.digest == l.Digest {
			status = "processed"
			if _, err := tx.ExecContext(ctx, sqlCommitTrace, l.TraceID, text(res.At)); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, sqlCommitState, l.TraceID, status, res.Digest, text(res.At), how); err != nil {
			return err
		}
		if p == nil {
			return nil
		}
		_, err = tx.ExecContext(ctx, sqlPutPattern, l.TraceID, p.ExtractedAt.String(), string(p.FailureType),
			string(p.Severity), p.Fingerprint, string(doc), evalforge.NormalizeLabel(p.TriggerCondition),
			p.Provenance.ServiceName, p.Provenance.Model, p.Provenance.RunID, p.Confidence, extract.HasVerifiedQuote(p))
		return err
	})
}

// Fail implements [extract.Queue].
func (db *DB) Fail(ctx context.Context, l extract.Lease, f extract.Failure) error {
	if err := store.CheckFailure(l, f); err != nil {
		return fmt.Errorf("fail: %w", err)
	}
	doc, err := store.Encode(f.Error)
	if err != nil {
		return fmt.Errorf("fail %s: %w", l.TraceID, err)
	}
	how := ending("fail", l)
	return db.writeEnd(ctx, "fail", func(tx *sql.Tx) error {
		t, err := end(ctx, tx, l, how)
		if err != nil {
			return err
		}
		status, retryAt, quarantinedAt := "ready", "", ""
		if t.attempts > 0 {
			status = "parked"
		}
		switch {
		case t.digest != l.Digest: // another payload failed; this one has not been tried
		case f.Quarantine:
			status, quarantinedAt = "quarantined", f.Error.RecordedAt.String()
		default:
			retryAt = text(f.RetryAt)
		}
		if _, err := tx.ExecContext(ctx, sqlFail, l.TraceID, status, retryAt, quarantinedAt,
			f.Error.ErrorMessage, string(f.Error.ErrorType), f.Error.RecordedAt.String(), how); err != nil {
			return err
		}
		return putError(ctx, tx, f.Error, doc)
	})
}

// Release implements [extract.Queue].
func (db *DB) Release(ctx context.Context, l extract.Lease) error {
	err := db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, sqlRelease, l.TraceID, held(l))
		return err
	})
	return db.explain(ctx, "release", err)
}

// SaveRun implements [extract.Queue].
func (db *DB) SaveRun(ctx context.Context, r evalforge.Run) error {
	r, err := store.SavedRun(r)
	if err != nil {
		return fmt.Errorf("save run: %w", err)
	}
	doc, err := store.Encode(r)
	if err != nil {
		return fmt.Errorf("save run %s: %w", r.RunID, err)
	}
	err = db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, sqlSaveRun, r.RunID, r.StartedAt.String(), string(doc))
		return err
	})
	return db.explain(ctx, "save run", err)
}

// RecordError implements [extract.Queue].
func (db *DB) RecordError(ctx context.Context, e evalforge.ExtractionError) error {
	if err := store.CheckError(e); err != nil {
		return fmt.Errorf("record error: %w", err)
	}
	doc, err := store.Encode(e)
	if err != nil {
		return fmt.Errorf("record error %s: %w", e.ID(), err)
	}
	err = db.write(ctx, func(tx *sql.Tx) error { return putError(ctx, tx, e, doc) })
	return db.explain(ctx, "record error", err)
}

func putError(ctx context.Context, tx *sql.Tx, e evalforge.ExtractionError, doc []byte) error {
	_, err := tx.ExecContext(ctx, sqlPutError, e.ID(), e.RunID, e.SourceTraceID, e.RecordedAt.String(), string(doc))
	return err
}
