package firestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// change decides on fresh documents what to write about a trace, and writes it at once,
// or nothing. It is repeated when the documents changed meanwhile or the backend failed;
// it knows its own earlier attempt by its mark, so that it is done once. The write of the
// state is added by change itself; decide makes the others, and may return an error, or
// errNothing.
//
// The end of a lease is known by ending instead, to any process and at any time: see
// [ending]. For other changes it is "".
func (db *DB) change(ctx context.Context, op, id, ending string, decide func(raw rawDoc, s *state) (more func(*firestore.Transaction) error, err error)) error {
	mark := rand.Text()
	err := db.retry(ctx, op, func(ctx context.Context) error {
		snaps, err := db.getAll(ctx, []*firestore.DocumentRef{db.state(id), db.raw(id)})
		if err != nil {
			return err
		}
		s, raw := readState(snaps[0]), readRaw(snaps[1])
		if s.Mark == mark || ending != "" && s.Ended == ending {
			return nil
		}
		more, err := decide(raw, s)
		if err != nil {
			return err
		}
		if ending != "" {
			s.Ended = ending
		} else {
			s.Mark = mark
		}
		return db.write(ctx, func(tx *firestore.Transaction) error {
			if more != nil {
				if err := more(tx); err != nil {
					return err
				}
			}
			return db.put(tx, s)
		})
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// ending is what a state says of how a lease ended.
func ending(how string, l extract.Lease) string {
	return how + " " + strings.ToValidUTF8(l.Token, "\uFFFD")
}

// errNothing ends a change that has nothing to write.
var errNothing = errors.New("nothing to write")

// held reports a lease that is not held.
func held(l extract.Lease, raw rawDoc, s *state) error {
	if !raw.exists || l.Token == "" || s.LeaseToken != l.Token {
		return lost(l)
	}
	return nil
}

// Commit implements [extract.Queue].
func (db *DB) Commit(ctx context.Context, l extract.Lease, res extract.Result) error {
	p, err := store.CommittedPattern(l, res)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if evalforge.ValidateTraceID(l.TraceID) != nil {
		return fmt.Errorf("commit: %w", lost(l))
	}
	var fields map[string]any
	if p != nil {
		if fields, err = patternDocument(p); err != nil {
			return fmt.Errorf("commit %s: %w", l.TraceID, err)
		}
		if err := checkSize(db.path(patterns, l.TraceID), fields); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	return db.change(ctx, "commit", l.TraceID, ending("commit", l), func(raw rawDoc, s *state) (func(*firestore.Transaction) error, error) {
		if err := held(l, raw, s); err != nil {
			return nil, err
		}
		old, err := db.replaced(ctx, s, fields)
		if err != nil {
			return nil, err
		}
		same := raw.digest == l.Digest
		s.meet(raw)
		s.dropLease()
		s.Attempts, s.ExtractedDigest, s.UpdatedAt = 0, res.Digest, stamp(res.At)
		s.LastError, s.LastErrorType, s.AnewSince = "", "", evalforge.Timestamp{}
		s.place(same)
		return func(tx *firestore.Transaction) error {
			if err := old.put(tx); err != nil {
				return err
			}
			if fields != nil {
				if err := tx.Set(db.collection(patterns).Doc(l.TraceID), fields); err != nil {
					return err
				}
			}
			if !same {
				return nil // ingestion brought another payload meanwhile
			}
			return tx.Update(db.raw(l.TraceID), []firestore.Update{
				{Path: "processed", Value: true}, {Path: "processed_at", Value: text(res.At)},
			}, firestore.LastUpdateTime(raw.version))
		}, nil
	})
}

// patternDocument returns a pattern as it is stored.
func patternDocument(p *evalforge.Pattern) (map[string]any, error) {
	fields, err := document(p, "confidence")
	if err != nil {
		return nil, err
	}
	if prov, ok := fields["provenance"].(map[string]any); ok {
		double(prov, "cost_usd")
		double(prov, "model_confidence")
	}
	return fields, nil
}

func double(m map[string]any, field string) {
	if n, ok := m[field].(int64); ok {
		m[field] = float64(n)
	}
}

// Fail implements [extract.Queue].
func (db *DB) Fail(ctx context.Context, l extract.Lease, f extract.Failure) error {
	if err := store.CheckFailure(l, f); err != nil {
		return fmt.Errorf("fail: %w", err)
	}
	fields, err := db.errorDocument(f.Error)
	if err != nil {
		return fmt.Errorf("fail %s: %w", l.TraceID, err)
	}
	return db.change(ctx, "fail", l.TraceID, ending("fail", l), func(raw rawDoc, s *state) (func(*firestore.Transaction) error, error) {
		if err := held(l, raw, s); err != nil {
			return nil, err
		}
		s.meet(raw)
		s.dropLease()
		s.LastError, s.LastErrorType, s.UpdatedAt = f.Error.ErrorMessage, f.Error.ErrorType, stamp(f.Error.RecordedAt.Time)
		switch {
		case raw.digest != l.Digest: // another payload failed; this one has not been tried
		case f.Quarantine:
			s.QuarantinedAt = s.UpdatedAt
		default:
			s.RetryAt = stamp(f.RetryAt)
		}
		s.place(false)
		return func(tx *firestore.Transaction) error {
			return tx.Set(db.collection(errorDocs).Doc(errorID(f.Error)), fields)
		}, nil
	})
}

// Release implements [extract.Queue].
func (db *DB) Release(ctx context.Context, l extract.Lease) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if evalforge.ValidateTraceID(l.TraceID) != nil {
		return nil
	}
	return db.change(ctx, "release", l.TraceID, "", func(raw rawDoc, s *state) (func(*firestore.Transaction) error, error) {
		if held(l, raw, s) != nil {
			return nil, errNothing
		}
		s.meet(raw)
		s.dropLease()
		s.Attempts = max(0, s.Attempts-1)
		s.place(false)
		return nil, nil
	})
}

// SaveRun implements [extract.Queue].
func (db *DB) SaveRun(ctx context.Context, r evalforge.Run) error {
	r, err := store.SavedRun(r)
	if err != nil {
		return fmt.Errorf("save run: %w", err)
	}
	fields, err := document(r, "cost_usd", "unsure_cost_usd")
	if err != nil {
		return fmt.Errorf("save run %s: %w", r.RunID, err)
	}
	expire(fields, r.StartedAt)
	if err := checkSize(db.path(runs, r.RunID), fields); err != nil {
		return fmt.Errorf("save run: %w", err)
	}
	return db.set(ctx, "save run", db.collection(runs).Doc(r.RunID), fields)
}

// RecordError implements [extract.Queue].
func (db *DB) RecordError(ctx context.Context, e evalforge.ExtractionError) error {
	if err := store.CheckError(e); err != nil {
		return fmt.Errorf("record error: %w", err)
	}
	fields, err := db.errorDocument(e)
	if err != nil {
		return fmt.Errorf("record error %s: %w", e.ID(), err)
	}
	return db.set(ctx, "record error", db.collection(errorDocs).Doc(errorID(e)), fields)
}

// set writes a whole document; writing it twice is writing it once.
func (db *DB) set(ctx context.Context, op string, ref *firestore.DocumentRef, fields map[string]any) error {
	return db.retry(ctx, op, func(ctx context.Context) error {
		_, err := ref.Set(ctx, fields)
		return err
	})
}

func (db *DB) errorDocument(e evalforge.ExtractionError) (map[string]any, error) {
	fields, err := document(e)
	if err != nil {
		return nil, err
	}
	expire(fields, e.RecordedAt)
	return fields, checkSize(db.path(errorDocs, e.ID()), fields)
}
