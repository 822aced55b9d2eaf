package firestore

import (
	"cmp"
	"context"
	"time"

	"github.com/evalforge/evalforge"
)

// A position is how far the backlog is known. Its document is shared by all workers; one
// that is behind costs reads, and is otherwise harmless.
type position struct {
	// at is the raw field, a time.Time or a string: up to here, in Firestore's order, and
	// among equals up to traceID, all unprocessed traces have a state. It lies before the
	// present: what is written later must come beyond it. A string need not be a time, as
	// long as that is so.
	at      any
	traceID string // "" is the beginning
	sweepID string // where the looks behind go on
	// orphanID and doneID are where the looks for states without a trace go on.
	orphanID, doneID string
	idleRuns         int64 // runs that found too little
}

// maxTimeText bounds, in bytes, the strings that a position can be. No time is that long,
// and an index holds no more than the beginning of a very long one.
const maxTimeText = 100

// moved returns p moved to a trace, and whether that may be: not to one whose fetched_at is
// of another type or beyond limit.
func (p position) moved(value any, id string, limit time.Time) (position, bool) {
	switch v := value.(type) {
	case string:
		if len(v) > maxTimeText || v > text(limit) {
			return p, false
		}
		p.at = v
	case time.Time:
		if v.After(limit) {
			return p, false
		}
		p.at = v.UTC()
	default:
		return p, false
	}
	if id == "" {
		return p, false
	}
	p.traceID = id
	return p, true
}

// after reports whether p is further than q, in Firestore's order of values: timestamps,
// then strings.
func (p position) after(q position) bool {
	switch {
	case p.traceID == "" || q.traceID == "":
		return p.traceID != ""
	case p.inTexts() != q.inTexts():
		return p.inTexts()
	}
	c := 0
	switch at := p.at.(type) {
	case string:
		c = cmp.Compare(at, q.at.(string))
	case time.Time:
		c = at.Compare(q.at.(time.Time))
	}
	return cmp.Or(c, cmp.Compare(p.traceID, q.traceID)) > 0
}

// inTexts reports whether p is beyond all native timestamps.
func (p position) inTexts() bool {
	_, ok := p.at.(string)
	return ok
}

// key is p in the order of claiming, in which what is no time comes first.
func (p position) key() sortKey {
	if p.traceID == "" {
		return sortKey{}
	}
	return sortKey{fetchedAt(p.at), p.traceID}
}

// load reads the position once, reload again.
func (f *finder) load(ctx context.Context, now time.Time) error {
	if f.loaded {
		return nil
	}
	return f.reload(ctx, now)
}

func (f *finder) reload(ctx context.Context, now time.Time) error {
	snap, err := f.db.get(ctx, f.db.meta("scan"))
	if err != nil {
		return err
	}
	first := !f.loaded
	f.loaded = true
	if !snap.Exists() {
		return nil
	}
	fields := snap.Data()
	id, sweep, orphan, doneID := idIn(fields, "trace_id"), idIn(fields, "sweep_id"), idIn(fields, "orphan_id"), idIn(fields, "done_id")
	idle, _ := fields["idle_runs"].(int64)
	if first {
		f.pos.sweepID, f.pos.orphanID, f.pos.doneID = sweep, orphan, doneID
	}
	f.pos.idleRuns = max(f.pos.idleRuns, idle)
	p, ok := position{sweepID: sweep, orphanID: orphan, doneID: doneID, idleRuns: f.pos.idleRuns}.moved(fields["fetched_at"], id, now.Add(clockSkew))
	if ok && p.after(f.pos) {
		f.pos = p
	}
	return nil
}

// idIn returns the document id in a field, or "" if there is none: a query after what is no
// id would fail, and so would every run.
func idIn(fields map[string]any, name string) string {
	id, _ := fields[name].(string)
	if evalforge.ValidateTraceID(id) != nil {
		return ""
	}
	return id
}

// save remembers the position, for the other workers too.
func (f *finder) save(ctx context.Context, p position) error {
	if p == f.pos {
		return nil
	}
	fields := map[string]any{"trace_id": p.traceID, "sweep_id": p.sweepID, "orphan_id": p.orphanID, "done_id": p.doneID, "idle_runs": p.idleRuns}
	if p.traceID != "" {
		fields["fetched_at"] = p.at
	}
	ctx, cancel := f.db.attempt(ctx)
	defer cancel()
	_, err := f.db.meta("scan").Set(ctx, fields)
	if err == nil {
		f.pos = p
	}
	return err
}
