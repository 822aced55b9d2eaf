package pages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/rules"
	"github.com/evalforge/evalforge/internal/server"
	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/pages"
	"github.com/evalforge/evalforge/internal/server/route"
	"github.com/evalforge/evalforge/internal/server/runner"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A world is a service with pages over a store in memory, and what happened to it: the bundled samples
// came in over three weeks, in several runs.
type world struct {
	t        *testing.T
	store    *memory.Store
	pipeline *extract.Pipeline
	engine   *extract.Engine
	runner   *runner.Runner
	clock    *clock
	url      string
	// gate, if not nil, holds up the analysis of each trace until it delivers.
	gate chan struct{}
}

// A clock goes on by a little with each look at it, so that everything takes time and none is measured.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(3 * time.Millisecond)
	return c.at
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

// today is when the pages are looked at.
var today = time.Date(2026, 3, 20, 16, 30, 0, 0, time.UTC)

// A held analyzer is the rules analyzer, but that it waits for a gate, and gives a bad answer about traces
// whose id begins with "refused-".
type held struct {
	rules *rules.Analyzer
	w     *world
}

func (h held) Name() string  { return h.rules.Name() }
func (h held) Model() string { return h.rules.Model() }

func (h held) Analyze(ctx context.Context, in *extract.Input) (*extract.Answer, error) {
	if h.w.gate != nil {
		select {
		case <-h.w.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if strings.HasPrefix(in.TraceID, "refused-") {
		return nil, &extract.Error{Kind: extract.KindSchema, Err: errors.New("the answer is not a valid analysis: severity: is none of low, medium, high, critical"),
			Response: []byte(`{"title": "The planner promised a refund", "severity": "enormous", "summary": "Mail me at jo.bloggs@example.com`)}
	}
	return h.rules.Analyze(ctx, in)
}

// newWorld returns a world without traces. With a nil guard everybody on this machine may do everything.
func newWorld(t *testing.T, guard server.Auth) *world {
	t.Helper()
	w := &world{t: t, store: memory.New(), clock: &clock{at: today}}
	red, err := redact.New(redact.Options{Key: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	w.pipeline = &extract.Pipeline{Analyzer: held{rules.New(), w}, Redactor: red, Now: w.clock.now}
	w.engine = &extract.Engine{Queue: w.store, Pipeline: w.pipeline, Options: extract.Options{BatchSize: 100, MaxAttempts: 1, Backoff: -1, TraceTimeout: 5 * time.Minute}, Owner: "test"}
	w.engine.Log = discard
	w.runner = runner.New(w.engine, runner.Options{})
	sources, err := pages.ParseSources(`{"langfuse": "https://langfuse.example/traces/{trace_id}", "other": "https://traces.example/{trace_id}"}`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pages.New(pages.Options{Store: w.store, View: w.pipeline.View, Clean: clean.New(red), Live: w.runner, Sources: sources, Now: w.clock.now, Log: discard, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if guard == nil {
		if guard, err = auth.New(auth.Options{Mode: auth.None, Listen: "127.0.0.1:0", Log: discard, Now: w.clock.now}); err != nil {
			t.Fatal(err)
		}
	}
	srv, err := server.New(server.Options{Store: w.store, Runner: w.runner, Clean: clean.New(red), Auth: guard, LocalOnly: true, Pages: p.Routes(), ProblemPage: p.Problem, Now: w.clock.now, Log: discard,
		Importer: &ingest.Importer{Store: w.store, Redactor: red, Now: w.clock.now}})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(srv.Handler())
	t.Cleanup(h.Close)
	w.url = h.URL
	return w
}

// live fills the world with three weeks.
func (w *world) live() {
	w.t.Helper()
	samples := w.samples()
	days := []int{-20, -17, -13, -9, -6, -4, -3, -1, 0}
	for i, day := range days {
		w.clock.set(today.AddDate(0, 0, day).Add(-2 * time.Hour))
		for n, s := range samples {
			// Some come up again and again, the others once.
			if n%len(days) == i || n < 5 && i >= n+2 && i%2 == 0 {
				s.TraceID = fmt.Sprintf("%s-%d", s.TraceID, i)
				s.FetchedAt = evalforge.At(w.clock.now())
				w.put(s)
			}
		}
		if i == len(days)-1 {
			w.put(evalforge.RawTrace{TraceID: "refused-refund-planner", FetchedAt: evalforge.At(w.clock.now()), ServiceName: "support-bot", Payload: json.RawMessage(`{"input":"a refund, please","output":"certainly"}`)},
				evalforge.RawTrace{TraceID: "empty-payload", FetchedAt: evalforge.At(w.clock.now()), Payload: json.RawMessage(`{}`)})
		}
		w.run()
	}
	w.clock.set(today)
	for _, s := range samples[:3] { // these wait for the next run
		s.TraceID, s.FetchedAt = s.TraceID+"-waiting", evalforge.At(today.Add(-25*time.Minute))
		w.put(s)
	}
}

func (w *world) put(traces ...evalforge.RawTrace) {
	w.t.Helper()
	for _, tr := range traces {
		if _, err := w.store.PutTrace(w.t.Context(), tr); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) run() evalforge.Run {
	w.t.Helper()
	r, err := w.runner.Run(w.t.Context(), extract.RunRequest{Trigger: evalforge.Scheduled})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// samples returns the bundled traces as they are after their import.
func (w *world) samples() []evalforge.RawTrace {
	w.t.Helper()
	return samples(w.t, w.pipeline.Redactor)
}

func samples(t testing.TB, red *redact.Redactor) []evalforge.RawTrace {
	t.Helper()
	into := memory.New()
	im := &ingest.Importer{Store: into, Redactor: red, Now: func() time.Time { return today }}
	entries, err := fs.ReadDir(evalforge.Samples(), "traces")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		f, err := evalforge.Samples().Open("traces/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		_, err = im.ImportReader(t.Context(), e.Name(), f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	claims, err := into.Peek(t.Context(), extract.ClaimRequest{RunID: "run_peek", Limit: 1000, Now: today.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	var list []evalforge.RawTrace
	for _, c := range claims {
		list = append(list, c.Trace)
	}
	slices.SortFunc(list, func(a, b evalforge.RawTrace) int { return strings.Compare(a.TraceID, b.TraceID) })
	return list
}

// viewer lets everybody read, and nobody change anything.
type viewer struct{}

func (viewer) Wrap(r route.Route) http.Handler { return roles{r, []route.Role{route.Viewer}} }

// recurring is the address of the newest pattern of the most frequent failure.
func (w *world) recurring() string {
	w.t.Helper()
	g, err := w.store.Groups(w.t.Context(), extract.GroupQuery{Limit: 1})
	if err != nil || len(g.List) != 1 {
		w.t.Fatalf("got %d groups and error %v", len(g.List), err)
	}
	return "/patterns/" + g.List[0].TraceID
}

// patternOf is the address of the newest pattern with a trigger.
func (w *world) patternOf(trigger string) string {
	w.t.Helper()
	list, _, err := w.store.Patterns(w.t.Context(), extract.PatternQuery{TriggerCondition: trigger})
	if err != nil || len(list) == 0 {
		w.t.Fatalf("got %d patterns of %q and error %v", len(list), trigger, err)
	}
	return "/patterns/" + list[0].SourceTraceID
}

// lastRun is the address of the newest run.
func (w *world) lastRun() string {
	w.t.Helper()
	runs, _, err := w.store.Runs(w.t.Context(), extract.PageQuery{Limit: 1})
	if err != nil || len(runs) != 1 {
		w.t.Fatalf("got %d runs and error %v", len(runs), err)
	}
	return "/runs/" + runs[0].RunID
}

// replace has a pattern say hostile things everywhere.
func (w *world) replace(p evalforge.Pattern) {
	w.t.Helper()
	p.Title, p.Summary, p.RootCauseHypothesis, p.ConfidenceRationale = hostile[:200], hostile, hostile, hostile
	p.RecommendedActions, p.Evidence.Signals = []string{hostile}, []string{hostile}
	p.ReproductionContext.InputPattern, p.ReproductionContext.ToolsInvolved = hostile, []string{"<script>x</script>"}
	p.Evidence.Refs = append(p.Evidence.Refs, evalforge.EvidenceRef{Quote: hostile, Match: "absent"})
	tr, err := w.store.Trace(w.t.Context(), p.SourceTraceID)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Overwrite(w.t.Context(), tr); err != nil {
		w.t.Fatal(err)
	}
	now := w.clock.now()
	claims, err := w.store.Claim(w.t.Context(), extract.ClaimRequest{RunID: "run_hostile", Limit: 1, TraceIDs: []string{p.SourceTraceID}, Now: now, LeaseUntil: now.Add(time.Hour), NewToken: func() string { return "t" }})
	if err != nil || len(claims) != 1 {
		w.t.Fatalf("got %d claims and error %v", len(claims), err)
	}
	p.ExtractedAt = evalforge.At(now)
	if err := w.store.Commit(w.t.Context(), claims[0].Lease, extract.Result{Pattern: &p, Digest: claims[0].Digest, At: now}); err != nil {
		w.t.Fatal(err)
	}
}
