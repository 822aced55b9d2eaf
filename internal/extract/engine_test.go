package extract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A scripted analyzer answers with a function.
type scripted struct {
	calls  atomic.Int64
	answer func(ctx context.Context, in *extract.Input) (*extract.Answer, error)
}

func (s *scripted) Name() string  { return "scripted" }
func (s *scripted) Model() string { return "model-x" }
func (s *scripted) Analyze(ctx context.Context, in *extract.Input) (*extract.Answer, error) {
	s.calls.Add(1)
	return s.answer(ctx, in)
}

// good is a valid answer about the traces that put makes.
func good() *extract.Answer {
	excerpt := "the catalog service answered 503"
	step := 1
	return &extract.Answer{
		Analysis: evalforge.Analysis{
			Title: "Catalog lookup failed", FailureType: evalforge.InfrastructureError, TriggerCondition: "dependency unavailable",
			Summary: "The tool call failed.", RootCauseHypothesis: "The catalog was down.",
			Evidence:            evalforge.Evidence{Signals: []string{"a 503"}, Excerpt: &excerpt, Refs: []evalforge.EvidenceRef{{Step: &step, Quote: excerpt}}},
			RecommendedActions:  []string{"retry with backoff"},
			ReproductionContext: evalforge.ReproductionContext{InputPattern: "any lookup", ToolsInvolved: []string{"lookup"}},
			Severity:            evalforge.High, Confidence: 0.9, ConfidenceRationale: "The error is explicit.",
			FailingStep: &evalforge.FailingStep{Index: 1},
		},
		Model: "model-x", ModelVersion: "model-x-001", Attempts: 1, CostUSD: 0.25, Tokens: evalforge.Tokens{Prompt: 10, Output: 5},
	}
}

func answering(a *extract.Answer) *scripted {
	return &scripted{answer: func(context.Context, *extract.Input) (*extract.Answer, error) { b := *a; return &b, nil }}
}

func failing(err error) *scripted {
	return &scripted{answer: func(context.Context, *extract.Input) (*extract.Answer, error) { return nil, err }}
}

func rawTrace(id string, n int) evalforge.RawTrace {
	payload, err := json.Marshal(map[string]any{"messages": []map[string]any{
		{"role": "user", "content": fmt.Sprintf("Where is parcel %s?", id)},
		{"role": "assistant", "content": "I could not look it up: the catalog service answered 503."},
	}})
	if err != nil {
		panic(err)
	}
	return evalforge.RawTrace{TraceID: id, FetchedAt: evalforge.At(time.Unix(1767322800+int64(n), 0)), FailureType: "unknown", Payload: payload, RecurrenceCount: 1}
}

func put(t *testing.T, s extract.Store, n int) {
	t.Helper()
	for i := range n {
		if _, err := s.PutTrace(t.Context(), rawTrace(fmt.Sprintf("t%03d", i), i)); err != nil {
			t.Fatal(err)
		}
	}
}

func redactor(t *testing.T) *redact.Redactor {
	t.Helper()
	r, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func engine(t *testing.T, q extract.Queue, a extract.Analyzer, o extract.Options) *extract.Engine {
	t.Helper()
	return &extract.Engine{
		Queue:    q,
		Pipeline: &extract.Pipeline{Analyzer: a, Redactor: redactor(t), Now: time.Now},
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
		Options:  o,
		Owner:    "test",
	}
}

// mustRun runs and checks that the record adds up and is stored as returned.
func mustRun(t *testing.T, ctx context.Context, e *extract.Engine, s extract.Store, req extract.RunRequest) evalforge.Run {
	t.Helper()
	run, err := e.Run(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	checkRun(t, s, run)
	return run
}

func checkRun(t *testing.T, s extract.Store, run evalforge.Run) {
	t.Helper()
	if err := run.Check(); err != nil {
		t.Error(err)
	}
	stored, err := s.Run(context.WithoutCancel(t.Context()), run.RunID)
	if err != nil {
		t.Fatalf("the run's record: %v", err)
	}
	if diff := cmp.Diff(run, stored); diff != "" {
		t.Errorf("the stored record differs from the one returned:\n%s", diff)
	}
}

func outcomes(run evalforge.Run) map[evalforge.Outcome]int {
	m := map[evalforge.Outcome]int{}
	for _, o := range run.TraceOutcomes {
		m[o.Status]++
	}
	return m
}

func TestRunStoresOnePatternPerTrace(t *testing.T) {
	s, a := memory.New(), answering(good())
	put(t, s, 7)
	run := mustRun(t, t.Context(), engine(t, s, a, extract.Options{BatchSize: 5}), s, extract.RunRequest{Trigger: evalforge.Scheduled})
	if run.StoredCount != 5 || run.PickedUpCount != 5 || run.TriggeredBy != evalforge.Scheduled {
		t.Errorf("first run: %+v", run)
	}
	if got := run.TraceOutcomes[0].SourceTraceID; got != "t000" {
		t.Errorf("the first trace taken is %s, want the oldest", got)
	}
	if run.CostUSD != 1.25 || run.Tokens.Prompt != 50 {
		t.Errorf("cost %v, tokens %+v; want the sum over five answers", run.CostUSD, run.Tokens)
	}
	run = mustRun(t, t.Context(), engine(t, s, a, extract.Options{BatchSize: 5}), s, extract.RunRequest{})
	if run.StoredCount != 2 || run.PickedUpCount != 2 {
		t.Errorf("second run: %+v", run)
	}
	if got := a.calls.Load(); got != 7 {
		t.Errorf("%d model calls for 7 traces", got)
	}
	p, err := s.Pattern(t.Context(), "t003")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	if p.Processed || p.PatternID != "pattern_t003" || p.Provenance.ModelVersion != "model-x-001" || p.Provenance.InputDigest == "" || p.Provenance.RunID == "" {
		t.Errorf("pattern = %+v", p)
	}
	if r := p.Evidence.Refs[0]; !r.Verified || r.Match != "exact" || r.Step == nil || *r.Step != 1 {
		t.Errorf("evidence = %+v", r)
	}
	raw, err := s.Trace(t.Context(), "t003")
	if err != nil || !raw.Processed || raw.ProcessedAt == nil {
		t.Errorf("raw trace processed=%v at %v, %v", raw.Processed, raw.ProcessedAt, err)
	}
}

func TestEveryTraceEndsInExactlyOneOutcome(t *testing.T) {
	kinds := []extract.Kind{extract.KindRateLimited, extract.KindUnavailable, extract.KindRejected, extract.KindBlocked, extract.KindTruncated,
		extract.KindEmpty, extract.KindInvalidJSON, extract.KindSchema, extract.KindEvidence, extract.KindTimeout, extract.KindInternal}
	s := memory.New()
	put(t, s, len(kinds)+2)
	bad := rawTrace("t900", 900)
	bad.Payload = json.RawMessage(`{}`)
	if _, err := s.PutTrace(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	a := &scripted{answer: func(_ context.Context, in *extract.Input) (*extract.Answer, error) {
		var n int
		fmt.Sscanf(in.TraceID, "t%d", &n)
		switch {
		case n < len(kinds):
			return nil, &extract.Error{Kind: kinds[n], Err: errors.New("scripted"), Spent: extract.Spent{CostUSD: 1}}
		case n == len(kinds):
			panic("scripted panic with card 4111 1111 1111 1111")
		}
		return good(), nil
	}}
	run := mustRun(t, t.Context(), engine(t, s, a, extract.Options{Concurrency: 4}), s, extract.RunRequest{})
	want := map[evalforge.Outcome]int{evalforge.Errored: 6, evalforge.ValidationFailed: 5, evalforge.TimedOut: 1, evalforge.Skipped: 1, evalforge.Stored: 1}
	if diff := cmp.Diff(want, outcomes(run)); diff != "" {
		t.Error(diff)
	}
	if want := float64(len(kinds)) + 0.25; run.CostUSD != want {
		t.Errorf("cost %v, want %v: failed attempts are paid for too", run.CostUSD, want)
	}
	list, _, err := s.Errors(t.Context(), extract.ErrorQuery{RunID: run.RunID})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 13 {
		t.Errorf("%d error documents for 13 traces without a pattern", len(list))
	}
	for _, e := range list {
		if err := e.ErrorType.Validate(); err != nil {
			t.Error(err)
		}
		if strings.Contains(e.ErrorMessage, "4111") {
			t.Errorf("trace content in an error message: %s", e.ErrorMessage)
		}
	}
}

func TestDeadlineCancelsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 2)
		a := &scripted{answer: func(ctx context.Context, _ *extract.Input) (*extract.Answer, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		start := time.Now()
		run := mustRun(t, t.Context(), engine(t, s, a, extract.Options{}), s, extract.RunRequest{})
		if got, want := time.Since(start), 2*extract.DefaultTraceTimeout; got != want {
			t.Errorf("two traces that never answer took %v, want %v", got, want)
		}
		if run.TimedOutCount != 2 {
			t.Errorf("outcomes = %v, want 2 timed out", outcomes(run))
		}
	})
}

func TestAnswerThatArrivedInTimeIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 1)
		a := &scripted{answer: func(context.Context, *extract.Input) (*extract.Answer, error) {
			time.Sleep(extract.DefaultTraceTimeout - time.Millisecond)
			return good(), nil
		}}
		slow := &faulty{Store: s, before: func(op string) error {
			if op == "Commit" {
				time.Sleep(5 * time.Second) // past the trace's deadline
			}
			return nil
		}}
		if run := mustRun(t, t.Context(), engine(t, slow, a, extract.Options{}), s, extract.RunRequest{}); run.StoredCount != 1 {
			t.Errorf("outcomes = %v, want the paid answer stored", outcomes(run))
		}
	})
}

// A faulty store fails, delays or observes operations of a real one.
type faulty struct {
	extract.Store
	before func(op string) error
}

func (f *faulty) Claim(ctx context.Context, r extract.ClaimRequest) ([]extract.Claim, error) {
	if err := f.before("Claim"); err != nil {
		return nil, err
	}
	return f.Store.Claim(ctx, r)
}

func (f *faulty) Commit(ctx context.Context, l extract.Lease, r extract.Result) error {
	if err := f.before("Commit"); err != nil {
		return err
	}
	return f.Store.Commit(ctx, l, r)
}

func (f *faulty) Fail(ctx context.Context, l extract.Lease, x extract.Failure) error {
	if err := f.before("Fail"); err != nil {
		return err
	}
	return f.Store.Fail(ctx, l, x)
}

func TestStoreOutageOnTheErrorPathDoesNotStopTheBatch(t *testing.T) {
	synctest.Test(t, testStoreOutageOnTheErrorPath)
}

func testStoreOutageOnTheErrorPath(t *testing.T) {
	s := memory.New()
	put(t, s, 5)
	outage := errors.New("store is down")
	f := &faulty{Store: s, before: func(op string) error {
		if op == "Fail" {
			return outage
		}
		return nil
	}}
	a := &scripted{answer: func(_ context.Context, in *extract.Input) (*extract.Answer, error) {
		if in.TraceID == "t004" {
			return good(), nil
		}
		return nil, &extract.Error{Kind: extract.KindUnavailable, Err: errors.New("scripted")}
	}}
	run := mustRun(t, t.Context(), engine(t, f, a, extract.Options{}), s, extract.RunRequest{})
	if run.ErrorCount != 4 || run.StoredCount != 1 {
		t.Errorf("outcomes = %v", outcomes(run))
	}
}

// A store that comes back within a minute costs no answer, and loses no error.
func TestPassingStoreFaultLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 2)
		var down time.Time
		f := &faulty{Store: s, before: func(op string) error {
			if op == "Claim" {
				down = time.Now().Add(25 * time.Second)
				return nil
			}
			if time.Now().Before(down) {
				return fmt.Errorf("%s: %w", op, context.DeadlineExceeded) // as a locked database gives
			}
			return nil
		}}
		a := &scripted{answer: func(_ context.Context, in *extract.Input) (*extract.Answer, error) {
			if in.TraceID == "t000" {
				return good(), nil
			}
			return nil, &extract.Error{Kind: extract.KindSchema, Err: errors.New("scripted")}
		}}
		run := mustRun(t, t.Context(), engine(t, f, a, extract.Options{}), s, extract.RunRequest{})
		if run.StoredCount != 1 || run.ValidationFailedCount != 1 || a.calls.Load() != 2 {
			t.Errorf("outcomes = %v after %d calls", outcomes(run), a.calls.Load())
		}
		if list, _, err := s.Errors(t.Context(), extract.ErrorQuery{}); err != nil || len(list) != 1 {
			t.Errorf("%d error documents, %v; want the one", len(list), err)
		}
	})
}

func TestStoreFaultIsNotTheTracesTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 1)
		f := &faulty{Store: s, before: func(op string) error {
			if op == "Claim" {
				return nil
			}
			return context.DeadlineExceeded
		}}
		put(t, s, 3)
		run, err := engine(t, f, answering(good()), extract.Options{}).Run(t.Context(), extract.RunRequest{})
		if err == nil || run.ErrorCount != 1 || run.PickedUpCount != 1 || !run.Throttled {
			t.Errorf("outcomes = %v, %v; want one error of the store, and the run ended", outcomes(run), err)
		}
	})
}

// A pattern that the store will not take is the matter of its trace, not of the run.
func TestRefusedPatternDoesNotStopTheBatch(t *testing.T) {
	s := memory.New()
	put(t, s, 3)
	commits := 0
	f := &faulty{Store: s, before: func(op string) error {
		if op == "Commit" {
			if commits++; commits == 1 {
				return &evalforge.FieldError{Field: "title", Problem: "scripted"}
			}
		}
		return nil
	}}
	run := mustRun(t, t.Context(), engine(t, f, answering(good()), extract.Options{}), s, extract.RunRequest{})
	if run.ErrorCount != 1 || run.StoredCount != 2 || run.Throttled {
		t.Errorf("outcomes = %v, throttled %v; want one error and two stored", outcomes(run), run.Throttled)
	}
}

func TestStoreOutageEndsTheRunWithAnError(t *testing.T) {
	s := memory.New()
	put(t, s, 5)
	claims := 0
	f := &faulty{Store: s, before: func(op string) error {
		if op == "Claim" {
			if claims++; claims > 2 {
				return errors.New("store is down")
			}
		}
		return nil
	}}
	run, err := engine(t, f, answering(good()), extract.Options{}).Run(t.Context(), extract.RunRequest{})
	if err == nil || !strings.Contains(err.Error(), "store is down") {
		t.Errorf("err = %v, want the store's", err)
	}
	if run.StoredCount != 2 || !run.Throttled || run.ThrottleReason == "" {
		t.Errorf("run = %+v, want what was done before, and that it ended early", run)
	}
	checkRun(t, s, run)
}

func TestPoisonIsRetriedWithBackoffThenQuarantined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 1)
		a := failing(&extract.Error{Kind: extract.KindTruncated, Err: errors.New("scripted"), Response: []byte(`{"mail":"jo@example.com"}`)})
		e := engine(t, s, a, extract.Options{})
		waits := []time.Duration{time.Minute, 2 * time.Minute}
		for i := range 3 {
			if run := mustRun(t, t.Context(), e, s, extract.RunRequest{}); run.ValidationFailedCount != 1 {
				t.Fatalf("run %d: outcomes = %v", i+1, outcomes(run))
			}
			if i < len(waits) {
				time.Sleep(waits[i] - time.Second)
				if run := mustRun(t, t.Context(), e, s, extract.RunRequest{}); run.PickedUpCount != 0 {
					t.Errorf("after failure %d the trace is picked up before its backoff of %v is over", i+1, waits[i])
				}
				time.Sleep(time.Second)
			}
		}
		time.Sleep(24 * time.Hour)
		if run := mustRun(t, t.Context(), e, s, extract.RunRequest{}); run.PickedUpCount != 0 {
			t.Error("a quarantined trace is picked up again")
		}
		if got := a.calls.Load(); got != 3 {
			t.Errorf("%d model calls, want 3", got)
		}
		list, _, err := s.Errors(t.Context(), extract.ErrorQuery{TraceID: "t000"})
		if err != nil || len(list) != 3 {
			t.Fatalf("%d error documents, %v; want one per failed run", len(list), err)
		}
		if x := list[0]; x.ModelResponseSHA256 == "" || strings.Contains(x.ModelResponseExcerpt, "jo@example.com") || !strings.Contains(x.ModelResponseExcerpt, "[REDACTED:EMAIL:") {
			t.Errorf("error document = %+v, want the answer's digest and a redacted excerpt", x)
		}

		a.answer = answering(good()).answer
		if err := s.Retry(t.Context(), "t000", time.Now()); err != nil {
			t.Fatal(err)
		}
		if run := mustRun(t, t.Context(), e, s, extract.RunRequest{}); run.StoredCount != 1 {
			t.Errorf("after a retry by hand: %v", outcomes(run))
		}
	})
}

func TestWorkersThatDieOverATraceQuarantineIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 1)
		for i := range extract.DefaultMaxAttempts { // workers that claim and are never heard of again
			claims, err := s.Claim(t.Context(), extract.ClaimRequest{RunID: fmt.Sprint("dead", i), Limit: 1, Now: time.Now(),
				LeaseUntil: time.Now().Add(time.Minute), NewToken: func() string { return fmt.Sprint("token", i) }})
			if err != nil || len(claims) != 1 {
				t.Fatalf("claim %d: %v, %v", i, claims, err)
			}
			time.Sleep(2 * time.Minute)
		}
		a := answering(good())
		run := mustRun(t, t.Context(), engine(t, s, a, extract.Options{}), s, extract.RunRequest{})
		if run.ErrorCount != 1 || a.calls.Load() != 0 {
			t.Errorf("outcomes = %v after %d calls, want an error without a call", outcomes(run), a.calls.Load())
		}
		if st, err := s.State(t.Context(), "t000"); err != nil || st.QuarantinedAt.IsZero() {
			t.Errorf("state = %+v, %v; want quarantined", st, err)
		}
	})
}

func TestDryRunCallsAndWritesNothing(t *testing.T) {
	s, a := memory.New(), answering(good())
	put(t, s, 3)
	run, err := engine(t, s, a, extract.Options{}).Run(t.Context(), extract.RunRequest{DryRun: true, BatchSize: 2})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"t000", "t001"}, run.WouldProcess); diff != "" {
		t.Error(diff)
	}
	if a.calls.Load() != 0 {
		t.Error("a dry run called the model")
	}
	runs, _, err := s.Runs(t.Context(), extract.PageQuery{})
	if err != nil || len(runs) != 0 {
		t.Errorf("a dry run left %d records, %v", len(runs), err)
	}
	states, _, err := s.States(t.Context(), extract.StateQuery{})
	if err != nil || len(states) != 0 {
		t.Errorf("a dry run left %d states, %v", len(states), err)
	}
}

func TestUnchangedTraceIsNotPaidForAgain(t *testing.T) {
	s, a := memory.New(), answering(good())
	put(t, s, 1)
	e := engine(t, s, a, extract.Options{})
	mustRun(t, t.Context(), e, s, extract.RunRequest{})
	put(t, s, 1)
	if run := mustRun(t, t.Context(), e, s, extract.RunRequest{}); run.PickedUpCount != 0 {
		t.Errorf("importing an unchanged trace made it due: %v", outcomes(run))
	}
	changed := rawTrace("t000", 1)
	changed.ServiceName = "another"
	if _, err := s.PutTrace(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if run := mustRun(t, t.Context(), e, s, extract.RunRequest{}); run.StoredCount != 1 {
		t.Errorf("a changed trace: %v", outcomes(run))
	}
	if got := a.calls.Load(); got != 2 {
		t.Errorf("%d calls, want 2", got)
	}
}

func TestStopLetsAnswersInAndReleasesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 6)
		ctx, cancel := context.WithCancel(t.Context())
		var started sync.WaitGroup
		started.Add(2)
		a := &scripted{answer: func(ctx context.Context, in *extract.Input) (*extract.Answer, error) {
			started.Done()
			if in.TraceID == "t000" {
				time.Sleep(2 * time.Second)
				return good(), nil
			}
			<-ctx.Done()
			return nil, fmt.Errorf("request failed: %w", ctx.Err())
		}}
		go func() { started.Wait(); cancel() }()
		start := time.Now()
		run, err := engine(t, s, a, extract.Options{Concurrency: 2, TraceTimeout: time.Minute}).Run(ctx, extract.RunRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got > 9*time.Second {
			t.Errorf("stopping took %v, want at most 9s", got)
		}
		if run.StoredCount != 1 || run.NotStartedCount != 1 || run.PickedUpCount != 2 || !run.Throttled {
			t.Errorf("run = %+v, want one stored, one released", run)
		}
		checkRun(t, s, run)
		st, err := s.State(t.Context(), "t001")
		if err != nil || st.Attempts != 0 || st.LeaseToken != "" {
			t.Errorf("released state = %+v, %v; want no lease and no attempt counted", st, err)
		}
	})
}

func TestWrongConfigurationEndsTheRun(t *testing.T) {
	s := memory.New()
	put(t, s, 5)
	a := failing(&extract.Error{Kind: extract.KindConfig, Err: errors.New("401 from the model's service")})
	run, err := engine(t, s, a, extract.Options{}).Run(t.Context(), extract.RunRequest{})
	if err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "doctor") {
		t.Errorf("err = %v, want the cause and what to do", err)
	}
	if run.NotStartedCount != 1 || a.calls.Load() != 1 {
		t.Errorf("run = %+v after %d calls, want one trace released and no more tried", run, a.calls.Load())
	}
	checkRun(t, s, run)
	if st, err := s.State(t.Context(), "t000"); err != nil || st.Attempts != 0 {
		t.Errorf("state = %+v, %v; a wrong setting is not the trace's fault", st, err)
	}
}

func TestLostLeaseCommitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 1)
		a := &scripted{answer: func(ctx context.Context, _ *extract.Input) (*extract.Answer, error) {
			// Another worker whose clock runs ahead takes the trace over.
			claims, err := s.Claim(t.Context(), extract.ClaimRequest{RunID: "other", Limit: 1, Now: time.Now().Add(time.Hour),
				LeaseUntil: time.Now().Add(2 * time.Hour), NewToken: func() string { return "other" }})
			if err != nil || len(claims) != 1 {
				return nil, fmt.Errorf("taking over: %v, %v", claims, err)
			}
			return good(), nil
		}}
		run := mustRun(t, t.Context(), engine(t, s, a, extract.Options{}), s, extract.RunRequest{})
		if run.ErrorCount != 1 {
			t.Errorf("outcomes = %v, want an error", outcomes(run))
		}
		if _, err := s.Pattern(t.Context(), "t000"); !errors.Is(err, evalforge.ErrNotFound) {
			t.Errorf("a pattern was stored without the lease: %v", err)
		}
		if st, err := s.State(t.Context(), "t000"); err != nil || st.LeaseToken != "other" {
			t.Errorf("state = %+v, %v; want the other worker's lease untouched", st, err)
		}
	})
}

func TestLeaseIsRenewedWhileWorking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		put(t, s, 1)
		a := &scripted{answer: func(context.Context, *extract.Input) (*extract.Answer, error) {
			time.Sleep(time.Minute)
			claims, err := s.Claim(t.Context(), extract.ClaimRequest{RunID: "other", Limit: 1, Now: time.Now(),
				LeaseUntil: time.Now().Add(time.Hour), NewToken: func() string { return "other" }})
			if err != nil || len(claims) != 0 {
				return nil, fmt.Errorf("another worker could claim: %v, %v", claims, err)
			}
			return good(), nil
		}}
		run := mustRun(t, t.Context(), engine(t, s, a, extract.Options{TraceTimeout: 2 * time.Minute, Lease: 3 * time.Second}), s, extract.RunRequest{})
		if run.StoredCount != 1 {
			t.Errorf("outcomes = %v: %v", outcomes(run), *run.TraceOutcomes[0].ErrorReason)
		}
	})
}

func TestOverlappingRunsShareTheBacklog(t *testing.T) {
	s := memory.New()
	put(t, s, 60)
	var mu sync.Mutex
	seen := map[string]int{}
	a := &scripted{answer: func(_ context.Context, in *extract.Input) (*extract.Answer, error) {
		mu.Lock()
		defer mu.Unlock()
		seen[in.TraceID]++
		return good(), nil
	}}
	var wg sync.WaitGroup
	var stored atomic.Int64
	for range 4 {
		wg.Go(func() {
			run, err := engine(t, s, a, extract.Options{Concurrency: 3}).Run(t.Context(), extract.RunRequest{})
			if err != nil || run.Check() != nil {
				t.Errorf("run: %v, %v", err, run.Check())
			}
			stored.Add(int64(run.StoredCount))
		})
	}
	wg.Wait()
	if stored.Load() != 60 || len(seen) != 60 || slices.Max(slices.Collect(maps.Values(seen))) != 1 {
		t.Errorf("%d stored, %d traces analyzed, counts %v; want each of 60 once", stored.Load(), len(seen), seen)
	}
}

func TestBatchSizeIsChecked(t *testing.T) {
	for _, n := range []int{-1, 501} {
		if _, err := engine(t, memory.New(), answering(good()), extract.Options{}).Run(t.Context(), extract.RunRequest{BatchSize: n}); err == nil {
			t.Errorf("batch size %d is accepted", n)
		}
	}
}

// A takenOver queue has given each lease to another worker once the model was asked.
type takenOver struct {
	extract.Queue
	asked <-chan struct{}
}

func (q takenOver) Renew(ctx context.Context, l extract.Lease, until time.Time) error {
	select {
	case <-q.asked:
		return extract.ErrLeaseLost
	default:
		return q.Queue.Renew(ctx, l, until)
	}
}

// What calls cost is counted when the lease is lost during them.
func TestLostLeaseKeepsItsCost(t *testing.T) {
	s := memory.New()
	put(t, s, 1)
	spent := extract.Spent{CostUSD: 0.25, Tokens: evalforge.Tokens{Prompt: 100, Output: 10}, Attempts: 1, Unsure: extract.Unsure{Calls: 1, CostUSD: 0.5}}
	asked := make(chan struct{})
	a := &scripted{answer: func(ctx context.Context, _ *extract.Input) (*extract.Answer, error) {
		close(asked)
		<-ctx.Done()
		return nil, &extract.Error{Kind: extract.KindUnavailable, Err: errors.New("given up"), Spent: spent}
	}}
	run := mustRun(t, t.Context(), engine(t, takenOver{s, asked}, a, extract.Options{Lease: 3 * time.Millisecond}), s, extract.RunRequest{})
	if run.ErrorCount != 1 || run.CostUSD != 0.25 || run.UnsureCostUSD != 0.5 || run.Tokens.Prompt != 100 {
		t.Errorf("%d errors, $%v, $%v unsure, %d tokens; want 1, $0.25, $0.5 and 100", run.ErrorCount, run.CostUSD, run.UnsureCostUSD, run.Tokens.Prompt)
	}
}
