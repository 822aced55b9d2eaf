package firestore

import (
	"context"
	"time"

	"github.com/evalforge/evalforge"
)

// A position is how far the backlog is known. Its document is shared by all workers; one
// that is behind costs reads, and is otherwise harmless.
type position struct {
	// The raw field, one of the two: up to here, and among equals up to traceID, all
	// unprocessed traces have a state. It is a time that has passed, and no other value:
	// what is written later must come beyond it.
	text    string
	native  time.Time
	traceID string // "" is the beginning
	sweepID string // where the looks behind go on
	// orphanID and doneID are where the looks for states without a trace go on.
	orphanID, doneID string
	idleRuns         int64 // runs that found too little
}

// moved returns p moved to a trace, and whether that may be: not to one whose time is none
// or not before limit.
func (p position) moved(value any, id string, limit time.Time) (position, bool) {
	at, err := evalforge.ParseTimestamp(fetchedAt(value))
	if err != nil || at.IsZero() || id == "" || at.After(limit) {
		return p, false
	}
	p.traceID, p.text, p.native = id, "", time.Time{}
	switch v := value.(type) {
	case string:
		p.text = v
	case time.Time:
		p.native = v.UTC()
	}
	return p, true
}

// value is the raw field.
func (p position) value() any {
	if p.text == "" {
		return p.native
	}
	return p.text
}

func (p position) key() sortKey {
	if p.traceID == "" {
		return sortKey{}
	}
	return sortKey{fetchedAt(p.value()), p.traceID}
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
	id, _ := fields["trace_id"].(string)
	sweep, _ := fields["sweep_id"].(string)
	orphan, _ := fields["orphan_id"].(string)
	doneID, _ := fields["done_id"].(string)
	idle, _ := fields["idle_runs"].(int64)
	if first {
		f.pos.sweepID, f.pos.orphanID, f.pos.doneID = sweep, orphan, doneID
	}
	f.pos.idleRuns = max(f.pos.idleRuns, idle)
	p, ok := position{sweepID: sweep, orphanID: orphan, doneID: doneID, idleRuns: f.pos.idleRuns}.moved(fields["fetched_at"], id, now.Add(clockSkew))
	if ok && p.key().compare(f.pos.key()) > 0 {
		f.pos = p
	}
	return nil
}

// save remembers the position, for the other workers too.
func (f *finder) save(ctx context.Context, p position) error {
	if p == f.pos {
		return nil
	}
	fields := map[string]any{"trace_id": p.traceID, "sweep_id": p.sweepID, "orphan_id": p.orphanID, "done_id": p.doneID, "idle_runs": p.idleRuns}
	if p.traceID != "" {
		fields["fetched_at"] = p.value()
	}
	ctx, cancel := f.db.attempt(ctx)
	defer cancel()
	_, err := f.db.meta("scan").Set(ctx, fields)
	if err == nil {
		f.pos = p
	}
	return err
}
