package gemini_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A whole run against a service that answers each trace in another way, on both
// backends: every trace ends in exactly one outcome, whatever its neighbours met, and
// what was paid for is counted. TestMain checks that nothing is left running.
func TestRunOverEveryKindOfAnswer(t *testing.T) {
	refused := good()
	refused.Title = ""
	invented := good()
	quote := "a passage that stands nowhere in the trace"
	invented.Evidence.Excerpt, invented.Evidence.Refs = &quote, []evalforge.EvidenceRef{{Quote: quote}}
	leaky := good()
	leaky.Summary = "The customer jo.doe@example.com was not served."

	cases := map[string]struct {
		reply geminitest.Reply
		want  evalforge.Outcome
		typ   evalforge.ErrorType // of the one error document, or ""
	}{
		"well":                 {geminitest.Well(), evalforge.Stored, ""},
		"leaky":                {geminitest.Analysis(leaky), evalforge.Stored, ""},
		"schema-broken":        {geminitest.Analysis(refused), evalforge.ValidationFailed, evalforge.SchemaValidation},
		"invented":             {geminitest.Analysis(invented), evalforge.ValidationFailed, evalforge.SchemaValidation},
		"prose":                {geminitest.Text("I am sorry, I can not help with that."), evalforge.ValidationFailed, evalforge.InvalidJSON},
		"garbage":              {geminitest.Garbage(), evalforge.Errored, evalforge.VertexError},
		"empty":                {geminitest.NoCandidates(), evalforge.Errored, evalforge.VertexError},
		"cut-off":              {geminitest.Finish("MAX_TOKENS", `{"title":"a`), evalforge.ValidationFailed, evalforge.InvalidJSON},
		"half":                 {geminitest.Half(), evalforge.Errored, evalforge.VertexError},
		"rate-limited":         {geminitest.RateLimited(0, ""), evalforge.Errored, evalforge.VertexError},
		"server-error":         {geminitest.Status(500, "INTERNAL", "scripted"), evalforge.Errored, evalforge.VertexError},
		"unavailable":          {geminitest.HTML(503), evalforge.Errored, evalforge.VertexError},
		"bad-request":          {geminitest.Status(400, "INVALID_ARGUMENT", "scripted"), evalforge.Errored, evalforge.VertexError},
		"blocked":              {geminitest.Blocked("PROHIBITED_CONTENT"), evalforge.Errored, evalforge.VertexError},
		"error-in-two-hundred": {geminitest.ErrorIn200(503, "UNAVAILABLE", "scripted"), evalforge.Errored, evalforge.VertexError},
		"never":                {geminitest.Never(), evalforge.TimedOut, evalforge.Timeout},
	}
	for _, backend := range []gemini.Backend{gemini.Vertex, gemini.GeminiAPI} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			srv := geminitest.NewServer(t, func(w http.ResponseWriter, r *geminitest.Request) {
				requests.Add(1)
				for name, c := range cases {
					if strings.Contains(string(r.Trace()), "parcel "+name+" ") {
						c.reply(w, r)
						return
					}
				}
				t.Errorf("a request about no trace of this test:\n%s", r.Trace())
			})
			opt := gemini.Options{Backend: backend, BaseURL: srv.URL, Backoff: time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
			if backend == gemini.Vertex {
				opt.Project = "synthetic-project"
			} else {
				opt.APIKey = "synthetic-key"
			}
			a, err := gemini.New(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			r, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
			if err != nil {
				t.Fatal(err)
			}
			s := memory.New()
			want := map[string]evalforge.Outcome{}
			for _, name := range slices.Sorted(maps.Keys(cases)) {
				want[name] = cases[name].want
				payload, err := json.Marshal(map[string]any{"messages": []map[string]any{
					{"role": "user", "content": "Where is parcel " + name + " of jo.doe@example.com?"},
					{"role": "assistant", "content": "The catalog service answered 503, so I cannot say."},
				}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.PutTrace(t.Context(), evalforge.RawTrace{TraceID: name, FetchedAt: evalforge.At(time.Unix(1767322800, 0)), FailureType: "unknown", Payload: payload, RecurrenceCount: 1}); err != nil {
					t.Fatal(err)
				}
			}
			e := &extract.Engine{Queue: s, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Owner: "test",
				Pipeline: &extract.Pipeline{Analyzer: a, Redactor: r, Now: time.Now},
				Options:  extract.Options{Concurrency: 4, TraceTimeout: 3 * time.Second}}
			run, err := e.Run(t.Context(), extract.RunRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if err := run.Check(); err != nil {
				t.Error(err)
			}
			got := map[string]evalforge.Outcome{}
			for _, o := range run.TraceOutcomes {
				got[o.SourceTraceID] = o.Status
				if o.ErrorReason != nil && strings.Contains(*o.ErrorReason, "jo.doe") {
					t.Errorf("%s: trace content in the reason: %s", o.SourceTraceID, *o.ErrorReason)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			for name, c := range cases {
				list, _, err := s.Errors(t.Context(), extract.ErrorQuery{TraceID: name})
				if err != nil {
					t.Fatal(err)
				}
				var types []evalforge.ErrorType
				for _, x := range list {
					types = append(types, x.ErrorType)
				}
				if want := c.typ; len(types) > 1 || want == "" && len(types) > 0 || want != "" && !slices.Contains(types, want) {
					t.Errorf("%s: errors of type %v, want one of %q", name, types, want)
				}
			}
			if run.Tokens.Prompt == 0 || run.CostUSD == 0 {
				t.Errorf("the run cost %v USD and %+v tokens; want what the answers took", run.CostUSD, run.Tokens)
			}
			p, err := s.Pattern(t.Context(), "leaky")
			if err != nil || strings.Contains(p.Summary, "jo.doe") || !strings.Contains(p.Summary, "[REDACTED:EMAIL:") {
				t.Errorf("summary = %q, %v; want it redacted", p.Summary, err)
			}
			for _, req := range srv.Requests() {
				if strings.Contains(string(req.Body), "jo.doe") {
					t.Error("personal data went to the model")
				}
			}
			before := requests.Load()
			if run, err = e.Run(t.Context(), extract.RunRequest{}); err != nil || run.PickedUpCount != 0 || requests.Load() != before {
				t.Errorf("a second run at once picked up %d traces with %d requests, %v; want none before their backoff", run.PickedUpCount, requests.Load()-before, err)
			}
		})
	}
}

// good is an answer that holds for every trace of TestRunOverEveryKindOfAnswer.
func good() evalforge.Analysis {
	quote := "The catalog service answered 503"
	step := 1
	return evalforge.Analysis{
		Title: "Catalog lookup failed", FailureType: evalforge.InfrastructureError, TriggerCondition: "dependency unavailable",
		Summary: "The lookup failed.", RootCauseHypothesis: "The catalog was down.",
		Evidence:            evalforge.Evidence{Signals: []string{"a 503"}, Excerpt: &quote, Refs: []evalforge.EvidenceRef{{Step: &step, Quote: quote}}},
		RecommendedActions:  []string{"Retry with backoff."},
		ReproductionContext: evalforge.ReproductionContext{InputPattern: "any lookup", ToolsInvolved: []string{}},
		Severity:            evalforge.High, Confidence: 0.9, ConfidenceRationale: "The error is explicit.",
	}
}

// A service that asks to wait for hours ends the run at once, and takes no trace with it.
func TestLongWaitEndsTheRun(t *testing.T) {
	for name, reply := range map[string]geminitest.Reply{
		"429": geminitest.RateLimited(0, "36000"),
		"503": func(w http.ResponseWriter, q *geminitest.Request) {
			w.Header().Set("Retry-After", "36000")
			geminitest.Status(http.StatusServiceUnavailable, "UNAVAILABLE", "scripted")(w, q)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var back atomic.Bool
			r := newReuseRig(t, func(w http.ResponseWriter, q *geminitest.Request) {
				if back.Load() {
					quoting(w, q)
					return
				}
				reply(w, q)
			})
			r.engine.Options.Concurrency = 1
			for i := range 4 {
				r.put(storm(fmt.Sprintf("t%d", i), i, 400+i))
			}
			run, err := r.engine.Run(ctx, extract.RunRequest{})
			if err != nil || !strings.Contains(run.ThrottleReason, "asks to wait 10h0m0s") {
				t.Errorf("ended because %q, %v", run.ThrottleReason, err)
			}
			b, err := r.store.Backlog(t.Context(), time.Now())
			if err != nil || b.Pending != 4 || len(r.srv.Requests()) != 1 {
				t.Errorf("%d calls, backlog %+v, %v; want one, and all traces waiting", len(r.srv.Requests()), b, err)
			}
		})
	}
}

// What is no answer of the model is an outage, also for a run that is over in no time: the
// traces are given back as they were, and nothing is recorded about them.
func TestNoAnswerOfTheModelIsAnOutage(t *testing.T) {
	for name, reply := range map[string]geminitest.Reply{
		"a login page": geminitest.HTML(200), "{}": geminitest.NoCandidates(), "a redirect": geminitest.HTML(302),
		"a proxy that wants a password": geminitest.HTML(407), "nothing": geminitest.EmptyBody(), "other JSON": geminitest.JSON(200, map[string]any{"candidates": "none"}),
	} {
		t.Run(name, func(t *testing.T) {
			var back atomic.Bool
			r := newReuseRig(t, func(w http.ResponseWriter, q *geminitest.Request) {
				if back.Load() {
					quoting(w, q)
					return
				}
				reply(w, q)
			})
			r.engine.Options.Concurrency = 1
			for i, said := range []string{"one", "two", "three"} {
				tr := storm(said, i, 429)
				tr.Payload = []byte(strings.Replace(string(tr.Payload), "Summarise", said, 1))
				r.put(tr)
			}
			for range 3 {
				run := r.run(extract.RunRequest{})
				if run.NotStartedCount != 3 || !run.Throttled || !strings.HasPrefix(run.ThrottleReason, "the model does not answer: ") {
					t.Errorf("%d given back, throttled %v for %q; want 3, because the model does not answer", run.NotStartedCount, run.Throttled, run.ThrottleReason)
				}
			}
			errs, _, err := r.store.Errors(t.Context(), extract.ErrorQuery{})
			if err != nil || len(errs) != 0 {
				t.Errorf("%d errors are recorded, %v; want none", len(errs), err)
			}
			back.Store(true)
			if run := r.run(extract.RunRequest{}); run.StoredCount != 3 {
				t.Errorf("%d stored when the model is back, want 3", run.StoredCount)
			}
		})
	}
}
