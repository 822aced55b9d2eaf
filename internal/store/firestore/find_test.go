package firestore

import (
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// TestAnyFetchedAt: whatever fetched_at of a document is, runs go on, and every document
// is found.
func TestAnyFetchedAt(t *testing.T) {
	for name, v := range map[string]any{
		"null": nil, "boolean": true, "integer": 17, "double": math.NaN(), "empty": "", "low text": "1 day ago", "text": "yesterday",
		"future": "2999-01-01T00:00:00+00:00", "native": minute(0), "native future": minute(1_000_000_000), "bytes": []byte("x"),
		"array": []any{1}, "map": map[string]any{"a": 1},
	} {
		t.Run(name, func(t *testing.T) {
			project := emulator.Project()
			db := open(t, project)
			const good = smallBacklog + 1
			for i := range good {
				ingest(t, db, raw(fmt.Sprint("good", i), i))
			}
			overwrite(t, db, "odd", map[string]any{"processed": false, "fetched_at": v})
			got := map[string]bool{}
			for range good + 1 {
				claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 1, Now: minute(1), LeaseUntil: minute(2),
					NewToken: func() string { return "t" }})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range claims {
					got[c.TraceID] = true
				}
			}
			if len(got) != good+1 {
				t.Errorf("claimed %v, want %d traces", got, good+1)
			}
			if at := db.finder.pos.key().fetchedAt; at > text(minute(1)) {
				t.Errorf("the position moved to %q, which is yet to come", at)
			}
		})
	}
}

// TestManyOddTimes: a backlog with times that are none, or are yet to come, costs a run no
// more reads than another one.
func TestManyOddTimes(t *testing.T) {
	const batch = 10
	for name, odd := range map[string]func(i int) any{
		"empty":             func(int) any { return "" },
		"seconds as text":   func(i int) any { return fmt.Sprint(1767323045 + i) },
		"native and future": func(i int) any { return minute(1_000_000_000 + i) },
	} {
		t.Run(name, func(t *testing.T) {
			project := emulator.Project()
			db := open(t, project)
			list := make([]evalforge.RawTrace, maxStray+batch)
			for i := range list {
				list[i] = raw(fmt.Sprintf("t-%03d", i), i)
			}
			ingestMany(t, db, list)
			err := each(list, func(tr evalforge.RawTrace) error {
				at := odd(int(tr.FetchedAt.Sub(t0).Seconds()))
				_, err := db.raw(tr.TraceID).Update(t.Context(), []firestore.Update{{Path: "fetched_at", Value: at}})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			var m meter
			r := run(t, engine(t, open(t, project, m.options()...), &script{}, extract.Options{}), batch)
			if r.PickedUpCount != batch {
				t.Errorf("picked up %d, want %d", r.PickedUpCount, batch)
			}
			if got, limit := m.reads.Load(), int64(batch*readsPerTrace+readsPerRun); got > limit {
				t.Errorf("%d reads, want at most %d", got, limit)
			}
		})
	}
}

// TestPositionStaysInThePast: a document with a time that is wrong or yet to come does not
// change the order in which what comes after it is claimed.
func TestPositionStaysInThePast(t *testing.T) {
	for name, odd := range map[string]any{"no time": "yesterday", "future": "2999-01-01T00:00:00+00:00", "map": map[string]any{}} {
		t.Run(name, func(t *testing.T) {
			project := emulator.Project()
			db := open(t, project)
			list := make([]evalforge.RawTrace, 20)
			for i := range list {
				list[i] = raw(fmt.Sprintf("first-%02d", i), i)
			}
			ingestMany(t, db, list)
			overwrite(t, db, "odd", map[string]any{"processed": false, "fetched_at": odd})
			run(t, engine(t, db, &script{}, extract.Options{}), 50)
			const size, batch = 300, 30
			for round := range 2 {
				list = make([]evalforge.RawTrace, size)
				for i := range list { // ids against the order of age
					list[i] = raw(fmt.Sprintf("r%d-%04d", round, size-1-i), 1000*(1+round)+i)
				}
				ingestMany(t, db, list)
				r := run(t, engine(t, open(t, project), &script{}, extract.Options{}), batch)
				if r.StoredCount != batch {
					t.Fatalf("round %d: stored %d, want %d", round, r.StoredCount, batch)
				}
				oldest := map[string]bool{}
				for i := range batch { // of the first list, whose second batch comes before the second list
					oldest[fmt.Sprintf("r0-%04d", size-1-i-round*batch)] = true
				}
				for _, o := range r.TraceOutcomes {
					// Looks behind the position bring in a few out of turn.
					delete(oldest, o.SourceTraceID)
				}
				if len(oldest) > 0 {
					t.Errorf("round %d: %d of the oldest were left for later: %v", round, len(oldest), oldest)
				}
			}
		})
	}
}

// TestSpoiltPosition: what an earlier release, or a wrong clock, saved is not believed.
func TestSpoiltPosition(t *testing.T) {
	for name, at := range map[string]any{"no time": "yesterday", "future": "2999-01-01T00:00:00+00:00",
		"native future": time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC), "map": map[string]any{"a": 1}} {
		project := emulator.Project()
		db := open(t, project)
		list := make([]evalforge.RawTrace, 3*smallBacklog)
		for i := range list {
			list[i] = raw(fmt.Sprintf("t-%02d", len(list)-1-i), i)
		}
		ingestMany(t, db, list)
		if _, err := db.meta("scan").Set(t.Context(), map[string]any{"fetched_at": at, "trace_id": "a", "sweep_id": ""}); err != nil {
			t.Fatal(err)
		}
		claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 1, Now: minute(1), LeaseUntil: minute(2),
			NewToken: func() string { return "t" }})
		if err != nil || len(claims) != 1 || claims[0].TraceID != list[0].TraceID {
			t.Errorf("%s: claimed %v with error %v, want the oldest", name, claims, err)
		}
	}
}

// TestSpoiltPlaces: a place in the order of ids that is none is as good as no place.
func TestSpoiltPlaces(t *testing.T) {
	db := open(t, emulator.Project())
	for i := range 3 * smallBacklog {
		ingest(t, db, raw(fmt.Sprintf("t-%02d", i), i))
	}
	for i, id := range []any{"a/b", "/", "..", "__x__", 17, nil, strings.Repeat("x", evalforge.MaxTraceIDBytes+1)} {
		_, err := db.meta("scan").Set(t.Context(), map[string]any{"fetched_at": text(minute(0)), "trace_id": id, "sweep_id": id, "orphan_id": id, "done_id": id})
		if err != nil {
			t.Fatal(err)
		}
		r, err := engine(t, open(t, db.project), &script{}, extract.Options{}).Run(t.Context(), extract.RunRequest{BatchSize: 3})
		if err != nil || r.StoredCount != 3 {
			t.Errorf("%d: stored %d, error %v; want 3", i, r.StoredCount, err)
		}
	}
}

// TestLookGoesRound: where a look behind the position ended with the very last document,
// the next one begins anew, and finds what came in late.
func TestLookGoesRound(t *testing.T) {
	project := emulator.Project()
	db := open(t, project)
	list := make([]evalforge.RawTrace, 2*smallBacklog+sweepPage)
	for i := range list {
		list[i] = raw(fmt.Sprintf("stuck-%03d", i), 100+i)
		list[i].Payload = []byte(`{}`)
	}
	ingestMany(t, db, list)
	run(t, engine(t, db, &script{}, extract.Options{Concurrency: 8}), len(list))
	_, err := db.meta("scan").Update(t.Context(), []firestore.Update{{Path: "sweep_id", Value: list[len(list)-1-sweepPage].TraceID}})
	if err != nil {
		t.Fatal(err)
	}
	ingest(t, db, raw("stuck-010-late", 0))
	if r := run(t, engine(t, open(t, project), &script{}, extract.Options{}), 10); r.StoredCount != 1 {
		t.Errorf("stored %d, want the late trace", r.StoredCount)
	}
}

// TestPayloadsStayUnread: a search reads payloads of what it claims, and of nothing else:
// also where states say that traces are done which ingestion has written anew since.
func TestPayloadsStayUnread(t *testing.T) {
	project := emulator.Project()
	db := open(t, project)
	list := make([]evalforge.RawTrace, 100)
	for i := range list {
		list[i] = raw(fmt.Sprintf("t-%03d", i), i)
	}
	ingestMany(t, db, list)
	run(t, engine(t, db, &script{}, extract.Options{Concurrency: 4}), len(list))
	payload := fmt.Sprintf(`{"prompt":%q,"response":"r"}`, strings.Repeat("x", 50_000))
	for i := range list {
		list[i].Payload = []byte(payload)
	}
	for part := range slices.Chunk(list, 50) {
		ingestMany(t, db, part)
	}
	var m meter
	claims, err := open(t, project, m.options()...).Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 2, Now: minute(10),
		LeaseUntil: minute(20), NewToken: rand.Text})
	if err != nil || len(claims) != 2 {
		t.Fatalf("%d claims, error %v", len(claims), err)
	}
	if got, limit := m.bytes.Load(), int64(len(claims)*len(payload)+2*sweepPage*1000); got > limit {
		t.Errorf("%d bytes were read, want at most %d", got, limit)
	}
}

// TestOrphans: states of traces that were deleted, or processed by another service, do not
// hide for ever as many traces that came in late.
func TestOrphans(t *testing.T) {
	project := emulator.Project()
	db := open(t, project)
	const stuck = 4 * sweepPage
	list := make([]evalforge.RawTrace, stuck)
	for i := range list {
		list[i] = raw(fmt.Sprintf("stuck-%03d", i), 100+i)
		list[i].Payload = []byte(`{}`)
	}
	ingestMany(t, db, list)
	run(t, engine(t, db, &script{}, extract.Options{Concurrency: 8}), stuck)
	for i := range 4 {
		ref := db.raw(list[i].TraceID)
		var err error
		if i < 2 {
			_, err = ref.Delete(t.Context())
		} else {
			_, err = ref.Update(t.Context(), []firestore.Update{{Path: "processed", Value: true}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for runs := 0; ; runs++ {
		b, err := db.Backlog(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if b.Quarantined == stuck-4 {
			break
		}
		if runs > 2*stuck/orphanPage+doneEvery {
			t.Fatalf("after %d runs: %+v, want %d quarantined", runs, b, stuck-4)
		}
		run(t, engine(t, open(t, project), &script{}, extract.Options{}), 10)
	}
	ingest(t, db, raw("zz-late", 0))
	if r := run(t, engine(t, open(t, project), &script{}, extract.Options{}), 10); r.StoredCount != 1 {
		t.Errorf("stored %d, want the late trace", r.StoredCount)
	}
}

// TestStatesOfDeletedTraces: what is remembered of processed traces goes when the traces
// are deleted, as by somebody's retention.
func TestStatesOfDeletedTraces(t *testing.T) {
	project := emulator.Project()
	db := open(t, project)
	const traces, gone = 3 * orphanPage, 5
	list := make([]evalforge.RawTrace, traces)
	for i := range list {
		list[i] = raw(fmt.Sprintf("t-%03d", i), i)
	}
	ingestMany(t, db, list)
	run(t, engine(t, db, &script{}, extract.Options{Concurrency: 8}), traces)
	for i := range gone {
		if _, err := db.raw(list[i*traces/gone].TraceID).Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ingest(t, db, raw("t-001", 1)) // and one is written anew
	for n := 0; ; n++ {
		snaps, err := query(t.Context(), db.collection(states).Query)
		if err != nil {
			t.Fatal(err)
		}
		if len(snaps) == traces-gone {
			break
		}
		if n > doneEvery*(traces/orphanPage+1) {
			t.Fatalf("after %d runs there are %d states, want %d", n, len(snaps), traces-gone)
		}
		run(t, engine(t, open(t, project), &script{}, extract.Options{}), 10)
	}
	if tr, err := db.Trace(t.Context(), "t-001"); err != nil || !tr.Processed {
		t.Errorf("the trace that was written anew: processed %v, error %v", tr.Processed, err)
	}
}
