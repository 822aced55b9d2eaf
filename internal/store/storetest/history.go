package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// RunHistories plays random sequences of operations on a store and on the model, and
// checks that both say the same all along. Clocks go back now and then, as those of
// several machines do. All of it is one goroutine.
func RunHistories(t *testing.T, h Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		s := h.Open(t)
		defer func() {
			if err := s.Close(); err != nil {
				rt.Errorf("close: %v", err)
			}
		}()
		p := &play{t: t, rt: rt, h: h, s: s, m: newModel(), unseen: map[string]bool{}}
		rt.Repeat(map[string]func(*rapid.T){
			"put":     p.put,
			"ingest":  p.ingest,
			"claim":   p.claim,
			"peek":    p.peek,
			"renew":   p.renew,
			"commit":  p.commit,
			"fail":    p.fail,
			"release": p.release,
			"retry":   p.retry,
			"look":    p.check,
		})
		p.check(rt)
	})
}

// A play is one history. Its leases are kept in pairs, since tokens differ.
type play struct {
	t      *testing.T
	rt     *rapid.T
	h      Harness
	s      extract.Store
	m      *model
	clock  time.Duration
	tokens int
	leases []leasePair // given out so far, live or not

	// unseen has the traces that ingestion changed behind the store's back and that no
	// claim has met since: until then the store need not know that their attempts,
	// backoff and quarantine are void.
	unseen map[string]bool
}

type leasePair struct{ store, model extract.Lease }

var (
	playIDs  = []string{"a", "b", "c", "d", "e"}
	playRuns = []string{"run_1", "run_2", "run_3", "run_4", "run_5", "run_6"}
)

// now moves the clock, mostly forward.
func (p *play) now(rt *rapid.T) time.Time {
	p.clock += time.Duration(rapid.IntRange(-3, 9).Draw(rt, "minutes")) * time.Minute
	return t0.Add(p.clock)
}

func (p *play) trace(rt *rapid.T) evalforge.RawTrace {
	tr := raw(rapid.SampledFrom(playIDs).Draw(rt, "id"), rapid.IntRange(0, 3).Draw(rt, "fetched"))
	return changed(tr, fmt.Sprintf(`{"input":%d}`, rapid.IntRange(0, 1).Draw(rt, "content")))
}

func (p *play) put(rt *rapid.T) {
	tr := p.trace(rt)
	if p.unseen[tr.TraceID] {
		return // the same content again would leave it unseen
	}
	got, err := p.s.PutTrace(p.t.Context(), tr)
	p.same(rt, "put", err, nil)
	if want := p.m.put(tr); got != want {
		rt.Fatalf("put: got %q, want %q", got, want)
	}
}

func (p *play) ingest(rt *rapid.T) {
	tr := p.trace(rt)
	if old := p.m.traces[tr.TraceID]; old != nil && old.raw.Digest() != tr.Digest() {
		if p.unseen[tr.TraceID] {
			return // a store that never saw the content in between cannot tell
		}
		p.unseen[tr.TraceID] = true
	}
	p.h.Ingest(p.t, p.s, tr)
	p.m.ingest(tr)
}

func (p *play) request(rt *rapid.T) extract.ClaimRequest {
	now := p.now(rt)
	req := extract.ClaimRequest{
		RunID: rapid.SampledFrom(playRuns).Draw(rt, "run"), Owner: "worker",
		Limit: rapid.IntRange(1, 4).Draw(rt, "limit"), Now: now, LeaseUntil: now.Add(leaseTime),
		Retries:  rapid.Bool().Draw(rt, "retries first"),
		NewToken: func() string { p.tokens++; return fmt.Sprintf("token-%d", p.tokens) },
	}
	if rapid.IntRange(0, 3).Draw(rt, "by name") == 0 {
		req.TraceIDs = rapid.SliceOfN(rapid.SampledFrom(playIDs), 1, 4).Draw(rt, "ids")
	}
	return req
}

func (p *play) claim(rt *rapid.T) {
	req := p.request(rt)
	got, err := p.s.Claim(p.t.Context(), req)
	p.same(rt, "claim", err, nil)
	due := p.m.due(req)
	p.sameClaims(rt, got, due)
	for i, t := range due {
		c := got[i]
		p.tokens++
		l := c.Lease
		l.Token = fmt.Sprintf("model-token-%d", p.tokens)
		p.m.lease(t, req.RunID, req.Owner, l.Token, req.Now, req.LeaseUntil)
		p.leases = append(p.leases, leasePair{c.Lease, l})
		delete(p.unseen, c.TraceID)
	}
}

func (p *play) peek(rt *rapid.T) {
	req := p.request(rt)
	got, err := p.s.Peek(p.t.Context(), req)
	p.same(rt, "peek", err, nil)
	p.sameClaims(rt, got, p.m.due(req))
}

func (p *play) sameClaims(rt *rapid.T, got []extract.Claim, due []*modelTrace) {
	var gotText, want []string
	for _, c := range got {
		gotText = append(gotText, fmt.Sprintf("%s attempt %d anew %v digest %.6s extracted %.6s", c.TraceID, c.Attempt, c.Anew, c.Digest, c.ExtractedDigest))
	}
	for _, t := range due {
		want = append(want, p.m.describe(t, t.state.Attempts+1))
	}
	p.diff(rt, "claims", gotText, want)
}

// lease picks one that was given out, often an old one.
func (p *play) lease(rt *rapid.T) leasePair {
	if len(p.leases) == 0 {
		rt.Skip("no leases yet")
	}
	return p.leases[rapid.IntRange(max(0, len(p.leases)-6), len(p.leases)-1).Draw(rt, "lease")]
}

func (p *play) renew(rt *rapid.T) {
	l, until := p.lease(rt), p.now(rt).Add(leaseTime)
	p.same(rt, "renew", p.s.Renew(p.t.Context(), l.store, until), p.m.renew(l.model, until))
}

func (p *play) commit(rt *rapid.T) {
	l, now := p.lease(rt), p.now(rt)
	var result *evalforge.Pattern
	if rapid.Bool().Draw(rt, "with pattern") {
		doc := pattern(l.store.TraceID, now)
		result = &doc
	}
	held := p.m.held(l.model) != nil
	err := p.s.Commit(p.t.Context(), l.store, extract.Result{Pattern: result, Digest: l.store.Digest, At: now})
	p.same(rt, "commit", err, p.m.commit(l.model, result, now))
	if err == nil && held { // a commit that is only repeated looks at nothing
		delete(p.unseen, l.store.TraceID)
	}
}

func (p *play) fail(rt *rapid.T) {
	l, now := p.lease(rt), p.now(rt)
	f := failure(extract.Claim{Lease: l.store}, now)
	f.Quarantine = rapid.IntRange(0, 3).Draw(rt, "quarantine") == 0
	p.same(rt, "fail", p.s.Fail(p.t.Context(), l.store, f), p.m.fail(l.model, f))
}

func (p *play) release(rt *rapid.T) {
	l := p.lease(rt)
	p.same(rt, "release", p.s.Release(p.t.Context(), l.store), nil)
	p.m.release(l.model)
}

func (p *play) retry(rt *rapid.T) {
	id, now := rapid.SampledFrom(playIDs).Draw(rt, "id"), p.now(rt)
	if p.unseen[id] {
		return
	}
	p.same(rt, "retry", p.s.Retry(p.t.Context(), id, now), p.m.retry(id, now))
}

// check compares everything that can be seen.
func (p *play) check(rt *rapid.T) {
	ctx := p.t.Context()
	for _, id := range playIDs {
		got, err := p.s.Trace(ctx, id)
		t := p.m.traces[id]
		if t == nil {
			p.same(rt, "trace "+id, err, evalforge.ErrNotFound)
			continue
		}
		p.same(rt, "trace "+id, err, nil)
		p.diff(rt, "trace "+id, got, t.raw)
	}
	patterns, _, err := p.s.Patterns(ctx, extract.PatternQuery{})
	p.same(rt, "patterns", err, nil)
	p.diff(rt, "patterns", patterns, p.m.patternList())
	errs, _, err := p.s.Errors(ctx, extract.ErrorQuery{})
	p.same(rt, "errors", err, nil)
	p.diff(rt, "errors", errs, p.m.errorList())

	for _, quarantined := range []bool{false, true} {
		if quarantined && len(p.unseen) > 0 {
			continue
		}
		states, _, err := p.s.States(ctx, extract.StateQuery{Quarantined: quarantined})
		p.same(rt, "states", err, nil)
		p.diff(rt, "states", p.comparable(states), p.comparable(p.m.states(quarantined)))
	}
	if len(p.unseen) == 0 {
		now := t0.Add(p.clock)
		got, err := p.s.Backlog(ctx, now)
		p.same(rt, "backlog", err, nil)
		p.diff(rt, "backlog", got, p.m.backlog(now))
	}
}

// comparable leaves out what may differ: the tokens' text, and what the store need not
// know yet.
func (p *play) comparable(states []extract.State) []extract.State {
	list := slices.Clone(states)
	for i := range list {
		s := &list[i]
		if s.LeaseToken != "" {
			s.LeaseToken = "some"
		}
		if p.unseen[s.TraceID] {
			s.Attempts, s.RetryAt, s.QuarantinedAt = 0, evalforge.Timestamp{}, evalforge.Timestamp{}
		}
	}
	return list
}

// same checks that the store's error is of the kind that the model gave.
func (p *play) same(rt *rapid.T, what string, got, want error) {
	rt.Helper()
	if want == nil && got != nil || !errors.Is(got, want) {
		rt.Fatalf("%s: got error %v, want %v", what, got, want)
	}
}

func (p *play) diff(rt *rapid.T, what string, got, want any) {
	rt.Helper()
	if d := gocmp.Diff(want, got, documents); d != "" {
		rt.Fatalf("%s (-want +got):\n%s", what, d)
	}
}
