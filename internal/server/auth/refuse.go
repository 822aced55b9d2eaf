package auth

import (
	"fmt"
	"net/http"

	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/route"
)

// A refusal is why a request is not served. Its texts are constant but for the role: what
// a caller sent is never repeated.
type refusal struct {
	kind   problem.Kind
	reason string // for logs
	detail string
	hint   string
}

const tokenHint = "get an ID token for the service's URL and send it as Authorization: Bearer TOKEN (gcloud auth print-identity-token; for a service account with --audiences=URL)"

var (
	refuseNoToken    = &refusal{problem.Unauthenticated, "no_token", "The request carries no token.", tokenHint}
	refuseMalformed  = &refusal{problem.Unauthenticated, "malformed_token", "The token is not a well-formed JSON Web Token, or there are several.", tokenHint}
	refuseAlgorithm  = &refusal{problem.Unauthenticated, "algorithm", "The token is signed with an algorithm that is not accepted here, or not signed at all.", tokenHint}
	refuseUnknownKey = &refusal{problem.Unauthenticated, "unknown_key", "The token is signed with a key that its issuer does not publish.", tokenHint}
	refuseSignature  = &refusal{problem.Unauthenticated, "signature", "The token's signature is wrong.", tokenHint}
	refuseExpired    = &refusal{problem.Unauthenticated, "expired", "The token has expired, or never does.", "get a new token; check the clock of the machine that made this one"}
	refuseNotYet     = &refusal{problem.Unauthenticated, "not_yet_valid", "The token is not valid yet.", "check the clocks of the caller and of this service"}
	refuseIssuer     = &refusal{problem.Unauthenticated, "issuer", "The token is of an issuer that is not accepted here.", "for another issuer than Google, the operator sets EVALFORGE_ISSUER"}
	refuseAudience   = &refusal{problem.Unauthenticated, "audience", "The token was made out for another audience.", "ask for a token with the audience that EVALFORGE_AUDIENCE names, as a rule the service's URL"}
	refuseEmail      = &refusal{problem.Forbidden, "email_unverified", "The e-mail address in the token is not verified by its issuer.", "verify the address with the issuer"}
	refuseUnchecked  = &refusal{problem.Forbidden, "unchecked_token", "Cloud Run has not checked this token: the service seems to be open to everybody.",
		"require authentication on the service (no roles/run.invoker for allUsers), or let the service verify tokens: EVALFORGE_AUTH=oidc"}
	refuseNoKeys    = &refusal{problem.KeysUnavailable, "keys_unavailable", "The token cannot be checked now: its issuer's keys cannot be fetched.", "try again; the operator checks that the service reaches the address of the keys"}
	refuseCrossSite = &refusal{problem.Forbidden, "cross_site", "A page of another site made the browser send this request.", "use the service's own pages, or a program"}
	refuseHost      = &refusal{problem.Forbidden, "host", "Without authentication, the service answers only to the names of this machine.", "use http://localhost or http://127.0.0.1, or set EVALFORGE_AUTH"}
)

// roleSettings names the setting that gives a role.
var roleSettings = map[route.Role]string{
	route.Invoker: "EVALFORGE_INVOKERS", route.Viewer: "EVALFORGE_VIEWERS",
	route.Operator: "EVALFORGE_OPERATORS", route.Sender: "EVALFORGE_SENDERS",
}

func refuseRole(role route.Role) *refusal {
	return &refusal{problem.Forbidden, "role", fmt.Sprintf("This needs the role %q.", role), "the operator of the service gives it with " + roleSettings[role]}
}

// refuse answers and logs a refusal. p is who asked, if that is known.
func (a *Auth) refuse(w http.ResponseWriter, req *http.Request, r route.Route, p route.Principal, no *refusal) {
	answer := problem.New(no.kind, no.detail).WithHint(no.hint)
	a.log.WarnContext(req.Context(), "access denied", "reason", no.reason, "status", answer.Status,
		"route", r.Pattern(), "role", string(r.Role), "principal", p.Name)
	if answer.Status == http.StatusUnauthorized {
		challenge := `Bearer realm="evalforge"`
		if no != refuseNoToken {
			challenge += `, error="invalid_token"` // RFC 6750, section 3.1
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	problem.Write(w, req, answer)
}
