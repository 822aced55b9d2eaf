package storetest

import (
	"fmt"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

func answerKey(n int) string { return fmt.Sprintf("%064x", n) }

func keptAnswer(n int, traceID string) extract.KeptAnswer {
	a := pattern(traceID, minute(n)).Analysis
	a.Summary = odd
	return extract.KeptAnswer{
		Key: answerKey(n), TraceID: traceID, Digest: answerKey(n + 1), SavedAt: evalforge.At(minute(n)), Analysis: a,
		Model: "m", ModelVersion: "m-001", PromptSHA256: "p", Tokens: evalforge.Tokens{Prompt: 5, Cached: 2, Output: 3},
		CostUSD: 0.25, Attempts: 2, LatencyMS: 1500, Quotes: 1,
	}
}

func keptAnswers(e *env) {
	_, err := e.s.Answer(e.ctx, answerKey(1))
	e.wantErr("an answer that is not there", err, evalforge.ErrNotFound)
	a, b := keptAnswer(1, "a"), keptAnswer(2, "trace:1 Ünï#?%&'\"")
	e.must(e.s.SaveAnswer(e.ctx, a))
	e.must(e.s.SaveAnswer(e.ctx, b))
	e.wantAnswer(a)
	e.wantAnswer(b)
	a.TraceID, a.CostUSD = "c", 1
	e.must(e.s.SaveAnswer(e.ctx, a)) // in place of the older one
	e.wantAnswer(a)
	if e.h.Another != nil {
		e.s = e.h.Another(e.T, e.s)
		e.wantAnswer(a)
	}
	for _, key := range []string{"", "x", answerKey(1)[1:], "A" + answerKey(1)[1:], "../" + answerKey(1)[3:]} {
		_, err := e.s.Answer(e.ctx, key)
		e.wantField("answer of "+key, err, "key")
		bad := a
		bad.Key = key
		e.wantField("saving under "+key, e.s.SaveAnswer(e.ctx, bad), "key")
	}
	bad := a
	bad.TraceID = ""
	e.wantField("saving without a trace", e.s.SaveAnswer(e.ctx, bad), "trace_id")
	bad = a
	bad.SavedAt = evalforge.Timestamp{}
	e.wantField("saving without a time", e.s.SaveAnswer(e.ctx, bad), "saved_at")
}

func (e *env) wantAnswer(want extract.KeptAnswer) {
	e.Helper()
	got, err := e.s.Answer(e.ctx, want.Key)
	e.must(err)
	e.diff("answer", got, want)
}

func (e *env) wantHistory(id string, limit int, want ...evalforge.Pattern) {
	e.Helper()
	got, err := e.s.History(e.ctx, id, limit)
	e.must(err)
	if got == nil {
		e.Error("the history is nil, want a list")
	}
	e.diff("history of "+id, got, append([]evalforge.Pattern{}, want...))
}

// revise extracts a trace anew, and returns the pattern that it commits.
func (e *env) revise(id, title string, n int) evalforge.Pattern {
	e.Helper()
	c := e.claimOne(fmt.Sprintf("run_%d", n), id, minute(n))
	p := pattern(id, minute(n))
	p.Title = title
	e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(n)}))
	return p
}

func historyKeeps(e *env) {
	e.wantHistory("unknown", 5)
	e.put(raw("a", 0), changed(raw("b", 1), `{"input":"other"}`))
	c := e.claim("run_0", 2, minute(1))
	e.commit(c[1], minute(1))
	first := pattern("a", minute(1))
	e.must(e.s.Commit(e.ctx, c[0].Lease, extract.Result{Pattern: &first, Digest: c[0].Digest, At: minute(1)}))
	e.wantHistory("a", 5)
	e.must(e.s.Reopen(e.ctx, "a", minute(2)))
	e.wantHistory("a", 5)
	second := e.revise("a", "second", 3)
	e.wantHistory("a", 5, first)

	// A changed payload replaces the pattern too; one that is unchanged does not.
	e.put(changed(raw("a", 0), `{"input":"changed"}`))
	third := e.revise("a", "third", 4)
	e.wantHistory("a", 5, second, first)
	e.wantHistory("a", 1, second)
	e.must(e.s.Reopen(e.ctx, "a", minute(5)))
	again := e.claimOne("run_5", "a", minute(5))
	e.must(e.s.Commit(e.ctx, again.Lease, extract.Result{Digest: again.Digest, At: minute(5)}))
	e.wantHistory("a", 5, second, first)
	got, err := e.s.Pattern(e.ctx, "a")
	e.must(err)
	e.diff("pattern", got, third)
	e.wantHistory("b", 5)
	for _, limit := range []int{-1, 0, extract.MaxHistory + 1} {
		_, err := e.s.History(e.ctx, "a", limit)
		e.wantField("history", err, "limit")
	}
}

func historyBounded(e *env) {
	e.put(raw("a", 0))
	var all []evalforge.Pattern
	for n := range extract.MaxHistory + 4 {
		all = append(all, e.revise("a", fmt.Sprintf("number %d", n), n))
		e.must(e.s.Reopen(e.ctx, "a", minute(n)))
	}
	var want []evalforge.Pattern
	for n := range extract.MaxHistory {
		want = append(want, all[len(all)-2-n]) // the last one is the pattern
	}
	e.wantHistory("a", extract.MaxHistory, want...)
}

func reopen(e *env) {
	e.wantErr("an unknown trace", e.s.Reopen(e.ctx, "a", minute(1)), evalforge.ErrNotFound)
	e.put(raw("a", 0), raw("b", 1))
	e.wantErr("a trace that is due", e.s.Reopen(e.ctx, "a", minute(1)), extract.ErrNotProcessed)
	c := e.claim("run_1", 2, minute(1))
	e.wantErr("a leased trace", e.s.Reopen(e.ctx, "a", minute(1)), extract.ErrNotProcessed)
	e.must(e.s.Fail(e.ctx, c[1].Lease, quarantine(c[1], minute(1))))
	e.wantErr("a quarantined trace", e.s.Reopen(e.ctx, "b", minute(1)), extract.ErrNotProcessed)
	e.commit(c[0], minute(1))
	e.wantProcessed("a", true)
	e.wantDue(minute(2))

	e.must(e.s.Reopen(e.ctx, "a", minute(2)))
	e.wantProcessed("a", false)
	e.wantPattern("a", true)
	if st := e.state("a"); st.ExtractedDigest != "" || st.Attempts != 0 || !st.UpdatedAt.Equal(minute(2)) {
		e.Errorf("state after reopening: got %+v", st)
	}
	b, err := e.s.Backlog(e.ctx, minute(2))
	e.must(err)
	e.diff("backlog", b, extract.Backlog{Pending: 2, Quarantined: 1, OldestDue: evalforge.At(minute(0))})
	e.wantErr("a reopened trace", e.s.Reopen(e.ctx, "a", minute(2)), extract.ErrNotProcessed)
	// Whoever claims it, however often, is told that it is to be analyzed anew.
	peeked, err := e.s.Peek(e.ctx, extract.ClaimRequest{RunID: "run_x", Limit: 5, Now: minute(2)})
	e.must(err)
	if len(peeked) != 1 || !peeked[0].KeptSince.Equal(minute(2)) {
		e.Errorf("got %+v, want one claim that uses no answers kept before minute 2", peeked)
	}
	released := e.claimOne("run_r", "a", minute(2))
	e.must(e.s.Release(e.ctx, released.Lease))
	failed := e.claimOne("run_f", "a", minute(2))
	e.must(e.s.Fail(e.ctx, failed.Lease, quarantine(failed, minute(2))))
	e.must(e.s.Retry(e.ctx, "a", minute(3)))
	again := e.claimOne("run_2", "a", minute(3))
	for _, c := range []extract.Claim{released, failed, again} {
		if !c.KeptSince.Equal(minute(2)) {
			e.Errorf("claim of %s: answers kept since %v may be used, want since minute 2", c.RunID, c.KeptSince)
		}
	}
	if st := e.state("a"); !st.AnewSince.Equal(minute(2)) {
		e.Errorf("state: anew since %v, want minute 2", st.AnewSince)
	}
	if again.ExtractedDigest != "" || again.Attempt != 1 {
		e.Errorf("claim after reopening: attempt %d, extracted digest %q; want 1 and none", again.Attempt, again.ExtractedDigest)
	}
	e.commit(again, minute(4))
	e.wantProcessed("a", true)
	e.wantDue(minute(5))
	if st := e.state("a"); !st.AnewSince.IsZero() {
		e.Errorf("state after the commit: anew since %v, want none", st.AnewSince)
	}
	e.put(changed(raw("a", 0), `{"input":"changed"}`))
	if c := e.claimOne("run_3", "a", minute(5)); !c.KeptSince.IsZero() {
		e.Errorf("a claim after the commit: answers kept since %v may be used, want all", c.KeptSince)
	}
}

// A reopened trace that fails keeps the pattern that it had.
func reopenedFails(e *env) {
	e.put(raw("a", 0))
	e.commit(e.claimOne("run_1", "a", minute(1)), minute(1))
	e.must(e.s.Reopen(e.ctx, "a", minute(2)))
	c := e.claimOne("run_2", "a", minute(2))
	e.must(e.s.Fail(e.ctx, c.Lease, failure(c, minute(2))))
	e.wantPattern("a", true)
	e.wantHistory("a", 1)
	e.wantDue(minute(3))
	e.wantDue(minute(12), "a")
}
