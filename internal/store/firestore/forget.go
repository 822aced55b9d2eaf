package firestore

import (
	"context"
	"fmt"
	"slices"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// forgetAtOnce bounds the documents that are read, or deleted, in one call.
const forgetAtOnce = 200

// remains is what is kept about a trace: documents that are deleted, and runs that name it.
type remains struct {
	forgotten extract.Forgotten
	// around are the documents beside the trace, its pattern and its state.
	around []*firestore.DocumentRef
	runs   store.WorkedOn
}

// Kept implements [extract.Forgetter].
func (db *DB) Kept(ctx context.Context, traceID string) (extract.Forgotten, error) {
	return db.forget(ctx, traceID, false)
}

// Forget implements [extract.Forgetter]. The trace, its pattern and its state go in one
// commit, after which no lease on it can write anything; before that goes what the state
// helps to find, so that repeating it after a fault finds the rest.
func (db *DB) Forget(ctx context.Context, traceID string) (extract.Forgotten, error) {
	return db.forget(ctx, traceID, true)
}

func (db *DB) forget(ctx context.Context, traceID string, really bool) (extract.Forgotten, error) {
	op := "forget " + traceID
	if evalforge.ValidateTraceID(traceID) != nil {
		if err := ctx.Err(); err != nil {
			return extract.Forgotten{}, fmt.Errorf("%s: %w", op, err)
		}
		return extract.Forgotten{}, fmt.Errorf("%s: %w", op, store.NotFound(rawTraces, traceID))
	}
	r, err := db.remains(ctx, op, traceID)
	if err != nil {
		return extract.Forgotten{}, err
	}
	f := r.forgotten
	if f.None() {
		return f, fmt.Errorf("%s: %w", op, store.NotFound(rawTraces, traceID))
	}
	for _, id := range r.runs.IDs() {
		open, err := db.forgetReasons(ctx, op, id, traceID, &f, really)
		if err != nil {
			return f, err
		}
		if open && r.runs[id] {
			f.OpenRuns = append(f.OpenRuns, id)
		}
	}
	if !really {
		return f, nil
	}
	if err := db.deleteAll(ctx, op, r.around); err != nil {
		return f, err
	}
	if err := db.deleteAll(ctx, op, db.core(traceID)); err != nil {
		return f, err
	}
	// A worker may have written something meanwhile.
	if r, err = db.remains(ctx, op, traceID); err != nil {
		return f, err
	}
	f.History, f.Errors, f.Answers = f.History+r.forgotten.History, f.Errors+r.forgotten.Errors, f.Answers+r.forgotten.Answers
	return f, db.deleteAll(ctx, op, r.around)
}

func (db *DB) core(traceID string) []*firestore.DocumentRef {
	return []*firestore.DocumentRef{db.raw(traceID), db.collection(patterns).Doc(traceID), db.state(traceID)}
}

// remains looks up what is kept.
func (db *DB) remains(ctx context.Context, op, traceID string) (remains, error) {
	var r remains
	err := db.retryRounds(ctx, op, func(ctx context.Context) error {
		r = remains{runs: store.WorkedOn{}}
		f := &r.forgotten
		snaps, err := db.getAll(ctx, db.core(traceID))
		if err != nil {
			return err
		}
		s := readState(snaps[2])
		f.Trace, f.Pattern, f.State, f.Owner = snaps[0].Exists(), snaps[1].Exists(), !s.UpdatedAt.IsZero(), s.LeaseOwner
		for _, id := range s.Runs {
			r.runs.Add(id, true)
		}
		if f.Pattern {
			r.madeBy(toJSON(snaps[1].Data()))
		}
		for _, part := range []struct {
			query firestore.Query
			n     *int
			note  func(fields map[string]any)
		}{
			{db.revisions(traceID).Query, &f.History, func(fields map[string]any) {
				doc, _ := fields["doc"].(string)
				r.madeBy([]byte(doc))
			}},
			{db.errorsOf(traceID), &f.Errors, func(fields map[string]any) {
				id, _ := fields["run_id"].(string)
				r.runs.Add(id, false)
			}},
			{db.answersFor(traceID), &f.Answers, func(map[string]any) {}},
		} {
			list, err := db.whole(ctx, part.query)
			if err != nil {
				return err
			}
			for _, snap := range list {
				r.around = append(r.around, snap.Ref)
				part.note(snap.Data())
			}
			*part.n = len(list)
		}
		return nil
	})
	return r, err
}

// madeBy notes the run that made a pattern; of one that cannot be decoded it is not known.
func (r *remains) madeBy(doc []byte) {
	if p, err := store.Decode[evalforge.Pattern](patterns, "", doc); err == nil {
		r.runs.Add(p.Provenance.RunID, false)
	}
}

func byID(q firestore.Query) firestore.Query { return q.OrderBy(firestore.DocumentID, firestore.Asc) }

// whole returns all documents of a query, page by page in order of their ids.
func (db *DB) whole(ctx context.Context, q firestore.Query) ([]*firestore.DocumentSnapshot, error) {
	q = byID(q).Limit(forgetAtOnce)
	var list []*firestore.DocumentSnapshot
	for {
		next := q
		if len(list) > 0 {
			next = q.StartAfter(list[len(list)-1].Ref.ID)
		}
		snaps, err := db.query(ctx, next)
		if err != nil {
			return nil, err
		}
		list = append(list, snaps...)
		if len(snaps) < forgetAtOnce {
			return list, nil
		}
	}
}

// forgetReasons sees to the record of one run, and reports whether there is none yet. The
// fields of the record are left as they are otherwise.
func (db *DB) forgetReasons(ctx context.Context, op, runID, traceID string, f *extract.Forgotten, really bool) (open bool, err error) {
	ref := db.collection(runs).Doc(runID)
	n := 0
	err = db.retry(ctx, op, func(ctx context.Context) error {
		snap, err := db.get(ctx, ref)
		if err != nil {
			return err
		}
		if open = !snap.Exists(); open {
			return nil
		}
		outcomes, _ := snap.Data()["trace_outcomes"].([]any)
		found := clearReasons(outcomes, traceID)
		if n = max(n, found); found == 0 || !really { // on a repetition it may be done
			return nil
		}
		return db.write(ctx, func(tx *firestore.Transaction) error {
			return tx.Update(ref, []firestore.Update{{Path: "trace_outcomes", Value: outcomes}}, firestore.LastUpdateTime(snap.UpdateTime))
		})
	})
	f.Reasons += n
	return open, err
}

// clearReasons replaces the reasons of a trace's outcomes as they are stored, and returns
// how many there were.
func clearReasons(outcomes []any, traceID string) int {
	n := 0
	for _, o := range outcomes {
		m, _ := o.(map[string]any)
		if reason, ok := m["error_reason"].(string); ok && m["source_trace_id"] == traceID && reason != extract.ForgottenReason {
			m["error_reason"] = extract.ForgottenReason
			n++
		}
	}
	return n
}

// deleteAll deletes documents, some at a time together.
func (db *DB) deleteAll(ctx context.Context, op string, refs []*firestore.DocumentRef) error {
	for part := range slices.Chunk(refs, forgetAtOnce) {
		err := db.retry(ctx, op, func(ctx context.Context) error {
			return db.write(ctx, func(tx *firestore.Transaction) error {
				for _, ref := range part {
					if err := tx.Delete(ref); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
