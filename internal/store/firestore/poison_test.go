package firestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// TestPoison: a thousand documents of which nothing can come, older than everything else,
// do not keep a good trace from the next run, nor make that run expensive. It does not
// matter how the good trace comes: as the newest, late and older than all, with a time
// that is none, or as a document that is overwritten.
func TestPoison(t *testing.T) {
	poison := 1000
	if testing.Short() {
		poison = 200
	}
	project := emulator.Project()
	db := open(t, project)
	placeholder(t, db)
	traces := make([]evalforge.RawTrace, poison)
	for i := range traces {
		traces[i] = raw(fmt.Sprintf("poison-%04d", i), 100)
		switch i % 4 {
		case 0:
			traces[i].Payload = json.RawMessage(`{}`)
		case 1:
			traces[i].Payload = json.RawMessage(`"no map"`)
		case 2:
			traces[i].ServiceName = "fails"
		}
	}
	ingestMany(t, db, traces)
	for i := 3; i < poison; i += 4 {
		spoil(t, db, traces[i].TraceID, i)
	}
	analyzer := &script{err: func(in *extract.Input) error {
		if in.ServiceName == "fails" {
			return &extract.Error{Kind: extract.KindUnavailable, Err: errors.New("down")}
		}
		return nil
	}}
	met := map[string]bool{}
	for len(met) < poison { // every one has its first try
		r := run(t, engine(t, db, analyzer, extract.Options{Concurrency: 8}), 500)
		if r.StoredCount > 0 || r.PickedUpCount == 0 {
			t.Fatalf("a run stored %d and picked up %d traces", r.StoredCount, r.PickedUpCount)
		}
		for _, o := range r.TraceOutcomes {
			met[o.SourceTraceID] = true
		}
	}

	for name, good := range map[string]func() (id string){
		"newest":         func() string { ingest(t, db, raw("newest", 1000)); return "newest" },
		"late":           func() string { ingest(t, db, raw("late", 0)); return "late" },
		"of equal age":   func() string { ingest(t, db, raw("equal", 100)); return "equal" },
		"without a time": func() string { return overwrite(t, db, "timeless", map[string]any{"processed": false}) },
		"native time": func() string {
			return overwrite(t, db, "native", map[string]any{"processed": false, "fetched_at": minute(1)})
		},
		"corrected and seen again": func() string { ingest(t, db, raw("poison-0004", 2000)); return "poison-0004" },
	} {
		id := good()
		var m meter
		r := run(t, engine(t, open(t, project, m.options()...), analyzer, extract.Options{}), 50)
		stored := []string{}
		for _, o := range r.TraceOutcomes {
			if o.Status == evalforge.Stored {
				stored = append(stored, o.SourceTraceID)
			}
		}
		if !slices.Equal(stored, []string{id}) {
			t.Errorf("%s: the next run stored %q, want %q", name, stored, id)
		}
		t.Logf("%s: %s", name, &m)
		// A search behind the position looks at the backlog once, up to its bound.
		if got, limit := m.reads.Load(), int64(50*readsPerTrace+readsPerRun+2*lateSweep); got > limit {
			t.Errorf("%s: %d reads, want at most %d", name, got, limit)
		}
	}
	var m meter
	run(t, engine(t, open(t, project, m.options()...), analyzer, extract.Options{}), 50)
	t.Logf("with nothing to do: %s", &m)
	if got := m.reads.Load(); got > readsPerRun {
		t.Errorf("a run with nothing to do: %d reads, want at most %d", got, readsPerRun)
	}
	if _, err := db.raw("_bootstrap_placeholder").Get(t.Context()); err != nil {
		t.Errorf("the placeholder is gone: %v", err)
	}
	b, err := db.Backlog(t.Context(), minute(1))
	if err != nil || b.Pending != poison-1 {
		t.Errorf("backlog %+v and error %v, want %d pending", b, err, poison-1)
	}
}

// placeholder writes the bookkeeping document of the existing services.
func placeholder(t *testing.T, db *DB) {
	t.Helper()
	_, err := db.raw("_bootstrap_placeholder").Set(t.Context(), map[string]any{"note": "do not delete", "created_at": "2026-01-01T00:00:00+00:00"})
	if err != nil {
		t.Fatal(err)
	}
}

// overwrite writes a good trace with other fields.
func overwrite(t *testing.T, db *DB, id string, fields map[string]any) string {
	t.Helper()
	fields["trace_payload"] = map[string]any{"prompt": "a", "response": "b"}
	if _, err := db.raw(id).Set(t.Context(), fields); err != nil {
		t.Fatal(err)
	}
	return id
}

// spoil makes a document one of wrong types.
func spoil(t *testing.T, db *DB, id string, i int) {
	t.Helper()
	values := []firestore.Update{
		{Path: "service_name", Value: 17}, {Path: "severity", Value: true}, {Path: "failure_type", Value: []any{1}},
		{Path: "trace_payload", Value: minute(1)}, {Path: "severity", Value: map[string]any{"a": 1}}, {Path: "trace_payload", Value: []byte("x")},
	}
	if _, err := db.raw(id).Update(t.Context(), values[i/4%len(values):][:1]); err != nil {
		t.Fatal(err)
	}
}

// TestNoRoomForTheFlag: a raw document that is so close to Firestore's limit that the time
// of its processing does not fit is quarantined, and the run goes on.
func TestNoRoomForTheFlag(t *testing.T) {
	project := emulator.Project()
	db := open(t, project)
	put := func(n int) error {
		fields, err := document(raw("edge", 0))
		if err != nil {
			return err
		}
		fields["trace_payload"] = map[string]any{"prompt": strings.Repeat("x", n), "response": "r"}
		delete(fields, "processed_at")
		_, err = db.raw("edge").Set(t.Context(), fields)
		return err
	}
	low, high := store.MaxNative-4096, store.MaxNative
	for high-low > 1 {
		if mid := (low + high) / 2; put(mid) == nil {
			low = mid
		} else {
			high = mid
		}
	}
	if err := put(low); err != nil {
		t.Fatal(err)
	}
	ingest(t, db, raw("good", 1))
	r := run(t, engine(t, db, &script{}, extract.Options{}), 10)
	if r.StoredCount != 1 || r.PickedUpCount != 2 || r.FailedCount() != 1 {
		t.Errorf("the run picked up %d, stored %d, failed %d; want 2, 1, 1: %+v", r.PickedUpCount, r.StoredCount, r.FailedCount(), r.TraceOutcomes)
	}
	s, err := db.State(t.Context(), "edge")
	if err != nil || s.QuarantinedAt.IsZero() || s.LastErrorType != evalforge.Oversize {
		t.Errorf("state %+v, error %v; want quarantine for oversize", s, err)
	}
}

// TestWhatPutTakesCanBeCommitted: the longest trace that PutTrace takes has room for what
// the end of its extraction adds; one byte more is refused.
func TestWhatPutTakesCanBeCommitted(t *testing.T) {
	db := open(t, emulator.Project())
	put := func(n int) error {
		tr := raw("edge", 0)
		tr.Payload = fmt.Appendf(nil, `{"prompt":%q,"response":"r"}`, strings.Repeat("x", n))
		_, err := db.PutTrace(t.Context(), tr)
		return err
	}
	fits, over := store.MaxNative-4096, store.MaxNative
	for over-fits > 1 {
		if mid := (fits + over) / 2; put(mid) == nil {
			fits = mid
		} else {
			over = mid
		}
	}
	if err := put(over); extract.KindOf(err) != extract.KindOversize {
		t.Errorf("a byte more than fits: %v, want a failure for its size", err)
	}
	if err := put(fits); err != nil {
		t.Fatal(err)
	}
	r := run(t, engine(t, db, &script{}, extract.Options{}), 1)
	if tr, err := db.Trace(t.Context(), "edge"); err != nil || r.StoredCount != 1 || !tr.Processed {
		t.Errorf("stored %d, processed %v, error %v: %+v", r.StoredCount, tr.Processed, err, r.TraceOutcomes)
	}
}

func TestRefusedWritesArePermanent(t *testing.T) {
	for msg, want := range map[string]extract.Kind{
		"Document 'x' cannot be written because its size (1,048,600 bytes) exceeds the maximum allowed size of 1,048,576 bytes.": extract.KindOversize,
		"entity is larger than the maximum entity size":            extract.KindOversize,
		"The entity is too big":                                    extract.KindOversize,
		"Property array contains an invalid nested entity.":        extract.KindInvalidTrace,
		"too many index entries for entity evalforge_raw_traces/x": extract.KindInvalidTrace,
	} {
		if got := extract.KindOf(conflict(status.Error(codes.InvalidArgument, msg))); got != want {
			t.Errorf("%s: got %s, want %s", msg, got, want)
		}
	}
	if err := conflict(status.Error(codes.InvalidArgument, "The referenced transaction has expired")); !errors.Is(err, errConflict) {
		t.Errorf("a transaction that is over: %v, want a conflict", err)
	}
}
