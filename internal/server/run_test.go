package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/server/problem"
)

// The run trigger takes what the original service took, and what its deployed scheduler sends.
func TestRunOnceTakesTheOriginalContract(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		wantBatch  int
		want       evalforge.Trigger
	}{
		{"no body", "", extract.DefaultBatchSize, evalforge.Manual},
		{"empty object", "{}", extract.DefaultBatchSize, evalforge.Manual},
		{"nulls", `{"batchSize":null,"dryRun":null,"traceIds":null,"triggeredBy":null}`, extract.DefaultBatchSize, evalforge.Manual},
		{"smallest batch", `{"batchSize":1}`, 1, evalforge.Manual},
		{"largest batch", `{"batchSize":500}`, 500, evalforge.Manual},
		{"scheduled", `{"batchSize":50,"dryRun":false,"triggeredBy":"scheduled"}`, 50, evalforge.Scheduled},
		{"the deployed scheduler", `{"batchSize":50,"triggeredBy":"cloud-scheduler"}`, 50, evalforge.Scheduled},
		{"manual", `{"triggeredBy":"manual","traceIds":[]}`, extract.DefaultBatchSize, evalforge.Manual},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := start(t).run(tt.body)
			if got.BatchSize != tt.wantBatch || got.TriggeredBy != tt.want {
				t.Errorf("got batch size %d, triggered by %s, want %d and %s", got.BatchSize, got.TriggeredBy, tt.wantBatch, tt.want)
			}
		})
	}
}

// A run is made before it is answered, and its record is what was answered.
func TestRunOnceAnswersWithTheSummary(t *testing.T) {
	s := start(t)
	ids := s.traces(3)
	r := s.do(http.MethodPost, "/extraction/run-once", `{"batchSize":2,"triggeredBy":"scheduled"}`)
	if r.StatusCode != http.StatusAccepted {
		t.Fatalf("%s\n%s", r.Status, r.body)
	}
	got := decode[evalforge.RunSummary](t, r.body)
	if got.PickedUpCount != 2 || got.StoredCount != 2 || len(got.TraceOutcomes) != 2 || got.Throttled {
		t.Errorf("got %+v, want 2 of 3 traces stored", got)
	}
	if want := "/api/v1/runs/" + got.RunID; r.Header.Get("Location") != want {
		t.Errorf("Location is %q, want %q", r.Header.Get("Location"), want)
	}
	if d := cmp.Diff(got, get[evalforge.RunSummary](s, r.Header.Get("Location"))); d != "" {
		t.Errorf("the record differs (-answer +record):\n%s", d)
	}
	for _, id := range ids[:2] {
		if p := get[evalforge.Pattern](s, "/api/v1/patterns/"+id); p.SourceTraceID != id {
			t.Errorf("the pattern of %s is of %s", id, p.SourceTraceID)
		}
	}
	if got := s.run(`{"traceIds":["` + ids[2] + `","` + ids[2] + `","unheard-of"]}`); got.PickedUpCount != 1 || got.StoredCount != 1 {
		t.Errorf("naming one trace: got %+v", got)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	s := start(t)
	ids := s.traces(2)
	got := s.run(`{"dryRun":true}`)
	if !got.DryRun || !slices.Equal(got.WouldProcess, ids) || got.PickedUpCount != 0 {
		t.Errorf("got %+v, want that %v would be processed", got, ids)
	}
	if runs := get[page[evalforge.RunSummary]](s, "/api/v1/runs"); len(runs.Items) != 0 {
		t.Errorf("a dry run left the record %+v", runs.Items[0])
	}
}

// What cannot be meant is refused before anything is done, naming the field.
func TestRunOnceRefuses(t *testing.T) {
	s := start(t)
	s.traces(1)
	for _, tt := range []struct {
		name, body string
		want       problem.Kind
		field      string
		detail     string
	}{
		{"batch too small", `{"batchSize":0}`, problem.Invalid, "batchSize", "1 to 500"},
		{"batch too large", `{"batchSize":501}`, problem.Invalid, "batchSize", "1 to 500"},
		{"batch of another kind", `{"batchSize":"many"}`, problem.Invalid, "batchSize", "must be a whole number, not a string"},
		{"dry run of another kind", `{"dryRun":"yes"}`, problem.Invalid, "dryRun", "true or false"},
		{"trigger", `{"triggeredBy":"cron"}`, problem.Invalid, "triggeredBy", "scheduled, manual, cloud-scheduler"},
		{"a trace id that is none", `{"traceIds":["ok","a/b"]}`, problem.Invalid, "traceIds[1]", "/"},
		{"too many traces", `{"traceIds":["x"` + strings.Repeat(`,"x"`, 500) + `]}`, problem.Invalid, "traceIds", "at most 500"},
		{"a misspelled field", `{"dryRunn":true}`, problem.Invalid, "dryRunn", "not known"},
		{"a field in other letters", `{"BATCHSIZE":5}`, problem.Invalid, "BATCHSIZE", "in capitals"},
		{"a field that comes twice", `{"dryRun":true,"dryRun":false}`, problem.Invalid, "dryRun", "more than once"},
		{"part of a trace", `{"batchSize":1.5}`, problem.Invalid, "batchSize", "must be a whole number"},
		{"more than there are", `{"batchSize":1e300}`, problem.Invalid, "batchSize", "must be a whole number"},
		{"a list", `[]`, problem.Invalid, "", "JSON object"},
		{"no JSON", `{batchSize:1}`, problem.BadRequest, "", "at byte 2"},
		{"cut off", `{"batchSize":`, problem.BadRequest, "", "ends too early"},
		{"two values", `{} {}`, problem.BadRequest, "", "something else"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := s.do(http.MethodPost, "/extraction/run-once", tt.body).refused(t, tt.want)
			if !strings.Contains(p.Detail, tt.detail) {
				t.Errorf("the detail %q does not say %q", p.Detail, tt.detail)
			}
			if tt.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tt.field) {
				t.Errorf("got errors %+v, want one of %s", p.Errors, tt.field)
			}
		})
	}
	s.do(http.MethodPost, "/extraction/run-once", "a=b", "Content-Type", "application/x-www-form-urlencoded").refused(t, problem.UnsupportedMedia)
	s.do(http.MethodPost, "/extraction/run-once", `{"triggeredBy":"`+strings.Repeat("x", 800<<10)+`"}`).refused(t, problem.TooLarge)
	if runs := get[page[evalforge.RunSummary]](s, "/api/v1/runs"); len(runs.Items) != 0 {
		t.Errorf("a refused request made the run %s", runs.Items[0].RunID)
	}
	// A whole number is one however it is written.
	s.run(`{"batchSize":1.0,"dryRun":true}`)
	s.run(`{"batchSize":5e1,"dryRun":true}`)
	// Nothing is of no kind: curl -d '' and the libraries of some languages name one all the same.
	for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain"} {
		if got := s.do(http.MethodPost, "/extraction/run-once", "", "Content-Type", kind).StatusCode; got != http.StatusAccepted {
			t.Errorf("an empty body of kind %s: got %d", kind, got)
		}
	}
	// What Cloud Scheduler sends unless a header says otherwise.
	s.run(`{"triggeredBy":"cloud-scheduler"}`, "Content-Type", "application/octet-stream")
}

// A delivery that comes twice makes one run, whether the second comes during the first or after it.
func TestDuplicateDeliveriesMakeOneRun(t *testing.T) {
	for name, header := range map[string][]string{
		"Idempotency-Key": {"Idempotency-Key", `"tick-1"`},
		"Cloud Scheduler": {"X-CloudScheduler-JobName", "extraction", "X-CloudScheduler-ScheduleTime", "2026-01-02T03:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			asked, release := make(chan struct{}, 10), make(chan struct{})
			late := geminitest.Late(release, geminitest.Well())
			s := start(t, withGemini(func(w http.ResponseWriter, r *geminitest.Request) { asked <- struct{}{}; late(w, r) }))
			s.traces(2)
			answers := make([]evalforge.RunSummary, 3)
			replayed := make([]bool, 3)
			send := func(i int) {
				r := s.do(http.MethodPost, "/extraction/run-once", `{"batchSize":1}`, header...)
				if r.StatusCode != http.StatusAccepted {
					t.Errorf("%s\n%s", r.Status, r.body)
					return
				}
				answers[i], replayed[i] = decode[evalforge.RunSummary](t, r.body), r.Header.Get("Idempotency-Replayed") == "true"
			}
			var wg sync.WaitGroup
			wg.Go(func() { send(0) })
			<-asked
			wg.Go(func() { send(1) })
			close(release)
			wg.Wait()
			send(2)
			if d := cmp.Diff([]evalforge.RunSummary{answers[0], answers[0]}, answers[1:]); d != "" || answers[0].StoredCount != 1 {
				t.Errorf("the answers differ (-first +others):\n%s", d)
			}
			if d := cmp.Diff([]bool{false, true, true}, replayed); d != "" {
				t.Errorf("Idempotency-Replayed (-want +got):\n%s", d)
			}
			if runs := get[page[evalforge.RunSummary]](s, "/api/v1/runs"); len(runs.Items) != 1 {
				t.Errorf("%d runs were made, want 1", len(runs.Items))
			}
			s.do(http.MethodPost, "/extraction/run-once", `{"batchSize":2}`, header...).refused(t, problem.Invalid)
			if got := s.run(`{"batchSize":1}`); got.RunID == answers[0].RunID {
				t.Error("a request without a key was answered with an old run")
			}
		})
	}
}

// A delivery that comes to another instance, or after a restart, is answered by the run it made.
func TestDeliveriesAreKnownToEveryInstance(t *testing.T) {
	a := start(t, withGemini())
	a.traces(3)
	want := a.run(`{"batchSize":1}`, "Idempotency-Key", "k")
	b := start(t, withGemini(), func(s *service) { s.store = a.store })
	for range 2 { // from the store, then from memory
		r := b.do(http.MethodPost, "/extraction/run-once", `{"batchSize":1}`, "Idempotency-Key", "k")
		if r.StatusCode != http.StatusAccepted || r.Header.Get("Idempotency-Replayed") != "true" || r.Header.Get("Location") != "/api/v1/runs/"+want.RunID {
			t.Errorf("got %s, header %v", r.Status, r.Header)
		}
		if d := cmp.Diff(want, decode[evalforge.RunSummary](t, r.body)); d != "" {
			t.Errorf("the answers differ (-first +other's):\n%s", d)
		}
	}
	b.do(http.MethodPost, "/extraction/run-once", `{"batchSize":2}`, "Idempotency-Key", "k").refused(t, problem.Invalid)
	if got := b.run(`{"batchSize":1}`, "Idempotency-Key", "another"); got.RunID == want.RunID || got.StoredCount != 1 {
		t.Errorf("another key was answered with %+v", got)
	}
}

// A run that failed is tried again by the delivery that repeats it.
func TestFailuresAreNotReplayed(t *testing.T) {
	s := start(t, withGemini(geminitest.InvalidKey(), geminitest.Well()))
	s.traces(1)
	p := s.do(http.MethodPost, "/extraction/run-once", "", "Idempotency-Key", "k").refused(t, problem.RunFailed)
	if p.Run == nil || p.Run.NotStartedCount != 1 || !p.Run.Throttled || p.Hint == "" {
		t.Errorf("the problem says too little of the run: %+v", p)
	}
	if got := s.run("", "Idempotency-Key", "k"); got.StoredCount != 1 {
		t.Errorf("the repetition was answered with %+v", got)
	}
}

// Overlapping runs without a key share the backlog and work on nothing twice.
func TestOverlappingRunsShareTheBacklog(t *testing.T) {
	s := start(t, withGemini())
	s.traces(40)
	var mu sync.Mutex
	stored := map[string]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, o := range s.run("").TraceOutcomes {
				mu.Lock()
				stored[o.SourceTraceID]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(stored) != 40 {
		t.Errorf("%d traces were worked on, want 40", len(stored))
	}
	for id, n := range stored {
		if n != 1 {
			t.Errorf("%s was worked on %d times", id, n)
		}
	}
}

// A run whose request may take only so long claims no more in time, and answers.
func TestRequestTimeBoundsTheRun(t *testing.T) {
	s := start(t, withGemini(), func(s *service) {
		s.options.RunTimeout = 4 * time.Second
		now := time.Now()
		var mu sync.Mutex
		s.engine.Pipeline.Now = func() time.Time { // each look at the clock takes 50 ms
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(50 * time.Millisecond)
			return now
		}
	})
	s.traces(200)
	got := s.run(`{"batchSize":200}`)
	if !got.Throttled || got.ThrottleReason != "the time for the run was up" || got.StoredCount == 0 || got.PickedUpCount >= 200 {
		t.Errorf("got %+v, want a run that ended early with something stored", got)
	}
}

// hangUp asks for a run under a key, hangs up when asked says so, and returns when the run has ended.
func (s *service) hangUp(asked <-chan struct{}, key string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	go func() { <-asked; cancel() }()
	events := s.runner.Watch(s.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/extraction/run-once", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		s.t.Fatalf("the request was answered: %s", resp.Status)
	}
	for e := range events {
		if e.Kind == "finished" {
			return
		}
	}
}

// A caller that hangs up stops its run in an orderly way; nothing stays leased.
func TestHangingUpStopsTheRun(t *testing.T) {
	asked := make(chan struct{}, 10)
	never := geminitest.Never()
	s := start(t, withGemini(func(w http.ResponseWriter, r *geminitest.Request) { asked <- struct{}{}; never(w, r) }),
		func(s *service) { s.engine.Options.Grace = time.Millisecond })
	s.traces(3)
	s.hangUp(asked, "")
	run := get[page[evalforge.RunSummary]](s, "/api/v1/runs").Items[0]
	if run.NotStartedCount != 1 || run.PickedUpCount != 1 || !run.Throttled {
		t.Errorf("got %+v, want a run that gave its one trace back", run)
	}
	if b, err := s.store.Backlog(t.Context(), time.Now()); err != nil || b.Leased != 0 || b.Pending != 3 {
		t.Errorf("got backlog %+v, %v, want 3 traces free", b, err)
	}
}

// A caller whose connection broke asks again under its key, and is not put off with the run that its hanging up stopped.
func TestHangingUpIsNoAnswerToRepeat(t *testing.T) {
	asked := make(chan struct{}, 10)
	never := geminitest.Never()
	s := start(t, withGemini(func(w http.ResponseWriter, r *geminitest.Request) { asked <- struct{}{}; never(w, r) }, geminitest.Well()),
		func(s *service) { s.engine.Options.Grace = time.Millisecond })
	s.traces(3)
	s.hangUp(asked, "k")
	if got := s.run("", "Idempotency-Key", "k"); got.StoredCount != 3 {
		t.Errorf("the repetition was answered with %+v, want a run of its own", got)
	}
}

// A page is one answer of a list.
type page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"nextCursor"`
}
