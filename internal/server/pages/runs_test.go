package pages

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
)

// The bar of a trace is as long as the trace took, also where it waited between attempts.
func TestWaterfallShowsTheWholeSpan(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(ms int) evalforge.Timestamp {
		return evalforge.At(began.Add(time.Duration(ms) * time.Millisecond))
	}
	page := newRunPage(evalforge.Run{RunID: "r", StartedAt: at(0), FinishedAt: at(10_000), PickedUpCount: 3, TraceOutcomes: []evalforge.TraceOutcome{
		{SourceTraceID: "a", Status: evalforge.Stored, StartedAt: at(0), ElapsedMS: 5000, Stages: evalforge.Stages{Prepare: 100, Analyze: 379, Finish: 100, Commit: 200}},
		{SourceTraceID: "b", Status: evalforge.Stored, StartedAt: at(5000), ElapsedMS: 1010, Stages: evalforge.Stages{Prepare: 500, Analyze: 500}},
		{SourceTraceID: "c", Status: evalforge.Errored, StartedAt: at(7000), ElapsedMS: 3000},
	}}, "")
	type bar struct {
		Name     string
		X, Width int
	}
	var got [][]bar
	for _, row := range page.Rows {
		var bars []bar
		for _, b := range row.Bars {
			bars = append(bars, bar{b.Name, b.X, b.Width})
		}
		got = append(got, bars)
	}
	want := [][]bar{
		{{"waiting", 0, 500}, {"prepare", 0, 10}, {"analyze", 10, 37}, {"finish", 470, 10}, {"commit", 480, 20}},
		{{"prepare", 500, 50}, {"analyze", 550, 50}},
		{{"waiting", 700, 300}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := page.Stages[waiting].Total; got != 7221*time.Millisecond || !page.Waited() {
		t.Errorf("waited %v in all", got)
	}
}
