package storetest

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// wantLost checks that l can neither commit, nor fail, nor be renewed, and that trying
// writes nothing.
func (e *env) wantLost(l extract.Lease) {
	e.Helper()
	e.wantOver(l, extract.ErrLeaseLost, extract.ErrLeaseLost)
}

// wantCommitted is wantLost for a lease that ended with a commit: that may be repeated.
func (e *env) wantCommitted(l extract.Lease) {
	e.Helper()
	e.wantOver(l, nil, extract.ErrLeaseLost)
}

// wantFailed is wantLost for a lease that ended with a failure.
func (e *env) wantFailed(l extract.Lease) {
	e.Helper()
	e.wantOver(l, extract.ErrLeaseLost, nil)
}

func (e *env) wantOver(l extract.Lease, commit, fail error) {
	e.Helper()
	before, errBefore := e.s.Pattern(e.ctx, l.TraceID)
	stateBefore, stateErr := e.s.State(e.ctx, l.TraceID)
	p := pattern(l.TraceID, minute(500))
	p.Title = "written by a lost lease"
	e.wantErr("commit of "+l.TraceID, e.s.Commit(e.ctx, l, extract.Result{Pattern: &p, Digest: l.Digest, At: minute(500)}), commit)
	c := extract.Claim{Lease: l}
	c.RunID = "run_lost"
	e.wantErr("failing "+l.TraceID, e.s.Fail(e.ctx, l, quarantine(c, minute(500))), fail)
	e.wantErr("renewing "+l.TraceID, e.s.Renew(e.ctx, l, minute(600)), extract.ErrLeaseLost)
	e.must(e.s.Release(e.ctx, l)) // no error, and no effect
	if stateErr == nil {
		e.diff("state after the lost lease tried", e.state(l.TraceID), stateBefore)
	}

	after, errAfter := e.s.Pattern(e.ctx, l.TraceID)
	if (errBefore == nil) != (errAfter == nil) {
		e.Errorf("pattern of %s: error %v before the lost lease tried, %v after", l.TraceID, errBefore, errAfter)
	}
	e.diff("pattern after the lost lease tried", after, before)
	errs, _, err := e.s.Errors(e.ctx, extract.ErrorQuery{RunID: "run_lost"})
	e.must(err)
	if len(errs) > 0 {
		e.Errorf("the lost lease of %s recorded an error", l.TraceID)
	}
}

func expiredIsTakenOver(e *env) {
	e.put(raw("a", 0))
	old := e.claimOne("run_1", "a", minute(1))
	e.wantDue(minute(6).Add(-1000)) // a microsecond before the end, it is leased
	e.wantDue(minute(6), "a")
	now := e.claimOne("run_2", "a", minute(6))
	if now.Attempt != 2 {
		e.Errorf("attempt after a crash: got %d, want 2", now.Attempt)
	}
	if now.Token == old.Token {
		e.Error("the new lease has the token of the old one")
	}
	before := e.state("a")
	e.wantLost(old.Lease)
	e.diff("state after the old worker tried", e.state("a"), before)
	e.wantProcessed("a", false)
	e.commit(now, minute(7))
	e.wantProcessed("a", true)
}

func renewedIsKept(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	e.must(e.s.Renew(e.ctx, c.Lease, minute(20)))
	e.wantDue(minute(19))
	if got := e.state("a").LeaseUntil; !got.Equal(minute(20)) {
		e.Errorf("lease_until: got %v, want minute 20", got)
	}
	// Past its end, but not taken over: renewed all the same.
	e.must(e.s.Renew(e.ctx, c.Lease, minute(40)))
	e.wantDue(minute(39))
	// Even when a run has looked at the queue since.
	e.wantDue(minute(41), "a")
	e.look("run_1", minute(41))
	e.must(e.s.Renew(e.ctx, c.Lease, minute(60)))
	e.wantDue(minute(59))
	e.commit(c, minute(59))
	e.wantCommitted(c.Lease)
}

// look lets a run look for work where all that is due is what it had before.
func (e *env) look(run string, now time.Time) {
	e.Helper()
	if got := claimedIDs(e.claim(run, 10, now)); got != nil {
		e.Errorf("%s got %q, which it had before", run, got)
	}
}

// clocksDiffer: that a worker with a fast clock saw a lease or a backoff end does not
// end it for the others.
func clocksDiffer(e *env) {
	e.put(raw("leased", 0), raw("backing", 1))
	for _, c := range e.claim("run_1", 2, minute(2)) {
		if c.TraceID == "backing" {
			e.must(e.s.Fail(e.ctx, c.Lease, failure(c, minute(2)))) // until minute 12
		}
	}
	e.look("run_1", minute(60))
	e.wantDue(minute(3))
	e.wantBacklog(3, extract.Backlog{Pending: 2, Leased: 1, BackingOff: 1, OldestDue: evalforge.At(minute(0))})
	if got := claimedIDs(e.claim("run_2", 10, minute(3))); got != nil {
		e.Errorf("a worker whose clock is behind got %q", got)
	}
	e.claimOne("run_2", "leased", minute(7))
	e.wantErr("retry", e.s.Retry(e.ctx, "leased", minute(8)), extract.ErrNotRetryable)
	e.must(e.s.Retry(e.ctx, "backing", minute(8)))
	e.claimOne("run_3", "backing", minute(9))
}

func forgedLease(e *env) {
	e.put(raw("free", 0), raw("leased", 1), raw("processed", 2))
	e.claim("run_1", 1, minute(3), "leased")
	e.commit(e.claim("run_1", 1, minute(3), "processed")[0], minute(3))
	for _, id := range []string{"free", "leased", "processed", "unknown"} {
		for _, token := range []string{"", "forged"} {
			e.wantLost(extract.Lease{TraceID: id, RunID: "run_1", Token: token, Digest: "x"})
		}
	}
	e.wantDue(minute(4), "free")
}

func releaseGivesBack(e *env) {
	e.put(raw("a", 0))
	for n := range 3 {
		run := "run_" + strings.Repeat("x", n+1)
		c := e.claimOne(run, "a", minute(n+1))
		if c.Attempt != 1 {
			e.Errorf("attempt %d after %d releases, want 1", c.Attempt, n)
		}
		e.must(e.s.Release(e.ctx, c.Lease))
		e.wantDue(minute(n+1), "a")
		e.wantLost(c.Lease)
	}
	st := e.state("a")
	if st.Attempts != 0 || st.LeaseToken != "" || st.LeaseOwner != "" || !st.LeaseUntil.IsZero() {
		e.Errorf("state after a release: %+v, want no attempt and no lease", st)
	}
	e.wantNoErrors()
}

func commitWrites(e *env) {
	e.put(raw("a", 0), raw("b", 1))
	claims := e.claim("run_1", 2, minute(2))
	e.must(e.s.Fail(e.ctx, claims[0].Lease, failure(claims[0], minute(3))))
	c := e.claim("run_2", 1, minute(20), "a")[0]
	if c.Attempt != 2 {
		e.Errorf("attempt: got %d, want 2", c.Attempt)
	}
	e.commit(c, minute(21))
	p, err := e.s.Pattern(e.ctx, "a")
	e.must(err)
	e.diff("pattern", p, pattern("a", minute(21)))
	e.wantProcessed("a", true)
	if at := e.trace("a").ProcessedAt; at == nil || !at.Equal(minute(21)) {
		e.Errorf("processed_at: got %v, want minute 21", at)
	}
	// Success clears attempts, lease and the last error.
	e.diff("state", e.state("a"), extract.State{TraceID: "a", RunID: "run_2",
		ExtractedDigest: c.Digest, UpdatedAt: evalforge.At(minute(21))})
	e.wantPattern("b", false)
	e.wantProcessed("b", false)
	e.wantDue(minute(60), "b")
}

func commitPastExpiry(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	e.wantDue(minute(60), "a")
	e.look("run_1", minute(60))
	e.commit(c, minute(61))
	e.wantProcessed("a", true)
	e.wantPattern("a", true)
	e.wantDue(minute(62))
}

// commitTwice: a commit whose answer was lost may be made again, by whoever holds the
// lease's token, and is the same commit.
func commitTwice(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	e.commit(c, minute(2))
	for _, s := range e.handles(2) {
		p := pattern("a", minute(3))
		p.Title = "the second"
		e.must(s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(3)}))
	}
	e.wantCommitted(c.Lease)
	e.wantProcessed("a", true)
	if at := e.trace("a").ProcessedAt; at == nil || !at.Equal(minute(2)) {
		e.Errorf("processed_at: got %v, want that of the first commit", at)
	}

	// It is known while the trace goes on, and forgotten when another lease has ended.
	e.put(changed(raw("a", 3), `{"input":"another"}`))
	e.wantCommitted(c.Lease)
	e.wantProcessed("a", false)
	next := e.claimOne("run_2", "a", minute(4))
	e.wantCommitted(c.Lease)
	e.must(e.s.Fail(e.ctx, next.Lease, failure(next, minute(5))))
	e.wantFailed(next.Lease)
	e.wantLost(c.Lease)
}

// commitRace: of many commits of one lease one is made.
func commitRace(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	handles := e.handles(8)
	inParallel(len(handles), func(w int) {
		p := pattern("a", minute(2+w))
		if err := handles[w].Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(2 + w)}); err != nil {
			e.Errorf("commit: %v", err)
		}
	})
	e.wantProcessed("a", true)
	p, err := e.s.Pattern(e.ctx, "a")
	e.must(err)
	if at := e.trace("a").ProcessedAt; at == nil || !at.Equal(p.ExtractedAt.Time) || !e.state("a").UpdatedAt.Equal(at.Time) {
		e.Errorf("processed at %v, with the pattern of %v and the state of %v; want all of one commit", at, p.ExtractedAt, e.state("a").UpdatedAt)
	}
}

// failRace is commitRace where some fail: what ended the lease first counts.
func failRace(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	handles := e.handles(8)
	var committed, failed atomic.Int64
	inParallel(len(handles), func(w int) {
		p, ended := pattern("a", minute(2)), &committed
		err := error(nil)
		if w%4 < 2 {
			err = handles[w].Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(2)})
		} else {
			ended, err = &failed, handles[w].Fail(e.ctx, c.Lease, quarantine(c, minute(2)))
		}
		switch {
		case err == nil:
			ended.Add(1)
		case !errors.Is(err, extract.ErrLeaseLost):
			e.Errorf("worker %d: %v", w, err)
		}
	})
	if n, m := committed.Load(), failed.Load(); n+m != 4 || n*m != 0 {
		e.Errorf("%d commits and %d failures succeeded, want all four of one kind", n, m)
	}
	e.wantProcessed("a", committed.Load() > 0)
	e.wantPattern("a", committed.Load() > 0)
}

func commitNilPattern(e *env) {
	e.put(raw("a", 0), raw("b", 1))
	e.commit(e.claim("run_1", 1, minute(2))[0], minute(3))
	before, err := e.s.Pattern(e.ctx, "a")
	e.must(err)
	e.h.Ingest(e.T, e.s, raw("a", 4))
	for _, c := range e.claim("run_2", 10, minute(5)) {
		e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Digest: c.Digest, At: minute(6)}))
		e.wantProcessed(c.TraceID, true)
	}
	after, err := e.s.Pattern(e.ctx, "a")
	e.must(err)
	e.diff("pattern", after, before)
	e.wantPattern("b", false)
}

func commitReplaces(e *env) {
	e.put(raw("a", 0))
	e.commit(e.claimOne("run_1", "a", minute(1)), minute(2))
	e.put(changed(raw("a", 3), `{"input":"another"}`))
	c := e.claimOne("run_2", "a", minute(4))
	p := pattern("a", minute(5))
	p.Title, p.FailureType, p.Severity, p.Fingerprint = "Another", evalforge.StaleData, evalforge.Low, "fp-2"
	p.FailingStep = &evalforge.FailingStep{Index: 3}
	e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(5)}))
	got, err := e.s.Pattern(e.ctx, "a")
	e.must(err)
	e.diff("pattern", got, p)
	for q, want := range map[extract.PatternQuery]int{
		{}:                                     1,
		{FailureType: evalforge.Hallucination}: 0,
		{FailureType: evalforge.StaleData}:     1,
		{Severity: evalforge.High}:             0,
		{Fingerprint: "fp-1"}:                  0,
		{Fingerprint: "fp-2"}:                  1,
	} {
		list, _, err := e.s.Patterns(e.ctx, q)
		e.must(err)
		if len(list) != want {
			e.Errorf("%+v: got %d patterns, want %d", q, len(list), want)
		}
	}
}

func commitMalformed(e *env) {
	e.put(raw("a", 0), raw("b", 1))
	c := e.claim("run_1", 1, minute(2))[0]
	for field, spoil := range map[string]func(*evalforge.Pattern){
		"title":                               func(p *evalforge.Pattern) { p.Title = " " },
		"failure_type":                        func(p *evalforge.Pattern) { p.FailureType = "bad" },
		"evidence.signals":                    func(p *evalforge.Pattern) { p.Evidence.Signals = nil },
		"recommended_actions":                 func(p *evalforge.Pattern) { p.RecommendedActions = []string{} },
		"reproduction_context.tools_involved": func(p *evalforge.Pattern) { p.ReproductionContext.ToolsInvolved = nil },
		"confidence":                          func(p *evalforge.Pattern) { p.Confidence = 1.5 },
		"pattern_id":                          func(p *evalforge.Pattern) { p.PatternID = "a" },
		"extracted_at":                        func(p *evalforge.Pattern) { p.ExtractedAt = evalforge.Timestamp{} },
		"source_trace_id":                     func(p *evalforge.Pattern) { *p = pattern("b", minute(2)) },
	} {
		p := pattern("a", minute(2))
		spoil(&p)
		e.wantField("pattern with a bad "+field, e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(2)}), field)
	}
	p := pattern("a", minute(2))
	e.wantField("result without a time", e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest}), "processed_at")
	e.wantPattern("a", false)
	e.wantPattern("b", false)
	e.wantProcessed("a", false)
	e.commit(c, minute(3)) // the lease is still held
}

func commitRemoved(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	e.h.Remove(e.T, e.s, "a")
	p := pattern("a", minute(2))
	e.wantErr("commit", e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(2)}), extract.ErrLeaseLost)
	e.wantPattern("a", false)
	if _, err := e.s.Trace(e.ctx, "a"); !errors.Is(err, evalforge.ErrNotFound) {
		e.Errorf("the commit brought the removed trace back: %v", err)
	}
	e.wantDue(minute(60))
	e.must(e.s.Release(e.ctx, c.Lease))
}

func failBacksOff(e *env) {
	e.put(raw("a", 0))
	for attempt := 1; attempt <= 3; attempt++ {
		at := minute(attempt * 20)
		c := e.claimOne("run_"+strings.Repeat("x", attempt), "a", at)
		if c.Attempt != attempt {
			e.Errorf("attempt: got %d, want %d", c.Attempt, attempt)
		}
		f := failure(c, at)
		e.must(e.s.Fail(e.ctx, c.Lease, f))
		e.wantDue(f.RetryAt.Add(-1000))
		e.wantDue(f.RetryAt, "a")
		e.wantFailed(c.Lease)
		e.diff("state", e.state("a"), extract.State{TraceID: "a", RunID: c.RunID, Attempts: attempt,
			RetryAt: evalforge.At(f.RetryAt), LastError: f.Error.ErrorMessage, LastErrorType: f.Error.ErrorType,
			UpdatedAt: evalforge.At(at)})
		errs, _, err := e.s.Errors(e.ctx, extract.ErrorQuery{RunID: c.RunID})
		e.must(err)
		e.diff("error documents", errs, []evalforge.ExtractionError{f.Error})
	}
	e.wantProcessed("a", false)

	// Without a time to retry at, it is due at once.
	c := e.claimOne("run_y", "a", minute(100))
	f := failure(c, minute(100))
	f.RetryAt = c.Until.AddDate(-100, 0, 0)
	e.must(e.s.Fail(e.ctx, c.Lease, f))
	e.wantDue(minute(100), "a")
}

func failQuarantines(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	e.must(e.s.Fail(e.ctx, c.Lease, quarantine(c, minute(2))))
	e.wantDue(minute(100000))
	if got := claimedIDs(e.claim("run_2", 10, minute(100000), "a")); got != nil {
		e.Errorf("claimed %q by name from quarantine", got)
	}
	e.wantFailed(c.Lease)
	e.diff("state", e.state("a"), extract.State{TraceID: "a", RunID: "run_1", Attempts: 1,
		QuarantinedAt: evalforge.At(minute(2)), LastError: "service unavailable", LastErrorType: evalforge.VertexError,
		UpdatedAt: evalforge.At(minute(2))})
}

func failMalformed(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	for field, spoil := range map[string]func(*evalforge.ExtractionError){
		"run_id":          func(x *evalforge.ExtractionError) { x.RunID = "" },
		"source_trace_id": func(x *evalforge.ExtractionError) { x.SourceTraceID = "b" },
		"error_type":      func(x *evalforge.ExtractionError) { x.ErrorType = "bad" },
		"recorded_at":     func(x *evalforge.ExtractionError) { x.RecordedAt = evalforge.Timestamp{} },
	} {
		f := failure(c, minute(2))
		spoil(&f.Error)
		e.wantField("error with a bad "+field, e.s.Fail(e.ctx, c.Lease, f), field)
	}
	e.wantNoErrors()
	e.must(e.s.Fail(e.ctx, c.Lease, failure(c, minute(2)))) // the lease is still held
}

func failRemoved(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	e.h.Remove(e.T, e.s, "a")
	e.wantErr("fail", e.s.Fail(e.ctx, c.Lease, failure(c, minute(2))), extract.ErrLeaseLost)
	e.wantNoErrors()
}

func retry(e *env) {
	e.put(raw("quarantined", 0), raw("backing", 1), raw("leased", 2), raw("processed", 3), raw("expired", 4),
		raw("free", 5), raw("waited", 6))
	for _, c := range e.claim("run_1", 10, minute(10)) {
		switch c.TraceID {
		case "quarantined":
			e.must(e.s.Fail(e.ctx, c.Lease, quarantine(c, minute(11))))
		case "backing":
			f := failure(c, minute(11))
			f.RetryAt = minute(90)
			e.must(e.s.Fail(e.ctx, c.Lease, f))
		case "leased":
			e.must(e.s.Renew(e.ctx, c.Lease, minute(90)))
		case "processed":
			e.commit(c, minute(11))
		case "free":
			e.must(e.s.Release(e.ctx, c.Lease))
		case "waited":
			e.must(e.s.Fail(e.ctx, c.Lease, failure(c, minute(11)))) // until minute 21
		}
	}
	e.put(raw("untouched", 7))
	for id, want := range map[string]error{
		"unknown":   evalforge.ErrNotFound,
		"processed": extract.ErrNotRetryable,
		"leased":    extract.ErrNotRetryable,
		"expired":   extract.ErrNotRetryable, // due anyway
		"free":      extract.ErrNotRetryable,
		"waited":    extract.ErrNotRetryable,
		"untouched": extract.ErrNotRetryable,
	} {
		err := e.s.Retry(e.ctx, id, minute(30))
		e.wantErr("retry "+id, err, want)
		if err != nil && !strings.Contains(err.Error(), id) {
			e.Errorf("retry %s: the error does not name the trace: %v", id, err)
		}
	}
	e.wantDue(minute(30), "free", "untouched", "expired", "waited")
	for _, id := range []string{"quarantined", "backing"} {
		e.must(e.s.Retry(e.ctx, id, minute(30)))
		st := e.state(id)
		if st.Attempts != 0 || !st.QuarantinedAt.IsZero() || !st.RetryAt.IsZero() || !st.UpdatedAt.Equal(minute(30)) {
			e.Errorf("state after retry: %+v, want it cleared at minute 30", st)
		}
		e.wantErr("second retry "+id, e.s.Retry(e.ctx, id, minute(30)), extract.ErrNotRetryable)
	}
	e.wantDue(minute(30), "quarantined", "backing", "free", "untouched", "expired", "waited")
	for _, c := range e.claim("run_2", 2, minute(31)) {
		if c.Attempt != 1 || !c.Anew {
			e.Errorf("%s after retry: got attempt %d, anew %v; want 1, true", c.TraceID, c.Attempt, c.Anew)
		}
	}
	for _, c := range e.claim("run_2", 4, minute(31)) {
		if c.Anew {
			e.Errorf("%s is claimed anew; it was not retried by hand", c.TraceID)
		}
	}
}
