// Package auth decides who may use a route of the service.
//
// [New] checks the configuration, and refuses one that would leave the service open;
// [Auth.Wrap] puts a route behind it: the request is authenticated, the caller's role
// checked, and the [route.Principal] handed to the handler in the request's context.
// There are four ways to know the caller, the [Mode]s. What a token must satisfy is in
// token.go, whose keys verify it in keys.go, and who has which role in allow.go.
//
// Every refusal is answered as an RFC 9457 problem and logged with its reason. Nothing of
// a token that was not verified is ever logged or answered.
package auth

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/evalforge/evalforge/internal/server/route"
)

// A Mode is a way to know who makes a request.
type Mode string

// The modes.
const (
	// None asks nobody: everybody who reaches the service may do everything. It is for
	// one's own machine and refused elsewhere.
	None Mode = "none"
	// IAM leaves the check to Cloud Run, which lets in who has roles/run.invoker and hands
	// over the caller's token with its signature cut off.
	IAM Mode = "iam"
	// OIDC verifies ID tokens here, for a service that everybody can reach.
	OIDC Mode = "oidc"
	// IAP verifies the header that Identity-Aware Proxy signs, for people with a browser.
	IAP Mode = "iap"
)

// ParseMode returns the mode called s.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case None, IAM, OIDC, IAP:
		return m, nil
	}
	return "", errors.New("must be iam, oidc, iap or none")
}

// Where the issuers of tokens publish their keys.
const (
	googleIssuer = "https://accounts.google.com"
	googleKeys   = "https://www.googleapis.com/oauth2/v3/certs"
	iapIssuer    = "https://cloud.google.com/iap"
	iapKeys      = "https://www.gstatic.com/iap/verify/public_key-jwk"
)

// skew is how far the clocks of an issuer and of this machine may differ.
const skew = time.Minute

// Options configure an [Auth].
type Options struct {
	// Mode is IAM on Cloud Run and None elsewhere, if empty.
	Mode Mode
	// CloudRun says that the process is a Cloud Run service.
	CloudRun bool
	// Listen is the address that the service is bound to, as host:port.
	Listen string
	// Audiences are what tokens may be made out for; a token needs one of them. OIDC and
	// IAP do not work without; with IAM they are needed for tokens that kept their
	// signature.
	Audiences []string
	// Issuer and KeysURL are Google's if empty. KeysURL is where the issuer's keys are
	// published as a JSON Web Key Set (RFC 7517).
	Issuer, KeysURL string
	// Allow says who has which role. Without any entry, IAM lets everybody invoke whom
	// Cloud Run lets in, and the other modes are refused.
	Allow map[route.Role]List
	// Client fetches the keys; nil means one with a time limit.
	Client *http.Client
	Log    *slog.Logger
	Now    func() time.Time
}

// An Auth guards routes. It is safe for concurrent use.
type Auth struct {
	mode   Mode
	allow  map[route.Role]List
	tokens *verifier // nil in None, and in IAM without audiences
	cross  *http.CrossOriginProtection
	log    *slog.Logger
	now    func() time.Time
}

// New returns the guard that o describes, or an error that says what is wrong with o and
// which setting mends it.
func New(o Options) (*Auth, error) {
	if o.Mode == "" {
		if o.Mode = None; o.CloudRun {
			o.Mode = IAM
		}
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("EVALFORGE_AUTH=%s: %w", o.Mode, err)
	}
	a := &Auth{mode: o.Mode, allow: o.Allow, cross: http.NewCrossOriginProtection(), log: o.Log, now: o.Now}
	if o.Mode == IAM && !anyEntry(o.Allow) {
		a.allow = map[route.Role]List{route.Invoker: {everybody}}
	}
	if o.Mode != None && len(o.Audiences) > 0 {
		a.tokens = newVerifier(o)
	}
	return a, nil
}

// Mode returns the mode in force.
func (a *Auth) Mode() Mode { return a.mode }

// Allowed returns who has a role.
func (a *Auth) Allowed(role route.Role) List { return a.allow[role] }

// check reports what of o cannot work, or would leave the service open.
func (o *Options) check() error {
	switch o.Mode {
	case None:
		if o.CloudRun {
			return errors.New("on Cloud Run everybody on the internet could read and pay for runs; set EVALFORGE_AUTH to iam, oidc or iap")
		}
		if !loopback(o.Listen) {
			return fmt.Errorf("the service is bound to %s, which other machines can reach; bind it to 127.0.0.1, or set EVALFORGE_AUTH to oidc or iap", o.Listen)
		}
		return nil
	case IAM:
		if !o.CloudRun {
			return errors.New("only on Cloud Run is there somebody who checks tokens before they come here; set EVALFORGE_AUTH to oidc or iap")
		}
	case OIDC, IAP:
		if len(o.Audiences) == 0 {
			return errors.New("without an audience, tokens that were made out for any other service would be accepted; set EVALFORGE_AUDIENCE (" + audienceHint[o.Mode] + ")")
		}
		if !anyEntry(o.Allow) {
			return errors.New("nobody has a role, so everything would be refused; set EVALFORGE_INVOKERS, EVALFORGE_VIEWERS, EVALFORGE_OPERATORS or EVALFORGE_SENDERS")
		}
		if o.Mode == OIDC && (o.Issuer == "" || o.Issuer == googleIssuer) {
			for _, role := range route.Roles() {
				if o.Allow[role].all() {
					return fmt.Errorf("%s=* would admit everybody who has a Google account; name e-mail addresses or @DOMAINs", roleSettings[role])
				}
			}
		}
	default:
		_, err := ParseMode(string(o.Mode))
		return err
	}
	return o.checkIssuer()
}

var audienceHint = map[Mode]string{
	OIDC: "the service's URL, as the callers ask for it",
	IAP:  "the \"Signed Header JWT Audience\" of the IAP page, such as /projects/NUMBER/global/backendServices/ID",
}

func (o *Options) checkIssuer() error {
	if o.Issuer != "" && o.Issuer != googleIssuer && o.KeysURL == "" {
		return fmt.Errorf("where the keys of the issuer %s are is not known; set EVALFORGE_JWKS_URL (its jwks_uri, in /.well-known/openid-configuration)", o.Issuer)
	}
	if o.KeysURL == "" {
		return nil
	}
	u, err := url.Parse(o.KeysURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Host)) {
		return errors.New("EVALFORGE_JWKS_URL must begin with https://: who can change the keys on the way can be anybody")
	}
	return nil
}

// loopback reports whether addr, a host with or without a port, is this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Wrap returns r's handler behind the guard.
func (a *Auth) Wrap(r route.Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		p, no := a.admit(req, r.Role)
		if no != nil {
			a.refuse(w, req, r, p, no)
			return
		}
		r.Handler.ServeHTTP(w, req.WithContext(route.WithPrincipal(req.Context(), p)))
	})
}

// admit returns who makes the request, and why it is refused, if it is.
func (a *Auth) admit(req *http.Request, role route.Role) (route.Principal, *refusal) {
	if a.mode == None && !loopback(req.Host) {
		return route.Principal{}, refuseHost
	}
	if a.cross.Check(req) != nil {
		return route.Principal{}, refuseCrossSite
	}
	if role == route.Public {
		return route.Principal{Name: anonymous}, nil
	}
	id, no := a.identify(req)
	if no != nil {
		return route.Principal{}, no
	}
	p := a.principal(id)
	if !p.May(role) {
		return p, refuseRole(role)
	}
	return p, nil
}

const anonymous = "anonymous"

// principal returns the roles that id has.
func (a *Auth) principal(id identity) route.Principal {
	p := route.Principal{Name: cmp.Or(id.email, id.subject, anonymous)}
	for _, role := range route.Roles() {
		if a.mode == None || a.allow[role].has(id) {
			p.Roles = append(p.Roles, role)
		}
	}
	return p
}

// identify returns who makes the request, as far as the mode lets it be known.
func (a *Auth) identify(req *http.Request) (identity, *refusal) {
	switch a.mode {
	case None:
		return identity{}, nil
	case IAP:
		token, no := onlyHeader(req, "X-Goog-Iap-Jwt-Assertion")
		if no != nil {
			return identity{}, no
		}
		return a.tokens.verify(req.Context(), token)
	case IAM:
		return a.identifyIAM(req)
	default:
		token, no := bearer(req, "Authorization")
		if no != nil {
			return identity{}, no
		}
		return a.tokens.verify(req.Context(), token)
	}
}

// identifyIAM reads the token that Cloud Run checked. A token that comes with its
// signature was not checked: it is verified here or refused.
func (a *Auth) identifyIAM(req *http.Request) (identity, *refusal) {
	// Where there is an X-Serverless-Authorization, Cloud Run checks that one only.
	header := "Authorization"
	if len(req.Header.Values(serverlessHeader)) > 0 {
		header = serverlessHeader
	}
	token, no := bearer(req, header)
	switch {
	case no != nil:
		return identity{}, no
	case strings.HasSuffix(token, strippedSignature):
		return readStripped(token, a.now())
	case a.tokens != nil:
		return a.tokens.verify(req.Context(), token)
	}
	return identity{}, refuseUnchecked
}

const serverlessHeader = "X-Serverless-Authorization"

// bearer returns the bearer token in a header (RFC 6750, section 2.1).
func bearer(req *http.Request, header string) (string, *refusal) {
	v, no := onlyHeader(req, header)
	if no != nil {
		return "", no
	}
	scheme, token, ok := strings.Cut(v, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", refuseNoToken
	}
	return strings.TrimLeft(token, " "), nil
}

// onlyHeader returns the value of a header that occurs once: with two, the one who
// checked and the one who uses it could look at different ones.
func onlyHeader(req *http.Request, name string) (string, *refusal) {
	switch v := req.Header.Values(name); len(v) {
	case 0:
		return "", refuseNoToken
	case 1:
		return v[0], nil
	}
	return "", refuseMalformed
}
