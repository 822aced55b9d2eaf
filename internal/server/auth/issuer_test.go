package auth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/route"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	audience = "https://evalforge.example"
	google   = "https://accounts.google.com"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// An issuer signs tokens and publishes its keys on a real server.
type issuer struct {
	*httptest.Server

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	status  int // of the answer, if not 0
	fetches int
}

func newIssuer(t testing.TB, keys ...jose.JSONWebKey) *issuer {
	i := &issuer{keys: keys}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.fetches++
		if i.status != 0 {
			w.WriteHeader(i.status)
			return
		}
		if err := json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) publish(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuer) answer(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

func (i *issuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

var rsaKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 3)
	for i := range keys {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // the machine has no randomness
		}
		keys[i] = k
	}
	return keys
})

var ecKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

func public(kid, alg string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: kid, Algorithm: alg, Use: "sig", Key: key.Public()}
}

// goodClaims is a token of the scheduler that everything is right about.
func goodClaims() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": google, "aud": audience, "sub": "subject-4711", "email": "scheduler@p.iam.gserviceaccount.com", "email_verified": true,
		"iat": start.Unix(), "exp": start.Add(time.Hour).Unix(),
	}
}

// with returns c with some claims set; nil removes one.
func with(c jwt.MapClaims, changes jwt.MapClaims) jwt.MapClaims {
	c = maps.Clone(c)
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func sign(t testing.TB, method jwt.SigningMethod, kid string, key any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = kid
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A clock is set by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A guarded is one route behind the guard, its log, and who came through.
type guarded struct {
	http.Handler
	log  *bytes.Buffer
	came route.Principal
}

func guard(t testing.TB, o auth.Options, role route.Role) *guarded {
	t.Helper()
	g := &guarded{log: new(bytes.Buffer)}
	o.Log = slog.New(slog.NewJSONHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if o.Now == nil {
		o.Now = func() time.Time { return start }
	}
	a, err := auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	g.Handler = a.Wrap(route.Route{Method: "POST", Path: "/x", Role: role, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.came = route.PrincipalOf(r.Context())
	})})
	return g
}

func (g *guarded) ask(header http.Header) *httptest.ResponseRecorder {
	req := httptest.NewRequest("POST", audience+"/x", nil)
	req.Header = header
	g.came = route.Principal{}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, req)
	return w
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func list(t testing.TB, s string) auth.List {
	t.Helper()
	l, err := auth.ParseList(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
