package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// Answer implements [extract.Answers].
func (s *Store) Answer(ctx context.Context, key string) (extract.KeptAnswer, error) {
	if err := ctx.Err(); err != nil {
		return extract.KeptAnswer{}, err
	}
	if err := store.CheckAnswerKey(key); err != nil {
		return extract.KeptAnswer{}, fmt.Errorf("answer: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.answers[key]
	if !ok {
		return extract.KeptAnswer{}, store.NotFound("answers", key)
	}
	return store.Decode[extract.KeptAnswer]("answers", key, a.doc)
}

// SaveAnswer implements [extract.Answers].
func (s *Store) SaveAnswer(ctx context.Context, a extract.KeptAnswer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	doc, err := store.EncodeKeptAnswer(a)
	if err != nil {
		return fmt.Errorf("save answer: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[a.Key] = keptAnswer{traceID: a.TraceID, doc: doc}
	return nil
}

// keepHistory moves a trace's pattern into its history, if the one that replaces it is
// another. The caller has s.mu.
func (s *Store) keepHistory(traceID string, next []byte) {
	old, ok := s.patterns[traceID]
	if !ok || bytes.Equal(old.doc, next) {
		return
	}
	h := append(s.history[traceID], old.doc)
	s.history[traceID] = h[max(0, len(h)-extract.MaxHistory):]
}

// History implements [extract.Reviser].
func (s *Store) History(ctx context.Context, traceID string, limit int) ([]evalforge.Pattern, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := store.HistoryLimit(limit); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []evalforge.Pattern{}
	for _, doc := range slices.Backward(s.history[traceID]) {
		if len(list) == limit {
			break
		}
		p, err := store.Decode[evalforge.Pattern]("history", traceID, doc)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// Reopen implements [extract.Reviser].
func (s *Store) Reopen(ctx context.Context, traceID string, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[traceID]
	switch {
	case r == nil:
		return fmt.Errorf("reopen: %w", store.NotFound("raw_traces", traceID))
	case !r.processed:
		return fmt.Errorf("reopen: %w", store.Unprocessed(traceID))
	}
	s.queue.remove(r)
	r.processed, r.processAt = false, evalforge.Timestamp{}
	r.state.Attempts, r.state.ExtractedDigest, r.state.UpdatedAt = 0, "", evalforge.At(now)
	r.state.RetryAt, r.state.QuarantinedAt, r.state.AnewSince = evalforge.Timestamp{}, evalforge.Timestamp{}, evalforge.At(now)
	s.queue.add(r)
	return nil
}
