package auth

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/evalforge/evalforge/internal/server/route"
)

// A refusal is why a request is not served. Its texts are constant but for the role: what
// a caller sent is never repeated.
type refusal struct {
	status int
	reason string // for logs and metrics
	detail string
	hint   string
}

const tokenHint = "get an ID token for the service's URL and send it as Authorization: Bearer TOKEN (gcloud auth print-identity-token --audiences=URL)"

var (
	refuseNoToken    = &refusal{401, "no_token", "The request carries no token.", tokenHint}
	refuseMalformed  = &refusal{401, "malformed_token", "The token is not a well-formed JSON Web Token, or there are several.", tokenHint}
	refuseAlgorithm  = &refusal{401, "algorithm", "The token is signed with an algorithm that is not accepted here, or not signed at all.", tokenHint}
	refuseUnknownKey = &refusal{401, "unknown_key", "The token is signed with a key that its issuer does not publish.", tokenHint}
	refuseSignature  = &refusal{401, "signature", "The token's signature is wrong.", tokenHint}
	refuseExpired    = &refusal{401, "expired", "The token has expired, or never does.", "get a new token; check the clock of the machine that made this one"}
	refuseNotYet     = &refusal{401, "not_yet_valid", "The token is not valid yet.", "check the clocks of the caller and of this service"}
	refuseIssuer     = &refusal{401, "issuer", "The token is of an issuer that is not accepted here.", "for another issuer than Google, the operator sets EVALFORGE_ISSUER"}
	refuseAudience   = &refusal{401, "audience", "The token was made out for another audience.", "ask for a token with the audience that EVALFORGE_AUDIENCE names, as a rule the service's URL"}
	refuseEmail      = &refusal{403, "email_unverified", "The e-mail address in the token is not verified by its issuer.", "verify the address with the issuer"}
	refuseUnchecked  = &refusal{403, "unchecked_token", "Cloud Run has not checked this token: the service seems to be open to everybody.",
		"require authentication on the service (no roles/run.invoker for allUsers), or let the service verify tokens: EVALFORGE_AUTH=oidc"}
	refuseNoKeys    = &refusal{503, "keys_unavailable", "The token cannot be checked now: its issuer's keys cannot be fetched.", "try again; the operator checks that the service reaches the address of the keys"}
	refuseCrossSite = &refusal{403, "cross_site", "A page of another site made the browser send this request.", "use the service's own pages, or a program"}
	refuseHost      = &refusal{403, "host", "Without authentication, the service answers only to the names of this machine.", "use http://localhost or http://127.0.0.1, or set EVALFORGE_AUTH"}
)

// roleSettings names the setting that gives a role.
var roleSettings = map[route.Role]string{
	route.Invoker: "EVALFORGE_INVOKERS", route.Viewer: "EVALFORGE_VIEWERS",
	route.Operator: "EVALFORGE_OPERATORS", route.Sender: "EVALFORGE_SENDERS",
}

func refuseRole(role route.Role) *refusal {
	return &refusal{403, "role", fmt.Sprintf("This needs the role %q.", role), "the operator of the service gives it with " + roleSettings[role]}
}

// A problem is an RFC 9457 problem, with what to do about it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// refuse answers and logs a refusal. p is who asked, if that is known.
func (a *Auth) refuse(w http.ResponseWriter, req *http.Request, r route.Route, p route.Principal, no *refusal) {
	a.log.WarnContext(req.Context(), "access denied", "reason", no.reason, "status", no.status,
		"route", r.Pattern(), "role", string(r.Role), "principal", p.Name)
	h := w.Header()
	switch no.status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="evalforge"`
		if no != refuseNoToken {
			challenge += `, error="invalid_token"` // RFC 6750, section 3.1
		}
		h.Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "10")
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(no.status)
	body, err := json.Marshal(problem{"about:blank", http.StatusText(no.status), no.status, no.detail, no.hint})
	if err != nil {
		return // impossible: only strings and a number
	}
	_, _ = w.Write(append(body, '\n')) // the caller is gone
}
