package pages_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/server"
	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/auth/authtest"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/route"
)

// A browser that is refused gets a page that says what to do, a program a problem that says the same.
func TestRefusalsArePagesForBrowsers(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	issuer := authtest.NewIssuer(t)
	someone, err := auth.ParseList(authtest.Holder(route.Viewer))
	if err != nil {
		t.Fatal(err)
	}
	iap, err := auth.New(auth.Options{Mode: auth.IAP, Audiences: []string{authtest.Audience}, Issuer: authtest.IssuerURL, KeysURL: issuer.KeysURL,
		Allow: map[route.Role]auth.List{route.Viewer: someone}, Log: discard, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path, host, accept string
		guard                    server.Auth
		status                   int
		want                     string
	}{
		{"unknown path", "/nope", "", browser, nil, 404, "Look for it from the overview."},
		{"unknown path, program", "/nope", "", "*/*", nil, 404, ""},
		{"unknown path of the API", "/api/v1/nope", "", browser, nil, 404, ""},
		{"wrong host", "/patterns", "rebound.example", browser, nil, 403, "http://localhost"},
		{"wrong host, program", "/patterns", "rebound.example", "", nil, 403, ""},
		{"no role", "/", "", browser, nobody{}, 403, "Ask whoever operates the service for the role."},
		{"not signed in", "/patterns", "", browser, iap, 401, "Identity-Aware Proxy"},
		{"not signed in, program", "/api/v1/patterns", "", browser, iap, 401, ""},
	} {
		w := newWorld(t, test.guard)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, w.url+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		req.Header.Set("Accept", test.accept)
		res, body := w.send(req)
		kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
		if res.StatusCode != test.status || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d, to be kept as %q, want %d", test.name, res.StatusCode, res.Header.Get("Cache-Control"), test.status)
		}
		if test.want == "" && kind != problem.MediaType || test.want != "" && (kind != "text/html" || !strings.Contains(body, test.want)) {
			t.Errorf("%s: got %s, want %q in it: %s", test.name, kind, test.want, body)
		}
	}
}

// nobody may do nothing.
type nobody struct{}

func (nobody) Wrap(r route.Route) http.Handler { return roles{r, nil} }
