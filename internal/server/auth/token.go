package auth

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken bounds a token in bytes. Google's have about 1 KB.
const maxToken = 16 << 10

// strippedSignature is what Cloud Run puts in the place of the signature of a token that
// it has checked (cloud.google.com/run/docs/troubleshooting#signature-removed).
const strippedSignature = ".SIGNATURE_REMOVED_BY_GOOGLE"

// googleIssuers are the two ways in which Google names itself.
var googleIssuers = []string{googleIssuer, "accounts.google.com"}

// claims is what is read of a token.
type claims struct {
	jwt.RegisteredClaims
	Email         string   `json:"email"`
	EmailVerified flexBool `json:"email_verified"`
	HostedDomain  string   `json:"hd"`
}

// A flexBool is true, or "true", which some issuers write.
type flexBool bool

func (b *flexBool) UnmarshalJSON(data []byte) error {
	v, err := strconv.ParseBool(strings.Trim(string(data), `"`))
	*b = flexBool(v && err == nil)
	return nil // what is neither is not verified
}

// A verifier checks tokens of one issuer.
type verifier struct {
	parser    *jwt.Parser
	keys      *keySet
	methods   []string
	issuers   []string
	audiences []string
	// emailSigned says that the issuer vouches for every e-mail address that it signs.
	emailSigned bool
}

func newVerifier(o Options) *verifier {
	v := &verifier{audiences: o.Audiences, methods: []string{"RS256"}, issuers: googleIssuers}
	url := googleKeys
	switch {
	case o.Mode == IAP:
		v.methods, v.issuers, url, v.emailSigned = []string{"ES256"}, []string{iapIssuer}, iapKeys, true
	case o.Issuer != "" && o.Issuer != googleIssuer:
		v.methods, v.issuers = []string{"RS256", "ES256"}, []string{o.Issuer}
	}
	if o.KeysURL != "" {
		url = o.KeysURL
	}
	v.keys = newKeySet(url, o.Client, o.Now)
	v.parser = jwt.NewParser(
		jwt.WithValidMethods(v.methods), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(skew), jwt.WithTimeFunc(o.Now))
	return v
}

// verify returns who a token belongs to, if everything about it is right: algorithm,
// signature, times, issuer, audience, and the e-mail address, if it has one.
func (v *verifier) verify(ctx context.Context, token string) (identity, *refusal) {
	if len(token) > maxToken {
		return identity{}, refuseMalformed
	}
	var c claims
	t, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok {
			return nil, jwt.ErrTokenMalformed // RFC 7515, section 4.1.11: it must be understood, and nothing is
		}
		kid, _ := t.Header["kid"].(string)
		return v.keys.key(ctx, kid, t.Method.Alg())
	})
	if err != nil {
		return identity{}, v.refusalOf(t, err)
	}
	if !slices.Contains(v.issuers, c.Issuer) {
		return identity{}, refuseIssuer
	}
	if !slices.ContainsFunc(c.Audience, func(aud string) bool { return slices.Contains(v.audiences, aud) }) {
		return identity{}, refuseAudience
	}
	return c.identity(v.emailSigned)
}

// refusalOf maps the JWT library's errors, whose texts may quote the token.
func (v *verifier) refusalOf(t *jwt.Token, err error) *refusal {
	switch {
	case errors.Is(err, errNoKeys):
		return refuseNoKeys
	case errors.Is(err, errUnknownKey):
		return refuseUnknownKey
	case t != nil && t.Header["alg"] != nil && !slices.Contains(v.methods, headerText(t, "alg")):
		return refuseAlgorithm
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuseSignature
	}
	return refusalOfClaims(err)
}

func refusalOfClaims(err error) *refusal {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenRequiredClaimMissing): // exp is the one required
		return refuseExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuseNotYet
	}
	return refuseMalformed
}

func headerText(t *jwt.Token, name string) string {
	s, _ := t.Header[name].(string)
	return s
}

// readStripped returns who a token belongs to that Cloud Run has checked. Its signature
// is gone, so it is worth what Cloud Run's check is worth: it is only called on Cloud Run.
func readStripped(token string, now time.Time) (identity, *refusal) {
	if len(token) > maxToken {
		return identity{}, refuseMalformed
	}
	var c claims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &c); err != nil {
		return identity{}, refuseMalformed
	}
	check := jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(skew),
		jwt.WithTimeFunc(func() time.Time { return now }))
	if err := check.Validate(&c); err != nil {
		return identity{}, refusalOfClaims(err)
	}
	if !slices.Contains(googleIssuers, c.Issuer) {
		return identity{}, refuseIssuer
	}
	return c.identity(false)
}

// identity returns who the claims are about. An e-mail address that the issuer has not
// verified could be anybody's.
func (c *claims) identity(emailSigned bool) (identity, *refusal) {
	if c.Email != "" && !bool(c.EmailVerified) && !emailSigned {
		return identity{}, refuseEmail
	}
	return identity{
		subject: c.Subject,
		email:   strings.ToLower(strings.TrimPrefix(c.Email, "accounts.google.com:")),
		hosted:  strings.ToLower(c.HostedDomain),
		google:  c.Issuer == iapIssuer || slices.Contains(googleIssuers, c.Issuer),
	}, nil
}
