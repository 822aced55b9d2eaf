package firestore

import (
	"context"
	"slices"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge/internal/extract"
)

// A turn is a place in the queue of traces that were tried before.
type turn struct{ dueAt, id string }

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
	if f.pos.after(out.pos) {
		out.pos.at, out.pos.traceID = f.pos.at, f.pos.traceID
	}
	if !out.pos.inTexts() {
		if err := f.takeIn(ctx, req, n, out, f.db.unprocessedNative); err != nil || out.upTo(out.pos) >= n {
			return err
		}
	}
	return f.takeIn(ctx, req, n, out, f.db.unprocessedText)
}

// takeIn takes in traces from one of the two parts of the order by age, and moves the
// position along.
func (f *finder) takeIn(ctx context.Context, req *extract.ClaimRequest, n int, out *found,
	part func(after sortValue, until time.Time, limit int) firestore.Query) error {
	limit := min(max(2*n, forwardPage), maxForwardPage)
	after, until, stray := sortValue{out.pos.at, out.pos.traceID}, stamp(req.Now).Time, 0
	if out.pos.traceID != "" {
		if _, passed := out.pos.moved(out.pos.at, out.pos.traceID, until); !passed {
			return nil // it is ahead, by the clock of another worker
		}
	}
	for out.upTo(out.pos) < n && stray < maxStray {
		snaps, err := f.db.query(ctx, part(after, until, limit))
		if err != nil {
			return err
		}
		keys := rawKeys(snaps)
		if err := f.judge(ctx, req, keys, out); err != nil {
			return err
		}
		for _, k := range keys {
			moved := false
			if out.pos, moved = out.pos.moved(k.value, k.id, until); moved {
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
