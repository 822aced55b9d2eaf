package pages_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var (
	hrefs = regexp.MustCompile(`href="([^"]*)"`)
	ids   = regexp.MustCompile(`\sid="([^"]*)"`)
)

// Every link of every page of the samples leads somewhere: to an address that answers and, if it names a place there,
// to one that exists once.
func TestLinksLeadSomewhere(t *testing.T) {
	w := newWorld(t, nil)
	w.put(w.samples()...)
	w.run()
	pages := map[string]map[string]int{} // how often each has an id
	type ref struct{ from, to, fragment string }
	var fragments []ref
	todo := []string{"/"}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if pages[path] != nil {
			continue
		}
		pages[path] = map[string]int{}
		res, body := w.get(path)
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", path, res.StatusCode)
		}
		if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, m := range ids.FindAllStringSubmatch(body, -1) {
			if pages[path][m[1]]++; pages[path][m[1]] > 1 {
				t.Errorf("%s has %q twice", path, m[1])
			}
		}
		base, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range hrefs.FindAllStringSubmatch(body, -1) {
			u, err := base.Parse(html.UnescapeString(m[1]))
			if err != nil {
				t.Errorf("%s links to %q: %v", path, m[1], err)
				continue
			}
			if u.Host != "" { // a trace's source
				continue
			}
			to := u.RequestURI()
			if u.Fragment != "" {
				fragments = append(fragments, ref{path, to, u.Fragment})
			}
			if u.Path != "/patterns" || u.RawQuery == "" { // a filter of many
				todo = append(todo, to)
			}
		}
	}
	for _, r := range fragments {
		if pages[r.to][r.fragment] == 0 {
			t.Errorf("%s links to %s#%s, which does not exist", r.from, r.to, r.fragment)
		}
	}
	if len(pages) < 20 || len(fragments) < 20 {
		t.Errorf("only %d pages with %d fragments were looked at", len(pages), len(fragments))
	}
}

// A verified quote of the samples is marked in the trace, and the step it is of says so.
func TestEvidenceIsShownInItsStep(t *testing.T) {
	w := newWorld(t, nil)
	w.put(w.samples()...)
	w.run()
	step := regexp.MustCompile(`(?s)<li class="step[^>]*id="s(\d+)">(.*?)</summary>`)
	said := regexp.MustCompile(`✓ verified[^·]*· step (\d+) ·[^<]*<a href="#([qs])(\d+)"`)
	quotes := 0
	for _, s := range w.samples() {
		_, body := w.get("/patterns/" + url.PathEscape(s.TraceID))
		heads := map[string]string{}
		for _, m := range step.FindAllStringSubmatch(body, -1) {
			heads[m[1]] = m[2]
		}
		for _, m := range said.FindAllStringSubmatch(body, -1) {
			quotes++
			if m[2] != "q" || !strings.Contains(heads[m[1]], "evidence "+m[3]+"<") {
				t.Errorf("%s: the evidence of step %s leads to #%s%s; its step says %q", s.TraceID, m[1], m[2], m[3], heads[m[1]])
			}
		}
	}
	if quotes < 10 {
		t.Errorf("only %d quotes were looked at", quotes)
	}
}
