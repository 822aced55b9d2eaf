package pages_test

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/pages"
	"github.com/evalforge/evalforge/internal/server/route"
)

// get requests a path, and returns the answer with its body.
func (w *world) get(path string, header ...string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return w.send(req)
}

func (w *world) send(req *http.Request) (*http.Response, string) {
	w.t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, string(b)
}

func TestPagesAnswer(t *testing.T) {
	w := newWorld(t, nil)
	w.live()
	for path, want := range map[string]int{
		"/": 200, "/patterns": 200, "/patterns?q=tool&sort=confidence": 200, w.recurring(): 200, w.recurring() + "/ticket": 200, "/runs": 200, w.lastRun(): 200,
		w.lastRun() + "?outcome=odd": 200, "/quarantine": 200, "/waiting": 200, "/export/patterns.jsonl": 200, "/export/patterns.csv": 200,
		"/patterns?type=odd": 400, "/patterns?after=odd": 400, "/runs?after=odd": 400, "/quarantine?after=odd": 400, "/export/patterns.csv?confidence=odd": 400,
		"/patterns?foo=1": 200, "/patterns?confidence=50%": 200, "/export/patterns.csv?foo=1": 400, "/export/patterns.jsonl?q=---": 400,
		"/patterns/unknown": 404, "/patterns/unknown/ticket": 404, "/runs/unknown": 404, "/export/other": 404, "/assets/other.js": 404,
	} {
		res, body := w.get(path)
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d: %.300s", path, res.StatusCode, want, body)
		}
		csp := res.Header.Get("Content-Security-Policy")
		if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") && (!strings.Contains(csp, "default-src 'none'; script-src 'self'; style-src 'self'") || strings.Contains(csp, "unsafe")) {
			t.Errorf("%s: the Content-Security-Policy is %q", path, csp)
		}
		if m := regexp.MustCompile(`(?i)<script>|<style|style=|\son[a-z]+=`).FindString(body); m != "" && strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s has something inline: %q", path, m)
		}
	}
}

// A page that has not changed is not sent again, compressed or not.
func TestUnchangedPagesAreNotSent(t *testing.T) {
	w := newWorld(t, nil)
	w.live()
	for _, path := range []string{"/patterns", w.recurring(), "/runs", "/quarantine", "/waiting", w.recurring() + "/ticket"} {
		for _, encoding := range []string{"gzip", "identity"} {
			res, body := w.get(path, "Accept-Encoding", encoding)
			tag := res.Header.Get("Etag")
			if tag == "" || len(body) == 0 {
				t.Fatalf("%s: no ETag or no body", path)
			}
			res, body = w.get(path, "Accept-Encoding", encoding, "If-None-Match", tag)
			if res.StatusCode != http.StatusNotModified || body != "" {
				t.Errorf("%s, %s: the second time got %d and %d bytes", path, encoding, res.StatusCode, len(body))
			}
		}
	}
	w.put(w.samples()[7])
	res, _ := w.get("/runs")
	w.run()
	if res, _ = w.get("/runs", "If-None-Match", res.Header.Get("Etag")); res.StatusCode != http.StatusOK {
		t.Errorf("a page that has changed: got %d", res.StatusCode)
	}
}

// The first page, with all it needs, is under 50 kB compressed.
func TestFirstPageIsSmall(t *testing.T) {
	w := newWorld(t, nil)
	w.live()
	total := 0
	_, body := w.get("/")
	paths := []string{"/"}
	for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(body, -1) {
		paths = append(paths, m[1])
	}
	if len(paths) < 6 {
		t.Errorf("the first page refers to %q", paths)
	}
	for _, path := range paths {
		res, body := w.get(path, "Accept-Encoding", "gzip")
		if strings.HasPrefix(path, "/assets/") && !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s may be kept as %q", path, res.Header.Get("Cache-Control"))
		}
		if res.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, z); err != nil {
				t.Fatal(err)
			}
		} else if len(body) > 1500 {
			t.Errorf("%s is sent uncompressed", path)
		}
		total += len(body)
	}
	if total >= 50_000 {
		t.Errorf("the first page and its assets are %d bytes", total)
	}
	t.Logf("%d bytes in %d answers", total, len(paths))
}

func TestExports(t *testing.T) {
	w := newWorld(t, nil)
	w.live()
	res, body := w.get("/export/patterns.jsonl?severity=critical")
	if got := res.Header.Get("Content-Disposition"); got != `attachment; filename="patterns.jsonl"` {
		t.Errorf("disposition %q", got)
	}
	n := 0
	for line := range strings.Lines(body) {
		var p evalforge.Pattern
		if err := json.Unmarshal([]byte(line), &p); err != nil || p.Severity != evalforge.Critical {
			t.Errorf("%v in %.100s", err, line)
		}
		n++
	}
	_, body = w.get("/export/patterns.csv?severity=critical")
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != n+1 || n == 0 {
		t.Errorf("%d rows and error %v, want a head and %d", len(rows), err, n)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
				t.Errorf("a spreadsheet takes %.40q for a formula", cell)
			}
		}
	}
}

// Only an operator retries, and only from pages of ours.
func TestRetryIsGuarded(t *testing.T) {
	form := url.Values{"trace": {"empty-payload"}}.Encode()
	post := func(w *world, header ...string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/quarantine/retry", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, _ := w.send(req)
		return res
	}
	stuck := func(w *world) bool {
		s, err := w.store.State(t.Context(), "empty-payload")
		return err == nil && !s.QuarantinedAt.IsZero()
	}
	for name, test := range map[string]struct {
		guard  bool
		header []string
		want   int
		stuck  bool
	}{
		"viewer":       {true, nil, http.StatusForbidden, true},
		"another site": {false, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, http.StatusForbidden, true},
		"operator":     {false, []string{"Sec-Fetch-Site", "same-origin"}, http.StatusSeeOther, false},
	} {
		w := newWorld(t, nil)
		if test.guard {
			w = newWorld(t, viewer{})
		}
		w.put(evalforge.RawTrace{TraceID: "empty-payload", Payload: json.RawMessage(`{}`)})
		w.run()
		if !stuck(w) {
			t.Fatal("the trace is not quarantined as this test thinks")
		}
		if res := post(w, test.header...); res.StatusCode != test.want || stuck(w) != test.stuck {
			t.Errorf("%s: got %d and stuck %v, want %d and %v", name, res.StatusCode, stuck(w), test.want, test.stuck)
		}
		// An address alone makes the page say nothing that is not so.
		if _, body := w.get("/quarantine?retried=empty-payload"); strings.Contains(body, "is due again") == test.stuck {
			t.Errorf("%s: the trace is stuck: %v, and the page says that it is due: %v", name, test.stuck, !test.stuck)
		}
	}
}

// A stream of a run under way shows it and its end, and ends with its reader.
func TestLiveStream(t *testing.T) {
	w := newWorld(t, nil)
	w.put(w.samples()[:2]...)
	w.gate = make(chan struct{})
	res, err := http.Get(w.url + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("the stream is %q", got)
	}
	done := make(chan error, 1)
	go func() {
		_, err := w.runner.Run(t.Context(), extract.RunRequest{})
		done <- err
	}()
	lines := bufio.NewScanner(res.Body)
	until := func(want string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream ends without %q: %v", want, lines.Err())
	}
	until("0 of at most")
	for _, path := range []string{"/", "/runs"} {
		if _, body := w.get(path); !strings.Contains(body, "The first run is under way.") || strings.Contains(body, "No run yet") || strings.Contains(body, "No runs yet") {
			t.Errorf("%s does not know of the first run", path)
		}
	}
	w.gate <- struct{}{}
	until("1 of at most")
	w.gate <- struct{}{}
	until("has ended")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Without the raw trace, the page says so, and shows the excerpts.
func TestTraceIsGone(t *testing.T) {
	w := newWorld(t, nil)
	s := w.samples()[0]
	w.put(s)
	w.run()
	p, err := w.store.Pattern(t.Context(), s.TraceID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Remove(t.Context(), s.TraceID); err != nil {
		t.Fatal(err)
	}
	res, body := w.get("/patterns/" + s.TraceID)
	if res.StatusCode != 200 || !strings.Contains(body, "The raw trace is no longer in the store.") || strings.Contains(body, `class="steps"`) {
		t.Errorf("got %d: %.200s", res.StatusCode, body)
	}
	if len(p.Evidence.Refs) == 0 || !strings.Contains(body, "<blockquote") {
		t.Error("the excerpts are not shown")
	}
}

// Every page is a route of the table, with the role of the API.
func TestRoutes(t *testing.T) {
	w := newWorld(t, nil)
	p, err := pages.New(pages.Options{Store: w.store, View: w.pipeline.View, Clean: clean.New(w.pipeline.Redactor), Live: w.runner})
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range p.Routes() {
		want := route.Viewer
		switch {
		case rt.Method == http.MethodPost:
			want = route.Operator
		case strings.HasPrefix(rt.Path, "/assets/"):
			want = route.Public
		}
		if rt.Role != want {
			t.Errorf("%s is for %s, want %s", rt.Pattern(), rt.Role, want)
		}
	}
	if _, err := pages.New(pages.Options{}); err == nil {
		t.Error("pages without a store are made")
	}
}
