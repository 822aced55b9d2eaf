package firestore

import (
	"context"
	"slices"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge/internal/extract"
)

// What one search may read. Everything that grows with the backlog is paid once per
// document, or a fixed amount per claim.
const (
	// smallBacklog is how many unprocessed traces are simply all looked at, each time.
	smallBacklog = 8
	// sweepPage is how many documents a look behind the position takes, and sweepEvery how
	// many claims of a run later there is another one.
	sweepPage, sweepEvery = 100, 50
	// lateSweep bounds how many documents a run that found too little looks at when the
	// counts say that something was missed, idlePage at a time.
	lateSweep, idlePage = 2048, 256
	// orphanPage is how many states it holds against the raw traces, which may be gone: of
	// those that wait, or in every doneEvery-th such run of those that are done.
	orphanPage, doneEvery = 32, 4
	// rotateEvery is after how many runs that found too little one looks at up to
	// lateSweep documents, whatever the counts say.
	rotateEvery = 32
	// forwardPage is how many documents beyond the position are taken in at least.
	forwardPage, maxForwardPage = 64, 300
	// maxStray bounds how many documents beyond the position that cannot move it (their
	// fetched_at is a very long string) are met in one search: they are met again by the next.
	maxStray = 300
	// clockSkew is how far ahead of ours the clock of another worker may be that has
	// saved a position.
	clockSkew = 10 * time.Minute
	// maxSpread bounds how far from the head of the queue contending workers start.
	maxSpread = 64
)

// A finder finds the traces that are due.
//
// The queues of claimable traces are in the state documents: the fresh ones by ready_at,
// those tried before by due_at (head.go). Traces that ingestion wrote get there in order
// of fetched_at: the position (position.go) says up to where all unprocessed traces have a
// state, and the search goes on from it when the fresh ones up to there are not enough. It
// stays before the present: a document whose fetched_at is in the future, or sorts there,
// or is neither a timestamp nor a string, is found by the looks below. What is stuck, quarantined, leased or backing off,
// is in neither queue, or at its far end, and so costs a claim nothing, however much of it
// there is at the head of the backlog.
//
// What ingestion writes behind the position (late arrivals, overwritten documents) is
// found by looks (look.go) at the unprocessed documents in order of their ids, a page at a
// time, round and round: [sweepPage] documents at a run's first claim and at each [sweepEvery]th
// after it; and in a run that comes short up to [lateSweep] when the counts say that some
// are missing, or in every [rotateEvery]th such run, whatever they say. States of traces
// that are gone would falsify the counts; they are looked for in the same way, [orphanPage]
// per such run. It is few large looks rather than many small ones, because a query takes
// its time even when it returns little.
// A backlog under [smallBacklog] traces is always looked at as a whole.
type finder struct {
	db          *DB
	task, tasks int
	turn        chan struct{} // held by who searches: claims of one process do not contend

	pos    position
	loaded bool // pos was read
	large  bool // the backlog had smallBacklog traces or more when last looked at
	spread int  // how far from the head to start: grows with conflicts
	runs   []*runNotes
}

// runNotes is what is remembered of a run that searches.
type runNotes struct {
	id     string
	claims int  // until its next look behind the position
	idle   bool // the idle look is done
	swept  int  // documents that it looked at
	// had is up to where it had all retries already: a run that fails for longer than the
	// first backoffs would meet them again at each claim.
	had *turn
}

// maxRuns bounds the runs that are remembered: as many may overlap in one process without
// a look too many.
const maxRuns = 16

func (f *finder) notes(runID string) *runNotes {
	i := slices.IndexFunc(f.runs, func(r *runNotes) bool { return r.id == runID })
	if i >= 0 {
		return f.runs[i]
	}
	r := &runNotes{id: runID}
	f.runs = append(f.runs[max(0, len(f.runs)-maxRuns+1):], r)
	return r
}

func newFinder(db *DB, task, tasks int) finder {
	return finder{db: db, task: max(task, 0), tasks: tasks, turn: make(chan struct{}, 1)}
}

// find searches for at least n candidates, and returns fewer only if there are no more.
func (f *finder) find(ctx context.Context, req *extract.ClaimRequest, n int, claiming bool) (found, error) {
	if err := f.load(ctx, req.Now); err != nil {
		return found{}, err
	}
	out := found{retries: req.Retries, pos: f.pos, seen: map[string]bool{}}
	if err := f.collect(ctx, req, n, claiming, &out); err != nil {
		return out, err
	}
	sortCandidates(out.candidates, req.Retries)
	if claiming {
		f.scatter(out.candidates, req.Retries)
	}
	return out, nil
}

func (f *finder) collect(ctx context.Context, req *extract.ClaimRequest, n int, claiming bool, out *found) error {
	if claiming {
		if err := f.lookBehind(ctx, req, n, out); err != nil {
			return err
		}
	}
	if !f.large {
		keys, err := f.keysByID(ctx, "", smallBacklog)
		if err != nil {
			return err
		}
		f.large = len(keys) == smallBacklog
		if err := f.judge(ctx, req, keys, out); err != nil {
			return err
		}
		if !f.large {
			return f.tidy(ctx, req, n, claiming, out)
		}
	}
	if !req.Retries {
		if err := f.fresh(ctx, req, n, out); err != nil || out.fresh() >= n {
			return err
		}
		return f.tried(ctx, req, n, out)
	}
	if err := f.tried(ctx, req, n, out); err != nil || len(out.candidates)-out.fresh() >= n {
		return err
	}
	return f.fresh(ctx, req, n, out)
}

// fresh searches for n fresh candidates.
func (f *finder) fresh(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	for _, step := range []func(context.Context, *extract.ClaimRequest, int, *found) error{f.ready, f.forward, f.idle} {
		if err := step(ctx, req, n, out); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) keysByID(ctx context.Context, after string, limit int) ([]rawKey, error) {
	snaps, err := f.db.query(ctx, f.db.unprocessedByID(after, limit))
	return rawKeys(snaps), err
}

// judge looks up the states of raw traces and adds those that may be due.
func (f *finder) judge(ctx context.Context, req *extract.ClaimRequest, keys []rawKey, out *found) error {
	refs := make([]*firestore.DocumentRef, len(keys))
	for i, k := range keys {
		refs[i] = f.db.state(k.id)
	}
	if len(refs) == 0 {
		return nil
	}
	snaps, err := f.db.getAll(ctx, refs)
	if err != nil {
		return err
	}
	list := make([]*state, len(keys))
	for i, snap := range snaps {
		list[i] = readState(snap)
	}
	committed, err := f.committed(ctx, list)
	if err != nil {
		return err
	}
	now := stamp(req.Now).Time
	for i, k := range keys {
		s := list[i]
		if committed[k.id] {
			continue
		}
		if !s.tracked() {
			s.FetchedAt = fetchedAt(k.value)
			out.track = append(out.track, s)
		}
		c := candidate{id: k.id, fetchedAt: fetchedAt(k.value), s: s}
		c.suspect = s.suspect(k.version) && !s.leased(now)
		if c.suspect || s.due(req) {
			out.add(c)
		}
	}
	return nil
}

// committed tells which of the traces in list, whose raw documents were unprocessed when
// they were read, have been committed between that reading and the one of their states.
// Only a raw trace that is unprocessed after its state was done has been written anew since.
func (f *finder) committed(ctx context.Context, list []*state) (map[string]bool, error) {
	var refs []*firestore.DocumentRef // that seem to be done
	for _, s := range list {
		if s.Queue == done {
			refs = append(refs, f.db.raw(s.TraceID))
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	waiting, err := f.db.stillUnprocessed(ctx, refs)
	if err != nil {
		return nil, err
	}
	committed := make(map[string]bool, len(refs))
	for _, ref := range refs {
		committed[ref.ID] = !waiting[ref.ID]
	}
	return committed, nil
}
