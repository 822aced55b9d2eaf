package firestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

const (
	// fetchAtOnce bounds the raw traces read in one call: each may have a megabyte.
	fetchAtOnce = 16
	// writeAtOnce bounds the writes under way at the same time.
	writeAtOnce = 16
)

// Claim implements [extract.Queue].
func (db *DB) Claim(ctx context.Context, req extract.ClaimRequest) ([]extract.Claim, error) {
	if err := store.CheckClaim(req); err != nil {
		return nil, err
	}
	release, err := db.finder.acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	defer release()
	var claims []leased
	for {
		var r round
		err := db.retryRounds(ctx, "claim", func(ctx context.Context) error {
			var err error
			r, err = db.claimRound(ctx, &req, req.Limit-len(claims))
			claims = append(claims, r.claims...)
			return err
		})
		if err != nil && len(claims) == 0 {
			return nil, err
		}
		// With something claimed, a fault is the next call's to report: the leases are held.
		if err != nil || len(claims) >= req.Limit || !r.again {
			return sortClaims(claims, req.Retries), nil
		}
	}
}

// A leased trace is a claim with the candidate that it was.
type leased struct {
	claim extract.Claim
	candidate
}

// sortClaims returns the claims in the order of claiming: workers apart start apart.
func sortClaims(list []leased, retries bool) []extract.Claim {
	slices.SortFunc(list, func(a, b leased) int { return a.compare(b.candidate, retries) })
	claims := make([]extract.Claim, len(list))
	for i, l := range list {
		claims[i] = l.claim
	}
	return claims
}

// acquire waits for the turn of the caller.
func (f *finder) acquire(ctx context.Context) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case f.turn <- struct{}{}:
		return func() { <-f.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A round is one search with the claims that it led to.
type round struct {
	claims []leased
	// again is set when candidates turned out to be gone, or the search was cut short, so
	// that others may be there.
	again bool
}

func (db *DB) claimRound(ctx context.Context, req *extract.ClaimRequest, n int) (round, error) {
	var r round
	named := len(req.TraceIDs) > 0
	out, err := db.search(ctx, req, n)
	if err != nil {
		return r, err
	}
	r.again = out.cut
	taken := map[string]bool{}
	conflicts := false
	list := out.candidates
	for len(list) > 0 && len(r.claims) < n {
		var changed bool
		list, changed, err = db.resolve(ctx, req, &out, list, n-len(r.claims))
		if err != nil {
			return r, err
		}
		r.again = r.again || changed
		k := min(n-len(r.claims), len(list), fetchAtOnce)
		before := make([]candidate, k) // as they were claimed: a lease changes the state
		for i, c := range list[:k] {
			s := *c.s
			before[i], before[i].s = c, &s
		}
		results, err := db.leaseAll(ctx, req, list[:k])
		for i, res := range results {
			switch {
			case res.claim != nil:
				r.claims = append(r.claims, leased{*res.claim, before[i]})
				taken[list[i].id] = true
			case res.gone:
				taken[list[i].id], r.again = true, true
				conflicts = conflicts || res.conflict
			}
		}
		if err != nil {
			return r, err
		}
		list = list[k:]
	}
	if named {
		return r, nil
	}
	db.finder.contended(conflicts)
	return r, db.keepUp(ctx, out, taken)
}

// resolve finds out about suspects in list, if any is among its first n: whether they were
// written anew, and so are fresh, or are in their old place. What it found out is noted in
// out, to be written once. It returns the list, in the order of claiming, and whether it
// is another one.
func (db *DB) resolve(ctx context.Context, req *extract.ClaimRequest, out *found, list []candidate, n int) ([]candidate, bool, error) {
	changed := false
	for slices.ContainsFunc(list[:min(n, len(list))], func(c candidate) bool { return c.suspect }) {
		changed = true
		var suspects, rest []candidate
		for _, c := range list {
			if c.suspect && len(suspects) < fetchAtOnce {
				suspects = append(suspects, c)
			} else {
				rest = append(rest, c)
			}
		}
		raws, err := db.fetch(ctx, suspects)
		if err != nil {
			return nil, false, err
		}
		for i, c := range suspects {
			c.suspect = false
			if !raws[i].exists || raws[i].trace.Processed {
				continue // it went meanwhile
			}
			c.s.meet(raws[i])
			out.track = append(out.track, c.s)
			if c.s.due(req) {
				rest = append(rest, c)
			}
		}
		sortCandidates(rest, req.Retries)
		list = rest
	}
	return list, changed, nil
}

func (db *DB) search(ctx context.Context, req *extract.ClaimRequest, n int) (found, error) {
	if len(req.TraceIDs) > 0 {
		return db.named(ctx, req)
	}
	return db.finder.find(ctx, req, n, true)
}

// keepUp writes what the search found out, so that it need not be found again.
func (db *DB) keepUp(ctx context.Context, out found, taken map[string]bool) error {
	var work []*state
	for _, s := range out.track {
		if !taken[s.TraceID] {
			taken[s.TraceID] = true
			work = append(work, s)
		}
	}
	err := each(out.orphans, func(o orphan) error {
		if taken[o.s.TraceID] {
			return nil
		}
		if o.gone {
			return ignoreConflict(db.remove(ctx, o.s))
		}
		o.s.dropLease()
		o.s.place(true)
		return ignoreConflict(db.write(ctx, func(tx *firestore.Transaction) error { return db.put(tx, o.s) }))
	})
	if err != nil {
		return err
	}
	err = each(work, func(s *state) error {
		s.place(false)
		err := db.write(ctx, func(tx *firestore.Transaction) error { return db.put(tx, s) })
		if errors.Is(err, errConflict) {
			return nil // another worker has seen to it
		}
		return err
	})
	if err != nil {
		return err
	}
	return db.finder.save(ctx, out.pos)
}

// each calls f for every item, several at a time, and returns the first error.
func each[T any](items []T, f func(T) error) error {
	var wg sync.WaitGroup
	slots := make(chan struct{}, writeAtOnce)
	errs := make([]error, len(items))
	for i, item := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(item)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A leaseResult is what became of a candidate: a claim, gone (another worker has it, or
// it does not wait any more), or neither: it is not due.
type leaseResult struct {
	claim    *extract.Claim
	gone     bool
	conflict bool
}

// leaseAll tries to lease candidates.
func (db *DB) leaseAll(ctx context.Context, req *extract.ClaimRequest, list []candidate) ([]leaseResult, error) {
	raws, err := db.fetch(ctx, list)
	if err != nil {
		return nil, err
	}
	there, err := db.patternsOf(ctx, list)
	if err != nil {
		return nil, err
	}
	results := make([]leaseResult, len(list))
	tokens := make([]string, len(list)) // NewToken need not be safe for concurrent use
	index := make([]int, len(list))
	for i := range list {
		tokens[i], index[i] = req.NewToken(), i
	}
	err = each(index, func(i int) error {
		var err error
		results[i], err = db.leaseOne(ctx, req, list[i], raws[i], there[list[i].id], tokens[i])
		return err
	})
	return results, err
}

func (db *DB) fetch(ctx context.Context, list []candidate) ([]rawDoc, error) {
	refs := make([]*firestore.DocumentRef, len(list))
	for i, c := range list {
		refs[i] = db.raw(c.id)
	}
	snaps, err := db.getAll(ctx, refs)
	if err != nil {
		return nil, err
	}
	raws := make([]rawDoc, len(snaps))
	for i, snap := range snaps {
		raws[i] = readRaw(snap)
	}
	return raws, nil
}

// patternsOf tells which of the traces that were extracted before still have their pattern:
// another service, or a person, may have deleted it.
func (db *DB) patternsOf(ctx context.Context, list []candidate) (map[string]bool, error) {
	var refs []*firestore.DocumentRef
	for _, c := range list {
		if c.s.ExtractedDigest != "" {
			refs = append(refs, db.collection(patterns).Doc(c.id))
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	snaps, err := db.getAll(ctx, refs)
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(refs))
	for _, snap := range snaps {
		there[snap.Ref.ID] = snap.Exists()
	}
	return there, nil
}

func (db *DB) leaseOne(ctx context.Context, req *extract.ClaimRequest, c candidate, raw rawDoc, hasPattern bool, token string) (leaseResult, error) {
	s := c.s
	if !raw.exists {
		if !s.exists {
			return leaseResult{gone: true}, nil
		}
		return leaseResult{gone: true}, ignoreConflict(db.remove(ctx, s))
	}
	s.meet(raw)
	if raw.trace.Processed || !s.due(req) {
		if raw.trace.Processed {
			s.dropLease()
		}
		s.place(raw.trace.Processed)
		err := db.write(ctx, func(tx *firestore.Transaction) error { return db.put(tx, s) })
		return leaseResult{gone: true}, ignoreConflict(err)
	}
	claim := newClaim(req, raw, s, hasPattern, token)
	s.RunID, s.Runs = req.RunID, store.AddRun(s.Runs, req.RunID)
	s.Attempts, s.RetryAt = s.Attempts+1, evalforge.Timestamp{}
	s.LeaseOwner, s.LeaseToken, s.LeaseUntil = req.Owner, token, stamp(req.LeaseUntil)
	s.UpdatedAt = stamp(req.Now)
	s.place(false)
	first := true
	err := db.retry(ctx, "claim "+c.id, func(ctx context.Context) error {
		if !first { // the earlier attempt may have been written
			snap, err := db.get(ctx, db.state(c.id))
			if err != nil {
				return err
			}
			now := readState(snap)
			if now.LeaseToken == token {
				return nil
			}
			if now.exists != s.exists || !now.version.Equal(s.version) {
				return errTaken
			}
		}
		first = false
		return db.write(ctx, func(tx *firestore.Transaction) error { return db.put(tx, s) })
	})
	if errors.Is(err, errTaken) {
		return leaseResult{gone: true, conflict: true}, nil
	}
	if err != nil {
		return leaseResult{}, err
	}
	return leaseResult{claim: &claim}, nil
}

// errTaken says that another worker was faster.
var errTaken = errors.New("taken by another worker")

// remove deletes a state, if it is still as it was read.
func (db *DB) remove(ctx context.Context, s *state) error {
	return db.write(ctx, func(tx *firestore.Transaction) error {
		return tx.Delete(db.state(s.TraceID), firestore.LastUpdateTime(s.version))
	})
}

func ignoreConflict(err error) error {
	if err = conflict(err); errors.Is(err, errConflict) {
		return nil
	}
	return err
}

func newClaim(req *extract.ClaimRequest, raw rawDoc, s *state, hasPattern bool, token string) extract.Claim {
	claim := extract.Claim{
		Lease: extract.Lease{
			TraceID: raw.id, RunID: req.RunID, Owner: req.Owner, Token: token,
			Until: stamp(req.LeaseUntil).Time, Digest: raw.digest,
		},
		Trace: raw.trace, Err: raw.err, Attempt: s.Attempts + 1, Anew: s.Attempts == 0 && s.LastErrorType != "",
		KeptSince: s.AnewSince.Time,
	}
	if hasPattern {
		claim.ExtractedDigest = s.ExtractedDigest
	}
	return claim
}

// named looks up the candidates among the named traces.
func (db *DB) named(ctx context.Context, req *extract.ClaimRequest) (found, error) {
	out := found{seen: map[string]bool{}}
	ids := slices.Clone(req.TraceIDs)
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return evalforge.ValidateTraceID(id) != nil })
	for chunk := range slices.Chunk(ids, 100) {
		var stateRefs []*firestore.DocumentRef
		for _, id := range chunk {
			stateRefs = append(stateRefs, db.state(id))
		}
		snaps, err := db.getAll(ctx, stateRefs)
		if err != nil {
			return out, err
		}
		var list []candidate
		for _, snap := range snaps {
			c := candidate{id: snap.Ref.ID, s: readState(snap)}
			if !slices.Contains(c.s.Runs, req.RunID) {
				list = append(list, c)
			}
		}
		for part := range slices.Chunk(list, fetchAtOnce) {
			raws, err := db.fetch(ctx, part)
			if err != nil {
				return out, err
			}
			for i, c := range part {
				if raws[i].exists && !raws[i].trace.Processed {
					c.s.meet(raws[i]) // its order follows what the trace is now
					if c.s.due(req) {
						c.fetchedAt = raws[i].trace.FetchedAt.String()
						out.add(c)
					}
				}
			}
		}
	}
	sortCandidates(out.candidates, req.Retries)
	return out, nil
}

// Peek implements [extract.Queue].
func (db *DB) Peek(ctx context.Context, req extract.ClaimRequest) ([]extract.Claim, error) {
	if err := store.CheckPeek(req); err != nil {
		return nil, err
	}
	release, err := db.finder.acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("peek: %w", err)
	}
	defer release()
	var claims []extract.Claim
	err = db.retryRounds(ctx, "peek", func(ctx context.Context) error {
		var err error
		claims, err = db.peek(ctx, &req)
		return err
	})
	return claims, err
}

func (db *DB) peek(ctx context.Context, req *extract.ClaimRequest) ([]extract.Claim, error) {
	for want := req.Limit; ; want *= 2 {
		var out found
		var err error
		if len(req.TraceIDs) > 0 {
			out, err = db.named(ctx, req)
		} else {
			db.finder.notes(req.RunID).idle = false // looking has no run of its own
			out, err = db.finder.find(ctx, req, want, false)
		}
		if err != nil {
			return nil, err
		}
		list, _, err := db.resolve(ctx, req, &out, out.candidates, len(out.candidates))
		if err != nil {
			return nil, err
		}
		claims := []extract.Claim{}
		for part := range slices.Chunk(list, fetchAtOnce) {
			raws, err := db.fetch(ctx, part)
			if err != nil {
				return nil, err
			}
			there, err := db.patternsOf(ctx, part)
			if err != nil {
				return nil, err
			}
			for i, raw := range raws {
				s := part[i].s
				if !raw.exists || raw.trace.Processed {
					continue
				}
				if s.meet(raw); s.due(req) && len(claims) < req.Limit {
					claims = append(claims, newClaim(req, raw, s, there[raw.id], ""))
				}
			}
		}
		if len(claims) == req.Limit || len(out.candidates) < want {
			return claims, nil
		}
	}
}

// lost is the error of a lease that is not, or no longer, held.
func lost(l extract.Lease) error { return fmt.Errorf("trace %s: %w", l.TraceID, extract.ErrLeaseLost) }

// Renew implements [extract.Queue].
func (db *DB) Renew(ctx context.Context, l extract.Lease, until time.Time) error {
	if err := store.CheckRenewal(until); err != nil {
		return err
	}
	if evalforge.ValidateTraceID(l.TraceID) != nil {
		return fmt.Errorf("renew: %w", lost(l))
	}
	return db.retry(ctx, "renew", func(ctx context.Context) error {
		snap, err := db.get(ctx, db.state(l.TraceID))
		if err != nil {
			return err
		}
		s := readState(snap)
		if l.Token == "" || s.LeaseToken != l.Token {
			return lost(l)
		}
		s.LeaseUntil = stamp(until)
		s.place(false)
		return db.write(ctx, func(tx *firestore.Transaction) error { return db.put(tx, s) })
	})
}
