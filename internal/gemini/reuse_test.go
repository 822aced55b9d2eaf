package gemini_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// storm returns one of many copies of a failure: the same story with its own ids, times
// and waits.
func storm(id string, n int, status int) evalforge.RawTrace {
	at := time.Unix(1767322800+int64(n)*61, 0).UTC()
	payload, err := json.Marshal(map[string]any{
		"request_id": fmt.Sprintf("req-%05d", 10000+n), "start_time": at.Format(time.RFC3339),
		"messages": []map[string]any{
			{"role": "user", "content": fmt.Sprintf("Summarise ticket %d for user%d@example.com.", 700000+n, n)},
			{"role": "assistant", "content": fmt.Sprintf("The model answered %d at %s: please retry in %d.%02ds (request req-%05d).", status, at.Format(time.RFC3339), n%60, n%100, 10000+n)},
		}})
	if err != nil {
		panic(err)
	}
	return evalforge.RawTrace{TraceID: id, FetchedAt: evalforge.At(at), FailureType: "unknown", Payload: payload, RecurrenceCount: 1}
}

type reuseRig struct {
	t      *testing.T
	store  *memory.Store
	srv    *geminitest.Server
	engine *extract.Engine
}

func newReuseRig(t *testing.T, reply geminitest.Reply) *reuseRig {
	t.Helper()
	srv := geminitest.NewServer(t, reply)
	a, err := gemini.New(t.Context(), gemini.Options{Backend: gemini.GeminiAPI, BaseURL: srv.URL, APIKey: "synthetic-key", Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	red, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
	if err != nil {
		t.Fatal(err)
	}
	s := memory.New()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	return &reuseRig{t, s, srv, &extract.Engine{Queue: s, Ledger: s, Log: log, Owner: "test",
		Pipeline: &extract.Pipeline{Analyzer: a, Redactor: red, Now: time.Now, Reuse: extract.NewReuse(s, log)},
		Options:  extract.Options{Concurrency: 8, Backoff: -1}}}
}

func (r *reuseRig) put(traces ...evalforge.RawTrace) {
	r.t.Helper()
	for _, tr := range traces {
		if _, err := r.store.PutTrace(r.t.Context(), tr); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *reuseRig) run(req extract.RunRequest) evalforge.Run {
	r.t.Helper()
	req.BatchSize = 500
	run, err := r.engine.Run(r.t.Context(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := run.Check(); err != nil {
		r.t.Error(err)
	}
	return run
}

func (r *reuseRig) wantCalls(want int) {
	r.t.Helper()
	if got := len(r.srv.Requests()); got != want {
		r.t.Errorf("%d calls of the model, want %d", got, want)
	}
}

// quoting answers with the quote of what failed, and names its values in the text.
func quoting(w http.ResponseWriter, r *geminitest.Request) {
	time.Sleep(5 * time.Millisecond) // so that others want the same answer
	trace := string(r.Trace())
	i := strings.Index(trace, "The model answered")
	j := i + strings.Index(trace[i:], ").") + 1
	quote := trace[i:j]
	a := good()
	a.Evidence.Excerpt, a.Evidence.Refs = nil, []evalforge.EvidenceRef{{Quote: quote}}
	a.Summary = "The assistant gave up: " + quote
	geminitest.Analysis(a)(w, r)
}

// Ten thousand copies of one failure would cost one call; so do five hundred. Each has
// its own pattern, with its own values.
func TestCopiesOfAFailureCostOneCall(t *testing.T) {
	r := newReuseRig(t, quoting)
	const n = 300
	for i := range n {
		r.put(storm(fmt.Sprintf("copy-%03d", i), i, 429))
	}
	r.put(storm("other", 7, 503)) // another failure
	run := r.run(extract.RunRequest{})
	if run.StoredCount != n+1 {
		t.Errorf("%d stored, want %d", run.StoredCount, n+1)
	}
	r.wantCalls(2)
	var original string
	prints := map[string]bool{}
	derived := 0
	for i := range n {
		id := fmt.Sprintf("copy-%03d", i)
		p, err := r.store.Pattern(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		prints[p.Fingerprint] = true
		for _, want := range []string{fmt.Sprintf("req-%05d", 10000+i), fmt.Sprintf("retry in %d.%02ds", i%60, i%100)} {
			if !strings.Contains(p.Summary, want) || len(p.Evidence.Refs) != 1 || !p.Evidence.Refs[0].Verified || !strings.Contains(p.Evidence.Refs[0].Quote, want) {
				t.Errorf("%s: the pattern says %q with evidence %+v, want %s in it", id, p.Summary, p.Evidence.Refs, want)
			}
		}
		switch pv := p.Provenance; {
		case pv.DerivedFrom == "":
			original = id
			if pv.Attempts != 1 || pv.CostUSD == 0 {
				t.Errorf("%s took %d calls and $%v, want one call", id, pv.Attempts, pv.CostUSD)
			}
		default:
			derived++
			if pv.Attempts != 0 || pv.CostUSD != 0 || pv.Tokens != (evalforge.Tokens{}) {
				t.Errorf("%s is derived, and took %d calls and $%v", id, pv.Attempts, pv.CostUSD)
			}
		}
	}
	if derived != n-1 || original == "" || len(prints) != 1 {
		t.Errorf("%d are derived, of %q, with %d fingerprints; want %d, with one", derived, original, len(prints), n-1)
	}
	// Later runs, other processes, re-ingested copies: no call any more.
	r.put(storm("late", 4321, 429))
	r.engine.Pipeline.Reuse = extract.NewReuse(r.store, r.engine.Log)
	if run := r.run(extract.RunRequest{}); run.StoredCount != 1 || run.CostUSD != 0 {
		t.Errorf("the late copy: %d stored for $%v", run.StoredCount, run.CostUSD)
	}
	r.wantCalls(2)
}

// Without reuse every copy is asked about.
func TestReuseTurnedOff(t *testing.T) {
	r := newReuseRig(t, quoting)
	r.engine.Pipeline.Reuse = nil
	for i := range 5 {
		r.put(storm(fmt.Sprintf("copy-%d", i), i, 429))
	}
	r.run(extract.RunRequest{})
	r.wantCalls(5)
}

// A run that asks for fresh answers gets them, and they replace the kept ones.
func TestFreshAnswers(t *testing.T) {
	r := newReuseRig(t, quoting)
	r.put(storm("a", 1, 429))
	r.run(extract.RunRequest{})
	r.put(storm("b", 2, 429))
	r.run(extract.RunRequest{KeptSince: time.Now()})
	r.wantCalls(2)
	r.put(storm("c", 3, 429))
	r.run(extract.RunRequest{})
	r.wantCalls(2)
	p, err := r.store.Pattern(t.Context(), "c")
	if err != nil || p.Provenance.DerivedFrom != "b" {
		t.Errorf("derived from %q, %v; want the newest answer, of b", p.Provenance.DerivedFrom, err)
	}
}

// An answer whose evidence is of one copy alone is not used for others.
func TestAnswerThatDoesNotHoldForACopy(t *testing.T) {
	r := newReuseRig(t, func(w http.ResponseWriter, req *geminitest.Request) {
		a := good()
		a.Evidence.Excerpt, a.Evidence.Refs = nil, []evalforge.EvidenceRef{{Quote: "The model answered 429 at"}}
		a.Summary = "It happened 98765 times in a row." // no value of the trace
		geminitest.Analysis(a)(w, req)
	})
	r.engine.Queue, r.engine.Options.Concurrency = &lossy{r.store, 1}, 1
	r.put(storm("a", 1, 429), storm("b", 2, 429))
	if run := r.run(extract.RunRequest{}); run.StoredCount != 1 {
		t.Errorf("%d stored, want 1", run.StoredCount)
	}
	r.wantCalls(2)
	// But for the very same trace it is: its worker died, say.
	if run := r.run(extract.RunRequest{}); run.StoredCount != 1 || run.CostUSD != 0 {
		t.Errorf("after the crash: %d stored for $%v, want one for nothing", run.StoredCount, run.CostUSD)
	}
	r.wantCalls(2)
}

// A lossy queue loses the first commits, as a worker does that dies before them.
type lossy struct {
	extract.Queue
	lose int
}

func (l *lossy) Commit(ctx context.Context, le extract.Lease, res extract.Result) error {
	if l.lose--; l.lose >= 0 {
		return &extract.Error{Kind: extract.KindStore, Err: errors.New("the worker died")}
	}
	return l.Queue.Commit(ctx, le, res)
}

// An answer that was paid for is there after a crash before its commit.
func TestCrashBetweenAnswerAndCommit(t *testing.T) {
	r := newReuseRig(t, quoting)
	r.engine.Queue, r.engine.Options.Concurrency = &lossy{r.store, 1}, 1
	r.put(storm("a", 1, 429))
	if run := r.run(extract.RunRequest{}); run.ErrorCount != 1 {
		t.Errorf("%d errors, want the lost commit", run.ErrorCount)
	}
	if run := r.run(extract.RunRequest{}); run.StoredCount != 1 || run.CostUSD != 0 {
		t.Errorf("after the crash: %d stored for $%v, want one for nothing", run.StoredCount, run.CostUSD)
	}
	r.wantCalls(1)
	p, err := r.store.Pattern(t.Context(), "a")
	if err != nil || p.Provenance.DerivedFrom != "" || p.Provenance.CostUSD == 0 || p.Provenance.Attempts != 1 {
		t.Errorf("provenance %+v, %v: want what the call took", p.Provenance, err)
	}
}

// When the call that others wait for fails, each of them tries, one after the other.
func TestWaitingForACallThatFails(t *testing.T) {
	var calls atomic.Int64
	r := newReuseRig(t, func(w http.ResponseWriter, req *geminitest.Request) {
		if calls.Add(1) <= 2 {
			geminitest.Status(400, "INVALID_ARGUMENT", "scripted")(w, req)
			return
		}
		quoting(w, req)
	})
	for i := range 6 {
		r.put(storm(fmt.Sprintf("copy-%d", i), i, 429))
	}
	run := r.run(extract.RunRequest{})
	if run.StoredCount != 4 || run.ErrorCount != 2 {
		t.Errorf("%d stored, %d errors; want 4 and 2", run.StoredCount, run.ErrorCount)
	}
	r.wantCalls(3)
}

// What is kept is redacted, and names no trace but the one that was paid for.
func TestKeptAnswersHoldNoPersonalData(t *testing.T) {
	r := newReuseRig(t, func(w http.ResponseWriter, req *geminitest.Request) {
		a := good()
		a.Evidence.Excerpt, a.Evidence.Refs = nil, []evalforge.EvidenceRef{{Quote: "The model answered 429 at"}}
		a.Summary = "jo.doe@example.com was not served."
		geminitest.Analysis(a)(w, req)
	})
	keep := &watched{Answers: r.store}
	r.engine.Pipeline.Reuse = extract.NewReuse(keep, r.engine.Log)
	r.put(storm("a", 1, 429))
	r.run(extract.RunRequest{})
	text, err := json.Marshal(keep.saved)
	if err != nil || len(keep.saved) != 1 || strings.Contains(string(text), "jo.doe") || !strings.Contains(string(text), "REDACTED:EMAIL") {
		t.Errorf("kept: %s, %v", text, err)
	}
}

type watched struct {
	extract.Answers
	saved []extract.KeptAnswer
}

func (w *watched) SaveAnswer(ctx context.Context, a extract.KeptAnswer) error {
	w.saved = append(w.saved, a)
	return w.Answers.SaveAnswer(ctx, a)
}

// A dry run counts copies once, and those with a kept answer not at all.
func TestDryRunEstimatesDistinctInputs(t *testing.T) {
	r := newReuseRig(t, quoting)
	for i := range 5 {
		r.put(storm(fmt.Sprintf("copy-%d", i), i, 429))
	}
	r.put(storm("other", 9, 503))
	e := r.run(extract.RunRequest{DryRun: true}).Estimate
	if e == nil || e.Calls != 2 || e.CostUSD <= 0 || e.MostCostUSD <= e.CostUSD || e.Tokens == 0 {
		t.Errorf("estimate %+v, want two calls", e)
	}
	r.wantCalls(0)
	r.run(extract.RunRequest{TraceIDs: []string{"other"}})
	r.wantCalls(1)
	if e := r.run(extract.RunRequest{DryRun: true}).Estimate; e.Calls != 1 {
		t.Errorf("estimate %+v, want one call: an answer for the other is kept", e)
	}
	r.wantCalls(1)
}

// Advice with numbers of its own is the same for every copy.
func TestAdviceWithNumbersIsForEveryCopy(t *testing.T) {
	r := newReuseRig(t, func(w http.ResponseWriter, q *geminitest.Request) {
		a := geminitest.Plausible(q)
		a.RecommendedActions = []string{"Retry with exponential backoff of up to 30s, 5000 times at most."}
		geminitest.Analysis(a)(w, q)
	})
	const n = 20
	for i := range n {
		r.put(storm(fmt.Sprintf("copy-%03d", i), i, 429))
	}
	if run := r.run(extract.RunRequest{}); run.StoredCount != n {
		t.Errorf("%d stored, want %d", run.StoredCount, n)
	}
	r.wantCalls(1)
	for i := range n {
		p, err := r.store.Pattern(t.Context(), fmt.Sprintf("copy-%03d", i))
		if err != nil || len(p.RecommendedActions) != 1 || !strings.Contains(p.RecommendedActions[0], "up to 30s, 5000 times") {
			t.Errorf("copy %d: %v, actions %q", i, err, p.RecommendedActions)
		}
	}
}

// Copies whose answers are refused for good cost the calls of one, in this run and in those
// of the next day; each fails by itself, with its own record. By hand they can be asked
// about anew, all of them at the price of one.
func TestCopiesOfARefusedTraceCostNoCalls(t *testing.T) {
	var well atomic.Bool
	r := newReuseRig(t, func(w http.ResponseWriter, q *geminitest.Request) {
		time.Sleep(5 * time.Millisecond) // so that others want the same answer
		if well.Load() {
			quoting(w, q)
			return
		}
		a := good()
		a.Evidence.Excerpt, a.Evidence.Refs = nil, []evalforge.EvidenceRef{{Quote: "this was never said by anybody"}}
		geminitest.Analysis(a)(w, q)
	})
	now := time.Now()
	r.engine.Pipeline.Now = func() time.Time { return now }
	const n = 40
	ids := []string{}
	for i := range n {
		ids = append(ids, fmt.Sprintf("copy-%03d", i))
		r.put(storm(ids[i], i, 429))
	}
	if run := r.run(extract.RunRequest{}); run.ValidationFailedCount != n {
		t.Errorf("%d validations failed, want %d", run.ValidationFailedCount, n)
	}
	r.wantCalls(2) // the answer, and its repair
	for i, id := range ids {
		errs, _, err := r.store.Errors(t.Context(), extract.ErrorQuery{TraceID: id})
		if err != nil || len(errs) != 1 || errs[0].ErrorType != evalforge.SchemaValidation {
			t.Fatalf("%s: %d errors, %v", id, len(errs), err)
		}
		st, err := r.store.State(t.Context(), id)
		if err != nil || st.QuarantinedAt.IsZero() {
			t.Errorf("%s is not quarantined: %v", id, err)
		}
		if i > 0 && strings.Contains(errs[0].ErrorMessage, "req-10000") {
			t.Errorf("%s: the reason has values of the trace that was asked about: %s", id, errs[0].ErrorMessage)
		}
	}
	// The next run, with another process, in the same day and after it.
	next := func(id string, at time.Duration, calls int) {
		t.Helper()
		now = now.Add(at)
		r.engine.Pipeline.Reuse = extract.NewReuse(r.store, r.engine.Log)
		r.put(storm(id, 77, 429))
		if e := r.run(extract.RunRequest{DryRun: true}).Estimate; (e.Calls == 0) != (calls == 0) {
			t.Errorf("%s: %d calls estimated", id, e.Calls)
		}
		before := len(r.srv.Requests())
		if run := r.run(extract.RunRequest{}); run.ValidationFailedCount != 1 {
			t.Errorf("%s: %d validations failed, want 1", id, run.ValidationFailedCount)
		}
		if got := len(r.srv.Requests()) - before; got != calls {
			t.Errorf("%s took %d calls, want %d", id, got, calls)
		}
	}
	next("later", time.Hour, 0)
	next("next-day", extract.RefusedFor, 2)
	// By hand: the model is asked anew, once for all.
	retry := func(ids ...string) {
		for _, id := range ids {
			if err := r.store.Retry(t.Context(), id, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := len(r.srv.Requests())
	now = now.Add(time.Minute)
	retry(ids[:10]...)
	if run := r.run(extract.RunRequest{}); run.ValidationFailedCount != 10 {
		t.Errorf("retried: %d validations failed, want 10", run.ValidationFailedCount)
	}
	if got := len(r.srv.Requests()) - before; got != 2 {
		t.Errorf("10 retried traces took %d calls, want 2", got)
	}
	well.Store(true)
	now = now.Add(time.Minute)
	retry(ids[3])
	if run := r.run(extract.RunRequest{}); run.StoredCount != 1 {
		t.Errorf("retried: %d stored, want 1", run.StoredCount)
	}
	r.put(storm("after", 78, 429))
	before = len(r.srv.Requests())
	if run := r.run(extract.RunRequest{}); run.StoredCount != 1 || len(r.srv.Requests()) != before {
		t.Errorf("after a good answer: %d stored, %d calls; want one for none", run.StoredCount, len(r.srv.Requests())-before)
	}
}

// What a successor answered counts as the configured model's answer: for copies that come
// after the change, and in a process that does not know of it yet.
func TestAnswersOfASuccessorAreReused(t *testing.T) {
	answered := 0
	r := newReuseRig(t, func(w http.ResponseWriter, q *geminitest.Request) {
		if q.Model == gemini.DefaultModel {
			geminitest.ModelGone()(w, q)
			return
		}
		answered++
		quoting(w, q)
	})
	r.engine.Options.Concurrency = 1
	r.put(storm("a", 1, 429), storm("b", 2, 429))
	r.run(extract.RunRequest{})
	a, err := gemini.New(t.Context(), gemini.Options{Backend: gemini.GeminiAPI, BaseURL: r.srv.URL, APIKey: "synthetic-key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	r.engine.Pipeline.Analyzer = a // as after a restart
	r.put(storm("c", 3, 429))
	if run := r.run(extract.RunRequest{}); run.StoredCount != 1 || answered != 1 {
		t.Errorf("%d stored after %d answers, want one", run.StoredCount, answered)
	}
	r.wantCalls(2) // one of them found the model gone
}

// Failures that differ in a word or a version are different, however many digits stand there.
func TestFailuresThatAreNoCopies(t *testing.T) {
	said := []string{
		"job aborted: worker.py:1234:KeyError", "job aborted: db.py:9981:ConnectTimeout", "job aborted: billing.py:4410:PermissionDenied",
		"error from lookup_customer_v2024", "error from delete_account_v2025",
		"installed 1.21 required 1.25", "installed 1.31 required 1.25", "price as of 2019-01-02", "price as of 2026-11-19",
	}
	r := newReuseRig(t, quoting)
	for i, s := range said {
		tr := storm(fmt.Sprintf("trace-%d", i), i, 429)
		tr.Payload = []byte(strings.Replace(string(tr.Payload), "The model answered", "The model answered \""+s+"\" and", 1))
		tr.Payload = []byte(strings.ReplaceAll(string(tr.Payload), "\""+s+"\"", "\\\""+s+"\\\""))
		r.put(tr)
	}
	run := r.run(extract.RunRequest{})
	r.wantCalls(len(said))
	for _, o := range run.TraceOutcomes {
		if o.Status != evalforge.Stored || o.DerivedFrom != "" {
			t.Errorf("%s: got %s, derived from %q, want stored from an answer of its own", o.SourceTraceID, o.Status, o.DerivedFrom)
		}
	}
}

// Copies that hold the characters which marks are made of cost one call, too.
func TestCopiesWithMarksCostOneCall(t *testing.T) {
	r := newReuseRig(t, quoting)
	for i := range 20 {
		tr := storm(fmt.Sprintf("copy-%d", i), i, 429)
		tr.Payload = []byte(strings.Replace(string(tr.Payload), "Summarise", "Summarise \uE000 \uE0010\uE001", 1))
		r.put(tr)
	}
	if run := r.run(extract.RunRequest{}); run.StoredCount != 20 {
		t.Errorf("%d stored, want 20", run.StoredCount)
	}
	r.wantCalls(1)
}

// A trace that was reopened is asked about anew by whichever run claims it, once: the wish
// is in its state, and not in the run that reopened it.
func TestReopenedTracesAreAskedAnewByAnyRun(t *testing.T) {
	r := newReuseRig(t, quoting)
	r.put(storm("a", 1, 429), storm("b", 2, 429))
	r.run(extract.RunRequest{})
	r.wantCalls(1)
	since := time.Now()
	for _, id := range []string{"a", "b"} {
		if err := r.store.Reopen(t.Context(), id, since); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.run(extract.RunRequest{DryRun: true}).Estimate.Calls; got != 1 {
		t.Errorf("the estimate of a run is %d calls, want 1", got)
	}
	if run := r.run(extract.RunRequest{}); run.StoredCount != 2 {
		t.Errorf("%d stored, want 2", run.StoredCount)
	}
	r.wantCalls(2)
	r.put(storm("c", 3, 429))
	r.run(extract.RunRequest{})
	r.wantCalls(2)
}

// Copies of a failure that no model answers about cost what one of them does: answers that are
// withheld, and those that do not fit into the output limit.
func TestCopiesThatCannotBeAnsweredCostOneTrace(t *testing.T) {
	for name, tt := range map[string]struct {
		reply geminitest.Reply
		calls int
	}{
		"cut":               {geminitest.Finish("MAX_TOKENS", `{"title":"a`), 2}, // with twice the room
		"prompt blocked":    {geminitest.Blocked("PROHIBITED_CONTENT"), 1},
		"prohibited":        {geminitest.Finish("PROHIBITED_CONTENT", ""), 1},
		"recitation":        {geminitest.Finish("RECITATION", ""), 1},
		"for an odd reason": {geminitest.Finish("OTHER", ""), 40}, // it may pass
	} {
		t.Run(name, func(t *testing.T) {
			r := newReuseRig(t, tt.reply)
			for i := range 40 {
				r.put(storm(fmt.Sprintf("copy-%d", i), i, 429))
			}
			run := r.run(extract.RunRequest{})
			if failed := run.ErrorCount + run.ValidationFailedCount; failed != 40 {
				t.Errorf("%d failed, want 40", failed)
			}
			r.wantCalls(tt.calls)
			if tt.calls == 40 {
				return
			}
			if err := r.store.Retry(t.Context(), "copy-7", time.Now()); err != nil {
				t.Errorf("a copy is not quarantined: %v", err)
			}
			r.run(extract.RunRequest{})
			r.wantCalls(2 * tt.calls) // asked anew by hand
		})
	}
}
