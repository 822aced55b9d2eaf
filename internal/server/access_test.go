package server_test

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

	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/route"
)

const (
	ownIssuer   = "https://idp.example"
	ownAudience = "https://evalforge.example"
)

// A tokenMaker is an issuer of tokens, with its keys on a server of its own.
type tokenMaker struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	keys *httptest.Server
}

func newTokenMaker(t testing.TB) *tokenMaker {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}}
	m := &tokenMaker{t: t, key: key, keys: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(set); err != nil {
			t.Error(err)
		}
	}))}
	t.Cleanup(m.keys.Close)
	return m
}

// bearer returns the header with which somebody authenticates.
func (m *tokenMaker) bearer(email, audience string) string {
	m.t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": ownIssuer, "aud": audience, "sub": email, "email": email, "email_verified": true,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	token.Header["kid"] = "k"
	s, err := token.SignedString(m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	return "Bearer " + s
}

// guarded has a service ask its callers for tokens of m; each role has one holder, named
// after it.
func (m *tokenMaker) guarded(s *service) {
	allow := map[route.Role]auth.List{}
	for _, role := range route.Roles() {
		l, err := auth.ParseList(string(role) + "@example.com")
		if err != nil {
			m.t.Fatal(err)
		}
		allow[role] = l
	}
	a, err := auth.New(auth.Options{
		Mode: auth.OIDC, Audiences: []string{ownAudience}, Issuer: ownIssuer, KeysURL: m.keys.URL, Allow: allow, Log: s.options.Log, Now: time.Now,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	s.options.Auth = a
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// Every route of the service is closed to who has not its role, and open to who has.
func TestEveryRouteAsksForItsRole(t *testing.T) {
	m := newTokenMaker(t)
	s := start(t, m.guarded)
	roles := map[route.Role]int{}
	for _, rt := range s.server.Routes() {
		roles[rt.Role]++
		path := wildcard.ReplaceAllString(rt.Path, "x")
		status := func(token string) int {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), rt.Method, s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if token != "" {
				req.Header.Set("Authorization", token)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close() // a stream is not read to its end
			return resp.StatusCode
		}
		denied := func(code int) bool { return code == http.StatusUnauthorized || code == http.StatusForbidden }
		if rt.Role == route.Public {
			if code := status(""); denied(code) {
				t.Errorf("%s: public, but status %d", rt.Pattern(), code)
			}
			continue
		}
		for name, token := range map[string]string{
			"no token": "", "a token for another service": m.bearer(string(rt.Role)+"@example.com", "https://other.example"), "nonsense": "Bearer x.y.z",
		} {
			if code := status(token); code != http.StatusUnauthorized {
				t.Errorf("%s with %s: status %d, want 401", rt.Pattern(), name, code)
			}
		}
		for _, holder := range append(route.Roles(), "stranger") {
			may := holder == rt.Role || holder == route.Operator && rt.Role == route.Viewer
			code := status(m.bearer(string(holder)+"@example.com", ownAudience))
			if may && denied(code) || !may && code != http.StatusForbidden {
				t.Errorf("%s for the %s: status %d", rt.Pattern(), holder, code)
			}
		}
	}
	for _, role := range append(route.Roles(), route.Public) {
		if roles[role] == 0 {
			t.Errorf("no route needs the role %q", role)
		}
	}
	if strings.Contains(s.log.String(), "eyJ") {
		t.Error("a token is in the log")
	}
	if n := roles[route.Public]; n != 3 {
		t.Errorf("%d routes are public, want health, readiness and the API's description", n)
	}
}
