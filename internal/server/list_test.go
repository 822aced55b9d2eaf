package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/server/problem"
)

// Every list can be walked by its cursors, and shows each document once.
func TestListsAreWalkedByCursors(t *testing.T) {
	s := start(t)
	ids := s.traces(7)
	for range 7 {
		s.run(`{"batchSize":1}`)
	}
	walk(t, s, "/api/v1/patterns", 7, func(p evalforge.Pattern) string { return p.PatternID })
	walk(t, s, "/api/v1/runs", 7, func(r evalforge.RunSummary) string { return r.RunID })
	walk(t, s, "/api/v1/state", 7, func(st map[string]any) string { return st["trace_id"].(string) })
	for _, id := range ids {
		e := evalforge.ExtractionError{RunID: "run_1", SourceTraceID: id, ErrorType: evalforge.Timeout, ErrorMessage: "late", RecordedAt: evalforge.At(time.Now())}
		if err := s.store.RecordError(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	walk(t, s, "/api/v1/errors", 7, func(e evalforge.ExtractionError) string { return e.ID() })
	if got := get[page[evalforge.ExtractionError]](s, "/api/v1/errors?run_id=run_1&trace_id="+ids[3]); len(got.Items) != 1 {
		t.Errorf("got %d errors of one trace, want 1", len(got.Items))
	}
}

// walk reads a list three at a time, by the cursor in the body and by the link beside it.
func walk[T any](t *testing.T, s *service, path string, want int, id func(T) string) {
	t.Helper()
	var seen []string
	for next := path + "?limit=3"; next != ""; {
		r := s.do(http.MethodGet, next, "")
		if r.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %s\n%s", next, r.Status, r.body)
		}
		p := decode[page[T]](t, r.body)
		for _, v := range p.Items {
			seen = append(seen, id(v))
		}
		link, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Link"), "<"), ">")
		if next = ""; p.NextCursor != nil {
			next = path + "?limit=3&cursor=" + url.QueryEscape(*p.NextCursor)
			if u, err := url.Parse(link); err != nil || u.Query().Get("cursor") != *p.NextCursor || u.Query().Get("limit") != "3" {
				t.Errorf("GET %s: the link %q does not lead to the cursor %s", path, link, *p.NextCursor)
			}
		} else if link != "" {
			t.Errorf("GET %s: the last page links to %s", path, link)
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(seen)))); n != want || len(seen) != want {
		t.Errorf("%s shows %d items, %d of them different, want %d", path, len(seen), n, want)
	}
}

func TestPatternsAreFiltered(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.samples()
	s.run(`{"batchSize":500}`)
	all := get[page[evalforge.Pattern]](s, "/api/v1/patterns?limit=1000").Items
	one := all[0]
	for _, tt := range []struct {
		query string
		want  func(evalforge.Pattern) bool
	}{
		{"failure_type=wrong_tool", func(p evalforge.Pattern) bool { return p.FailureType == evalforge.WrongTool }},
		{"severity=high", func(p evalforge.Pattern) bool { return p.Severity == evalforge.High }},
		{"failure_type=" + string(one.FailureType) + "&severity=" + string(one.Severity), func(p evalforge.Pattern) bool {
			return p.FailureType == one.FailureType && p.Severity == one.Severity
		}},
		{"fingerprint=" + one.Fingerprint, func(p evalforge.Pattern) bool { return p.Fingerprint == one.Fingerprint }},
	} {
		var want []string
		for _, p := range all {
			if tt.want(p) {
				want = append(want, p.PatternID)
			}
		}
		var got []string
		for _, p := range get[page[evalforge.Pattern]](s, "/api/v1/patterns?limit=1000&"+tt.query).Items {
			got = append(got, p.PatternID)
		}
		if !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s: got %v, want %v", tt.query, got, want)
		}
	}
}

// A misspelled filter is refused: answering with everything would look like an answer.
func TestListsRefuse(t *testing.T) {
	s := start(t)
	for _, tt := range []struct {
		query, field string
		want         problem.Kind
	}{
		{"patterns?failure_typ=wrong_tool", "failure_typ", problem.Invalid},
		{"patterns?failure_type=wrong", "failure_type", problem.Invalid},
		{"patterns?severity=High", "severity", problem.Invalid},
		{"patterns?limit=0", "limit", problem.Invalid},
		{"patterns?limit=1001", "limit", problem.Invalid},
		{"patterns?limit=ten", "limit", problem.Invalid},
		{"patterns?limit=1&limit=2", "limit", problem.Invalid},
		{"patterns?cursor=nonsense", "cursor", problem.Invalid},
		{"runs?cursor=WyJleHRyYWN0aW9uX2Vycm9ycyIsIiIsIiJd", "cursor", problem.Invalid},
		{"runs?quarantined=true", "quarantined", problem.Invalid},
		{"errors?severity=high", "severity", problem.Invalid},
		{"state?quarantined=maybe", "quarantined", problem.Invalid},
		{"patterns?text=%F0%9F%98%80", "text", problem.Invalid},
		{"patterns?text=-----", "text", problem.Invalid},
		{"patterns?limit=%zz", "", problem.BadRequest},
	} {
		p := s.do(http.MethodGet, "/api/v1/"+tt.query, "").refused(t, tt.want)
		if tt.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tt.field) {
			t.Errorf("%s: got errors %+v, want one of %s", tt.query, p.Errors, tt.field)
		}
	}
	for _, path := range []string{"/api/v1/patterns/nobody", "/api/v1/runs/run_1", "/api/v1/state/nobody", "/api/v1/", "/api/v1/patterns/a/b", "/healthz"} {
		s.do(http.MethodGet, path, "").refused(t, problem.NotFound)
	}
}

// What has not changed is not sent again, and what is long is compressed.
func TestAnswersAreTaggedAndCompressed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.samples()
	s.run(`{"batchSize":20}`)
	const path = "/api/v1/patterns"
	first := s.do(http.MethodGet, path, "")
	tag := first.Header.Get("Etag")
	if tag == "" {
		t.Fatal("there is no ETag")
	}
	for _, have := range []string{tag, strings.TrimPrefix(tag, "W/"), `"other", ` + tag, "*"} {
		r := s.do(http.MethodGet, path, "", "If-None-Match", have)
		if r.StatusCode != http.StatusNotModified || len(r.body) > 0 || r.Header.Get("Etag") != tag {
			t.Errorf("If-None-Match %s: got %s with %d bytes and tag %s", have, r.Status, len(r.body), r.Header.Get("Etag"))
		}
	}
	packed := s.do(http.MethodGet, path, "", "Accept-Encoding", "gzip")
	if packed.Header.Get("Content-Encoding") != "gzip" || len(packed.body)*2 > len(first.body) {
		t.Errorf("got %d bytes, %s, for %d", len(packed.body), packed.Header.Get("Content-Encoding"), len(first.body))
	}
	if got := packed.Header.Get("Etag"); got != tag {
		t.Errorf("compressed, the tag is %s, want %s", got, tag)
	}
	if r := s.do(http.MethodGet, path, "", "Accept-Encoding", "gzip", "If-None-Match", tag); r.StatusCode != http.StatusNotModified {
		t.Errorf("compressed: got %s, want 304", r.Status)
	}
	s.run(`{"batchSize":1}`)
	if r := s.do(http.MethodGet, path, "", "If-None-Match", tag); r.StatusCode != http.StatusOK || r.Header.Get("Etag") == tag {
		t.Errorf("after another pattern: got %s, tag %s", r.Status, r.Header.Get("Etag"))
	}
	if r := s.do(http.MethodHead, path, ""); r.StatusCode != http.StatusOK || len(r.body) > 0 || r.Header.Get("Etag") == "" {
		t.Errorf("HEAD: got %s, %d bytes, tag %q", r.Status, len(r.body), r.Header.Get("Etag"))
	}
}

// What another writer stored unredacted does not come out unredacted, and a lease's token not at all.
func TestAnswersAreRedacted(t *testing.T) {
	const mail = "ann.doe@corp.example"
	s := start(t)
	s.samples()
	s.run(`{"batchSize":1}`)
	p := get[page[evalforge.Pattern]](s, "/api/v1/patterns").Items[0]
	p.Summary, p.Evidence.Excerpt = "She wrote from "+mail, nil
	reason := "could not reach " + mail
	claim := claimOne(t, s)
	if err := s.store.Commit(t.Context(), claim.Lease, resultOf(claim, p)); err != nil {
		t.Fatal(err)
	}
	run := get[page[evalforge.RunSummary]](s, "/api/v1/runs").Items[0]
	rec, err := s.store.Run(t.Context(), run.RunID)
	if err != nil {
		t.Fatal(err)
	}
	rec.TraceOutcomes[0].ErrorReason = &reason
	if err := s.store.SaveRun(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	e := evalforge.ExtractionError{RunID: run.RunID, SourceTraceID: "t", ErrorType: evalforge.Unknown, ErrorMessage: reason, RecordedAt: evalforge.At(time.Now())}
	if err := s.store.RecordError(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	held := claimOne(t, s)
	for _, path := range []string{"patterns", "patterns/" + claim.TraceID, "runs", "runs/" + run.RunID, "errors", "state", "state/" + held.TraceID} {
		r := s.do(http.MethodGet, "/api/v1/"+path, "")
		if r.StatusCode != http.StatusOK || strings.Contains(string(r.body), mail) || strings.Contains(string(r.body), held.Token) {
			t.Errorf("GET %s: %s, shows the address or the token:\n%s", path, r.Status, r.body)
		}
	}
}
