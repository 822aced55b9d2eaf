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
// The queues of claimable traces are in the state documents: the fresh ones by ready_at,
// those tried before by due_at. Traces that ingestion wrote
// get there in order of fetched_at: the position says up to where all unprocessed
// traces have a state, and the search goes on from it when the fresh ones up to there are
// not enough. It stays at times that have passed: a document whose fetched_at is in the
// future, or no time at all, is found by the looks below. What is stuck, quarantined,
// leased or backing off, is in neither queue, or at its far end, and so costs a claim
// nothing, however much of it there is at the head of the backlog.
//
// What ingestion writes behind the position (late arrivals, overwritten documents) is
// found by looks at the unprocessed documents in order of their ids, a page at a time,
// round and round: [sweepPage] documents at a run's first claim and at each [sweepEvery]th
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

// A turn is a place in the queue of traces that were tried before.
type turn struct{ dueAt, id string }

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

// A sortKey is the order of claiming fresh traces.
type sortKey struct{ fetchedAt, id string }

func (a sortKey) compare(b sortKey) int {
	return cmp.Or(cmp.Compare(a.fetchedAt, b.fetchedAt), cmp.Compare(a.id, b.id))
}

// A candidate is a trace that seems to be due.
type candidate struct {
	id        string
	fetchedAt string
	s         *state
	// suspect ones may have been written anew since they were tried. Until that is known
	// they are taken for what is asked for first.
	suspect bool
}

func (c candidate) key() sortKey { return sortKey{c.fetchedAt, c.id} }

func (c candidate) fresh(retries bool) bool {
	if c.suspect {
		return !retries
	}
	return c.s.Attempts == 0
}

// compare is the order of claiming.
func (c candidate) compare(d candidate, retries bool) int {
	switch {
	case c.fresh(retries) != d.fresh(retries):
		if c.fresh(retries) == retries {
			return 1
		}
		return -1
	case c.fresh(retries):
		return c.key().compare(d.key())
	}
	return cmp.Or(cmp.Compare(c.s.DueAt().String(), d.s.DueAt().String()), cmp.Compare(c.id, d.id))
}

// found is the outcome of a search: candidates in the order of claiming, and what has to
// be written for the next search to be cheap.
type found struct {
	retries    bool // are asked for first
	candidates []candidate
	track      []*state // that have to be written, candidates or not
	orphans    []orphan
	pos        position
	seen       map[string]bool
	cut        bool // there was no time to look at everything
}

// An orphan is a state whose trace was deleted, or that says that its trace waits, and it
// was processed by somebody else. It would be counted as if it were.
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

// fresh counts the fresh candidates.
func (f *found) fresh() int {
	n := 0
	for _, c := range f.candidates {
		if c.fresh(f.retries) {
			n++
		}
	}
	return n
}

// upTo counts the fresh candidates that come no later than the position.
func (f *found) upTo(p position) int {
	n := 0
	if p.traceID == "" {
		return 0
	}
	for _, c := range f.candidates {
		if c.fresh(f.retries) && c.key().compare(p.key()) <= 0 {
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

func sortCandidates(list []candidate, retries bool) {
	slices.SortFunc(list, func(a, b candidate) int { return a.compare(b, retries) })
}

// scatter moves the start of contending workers apart, among the fresh ones and among
// the others: none of these is taken while one of those is free.
func (f *finder) scatter(list []candidate, retries bool) {
	k := 0
	if f.tasks > 1 {
		k = f.task % f.tasks
	}
	if f.spread > 0 {
		k += rand.N(f.spread + 1)
	}
	if k == 0 || len(list) == 0 {
		return
	}
	n := slices.IndexFunc(list, func(c candidate) bool { return c.fresh(retries) != list[0].fresh(retries) })
	if n < 0 {
		n = len(list)
	}
	rotate(list[:n], k)
	rotate(list[n:], k)
}

// rotate moves the first k of list, round and round, to its end.
func rotate(list []candidate, k int) {
	if len(list) < 2 {
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

// lookBehind looks at documents behind the position, if it is time to.
func (f *finder) lookBehind(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	run := f.notes(req.RunID)
	if run.claims -= n; run.claims > 0 {
		return nil
	}
	_, err := f.sweep(ctx, req, sweepPage, out)
	if err == nil {
		run.claims = sweepEvery
	}
	return err
}

// sweep takes the next documents in order of id, and reports how many there were: none
// only if there are none at all.
func (f *finder) sweep(ctx context.Context, req *extract.ClaimRequest, limit int, out *found) (int, error) {
	keys, err := f.keysByID(ctx, out.pos.sweepID, limit)
	if err == nil && len(keys) == 0 && out.pos.sweepID != "" { // the last page was full to the end
		out.pos.sweepID = ""
		keys, err = f.keysByID(ctx, "", limit)
	}
	if err != nil {
		return 0, err
	}
	switch {
	case len(keys) >= smallBacklog:
		f.large = true
	case out.pos.sweepID == "":
		f.large = false
	}
	if len(keys) < limit {
		out.pos.sweepID = ""
	} else {
		out.pos.sweepID = keys[len(keys)-1].id
	}
	return len(keys), f.judge(ctx, req, keys, out)
}

// tried takes the head of the queue of traces that were tried before, until there are n
// candidates, or n of them if they are what is asked for.
func (f *finder) tried(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	want := f.window(n)
	if !req.Retries {
		want -= out.fresh()
	}
	run := f.notes(req.RunID)
	begun := run.had
	want, err := f.triedFrom(ctx, req, want, out)
	if err == nil && want > 0 && begun != nil {
		// Others may have come among those that the run had.
		run.had = nil
		_, err = f.triedFrom(ctx, req, want, out)
	}
	return err
}

// triedFrom goes on from the place up to which the run had everything, and moves it. It
// returns how many candidates are missing at the end of the queue.
func (f *finder) triedFrom(ctx context.Context, req *extract.ClaimRequest, want int, out *found) (int, error) {
	run := f.notes(req.RunID)
	after, prefix := run.had, true
	for limit := want; want > 0; limit = min(2*limit, maxForwardPage) {
		snaps, err := f.db.query(ctx, f.db.dueStates(text(req.Now), after, limit))
		if err != nil {
			return want, err
		}
		for _, snap := range snaps {
			s := readState(snap)
			after = &turn{s.DueAt().String(), s.TraceID}
			if prefix = prefix && slices.Contains(s.Runs, req.RunID); prefix {
				run.had = after
			}
			if s.due(req) {
				out.add(candidate{id: s.TraceID, fetchedAt: s.FetchedAt, s: s})
				want--
			}
		}
		if len(snaps) < limit {
			break
		}
	}
	return want, nil
}

// ready takes the head of the queue.
func (f *finder) ready(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	want := f.window(n)
	limit, taken := want, 0
	var after *sortKey
	for taken < want {
		snaps, err := f.db.query(ctx, f.db.readyStates(after, limit))
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
		snaps, err := f.db.query(ctx, f.db.unprocessedByAge(after, until, limit))
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

// idle looks harder, once per run, when there are too few fresh traces.
func (f *finder) idle(ctx context.Context, req *extract.ClaimRequest, n int, out *found) error {
	run := f.notes(req.RunID)
	if out.fresh() >= n || run.idle {
		return nil
	}
	enough := halfTime(ctx)
	if run.swept == 0 {
		out.pos.idleRuns++
	}
	if err := f.findOrphans(ctx, req, out); err != nil {
		return err
	}
	untracked, err := f.db.countUntracked(ctx)
	if err != nil {
		return err
	}
	for _, o := range out.orphans {
		if o.s.Queue != done { // it was counted
			untracked++
		}
	}
	thorough := out.pos.idleRuns%rotateEvery == 0
	for first := true; (thorough || len(out.track) < untracked) && run.swept < lateSweep; first = false {
		if !first && enough() {
			out.cut = true // the next round goes on from here, with time of its own
			return nil
		}
		k, err := f.sweep(ctx, req, idlePage, out)
		if err != nil {
			return err
		}
		if len(out.track) >= maxForwardPage {
			return nil // that is enough to begin with; the run may look again
		}
		if run.swept += k; k == 0 || thorough && out.pos.sweepID == "" && len(out.track) >= untracked {
			break
		}
	}
	run.idle = true
	return nil
}

// tidy is what is left of idle where the whole backlog has been looked at.
func (f *finder) tidy(ctx context.Context, req *extract.ClaimRequest, n int, claiming bool, out *found) error {
	run := f.notes(req.RunID)
	if !claiming || len(out.candidates) >= n || run.idle {
		return nil
	}
	out.pos.idleRuns++
	err := f.findOrphans(ctx, req, out)
	run.idle = err == nil
	return err
}

// halfTime returns a function that reports whether half of the time until ctx's deadline
// is over. The rest is for what follows a search: without it, where calls are slow, each
// search would be given up just before its end, and begin anew.
func halfTime(ctx context.Context) (over func() bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return func() bool { return false }
	}
	half := time.Until(deadline) / 2
	return func() bool { return time.Until(deadline) < half }
}

// findOrphans holds the next states against their raw traces: those that wait, which
// are counted, and in every [doneEvery]th run that comes here those that are done.
func (f *finder) findOrphans(ctx context.Context, req *extract.ClaimRequest, out *found) error {
	q, at := f.db.pendingByID, &out.pos.orphanID
	if out.pos.idleRuns%doneEvery == 0 {
		q, at = f.db.doneByID, &out.pos.doneID
	}
	snaps, err := f.db.query(ctx, q(*at, orphanPage))
	if err != nil {
		return err
	}
	*at = ""
	if len(snaps) == orphanPage {
		*at = snaps[len(snaps)-1].Ref.ID
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
		if !yes && !(there && s.Queue == done) && !s.leased(now) && !out.seen[s.TraceID] {
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
