package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/auth/authtest"
	"github.com/evalforge/evalforge/internal/server/route"
)

// Every route of the service is closed to who has not its role, and open to who has.
func TestEveryRouteAsksForItsRole(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	s := start(t, func(s *service) {
		allow := map[route.Role]auth.List{}
		for _, role := range route.Roles() {
			l, err := auth.ParseList(authtest.Holder(role))
			if err != nil {
				t.Fatal(err)
			}
			allow[role] = l
		}
		a, err := auth.New(auth.Options{
			Mode: auth.OIDC, Audiences: []string{authtest.Audience}, Issuer: authtest.IssuerURL, KeysURL: issuer.KeysURL,
			Allow: allow, Log: s.options.Log, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.options.Auth = a
	})
	issuer.CheckRoutes(s.url, s.server.Routes())

	roles := map[route.Role]int{}
	for _, rt := range s.server.Routes() {
		roles[rt.Role]++
	}
	for _, role := range route.Roles() {
		if roles[role] == 0 {
			t.Errorf("no route needs the role %q", role)
		}
	}
	if n := roles[route.Public]; n != 3 {
		t.Errorf("%d routes are public, want health, readiness and the API's description", n)
	}
	if strings.Contains(s.log.String(), "eyJ") {
		t.Error("a token is in the log")
	}
}
