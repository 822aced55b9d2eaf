package firestore

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// What one search may read. Everything that grows with the backlog is paid once per
// document, or a fixed amount per claim.
const (
	// smallBacklog is how many unprocessed traces are simply all looked at, each time.
	smallBacklog = 8
	// sweepPage is how many documents an amortised look behind the position takes.
	sweepPage = 8
	// claimCredit is how many reads of such looks a claimed trace allows.
	claimCredit = 2
	// idleSweep is how many documents a run that found too little looks at once.
	idleSweep = 128
	// lateSweep bounds what it looks at when the counts say that something was missed.
	lateSweep = 2048
	// orphanPage is how many states it holds against the raw traces, which may be gone.
	orphanPage = 32
	// rotateEvery is after how many runs that found too little one looks at up to
	// lateSweep documents, whatever the counts say.
	rotateEvery = 32
	// forwardPage is how many documents beyond the position are taken in at least.
	forwardPage, maxForwardPage = 32, 300
	// maxStray bounds how many documents beyond the position that cannot move it are met
	// in one search: they are met again by the next.
	maxStray = 300
	// clockSkew is how far ahead of ours the clock of another worker may be that has
	// saved a position.
	clockSkew = 10 * time.Minute
	// maxSpread bounds how far from the head of the queue contending workers start.
	maxSpread = 64
)

// A finder finds the traces that are due.
//
// The queue of claimable traces is in the state documents. Traces that ingestion wrote
// get there in order of fetched_at: the position says up to where all unprocessed
// traces have a state, and the search goes on from it when the queue up to there does not
// give enough. It stays at times that have passed: a document whose fetched_at is in the
// future, or no time at all, is found by the looks below. What is stuck, quarantined,
// leased or backing off, is not in the queue, and so costs a claim nothing, however much
// of it there is at the head of the backlog.
//
// What ingestion writes behind the position (late arrivals, overwritten documents) is
// found by looks at the unprocessed documents in order of their ids, a page at a time,
// round and round: [claimCredit] documents per claim, [idleSweep] more once per run that
// comes short, and up to [lateSweep] when the counts say that some are missing, or in every
// [rotateEvery]th run that comes short, whatever they say. States of traces that are gone
// would falsify the counts; they are looked for in the same way, [orphanPage] per such run.
// A backlog under [smallBacklog] traces is always looked at as a whole.
type finder struct {
	db          *DB
	task, tasks int
	turn        chan struct{} // held by who searches: claims of one process do not contend

	pos     position
	loaded  bool // pos was read
	large   bool // the backlog had smallBacklog traces or more when last looked at
	credit  int
	spread  int    // how far from the head to start: grows with conflicts
	idleRun string // for which the idle sweep is done
}

func newFinder(db *DB, task, tasks int) finder {
	return finder{db: db, task: max(task, 0), tasks: tasks, turn: make(chan struct{}, 1)}
}

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
	// orphanID is where the looks for states without a trace go on.
	orphanID string
	idleRuns int64 // runs that found too little
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

// A sortKey is the order of claiming.
type sortKey struct{ fetchedAt, id string }

func (a sortKey) compare(b sortKey) int {
	return cmp.Or(cmp.Compare(a.fetchedAt, b.fetchedAt), cmp.Compare(a.id, b.id))
}

// A candidate is a trace that seems to be due.
type candidate struct {
	id        string
	fetchedAt string
	s         *state
	// suspect ones are due only if their content has changed.
	suspect bool
	untracked
}

// untracked tells that the trace waits, but is not in the queue.
type untracked bool

func (c candidate) key() sortKey { return sortKey{c.fetchedAt, c.id} }

// found is the outcome of a search: candidates in the order of claiming, and what has to
// be written for the next search to be cheap.
type found struct {
	candidates []candidate
	track      []candidate // untracked traces, candidates or not
	unpark     []candidate // parked ones that are due
	orphans    []orphan
	pos        position
	seen       map[string]bool
}

// An orphan is a state that says that its trace waits, which is not so: it was deleted, or
// processed by somebody else. It would be counted as if it were.
type orphan struct {
	s    *state
	gone bool
}

func (f *found) add(c candidate) {
	if !f.seen[c.id] {
		f.seen[c.id] = true
		f.candidates = append(f.candidates, c)
	}
}

// upTo counts the candidates that come no later than the position.
func (f *found) upTo(p position) int {
	n := 0
	if p.traceID == "" {
		return 0
	}
	for _, c := range f.candidates {
		if c.key().compare(p.key()) <= 0 {
			n++
		}
	}
	return n
}

// find searches for at least n candidates, and returns fewer only if there are no more.
func (f *finder) find(ctx context.Context, req *extract.ClaimRequest, n int, claiming bool) (found, error) {
	if err := f.load(ctx, req.Now); err != nil {
		return found{}, err
	}
	out := found{pos: f.pos, seen: map[string]bool{}}
	if !f.large {
		keys, err := f.keysByID(ctx, "", smallBacklog)
		if err != nil {
			return out, err
		}
		if len(keys) < smallBacklog {
			if err := f.judge(ctx, req, keys, &out); err != nil {
				return out, err
			}
			sortCandidates(out.candidates)
			return out, nil
		}
		f.large = true
		if err := f.judge(ctx, req, keys, &out); err != nil {
			return out, err
		}
	}
	steps := []func(context.Context, *extract.ClaimRequest, int, *found) error{f.lookBehind, f.parkedDue, f.ready, f.forward, f.idle}
	if !claiming {
		steps = steps[1:]
	}
	for _, step := range steps {
		if err := step(ctx, req, n, &out); err != nil {
			return out, err
		}
	}
	sortCandidates(out.candidates)
	if claiming {
		f.scatter(out.candidates)
	}
	return out, nil
}

func sortCandidates(list []candidate) {
	slices.SortFunc(list, func(a, b candidate) int { return a.key().compare(b.key()) })
}

// scatter moves the start of contending workers apart.
func (f *finder) scatter(list []candidate) {
	k := 0
	if f.tasks > 1 {
		k = f.task % f.tasks
	}
	if f.spread > 0 {
		k += rand.N(f.spread + 1)
	}
	if len(list) < 2 || k == 0 {
		return
	}
	k %= len(list)
	slices.Reverse(list[:k])
	slices.Reverse(list[k:])
	slices.Reverse(list)
}

// window is how many candidates to look for so that there is something to spread over.
func (f *finder) window(n int) int { return n + f.spread + max(f.tasks-1, 0) }

// contended notes whether the last claim met other workers.
func (f *finder) contended(yes bool) {
	if yes {
		f.spread = min(2*f.spread+2, maxSpread)
	} else {
		f.spread /= 2
	}
}

// A rawKey is what the search needs of a raw trace: the payload is not fetched.
type rawKey struct {
	id      string
	value   any // fetched_at as it is stored
	version time.Time
}

func rawKeys(snaps []*firestore.DocumentSnapshot) []rawKey {
	keys := make([]rawKey, len(snaps))
	for i, s := range snaps {
		keys[i] = rawKey{s.Ref.ID, s.Data()["fetched_at"], s.UpdateTime}
	}
	return keys
}

func (f *finder) keysByID(ctx context.Context, after string, limit int) ([]rawKey, error) {
	snaps, err := query(ctx, f.db.unprocessedByID(after, limit))
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
	var again []*firestore.DocumentRef // that seem to be done
	for i, snap := range snaps {
		if list[i] = readState(snap); list[i].Queue == done {
			again = append(again, f.db.raw(list[i].TraceID))
		}
	}
	// A commit may have come between the two readings. Only a raw trace that is
	// unprocessed after its state was done has been written anew since.
	committed := map[string]bool{}
	if len(again) > 0 {
		waiting, err := f.db.stillUnprocessed(ctx, again)
		if err != nil {
			return err
		}
		for _, ref := range again {
			committed[ref.ID] = !waiting[ref.ID]
		}
	}
	now := stamp(req.Now).Time
	for i, k := range keys {
		s := list[i]
		if committed[k.id] {
			continue
		}
		c := candidate{id: k.id, fetchedAt: fetchedAt(k.value), s: s}
		due := s.due(req)
		c.suspect = !due && !s.leased(now) && s.suspect(k.version, now)
		c.untracked = untracked(!s.tracked())
		if c.untracked {
			s.FetchedAt = c.fetchedAt
			out.track = append(out.track, c)
		}
		if due || c.suspect {
			out.add(c)
		}
	}
	return nil
}

// lookBehind looks at a few documents behind the position, if the claims so far have
// paid for it.
func (f *finder) lookBehind(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	f.credit = min(f.credit+claimCredit*n, 2*sweepPage)
	if f.credit < 2*sweepPage {
		return nil
	}
	f.credit = 0
	_, err := f.sweep(ctx, req, sweepPage, out)
	return err
}

// sweep takes the next documents in order of id, and reports how many there were.
func (f *finder) sweep(ctx context.Context, req *extract.ClaimRequest, limit int, out *found) (int, error) {
	keys, err := f.keysByID(ctx, out.pos.sweepID, limit)
	if err != nil {
		return 0, err
	}
	if len(keys) < limit {
		if out.pos.sweepID == "" && len(keys) < smallBacklog {
			f.large = false
		}
		out.pos.sweepID = ""
	} else {
		out.pos.sweepID = keys[len(keys)-1].id
	}
	return len(keys), f.judge(ctx, req, keys, out)
}

// parkedDue takes parked traces whose lease or backoff has ended. Those that are not
// claimed now become ready, so each is met once per wait.
func (f *finder) parkedDue(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	snaps, err := query(ctx, f.db.dueStates(text(req.Now), n+sweepPage))
	if err != nil {
		return err
	}
	for _, snap := range snaps {
		s := readState(snap)
		c := candidate{id: s.TraceID, fetchedAt: s.FetchedAt, s: s}
		out.unpark = append(out.unpark, c)
		if s.due(req) {
			out.add(c)
		}
	}
	return nil
}

// ready takes the head of the queue.
func (f *finder) ready(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	want := f.window(n)
	limit, taken := want, 0
	var after *sortKey
	for taken < want {
		snaps, err := query(ctx, f.db.readyStates(after, limit))
		if err != nil {
			return err
		}
		for _, snap := range snaps {
			s := readState(snap)
			if s.due(req) {
				taken++
				out.add(candidate{id: s.TraceID, fetchedAt: s.FetchedAt, s: s})
			}
			after = &sortKey{s.FetchedAt, s.TraceID}
		}
		if len(snaps) < limit {
			return nil
		}
		limit = min(2*limit, maxForwardPage)
	}
	return nil
}

// forward takes in traces beyond the position, until enough candidates come before it.
func (f *finder) forward(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	if out.upTo(out.pos) >= n {
		return nil
	}
	// Other workers may have got further.
	if err := f.reload(ctx, req.Now); err != nil {
		return err
	}
	if f.pos.key().compare(out.pos.key()) > 0 {
		out.pos.text, out.pos.native, out.pos.traceID = f.pos.text, f.pos.native, f.pos.traceID
	}
	limit := min(max(2*n, forwardPage), maxForwardPage)
	after, stray := sortValue{out.pos.value(), out.pos.traceID}, 0
	until := text(req.Now)
	if out.pos.text > until { // by the clock of another worker
		return nil
	}
	for out.upTo(out.pos) < n && stray < maxStray {
		snaps, err := query(ctx, f.db.unprocessedByAge(after, until, limit))
		if err != nil {
			return err
		}
		keys := rawKeys(snaps)
		if err := f.judge(ctx, req, keys, out); err != nil {
			return err
		}
		for _, k := range keys {
			moved := false
			if out.pos, moved = out.pos.moved(k.value, k.id, req.Now); moved {
				stray = 0
			} else {
				stray++
			}
			after = sortValue{k.value, k.id}
		}
		if len(keys) < limit {
			return nil
		}
	}
	return nil
}

// idle looks harder, once per run, when there is too little to do.
func (f *finder) idle(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	if len(out.candidates) >= n || f.idleRun == req.RunID {
		return nil
	}
	f.idleRun = req.RunID
	swept, err := f.sweep(ctx, req, idleSweep, out)
	if err != nil {
		return err
	}
	if err := f.findOrphans(ctx, req, out); err != nil {
		return err
	}
	untracked, err := f.db.countUntracked(ctx)
	if err != nil {
		return err
	}
	untracked += len(out.orphans)
	out.pos.idleRuns++
	thorough := out.pos.idleRuns%rotateEvery == 0
	for (thorough || len(out.track) < untracked) && swept < lateSweep {
		k, err := f.sweep(ctx, req, 2*idleSweep, out)
		if err != nil {
			return err
		}
		if swept += k; k == 0 || thorough && out.pos.sweepID == "" && len(out.track) >= untracked {
			break
		}
	}
	return nil
}

// findOrphans holds the next states against their raw traces.
func (f *finder) findOrphans(ctx context.Context, req *extract.ClaimRequest, out *found) error {
	snaps, err := query(ctx, f.db.pendingByID(out.pos.orphanID, orphanPage))
	if err != nil {
		return err
	}
	out.pos.orphanID = ""
	if len(snaps) == orphanPage {
		out.pos.orphanID = snaps[len(snaps)-1].Ref.ID
	}
	refs := make([]*firestore.DocumentRef, len(snaps))
	for i, snap := range snaps {
		refs[i] = f.db.raw(snap.Ref.ID)
	}
	waiting, err := f.db.stillUnprocessed(ctx, refs)
	if err != nil {
		return err
	}
	now := stamp(req.Now).Time
	for _, snap := range snaps {
		s := readState(snap)
		yes, there := waiting[s.TraceID]
		if !yes && !s.leased(now) && !out.seen[s.TraceID] {
			out.orphans = append(out.orphans, orphan{s, !there})
		}
	}
	return nil
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
	idle, _ := fields["idle_runs"].(int64)
	if first {
		f.pos.sweepID, f.pos.orphanID = sweep, orphan
	}
	f.pos.idleRuns = max(f.pos.idleRuns, idle)
	p, ok := position{sweepID: sweep, orphanID: orphan, idleRuns: f.pos.idleRuns}.moved(fields["fetched_at"], id, now.Add(clockSkew))
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
	fields := map[string]any{"trace_id": p.traceID, "sweep_id": p.sweepID, "orphan_id": p.orphanID, "idle_runs": p.idleRuns}
	if p.traceID != "" {
		fields["fetched_at"] = p.value()
	}
	_, err := f.db.meta("scan").Set(ctx, fields)
	if err == nil {
		f.pos = p
	}
	return err
}
