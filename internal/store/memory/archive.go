package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// Pattern implements [extract.Archive].
func (s *Store) Pattern(ctx context.Context, traceID string) (evalforge.Pattern, error) {
	if err := ctx.Err(); err != nil {
		return evalforge.Pattern{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.patterns[traceID]
	if !ok {
		return evalforge.Pattern{}, store.NotFound("failure_patterns", traceID)
	}
	return store.Decode[evalforge.Pattern]("failure_patterns", traceID, p.doc)
}

// Run implements [extract.Archive].
func (s *Store) Run(ctx context.Context, runID string) (evalforge.Run, error) {
	if err := ctx.Err(); err != nil {
		return evalforge.Run{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.runs[runID]
	if !ok {
		return evalforge.Run{}, store.NotFound("extraction_runs", runID)
	}
	return store.Decode[evalforge.Run]("extraction_runs", runID, r.doc)
}

// Delivered implements [extract.Archive].
func (s *Store) Delivered(ctx context.Context, key string, since time.Time) (evalforge.Run, error) {
	if err := ctx.Err(); err != nil {
		return evalforge.Run{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []evalforge.Run
	for id, r := range s.runs {
		run, err := store.Decode[evalforge.Run]("extraction_runs", id, r.doc)
		if err != nil {
			return evalforge.Run{}, err
		}
		all = append(all, run)
	}
	return store.Delivered(all, key, since)
}

// Runs implements [extract.Archive].
func (s *Store) Runs(ctx context.Context, q extract.PageQuery) ([]evalforge.Run, string, error) {
	return list(ctx, s, "extraction_runs", q, s.runs,
		func(document) bool { return true },
		func(d document) string { return d.at },
		func(id string, d document) (evalforge.Run, error) {
			return store.Decode[evalforge.Run]("extraction_runs", id, d.doc)
		})
}

// Errors implements [extract.Archive].
func (s *Store) Errors(ctx context.Context, q extract.ErrorQuery) ([]evalforge.ExtractionError, string, error) {
	match := func(e errorDocument) bool {
		return (q.RunID == "" || q.RunID == e.runID) && (q.TraceID == "" || q.TraceID == e.traceID)
	}
	return list(ctx, s, "extraction_errors", q.PageQuery, s.errors, match,
		func(e errorDocument) string { return e.at },
		func(id string, e errorDocument) (evalforge.ExtractionError, error) {
			return store.Decode[evalforge.ExtractionError]("extraction_errors", id, e.doc)
		})
}

// State implements [extract.Archive].
func (s *Store) State(ctx context.Context, traceID string) (extract.State, error) {
	if err := ctx.Err(); err != nil {
		return extract.State{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[traceID]
	if r == nil || !r.claimed() {
		return extract.State{}, store.NotFound("extraction_state", traceID)
	}
	return r.state, nil
}

// States implements [extract.Archive].
func (s *Store) States(ctx context.Context, q extract.StateQuery) ([]extract.State, string, error) {
	match := func(r *record) bool { return r.claimed() && (!q.Quarantined || r.quarantined()) }
	return list(ctx, s, "extraction_state", q.PageQuery, s.records, match,
		func(r *record) string { return r.state.UpdatedAt.String() },
		func(_ string, r *record) (extract.State, error) { return r.state, nil })
}

// list returns one page of the documents in m that match.
func list[D, T any](ctx context.Context, s *Store, name string, q extract.PageQuery, m map[string]D,
	match func(D) bool, at func(D) string, decode func(string, D) (T, error)) ([]T, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	limit, after, err := store.Page(name, q)
	if err != nil {
		return nil, "", fmt.Errorf("list %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var places []store.Cursor
	for id, d := range m {
		place := store.Cursor{Time: at(d), ID: id}
		if match(d) && (q.After == "" || after.Before(place)) {
			places = append(places, place)
		}
	}
	slices.SortFunc(places, func(a, b store.Cursor) int {
		switch {
		case a.Before(b):
			return -1
		case b.Before(a):
			return 1
		}
		return 0
	})
	next := ""
	if len(places) > limit {
		places = places[:limit]
		next = places[limit-1].Encode(name)
	}
	page := make([]T, 0, len(places))
	for _, p := range places {
		v, err := decode(p.ID, m[p.ID])
		if err != nil {
			return nil, "", err
		}
		page = append(page, v)
	}
	return page, next, nil
}

// Retry implements [extract.Archive].
func (s *Store) Retry(ctx context.Context, traceID string, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now = evalforge.At(now).Time
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[traceID]
	if r == nil {
		return fmt.Errorf("retry: %w", store.NotFound("raw_traces", traceID))
	}
	if err := store.Retryable(traceID, r.processed, r.state, now); err != nil {
		return err
	}
	s.queue.remove(r)
	r.state.Attempts = 0
	r.state.RetryAt, r.state.QuarantinedAt = evalforge.Timestamp{}, evalforge.Timestamp{}
	r.state.UpdatedAt = evalforge.At(now)
	s.queue.add(r)
	return nil
}

// Backlog implements [extract.Archive].
func (s *Store) Backlog(ctx context.Context, now time.Time) (extract.Backlog, error) {
	if err := ctx.Err(); err != nil {
		return extract.Backlog{}, err
	}
	now = evalforge.At(now).Time
	s.mu.Lock()
	defer s.mu.Unlock()
	var b extract.Backlog
	var oldest *record
	for _, r := range s.records {
		if r.processed {
			b.Processed++
			continue
		}
		b.Pending++
		switch {
		case r.quarantined():
			b.Quarantined++
		case r.leased(now):
			b.Leased++
		case now.Before(r.state.RetryAt.Time):
			b.BackingOff++
		}
		if r.pending() && (oldest == nil || byAge(r, oldest) < 0) {
			oldest = r
		}
	}
	if oldest != nil {
		at, err := evalforge.ParseTimestamp(oldest.fetchedAt)
		if err != nil {
			return b, fmt.Errorf("backlog: trace %s: %w", oldest.id, err)
		}
		b.OldestDue = at
	}
	return b, nil
}
