// Package storetest is what every [extract.Store] must pass: each sentence of the
// contract as a test, and random histories that must look the same as on a model that
// is too simple to be wrong. It is imported from tests only.
//
// An adapter's tests are:
//
//	func TestStore(t *testing.T)     { storetest.Run(t, harness(t)) }
//	func TestHistories(t *testing.T) { storetest.RunHistories(t, harness(t)) }
//
//	func harness(t *testing.T) storetest.Harness { return storetest.Harness{Open: …, Ingest: …, Remove: …} }
package storetest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// A Harness is how the suite reaches what is behind an adapter.
type Harness struct {
	// Open returns a new, empty store, closed at the end of the test at the latest.
	Open func(t *testing.T) extract.Store
	// Ingest overwrites a raw document as an ingestion service does that knows nothing
	// of the store: the whole document, with processed false, whatever was there.
	Ingest func(t *testing.T, s extract.Store, tr evalforge.RawTrace)
	// Remove deletes a raw document behind the store's back.
	Remove func(t *testing.T, s extract.Store, traceID string)
	// Malform makes a raw document one that cannot be decoded. Nil where the backend
	// cannot hold such a document.
	Malform func(t *testing.T, s extract.Store, traceID string)
	// Another returns a second handle on the data of s, as another process would have.
	// s may have been closed. Nil where the data lives and dies with its handle.
	Another func(t *testing.T, s extract.Store) extract.Store
}

// Run runs the contract, sentence by sentence.
func Run(t *testing.T, h Harness) {
	for _, test := range []struct {
		name string
		run  func(*env)
	}{
		{"claim/oldest first", claimOldestFirst},
		{"claim/fresh before tried", claimFreshFirst},
		{"claim/retry given back", claimGivenBackRetry},
		{"claim/what a claim tells", claimFields},
		{"claim/once per run", claimOncePerRun},
		{"claim/named traces", claimNamed},
		{"claim/bad requests", claimBadRequests},
		{"claim/peek leases nothing", peekLeasesNothing},
		{"claim/workers at once", claimRace},
		{"claim/workers at once on expired leases", takeoverRace},
		{"claim/poison at the head", poisonAtTheHead},
		{"claim/undecodable document", claimUndecodable},

		{"runs/failing traces delay no fresh one", failingDoNotDelay},
		{"runs/fresh traces starve no retry", retriesAreNotStarved},

		{"lease/expired is taken over", expiredIsTakenOver},
		{"lease/renewed is kept", renewedIsKept},
		{"lease/clocks differ", clocksDiffer},
		{"lease/forged", forgedLease},
		{"lease/given back", releaseGivesBack},

		{"commit/writes pattern and flag together", commitWrites},
		{"commit/past expiry", commitPastExpiry},
		{"commit/twice", commitTwice},
		{"commit/many at once", commitRace},
		{"commit/and failures at once", failRace},
		{"commit/without a pattern", commitNilPattern},
		{"commit/replaces the pattern", commitReplaces},
		{"commit/malformed pattern", commitMalformed},
		{"commit/raw trace gone", commitRemoved},

		{"fail/backs off", failBacksOff},
		{"fail/quarantines", failQuarantines},
		{"fail/malformed error", failMalformed},
		{"fail/raw trace gone", failRemoved},
		{"retry", retry},

		{"ingest/created, replaced, unchanged", putResults},
		{"ingest/unchanged after success", ingestUnchanged},
		{"ingest/unchanged keeps quarantine", ingestUnchangedQuarantined},
		{"ingest/changed clears the past", ingestChanged},
		{"ingest/changed while leased", ingestChangedLeased},
		{"ingest/unchanged while leased", ingestUnchangedLeased},
		{"ingest/invalid documents", ingestInvalid},

		{"documents/raw trace", roundTripTrace},
		{"documents/payloads", roundTripPayloads},
		{"documents/pattern", roundTripPattern},
		{"documents/run", roundTripRun},
		{"documents/deliveries", delivered},
		{"documents/error", roundTripError},
		{"documents/state", roundTripState},
		{"documents/not found", notFound},
		{"documents/not shared with the caller", notShared},

		{"list/patterns", listPatterns},
		{"list/patterns by every filter and order", queryPatterns},
		{"list/bad pattern queries", badPatternQueries},
		{"list/runs", listRuns},
		{"list/errors", listErrors},
		{"list/states", listStates},
		{"list/bad pages", badPages},
		{"insights/stats and groups", insights},
		{"insights/what is forgotten", insightsForget},
		{"backlog", backlog},
		{"ledger/counts to the limit", ledgerLimit},
		{"ledger/all windows or none", ledgerAllOrNone},
		{"ledger/settled", ledgerSettles},
		{"ledger/workers at once", ledgerRace},
		{"ledger/many unsettled", ledgerUnsettled},
		{"ledger/bad reservations", ledgerBadRequests},
		{"answers", keptAnswers},
		{"history/replaced patterns", historyKeeps},
		{"history/the last twenty", historyBounded},
		{"reopen", reopen},
		{"reopen/fails again", reopenedFails},
		{"forget/everything", forget},
		{"forget/what is left", forgetRest},
		{"forget/while worked on", forgetWhileWorkedOn},
		{"installation key", installationKey},
		{"canceled context", canceledContext},
		{"reopened", reopened},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newEnv(t, h)) })
	}
}

// t0 is when the suite's stories begin: a time with microseconds, since all stored
// times have them.
var t0 = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

// minute returns the time n minutes into the story.
func minute(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }

// leaseTime is how long the suite's leases last.
const leaseTime = 5 * time.Minute

// An env is one test with its store. Its methods end the test on an error.
type env struct {
	*testing.T
	h      Harness
	s      extract.Store
	ctx    context.Context
	tokens atomic.Int64
}

func newEnv(t *testing.T, h Harness) *env {
	t.Helper()
	return &env{T: t, h: h, s: h.Open(t), ctx: t.Context()}
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("unexpected error: %v", err)
	}
}

func (e *env) wantErr(what string, got, want error) {
	e.Helper()
	if !errors.Is(got, want) {
		e.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// wantField checks for a [evalforge.FieldError] of the given field.
func (e *env) wantField(what string, got error, field string) {
	e.Helper()
	var fe *evalforge.FieldError
	if !errors.As(got, &fe) || !strings.HasPrefix(fe.Field, field) {
		e.Errorf("%s: got error %v, want a field error of %s", what, got, field)
	}
}

func (e *env) token() string { return fmt.Sprintf("token-%d", e.tokens.Add(1)) }

func (e *env) request(run string, limit int, now time.Time, ids ...string) extract.ClaimRequest {
	return extract.ClaimRequest{RunID: run, Owner: "owner of " + run, Limit: limit, TraceIDs: ids,
		Now: now, LeaseUntil: now.Add(leaseTime), NewToken: e.token}
}

func (e *env) claim(run string, limit int, now time.Time, ids ...string) []extract.Claim {
	e.Helper()
	claims, err := e.s.Claim(e.ctx, e.request(run, limit, now, ids...))
	e.must(err)
	return claims
}

// claimOne claims the one trace that is expected to be due.
func (e *env) claimOne(run, id string, now time.Time) extract.Claim {
	e.Helper()
	claims := e.claim(run, 10, now)
	if got := claimedIDs(claims); !slices.Equal(got, []string{id}) {
		e.Fatalf("claimed %q at minute %v, want only %q", got, now.Sub(t0).Minutes(), id)
	}
	return claims[0]
}

// wantDue checks what another run would be given now, without taking it.
func (e *env) wantDue(now time.Time, want ...string) {
	e.Helper()
	claims, err := e.s.Peek(e.ctx, e.request("run_peek", 1000, now))
	e.must(err)
	if got := claimedIDs(claims); !slices.Equal(got, want) {
		e.Errorf("due at minute %v: got %q, want %q", now.Sub(t0).Minutes(), got, want)
	}
}

func (e *env) put(traces ...evalforge.RawTrace) {
	e.Helper()
	for _, tr := range traces {
		_, err := e.s.PutTrace(e.ctx, tr)
		e.must(err)
	}
}

// putMany puts traces several at a time.
func (e *env) putMany(traces []evalforge.RawTrace) {
	e.Helper()
	inParallel(8, func(worker int) {
		for i := worker; i < len(traces); i += 8 {
			if _, err := e.s.PutTrace(e.ctx, traces[i]); err != nil {
				e.Errorf("put %s: %v", traces[i].TraceID, err)
			}
		}
	})
}

func inParallel(n int, f func(worker int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func (e *env) commit(c extract.Claim, at time.Time) {
	e.Helper()
	p := pattern(c.TraceID, at)
	e.must(e.s.Commit(e.ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: at}))
}

func (e *env) trace(id string) evalforge.RawTrace {
	e.Helper()
	tr, err := e.s.Trace(e.ctx, id)
	e.must(err)
	return tr
}

func (e *env) state(id string) extract.State {
	e.Helper()
	st, err := e.s.State(e.ctx, id)
	e.must(err)
	return st
}

func (e *env) wantProcessed(id string, want bool) {
	e.Helper()
	tr := e.trace(id)
	if tr.Processed != want || (tr.ProcessedAt != nil) != want {
		e.Errorf("trace %s: processed %v, processed_at %v; want %v", id, tr.Processed, tr.ProcessedAt, want)
	}
}

func (e *env) wantPattern(id string, want bool) {
	e.Helper()
	_, err := e.s.Pattern(e.ctx, id)
	switch {
	case want:
		e.must(err)
	case !errors.Is(err, evalforge.ErrNotFound):
		e.Errorf("pattern of %s: got error %v, want none to be there", id, err)
	}
}

func (e *env) wantNoErrors() {
	e.Helper()
	errs, _, err := e.s.Errors(e.ctx, extract.ErrorQuery{})
	e.must(err)
	if len(errs) > 0 {
		e.Errorf("got %d error documents, want none", len(errs))
	}
}

func (e *env) diff(what string, got, want any) {
	e.Helper()
	if d := gocmp.Diff(want, got, documents); d != "" {
		e.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func claimedIDs(claims []extract.Claim) []string {
	var ids []string
	for _, c := range claims {
		ids = append(ids, c.TraceID)
	}
	return ids
}

// documents compares stored documents: times as they are written, payloads as JSON
// values with exact numbers. Key order and white space are not the store's to keep.
var documents = gocmp.Options{
	gocmp.Comparer(func(a, b evalforge.Timestamp) bool { return a.String() == b.String() }),
	gocmp.Transformer("json", func(m json.RawMessage) any {
		d := json.NewDecoder(strings.NewReader(string(m)))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return "undecodable: " + string(m)
		}
		return v
	}),
}

// raw returns a small trace fetched n minutes into the story.
func raw(id string, n int) evalforge.RawTrace {
	return evalforge.RawTrace{
		TraceID: id, FetchedAt: evalforge.At(minute(n)), FailureType: "hallucination", Severity: "high",
		ServiceName: "support-bot", RecurrenceCount: 1, Status: "new",
		Payload: json.RawMessage(`{"input":"what is the fare?","output":"it is free"}`),
	}
}

// changed returns tr with another payload.
func changed(tr evalforge.RawTrace, payload string) evalforge.RawTrace {
	tr.Payload = json.RawMessage(payload)
	return tr
}

func pattern(traceID string, at time.Time) evalforge.Pattern {
	excerpt := "it is free"
	return evalforge.Pattern{
		PatternID: evalforge.PatternID(traceID), SourceTraceID: traceID,
		Analysis: evalforge.Analysis{
			Title: "Invented fare", FailureType: evalforge.Hallucination, TriggerCondition: "fact not in context",
			Summary: "The bot named a fare it had not looked up.", RootCauseHypothesis: "No tool for fares.",
			Evidence: evalforge.Evidence{Signals: []string{"no tool call before the answer"}, Excerpt: &excerpt,
				Refs: []evalforge.EvidenceRef{}},
			RecommendedActions:  []string{"Give it the fare tool."},
			ReproductionContext: evalforge.ReproductionContext{InputPattern: "a question about fares", ToolsInvolved: []string{}},
			Severity:            evalforge.High, Confidence: 0.75, ConfidenceRationale: "The quote is exact.",
		},
		ExtractedAt: evalforge.At(at),
		Fingerprint: "fp-1",
		Provenance:  evalforge.Provenance{Warnings: []string{}, Redactions: map[string]int{}},
	}
}

func failure(c extract.Claim, at time.Time) extract.Failure {
	return extract.Failure{
		Error: evalforge.ExtractionError{RunID: c.RunID, SourceTraceID: c.TraceID, ErrorType: evalforge.VertexError,
			ErrorMessage: "service unavailable", RecordedAt: evalforge.At(at)},
		RetryAt: at.Add(10 * time.Minute),
	}
}

func quarantine(c extract.Claim, at time.Time) extract.Failure {
	f := failure(c, at)
	f.Quarantine = true
	return f
}

// newest orders documents as lists do: the reverse of time and id.
func newest(aTime, aID, bTime, bID string) int {
	return cmp.Or(cmp.Compare(bTime, aTime), cmp.Compare(bID, aID))
}
