package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// odd is text that is easily spoilt on the way into a database and back.
const odd = "Ünïcödé 日本語 🚀 \u202e <b>&amp;</b> \"quoted\" \\ back\n\ttab \u2028 'sql'; DROP TABLE x; -- %s $1 ?1 \x00\x7f"

func roundTripTrace(e *env) {
	code, score, n, at := 503, 0.125, 3, evalforge.At(minute(9))
	full := evalforge.RawTrace{
		TraceID: "trace:1 Ünï#?%&'\"", FetchedAt: evalforge.At(minute(1)), FailureType: odd, Severity: odd, ServiceName: odd,
		Payload: json.RawMessage(`{"a":1}`), RecurrenceCount: 7, Status: "exported",
		StatusHistory: []evalforge.StatusChange{
			{Status: "new", Actor: odd, Timestamp: evalforge.At(minute(1))},
			{Status: "exported", Actor: "x", Timestamp: evalforge.At(minute(2)), RecurrenceCount: &n, Destination: odd},
		},
		ExportStatus: "succeeded", ExportDestination: odd, ExportReference: odd,
		StatusCode: &code, QualityScore: &score, UserHash: strings.Repeat("ab", 32),
	}
	zero := 0
	zeroes := raw("zeroes", 2)
	zeroes.StatusCode, zeroes.QualityScore = &zero, new(float64)
	minimal := evalforge.RawTrace{TraceID: "minimal", Payload: json.RawMessage(`{"a":1}`)}
	for _, tr := range []evalforge.RawTrace{full, zeroes, minimal} {
		e.put(tr)
		e.diff("trace", e.trace(tr.TraceID), tr)
	}
	for _, c := range e.claim("run_1", 10, minute(9)) {
		stored := e.trace(c.TraceID)
		e.diff("claimed trace", c.Trace, stored)
		if got := stored.Digest(); got != c.Digest {
			e.Errorf("digest of %s: got %s from the stored trace, %s from the claim", c.TraceID, got, c.Digest)
		}
		e.commit(c, minute(9))
	}
	// A commit changes two fields and no other.
	full.Processed, full.ProcessedAt = true, &at
	e.diff("trace after the commit", e.trace(full.TraceID), full)
}

func roundTripPayloads(e *env) {
	oddJSON, err := json.Marshal(odd)
	e.must(err)
	deep := strings.Repeat(`{"a":[`, 8) + strings.Repeat(`]}`, 8)
	var large strings.Builder
	large.WriteString(`{"steps":[`)
	for i := range 2000 {
		fmt.Fprintf(&large, `{"i":%d,"text":%q},`, i, strings.Repeat("x", 400))
	}
	large.WriteString(`{}]}`)
	for name, payload := range map[string]string{
		"numbers":       `{"big":9007199254740993,"negative":-9007199254740993,"max":9223372036854775807,"zero":0,"half":0.5,"small":1.25e-7}`,
		"unicode":       `{"text":` + string(oddJSON) + `,` + string(oddJSON) + `:1,"":"empty key"}`,
		"escapes":       `{"text":"\u0000\ud83d\ude80\u003c\/"}`,
		"nested arrays": `{"a":[[1,[2,[]],[[[]]]],[],{}],"b":[null,true,false,"",[null]]}`,
		"empty":         `{"a":[],"b":{},"c":"","d":null,"e":false}`,
		"dotted keys":   `{"a.b":1,"$set":{"x":1},"__name__":2,"a/b":3,"` + "`" + `":4,"a b":5}`,
		"deep":          deep,
		"large":         large.String(),
	} {
		tr := changed(raw("payload "+name, 0), payload)
		e.put(tr)
		got := e.trace(tr.TraceID)
		e.diff(name, got.Payload, tr.Payload)
		if got.Digest() != tr.Digest() {
			e.Errorf("%s: the stored trace has another digest", name)
		}
		e.wantPut(tr, extract.Unchanged)
		e.commit(e.claimOne("run_1", tr.TraceID, minute(1)), minute(2))
		e.diff(name+" after the commit", e.trace(tr.TraceID).Payload, tr.Payload)
	}
	// Bytes that are not UTF-8 are what readers of JSON take them for.
	tr := changed(raw("not utf-8", 0), "{\"a\":\"x\xff\xfey\"}")
	e.put(tr)
	e.diff("not UTF-8", e.trace("not utf-8").Payload, json.RawMessage(`{"a":"x\ufffd\ufffdy"}`))
	e.wantPut(tr, extract.Unchanged)
}

func roundTripPattern(e *env) {
	full := pattern("full", minute(2))
	step, state := 4, odd
	full.Title, full.Summary, full.RootCauseHypothesis = odd, odd, odd
	full.TriggerCondition = "tool répond trop tard"
	full.Evidence.Signals = []string{odd, "b"}
	full.Evidence.Refs = []evalforge.EvidenceRef{
		{Step: &step, SpanID: "s1", Quote: odd, Verified: true, Match: "exact"},
		{Quote: "no step", Match: "absent"},
	}
	full.RecommendedActions = []string{odd}
	full.ReproductionContext = evalforge.ReproductionContext{InputPattern: odd, RequiredState: &state, ToolsInvolved: []string{odd, "b"}}
	full.Confidence = 0.1
	full.FailingStep = &evalforge.FailingStep{Index: 4, SpanID: "s1", Name: odd, Agent: odd}
	full.Processed = true
	full.Fingerprint = odd
	full.Provenance = evalforge.Provenance{
		RunID: "run_1", Analyzer: "gemini", Model: "m", ModelVersion: "m-1", PromptSHA256: "p", SchemaSHA256: "s",
		RedactionVersion: "r", Redactions: map[string]int{"email": 2, "a.b/c": 1}, InputDigest: "d",
		BytesBefore: 1 << 40, BytesAfter: 2, BytesCut: 3, StepsOmitted: 4, Format: "otlp", Warnings: []string{odd},
		Tokens: evalforge.Tokens{Prompt: 1<<53 + 1, Cached: 2, Output: 3}, CostUSD: 0.0001234567890123, Attempts: 3, LatencyMS: 1234,
	}
	minimal := pattern("minimal", minute(3)) // lists that are empty, things that are null
	minimal.Evidence.Excerpt = nil

	lazy := pattern("lazy", minute(4)) // lists and maps that were left nil come back empty
	lazy.Evidence.Refs, lazy.Provenance.Warnings, lazy.Provenance.Redactions = nil, nil, nil

	e.put(raw("full", 0), raw("lazy", 0), raw("minimal", 0))
	claims := e.claim("run_1", 3, minute(1))
	for i, p := range []evalforge.Pattern{full, lazy, minimal} {
		e.must(e.s.Commit(e.ctx, claims[i].Lease, extract.Result{Pattern: &p, Digest: claims[i].Digest, At: minute(5)}))
	}
	lazy = pattern("lazy", minute(4))
	for _, want := range []evalforge.Pattern{full, lazy, minimal} {
		got, err := e.s.Pattern(e.ctx, want.SourceTraceID)
		e.must(err)
		e.diff("pattern", got, want)
	}
	list, _, err := e.s.Patterns(e.ctx, extract.PatternQuery{})
	e.must(err)
	e.diff("patterns", list, []evalforge.Pattern{lazy, minimal, full})
}

func roundTripRun(e *env) {
	id, reason := "pattern_a", odd
	full := evalforge.Run{
		RunID: "run_20260102_030405_0a1b2c3d", StartedAt: evalforge.At(minute(1)), FinishedAt: evalforge.At(minute(2)),
		TriggeredBy: evalforge.Scheduled, BatchSize: 50, PickedUpCount: 8, StoredCount: 1, SkippedCount: 1,
		ValidationFailedCount: 1, ErrorCount: 2, TimedOutCount: 1, NotStartedCount: 2, Throttled: true, ThrottleReason: odd,
		Analyzer: "gemini", Model: "m", CostUSD: 1.0 / 3, Tokens: evalforge.Tokens{Prompt: 1<<53 + 1, Cached: 2, Output: 3},
		Redactions: map[string]int{"email": 2},
		TraceOutcomes: []evalforge.TraceOutcome{
			{SourceTraceID: "a", Status: evalforge.Stored, PatternID: &id},
			{SourceTraceID: "b", Status: evalforge.Errored, ErrorReason: &reason},
		},
	}
	minimal := evalforge.Run{RunID: "run_0", StartedAt: evalforge.At(minute(0)), TriggeredBy: evalforge.Manual}
	for _, r := range []evalforge.Run{full, minimal} {
		e.must(e.s.SaveRun(e.ctx, r))
	}
	minimal.Redactions, minimal.TraceOutcomes = map[string]int{}, []evalforge.TraceOutcome{}
	for _, want := range []evalforge.Run{full, minimal} {
		got, err := e.s.Run(e.ctx, want.RunID)
		e.must(err)
		e.diff("run", got, want)
	}
	// A run is saved when it starts and again when it ends.
	minimal.FinishedAt, minimal.StoredCount = evalforge.At(minute(3)), 4
	e.must(e.s.SaveRun(e.ctx, minimal))
	list, _, err := e.s.Runs(e.ctx, extract.PageQuery{})
	e.must(err)
	e.diff("runs", list, []evalforge.Run{full, minimal})

	for field, spoil := range map[string]func(*evalforge.Run){
		"run_id":       func(r *evalforge.Run) { r.RunID = "a/b" },
		"started_at":   func(r *evalforge.Run) { r.StartedAt = evalforge.Timestamp{} },
		"triggered_by": func(r *evalforge.Run) { r.TriggeredBy = "cron" },
	} {
		bad := full
		spoil(&bad)
		e.wantField("run with a bad "+field, e.s.SaveRun(e.ctx, bad), field)
	}
}

// delivered: the latest run that answered a delivery is found, and no other.
func delivered(e *env) {
	save := func(id string, at int, key string) evalforge.Run {
		r := evalforge.Run{RunID: id, StartedAt: evalforge.At(minute(at)), TriggeredBy: evalforge.Scheduled,
			Redactions: map[string]int{}, TraceOutcomes: []evalforge.TraceOutcome{}}
		if key != "" {
			r.Delivery = evalforge.Delivery{Key: key, Asked: "asked by " + id}
		}
		e.must(e.s.SaveRun(e.ctx, r))
		return r
	}
	save("run_0", 0, "") // one that nobody may ask for again
	first, second, other := save("run_1", 1, "k"), save("run_2", 2, "k"), save("run_3", 3, "other")
	want := func(what, key string, since int, run evalforge.Run) {
		e.Helper()
		got, err := e.s.Delivered(e.ctx, key, minute(since))
		e.must(err)
		e.diff(what, got, run)
	}
	want("the latest of two", "k", 0, second)
	want("one as old as that", "k", 2, second)
	want("one of another key", "other", 0, other)
	for what, key := range map[string]string{"too old": "k", "unknown": "unknown", "no": ""} {
		_, err := e.s.Delivered(e.ctx, key, minute(3))
		e.wantErr(what+" delivery", err, evalforge.ErrNotFound)
	}
	// A run saved anew without its delivery no longer answers it.
	second.Delivery = evalforge.Delivery{}
	e.must(e.s.SaveRun(e.ctx, second))
	want("what is left", "k", 0, first)
}

func roundTripError(e *env) {
	full := evalforge.ExtractionError{
		RunID: "run_1", SourceTraceID: "a:b", ErrorType: evalforge.Oversize, ErrorMessage: odd,
		RecordedAt: evalforge.At(minute(1)), ModelResponseSHA256: strings.Repeat("0f", 32), ModelResponseExcerpt: odd,
	}
	minimal := evalforge.ExtractionError{RunID: "run_1", SourceTraceID: "b", ErrorType: evalforge.Unknown, RecordedAt: evalforge.At(minute(0))}
	e.must(e.s.RecordError(e.ctx, full))
	e.must(e.s.RecordError(e.ctx, minimal))
	list, _, err := e.s.Errors(e.ctx, extract.ErrorQuery{})
	e.must(err)
	e.diff("errors", list, []evalforge.ExtractionError{full, minimal})

	minimal.ErrorMessage = "the same document again"
	e.must(e.s.RecordError(e.ctx, minimal))
	list, _, err = e.s.Errors(e.ctx, extract.ErrorQuery{TraceID: "b"})
	e.must(err)
	e.diff("errors", list, []evalforge.ExtractionError{minimal})

	full.RunID = ""
	e.wantField("error without a run", e.s.RecordError(e.ctx, full), "run_id")
}

func roundTripState(e *env) {
	e.put(raw("a", 0))
	if _, err := e.s.State(e.ctx, "a"); !errors.Is(err, evalforge.ErrNotFound) {
		e.Errorf("state of a trace that was never claimed: got error %v, want not found", err)
	}
	req := e.request("run_1", 1, minute(1))
	req.Owner = odd
	claims, err := e.s.Claim(e.ctx, req)
	e.must(err)
	want := extract.State{TraceID: "a", RunID: "run_1", Attempts: 1, LeaseOwner: odd, LeaseToken: claims[0].Token,
		LeaseUntil: evalforge.At(minute(6)), UpdatedAt: evalforge.At(minute(1))}
	e.diff("state", e.state("a"), want)

	f := quarantine(claims[0], minute(2))
	f.Error.ErrorMessage = odd
	e.must(e.s.Fail(e.ctx, claims[0].Lease, f))
	want.LeaseOwner, want.LeaseToken, want.LeaseUntil = "", "", evalforge.Timestamp{}
	want.QuarantinedAt, want.UpdatedAt = evalforge.At(minute(2)), evalforge.At(minute(2))
	want.LastError, want.LastErrorType = odd, evalforge.VertexError
	e.diff("state", e.state("a"), want)

	e.must(e.s.Retry(e.ctx, "a", minute(3)))
	want.QuarantinedAt, want.Attempts, want.UpdatedAt = evalforge.Timestamp{}, 0, evalforge.At(minute(3))
	e.diff("state after retry", e.state("a"), want)
}

func notFound(e *env) {
	_, err := e.s.Trace(e.ctx, "x")
	e.wantErr("trace", err, evalforge.ErrNotFound)
	_, err = e.s.Pattern(e.ctx, "x")
	e.wantErr("pattern", err, evalforge.ErrNotFound)
	_, err = e.s.Run(e.ctx, "x")
	e.wantErr("run", err, evalforge.ErrNotFound)
	_, err = e.s.State(e.ctx, "x")
	e.wantErr("state", err, evalforge.ErrNotFound)
	e.wantErr("retry", e.s.Retry(e.ctx, "x", minute(0)), evalforge.ErrNotFound)
	e.wantDue(minute(0))
	patterns, next, err := e.s.Patterns(e.ctx, extract.PatternQuery{})
	e.must(err)
	if len(patterns) != 0 || next != "" {
		e.Errorf("empty list: got %d patterns and cursor %q", len(patterns), next)
	}
}

// notShared: what a caller does to its values afterwards does not reach the store.
func notShared(e *env) {
	tr := raw("a", 0)
	tr.StatusHistory = []evalforge.StatusChange{{Status: "new", Actor: "x", Timestamp: evalforge.At(minute(0))}}
	want := e.put1(tr)
	tr.Payload[2] = 'X'
	tr.StatusHistory[0].Actor = "changed"
	got := e.trace("a")
	e.diff("trace", got, want)
	got.Payload[2] = 'X'
	c := e.claimOne("run_1", "a", minute(1))
	e.diff("claimed trace", c.Trace, want)

	p := pattern("a", minute(2))
	e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: minute(2)}))
	p.Evidence.Signals[0] = "changed"
	*p.Evidence.Excerpt = "changed"
	p.Provenance.Redactions["changed"] = 1
	for range 2 {
		got, err := e.s.Pattern(e.ctx, "a")
		e.must(err)
		e.diff("pattern", got, pattern("a", minute(2)))
		got.Evidence.Signals[0] = "changed"
	}
	key, err := e.s.InstallationKey(e.ctx)
	e.must(err)
	first := string(key)
	key[0]++
	key, err = e.s.InstallationKey(e.ctx)
	e.must(err)
	if string(key) != first {
		e.Error("the installation key is shared with its caller")
	}
}

// put1 puts tr and returns it as it is stored.
func (e *env) put1(tr evalforge.RawTrace) evalforge.RawTrace {
	e.Helper()
	e.put(tr)
	return e.trace(tr.TraceID)
}
