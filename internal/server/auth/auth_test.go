package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/route"
	"github.com/golang-jwt/jwt/v5"
)

// A configuration that would leave the service open, or let nobody in, is refused with
// the setting that mends it.
func TestNewRefuses(t *testing.T) {
	ann := map[route.Role]auth.List{route.Viewer: list(t, "ann@example.com")}
	everybody := map[route.Role]auth.List{route.Viewer: list(t, "*")}
	oidc := auth.Options{Mode: auth.OIDC, Audiences: []string{audience}, Allow: ann}
	issuer := func(iss, keys string) auth.Options {
		o := oidc
		o.Issuer, o.KeysURL = iss, keys
		return o
	}
	tests := []struct {
		name string
		o    auth.Options
		want string // in the error; "" is none
	}{
		{"none on loopback", auth.Options{Mode: auth.None, Listen: "127.0.0.1:8080"}, ""},
		{"none on loopback by name", auth.Options{Mode: auth.None, Listen: "localhost:8080"}, ""},
		{"none on IPv6 loopback", auth.Options{Mode: auth.None, Listen: "[::1]:0"}, ""},
		{"the default on a laptop is none", auth.Options{Listen: "127.0.0.1:0"}, ""},
		{"the default on Cloud Run is iam", auth.Options{Listen: ":8080", CloudRun: true}, ""},
		{"none on all addresses", auth.Options{Mode: auth.None, Listen: ":8080"}, "127.0.0.1"},
		{"none on all addresses, IPv6", auth.Options{Mode: auth.None, Listen: "[::]:8080"}, "127.0.0.1"},
		{"none on 0.0.0.0", auth.Options{Mode: auth.None, Listen: "0.0.0.0:8080"}, "127.0.0.1"},
		{"none on a name that begins alike", auth.Options{Mode: auth.None, Listen: "localhost.example:8080"}, "127.0.0.1"},
		{"none without an address", auth.Options{Mode: auth.None}, "127.0.0.1"},
		{"none on Cloud Run", auth.Options{Mode: auth.None, Listen: "127.0.0.1:8080", CloudRun: true}, "EVALFORGE_AUTH"},
		{"iam elsewhere", auth.Options{Mode: auth.IAM, Listen: "127.0.0.1:8080"}, "oidc or iap"},
		{"unknown", auth.Options{Mode: "basic"}, "must be iam, oidc, iap or none"},
		{"oidc", oidc, ""},
		{"oidc without an audience", auth.Options{Mode: auth.OIDC, Allow: ann}, "EVALFORGE_AUDIENCE"},
		{"oidc that admits nobody", auth.Options{Mode: auth.OIDC, Audiences: []string{audience}}, "EVALFORGE_INVOKERS"},
		{"oidc that admits every Google account", auth.Options{Mode: auth.OIDC, Audiences: []string{audience}, Allow: everybody}, "EVALFORGE_VIEWERS=*"},
		{"everybody whom another issuer knows", auth.Options{Mode: auth.OIDC, Audiences: []string{audience}, Allow: everybody, Issuer: "https://idp.example", KeysURL: "https://idp.example/keys"}, ""},
		{"everybody whom IAP lets in", auth.Options{Mode: auth.IAP, Audiences: []string{audience}, Allow: everybody}, ""},
		{"iap without an audience", auth.Options{Mode: auth.IAP, Allow: everybody}, "Signed Header JWT Audience"},
		{"another issuer without keys", issuer("https://idp.example", ""), "EVALFORGE_JWKS_URL"},
		{"another issuer", issuer("https://idp.example", "https://idp.example/keys"), ""},
		{"keys in the clear", issuer("https://idp.example", "http://idp.example/keys"), "https://"},
		{"keys from a file", issuer("", "file:///keys"), "https://"},
		{"keys on this machine", issuer("", "http://127.0.0.1:99/keys"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Now = time.Now
			_, err := auth.New(tt.o)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseList(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"Ann@Example.com":          "ann@example.com",
		" a@b.c,\n@Example.com, *": "a@b.c,@example.com,*",
		"sub:AbC":                  "sub:AbC",
	} {
		if l, err := auth.ParseList(in); err != nil || l.String() != want {
			t.Errorf("ParseList(%q) = %q, %v, want %q", in, l, err, want)
		}
	}
	for _, in := range []string{"example.com", "a@", "*@example.com", "@*", "a@b@c", "sub:", "**"} {
		if l, err := auth.ParseList(in); err == nil {
			t.Errorf("ParseList(%q) = %q, want an error", in, l)
		}
	}
}

// Each role opens its own routes, and an operator reads too.
func TestRoles(t *testing.T) {
	iss := newIssuer(t, public("k1", "RS256", rsaKeys()[0]))
	people := map[string]route.Role{
		"invoker@example.com": route.Invoker, "viewer@example.com": route.Viewer,
		"operator@example.com": route.Operator, "sender@example.com": route.Sender,
	}
	o := auth.Options{Mode: auth.OIDC, Audiences: []string{audience}, KeysURL: iss.URL, Allow: map[route.Role]auth.List{}}
	for who, role := range people {
		o.Allow[role] = list(t, who)
	}
	for who, has := range people {
		token := sign(t, jwt.SigningMethodRS256, "k1", rsaKeys()[0], with(goodClaims(), jwt.MapClaims{"email": who}))
		for _, needs := range append(route.Roles(), route.Public) {
			want := 403
			if needs == has || needs == route.Public || has == route.Operator && needs == route.Viewer {
				want = 200
			}
			g := guard(t, o, needs)
			if w := g.ask(bearer(token)); w.Code != want {
				t.Errorf("the %s at a route for the %s: status %d, want %d", has, needs, w.Code, want)
			}
			if want == 403 && !strings.Contains(g.log.String(), `"principal":"`+who+`"`) {
				t.Errorf("the denial does not say who: %s", g.log)
			}
		}
	}
	if w := guard(t, o, route.Public).ask(http.Header{}); w.Code != 200 {
		t.Errorf("a public route: status %d", w.Code)
	}
}

// Who is on a list. A private Google account with an address of a company's domain is
// not of that company.
func TestLists(t *testing.T) {
	iss := newIssuer(t, public("k1", "RS256", rsaKeys()[0]))
	const other = "https://idp.example"
	tests := []struct {
		name, allow string
		claims      jwt.MapClaims
		want        int
	}{
		{"e-mail, in capitals", "ann@example.com", jwt.MapClaims{"email": "Ann@Example.COM"}, 200},
		{"domain of a workspace", "@example.com", jwt.MapClaims{"email": "ann@example.com", "hd": "example.com"}, 200},
		{"domain, private account", "@example.com", jwt.MapClaims{"email": "ann@example.com"}, 403},
		{"domain, another workspace", "@example.com", jwt.MapClaims{"email": "ann@example.com", "hd": "evil.example"}, 403},
		{"domain that ends alike", "@example.com", jwt.MapClaims{"email": "ann@anexample.com", "hd": "example.com"}, 403},
		{"subdomain", "@example.com", jwt.MapClaims{"email": "ann@sub.example.com", "hd": "example.com"}, 403},
		{"service accounts of a project", "@p.iam.gserviceaccount.com", nil, 200},
		{"service accounts of another project", "@q.iam.gserviceaccount.com", nil, 403},
		{"domain, another issuer", "@example.com", jwt.MapClaims{"iss": other, "email": "ann@example.com"}, 200},
		{"subject", "sub:subject-4711", jwt.MapClaims{"email": nil}, 200},
		{"another subject", "sub:subject-471", jwt.MapClaims{"email": nil}, 403},
		{"everybody", "*", jwt.MapClaims{"iss": other, "email": nil}, 200},
		{"an e-mail that looks like a subject", "sub:subject-4711", jwt.MapClaims{"sub": "1", "email": "sub:subject-4711"}, 403},
		{"nobody", "x@example.com", jwt.MapClaims{"email": nil}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := auth.Options{
				Mode: auth.OIDC, Audiences: []string{audience}, KeysURL: iss.URL,
				Allow: map[route.Role]auth.List{route.Viewer: list(t, tt.allow)},
			}
			if tt.claims["iss"] == other {
				o.Issuer = other
			}
			token := sign(t, jwt.SigningMethodRS256, "k1", rsaKeys()[0], with(goodClaims(), tt.claims))
			if w := guard(t, o, route.Viewer).ask(bearer(token)); w.Code != tt.want {
				t.Errorf("status %d, want %d: %s", w.Code, tt.want, w.Body)
			}
		})
	}
}

// On Cloud Run, a token without signature was checked by Cloud Run; one with its
// signature was not.
func TestIAM(t *testing.T) {
	iss := newIssuer(t, public("k1", "RS256", rsaKeys()[0]))
	signed := func(changes jwt.MapClaims) string {
		return sign(t, jwt.SigningMethodRS256, "k1", rsaKeys()[0], with(goodClaims(), changes))
	}
	stripped := func(changes jwt.MapClaims) string {
		parts := strings.Split(signed(changes), ".")
		return parts[0] + "." + parts[1] + ".SIGNATURE_REMOVED_BY_GOOGLE"
	}
	const serverless = "X-Serverless-Authorization"
	tests := []struct {
		name      string
		header    http.Header
		audiences []string
		role      route.Role
		want      int
		reason    string
	}{
		{"stripped", bearer(stripped(nil)), nil, route.Invoker, 200, ""},
		{"made out for a URL that only Cloud Run knows", bearer(stripped(jwt.MapClaims{"aud": "https://x.run.app"})), []string{audience}, route.Invoker, 200, ""},
		{"in the other header", http.Header{serverless: {"Bearer " + stripped(nil)}, "Authorization": {"Bearer app"}}, nil, route.Invoker, 200, ""},
		{"the other header is the one that was checked", http.Header{serverless: {"Bearer x"}, "Authorization": {"Bearer " + stripped(nil)}}, nil, route.Invoker, 403, "unchecked_token"},
		{"the other header, twice", http.Header{serverless: {"Bearer x", "Bearer " + stripped(nil)}}, nil, route.Invoker, 401, "malformed_token"},
		{"reading is not invoking", bearer(stripped(nil)), nil, route.Viewer, 403, "role"},
		{"expired", bearer(stripped(jwt.MapClaims{"exp": start.Add(-time.Hour).Unix()})), nil, route.Invoker, 401, "expired"},
		{"issued in the future", bearer(stripped(jwt.MapClaims{"iat": start.Add(time.Hour).Unix()})), nil, route.Invoker, 401, "not_yet_valid"},
		{"another issuer", bearer(stripped(jwt.MapClaims{"iss": "https://evil.example"})), nil, route.Invoker, 401, "issuer"},
		{"unverified e-mail", bearer(stripped(jwt.MapClaims{"email_verified": false})), nil, route.Invoker, 403, "email_unverified"},
		{"no token: probes of the platform", http.Header{}, nil, route.Public, 200, ""},
		{"no token", http.Header{}, nil, route.Invoker, 401, "no_token"},
		{"not stripped: nobody checked it", bearer(signed(nil)), nil, route.Invoker, 403, "unchecked_token"},
		{"not stripped, but we can check it", bearer(signed(nil)), []string{audience}, route.Invoker, 200, ""},
		{"not stripped, for another audience", bearer(signed(jwt.MapClaims{"aud": "x"})), []string{audience}, route.Invoker, 401, "audience"},
		{"nonsense, stripped", bearer("a.b.SIGNATURE_REMOVED_BY_GOOGLE"), nil, route.Invoker, 401, "malformed_token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := guard(t, auth.Options{Mode: auth.IAM, CloudRun: true, Listen: ":8080", Audiences: tt.audiences, KeysURL: iss.URL}, tt.role)
			w := g.ask(tt.header)
			if w.Code != tt.want {
				t.Errorf("status %d, want %d: %s", w.Code, tt.want, w.Body)
			}
			checkRefusal(t, g, w.Body.String(), tt.reason)
		})
	}
}

// IAP's header is believed only with IAP's signature; other tokens do not count.
func TestIAP(t *testing.T) {
	iss := newIssuer(t, public("e1", "ES256", ecKey()), public("k1", "RS256", rsaKeys()[0]))
	const aud = "/projects/1/global/backendServices/2"
	claims := jwt.MapClaims{
		"iss": "https://cloud.google.com/iap", "aud": aud, "sub": "accounts.google.com:1", "email": "ann@example.com",
		"hd": "example.com", "iat": start.Unix(), "exp": start.Add(10 * time.Minute).Unix(),
	}
	es := func(changes jwt.MapClaims) string {
		return sign(t, jwt.SigningMethodES256, "e1", ecKey(), with(claims, changes))
	}
	assertion := func(s string) http.Header { return http.Header{"X-Goog-Iap-Jwt-Assertion": {s}} }
	tests := []struct {
		name   string
		header http.Header
		want   int
		reason string
	}{
		{"good", assertion(es(nil)), 200, ""},
		{"no assertion: IAP is not in front", http.Header{"X-Goog-Authenticated-User-Email": {"accounts.google.com:ann@example.com"}}, 401, "no_token"},
		{"as a bearer", bearer(es(nil)), 401, "no_token"},
		{"wrong audience", assertion(es(jwt.MapClaims{"aud": "/projects/1/global/backendServices/3"})), 401, "audience"},
		{"wrong issuer", assertion(es(jwt.MapClaims{"iss": google})), 401, "issuer"},
		{"expired", assertion(es(jwt.MapClaims{"exp": start.Add(-2 * time.Minute).Unix()})), 401, "expired"},
		{"RS256", assertion(sign(t, jwt.SigningMethodRS256, "k1", rsaKeys()[0], claims)), 401, "algorithm"},
		{"stripped", assertion(es(nil)[:strings.LastIndex(es(nil), ".")] + ".SIGNATURE_REMOVED_BY_GOOGLE"), 401, "signature"},
		{"not on the list", assertion(es(jwt.MapClaims{"email": "bob@example.org", "hd": "example.org"})), 403, "role"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := guard(t, auth.Options{
				Mode: auth.IAP, Audiences: []string{aud}, KeysURL: iss.URL,
				Allow: map[route.Role]auth.List{route.Viewer: list(t, "@example.com")},
			}, route.Viewer)
			w := g.ask(tt.header)
			if w.Code != tt.want {
				t.Errorf("status %d, want %d: %s", w.Code, tt.want, w.Body)
			}
			checkRefusal(t, g, w.Body.String(), tt.reason)
		})
	}
}

// Without authentication the service is for this machine only, also when a page in the
// user's browser calls it under a name of its own (DNS rebinding) or from another site.
func TestNone(t *testing.T) {
	for _, tt := range []struct {
		name, method, host string
		header             http.Header
		want               int
	}{
		{"loopback", "POST", "127.0.0.1:8080", nil, 200},
		{"localhost", "GET", "localhost:8080", nil, 200},
		{"IPv6", "GET", "[::1]:8080", nil, 200},
		{"a name of somebody's", "GET", "evil.example:8080", nil, 403},
		{"a name that begins alike", "GET", "localhost.evil.example", nil, 403},
		{"no name", "GET", "", nil, 403},
		{"own page", "POST", "localhost:8080", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 200},
		{"another site's page", "POST", "localhost:8080", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{"another port's page", "POST", "localhost:8080", http.Header{"Origin": {"http://localhost:3000"}}, 403},
		{"a link on another site", "GET", "localhost:8080", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := guard(t, auth.Options{Mode: auth.None, Listen: "127.0.0.1:8080"}, route.Operator)
			req := httptest.NewRequest(tt.method, "/x", nil)
			req.Host, req.Header = tt.host, tt.header
			w := httptest.NewRecorder()
			g.ServeHTTP(w, req)
			if w.Code != tt.want {
				t.Errorf("status %d, want %d: %s", w.Code, tt.want, w.Body)
			}
		})
	}
}

// A page of another site cannot use the rights of a person whom IAP lets in.
func TestCrossSitePostsAreRefused(t *testing.T) {
	iss := newIssuer(t, public("k1", "RS256", rsaKeys()[0]))
	o := auth.Options{
		Mode: auth.OIDC, Audiences: []string{audience}, KeysURL: iss.URL,
		Allow: map[route.Role]auth.List{route.Operator: list(t, "scheduler@p.iam.gserviceaccount.com")},
	}
	token := sign(t, jwt.SigningMethodRS256, "k1", rsaKeys()[0], goodClaims())
	for _, role := range []route.Role{route.Operator, route.Public} {
		g := guard(t, o, role)
		h := bearer(token)
		h.Set("Sec-Fetch-Site", "cross-site")
		w := g.ask(h)
		if w.Code != 403 {
			t.Errorf("%s: status %d", role, w.Code)
		}
		checkRefusal(t, g, w.Body.String(), "cross_site")
	}
}

// New keys are found when a token names them, withdrawn ones are refused within an hour,
// and an issuer that is down stops nobody whose key is known.
func TestKeyRotation(t *testing.T) {
	keys := rsaKeys()
	iss := newIssuer(t, public("k1", "RS256", keys[0]))
	c := &clock{t: start}
	g := guard(t, auth.Options{
		Mode: auth.OIDC, Audiences: []string{audience}, KeysURL: iss.URL, Now: c.now,
		Allow: map[route.Role]auth.List{route.Invoker: list(t, "scheduler@p.iam.gserviceaccount.com")},
	}, route.Invoker)
	step := func(name string, key int, want, fetches int) {
		t.Helper()
		claims := with(goodClaims(), jwt.MapClaims{"iat": c.now().Unix(), "exp": c.now().Add(time.Hour).Unix()})
		token := sign(t, jwt.SigningMethodRS256, fmt.Sprintf("k%d", key), keys[key-1], claims)
		before := iss.asked()
		if w := g.ask(bearer(token)); w.Code != want {
			t.Errorf("%s: status %d, want %d: %s", name, w.Code, want, w.Body)
		}
		if got := iss.asked() - before; got != fetches {
			t.Errorf("%s: the issuer was asked %d times, want %d", name, got, fetches)
		}
	}
	step("first token", 1, 200, 1)
	step("second token", 1, 200, 0)
	step("unknown key, just after a fetch", 2, 401, 0)
	c.add(11 * time.Second)
	step("unknown key", 2, 401, 1)
	step("unknown key again", 2, 401, 0)
	iss.publish(public("k1", "RS256", keys[0]), public("k2", "RS256", keys[1]))
	c.add(11 * time.Second)
	step("new key", 2, 200, 1)
	iss.publish(public("k2", "RS256", keys[1]))
	c.add(59 * time.Minute)
	step("withdrawn key, keys still fresh", 1, 200, 0)
	c.add(2 * time.Minute)
	step("withdrawn key", 1, 401, 1)
	iss.answer(http.StatusInternalServerError)
	c.add(2 * time.Hour)
	step("issuer down, known key", 2, 200, 1)
	step("issuer down, unknown key", 3, 503, 0)
	c.add(23 * time.Hour)
	step("issuer down for a day", 2, 503, 1)
	iss.answer(0)
	step("just after a failed fetch", 2, 503, 0)
	c.add(11 * time.Second)
	step("issuer back", 2, 200, 1)
}

// Many callers at once make one fetch.
func TestManyCallers(t *testing.T) {
	iss := newIssuer(t, public("k1", "RS256", rsaKeys()[0]))
	a, err := auth.New(auth.Options{
		Mode: auth.OIDC, Audiences: []string{audience}, KeysURL: iss.URL, Now: func() time.Time { return start },
		Allow: map[route.Role]auth.List{route.Viewer: list(t, "scheduler@p.iam.gserviceaccount.com")},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := a.Wrap(route.Route{Method: "GET", Path: "/x", Role: route.Viewer, Handler: http.NotFoundHandler()})
	token := sign(t, jwt.SigningMethodRS256, "k1", rsaKeys()[0], goodClaims())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			req := httptest.NewRequest("GET", audience+"/x", nil)
			req.Header = bearer(token)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if w.Code != 404 {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if n := iss.asked(); n != 1 {
		t.Errorf("the issuer was asked %d times, want once", n)
	}
}
