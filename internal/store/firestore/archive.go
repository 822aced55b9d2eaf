package firestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// errorID returns the document id of an error: "{run_id}:{trace_id}", or, where that is
// longer than an id may be, its beginning with a digest of the whole.
func errorID(e evalforge.ExtractionError) string {
	id := e.ID()
	if len(id) <= evalforge.MaxTraceIDBytes {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	tail := "-" + hex.EncodeToString(sum[:])
	cut := evalforge.MaxTraceIDBytes - len(tail)
	for !utf8.RuneStart(id[cut]) {
		cut--
	}
	return id[:cut] + tail
}

// PutTrace implements [extract.Archive].
func (db *DB) PutTrace(ctx context.Context, t evalforge.RawTrace) (extract.PutResult, error) {
	t, err := store.IncomingTrace(t)
	if err != nil {
		return "", fmt.Errorf("put trace: %w", err)
	}
	fields, err := document(t, "quality_score")
	if err != nil {
		return "", fmt.Errorf("put trace %s: %w", t.TraceID, err)
	}
	// What is accepted here must have room for what its commit adds.
	full := maps.Clone(fields)
	full["processed_at"] = evalforge.TimestampLayout
	if err := checkSize(db.path(rawTraces, t.TraceID), full); err != nil {
		return "", fmt.Errorf("put trace: %w", err)
	}
	digest := t.Digest()
	var result extract.PutResult
	err = db.change(ctx, "put trace "+t.TraceID, t.TraceID, "", func(raw rawDoc, s *state) (func(*firestore.Transaction) error, error) {
		switch {
		case !raw.exists:
			// What is remembered of an earlier trace of this name is about another one.
			*s = state{State: extract.State{TraceID: t.TraceID}, exists: s.exists, version: s.version}
			result = extract.Created
		case raw.digest == digest:
			result = extract.Unchanged
			return nil, errNothing
		default:
			s.Attempts, s.RetryAt, s.QuarantinedAt = 0, evalforge.Timestamp{}, evalforge.Timestamp{}
			result = extract.Replaced
		}
		s.Digest, s.RawVersion, s.FetchedAt = digest, "", t.FetchedAt.String()
		s.place(false)
		return func(tx *firestore.Transaction) error {
			if !raw.exists {
				return tx.Create(db.raw(t.TraceID), fields)
			}
			return tx.Set(db.raw(t.TraceID), fields)
		}, nil
	})
	if err != nil {
		return "", err
	}
	return result, nil
}

// Trace implements [extract.Archive].
func (db *DB) Trace(ctx context.Context, id string) (evalforge.RawTrace, error) {
	snap, err := db.read(ctx, rawTraces, id)
	if err != nil {
		return evalforge.RawTrace{}, err
	}
	r := readRaw(snap)
	return r.trace, r.err
}

// read reads one document that must exist.
func (db *DB) read(ctx context.Context, collection, id string) (*firestore.DocumentSnapshot, error) {
	if evalforge.ValidateTraceID(id) != nil {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, store.NotFound(collection, id)
	}
	var snap *firestore.DocumentSnapshot
	err := db.retry(ctx, collection+"/"+id, func(ctx context.Context) error {
		var err error
		snap, err = db.get(ctx, db.collection(collection).Doc(id))
		return err
	})
	if err != nil {
		return nil, err
	}
	if !snap.Exists() {
		return nil, store.NotFound(collection, id)
	}
	return snap, nil
}

func decode[T any](snap *firestore.DocumentSnapshot, collection string) (T, error) {
	return store.Decode[T](collection, snap.Ref.ID, toJSON(snap.Data()))
}

// Pattern implements [extract.Archive].
func (db *DB) Pattern(ctx context.Context, traceID string) (evalforge.Pattern, error) {
	snap, err := db.read(ctx, patterns, traceID)
	if err != nil {
		return evalforge.Pattern{}, err
	}
	return decode[evalforge.Pattern](snap, patterns)
}

// Run implements [extract.Archive].
func (db *DB) Run(ctx context.Context, runID string) (evalforge.Run, error) {
	snap, err := db.read(ctx, runs, runID)
	if err != nil {
		return evalforge.Run{}, err
	}
	return decode[evalforge.Run](snap, runs)
}

// Delivered implements [extract.Archive].
func (db *DB) Delivered(ctx context.Context, key string, since time.Time) (evalforge.Run, error) {
	var snaps []*firestore.DocumentSnapshot
	err := db.retry(ctx, "find the run of a delivery", func(ctx context.Context) (err error) {
		snaps, err = db.query(ctx, db.delivered(key))
		return err
	})
	if err != nil {
		return evalforge.Run{}, err
	}
	all := make([]evalforge.Run, len(snaps))
	for i, snap := range snaps {
		if all[i], err = decode[evalforge.Run](snap, runs); err != nil {
			return evalforge.Run{}, err
		}
	}
	return store.Delivered(all, key, since)
}

// Runs implements [extract.Archive].
func (db *DB) Runs(ctx context.Context, q extract.PageQuery) ([]evalforge.Run, string, error) {
	return page(ctx, db, db.runList(), q, func(r *evalforge.Run, id string) { r.RunID = id })
}

// Errors implements [extract.Archive].
func (db *DB) Errors(ctx context.Context, q extract.ErrorQuery) ([]evalforge.ExtractionError, string, error) {
	return page(ctx, db, db.errorList(q), q.PageQuery, func(*evalforge.ExtractionError, string) {})
}

// States implements [extract.Archive].
func (db *DB) States(ctx context.Context, q extract.StateQuery) ([]extract.State, string, error) {
	return page(ctx, db, db.stateList(q), q.PageQuery, func(s *extract.State, id string) { s.TraceID = id })
}

// legible reads what can be read of a document in a list: one of wrong types, which
// another service may have written, does not hide the others. Whoever asks for that one
// document is told what is wrong with it.
func legible[T any](snap *firestore.DocumentSnapshot) T { return store.Legible[T](toJSON(snap.Data())) }

// page returns one page of a list. What a document is called is its id, whatever it says.
func page[T any](ctx context.Context, db *DB, l listQuery, q extract.PageQuery, call func(v *T, id string)) ([]T, string, error) {
	op := "list " + l.collection
	limit, at, err := store.Page(l.collection, q)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", op, err)
	}
	var after *store.Cursor
	if q.After != "" {
		after = &at
	}
	var snaps []*firestore.DocumentSnapshot
	err = db.retry(ctx, op, func(ctx context.Context) error {
		var err error
		snaps, err = query(ctx, l.page(limit+1, after)) // one more, to see whether there is a next page
		return err
	})
	if err != nil {
		return nil, "", err
	}
	list, next := []T{}, ""
	for i, snap := range snaps {
		if i == limit {
			last := snaps[limit-1]
			next = store.Cursor{Time: placeText(last.Data()[l.time]), ID: last.Ref.ID}.Encode(l.collection)
			break
		}
		v := legible[T](snap)
		call(&v, snap.Ref.ID)
		list = append(list, v)
	}
	return list, next, nil
}

// State implements [extract.Archive].
func (db *DB) State(ctx context.Context, traceID string) (extract.State, error) {
	snap, err := db.read(ctx, states, traceID)
	if err != nil {
		return extract.State{}, err
	}
	s := readState(snap)
	if s.UpdatedAt.IsZero() {
		return extract.State{}, store.NotFound(states, traceID)
	}
	return s.State, nil
}

// Retry implements [extract.Archive].
func (db *DB) Retry(ctx context.Context, traceID string, now time.Time) error {
	if evalforge.ValidateTraceID(traceID) != nil {
		return fmt.Errorf("retry: %w", store.NotFound(rawTraces, traceID))
	}
	return db.change(ctx, "retry", traceID, "", func(raw rawDoc, s *state) (func(*firestore.Transaction) error, error) {
		if !raw.exists {
			return nil, store.NotFound(rawTraces, traceID)
		}
		s.meet(raw)
		if err := store.Retryable(traceID, raw.trace.Processed, s.State, stamp(now).Time); err != nil {
			return nil, err
		}
		s.Attempts, s.UpdatedAt = 0, stamp(now)
		s.RetryAt, s.QuarantinedAt = evalforge.Timestamp{}, evalforge.Timestamp{}
		s.place(false)
		return nil, nil
	})
}

// Backlog implements [extract.Archive]. It counts by aggregation; only for the oldest
// trace are documents read, without their payload and at most oldestAmong of them.
func (db *DB) Backlog(ctx context.Context, now time.Time) (extract.Backlog, error) {
	var b extract.Backlog
	at := text(now)
	err := db.retry(ctx, "backlog", func(ctx context.Context) error {
		b = extract.Backlog{}
		counts := []struct {
			n *int
			q firestore.Query
		}{
			{&b.Pending, db.unprocessed()}, {&b.Processed, db.processed()}, {&b.Leased, db.leasedStates(at)},
			{&b.BackingOff, db.backingOffStates(at)}, {&b.Quarantined, db.quarantinedStates()},
		}
		err := each(counts, func(c struct {
			n *int
			q firestore.Query
		}) (err error) {
			*c.n, err = count(ctx, c.q)
			return err
		})
		if err != nil || b.Pending == 0 {
			return err
		}
		b.OldestDue, err = db.oldest(ctx)
		return err
	})
	return b, err
}

// oldestAmong is how many of the oldest unprocessed traces are looked at for one that is
// not quarantined.
const oldestAmong = 20

// oldest returns the age of the oldest trace that waits. When the oldestAmong oldest are
// all quarantined, it is that of the oldest whose state is known.
func (db *DB) oldest(ctx context.Context) (evalforge.Timestamp, error) {
	snaps, err := query(ctx, db.oldestUnprocessed(oldestAmong))
	if err != nil || len(snaps) == 0 {
		return evalforge.Timestamp{}, err
	}
	keys := rawKeys(snaps)
	refs := make([]*firestore.DocumentRef, len(keys))
	for i, k := range keys {
		refs[i] = db.state(k.id)
	}
	stateSnaps, err := db.getAll(ctx, refs)
	if err != nil {
		return evalforge.Timestamp{}, err
	}
	for i, snap := range stateSnaps {
		if readState(snap).QuarantinedAt.IsZero() {
			return evalforge.ParseTimestamp(fetchedAt(keys[i].value))
		}
	}
	if len(keys) < oldestAmong {
		return evalforge.Timestamp{}, nil
	}
	oldest := ""
	for _, q := range []firestore.Query{db.readyStates(nil, 1), db.oldestParked(1)} {
		heads, err := query(ctx, q)
		if err != nil {
			return evalforge.Timestamp{}, err
		}
		for _, snap := range heads {
			if at := readState(snap).FetchedAt; oldest == "" || at < oldest {
				oldest = at
			}
		}
	}
	return evalforge.ParseTimestamp(oldest)
}
