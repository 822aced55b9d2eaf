// Package authtest makes callers for tests: an issuer of real, signed tokens with its keys
// on a server of its own, and a check that routes ask for their roles.
package authtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/evalforge/evalforge/internal/server/route"
)

// What the tokens say, and what a service must be told to accept them.
const (
	IssuerURL = "https://idp.example"
	Audience  = "https://evalforge.example"
)

// An Issuer makes tokens.
type Issuer struct {
	// KeysURL is where its keys are published.
	KeysURL string

	tb  testing.TB
	key *ecdsa.PrivateKey
}

// NewIssuer returns an issuer that lives as long as the test.
func NewIssuer(tb testing.TB) *Issuer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		tb.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }))
	tb.Cleanup(srv.Close)
	return &Issuer{srv.URL, tb, key}
}

// Bearer returns the value of the header Authorization with which somebody authenticates.
func (i *Issuer) Bearer(email, audience string) string {
	i.tb.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": IssuerURL, "aud": audience, "sub": email, "email": email, "email_verified": true,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	token.Header["kid"] = "k"
	s, err := token.SignedString(i.key)
	if err != nil {
		i.tb.Fatal(err)
	}
	return "Bearer " + s
}

// Holder is the e-mail address of who has a role, and no other, in a service that is
// checked by [Issuer.CheckRoutes].
func Holder(role route.Role) string { return string(role) + "@example.com" }

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// CheckRoutes asks the service at base for every route as everybody: without a token,
// with one for another service, and as the holder of each role and a stranger. It checks
// that who has a route's role is served, and nobody else.
func (i *Issuer) CheckRoutes(base string, routes []route.Route) {
	i.tb.Helper()
	for _, rt := range routes {
		if rt.Role == route.Public {
			if code := i.ask(base, rt, ""); denied(code) {
				i.tb.Errorf("%s: public, but status %d", rt.Pattern(), code)
			}
			continue
		}
		for name, token := range map[string]string{
			"no token": "", "a token for another service": i.Bearer(Holder(rt.Role), "https://other.example"), "nonsense": "Bearer x.y.z",
		} {
			if code := i.ask(base, rt, token); code != http.StatusUnauthorized {
				i.tb.Errorf("%s with %s: status %d, want 401", rt.Pattern(), name, code)
			}
		}
		for _, role := range append(route.Roles(), "stranger") {
			may := role == rt.Role || role == route.Operator && rt.Role == route.Viewer
			code := i.ask(base, rt, i.Bearer(Holder(role), Audience))
			if may && denied(code) || !may && code != http.StatusForbidden {
				i.tb.Errorf("%s for the %s: status %d", rt.Pattern(), role, code)
			}
		}
	}
}

func denied(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusForbidden
}

// ask returns the status of a route's answer, which may be without end.
func (i *Issuer) ask(base string, rt route.Route, token string) int {
	i.tb.Helper()
	path := wildcard.ReplaceAllString(strings.TrimSuffix(rt.Path, "{$}"), "x")
	req, err := http.NewRequestWithContext(i.tb.Context(), rt.Method, base+path, nil)
	if err != nil {
		i.tb.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		i.tb.Fatal(err)
	}
	_ = resp.Body.Close() // not read to its end
	return resp.StatusCode
}
