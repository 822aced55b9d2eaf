package gemini

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
)

const (
	outTokens = geminitest.AnswerTokens + geminitest.ThoughtTokens
	// oneCall is the price of one answered call of gemini-2.5-flash.
	oneCall = (float64(geminitest.PromptTokens-geminitest.CachedTokens)*0.30 + geminitest.CachedTokens*0.03 + outTokens*2.50) / 1e6
)

func calls(n int64) evalforge.Tokens {
	return evalforge.Tokens{Prompt: n * geminitest.PromptTokens, Cached: n * geminitest.CachedTokens, Output: n * outTokens}
}

func TestAnswer(t *testing.T) {
	onBoth(t, func(t *testing.T, b Backend) {
		r := newRig(t, b, Options{})
		got, err := r.analyze(t)
		if err != nil {
			t.Fatal(err)
		}
		temperature := DefaultTemperature
		want := &extract.Answer{
			Analysis:     got.Analysis,
			Model:        "gemini-2.5-flash",
			ModelVersion: "gemini-2.5-flash-001",
			PromptSHA256: prompts.Version(),
			Temperature:  &temperature,
			Tokens:       calls(1),
			CostUSD:      oneCall,
			Attempts:     1,
			Latency:      got.Latency,
			Raw:          got.Raw,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
		if err := got.Analysis.Validate(); err != nil {
			t.Errorf("analysis: %v", err)
		}
		if q := got.Analysis.Evidence.Refs[0].Quote; q != canary {
			t.Errorf("quote = %q", q)
		}
		if got.Analysis.FailureType != evalforge.InfrastructureError {
			t.Errorf("failure type = %q: the hints did not arrive", got.Analysis.FailureType)
		}
		if got.Latency <= 0 || len(got.Raw) == 0 {
			t.Errorf("latency %v, %d raw bytes", got.Latency, len(got.Raw))
		}
	})
}

// Each way of the service to answer ends in one kind, after a fixed number of calls,
// with what they cost.
func TestOutcomes(t *testing.T) {
	const base = DefaultBackoff
	well := geminitest.Well()
	tests := []struct {
		name   string
		script []geminitest.Reply
		kind   extract.Kind // "" for an answer
		calls  int
		paid   int64 // calls with usage
		sleeps []time.Duration
		text   string // part of the error
	}{
		{name: "500 twice", script: []geminitest.Reply{geminitest.Status(500, "INTERNAL", "x"), geminitest.Status(503, "UNAVAILABLE", "x"), well},
			calls: 3, paid: 1, sleeps: []time.Duration{base / 2, base}},
		{name: "500 always", script: []geminitest.Reply{geminitest.Status(500, "INTERNAL", "An internal error has occurred.")},
			kind: extract.KindUnavailable, calls: 3, sleeps: []time.Duration{base / 2, base}, text: "after 3 attempts"},
		{name: "503 page", script: []geminitest.Reply{geminitest.HTML(503), well}, calls: 2, paid: 1, sleeps: []time.Duration{base / 2}},
		{name: "503 page always", script: []geminitest.Reply{geminitest.HTML(503)}, kind: extract.KindUnavailable, calls: 3,
			sleeps: []time.Duration{base / 2, base}, text: "answered 503 Service Unavailable"},
		{name: "408", script: []geminitest.Reply{geminitest.HTML(408), well}, calls: 2, paid: 1, sleeps: []time.Duration{base / 2}},
		{name: "429", script: []geminitest.Reply{geminitest.RateLimited(0, ""), well}, calls: 2, paid: 1,
			sleeps: []time.Duration{base + base/2}},
		{name: "429 always", script: []geminitest.Reply{geminitest.RateLimited(0, "")}, kind: extract.KindRateLimited, calls: 3,
			sleeps: []time.Duration{base + base/2, base + base}, text: "429 RESOURCE_EXHAUSTED"},
		{name: "429 with RetryInfo", script: []geminitest.Reply{geminitest.RateLimited(7*time.Second, ""), well}, calls: 2, paid: 1,
			sleeps: []time.Duration{7*time.Second + base/2}},
		{name: "429 with Retry-After", script: []geminitest.Reply{geminitest.RateLimited(0, "5"), well}, calls: 2, paid: 1,
			sleeps: []time.Duration{5*time.Second + base/2}},
		{name: "429 with both", script: []geminitest.Reply{geminitest.RateLimited(2*time.Second, "5"), well}, calls: 2, paid: 1,
			sleeps: []time.Duration{5*time.Second + base/2}},
		{name: "429 past the deadline", script: []geminitest.Reply{geminitest.RateLimited(40*time.Second, "")}, kind: extract.KindRateLimited,
			calls: 1, text: "asks to wait 40s"},
		{name: "429 for the day", script: []geminitest.Reply{geminitest.DailyQuota()}, kind: extract.KindRateLimited, calls: 1},
		{name: "503 with Retry-After", script: []geminitest.Reply{func(w http.ResponseWriter, r *geminitest.Request) {
			w.Header().Set("Retry-After", "3")
			geminitest.Status(503, "UNAVAILABLE", "x")(w, r)
		}, well}, calls: 2, paid: 1, sleeps: []time.Duration{3*time.Second + base/2}},
		{name: "400", script: []geminitest.Reply{geminitest.Status(400, "INVALID_ARGUMENT", "Unable to submit request.")}, kind: extract.KindRejected, calls: 1, text: "Unable to submit request."},
		{name: "400 for the key", script: []geminitest.Reply{geminitest.InvalidKey()}, kind: extract.KindConfig, calls: 1},
		{name: "401", script: []geminitest.Reply{geminitest.Status(401, "UNAUTHENTICATED", "x")}, kind: extract.KindConfig, calls: 1},
		{name: "403", script: []geminitest.Reply{geminitest.Status(403, "PERMISSION_DENIED", "x")}, kind: extract.KindConfig, calls: 1},
		{name: "404 page", script: []geminitest.Reply{geminitest.HTML(404)}, kind: extract.KindConfig, calls: 1},
		{name: "billing", script: []geminitest.Reply{geminitest.Status(400, "FAILED_PRECONDITION", "Please enable billing on your project.")}, kind: extract.KindConfig, calls: 1, text: "check that the project has billing"},
		{name: "402", script: []geminitest.Reply{geminitest.HTML(402)}, kind: extract.KindConfig, calls: 1, text: "billing"},
		{name: "407", script: []geminitest.Reply{geminitest.HTML(407)}, kind: extract.KindUnavailable, calls: 3, sleeps: []time.Duration{base / 2, base}, text: "proxy"},
		{name: "400 of a proxy", script: []geminitest.Reply{geminitest.HTML(400)}, kind: extract.KindUnavailable, calls: 3, sleeps: []time.Duration{base / 2, base}, text: "proxy"},
		{name: "413", script: []geminitest.Reply{geminitest.HTML(413)}, kind: extract.KindRejected, calls: 1},
		{name: "redirect", script: []geminitest.Reply{func(w http.ResponseWriter, _ *geminitest.Request) {
			w.Header().Set("Location", "https://example.invalid/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}}, kind: extract.KindUnavailable, calls: 3, sleeps: []time.Duration{base / 2, base}},
		{name: "garbage", script: []geminitest.Reply{geminitest.Garbage(), well}, calls: 2, paid: 1, sleeps: []time.Duration{base / 2}},
		{name: "garbage always", script: []geminitest.Reply{geminitest.Garbage()}, kind: extract.KindUnavailable, calls: 3,
			sleeps: []time.Duration{base / 2, base}, text: "is there a proxy or a login page in between"},
		{name: "an array", script: []geminitest.Reply{geminitest.JSON(200, []any{})}, kind: extract.KindUnavailable, calls: 3, sleeps: []time.Duration{base / 2, base}},
		{name: "JSON of another form", script: []geminitest.Reply{geminitest.JSON(200, map[string]any{"candidates": "none"})}, kind: extract.KindUnavailable, calls: 3,
			sleeps: []time.Duration{base / 2, base}, text: "no response of the model"},
		{name: "half", script: []geminitest.Reply{geminitest.Half(), well}, calls: 2, paid: 1, sleeps: []time.Duration{base / 2}},
		{name: "half always", script: []geminitest.Reply{geminitest.Half()}, kind: extract.KindUnavailable, calls: 3,
			sleeps: []time.Duration{base / 2, base}, text: "broke off"},
		{name: "dropped", script: []geminitest.Reply{geminitest.Drop(), well}, calls: 2, paid: 1, sleeps: []time.Duration{base / 2}},
		{name: "blocked prompt", script: []geminitest.Reply{geminitest.Blocked("PROHIBITED_CONTENT")}, kind: extract.KindBlocked, calls: 1, text: "PROHIBITED_CONTENT"},
		{name: "safety", script: []geminitest.Reply{geminitest.Finish("SAFETY", "")}, kind: extract.KindBlocked, calls: 1, paid: 1, text: "SAFETY"},
		{name: "recitation", script: []geminitest.Reply{geminitest.Finish("RECITATION", "half an answer")}, kind: extract.KindBlocked, calls: 1, paid: 1, text: "RECITATION"},
		{name: "new finish reason", script: []geminitest.Reply{geminitest.Finish("SOMETHING_NEW", "")}, kind: extract.KindBlocked, calls: 1, paid: 1, text: "SOMETHING_NEW"},
		{name: "continuation", script: []geminitest.Reply{geminitest.Finish("CONTINUATION", "{")}, kind: extract.KindTruncated, calls: 1 + 1, paid: 2},
		{name: "max tokens once", script: []geminitest.Reply{geminitest.Finish("MAX_TOKENS", `{"evi`), well}, calls: 2, paid: 2},
		{name: "max tokens always", script: []geminitest.Reply{geminitest.Finish("MAX_TOKENS", "")}, kind: extract.KindTruncated, calls: 2, paid: 2, text: "cut at the output limit"},
		{name: "no candidates", script: []geminitest.Reply{geminitest.NoCandidates(), well}, calls: 2, paid: 1, sleeps: []time.Duration{base / 2}},
		{name: "no candidates always", script: []geminitest.Reply{geminitest.NoCandidates()}, kind: extract.KindUnavailable, calls: 3, sleeps: []time.Duration{base / 2, base}},
		{name: "empty body", script: []geminitest.Reply{geminitest.EmptyBody()}, kind: extract.KindUnavailable, calls: 3, sleeps: []time.Duration{base / 2, base}},
		{name: "no text", script: []geminitest.Reply{geminitest.Finish("STOP", "")}, kind: extract.KindEmpty, calls: 3, paid: 3, sleeps: []time.Duration{base / 2, base}},
		{name: "429 in a 200", script: []geminitest.Reply{geminitest.ErrorIn200(429, "RESOURCE_EXHAUSTED", "x"), well}, calls: 2, paid: 1, sleeps: []time.Duration{base + base/2}},
		{name: "403 in a 200", script: []geminitest.Reply{geminitest.ErrorIn200(403, "PERMISSION_DENIED", "x")}, kind: extract.KindConfig, calls: 1},
		{name: "an error without code in a 200", script: []geminitest.Reply{geminitest.JSON(200, map[string]any{"error": "down"})}, kind: extract.KindUnavailable, calls: 3, sleeps: []time.Duration{base / 2, base}},
		{name: "prose", script: []geminitest.Reply{geminitest.Text("I cannot help with that.")}, kind: extract.KindInvalidJSON, calls: 1, paid: 1},
		{name: "schema", script: []geminitest.Reply{geminitest.Text(`{"title": 3, "nope": 1}`)}, kind: extract.KindSchema, calls: 1, paid: 1,
			text: `evidence is missing; `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, b Backend) {
				r := newRig(t, b, Options{}, tt.script...)
				ans, err := r.analyze(t)
				reqs := r.srv.Requests()
				if len(reqs) != tt.calls {
					t.Errorf("%d calls, want %d", len(reqs), tt.calls)
				}
				if diff := cmp.Diff(tt.sleeps, r.sleeps); diff != "" {
					t.Errorf("waits (-want +got):\n%s", diff)
				}
				if tt.kind == "" {
					if err != nil {
						t.Fatal(err)
					}
					if ans.Attempts != tt.calls || ans.Tokens != calls(tt.paid) {
						t.Errorf("attempts %d, tokens %+v; want %d, %+v", ans.Attempts, ans.Tokens, tt.calls, calls(tt.paid))
					}
					return
				}
				var e *extract.Error
				if !errors.As(err, &e) {
					t.Fatalf("error is %T: %v", err, err)
				}
				if e.Kind != tt.kind {
					t.Errorf("kind = %s, want %s (%v)", e.Kind, tt.kind, err)
				}
				if !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %q does not say %q", err, tt.text)
				}
				if e.Spent.Attempts != tt.calls {
					t.Errorf("spent %d attempts, want %d", e.Spent.Attempts, tt.calls)
				}
				if tt.kind != extract.KindBlocked && e.Spent.Tokens != calls(tt.paid) {
					t.Errorf("spent tokens %+v, want %+v", e.Spent.Tokens, calls(tt.paid))
				}
				if want := float64(tt.paid) * oneCall; tt.kind != extract.KindBlocked && !near(e.Spent.CostUSD, want) {
					t.Errorf("spent $%v, want $%v", e.Spent.CostUSD, want)
				}
				if strings.Contains(err.Error(), "page body") {
					t.Errorf("error repeats a page: %v", err)
				}
			})
		})
	}
}

func near(a, b float64) bool { return a-b < 1e-12 && b-a < 1e-12 }

// A blocked prompt is billed; a refused answer is kept for its digest.
func TestSpentAndResponseOfFailures(t *testing.T) {
	r := newRig(t, GeminiAPI, Options{}, geminitest.Blocked("SAFETY"))
	_, err := r.analyze(t)
	var e *extract.Error
	if !errors.As(err, &e) || e.Spent.Tokens.Prompt != geminitest.PromptTokens {
		t.Errorf("blocked prompt: spent %+v (%v)", e.Spent, err)
	}
	for _, text := range []string{"no JSON", `{"title":"x"}`, `{"a":1} trailing`} {
		r := newRig(t, GeminiAPI, Options{}, geminitest.Text(text))
		_, err := r.analyze(t)
		if !errors.As(err, &e) || string(e.Response) != text {
			t.Errorf("answer %q: response = %q (%v)", text, e.Response, err)
		}
	}
}

// A cut answer is asked for once more, with twice the room.
func TestCutAnswerGetsMoreRoom(t *testing.T) {
	r := newRig(t, Vertex, Options{MaxOutputTokens: 1000}, geminitest.Finish("MAX_TOKENS", ""), geminitest.Well())
	if _, err := r.analyze(t); err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, q := range r.srv.Requests() {
		got = append(got, q.Config["maxOutputTokens"])
	}
	if diff := cmp.Diff([]any{1000.0, 2000.0}, got); diff != "" {
		t.Errorf("output caps (-want +got):\n%s", diff)
	}

	r = newRig(t, Vertex, Options{MaxOutputTokens: 65536}, geminitest.Finish("MAX_TOKENS", ""))
	if _, err := r.analyze(t); extract.KindOf(err) != extract.KindTruncated || len(r.srv.Requests()) != 1 {
		t.Errorf("at the service's limit: %d calls, %v; want 1 and truncated", len(r.srv.Requests()), err)
	}
}

// The deadline cancels the call: the connection is given up, and the server notices.
func TestDeadlineCancels(t *testing.T) {
	onBoth(t, func(t *testing.T, b Backend) {
		hungUp := make(chan struct{})
		r := newRig(t, b, Options{}, func(w http.ResponseWriter, q *geminitest.Request) {
			geminitest.Never()(w, q)
			close(hungUp)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		_, err := r.Analyze(ctx, testInput())
		if len(r.srv.Requests()) == 0 {
			t.Fatal("the request did not arrive in time: the machine is too slow for this test")
		}
		var e *extract.Error
		if !errors.As(err, &e) || e.Kind != extract.KindTimeout || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want a timeout", err)
		}
		if e != nil && e.Spent.Attempts != 1 {
			t.Errorf("spent %d attempts, want 1", e.Spent.Attempts)
		}
		<-hungUp
	})
}

func TestCancelIsNoTimeout(t *testing.T) {
	stop := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	r := newRig(t, GeminiAPI, Options{}, func(w http.ResponseWriter, q *geminitest.Request) {
		cancel(stop)
		geminitest.Never()(w, q)
	})
	_, err := r.Analyze(ctx, testInput())
	if !errors.Is(err, stop) || extract.KindOf(err) == extract.KindTimeout {
		t.Errorf("error = %v (%s), want the cause", err, extract.KindOf(err))
	}
}

// An answer that comes late but in time is used.
func TestLateAnswer(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, Vertex, Options{}, geminitest.Late(release, geminitest.Well()))
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	if ans, err := r.analyze(t); err != nil || ans.Attempts != 1 {
		t.Errorf("answer %+v, %v", ans, err)
	}
}

// No call starts when its context is done already, or too little time is left.
func TestNoCallWithoutTime(t *testing.T) {
	r := newRig(t, Vertex, Options{})
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := r.Analyze(ctx, testInput()); extract.KindOf(err) != extract.KindTimeout {
		t.Errorf("error = %v", err)
	}
	if n := len(r.srv.Requests()); n != 0 {
		t.Errorf("%d calls, want 0", n)
	}
}

func TestWaits(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		n    int
		f    failure
		left time.Duration
		want time.Duration // -1: not waited
	}{
		{"first", 1, failure{kind: extract.KindUnavailable}, time.Minute, 500 * time.Millisecond},
		{"second", 2, failure{kind: extract.KindUnavailable}, time.Minute, time.Second},
		{"bounded", 9, failure{kind: extract.KindUnavailable}, time.Hour, maxBackoff / 2},
		{"hint of nothing", 1, failure{kind: extract.KindRateLimited, hinted: true}, time.Minute, 1500 * time.Millisecond},
		{"hint", 1, failure{kind: extract.KindRateLimited, wait: 10 * time.Second, hinted: true}, time.Minute, 10500 * time.Millisecond},
		{"jitter cut to fit", 1, failure{kind: extract.KindRateLimited, wait: 10 * time.Second, hinted: true}, 10*time.Second + minCall + time.Millisecond, 10*time.Second + time.Millisecond},
		{"hint just too long", 1, failure{kind: extract.KindRateLimited, wait: 10 * time.Second, hinted: true}, 10*time.Second + minCall, -1},
		{"deadline passed", 1, failure{kind: extract.KindUnavailable}, 0, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := time.Duration(-1)
			a := &Analyzer{opt: Options{Backoff: time.Second},
				now:    func() time.Time { return now },
				jitter: func(d time.Duration) time.Duration { return d / 2 },
				sleep:  func(_ context.Context, d time.Duration) error { got = d; return nil },
			}
			f := tt.f
			f.err = errors.New("failed")
			ret := a.pause(fixedDeadline{t.Context(), now.Add(tt.left)}, tt.n, &f)
			if got != tt.want || (ret == nil) != (tt.want >= 0) {
				t.Errorf("waited %v, want %v; failure %v", got, tt.want, ret)
			}
			if ret != nil && !errors.Is(ret.err, errNoTime) {
				t.Errorf("error = %v", ret.err)
			}
		})
	}
}

// A fixedDeadline is a context with a deadline on a clock of its own.
type fixedDeadline struct {
	context.Context
	at time.Time
}

func (c fixedDeadline) Deadline() (time.Time, bool) { return c.at, true }

// A model that is gone is replaced once, with one warning, by all callers at once, and
// is not asked again.
func TestSuccessorTakesOver(t *testing.T) {
	onBoth(t, func(t *testing.T, b Backend) {
		r := newRig(t, b, Options{})
		r.srv.Gone("gemini-2.5-flash")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				ans, err := r.Analyze(t.Context(), testInput())
				if err != nil {
					t.Error(err)
					return
				}
				if ans.Model != "gemini-3.5-flash-lite" || ans.ModelVersion != "gemini-3.5-flash-lite-001" {
					t.Errorf("answered by %s, %s", ans.Model, ans.ModelVersion)
				}
			})
		}
		wg.Wait()
		if n := strings.Count(r.logs.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, r.logs)
		}
		if len(r.sleeps) != 0 {
			t.Errorf("waited %v before the successor", r.sleeps)
		}
		before := len(r.srv.Requests())
		if _, err := r.analyze(t); err != nil {
			t.Fatal(err)
		}
		if after := r.srv.Requests()[before:]; len(after) != 1 || after[0].Model != "gemini-3.5-flash-lite" {
			t.Errorf("later calls: %d, of %s", len(after), after[0].Model)
		}
		if r.Model() != "gemini-3.5-flash-lite" {
			t.Errorf("Model() = %s", r.Model())
		}
	})
}

// Finding a model gone takes nothing from the attempts at its successor.
func TestSuccessorGetsAllAttempts(t *testing.T) {
	down := geminitest.Status(503, "UNAVAILABLE", "x")
	r := newRig(t, Vertex, Options{}, down, down, geminitest.Well())
	r.srv.Gone("gemini-2.5-flash", "gemini-3.5-flash-lite")
	ans, err := r.analyze(t)
	if err != nil {
		t.Fatal(err)
	}
	if ans.Attempts != 5 || ans.Model != "gemini-3.1-flash-lite" {
		t.Errorf("%d attempts, %s answered; want 5, gemini-3.1-flash-lite", ans.Attempts, ans.Model)
	}
}

func TestNoModelLeft(t *testing.T) {
	r := newRig(t, Vertex, Options{Model: "gemini-typo"})
	r.srv.Gone("gemini-typo")
	r.srv.Gone(successors...)
	_, err := r.analyze(t)
	if extract.KindOf(err) != extract.KindConfig || !strings.Contains(err.Error(), "GEMINI_MODEL") {
		t.Errorf("error = %v", err)
	}
	var got []string
	for _, q := range r.srv.Requests() {
		got = append(got, q.Model)
	}
	if diff := cmp.Diff(slices.Concat([]string{"gemini-typo"}, successors), got); diff != "" {
		t.Errorf("models asked (-want +got):\n%s", diff)
	}
}

// What the service says of a model is stored and logged redacted: its name must survive that.
func TestRefusalKeepsTheNameOfTheModel(t *testing.T) {
	red, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
	if err != nil {
		t.Fatal(err)
	}
	const text = "models/gemini-2.5-flash is not found for API version v1beta"
	for _, backend := range []Backend{GeminiAPI, Vertex} {
		r := newRig(t, backend, Options{Successors: []string{}}, geminitest.Status(http.StatusNotFound, "NOT_FOUND", text))
		_, err := r.analyze(t)
		if err == nil {
			t.Fatal("no error")
		}
		if got, _ := red.Text(err.Error()); !strings.Contains(got, text) {
			t.Errorf("%s: %s", backend, got)
		}
	}
}

// Retired models may be answered for by others: those are what is paid.
func TestCostIsOfTheModelThatAnswered(t *testing.T) {
	r := newRig(t, GeminiAPI, Options{}, geminitest.JSON(200, map[string]any{
		"modelVersion":  "models/gemini-3.6-flash",
		"usageMetadata": map[string]any{"promptTokenCount": 1e6, "candidatesTokenCount": 1e5},
		"candidates": []any{map[string]any{"finishReason": "STOP", "content": map[string]any{
			"parts": []any{map[string]any{"text": string(prompts.Examples()[0].Answer)}}}}},
	}))
	ans, err := r.analyze(t)
	if err != nil {
		t.Fatal(err)
	}
	if ans.ModelVersion != "gemini-3.6-flash" || !near(ans.CostUSD, 1.50+0.75) {
		t.Errorf("%s for $%v, want gemini-3.6-flash for $2.25", ans.ModelVersion, ans.CostUSD)
	}
}

// Neither the key nor anything of the trace or the answer stands in errors and logs,
// whatever the service sends.
func TestNothingLeaks(t *testing.T) {
	echo := func(code int, status string) geminitest.Reply {
		return func(w http.ResponseWriter, q *geminitest.Request) {
			geminitest.Status(code, status, "bad request: "+string(q.Trace())+" key "+testKey)(w, q)
		}
	}
	bad := func(field string, v any) geminitest.Reply {
		var m map[string]any
		if err := json.Unmarshal(prompts.Examples()[0].Answer, &m); err != nil {
			t.Fatal(err)
		}
		m[field] = v
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return geminitest.Text(string(b))
	}
	scripts := map[string]geminitest.Reply{
		"400 echo":       echo(400, "INVALID_ARGUMENT"),
		"403 echo":       echo(403, "PERMISSION_DENIED"),
		"429 echo":       echo(429, "RESOURCE_EXHAUSTED"),
		"500 echo":       echo(500, "INTERNAL"),
		"200 echo":       geminitest.ErrorIn200(500, "INTERNAL", canary),
		"text":           geminitest.Text(canary),
		"type":           bad("severity", []any{canary}),
		"enum":           bad("failure_type", canary),
		"number as text": bad("confidence", canary),
		"finish reason":  geminitest.Finish(canary, canary),
		"block reason":   geminitest.Blocked(canary),
		"raw body":       geminitest.JSON(200, canary),
		"wrong form":     geminitest.JSON(200, map[string]any{"candidates": canary}),
		"gone":           geminitest.ModelGone(),
		"key echo":       geminitest.Status(403, "PERMISSION_DENIED", "key "+testKey+" is not allowed"),
		"not an error": func(w http.ResponseWriter, _ *geminitest.Request) {
			w.WriteHeader(500)
			fmt.Fprintf(w, `{"detail": %q}`, canary)
		},
	}
	for name, reply := range scripts {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, b Backend) {
				r := newRig(t, b, Options{}, reply)
				_, err := r.analyze(t)
				if err == nil {
					t.Fatal("no error")
				}
				for _, where := range []string{err.Error(), r.logs.String()} {
					for _, secret := range []string{testKey, canary[:16]} {
						if strings.Contains(where, secret) {
							t.Errorf("%q stands in %s", secret, where)
						}
					}
				}
			})
		})
	}
}

// Many goroutines share one analyzer; the race detector watches.
func TestConcurrentUse(t *testing.T) {
	r := newRig(t, GeminiAPI, Options{}, geminitest.Status(503, "UNAVAILABLE", "x"), geminitest.Well())
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := r.Analyze(t.Context(), testInput()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
