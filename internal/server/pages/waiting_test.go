package pages_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/pages"
)

// What the first page counts as waiting, in work and to be tried again is listed on /waiting.
func TestWaitingIsListed(t *testing.T) {
	w := newWorld(t, nil)
	for _, id := range []string{"due-one", "in-work", "failed-once"} {
		w.put(evalforge.RawTrace{TraceID: id, ServiceName: "support-bot", FetchedAt: evalforge.At(today.Add(-time.Hour)), Payload: json.RawMessage(`{"input":"a","output":"b"}`)})
	}
	for _, id := range []string{"in-work", "failed-once"} {
		now := w.clock.now()
		claims, err := w.store.Claim(t.Context(), extract.ClaimRequest{RunID: "run_1", Limit: 1, TraceIDs: []string{id}, Now: now, LeaseUntil: now.Add(time.Hour), NewToken: func() string { return "t-" + id }})
		if err != nil || len(claims) != 1 {
			t.Fatalf("got %d claims and error %v", len(claims), err)
		}
		if id == "failed-once" {
			failed := evalforge.ExtractionError{RunID: "run_1", SourceTraceID: id, ErrorType: evalforge.VertexError, ErrorMessage: "the model is overloaded", RecordedAt: evalforge.At(now)}
			if err := w.store.Fail(t.Context(), claims[0].Lease, extract.Failure{Error: failed, RetryAt: now.Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, overview := w.get("/")
	for _, want := range []string{`href="/waiting"`, `<a href="/waiting#working">1 in work</a>`, `<a href="/waiting#later">1 to be tried again</a>`} {
		if !strings.Contains(overview, want) {
			t.Errorf("the overview does not have %s", want)
		}
	}
	_, body := w.get("/waiting")
	for _, want := range []string{"Due: 1<", "due-one", "In work: 1<", "in-work", "To be tried again: 1<", "failed-once", "the model is overloaded"} {
		if !strings.Contains(body, want) {
			t.Errorf("/waiting does not say %q", want)
		}
	}
}

// Runs that found nothing due are no reason to say that no failure comes up any more.
func TestIdleRunsAreNotCompared(t *testing.T) {
	w := newWorld(t, nil)
	w.live()
	changed := func() string {
		_, body := w.get("/")
		_, body, _ = strings.Cut(body, `id="change"`)
		body, _, _ = strings.Cut(body, "</section>")
		return body
	}
	w.run() // takes those that wait
	before := changed()
	if strings.Contains(before, "No detectable error") && strings.Index(before, "No detectable error") < strings.LastIndex(before, `href="/patterns/`) {
		t.Errorf("a trace without an error stands before failures:\n%s", before)
	}
	for range 6 { // more than the overview lists
		w.run()
	}
	if got := changed(); got == "" || got != before {
		t.Errorf("after idle runs the overview compares\n%s\nwant\n%s", got, before)
	}
	if _, body := w.get("/"); !strings.Contains(body, "traces were due") || !strings.Contains(body, "nothing was due") {
		t.Error("the overview does not say that the last run found nothing due")
	}
}

// With a daily budget, the overview says how much of it is gone.
func TestSpentToday(t *testing.T) {
	w := newWorld(t, nil)
	res := extract.Reservation{ID: "call-1", At: today, Windows: []extract.Window{{Name: extract.DayWindow(today)}}, Most: extract.Amount{NanoUSD: 2e9, Tokens: 12345}}
	if err := w.store.Reserve(t.Context(), res); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		budget extract.Amount
		want   []string
		not    string
	}{
		{extract.Amount{}, nil, "Spent today"},
		{extract.Amount{NanoUSD: 5e9}, []string{"Spent today", "$2.00", "of $5.00", "$2.00 of it reserved"}, "tile warn"},
		{extract.Amount{NanoUSD: 21e8}, []string{"tile warn"}, "tokens"},
		{extract.Amount{Tokens: 50000}, []string{"12\u202f345", "of 50\u202f000 tokens"}, "of $"},
	} {
		p, err := pages.New(pages.Options{Store: w.store, View: w.pipeline.View, Clean: clean.New(w.pipeline.Redactor), Live: w.runner, Now: w.clock.now, Budget: test.budget})
		if err != nil {
			t.Fatal(err)
		}
		for _, rt := range p.Routes() {
			if rt.Path != "/{$}" {
				continue
			}
			rec := httptest.NewRecorder()
			rt.Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
			for _, want := range test.want {
				if !strings.Contains(rec.Body.String(), want) {
					t.Errorf("with the budget %s: %q is missing", test.budget, want)
				}
			}
			if strings.Contains(rec.Body.String(), test.not) {
				t.Errorf("with the budget %s: there is %q", test.budget, test.not)
			}
		}
	}
}
