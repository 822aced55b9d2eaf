package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// Kept implements [extract.Forgetter].
func (s *Store) Kept(ctx context.Context, traceID string) (extract.Forgotten, error) {
	return s.forget(ctx, traceID, false)
}

// Forget implements [extract.Forgetter].
func (s *Store) Forget(ctx context.Context, traceID string) (extract.Forgotten, error) {
	return s.forget(ctx, traceID, true)
}

func (s *Store) forget(ctx context.Context, traceID string, really bool) (extract.Forgotten, error) {
	if err := ctx.Err(); err != nil {
		return extract.Forgotten{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var f extract.Forgotten
	runs := store.WorkedOn{}
	if r := s.records[traceID]; r != nil {
		f.Trace, f.State, f.Owner = true, r.claimed(), r.state.LeaseOwner
		for _, id := range r.runs {
			runs.Add(id, true)
		}
		if really {
			s.queue.remove(r)
			delete(s.records, traceID)
		}
	}
	documents := s.history[traceID]
	if p, ok := s.patterns[traceID]; ok {
		f.Pattern = true
		documents = append(slices.Clone(documents), p.doc)
	}
	f.History = len(s.history[traceID])
	for _, doc := range documents {
		p, err := store.Decode[evalforge.Pattern]("failure_patterns", traceID, doc)
		if err != nil {
			return f, err
		}
		runs.Add(p.Provenance.RunID, false)
	}
	for id, e := range s.errors {
		if e.traceID == traceID {
			f.Errors++
			runs.Add(e.runID, false)
			if really {
				delete(s.errors, id)
			}
		}
	}
	for _, a := range s.answers {
		if a.traceID == traceID {
			f.Answers++
		}
	}
	if f.None() {
		return f, store.NotFound("raw_traces", traceID)
	}
	if really {
		delete(s.patterns, traceID)
		delete(s.history, traceID)
		maps.DeleteFunc(s.answers, func(_ string, a keptAnswer) bool { return a.traceID == traceID })
	}
	err := s.forgetReasons(traceID, runs, &f, really)
	return f, err
}

// forgetReasons sees to the records of runs. The caller has s.mu.
func (s *Store) forgetReasons(traceID string, runs store.WorkedOn, f *extract.Forgotten, really bool) error {
	for _, id := range runs.IDs() {
		d, ok := s.runs[id]
		if !ok {
			if runs[id] {
				f.OpenRuns = append(f.OpenRuns, id)
			}
			continue
		}
		run, err := store.Decode[evalforge.Run]("extraction_runs", id, d.doc)
		if err != nil {
			return err
		}
		n := store.ForgetReasons(&run, traceID)
		f.Reasons += n
		if n == 0 || !really {
			continue
		}
		if d.doc, err = store.Encode(run); err != nil {
			return err
		}
		s.runs[id] = d
	}
	return nil
}
