package auth_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/route"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// A token is admitted only if everything about it is right, and a refusal says what is
// not, without repeating anything of the token.
func TestTokens(t *testing.T) {
	keys := rsaKeys()
	published, other, otherUse := keys[0], keys[1], keys[2]
	encryption := public("enc", "RS256", otherUse)
	encryption.Use = "enc"
	iss := newIssuer(t, public("k1", "RS256", published), public("e1", "ES256", ecKey()), encryption)

	der, err := x509.MarshalPKIXPublicKey(published.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})

	good := goodClaims()
	rs256 := func(changes jwt.MapClaims) string {
		return sign(t, jwt.SigningMethodRS256, "k1", published, with(good, changes))
	}
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	parts := strings.Split(rs256(nil), ".")
	claims := parts[1]
	ecParts := strings.Split(sign(t, jwt.SigningMethodES256, "e1", ecKey(), good), ".")

	tests := []struct {
		name   string
		header http.Header
		want   int
		reason string
	}{
		{"good", bearer(rs256(nil)), 200, ""},
		{"several audiences, ours among them", bearer(rs256(jwt.MapClaims{"aud": []string{"x", audience}})), 200, ""},
		{"Google's other name", bearer(rs256(jwt.MapClaims{"iss": "accounts.google.com"})), 200, ""},
		{"verified as text", bearer(rs256(jwt.MapClaims{"email_verified": "true"})), 200, ""},
		{"lower case scheme", http.Header{"Authorization": {"bearer " + rs256(nil)}}, 200, ""},
		{"expired within the skew", bearer(rs256(jwt.MapClaims{"exp": at(-59 * time.Second)})), 200, ""},
		{"valid soon, within the skew", bearer(rs256(jwt.MapClaims{"nbf": at(59 * time.Second)})), 200, ""},

		{"no token", http.Header{}, 401, "no_token"},
		{"another scheme", http.Header{"Authorization": {"Basic Zm9vOmJhcg=="}}, 401, "no_token"},
		{"no token after the scheme", http.Header{"Authorization": {"Bearer "}}, 401, "no_token"},
		{"two tokens", http.Header{"Authorization": {"Bearer " + rs256(nil), "Bearer " + rs256(nil)}}, 401, "malformed_token"},
		{"no token at all", bearer("hello"), 401, "malformed_token"},
		{"two parts", bearer(parts[0] + "." + claims), 401, "malformed_token"},
		{"four parts", bearer(rs256(nil) + ".x"), 401, "malformed_token"},
		{"too long", bearer(rs256(jwt.MapClaims{"pad": strings.Repeat("x", 20_000)})), 401, "malformed_token"},
		{"header is no JSON", bearer(segment("{") + "." + claims + "." + parts[2]), 401, "malformed_token"},
		{"header is null", bearer(segment("null") + "." + claims + "." + parts[2]), 401, "malformed_token"},
		{"claims are no JSON", bearer(parts[0] + "." + segment("[1]") + "." + parts[2]), 401, "malformed_token"},
		{"wrong audience", bearer(rs256(jwt.MapClaims{"aud": "https://other.example"})), 401, "audience"},
		{"audience with a slash more", bearer(rs256(jwt.MapClaims{"aud": audience + "/"})), 401, "audience"},
		{"no audience", bearer(rs256(jwt.MapClaims{"aud": nil})), 401, "audience"},
		{"wrong issuer", bearer(rs256(jwt.MapClaims{"iss": "https://evil.example"})), 401, "issuer"},
		{"issuer that begins alike", bearer(rs256(jwt.MapClaims{"iss": google + ".evil.example"})), 401, "issuer"},
		{"no issuer", bearer(rs256(jwt.MapClaims{"iss": nil})), 401, "issuer"},
		{"expired", bearer(rs256(jwt.MapClaims{"exp": at(-61 * time.Second)})), 401, "expired"},
		{"never expires", bearer(rs256(jwt.MapClaims{"exp": nil})), 401, "expired"},
		{"not yet valid", bearer(rs256(jwt.MapClaims{"nbf": at(61 * time.Second)})), 401, "not_yet_valid"},
		{"issued in the future", bearer(rs256(jwt.MapClaims{"iat": at(61 * time.Second)})), 401, "not_yet_valid"},
		{"algorithm none", bearer(sign(t, jwt.SigningMethodNone, "k1", jwt.UnsafeAllowNoneSignatureType, good)), 401, "algorithm"},
		{"algorithm none, signature kept", bearer(segment(`{"alg":"none","kid":"k1"}`) + "." + claims + "." + parts[2]), 401, "algorithm"},
		{"HS256 with the public key", bearer(sign(t, jwt.SigningMethodHS256, "k1", publicPEM, good)), 401, "algorithm"},
		{"RS512", bearer(sign(t, jwt.SigningMethodRS512, "k1", published, good)), 401, "algorithm"},
		{"ES256, which Google's ID tokens never have", bearer(strings.Join(ecParts, ".")), 401, "algorithm"},
		{"unheard-of algorithm", bearer(segment(`{"alg":"XX","kid":"k1"}`) + "." + claims + "." + parts[2]), 401, "algorithm"},
		{"unsigned", bearer(parts[0] + "." + claims + "."), 401, "signature"},
		{"stripped by Cloud Run, which is not in front", bearer(parts[0] + "." + claims + ".SIGNATURE_REMOVED_BY_GOOGLE"), 401, "signature"},
		{"signature of other claims", bearer(parts[0] + "." + strings.Split(rs256(jwt.MapClaims{"sub": "1"}), ".")[1] + "." + parts[2]), 401, "signature"},
		{"another's key under a known name", bearer(sign(t, jwt.SigningMethodRS256, "k1", other, good)), 401, "signature"},
		{"unknown key", bearer(sign(t, jwt.SigningMethodRS256, "k9", other, good)), 401, "unknown_key"},
		{"key without a name", bearer(sign(t, jwt.SigningMethodRS256, "", published, good)), 401, "unknown_key"},
		{"key for encryption", bearer(sign(t, jwt.SigningMethodRS256, "enc", otherUse, good)), 401, "unknown_key"},
		{"key of another algorithm", bearer(sign(t, jwt.SigningMethodRS256, "e1", published, good)), 401, "unknown_key"},
		{"critical extension", bearer(withHeader(t, "crit", []string{"b64"})), 401, "malformed_token"},
		{"unverified e-mail", bearer(rs256(jwt.MapClaims{"email_verified": false})), 403, "email_unverified"},
		{"e-mail of which nothing is said", bearer(rs256(jwt.MapClaims{"email_verified": nil})), 403, "email_unverified"},
		{"no e-mail", bearer(rs256(jwt.MapClaims{"email": nil})), 403, "role"},
		{"another's e-mail", bearer(rs256(jwt.MapClaims{"email": "other@p.iam.gserviceaccount.com"})), 403, "role"},
	}
	o := auth.Options{
		Mode: auth.OIDC, Listen: ":8080", Audiences: []string{audience}, KeysURL: iss.URL,
		Allow: map[route.Role]auth.List{route.Invoker: list(t, "scheduler@p.iam.gserviceaccount.com")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := guard(t, o, route.Invoker)
			w := g.ask(tt.header)
			if w.Code != tt.want {
				t.Fatalf("status %d, want %d\n%s%s", w.Code, tt.want, w.Body, g.log)
			}
			checkRefusal(t, g, w.Body.String(), tt.reason)
			if tt.want == 200 && g.came.Name != "scheduler@p.iam.gserviceaccount.com" {
				t.Errorf("the handler saw %q", g.came.Name)
			}
			if tt.want == 401 && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("no WWW-Authenticate: %v", w.Header())
			}
			for _, v := range tt.header["Authorization"] {
				for _, part := range strings.FieldsFunc(v, func(r rune) bool { return r == '.' || r == ' ' }) {
					if len(part) > 6 && (strings.Contains(g.log.String(), part) || strings.Contains(w.Body.String(), part)) {
						t.Errorf("a part of the token is repeated: %q", part)
					}
				}
			}
			for _, canary := range []string{"subject-4711", "evil.example", "other.example"} {
				if tt.reason != "role" && strings.Contains(g.log.String()+w.Body.String(), canary) {
					t.Errorf("a claim is repeated: %q\n%s%s", canary, g.log, w.Body)
				}
			}
		})
	}
}

// withHeader returns a token that is right but for a field of its header.
func withHeader(t *testing.T, name string, value any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, goodClaims())
	token.Header["kid"], token.Header[name] = "k1", value
	s, err := token.SignedString(rsaKeys()[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkRefusal checks that a refusal for reason is logged and answered as a problem; ""
// is no refusal.
func checkRefusal(t *testing.T, g *guarded, body, reason string) {
	t.Helper()
	if reason == "" {
		if g.log.Len() > 0 {
			t.Errorf("logged: %s", g.log)
		}
		return
	}
	var logged struct{ Level, Reason, Route, Role string }
	if err := json.Unmarshal(g.log.Bytes(), &logged); err != nil {
		t.Fatalf("log: %v\n%s", err, g.log)
	}
	if logged.Reason != reason || logged.Route != "POST /x" || logged.Level != "WARN" {
		t.Errorf("logged %+v, want the reason %s", logged, reason)
	}
	var problem struct {
		Type, Title, Detail, Hint string
		Status                    int
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil {
		t.Fatalf("answer: %v\n%s", err, body)
	}
	if !strings.Contains(problem.Type, "docs/api.md#") || problem.Title == "" || problem.Detail == "" || problem.Hint == "" || problem.Status < 400 {
		t.Errorf("answer: %+v", problem)
	}
	if g.came.Name != "" {
		t.Errorf("the handler was called for %q", g.came.Name)
	}
}

// A short ES256 signature makes some libraries panic.
func TestShortSignature(t *testing.T) {
	iss := newIssuer(t, public("e1", "ES256", ecKey()))
	o := auth.Options{
		Mode: auth.IAP, Audiences: []string{audience}, KeysURL: iss.URL,
		Allow: map[route.Role]auth.List{route.Viewer: list(t, "*")},
	}
	parts := strings.Split(sign(t, jwt.SigningMethodES256, "e1", ecKey(), goodClaims()), ".")
	for n := range 66 {
		g := guard(t, o, route.Viewer)
		token := parts[0] + "." + parts[1] + "." + segment(strings.Repeat("\x01", n))
		if w := g.ask(http.Header{"X-Goog-Iap-Jwt-Assertion": {token}}); w.Code != 401 {
			t.Errorf("signature of %d bytes: status %d", n, w.Code)
		}
	}
}

// Keys that a service publishes by mistake with their private half do not count.
func TestPrivateKeysAreNotUsed(t *testing.T) {
	secret := jose.JSONWebKey{KeyID: "s", Algorithm: "RS256", Key: []byte("0123456789abcdef0123456789abcdef")}
	iss := newIssuer(t, secret)
	g := guard(t, auth.Options{
		Mode: auth.OIDC, Audiences: []string{audience}, KeysURL: iss.URL,
		Allow: map[route.Role]auth.List{route.Viewer: list(t, "ann@example.com")},
	}, route.Viewer)
	token := sign(t, jwt.SigningMethodRS256, "s", rsaKeys()[0], goodClaims())
	checkRefusal(t, g, g.ask(bearer(token)).Body.String(), "unknown_key")
}

// Whatever comes as a token, nothing panics and nobody gets in.
func FuzzToken(f *testing.F) {
	iss := newIssuer(f, public("k1", "", rsaKeys()[0]), public("e1", "", ecKey()))
	claims := segment(`{"iss":"https://accounts.google.com","aud":"` + audience + `","exp":1900000000,"email":"a@example.com","email_verified":true}`)
	f.Add(segment(`{"alg":"RS256","kid":"k1"}`) + "." + claims + "." + segment("x"))
	f.Add(segment(`{"alg":"ES256","kid":"e1"}`) + "." + claims + "." + segment("x"))
	f.Add(segment(`{"alg":"none"}`) + "." + claims + ".")
	f.Add(segment(`{"alg":5,"crit":7,"kid":[]}`) + "." + segment("null") + ".SIGNATURE_REMOVED_BY_GOOGLE")
	f.Add("..")
	o := auth.Options{
		Audiences: []string{audience}, KeysURL: iss.URL, Issuer: "https://idp.example", CloudRun: true,
		Allow: map[route.Role]auth.List{route.Viewer: list(f, "*")},
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, mode := range []auth.Mode{auth.OIDC, auth.IAP} {
			o.Mode = mode
			g := guard(t, o, route.Viewer)
			for _, h := range []http.Header{bearer(token), {"X-Goog-Iap-Jwt-Assertion": {token}}} {
				if w := g.ask(h); w.Code != 401 && w.Code != 403 {
					t.Errorf("%s: status %d for %q", mode, w.Code, token)
				}
			}
		}
		o.Mode = auth.IAM // a forged token may be admitted here: Cloud Run is in front. It must not panic.
		guard(t, o, route.Viewer).ask(bearer(token))
	})
}
