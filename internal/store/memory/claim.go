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

// Claim implements [extract.Queue].
func (s *Store) Claim(ctx context.Context, req extract.ClaimRequest) ([]extract.Claim, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := store.CheckClaim(req); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	claims := []extract.Claim{}
	for _, r := range s.due(req) {
		s.queue.remove(r)
		r.runs = store.AddRun(r.runs, req.RunID)
		st := &r.state
		st.RunID, st.Attempts, st.RetryAt = req.RunID, st.Attempts+1, evalforge.Timestamp{}
		st.LeaseOwner, st.LeaseToken, st.LeaseUntil = req.Owner, req.NewToken(), evalforge.At(req.LeaseUntil)
		st.UpdatedAt = evalforge.At(req.Now)
		s.queue.add(r)
		claims = append(claims, s.claim(r, st.Attempts, req, st.LeaseToken))
	}
	return claims, nil
}

// Peek implements [extract.Queue].
func (s *Store) Peek(ctx context.Context, req extract.ClaimRequest) ([]extract.Claim, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := store.CheckPeek(req); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	claims := []extract.Claim{}
	for _, r := range s.due(req) {
		claims = append(claims, s.claim(r, r.state.Attempts+1, req, ""))
	}
	return claims, nil
}

func (s *Store) claim(r *record, attempt int, req extract.ClaimRequest, token string) extract.Claim {
	t, err := r.trace()
	c := extract.Claim{
		Lease: extract.Lease{
			TraceID: r.id, RunID: req.RunID, Owner: req.Owner, Token: token,
			Until: evalforge.At(req.LeaseUntil).Time, Digest: r.digest,
		},
		Trace: t, Err: err, Attempt: attempt, Anew: attempt == 1 && r.state.LastErrorType != "",
		KeptSince: r.state.AnewSince.Time,
	}
	if _, ok := s.patterns[r.id]; ok {
		c.ExtractedDigest = r.state.ExtractedDigest
	}
	return c
}

// due returns the records that req may lease, in the order of claiming.
func (s *Store) due(req extract.ClaimRequest) []*record {
	now := evalforge.At(req.Now).Time
	if len(req.TraceIDs) > 0 {
		return s.named(req, now)
	}
	return s.queue.due(now, req.Limit, req.Retries, func(r *record) bool { return !slices.Contains(r.runs, req.RunID) })
}

// named returns the records among req.TraceIDs that may be leased, backing off or not.
func (s *Store) named(req extract.ClaimRequest, now time.Time) []*record {
	var due []*record
	for _, id := range req.TraceIDs {
		r := s.records[id]
		if r != nil && r.pending() && !r.leased(now) && !slices.Contains(r.runs, req.RunID) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, byTurn(req.Retries))
	due = slices.Compact(due)
	return due[:min(len(due), req.Limit)]
}

// held returns the record that l is the current lease of. The caller has s.mu.
func (s *Store) held(l extract.Lease) (*record, error) {
	r := s.records[l.TraceID]
	if r == nil || !r.holds(l.Token) {
		return nil, fmt.Errorf("trace %s: %w", l.TraceID, extract.ErrLeaseLost)
	}
	return r, nil
}

// repeats reports whether l has already ended so. The caller has s.mu.
func (s *Store) repeats(l extract.Lease, end ending) bool {
	r := s.records[l.TraceID]
	return r != nil && r.ended == end
}

// Renew implements [extract.Queue].
func (s *Store) Renew(ctx context.Context, l extract.Lease, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := store.CheckRenewal(until); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.held(l)
	if err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	s.queue.remove(r)
	r.state.LeaseUntil = evalforge.At(until)
	s.queue.add(r)
	return nil
}

// Commit implements [extract.Queue].
func (s *Store) Commit(ctx context.Context, l extract.Lease, res extract.Result) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := store.CommittedPattern(l, res)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	var stored pattern
	if p != nil {
		if stored, err = newPattern(p); err != nil {
			return fmt.Errorf("commit %s: %w", l.TraceID, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := ending{"commit", l.Token}
	if s.repeats(l, end) {
		return nil
	}
	r, err := s.held(l)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if p != nil {
		s.keepHistory(l.TraceID, stored.doc)
		s.patterns[l.TraceID] = stored
	}
	s.queue.remove(r)
	if r.digest == l.Digest {
		r.processed, r.processAt = true, evalforge.At(res.At)
	}
	r.dropLease()
	r.ended = end
	st := &r.state
	st.Attempts, st.ExtractedDigest, st.UpdatedAt = 0, res.Digest, evalforge.At(res.At)
	st.LastError, st.LastErrorType, st.AnewSince = "", "", evalforge.Timestamp{}
	s.queue.add(r)
	return nil
}

// Fail implements [extract.Queue].
func (s *Store) Fail(ctx context.Context, l extract.Lease, f extract.Failure) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := store.CheckFailure(l, f); err != nil {
		return fmt.Errorf("fail: %w", err)
	}
	doc, err := store.Encode(f.Error)
	if err != nil {
		return fmt.Errorf("fail %s: %w", l.TraceID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := ending{"fail", l.Token}
	if s.repeats(l, end) {
		return nil
	}
	r, err := s.held(l)
	if err != nil {
		return fmt.Errorf("fail: %w", err)
	}
	s.putError(f.Error, doc)
	s.queue.remove(r)
	r.dropLease()
	r.ended = end
	st := &r.state
	st.LastError, st.LastErrorType, st.UpdatedAt = f.Error.ErrorMessage, f.Error.ErrorType, evalforge.At(f.Error.RecordedAt.Time)
	switch {
	case r.digest != l.Digest: // another payload failed; this one has not been tried
	case f.Quarantine:
		st.QuarantinedAt = st.UpdatedAt
	default:
		st.RetryAt = evalforge.At(f.RetryAt)
	}
	s.queue.add(r)
	return nil
}

// Release implements [extract.Queue].
func (s *Store) Release(ctx context.Context, l extract.Lease) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.held(l)
	if err != nil {
		return nil
	}
	s.queue.remove(r)
	r.dropLease()
	r.state.Attempts = max(0, r.state.Attempts-1)
	s.queue.add(r)
	return nil
}

// SaveRun implements [extract.Queue].
func (s *Store) SaveRun(ctx context.Context, run evalforge.Run) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	run, err := store.SavedRun(run)
	if err != nil {
		return fmt.Errorf("save run: %w", err)
	}
	doc, err := store.Encode(run)
	if err != nil {
		return fmt.Errorf("save run %s: %w", run.RunID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[run.RunID] = document{run.StartedAt.String(), doc}
	return nil
}

// RecordError implements [extract.Queue].
func (s *Store) RecordError(ctx context.Context, e evalforge.ExtractionError) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := store.CheckError(e); err != nil {
		return fmt.Errorf("record error: %w", err)
	}
	doc, err := store.Encode(e)
	if err != nil {
		return fmt.Errorf("record error %s: %w", e.ID(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putError(e, doc)
	return nil
}

func (s *Store) putError(e evalforge.ExtractionError, doc []byte) {
	s.errors[e.ID()] = errorDocument{document{e.RecordedAt.String(), doc}, e.RunID, e.SourceTraceID}
}
