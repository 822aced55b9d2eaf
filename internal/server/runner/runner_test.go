package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/server/runner"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// newRunner returns a runner over n traces that are analyzed by a service that answers with reply.
func newRunner(t *testing.T, n int, reply geminitest.Reply, o runner.Options) *runner.Runner {
	t.Helper()
	srv := geminitest.NewServer(t, reply)
	a, err := gemini.New(t.Context(), gemini.Options{Backend: gemini.GeminiAPI, APIKey: "for-tests-only", BaseURL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	r, err := redact.New(redact.Options{Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	for i := range n {
		raw := evalforge.RawTrace{TraceID: fmt.Sprintf("t-%d", i), FetchedAt: evalforge.At(time.Now()), FailureType: "unknown", RecurrenceCount: 1,
			Payload: fmt.Appendf(nil, `{"messages":[{"role":"user","content":"Where is my parcel number %d, please?"}]}`, i)}
		if _, err := store.PutTrace(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	return runner.New(&extract.Engine{
		Queue: store, Pipeline: &extract.Pipeline{Analyzer: a, Redactor: r, Now: time.Now},
		Log: slog.New(slog.DiscardHandler), Options: extract.Options{Grace: time.Millisecond},
	}, o)
}

// A watcher sees a run begin, come on and end, and what is told of it adds up.
func TestWatch(t *testing.T) {
	r := newRunner(t, 3, geminitest.Well(), runner.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	events := r.Watch(ctx)
	rec, err := r.Run(t.Context(), extract.RunRequest{BatchSize: 3, Trigger: evalforge.Scheduled})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	var kinds []string
	var last runner.Event
	for e := range events {
		if e.RunID != rec.RunID || e.Active.Trigger != evalforge.Scheduled || e.Active.Batch != 3 {
			t.Errorf("event %+v, want of run %s", e, rec.RunID)
		}
		kinds, last = append(kinds, e.Kind), e
	}
	if d := cmp.Diff([]string{"started", "trace", "trace", "trace", "finished"}, kinds); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if a := last.Active; a.Done != 3 || a.Outcomes["stored"] != 3 || !cmp.Equal(a.Recent, rec.TraceOutcomes) {
		t.Errorf("at its end the run is %+v, and its record %+v", a, rec)
	}
	if a := r.Active(); len(a) != 0 || r.Busy() {
		t.Errorf("after its end %+v is under way", a)
	}
}

// A watcher that does not read holds no run up.
func TestSlowWatcherHoldsNothingUp(t *testing.T) {
	r := newRunner(t, 200, geminitest.Well(), runner.Options{})
	events := r.Watch(t.Context())
	if rec, err := r.Run(t.Context(), extract.RunRequest{BatchSize: 200}); err != nil || rec.StoredCount != 200 {
		t.Fatalf("the run did %+v, %v", rec, err)
	}
	if n := len(events); n == 0 || n >= 200 {
		t.Errorf("%d events are kept for it", n)
	}
}

// Runs under way are listed, bounded in number, and stopped.
func TestStop(t *testing.T) {
	asked := make(chan struct{}, 2)
	never := geminitest.Never()
	r := newRunner(t, 5, func(w http.ResponseWriter, req *geminitest.Request) { asked <- struct{}{}; never(w, req) }, runner.Options{MaxRuns: 2})
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := r.Run(t.Context(), extract.RunRequest{})
			ended <- err
		}()
		<-asked
	}
	if a := r.Active(); len(a) != 2 || a[0].RunID == a[1].RunID || a[0].StartedAt.After(a[1].StartedAt) || !r.Busy() {
		t.Errorf("under way are %+v", a)
	}
	if _, err := r.Run(t.Context(), extract.RunRequest{}); !errors.Is(err, runner.ErrBusy) {
		t.Errorf("a third run: %v", err)
	}
	if _, err := r.Run(t.Context(), extract.RunRequest{DryRun: true}); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	idle := r.Stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("a run that was stopped: %v", err)
		}
	}
	<-idle
	<-r.Stop() // twice is harmless
	if _, err := r.Run(t.Context(), extract.RunRequest{}); !errors.Is(err, runner.ErrStopping) {
		t.Errorf("a run after the end: %v", err)
	}
	for range r.Watch(context.Background()) {
		t.Error("there is an event after the end")
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}
