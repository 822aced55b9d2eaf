package firestore

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

func (db *DB) answerDocs() *firestore.CollectionRef {
	return db.collection(states).Doc("-").Collection(db.prefix + answers)
}

func (db *DB) answerDoc(key string) *firestore.DocumentRef { return db.answerDocs().Doc(key) }

// Answer implements [extract.Answers].
func (db *DB) Answer(ctx context.Context, key string) (extract.KeptAnswer, error) {
	if err := store.CheckAnswerKey(key); err != nil {
		return extract.KeptAnswer{}, fmt.Errorf("answer: %w", err)
	}
	var snap *firestore.DocumentSnapshot
	err := db.retry(ctx, "answer", func(ctx context.Context) (err error) {
		snap, err = db.get(ctx, db.answerDoc(key))
		return err
	})
	switch {
	case err != nil:
		return extract.KeptAnswer{}, err
	case !snap.Exists():
		return extract.KeptAnswer{}, store.NotFound("answers", key)
	}
	doc, _ := snap.Data()["doc"].(string)
	return store.Decode[extract.KeptAnswer]("answers", key, []byte(doc))
}

// SaveAnswer implements [extract.Answers]. The answer is kept as JSON text beside the
// fields by which it is found: nobody queries what is in it.
func (db *DB) SaveAnswer(ctx context.Context, a extract.KeptAnswer) error {
	doc, err := store.EncodeKeptAnswer(a)
	if err != nil {
		return fmt.Errorf("save answer: %w", err)
	}
	fields := map[string]any{"trace_id": a.TraceID, "saved_at": a.SavedAt.String(), "doc": string(doc)}
	expire(fields, a.SavedAt)
	if err := checkSize(db.answerDoc(a.Key).Path, fields); err != nil {
		return fmt.Errorf("save answer: %w", err)
	}
	return db.set(ctx, "save answer", db.answerDoc(a.Key), fields)
}

func (db *DB) revisions(traceID string) *firestore.CollectionRef {
	return db.state(traceID).Collection(db.prefix + history)
}

// A revision is a pattern that is being replaced: where it goes in the history. The
// history is a ring of [extract.MaxHistory] documents, in which a counter in the state
// says which comes next.
type revision struct {
	ref    *firestore.DocumentRef
	fields map[string]any
}

func (r *revision) put(tx *firestore.Transaction) error {
	if r == nil {
		return nil
	}
	return tx.Set(r.ref, r.fields)
}

// replaced returns what a commit of next replaces, or nil, and counts it in s. Only the
// holder of the trace's lease writes its pattern, so what is read here stays so.
func (db *DB) replaced(ctx context.Context, s *state, next map[string]any) (*revision, error) {
	if next == nil {
		return nil, nil
	}
	n := s.Revisions
	s.Revisions++
	if n == 0 && s.ExtractedDigest == "" {
		return nil, nil // the first pattern of the trace
	}
	snap, err := db.get(ctx, db.collection(patterns).Doc(s.TraceID))
	if err != nil || !snap.Exists() || reflect.DeepEqual(snap.Data(), next) {
		return nil, err
	}
	fields := map[string]any{"revision": int64(n), "doc": string(toJSON(snap.Data()))}
	return &revision{db.revisions(s.TraceID).Doc(strconv.Itoa(n % extract.MaxHistory)), fields}, nil
}

// historyOf lists the replaced patterns of a trace, the last first.
func (db *DB) historyOf(traceID string, limit int) firestore.Query {
	return db.revisions(traceID).OrderBy("revision", firestore.Desc).Limit(limit)
}

// History implements [extract.Reviser].
func (db *DB) History(ctx context.Context, traceID string, limit int) ([]evalforge.Pattern, error) {
	if err := store.HistoryLimit(limit); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	if evalforge.ValidateTraceID(traceID) != nil {
		return []evalforge.Pattern{}, nil
	}
	var snaps []*firestore.DocumentSnapshot
	err := db.retry(ctx, "history", func(ctx context.Context) (err error) {
		snaps, err = query(ctx, db.historyOf(traceID, limit))
		return err
	})
	if err != nil {
		return nil, err
	}
	list := make([]evalforge.Pattern, 0, len(snaps))
	for _, snap := range snaps {
		doc, _ := snap.Data()["doc"].(string)
		p := store.Legible[evalforge.Pattern]([]byte(doc)) // another service may have written it
		p.SourceTraceID = traceID
		list = append(list, p)
	}
	return list, nil
}

// Reopen implements [extract.Reviser].
func (db *DB) Reopen(ctx context.Context, traceID string, now time.Time) error {
	if evalforge.ValidateTraceID(traceID) != nil {
		return fmt.Errorf("reopen: %w", store.NotFound(rawTraces, traceID))
	}
	return db.change(ctx, "reopen", traceID, "", func(raw rawDoc, s *state) (func(*firestore.Transaction) error, error) {
		switch {
		case !raw.exists:
			return nil, store.NotFound(rawTraces, traceID)
		case !raw.trace.Processed:
			return nil, store.Unprocessed(traceID)
		}
		s.meet(raw)
		s.Attempts, s.ExtractedDigest, s.UpdatedAt = 0, "", stamp(now)
		s.RetryAt, s.QuarantinedAt, s.AnewSince = evalforge.Timestamp{}, evalforge.Timestamp{}, stamp(now)
		s.Revisions = max(s.Revisions, 1) // another service may have made the pattern
		s.place(false)
		return func(tx *firestore.Transaction) error {
			return tx.Update(db.raw(traceID), []firestore.Update{
				{Path: "processed", Value: false}, {Path: "processed_at", Value: firestore.Delete},
			}, firestore.LastUpdateTime(raw.version))
		}, nil
	})
}
