package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// wantPages reads a list with pages of several sizes and checks that each gives want,
// without gaps and duplicates, and with an end.
func wantPages[T any](e *env, what string, want []string, id func(T) string, page func(extract.PageQuery) ([]T, string, error)) {
	e.Helper()
	for _, size := range []int{1, 2, 3, 7, 0, extract.MaxPage} {
		var got []string
		q := extract.PageQuery{Limit: size}
		for {
			list, next, err := page(q)
			e.must(err)
			if limit := size; limit > 0 && len(list) > limit || limit == 0 && len(list) > 100 {
				e.Fatalf("%s: a page of %d has %d items", what, size, len(list))
			}
			for _, v := range list {
				got = append(got, id(v))
			}
			if len(got) > len(want) {
				e.Fatalf("%s, pages of %d: got %q and more, want %q", what, size, got, want)
			}
			if next == "" {
				break
			}
			if len(list) == 0 {
				e.Fatalf("%s, pages of %d: an empty page has a next one", what, size)
			}
			q.After = next
		}
		if !slices.Equal(got, want) {
			e.Errorf("%s, pages of %d: got %q, want %q", what, size, got, want)
		}
	}
}

func listPatterns(e *env) {
	types, severities := evalforge.FailureTypes(), evalforge.Severities()
	var all []evalforge.Pattern
	var traces []evalforge.RawTrace
	for i := range 24 {
		id := fmt.Sprintf("t%02d", i*7%24)
		traces = append(traces, raw(id, 0))
		p := pattern(id, minute(i/4)) // four at the same time
		p.FailureType, p.Severity, p.Fingerprint = types[i%3], severities[i%2], fmt.Sprintf("fp-%d", i%5)
		all = append(all, p)
	}
	e.putMany(traces)
	claims := map[string]extract.Claim{}
	for _, c := range e.claim("run_1", 100, minute(1)) {
		claims[c.TraceID] = c
	}
	for _, p := range all {
		c := claims[p.SourceTraceID]
		e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(2)}))
	}
	slices.SortFunc(all, func(a, b evalforge.Pattern) int {
		return newest(a.ExtractedAt.String(), a.SourceTraceID, b.ExtractedAt.String(), b.SourceTraceID)
	})
	for _, q := range []extract.PatternQuery{
		{}, {FailureType: types[1]}, {Severity: severities[1]}, {Fingerprint: "fp-3"},
		{FailureType: types[0], Severity: severities[1]}, {FailureType: types[0], Severity: severities[0], Fingerprint: "fp-0"},
		{FailureType: evalforge.Other}, {Fingerprint: "unknown"},
	} {
		var want []string
		for _, p := range all {
			if (q.FailureType == "" || q.FailureType == p.FailureType) && (q.Severity == "" || q.Severity == p.Severity) &&
				(q.Fingerprint == "" || q.Fingerprint == p.Fingerprint) {
				want = append(want, p.SourceTraceID)
			}
		}
		wantPages(e, fmt.Sprintf("patterns %+v", q), want, func(p evalforge.Pattern) string { return p.SourceTraceID },
			func(page extract.PageQuery) ([]evalforge.Pattern, string, error) {
				q.PageQuery = page
				return e.s.Patterns(e.ctx, q)
			})
	}

	// What is added in front of a page does not show in the next one.
	first, next, err := e.s.Patterns(e.ctx, extract.PatternQuery{PageQuery: extract.PageQuery{Limit: 4}})
	e.must(err)
	e.put(raw("newer", 5))
	e.commit(e.claimOne("run_2", "newer", minute(100)), minute(100))
	second, _, err := e.s.Patterns(e.ctx, extract.PatternQuery{PageQuery: extract.PageQuery{Limit: 4, After: next}})
	e.must(err)
	e.diff("two pages", append(first, second...), all[:8])
}

func listRuns(e *env) {
	var all []evalforge.Run
	for i := range 12 {
		r := evalforge.Run{RunID: fmt.Sprintf("run_%02d", i*5%12), StartedAt: evalforge.At(minute(i / 3)), TriggeredBy: evalforge.Manual}
		e.must(e.s.SaveRun(e.ctx, r))
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b evalforge.Run) int {
		return newest(a.StartedAt.String(), a.RunID, b.StartedAt.String(), b.RunID)
	})
	var want []string
	for _, r := range all {
		want = append(want, r.RunID)
	}
	wantPages(e, "runs", want, func(r evalforge.Run) string { return r.RunID },
		func(q extract.PageQuery) ([]evalforge.Run, string, error) { return e.s.Runs(e.ctx, q) })
}

func listErrors(e *env) {
	var all []evalforge.ExtractionError
	for i := range 18 {
		x := evalforge.ExtractionError{RunID: fmt.Sprintf("run_%d", i%3), SourceTraceID: fmt.Sprintf("t%d", i%6+i/9*3),
			ErrorType: evalforge.Timeout, ErrorMessage: "slow", RecordedAt: evalforge.At(minute(i / 6))}
		if !slices.ContainsFunc(all, func(y evalforge.ExtractionError) bool { return x.ID() == y.ID() }) {
			e.must(e.s.RecordError(e.ctx, x))
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b evalforge.ExtractionError) int {
		return newest(a.RecordedAt.String(), a.ID(), b.RecordedAt.String(), b.ID())
	})
	for _, q := range []extract.ErrorQuery{{}, {RunID: "run_1"}, {TraceID: "t4"}, {RunID: "run_1", TraceID: "t4"}, {RunID: "unknown"}} {
		var want []string
		for _, x := range all {
			if (q.RunID == "" || q.RunID == x.RunID) && (q.TraceID == "" || q.TraceID == x.SourceTraceID) {
				want = append(want, x.ID())
			}
		}
		wantPages(e, fmt.Sprintf("errors %+v", q), want, func(x evalforge.ExtractionError) string { return x.ID() },
			func(page extract.PageQuery) ([]evalforge.ExtractionError, string, error) {
				q.PageQuery = page
				return e.s.Errors(e.ctx, q)
			})
	}
}

func listStates(e *env) {
	var traces []evalforge.RawTrace
	for i := range 12 {
		traces = append(traces, raw(fmt.Sprintf("t%02d", i), i))
	}
	e.putMany(append(traces, raw("never claimed", 100)))
	var all, quarantined []string
	for i, c := range e.claim("run_1", 12, minute(13)) {
		at := minute(20 + i/3)
		f := failure(c, at)
		f.Quarantine = i%2 == 0
		e.must(e.s.Fail(e.ctx, c.Lease, f))
		all = append(all, c.TraceID)
	}
	slices.Reverse(all) // newest first, and of equal age the greater id first
	for _, id := range all {
		if !e.state(id).QuarantinedAt.IsZero() {
			quarantined = append(quarantined, id)
		}
	}
	if len(quarantined) != 6 {
		e.Errorf("%d traces are quarantined, want 6", len(quarantined))
	}
	for only, want := range map[bool][]string{false: all, true: quarantined} {
		wantPages(e, fmt.Sprintf("states, quarantined only %v", only), want, func(s extract.State) string { return s.TraceID },
			func(page extract.PageQuery) ([]extract.State, string, error) {
				return e.s.States(e.ctx, extract.StateQuery{PageQuery: page, Quarantined: only})
			})
	}
	list, _, err := e.s.States(e.ctx, extract.StateQuery{PageQuery: extract.PageQuery{Limit: 1}})
	e.must(err)
	e.diff("listed state", list, []extract.State{e.state(all[0])})
}

func badPages(e *env) {
	for i := range 3 {
		e.must(e.s.SaveRun(e.ctx, evalforge.Run{RunID: fmt.Sprintf("run_%d", i), StartedAt: evalforge.At(minute(i)), TriggeredBy: evalforge.Manual}))
	}
	_, runs, err := e.s.Runs(e.ctx, extract.PageQuery{Limit: 1})
	e.must(err)
	if runs == "" {
		e.Fatal("no cursor to a second page")
	}
	lists := map[string]func(extract.PageQuery) error{
		"patterns": func(q extract.PageQuery) error {
			_, _, err := e.s.Patterns(e.ctx, extract.PatternQuery{PageQuery: q})
			return err
		},
		"errors": func(q extract.PageQuery) error {
			_, _, err := e.s.Errors(e.ctx, extract.ErrorQuery{PageQuery: q})
			return err
		},
		"states": func(q extract.PageQuery) error {
			_, _, err := e.s.States(e.ctx, extract.StateQuery{PageQuery: q})
			return err
		},
		"runs": func(q extract.PageQuery) error { _, _, err := e.s.Runs(e.ctx, q); return err },
	}
	for name, list := range lists {
		for _, after := range []string{"x", "%%%", runs[:len(runs)-2], "bnVsbA", runs} {
			if after == runs && name == "runs" {
				continue
			}
			e.wantField(name+" after "+after, list(extract.PageQuery{After: after}), "after")
		}
		collection := map[string]string{"patterns": "failure_patterns", "errors": "extraction_errors", "states": "extraction_state", "runs": "extraction_runs"}[name]
		for _, id := range []string{"", "a/b", "/", "..", "__x__"} {
			after := store.Cursor{Time: evalforge.At(minute(1)).String(), ID: id}.Encode(collection)
			e.wantField(name+" after the id "+id, list(extract.PageQuery{After: after}), "after")
		}
		for _, limit := range []int{-1, extract.MaxPage + 1} {
			e.wantField(fmt.Sprintf("%s limited to %d", name, limit), list(extract.PageQuery{Limit: limit}), "limit")
		}
		e.must(list(extract.PageQuery{Limit: extract.MaxPage}))
	}
}

func (e *env) wantBacklog(at int, want extract.Backlog) {
	e.Helper()
	got, err := e.s.Backlog(e.ctx, minute(at))
	e.must(err)
	e.diff(fmt.Sprintf("backlog at minute %d", at), got, want)
}

func backlog(e *env) {
	e.wantBacklog(0, extract.Backlog{})
	for i, id := range []string{"quarantined", "processed", "leased", "backing", "released", "free"} {
		e.put(raw(id, i))
	}
	e.wantBacklog(6, extract.Backlog{Pending: 6, OldestDue: evalforge.At(minute(0))})
	for _, c := range e.claim("run_1", 5, minute(10)) {
		switch c.TraceID {
		case "quarantined":
			e.must(e.s.Fail(e.ctx, c.Lease, quarantine(c, minute(10))))
		case "processed":
			e.commit(c, minute(10))
		case "backing":
			e.must(e.s.Fail(e.ctx, c.Lease, failure(c, minute(10)))) // until minute 20
		case "released":
			e.must(e.s.Release(e.ctx, c.Lease))
		}
	}
	want := extract.Backlog{Pending: 5, Leased: 1, BackingOff: 1, Quarantined: 1, Processed: 1, OldestDue: evalforge.At(minute(2))}
	e.wantBacklog(10, want)
	want.Leased = 0 // its lease has expired
	e.wantBacklog(15, want)
	want.BackingOff = 0
	e.wantBacklog(20, want)
	e.wantBacklog(10, extract.Backlog{Pending: 5, Leased: 1, BackingOff: 1, Quarantined: 1, Processed: 1, OldestDue: evalforge.At(minute(2))})

	// Looking for work does not change the numbers.
	e.claim("run_2", 1, minute(30), "other")
	e.wantDue(minute(30), "released", "free", "leased", "backing")
	e.wantBacklog(30, want)
	for _, c := range e.claim("run_2", 10, minute(30)) {
		e.commit(c, minute(31))
	}
	e.wantBacklog(31, extract.Backlog{Pending: 1, Quarantined: 1, Processed: 5})
	e.must(e.s.Retry(e.ctx, "quarantined", minute(32)))
	e.wantBacklog(32, extract.Backlog{Pending: 1, Processed: 5, OldestDue: evalforge.At(minute(0))})
	e.put(changed(raw("free", 40), `{"input":"another"}`))
	e.wantBacklog(40, extract.Backlog{Pending: 2, Processed: 4, OldestDue: evalforge.At(minute(0))})
}

func installationKey(e *env) {
	keys := make([][]byte, 8)
	handles := e.handles(len(keys))
	inParallel(len(keys), func(w int) {
		var err error
		if keys[w], err = handles[w].InstallationKey(e.ctx); err != nil {
			e.Errorf("installation key: %v", err)
		}
	})
	for _, key := range keys {
		if len(key) != 32 || !bytes.Equal(key, keys[0]) {
			e.Errorf("got keys %x and %x, want one of 32 bytes", key, keys[0])
		}
	}
	if bytes.Equal(keys[0], make([]byte, 32)) {
		e.Error("the key is all zeros")
	}
	other, err := e.h.Open(e.T).InstallationKey(e.ctx)
	e.must(err)
	if bytes.Equal(other, keys[0]) {
		e.Error("two installations have the same key")
	}
}

func canceledContext(e *env) {
	e.put(raw("a", 0), raw("b", 1))
	c := e.claim("run_1", 1, minute(2))[0]
	before := e.state("a")
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	p := pattern("a", minute(3))
	run := evalforge.Run{RunID: "run_1", StartedAt: evalforge.At(minute(0)), TriggeredBy: evalforge.Manual}
	for name, call := range map[string]func() error{
		"claim": func() error { _, err := e.s.Claim(ctx, e.request("run_2", 1, minute(3))); return err },
		"peek":  func() error { _, err := e.s.Peek(ctx, e.request("run_2", 1, minute(3))); return err },
		"renew": func() error { return e.s.Renew(ctx, c.Lease, minute(50)) },
		"commit": func() error {
			return e.s.Commit(ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(3)})
		},
		"fail":         func() error { return e.s.Fail(ctx, c.Lease, failure(c, minute(3))) },
		"release":      func() error { return e.s.Release(ctx, c.Lease) },
		"save run":     func() error { return e.s.SaveRun(ctx, run) },
		"record error": func() error { return e.s.RecordError(ctx, failure(c, minute(3)).Error) },
		"put":          func() error { _, err := e.s.PutTrace(ctx, raw("c", 3)); return err },
		"trace":        func() error { _, err := e.s.Trace(ctx, "a"); return err },
		"pattern":      func() error { _, err := e.s.Pattern(ctx, "a"); return err },
		"patterns":     func() error { _, _, err := e.s.Patterns(ctx, extract.PatternQuery{}); return err },
		"run":          func() error { _, err := e.s.Run(ctx, "run_1"); return err },
		"delivered":    func() error { _, err := e.s.Delivered(ctx, "k", minute(0)); return err },
		"runs":         func() error { _, _, err := e.s.Runs(ctx, extract.PageQuery{}); return err },
		"errors":       func() error { _, _, err := e.s.Errors(ctx, extract.ErrorQuery{}); return err },
		"state":        func() error { _, err := e.s.State(ctx, "a"); return err },
		"states":       func() error { _, _, err := e.s.States(ctx, extract.StateQuery{}); return err },
		"retry":        func() error { return e.s.Retry(ctx, "a", minute(3)) },
		"backlog":      func() error { _, err := e.s.Backlog(ctx, minute(3)); return err },
		"key":          func() error { _, err := e.s.InstallationKey(ctx); return err },
		"reserve":      func() error { return e.s.Reserve(ctx, reservation("r", 1, extract.Amount{})) },
		"settle":       func() error { return e.s.Settle(ctx, reservation("r", 1, extract.Amount{}), extract.Amount{}) },
		"spend":        func() error { _, err := e.s.Spend(ctx, "run/run_1"); return err },
		"answer":       func() error { _, err := e.s.Answer(ctx, answerKey(1)); return err },
		"save answer":  func() error { return e.s.SaveAnswer(ctx, keptAnswer(1, "a")) },
		"history":      func() error { _, err := e.s.History(ctx, "a", 1); return err },
		"reopen":       func() error { return e.s.Reopen(ctx, "a", minute(3)) },
	} {
		e.wantErr(name, call(), context.Canceled)
	}
	e.diff("state", e.state("a"), before)
	e.wantDue(minute(3), "b")
	e.wantPattern("a", false)
	e.wantNoErrors()
	_, err := e.s.Run(e.ctx, "run_1")
	e.wantErr("the canceled run", err, evalforge.ErrNotFound)
	e.commit(c, minute(4)) // the store still works
}

// reopened: everything is there again after the handle was closed.
func reopened(e *env) {
	if e.h.Another == nil {
		return // the data lives and dies with its handle
	}
	e.put(raw("processed", 0), raw("leased", 1), raw("free", 2))
	claims := e.claim("run_1", 2, minute(3))
	e.commit(claims[0], minute(4))
	e.must(e.s.SaveRun(e.ctx, evalforge.Run{RunID: "run_1", StartedAt: evalforge.At(minute(0)), TriggeredBy: evalforge.Manual}))
	e.must(e.s.RecordError(e.ctx, failure(claims[1], minute(4)).Error))
	key, err := e.s.InstallationKey(e.ctx)
	e.must(err)
	state := e.state("leased")
	e.must(e.s.Close())

	e.s = e.h.Another(e.T, e.s)
	e.wantProcessed("processed", true)
	e.wantPattern("processed", true)
	e.diff("state", e.state("leased"), state)
	e.wantDue(minute(5), "free")
	if _, err := e.s.Run(e.ctx, "run_1"); err != nil {
		e.Errorf("run: %v", err)
	}
	if errs, _, err := e.s.Errors(e.ctx, extract.ErrorQuery{}); err != nil || len(errs) != 1 {
		e.Errorf("errors: got %d and %v, want 1", len(errs), err)
	}
	again, err := e.s.InstallationKey(e.ctx)
	e.must(err)
	if !bytes.Equal(again, key) {
		e.Error("the installation key has changed")
	}
	e.commit(claims[1], minute(5)) // the lease outlived the handle
	if err := e.s.Close(); err != nil && !errors.Is(err, context.Canceled) {
		e.Errorf("close: %v", err)
	}
}
