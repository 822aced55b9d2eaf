package gemini_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/pace"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A quota is a model's service without a network: it answers after a latency, and
// refuses, with a hint, what is over so many requests or tokens in any minute. It is
// asked through the real SDK, in the time of a synctest bubble.
type quota struct {
	requests, tokens int  // per minute; 0: no limit
	names            bool // its refusals name the quota
	latency          time.Duration
	down             func() bool   // nil: never
	downFor          time.Duration // what it asks to wait then

	mu                        sync.Mutex
	log                       []admitted // of the last minute
	calls, answered, inTokens int
}

type admitted struct {
	at     time.Time
	tokens int
}

// RoundTrip implements [http.RoundTripper].
func (q *quota) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	// Between three and five bytes a token, and always the same for a request.
	tokens := int(float64(len(body)) / (3 + 2*float64(len(body)%97)/97))
	if q.down != nil && q.down() {
		time.Sleep(100 * time.Millisecond)
		e := map[string]any{"code": 503, "status": "UNAVAILABLE", "message": "scripted"}
		if q.downFor > 0 {
			e["details"] = []any{map[string]any{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": fmt.Sprintf("%.0fs", q.downFor.Seconds())}}
		}
		return respond(req, http.StatusServiceUnavailable, map[string]any{"error": e}), nil
	}
	if wait, ok := q.admit(tokens); !ok {
		time.Sleep(20 * time.Millisecond)
		return respond(req, http.StatusTooManyRequests, map[string]any{"error": map[string]any{"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "scripted",
			"details": q.details(wait)}}), nil
	}
	select {
	case <-time.After(q.latency):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	q.mu.Lock()
	q.answered++
	q.mu.Unlock()
	return respond(req, http.StatusOK, map[string]any{
		"candidates": []any{map[string]any{"finishReason": "STOP", "content": map[string]any{"role": "model",
			"parts": []any{map[string]any{"text": geminitest.Encode(good())}}}}},
		"usageMetadata": map[string]any{"promptTokenCount": tokens, "candidatesTokenCount": 700},
		"modelVersion":  "gemini-2.5-flash",
	}), nil
}

// details returns what a refusal says beside its text.
func (q *quota) details(wait time.Duration) []any {
	list := []any{map[string]any{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": fmt.Sprintf("%.3fs", wait.Seconds())}}
	if q.names {
		id, n := "GenerateRequestsPerMinutePerProjectPerModel", q.requests
		if n == 0 {
			id, n = "GenerateContentInputTokensPerModelPerMinute", q.tokens
		}
		list = append(list, map[string]any{"@type": "type.googleapis.com/google.rpc.QuotaFailure",
			"violations": []any{map[string]any{"quotaId": id, "quotaValue": fmt.Sprint(n)}}})
	}
	return list
}

func (q *quota) admit(tokens int) (wait time.Duration, ok bool) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls++
	q.log = slices.DeleteFunc(q.log, func(a admitted) bool { return now.Sub(a.at) >= time.Minute })
	sum := tokens
	for _, a := range q.log {
		sum += a.tokens
	}
	if q.requests > 0 && len(q.log) >= q.requests || q.tokens > 0 && sum > q.tokens {
		return q.log[0].at.Add(time.Minute).Sub(now), false
	}
	q.log = append(q.log, admitted{now, tokens})
	q.inTokens += tokens
	return 0, true
}

func respond(req *http.Request, code int, v any) *http.Response {
	b, _ := json.Marshal(v)
	return &http.Response{StatusCode: code, Status: fmt.Sprint(code, " ", http.StatusText(code)), Request: req,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(b)), ContentLength: int64(len(b))}
}

// quotaEngine returns an engine over n distinct traces whose model is behind q.
func quotaEngine(t testing.TB, q *quota, limits pace.Limits, n int) (*extract.Engine, *memory.Store) {
	t.Helper()
	a, err := gemini.New(t.Context(), gemini.Options{Backend: gemini.GeminiAPI, APIKey: "synthetic-key", BaseURL: "http://quota.invalid", Transport: q})
	if err != nil {
		t.Fatal(err)
	}
	red, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
	if err != nil {
		t.Fatal(err)
	}
	s := memory.New()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		payload, _ := json.Marshal(map[string]any{"messages": []map[string]any{
			{"role": "user", "content": fmt.Sprintf("Where is parcel %d? %s", i, strings.Repeat("Please hurry. ", random.IntN(300)))},
			{"role": "assistant", "content": "The catalog service answered 503, so I cannot say."},
		}})
		if _, err := s.PutTrace(t.Context(), evalforge.RawTrace{TraceID: fmt.Sprintf("t%05d", i), FetchedAt: evalforge.At(time.Unix(1767322800, 0)),
			FailureType: "unknown", Payload: payload, RecurrenceCount: 1}); err != nil {
			t.Fatal(err)
		}
	}
	return &extract.Engine{Queue: s, Ledger: s, Log: slog.New(slog.DiscardHandler), Owner: "bench", Pace: pace.NewLimiter(limits),
		Pipeline: &extract.Pipeline{Analyzer: a, Redactor: red, Now: time.Now},
		Options:  extract.Options{Concurrency: limits.Concurrency}}, s
}

// throughput makes one run and returns the share of the ideal rate that it reached, and
// the share of its calls that were refused.
func throughput(t testing.TB, q *quota, limits pace.Limits, n int) (used, refused float64) {
	t.Helper()
	e, _ := quotaEngine(t, q, limits, n)
	start := time.Now()
	run, err := e.Run(t.Context(), extract.RunRequest{BatchSize: n})
	if err != nil || run.StoredCount != n {
		t.Fatalf("%d of %d stored, %v; %s", run.StoredCount, n, err, run.ThrottleReason)
	}
	took := time.Since(start)
	var ideal time.Duration
	switch {
	case q.requests == 0 && q.tokens == 0:
		rounds := (n + limits.Concurrency - 1) / limits.Concurrency
		ideal = time.Duration(rounds) * q.latency
	default:
		minutes := 0.0
		if q.requests > 0 {
			minutes = float64(n-1) / float64(q.requests)
		}
		if q.tokens > 0 {
			minutes = max(minutes, float64(q.inTokens)/float64(q.tokens))
		}
		ideal = time.Duration(minutes*float64(time.Minute)) + q.latency
	}
	return float64(ideal) / float64(took), float64(q.calls-n) / float64(q.calls)
}

var throughputs = []struct {
	name             string
	requests, tokens int
	concurrency      int
	n                int
}{
	{"60 requests a minute", 60, 0, 8, 180},
	{"300 requests a minute", 300, 0, 16, 400},
	{"400,000 tokens a minute", 0, 400_000, 16, 300},
	{"60 requests and 400,000 tokens a minute", 60, 400_000, 8, 180},
	{"10 requests a minute, 16 at once", 10, 0, 16, 40}, // waits longer than a trace may take
	{"no quota, 16 at once", 0, 0, 16, 320},
}

// TestThroughput: whole runs through the real SDK reach 97 % of the quota with at most
// 1 % of the calls refused, and without a quota 95 % of what so many workers can do.
func TestThroughput(t *testing.T) {
	for _, tt := range throughputs {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &quota{requests: tt.requests, tokens: tt.tokens, latency: 2 * time.Second}
				used, refused := throughput(t, q, pace.Limits{RequestsPerMinute: tt.requests, TokensPerMinute: tt.tokens, Concurrency: tt.concurrency}, tt.n)
				t.Logf("%.1f %% of the ideal rate, %.2f %% of the calls refused", 100*used, 100*refused)
				want := 0.97
				if tt.requests+tt.tokens == 0 {
					want = 0.95
				}
				if used < want || refused > 0.01 {
					t.Errorf("%.1f %% of the ideal rate and %.2f %% refused; want at least %.0f %% and at most 1 %%", 100*used, 100*refused, 100*want)
				}
			})
		})
	}
}

// A quota that the settings do not name is learned: it costs a few refusals, but no trace
// and no attempt.
func TestThroughputUnknownQuota(t *testing.T) {
	for _, tt := range []struct {
		name             string
		requests, tokens int
		names            bool
		n                int
	}{
		{"60 requests a minute", 60, 0, false, 300},
		{"60 requests a minute, which it names", 60, 0, true, 300},
		{"400,000 tokens a minute", 0, 400_000, false, 500},
		{"400,000 tokens a minute, which it names", 0, 400_000, true, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &quota{requests: tt.requests, tokens: tt.tokens, names: tt.names, latency: 2 * time.Second}
				used, refused := throughput(t, q, pace.Limits{Concurrency: 16}, tt.n)
				t.Logf("%.1f %% of the ideal rate, %.2f %% of the calls refused", 100*used, 100*refused)
				if used < 0.95 || refused > 0.02 {
					t.Errorf("%.1f %% of the ideal rate and %.2f %% refused; want at least 95 %% and at most 2 %%", 100*used, 100*refused)
				}
			})
		})
	}
}

// When the model goes down, the run ends soon, says so, and no trace lost an attempt.
// When only one trace fails, that one has the attempt.
func TestModelDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		q := &quota{latency: 2 * time.Second, down: func() bool { return time.Since(start) > time.Minute }}
		e, s := quotaEngine(t, q, pace.Limits{Concurrency: 4}, 400)
		run, err := e.Run(t.Context(), extract.RunRequest{BatchSize: 400})
		if err != nil || run.Check() != nil {
			t.Fatal(err, run.Check())
		}
		if !run.Throttled || !strings.Contains(run.ThrottleReason, "the model does not answer") || !strings.Contains(run.ThrottleReason, "503") {
			t.Errorf("throttled %v: %s", run.Throttled, run.ThrottleReason)
		}
		if run.ErrorCount != 0 || run.NotStartedCount == 0 || run.StoredCount < 100 {
			t.Errorf("%d stored, %d errors, %d not started", run.StoredCount, run.ErrorCount, run.NotStartedCount)
		}
		if took := time.Since(start); took > 90*time.Second {
			t.Errorf("the run ended %v after the model went down", took-time.Minute)
		}
		states, _, err := s.States(t.Context(), extract.StateQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range states {
			if st.Attempts != 0 {
				t.Errorf("%s has %d attempts", st.TraceID, st.Attempts)
			}
		}
		q.down = nil
		if run, err = e.Run(t.Context(), extract.RunRequest{BatchSize: 500}); err != nil || run.StoredCount != run.PickedUpCount || run.Throttled {
			t.Errorf("when it is up again: %+v, %v", run, err)
		}
	})
}

// A service that is busy asks for more time than a trace has. It gets it: the trace was not
// the cause, and is not charged with an attempt.
func TestBusyForLongerThanATraceMayTake(t *testing.T) {
	for _, workers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			q := &quota{latency: 2 * time.Second, downFor: 40 * time.Second,
				down: func() bool { since := time.Since(start); return since > 5*time.Second && since < 30*time.Second }}
			e, s := quotaEngine(t, q, pace.Limits{Concurrency: workers}, 30)
			run, err := e.Run(t.Context(), extract.RunRequest{})
			if err != nil || run.StoredCount != 30 || run.ErrorCount+run.TimedOutCount != 0 {
				t.Errorf("%d workers: %d stored, %d errors, %d timed out, %v: %s", workers, run.StoredCount, run.ErrorCount, run.TimedOutCount, err, run.ThrottleReason)
			}
			states, _, err := s.States(t.Context(), extract.StateQuery{})
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range states {
				if st.Attempts != 0 || st.LastError != "" {
					t.Errorf("%s has %d attempts: %s", st.TraceID, st.Attempts, st.LastError)
				}
			}
		})
	}
}

// A run that is stopped while its traces wait for their turn gives them back at once.
func TestStopWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := quotaEngine(t, &quota{latency: 2 * time.Second}, pace.Limits{RequestsPerMinute: 1, Concurrency: 8}, 20)
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(90*time.Second, stop)
		start := time.Now()
		run, err := e.Run(ctx, extract.RunRequest{})
		if err != nil || run.Check() != nil {
			t.Fatal(err, run.Check())
		}
		if took := time.Since(start); took > 93*time.Second {
			t.Errorf("ended %v after it was stopped", took-90*time.Second)
		}
		if run.StoredCount != 2 || run.NotStartedCount != 8 || run.ErrorCount+run.TimedOutCount != 0 || !run.Throttled {
			t.Errorf("%d stored, %d not started, %d errors, %d timed out; %s", run.StoredCount, run.NotStartedCount, run.ErrorCount, run.TimedOutCount, run.ThrottleReason)
		}
		b, err := s.Backlog(t.Context(), time.Now())
		if err != nil || b.Leased+b.BackingOff+b.Quarantined != 0 {
			t.Errorf("backlog %+v, %v", b, err)
		}
	})
}
