package cli

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/server/route"
)

// ids returns a field of all items of a list of the API.
func (s *service) ids(list, field string) []string {
	s.c.t.Helper()
	var ids []string
	for path := list + "?limit=500"; path != ""; {
		resp, answer := s.ask("GET", path, "", nil)
		var page struct {
			Items []map[string]any `json:"items"`
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			s.c.t.Fatalf("%s: %v\n%s", path, err, answer)
		}
		for _, item := range page.Items {
			ids = append(ids, item[field].(string))
		}
		path = nextPage(resp, answer)
	}
	if len(ids) == 0 {
		s.c.t.Errorf("%s is empty", list)
	}
	return ids
}

// nextPage returns the address of the page after an answer, or "".
func nextPage(resp *http.Response, answer []byte) string {
	if m := regexp.MustCompile(`^<(.*)>; rel="next"$`).FindStringSubmatch(resp.Header.Get("Link")); m != nil {
		return m[1]
	}
	if m := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindSubmatch(answer); m != nil {
		return html.UnescapeString(string(m[1]))
	}
	return ""
}

// readAll asks for all there is to read: every GET route of the program, lists to their
// end, and each of them for some of the documents.
func (s *service) readAll() {
	t := s.c.t
	t.Helper()
	patterns, runs := s.ids("/api/v1/patterns", "source_trace_id"), s.ids("/api/v1/runs", "runId")
	traces := append(s.ids("/api/v1/state", "trace_id"), "there is none")
	each := func(format string, ids []string, most int) (paths []string) {
		for i := 0; i < len(ids); i += 1 + len(ids)/most {
			paths = append(paths, fmt.Sprintf(format, url.PathEscape(ids[i])))
		}
		return paths
	}
	_, overview := s.ask("GET", "/", "", nil)
	var assets []string
	for _, m := range regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllSubmatch(overview, -1) {
		assets = append(assets, string(m[1]))
	}
	paths := map[string][]string{
		"/health":                       {"/health"},
		"/ready":                        {"/ready"},
		"/metrics":                      {"/metrics"},
		"/api/v1/openapi.yaml":          {"/api/v1/openapi.yaml"},
		"/api/v1/patterns":              {"/api/v1/patterns?limit=500"},
		"/api/v1/patterns/{id}":         each("/api/v1/patterns/%s", patterns, 50),
		"/api/v1/patterns/{id}/history": each("/api/v1/patterns/%s/history", patterns, 50),
		"/api/v1/runs":                  {"/api/v1/runs?limit=500"},
		"/api/v1/runs/{id}":             each("/api/v1/runs/%s", runs, 20),
		"/api/v1/errors":                {"/api/v1/errors?limit=500"},
		"/api/v1/state":                 {"/api/v1/state?limit=500"},
		"/api/v1/state/{id}":            each("/api/v1/state/%s", traces, 50),
		"/{$}":                          {"/"},
		"/patterns":                     {"/patterns", "/patterns?sort=severity"},
		"/patterns/{id}":                each("/patterns/%s", append(patterns, "none"), 50),
		"/patterns/{id}/ticket":         each("/patterns/%s/ticket", append(patterns, "none"), 50),
		"/export/{file}":                {"/export/patterns.jsonl", "/export/patterns.csv", "/export/other"},
		"/runs":                         {"/runs"},
		"/runs/{id}":                    each("/runs/%s", runs, 20),
		"/quarantine":                   {"/quarantine"},
		"/waiting":                      {"/waiting"},
		"/live":                         nil, // an endless one: run has it
		"/assets/{name}":                assets,
	}
	for _, rt := range programRoutes(t) {
		if rt.Method != http.MethodGet {
			continue
		}
		list, known := paths[rt.Path]
		if !known {
			t.Errorf("what %s answers is not searched for canaries; say above what to ask it for", rt.Pattern())
		}
		delete(paths, rt.Path)
		answered := rt.Path == "/live"
		for _, path := range list {
			for path != "" {
				resp, answer := s.ask("GET", path, "", nil)
				answered = answered || resp.StatusCode == http.StatusOK && len(answer) > 0
				path = nextPage(resp, answer)
			}
		}
		if known && !answered {
			t.Errorf("%s answered nothing: it was asked for %q", rt.Pattern(), list)
		}
	}
	for path := range paths { // what is left
		t.Errorf("there is no route GET %s", path)
	}
}

// changeSome asks for traces to be tried and extracted again.
func (s *service) changeSome() {
	s.c.t.Helper()
	ids := s.ids("/api/v1/state", "trace_id")
	ids = ids[:min(20, len(ids))]
	order, err := json.Marshal(map[string][]string{"traceIds": ids})
	if err != nil {
		s.c.t.Fatal(err)
	}
	for _, id := range ids {
		s.ask("POST", "/quarantine/retry", "application/x-www-form-urlencoded", []byte(url.Values{"trace": {id}}.Encode()))
	}
	s.ask("POST", "/api/v1/retry", "application/json", order)
	s.ask("POST", "/api/v1/rerun", "application/json", order)
}

// programRoutes returns every route of the program.
func programRoutes(t *testing.T) []route.Route {
	t.Helper()
	env := Env{Getenv: getenv(map[string]string{"EVALFORGE_STORE": "mem:"}), Stdout: io.Discard, Stderr: io.Discard, Now: time.Now}
	return programServer(t, env, slog.DiscardHandler, "127.0.0.1:0").Routes()
}
