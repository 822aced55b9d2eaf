package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

func claimOldestFirst(e *env) {
	e.put(raw("c", 2), raw("b", 1), raw("z", 0), raw("a", 1), raw("d", 2), raw("B", 1))
	for _, want := range [][]string{{"z", "B"}, {"a", "b", "c"}, {"d"}, nil} {
		limit := max(len(want), 1)
		if got := claimedIDs(e.claim("run_1", limit, minute(10))); !slices.Equal(got, want) {
			e.Errorf("claim of %d: got %q, want %q", limit, got, want)
		}
	}
}

// claimFreshFirst: what was tried before comes after everything fresh, however old it
// is, in the order in which it became due; or before it, if it is asked for.
func claimFreshFirst(e *env) {
	dueAt := map[string]int{"failed-30": 30, "failed-12": 12, "failed-also-12": 12, "expired-20": 20, "failed-99": 99}
	for id := range dueAt {
		e.put(raw(id, 0))
	}
	e.put(raw("given-back", 0), raw("changed", 1), raw("retried", 2))
	claimed := map[string]extract.Claim{}
	for _, c := range e.claim("run_1", 10, minute(5)) {
		claimed[c.TraceID] = c
	}
	for id, at := range dueAt {
		c := claimed[id]
		if strings.HasPrefix(id, "expired") {
			e.must(e.s.Renew(e.ctx, c.Lease, minute(at)))
			continue
		}
		f := failure(c, minute(6))
		f.RetryAt = minute(at)
		e.must(e.s.Fail(e.ctx, c.Lease, f))
	}
	// Given back, it was not tried; and what is tried anew is as good as fresh.
	e.must(e.s.Release(e.ctx, claimed["given-back"].Lease))
	for _, id := range []string{"changed", "retried"} {
		e.must(e.s.Fail(e.ctx, claimed[id].Lease, quarantine(claimed[id], minute(6))))
	}
	e.put(changed(raw("changed", 1), `{"input":"another"}`))
	e.must(e.s.Retry(e.ctx, "retried", minute(7)))
	e.put(raw("new", 3), raw("newest", 4))

	fresh := []string{"given-back", "changed", "retried", "new", "newest"}
	tried := []string{"failed-12", "failed-also-12", "expired-20", "failed-30"}
	e.wantDue(minute(40), slices.Concat(fresh, tried)...)
	req := e.request("run_2", 1000, minute(40))
	req.Retries = true
	peeked, err := e.s.Peek(e.ctx, req)
	e.must(err)
	if got, want := claimedIDs(peeked), slices.Concat(tried, fresh); !slices.Equal(got, want) {
		e.Errorf("due, retries first: got %q, want %q", got, want)
	}
	for _, want := range slices.Concat(tried[:2], fresh[:1], tried[2:], fresh[1:2]) {
		req := e.request("run_3", 1, minute(40))
		req.Retries = slices.Contains(tried, want)
		claims, err := e.s.Claim(e.ctx, req)
		e.must(err)
		if got := claimedIDs(claims); !slices.Equal(got, []string{want}) {
			e.Errorf("retries first %v: got %q, want %q", req.Retries, got, want)
		}
	}
	req.RunID = "run_3" // without any due for it, the others are there
	claims, err := e.s.Claim(e.ctx, req)
	e.must(err)
	if got := claimedIDs(claims); !slices.Equal(got, fresh[2:]) {
		e.Errorf("without retries: got %q, want %q", got, fresh[2:])
	}
}

// claimGivenBackRetry: a retry that was given back comes before the others.
func claimGivenBackRetry(e *env) {
	e.put(raw("a", 0), raw("b", 1))
	for _, c := range e.claim("run_1", 2, minute(2)) {
		e.must(e.s.Fail(e.ctx, c.Lease, failure(c, minute(2)))) // until minute 12
	}
	b := e.claim("run_2", 1, minute(13), "b")[0]
	e.must(e.s.Release(e.ctx, b.Lease))
	e.wantDue(minute(14), "b", "a")
}

func claimFields(e *env) {
	tr := raw("a", 0)
	e.put(tr)
	c := e.claimOne("run_1", "a", minute(1))
	stored := e.trace("a")
	e.diff("claimed trace", c.Trace, stored)
	e.diff("claimed trace", c.Trace, tr)
	if c.Token == "" {
		e.Error("the lease has no token")
	}
	c.Token, c.Trace = "", evalforge.RawTrace{}
	e.diff("claim", c, extract.Claim{
		Lease:   extract.Lease{TraceID: "a", RunID: "run_1", Owner: "owner of run_1", Until: minute(6), Digest: tr.Digest()},
		Attempt: 1,
	})
}

func claimOncePerRun(e *env) {
	e.put(raw("a", 0))
	a := e.claimOne("run_1", "a", minute(1))
	e.must(e.s.Release(e.ctx, a.Lease))
	if got := claimedIDs(e.claim("run_1", 10, minute(2))); got != nil {
		e.Errorf("the run got %q again after it gave it back", got)
	}
	if got := claimedIDs(e.claim("run_1", 10, minute(2), "a")); got != nil {
		e.Errorf("the run got %q again by name", got)
	}
	b := e.claimOne("run_2", "a", minute(2))
	e.must(e.s.Release(e.ctx, b.Lease))
	for _, run := range []string{"run_1", "run_2"} {
		if got := claimedIDs(e.claim(run, 10, minute(3))); got != nil {
			e.Errorf("%s got %q again after the other had it", run, got)
		}
	}
	// An expired lease is due for others only, too.
	e.claimOne("run_3", "a", minute(3))
	if got := claimedIDs(e.claim("run_3", 10, minute(60))); got != nil {
		e.Errorf("the run got %q again after its lease expired", got)
	}
	e.wantDue(minute(60), "a")
}

func claimNamed(e *env) {
	for i, id := range []string{"free", "leased", "backing", "quarantined", "processed", "unnamed"} {
		e.put(raw(id, i))
	}
	for _, c := range e.claim("run_1", 10, minute(10), "leased", "backing", "quarantined", "processed") {
		switch c.TraceID {
		case "backing":
			e.must(e.s.Fail(e.ctx, c.Lease, failure(c, minute(11))))
		case "quarantined":
			e.must(e.s.Fail(e.ctx, c.Lease, quarantine(c, minute(11))))
		case "processed":
			e.commit(c, minute(11))
		}
	}
	all := []string{"processed", "quarantined", "backing", "backing", "leased", "free", "unknown"}
	if got := claimedIDs(e.claim("run_2", 1, minute(12), all...)); !slices.Equal(got, []string{"free"}) {
		e.Errorf("claim of 1: got %q, want the oldest, free", got)
	}
	claims := e.claim("run_2", 10, minute(12), all...)
	if got := claimedIDs(claims); !slices.Equal(got, []string{"backing"}) {
		e.Fatalf("got %q, want backing", got)
	}
	if claims[0].Attempt != 2 {
		e.Errorf("attempt: got %d, want 2", claims[0].Attempt)
	}
	// Given back, it is due at once: its backoff ended when it was claimed by name.
	e.must(e.s.Release(e.ctx, claims[0].Lease))
	e.wantDue(minute(13), "unnamed", "backing")
}

func claimBadRequests(e *env) {
	e.put(raw("a", 0))
	for name, spoil := range map[string]func(*extract.ClaimRequest){
		"no run":            func(r *extract.ClaimRequest) { r.RunID = "" },
		"limit 0":           func(r *extract.ClaimRequest) { r.Limit = 0 },
		"no time":           func(r *extract.ClaimRequest) { r.Now = time.Time{} },
		"no token":          func(r *extract.ClaimRequest) { r.NewToken = nil },
		"lease in the past": func(r *extract.ClaimRequest) { r.LeaseUntil = r.Now },
	} {
		req := e.request("run_1", 10, minute(1))
		spoil(&req)
		if got, err := e.s.Claim(e.ctx, req); err == nil {
			e.Errorf("%s: got %d claims, want an error", name, len(got))
		}
	}
	e.wantDue(minute(1), "a")
}

func peekLeasesNothing(e *env) {
	e.put(raw("expired", 0), raw("failed", 1), raw("free", 2), raw("leased", 3), raw("last", 4))
	for _, c := range e.claim("run_1", 2, minute(10)) {
		if c.TraceID == "failed" {
			e.must(e.s.Fail(e.ctx, c.Lease, failure(c, minute(10))))
		}
	}
	e.claim("run_1", 1, minute(25), "leased")
	for _, ids := range [][]string{nil, {"free", "failed", "leased"}} {
		req := e.request("run_2", 3, minute(26), ids...)
		req.NewToken = nil // peeking needs none
		first, err := e.s.Peek(e.ctx, req)
		e.must(err)
		second, err := e.s.Peek(e.ctx, req)
		e.must(err)
		e.diff("second peek", second, first)
	}
	req := e.request("run_2", 3, minute(26))
	peeked, err := e.s.Peek(e.ctx, req)
	e.must(err)
	claimed, err := e.s.Claim(e.ctx, req)
	e.must(err)
	if got, want := claimedIDs(claimed), []string{"free", "last", "expired"}; !slices.Equal(got, want) {
		e.Errorf("claim after peek: got %q, want %q", got, want)
	}
	for i := range peeked {
		peeked[i].Token = ""
	}
	for i := range claimed {
		claimed[i].Token = ""
	}
	e.diff("peek", peeked, claimed)
}

// handles returns n handles on the data of e.s, for as many workers.
func (e *env) handles(n int) []extract.Store {
	list := make([]extract.Store, n)
	for i := range list {
		list[i] = e.s
		if i%2 == 1 && e.h.Another != nil {
			list[i] = e.h.Another(e.T, e.s)
		}
	}
	return list
}

func claimRace(e *env) {
	const traces, workers = 120, 8
	var all []evalforge.RawTrace
	for i := range traces {
		all = append(all, raw(fmt.Sprintf("trace-%03d", i), i/10))
	}
	e.putMany(all)
	got := e.race(workers, 7, minute(100))
	if len(got) != traces {
		e.Errorf("%d traces were claimed, want %d", len(got), traces)
	}
	for id, n := range got {
		if n != 1 {
			e.Errorf("%s was claimed %d times at once", id, n)
		}
	}
}

// race lets workers of as many runs claim until nothing is left, and returns how often
// each trace was claimed.
func (e *env) race(workers, limit int, now time.Time) map[string]int {
	handles := e.handles(workers)
	var mu sync.Mutex
	got := map[string]int{}
	inParallel(workers, func(w int) {
		for {
			claims, err := handles[w].Claim(e.ctx, e.request(fmt.Sprintf("run_%s_%d", now.Format("150405"), w), limit, now))
			if err != nil {
				e.Errorf("claim: %v", err)
				return
			}
			if len(claims) == 0 {
				return
			}
			mu.Lock()
			for _, c := range claims {
				got[c.TraceID]++
			}
			mu.Unlock()
		}
	})
	return got
}

func takeoverRace(e *env) {
	var all []evalforge.RawTrace
	for i := range 40 {
		all = append(all, raw(fmt.Sprintf("trace-%02d", i), i))
	}
	e.putMany(all)
	old := e.claim("run_dead", 40, minute(100))
	got := e.race(8, 3, minute(106))
	if len(got) != 40 {
		e.Errorf("%d expired leases were taken over, want 40", len(got))
	}
	for id, n := range got {
		if n != 1 {
			e.Errorf("the lease of %s was taken over %d times", id, n)
		}
	}
	for _, c := range old {
		e.wantErr("renewing the old lease of "+c.TraceID, e.s.Renew(e.ctx, c.Lease, minute(200)), extract.ErrLeaseLost)
	}
}

// poisonAtTheHead: whatever is stuck at the head of the queue, a fresh trace is found.
func poisonAtTheHead(e *env) {
	const poison = 1000
	var all []evalforge.RawTrace
	for i := range poison {
		all = append(all, raw(fmt.Sprintf("poison-%04d", i), 0))
	}
	e.putMany(all)
	claims := e.claim("run_1", poison, minute(1))
	if len(claims) != poison {
		e.Fatalf("claimed %d traces, want %d", len(claims), poison)
	}
	inParallel(8, func(w int) {
		for i := w; i < poison; i += 8 {
			c := claims[i]
			var err error
			switch i % 3 {
			case 0: // stays leased
			case 1:
				err = e.s.Fail(e.ctx, c.Lease, failure(c, minute(1)))
			case 2:
				err = e.s.Fail(e.ctx, c.Lease, quarantine(c, minute(1)))
			}
			if err != nil {
				e.Errorf("fail %s: %v", c.TraceID, err)
			}
		}
	})
	e.put(raw("fresh", 2))
	e.claimOne("run_2", "fresh", minute(3))

	// When leases and backoffs have ended, it still comes first.
	e.put(raw("next", 3))
	if got := claimedIDs(e.claim("run_3", 1, minute(60))); !slices.Equal(got, []string{"next"}) {
		e.Errorf("with old traces due again, got %q, want the fresh one", got)
	}
}

func claimUndecodable(e *env) {
	if e.h.Malform == nil {
		return // the backend cannot hold such a document
	}
	e.put(raw("a", 0), raw("bad", 1), raw("c", 2))
	e.h.Malform(e.T, e.s, "bad")
	claims := e.claim("run_1", 10, minute(3))
	if got := claimedIDs(claims); !slices.Equal(got, []string{"a", "bad", "c"}) {
		e.Fatalf("claimed %q, want all three", got)
	}
	for _, c := range claims {
		if (c.Err != nil) != (c.TraceID == "bad") {
			e.Errorf("%s: got Err %v", c.TraceID, c.Err)
		}
		if c.Trace.TraceID != c.TraceID {
			e.Errorf("%s: the claimed trace calls itself %q", c.TraceID, c.Trace.TraceID)
		}
	}
	e.must(e.s.Fail(e.ctx, claims[1].Lease, quarantine(claims[1], minute(4))))
	e.wantDue(minute(60), "a", "c")
	if _, err := e.s.Trace(e.ctx, "bad"); err == nil {
		e.Error("reading the undecodable trace: got no error")
	}
}
