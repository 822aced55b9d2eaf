package storetest

import (
	"encoding/json"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

func (e *env) wantPut(tr evalforge.RawTrace, want extract.PutResult) {
	e.Helper()
	got, err := e.s.PutTrace(e.ctx, tr)
	e.must(err)
	if got != want {
		e.Errorf("put %s: got %q, want %q", tr.TraceID, got, want)
	}
}

func putResults(e *env) {
	tr := raw("a", 0)
	e.wantPut(tr, extract.Created)
	e.wantPut(tr, extract.Unchanged)

	// The same input, written differently and seen again later, is unchanged, and the
	// stored document stays as it was.
	again := changed(raw("a", 5), "{\n  \"output\": \"it is free\", \"input\": \"what is the fare?\"}")
	again.RecurrenceCount, again.Status = 2, "triaged"
	e.wantPut(again, extract.Unchanged)
	e.diff("trace", e.trace("a"), tr)

	for _, next := range []evalforge.RawTrace{
		changed(again, `{"input":"another"}`),
		func() evalforge.RawTrace { t := again; t.ServiceName = "other-bot"; return t }(),
		func() evalforge.RawTrace { t := again; t.Severity = "low"; return t }(),
		func() evalforge.RawTrace { t := again; t.FailureType = ""; return t }(),
	} {
		e.wantPut(next, extract.Replaced)
		e.diff("trace", e.trace("a"), next)
		e.wantPut(next, extract.Unchanged)
	}
	e.wantPut(raw("b", 1), extract.Created)

	// A document is written unprocessed, whatever it says.
	done := raw("c", 2)
	at := evalforge.At(minute(1))
	done.Processed, done.ProcessedAt = true, &at
	e.wantPut(done, extract.Created)
	e.wantProcessed("c", false)
	e.wantDue(minute(10), "b", "c", "a")

	// Unchanged leaves a trace alone in every state.
	for _, c := range e.claim("run_1", 3, minute(10)) {
		switch c.TraceID {
		case "b":
			e.commit(c, minute(11))
			e.wantPut(raw("b", 20), extract.Unchanged)
			e.wantProcessed("b", true)
		case "c":
			e.must(e.s.Fail(e.ctx, c.Lease, quarantine(c, minute(11))))
			e.wantPut(raw("c", 20), extract.Unchanged)
		}
	}
	e.wantDue(minute(11))
}

func ingestUnchanged(e *env) {
	tr := raw("a", 0)
	e.put(tr)
	first := e.claimOne("run_1", "a", minute(1))
	e.commit(first, minute(2))

	seen := raw("a", 10)
	seen.RecurrenceCount = 2
	e.h.Ingest(e.T, e.s, seen)
	e.diff("trace", e.trace("a"), seen)
	e.wantProcessed("a", false)
	e.wantPattern("a", true)
	c := e.claimOne("run_2", "a", minute(11))
	if c.ExtractedDigest != first.Digest || c.Digest != first.Digest {
		e.Errorf("digest %q, extracted %q; want both to be the old %q", c.Digest, c.ExtractedDigest, first.Digest)
	}
	if c.Attempt != 1 {
		e.Errorf("attempt: got %d, want 1", c.Attempt)
	}
	e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Digest: c.Digest, At: minute(12)}))
	e.wantProcessed("a", true)

	// One that the store has never seen is found as well.
	e.h.Ingest(e.T, e.s, raw("new", 11))
	e.claimOne("run_3", "new", minute(12))
}

func ingestUnchangedQuarantined(e *env) {
	e.put(raw("quarantined", 0), raw("backing", 1))
	for _, c := range e.claim("run_1", 2, minute(2)) {
		f := failure(c, minute(2)) // due at minute 12
		f.Quarantine = c.TraceID == "quarantined"
		e.must(e.s.Fail(e.ctx, c.Lease, f))
	}
	e.h.Ingest(e.T, e.s, raw("quarantined", 3))
	e.h.Ingest(e.T, e.s, raw("backing", 4))
	e.wantDue(minute(5))
	e.wantDue(minute(12), "backing")
	if c := e.claimOne("run_2", "backing", minute(12)); c.Attempt != 2 {
		e.Errorf("attempt: got %d, want 2", c.Attempt)
	}
}

// ingestChanged: new content is due at once and begins anew, through whichever door it came.
func ingestChanged(e *env) {
	for i, id := range []string{"put-quarantined", "put-backing", "put-processed", "ingest-quarantined", "ingest-backing", "ingest-processed"} {
		e.put(raw(id, i))
	}
	digest := ""
	for _, c := range e.claim("run_1", 10, minute(10)) {
		digest = c.Digest // all have the same content
		f := failure(c, minute(11))
		switch c.TraceID {
		case "put-processed", "ingest-processed":
			e.commit(c, minute(11))
			continue
		case "put-quarantined", "ingest-quarantined":
			f.Quarantine = true
		}
		e.must(e.s.Fail(e.ctx, c.Lease, f))
	}
	for i, id := range []string{"put-quarantined", "put-backing", "put-processed"} {
		e.wantPut(changed(raw(id, i), `{"input":"another"}`), extract.Replaced)
		st := e.state(id)
		if st.Attempts != 0 || !st.RetryAt.IsZero() || !st.QuarantinedAt.IsZero() {
			e.Errorf("state of %s: %+v, want no attempts, backoff and quarantine", id, st)
		}
		e.wantProcessed(id, false)
	}
	for i, id := range []string{"ingest-quarantined", "ingest-backing", "ingest-processed"} {
		e.h.Ingest(e.T, e.s, changed(raw(id, 3+i), `{"input":"another"}`))
	}
	claims := e.claim("run_2", 10, minute(12))
	if len(claims) != 6 {
		e.Fatalf("claimed %q, want all six", claimedIDs(claims))
	}
	for i, c := range claims {
		if c.Attempt != 1 {
			e.Errorf("attempt of %s: got %d, want 1", c.TraceID, c.Attempt)
		}
		want := ""
		if i%3 == 2 {
			want = digest
		}
		if c.ExtractedDigest != want || c.Digest == digest {
			e.Errorf("%s: digest %q, extracted %q; want a new one and %q", c.TraceID, c.Digest, c.ExtractedDigest, want)
		}
	}
}

func ingestChangedLeased(e *env) {
	doors := map[string]func(evalforge.RawTrace){
		"put":    func(tr evalforge.RawTrace) { e.wantPut(tr, extract.Replaced) },
		"ingest": func(tr evalforge.RawTrace) { e.h.Ingest(e.T, e.s, tr) },
	}
	for door, write := range doors {
		for i, end := range []string{"commit", "commit-nil", "fail", "release"} {
			id := door + "-" + end
			e.put(raw(id, i))
			c := e.claim("run_1", 1, minute(10), id)[0]
			next := changed(raw(id, i), `{"input":"another"}`)
			write(next)
			e.wantDue(minute(11)) // the lease is still live
			switch end {
			case "commit":
				e.commit(c, minute(11))
			case "commit-nil":
				e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Digest: c.Digest, At: minute(11)}))
			case "fail":
				// What failed is the old content: the new one is neither quarantined nor held back.
				e.must(e.s.Fail(e.ctx, c.Lease, quarantine(c, minute(11))))
			case "release":
				e.must(e.s.Release(e.ctx, c.Lease))
			}
			e.wantPattern(id, end == "commit")
			e.wantProcessed(id, false)
			e.diff("trace", e.trace(id), next)
			switch end {
			case "fail":
				e.wantFailed(c.Lease)
			case "release":
				e.wantLost(c.Lease)
			default:
				e.wantCommitted(c.Lease)
			}
			again := e.claimOne("run_2", id, minute(12))
			if again.Attempt != 1 || again.Digest != next.Digest() {
				e.Errorf("%s: attempt %d of %s, want the first of the new content", id, again.Attempt, again.Digest)
			}
			want := ""
			if end == "commit" { // else there is no pattern
				want = c.Digest
			}
			if again.ExtractedDigest != want {
				e.Errorf("%s: extracted digest %q, want %q", id, again.ExtractedDigest, want)
			}
			e.commit(again, minute(13))
			e.wantProcessed(id, true)
		}
	}
}

func ingestUnchangedLeased(e *env) {
	e.put(raw("a", 0))
	c := e.claimOne("run_1", "a", minute(1))
	seen := raw("a", 2)
	seen.RecurrenceCount = 2
	e.h.Ingest(e.T, e.s, seen)
	e.wantDue(minute(3))
	e.commit(c, minute(3))
	e.wantProcessed("a", true)
	if got := e.trace("a").RecurrenceCount; got != 2 {
		e.Errorf("recurrence count: got %d, want 2, as ingestion wrote it", got)
	}
}

func ingestInvalid(e *env) {
	for _, id := range []string{"", "a/b", ".", "..", "__a__", string(make([]byte, evalforge.MaxTraceIDBytes+1)), "\xff"} {
		_, err := e.s.PutTrace(e.ctx, raw(id, 0))
		e.wantField("put with a bad id", err, "trace_id")
	}
	for _, payload := range []string{`{"a":`, `{"a":1} {"b":2}`, `nonsense`} {
		_, err := e.s.PutTrace(e.ctx, changed(raw("a", 0), payload))
		e.wantField("put of "+payload, err, "trace_payload")
	}
	e.wantDue(minute(10))

	// What is JSON, but nothing to analyze, is kept: the run that meets it says why.
	for _, payload := range []string{``, `null`, `[]`, `{}`, `"text"`, `17`} {
		e.put(changed(raw("a", 0), payload))
		got := e.trace("a")
		want := payload
		if want == "" {
			want = "null"
		}
		e.diff("payload", got.Payload, json.RawMessage(want))
		e.wantPut(changed(raw("a", 0), payload), extract.Unchanged)
	}
	e.claimOne("run_1", "a", minute(1))
}
