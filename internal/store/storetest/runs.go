package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
)

// A failing analyzer has an answer for no trace whose service is "fails".
type failing struct{}

func (failing) Name() string  { return "rules" }
func (failing) Model() string { return "" }

func (failing) Analyze(_ context.Context, in *extract.Input) (*extract.Answer, error) {
	if in.ServiceName == "fails" {
		return nil, &extract.Error{Kind: extract.KindUnavailable, Err: errors.New("the model is not there")}
	}
	a := pattern(in.TraceID, t0).Analysis
	a.Evidence.Excerpt = nil
	return &extract.Answer{Analysis: a, Attempts: 1}, nil
}

// failsForever returns a trace that the failing analyzer never has an answer for.
func failsForever(id string, n int) evalforge.RawTrace {
	tr := raw(id, n)
	tr.ServiceName = "fails"
	return tr
}

// runAt makes a run at a time of the story. Traces are retried without end.
func (e *env) runAt(at time.Time, batch int) evalforge.Run {
	e.Helper()
	redactor, err := redact.New(redact.Options{Key: make([]byte, 32)})
	e.must(err)
	var ticks atomic.Int64
	engine := &extract.Engine{
		Queue: e.s, Owner: "worker", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Options: extract.Options{Concurrency: 4, MaxAttempts: 1 << 30, BatchSize: batch},
		Pipeline: &extract.Pipeline{Analyzer: failing{}, Redactor: redactor,
			Now: func() time.Time { return at.Add(time.Duration(ticks.Add(1)) * time.Millisecond) }},
	}
	r, err := engine.Run(e.ctx, extract.RunRequest{})
	e.must(err)
	e.must(r.Check())
	return r
}

func stored(r evalforge.Run) []string {
	ids := []string{}
	for _, o := range r.TraceOutcomes {
		if o.Status == evalforge.Stored {
			ids = append(ids, o.SourceTraceID)
		}
	}
	slices.Sort(ids)
	return ids
}

// failingDoNotDelay: traces that fail each time they are tried, four times as many as a
// run takes and older than all else, do not keep a fresh one from the very next run. The
// runs are as far apart as the default schedule's, which is longer than the first backoffs.
func failingDoNotDelay(e *env) {
	const fail, batch, runs = 200, 50, 10
	var all []evalforge.RawTrace
	for i := range fail {
		all = append(all, failsForever(fmt.Sprintf("fails-%03d", i), 0))
	}
	e.putMany(all)
	tried := map[string]int{}
	for n := range runs {
		want := []string{}
		if n >= fail/batch { // each has had its first try
			id := fmt.Sprintf("good-%02d", n)
			e.put(raw(id, 1000))
			want = []string{id}
		}
		r := e.runAt(minute(2000+30*n), batch)
		if got := stored(r); !slices.Equal(got, want) {
			e.Errorf("run %d stored %q, want %q", n, got, want)
		}
		if r.PickedUpCount != batch {
			e.Errorf("run %d picked up %d traces, want %d", n, r.PickedUpCount, batch)
		}
		for _, o := range r.TraceOutcomes {
			tried[o.SourceTraceID]++
		}
	}
	// They take turns. The first have one more, from the share of retries while others
	// were yet to have their first try.
	least, most := 1<<30, 0
	for id, n := range tried {
		if strings.HasPrefix(id, "fails") {
			least, most = min(least, n), max(most, n)
		}
	}
	if len(tried) != fail+runs-fail/batch || most-least > 2 {
		e.Errorf("%d traces were tried, the failing ones %d to %d times; want all, about as often", len(tried), least, most)
	}
}

// retriesAreNotStarved: a stream of fresh traces that fills each run leaves a share of it
// to those that failed before.
func retriesAreNotStarved(e *env) {
	const fail, batch = 4, 20
	for i := range fail {
		e.put(failsForever(fmt.Sprintf("fails-%d", i), 0))
	}
	e.runAt(minute(1), batch)
	for n := range 4 {
		var fresh []evalforge.RawTrace
		for i := range 2 * batch {
			fresh = append(fresh, raw(fmt.Sprintf("fresh-%d-%02d", n, i), 10))
		}
		e.putMany(fresh)
		r := e.runAt(minute(100*(n+1)), batch)
		if r.StoredCount != batch-batch/10 || r.ErrorCount != batch/10 {
			e.Errorf("run %d stored %d and retried %d, want %d and %d", n, r.StoredCount, r.ErrorCount, batch-batch/10, batch/10)
		}
	}
	for i := range fail {
		if got := e.state(fmt.Sprintf("fails-%d", i)).Attempts; got != 3 {
			e.Errorf("fails-%d was tried %d times, want 3", i, got)
		}
	}
}
