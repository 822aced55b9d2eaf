package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/problem"
)

type results struct {
	Results []struct{ TraceID, Result, Reason string } `json:"results"`
}

// order sends an order about traces, and returns what became of each.
func (s *service) order(path, body string) []string {
	s.t.Helper()
	r := s.do(http.MethodPost, path, body)
	if r.StatusCode != http.StatusOK {
		s.t.Fatalf("POST %s: %s\n%s", path, r.Status, r.body)
	}
	var got []string
	for _, res := range decode[results](s.t, r.body).Results {
		got = append(got, res.TraceID+": "+res.Result)
		if (res.Result == "due") != (res.Reason == "") {
			s.t.Errorf("%s is %s, because %q", res.TraceID, res.Result, res.Reason)
		}
	}
	return got
}

// A quarantined trace is due again; what has nothing to retry does not keep the others.
func TestRetry(t *testing.T) {
	s := start(t)
	ids := s.traces(3)
	s.run(`{"traceIds":["` + ids[0] + `"]}`)
	c := claimOne(t, s)
	fail := extract.Failure{Quarantine: true, Error: evalforge.ExtractionError{RunID: c.RunID, SourceTraceID: c.TraceID, ErrorType: evalforge.Timeout, RecordedAt: evalforge.At(time.Now())}}
	if err := s.store.Fail(t.Context(), c.Lease, fail); err != nil {
		t.Fatal(err)
	}
	if got := get[page[map[string]any]](s, "/api/v1/state?quarantined=true"); len(got.Items) != 1 || got.Items[0]["trace_id"] != c.TraceID {
		t.Errorf("quarantined: %v, want %s", got.Items, c.TraceID)
	}
	got := s.order("/api/v1/retry", `{"traceIds":["`+c.TraceID+`","`+ids[0]+`","unheard-of"]}`)
	want := []string{c.TraceID + ": due", ids[0] + ": nothing_to_retry", "unheard-of: unknown"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if run := s.run(""); run.StoredCount != 2 {
		t.Errorf("the next run did %+v, want the retried trace and the one that waited", run)
	}
	for _, body := range []string{"{}", `{"traceIds":[]}`, `{"trace_ids":["x"]}`, `{"traceIds":["a/b"]}`, `{"traceIds":[null]}`} {
		s.do(http.MethodPost, "/api/v1/retry", body).refused(t, problem.Invalid)
	}
}

// A trace that is done is extracted anew when that is asked for, and what was there is kept.
func TestRerun(t *testing.T) {
	s := start(t)
	ids := s.traces(2)
	s.run(`{"batchSize":1}`)
	first := get[evalforge.Pattern](s, "/api/v1/patterns/"+ids[0])
	got := s.order("/api/v1/rerun", `{"traceIds":["`+ids[0]+`","`+ids[1]+`","unheard-of"]}`)
	want := []string{ids[0] + ": due", ids[1] + ": not_processed", "unheard-of: unknown"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	s.run("")
	if again := get[evalforge.Pattern](s, "/api/v1/patterns/"+ids[0]); again.Provenance.RunID == first.Provenance.RunID {
		t.Errorf("the pattern is still of %s", first.Provenance.RunID)
	}
	for _, id := range []string{ids[0], ids[1], "unheard-of"} {
		for _, p := range get[page[evalforge.Pattern]](s, "/api/v1/patterns/"+id+"/history").Items {
			if p.SourceTraceID != id {
				t.Errorf("the history of %s has a pattern of %s", id, p.SourceTraceID)
			}
		}
	}
}
