package firestore

import (
	"fmt"
	"testing"
	"time"

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

// TestCostIsFlat: what a run reads and writes does not depend on the size of the backlog.
// Time is only logged: the emulator has no indexes and looks at every document for each
// query, so its time grows with the backlog where Firestore's does not.
func TestCostIsFlat(t *testing.T) {
	const batch = 50
	sizes := []int{100, 20_000}
	if testing.Short() {
		sizes = []int{100, 2_000}
	}
	for _, size := range sizes {
		project := emulator.Project()
		seed := open(t, project)
		traces := make([]evalforge.RawTrace, size)
		for i := range traces {
			traces[i] = raw(fmt.Sprintf("trace-%07d", i*7919%size), i)
		}
		ingestMany(t, seed, traces)
		for n := range 2 {
			var m meter
			db := open(t, project, m.options()...)
			start := time.Now()
			r := run(t, engine(t, db, &script{}, extract.Options{Concurrency: 4}), batch)
			t.Logf("backlog %6d, run %d: %s, %v", size-n*batch, n+1, &m, time.Since(start).Round(time.Millisecond))
			if r.StoredCount != batch {
				t.Errorf("backlog %d: stored %d of %d", size, r.StoredCount, batch)
			}
			if got, limit := m.reads.Load(), int64(batch*readsPerTrace+readsPerRun); got > limit {
				t.Errorf("backlog %d: %d reads, want at most %d", size, got, limit)
			}
			if got, limit := m.writes.Load(), int64(batch*writesPerTrace+writesPerRun); got > limit {
				t.Errorf("backlog %d: %d writes, want at most %d", size, got, limit)
			}
		}
	}
}
