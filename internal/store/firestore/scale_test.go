package firestore

import (
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// What a run may read: per trace of its batch, and at all. README and docs state these
// figures.
const (
	readsPerTrace  = 14
	readsPerRun    = 400
	writesPerTrace = 6
	writesPerRun   = 400
)

// A cost is what one run takes.
type cost struct {
	reads, writes, calls, scans int64
	// time is that of the run, own without what the emulator's scans took of it.
	time, own time.Duration
}

// TestCostIsFlat: what a run reads and writes, how many calls it makes and how long it takes
// do not depend on the size of the backlog.
//
// The emulator has no indexes: it looks at every document of a collection for any query,
// be it for one document by its id, which the test measures. So there is a part of each
// run's time that grows with the backlog where Firestore's does not: one such scan per
// query of raw traces, of which a run makes a fixed number. It is counted, and taken off.
func TestCostIsFlat(t *testing.T) {
	const batch = 50
	size := 20_000
	if testing.Short() {
		size = 2_000
	}
	small, large := runCost(t, 100, batch), runCost(t, size, batch)
	for _, c := range []struct {
		what         string
		small, large int64
		slack        int64
	}{
		// A large backlog has more for the looks behind to take in.
		{"reads", small.reads, large.reads, 4 * sweepPage},
		{"writes", small.writes, large.writes, 2 * sweepPage},
		{"calls", small.calls, large.calls, 4 * sweepPage},
		{"queries of raw traces", small.scans, large.scans, 1},
		{"milliseconds", small.own.Milliseconds(), 2 * large.own.Milliseconds() / 3, 1500},
	} {
		if c.large > 2*c.small+c.slack {
			t.Errorf("%s: %d for a backlog of 100, %d for one of %d", c.what, c.small, c.large, size)
		}
	}
}

// runCost returns the least cost of two runs out of a backlog. Each must keep the bounds.
func runCost(t *testing.T, size, batch int) cost {
	t.Helper()
	project := emulator.Project()
	seed := open(t, project)
	traces := make([]evalforge.RawTrace, size)
	for i := range traces {
		traces[i] = raw(fmt.Sprintf("trace-%07d", i*7919%size), i)
	}
	ingestMany(t, seed, traces)
	scan := bareQuery(t, seed)
	var least cost
	for n := range 2 {
		var m meter
		db := open(t, project, m.options()...)
		start := time.Now()
		r := run(t, engine(t, db, &script{}, extract.Options{Concurrency: 4}), batch)
		c := cost{reads: m.reads.Load(), writes: m.writes.Load(), calls: m.calls.Load(), scans: m.scans.Load(), time: time.Since(start)}
		c.own = c.time - time.Duration(c.scans)*scan
		t.Logf("backlog %6d, run %d: %s, %d of them queries of raw traces; %v, without scans of %v each %v", size-n*batch, n+1, &m, c.scans,
			c.time.Round(time.Millisecond), scan.Round(time.Millisecond), c.own.Round(time.Millisecond))
		if r.StoredCount != batch {
			t.Errorf("backlog %d: stored %d of %d", size, r.StoredCount, batch)
		}
		if limit := int64(batch*readsPerTrace + readsPerRun); c.reads > limit {
			t.Errorf("backlog %d: %d reads, want at most %d", size, c.reads, limit)
		}
		if limit := int64(batch*writesPerTrace + writesPerRun); c.writes > limit {
			t.Errorf("backlog %d: %d writes, want at most %d", size, c.writes, limit)
		}
		if n == 0 || c.own < least.own {
			least = c
		}
	}
	return least
}

// bareQuery returns how long the emulator takes for the first document by id.
func bareQuery(t *testing.T, db *DB) time.Duration {
	t.Helper()
	least := time.Hour
	for range 3 {
		start := time.Now()
		if _, err := query(t.Context(), db.collection(rawTraces).OrderBy(firestore.DocumentID, firestore.Asc).Limit(1)); err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(start))
	}
	return least
}
