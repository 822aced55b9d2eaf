package storetest

import (
	"fmt"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// lead gives a trace everything that can be kept about one: failures in two runs, a
// pattern that is replaced, answers, records of the runs; and is on it again at the end.
func (e *env) lead(id string, n int) {
	e.Helper()
	e.put(raw(id, n))
	for i, run := range []string{"run_1", "run_2", "run_3", "run_4"} {
		run = run + "_" + id
		at := minute(100*(i+1) + n)
		c := e.claim(run, 1, at, id)[0]
		o := evalforge.TraceOutcome{SourceTraceID: id, Status: evalforge.Stored}
		if i < 2 {
			e.must(e.s.Fail(e.ctx, c.Lease, failure(c, at)))
			reason := "it failed for " + id
			o.Status, o.ErrorReason = evalforge.Errored, &reason
		} else {
			p := pattern(id, at)
			p.Title, p.Provenance.RunID = fmt.Sprint("the pattern ", i), run
			e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: at}))
			e.must(e.s.Reopen(e.ctx, id, at))
		}
		other := "it failed for another"
		e.must(e.s.SaveRun(e.ctx, evalforge.Run{RunID: run, StartedAt: evalforge.At(at), TriggeredBy: evalforge.Manual,
			TraceOutcomes: []evalforge.TraceOutcome{{SourceTraceID: "another", Status: evalforge.Errored, ErrorReason: &other}, o}}))
	}
	e.must(e.s.RecordError(e.ctx, evalforge.ExtractionError{RunID: "import_1", SourceTraceID: id, ErrorType: evalforge.Unknown,
		ErrorMessage: "m", RecordedAt: evalforge.At(minute(1))}))
	e.must(e.s.SaveAnswer(e.ctx, keptAnswer(2*n, id)))
	e.must(e.s.SaveAnswer(e.ctx, keptAnswer(2*n+1, id)))
	e.claim("run_open_"+id, 1, minute(1000), id)
}

func forget(e *env) {
	e.lead("gone", 1)
	e.lead("stays", 2)
	want := extract.Forgotten{Trace: true, Pattern: true, State: true, History: 1, Errors: 3, Answers: 2, Reasons: 2,
		Owner: "owner of run_open_gone", OpenRuns: []string{"run_open_gone"}}
	for range 2 {
		got, err := e.s.Kept(e.ctx, "gone")
		e.must(err)
		e.diff("kept", got, want)
	}
	before := e.leads("stays")
	got, err := e.s.Forget(e.ctx, "gone")
	e.must(err)
	e.diff("forgotten", got, want)

	e.wantUnknown("gone")
	for i, run := range []string{"run_1_gone", "run_2_gone", "run_3_gone"} {
		r, err := e.s.Run(e.ctx, run)
		e.must(err)
		if got := *r.TraceOutcomes[0].ErrorReason; got != "it failed for another" {
			e.Errorf("%s: the reason of another trace is %q", run, got)
		}
		o := r.TraceOutcomes[1]
		if i < 2 && (o.ErrorReason == nil || *o.ErrorReason != extract.ForgottenReason) || i == 2 && o.ErrorReason != nil || o.SourceTraceID != "gone" {
			e.Errorf("%s: outcome %+v", run, o)
		}
	}
	e.diff("what is kept about the other trace", e.leads("stays"), before)

	// The name is free, and what comes under it is another trace.
	e.put(raw("gone", 9))
	if c := e.claim("run_open_gone", 1, minute(1001), "gone"); len(c) != 1 || c[0].Attempt != 1 || c[0].ExtractedDigest != "" {
		e.Errorf("the trace that came under the same name: %+v", c)
	}
}

// wantUnknown checks that nothing is kept about a trace.
func (e *env) wantUnknown(id string) {
	e.Helper()
	for _, f := range []func() error{
		func() error { _, err := e.s.Trace(e.ctx, id); return err },
		func() error { _, err := e.s.Pattern(e.ctx, id); return err },
		func() error { _, err := e.s.State(e.ctx, id); return err },
		func() error { _, err := e.s.Kept(e.ctx, id); return err },
		func() error { _, err := e.s.Forget(e.ctx, id); return err },
		func() error { return e.s.Retry(e.ctx, id, minute(1)) },
	} {
		e.wantErr("after "+id+" was forgotten", f(), evalforge.ErrNotFound)
	}
	e.wantHistory(id, 10)
	errs, _, err := e.s.Errors(e.ctx, extract.ErrorQuery{TraceID: id})
	e.must(err)
	if len(errs) > 0 {
		e.Errorf("%d errors of %s are left", len(errs), id)
	}
}

// leads returns what is kept about a trace.
func (e *env) leads(id string) any {
	e.Helper()
	p, err := e.s.Pattern(e.ctx, id)
	e.must(err)
	h, err := e.s.History(e.ctx, id, 10)
	e.must(err)
	errs, _, err := e.s.Errors(e.ctx, extract.ErrorQuery{TraceID: id})
	e.must(err)
	a, err := e.s.Answer(e.ctx, answerKey(4))
	e.must(err)
	r, err := e.s.Run(e.ctx, "run_1_"+id)
	e.must(err)
	kept, err := e.s.Kept(e.ctx, id)
	e.must(err)
	return []any{e.trace(id), e.state(id), p, h, errs, a, r, kept}
}

// forgetRest: a trace of which only something is left is forgotten too.
func forgetRest(e *env) {
	for _, id := range []string{"", "a/b", "unknown"} {
		_, err := e.s.Forget(e.ctx, id)
		e.wantErr("forgetting "+id, err, evalforge.ErrNotFound)
		_, err = e.s.Kept(e.ctx, id)
		e.wantErr("looking for "+id, err, evalforge.ErrNotFound)
	}
	e.put(raw("a", 0), raw("fresh", 1))
	e.commit(e.claim("run_1", 1, minute(2), "a")[0], minute(3))
	e.h.Remove(e.T, e.s, "a")
	f, err := e.s.Forget(e.ctx, "a")
	e.must(err)
	if f.Trace || !f.Pattern {
		e.Errorf("forgot %+v, want the pattern that was left", f)
	}
	e.wantUnknown("a")
	f, err = e.s.Forget(e.ctx, "fresh")
	e.must(err)
	e.diff("forgotten", f, extract.Forgotten{Trace: true})
	e.wantUnknown("fresh")
	e.must(e.s.RecordError(e.ctx, evalforge.ExtractionError{RunID: "import_1", SourceTraceID: "traces.jsonl:3", ErrorType: evalforge.Unknown,
		ErrorMessage: "m", RecordedAt: evalforge.At(minute(1))}))
	f, err = e.s.Forget(e.ctx, "traces.jsonl:3")
	e.must(err)
	e.diff("forgotten", f, extract.Forgotten{Errors: 1})
	e.wantBacklog(4, extract.Backlog{})
	if e.h.Malform != nil {
		e.put(raw("bad", 0))
		e.h.Malform(e.T, e.s, "bad")
		_, err = e.s.Forget(e.ctx, "bad")
		e.must(err)
		e.wantUnknown("bad")
	}
}

// forgetWhileWorkedOn: whoever is at work on a trace that is forgotten brings nothing back.
func forgetWhileWorkedOn(e *env) {
	const traces = 12
	var all []evalforge.RawTrace
	for i := range traces {
		all = append(all, raw(fmt.Sprintf("t-%02d", i), i))
	}
	e.putMany(all)
	claims := e.claim("run_1", traces, minute(100))
	handles := e.handles(2)
	inParallel(2*traces, func(w int) {
		c := claims[w/2]
		var err error
		switch {
		case w%2 == 0:
			_, err = handles[0].Forget(e.ctx, c.TraceID)
		case w%4 == 1:
			p := pattern(c.TraceID, minute(101))
			err = handles[1].Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(101)})
		default:
			err = handles[1].Fail(e.ctx, c.Lease, failure(c, minute(101)))
		}
		if err != nil && !strings.Contains(err.Error(), extract.ErrLeaseLost.Error()) {
			e.Errorf("%s: %v", c.TraceID, err)
		}
	})
	for _, c := range claims {
		e.wantUnknown(c.TraceID)
		e.wantLost(c.Lease)
		e.wantUnknown(c.TraceID)
	}
}
