package firestore

import (
	"context"
	"slices"
	"sync"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// Every query that the store makes is built here, so that a test can hold them all
// against firestore.indexes.json: the emulator answers a query that lacks its index.

func (db *DB) unprocessed() firestore.Query {
	return db.collection(rawTraces).Where("processed", "==", false)
}

// unprocessedByID lists keys of unprocessed traces, whatever their other fields are.
func (db *DB) unprocessedByID(after string, limit int) firestore.Query {
	q := db.unprocessed().Select("fetched_at").OrderBy(firestore.DocumentID, firestore.Asc).Limit(limit)
	if after != "" {
		q = q.StartAfter(after)
	}
	return q
}

// A sortValue is a place in the order of raw traces by fetched_at, as Firestore orders
// values: by type (null, booleans, numbers, timestamps, strings, the rest), then by value.
type sortValue struct {
	fetchedAt any
	id        string // "" is before all
}

// unprocessedNative lists keys of unprocessed traces with a native timestamp after a place
// and up to a time; unprocessedText those with a string. What is of another type is in
// neither. A cursor needs an id; none sorts between these values and what is wanted.
func (db *DB) unprocessedNative(after sortValue, until time.Time, limit int) firestore.Query {
	q := db.oldestUnprocessed(limit).EndBefore(until.Add(time.Microsecond), "-")
	if after.id == "" {
		return q.StartAfter(time.Time{}, "-")
	}
	return q.StartAfter(after.fetchedAt, after.id)
}

func (db *DB) unprocessedText(after sortValue, until time.Time, limit int) firestore.Query {
	q := db.oldestUnprocessed(limit).EndBefore(text(until)+" ", "-")
	if _, ok := after.fetchedAt.(string); !ok {
		return q.StartAfter(time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), "-") // the last native timestamp
	}
	return q.StartAfter(after.fetchedAt, after.id)
}

// oldestUnprocessed lists keys of unprocessed traces in Firestore's order of fetched_at.
func (db *DB) oldestUnprocessed(limit int) firestore.Query {
	return db.unprocessed().Select("fetched_at").OrderBy("fetched_at", firestore.Asc).OrderBy(firestore.DocumentID, firestore.Asc).Limit(limit)
}

// maxIn is how many values Firestore takes for one "in".
const maxIn = 30

// flags returns the query for the processed flags of at most [maxIn] raw traces: without
// their payloads, which may have a megabyte each.
func (db *DB) flags(refs []*firestore.DocumentRef) firestore.Query {
	return db.collection(rawTraces).Select("processed").Where(firestore.DocumentID, "in", refs)
}

// stillUnprocessed reports which of the raw traces are unprocessed; it has none that is
// not there.
func (db *DB) stillUnprocessed(ctx context.Context, refs []*firestore.DocumentRef) (map[string]bool, error) {
	var mu sync.Mutex
	waiting := map[string]bool{}
	err := each(slices.Collect(slices.Chunk(refs, maxIn)), func(part []*firestore.DocumentRef) error {
		snaps, err := db.query(ctx, db.flags(part))
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for _, snap := range snaps {
			waiting[snap.Ref.ID] = snap.Data()["processed"] == false
		}
		return nil
	})
	return waiting, err
}

func (db *DB) readyStates(after *sortKey, limit int) firestore.Query {
	q := db.collection(states).OrderBy("ready_at", firestore.Asc).OrderBy(firestore.DocumentID, firestore.Asc).Limit(limit)
	if after != nil {
		q = q.StartAfter(after.fetchedAt, after.id)
	}
	return q
}

// dueStates lists states of traces that were tried before and are due, in their order.
func (db *DB) dueStates(now string, after *turn, limit int) firestore.Query {
	q := db.collection(states).Where("due_at", "<=", now).OrderBy("due_at", firestore.Asc).OrderBy(firestore.DocumentID, firestore.Asc).Limit(limit)
	if after != nil {
		q = q.StartAfter(after.dueAt, after.id)
	}
	return q
}

// oldestParked lists states of traces that were tried before by the age of the traces.
func (db *DB) oldestParked(limit int) firestore.Query {
	return db.collection(states).Where("queue", "==", parked).OrderBy("fetched_at", firestore.Asc).Limit(limit)
}

func (db *DB) pendingStates() firestore.Query {
	return db.collection(states).Where("pending", "==", true)
}

// pendingByID lists states of traces that are not done, as the states know.
func (db *DB) pendingByID(after string, limit int) firestore.Query {
	q := db.pendingStates().OrderBy(firestore.DocumentID, firestore.Asc).Limit(limit)
	if after != "" {
		q = q.StartAfter(after)
	}
	return q
}

// doneByID lists states of traces that are done.
func (db *DB) doneByID(after string, limit int) firestore.Query {
	q := byID(db.collection(states).Where("queue", "==", done)).Limit(limit)
	if after != "" {
		q = q.StartAfter(after)
	}
	return q
}

// The counts of the backlog.
func (db *DB) processed() firestore.Query {
	return db.collection(rawTraces).Where("processed", "==", true)
}

func (db *DB) leasedStates(now string) firestore.Query {
	return db.collection(states).Where("lease_until", ">", now)
}

func (db *DB) backingOffStates(now string) firestore.Query {
	return db.collection(states).Where("retry_at", ">", now)
}

func (db *DB) quarantinedStates() firestore.Query {
	return db.collection(states).Where("queue", "==", quarantined)
}

// countUntracked returns how many unprocessed traces more than states there are.
func (db *DB) countUntracked(ctx context.Context) (int, error) {
	raw, err := db.count(ctx, db.unprocessed())
	if err != nil {
		return 0, err
	}
	tracked, err := db.count(ctx, db.pendingStates())
	return raw - tracked, err
}

// errorsOf and answersFor are of one trace, in any order.
func (db *DB) errorsOf(traceID string) firestore.Query {
	return db.collection(errorDocs).Where("source_trace_id", "==", traceID)
}

func (db *DB) answersFor(traceID string) firestore.Query {
	return db.answerDocs().Where("trace_id", "==", traceID)
}

// A listQuery is a list, newest first.
type listQuery struct {
	collection, time string
	query            firestore.Query
}

// filter keeps the documents whose field is value, if value is not empty.
func (l *listQuery) filter(field, value string) {
	if value != "" {
		l.query = l.query.Where(field, "==", value)
	}
}

// page returns the query of at most limit documents after a place.
func (l listQuery) page(limit int, after *store.Cursor) firestore.Query {
	q := l.query.OrderBy(l.time, firestore.Desc).OrderBy(firestore.DocumentID, firestore.Desc).Limit(limit).EndAt(firstTime(), someID)
	if after != nil {
		return q.StartAfter(placeValue(after.Time), after.ID)
	}
	return q.StartAfter(beyondTimes(), someID)
}

func (db *DB) list(collection, time string) listQuery {
	return listQuery{collection, time, db.collection(collection).Query}
}

func (db *DB) runList() listQuery { return db.list(runs, "started_at") }

// delivered lists runs that answered the delivery with a key. It is one, as a rule; that
// many are not expected of a key that callers use once. Without an order it needs no index
// but those that Firestore makes of itself.
func (db *DB) delivered(key string) firestore.Query {
	return db.collection(runs).Where("delivery.key", "==", key).Limit(32)
}

func (db *DB) errorList(q extract.ErrorQuery) listQuery {
	l := db.list(errorDocs, "recorded_at")
	l.filter("run_id", q.RunID)
	l.filter("source_trace_id", q.TraceID)
	return l
}

func (db *DB) stateList(q extract.StateQuery) listQuery {
	l := db.list(states, "updated_at")
	if q.Quarantined {
		l.filter("queue", quarantined)
	} else {
		l.query = l.query.Where("updated_at", ">", "") // one that was never claimed has none
	}
	return l
}
