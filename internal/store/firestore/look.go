package firestore

import (
	"context"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge/internal/extract"
)

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
