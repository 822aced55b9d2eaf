// Package problem answers requests that cannot be served: JSON as RFC 9457 defines it, with
// what to do about it. One table says for every kind of problem which status it has and
// which remedy; docs/api.md describes each under the name that its type ends with.
package problem

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/evalforge/evalforge"
)

// A Kind is what went wrong: one line of the table.
type Kind string

// The kinds.
const (
	BadRequest       Kind = "bad-request"
	Unauthenticated  Kind = "unauthenticated"
	Forbidden        Kind = "forbidden"
	NotFound         Kind = "not-found"
	MethodNotAllowed Kind = "method-not-allowed"
	RequestTimeout   Kind = "request-timeout"
	TooLarge         Kind = "too-large"
	UnsupportedMedia Kind = "unsupported-media-type"
	Invalid          Kind = "invalid"
	ClientGone       Kind = "client-gone"
	Internal         Kind = "internal"
	StoreUnavailable Kind = "store-unavailable"
	StoreSlow        Kind = "store-slow"
	RunFailed        Kind = "run-failed"
	Busy             Kind = "busy"
	Stopping         Kind = "stopping"
	KeysUnavailable  Kind = "keys-unavailable"
)

// A meaning is what follows from a kind.
type meaning struct {
	Status int
	Title  string
	Hint   string // what to do, or ""
	// RetryAfter is what a caller waits before trying again, in seconds; 0: that may not help.
	RetryAfter int
}

// statusClientGone is what nginx logs for it. Only a caller that closes half of its connection
// sees it; it is no fault of the service.
const statusClientGone = 499

// meanings returns every kind with its meaning.
func meanings() map[Kind]meaning {
	return map[Kind]meaning{
		BadRequest:       {http.StatusBadRequest, "The request cannot be understood", "", 0},
		Unauthenticated:  {http.StatusUnauthorized, "The caller is not known", "send a token that docs/security.md describes", 0},
		Forbidden:        {http.StatusForbidden, "The caller may not do this", "ask whoever operates the service for the role", 0},
		NotFound:         {http.StatusNotFound, "There is nothing here", "", 0},
		MethodNotAllowed: {http.StatusMethodNotAllowed, "The method does not apply here", "the header Allow says which do", 0},
		RequestTimeout:   {http.StatusRequestTimeout, "The request came too slowly", "send it again, faster or in smaller parts", 0},
		TooLarge:         {http.StatusRequestEntityTooLarge, "The request is too large", "", 0},
		UnsupportedMedia: {http.StatusUnsupportedMediaType, "The body is of a kind that is not read here", "", 0},
		Invalid:          {http.StatusUnprocessableEntity, "The request has values that are not allowed", "", 0},
		ClientGone:       {statusClientGone, "The caller hung up before the answer", "", 0},
		Internal:         {http.StatusInternalServerError, "The service has a bug", "the log has the details under the id that \"instance\" names; please report it", 0},
		StoreUnavailable: {http.StatusServiceUnavailable, "The store cannot be used", "try again in a moment; if it stays so, run \"evalforge doctor\" with the service's settings: it says what is broken and how to fix it", 5},
		StoreSlow:        {http.StatusServiceUnavailable, "The store did not answer in time", "try again, with a smaller limit", 5},
		RunFailed:        {http.StatusServiceUnavailable, "The run could not do its work", "nothing is lost: traces it did not finish are due again. \"evalforge doctor\" checks the settings, the store and the access to the model", 60},
		Busy:             {http.StatusServiceUnavailable, "The service is doing as much as it may", "try again later", 30},
		KeysUnavailable:  {http.StatusServiceUnavailable, "The token cannot be checked now", "try again in a moment; if it stays so, the service cannot reach the address of its issuer's keys (EVALFORGE_JWKS_URL)", 10},
		Stopping:         {http.StatusServiceUnavailable, "The service is shutting down", "try again: another instance takes over", 1},
	}
}

// typePrefix begins the type of every problem; the kind follows.
const typePrefix = "https://github.com/evalforge/evalforge/blob/main/docs/api.md#"

// A Problem is one answer.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what is wrong with this request. It never holds trace content.
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"`
	// Instance names this occurrence in the log, or is "".
	Instance string `json:"instance,omitempty"`
	// Errors are the fields that are wrong, if that is what is.
	Errors []FieldError `json:"errors,omitempty"`
	// Run is what a run that failed did until then.
	Run *evalforge.RunSummary `json:"run,omitempty"`

	retryAfter int
}

// A FieldError is one value that is not allowed.
type FieldError struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

// New returns a problem of a kind.
func New(k Kind, detail string) *Problem {
	m, ok := meanings()[k]
	if !ok {
		m = meanings()[Internal]
	}
	return &Problem{Type: typePrefix + string(k), Title: m.Title, Status: m.Status, Detail: detail, Hint: m.Hint, retryAfter: m.RetryAfter}
}

// WithHint replaces the remedy of the kind.
func (p *Problem) WithHint(hint string) *Problem {
	p.Hint = hint
	return p
}

// Error makes a problem an error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}

// MediaType is the type of the answers.
const MediaType = "application/problem+json"

// A Page answers people with a problem.
type Page func(w http.ResponseWriter, r *http.Request, p *Problem)

type pageKey struct{}

// WithPage returns a context in which requests are those of people, who are answered by page.
func WithPage(ctx context.Context, page Page) context.Context {
	return context.WithValue(ctx, pageKey{}, page)
}

// Write answers r with p: with the page that its context has, or else as JSON.
func Write(w http.ResponseWriter, r *http.Request, p *Problem) {
	h := w.Header()
	h.Del("Etag")
	h.Del("Content-Encoding")
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if page, ok := r.Context().Value(pageKey{}).(Page); ok {
		page(w, r, p)
		return
	}
	body, err := json.Marshal(p)
	if err != nil { // impossible: text and numbers always encode
		body = []byte("{}")
	}
	h.Set("Content-Type", MediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // nobody is left to tell
}
