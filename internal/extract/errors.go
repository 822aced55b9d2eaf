package extract

import (
	"context"
	"errors"
	"time"

	"github.com/evalforge/evalforge"
)

// A Kind classifies what can go wrong with a trace. The table kinds maps it to what is
// recorded and what is done about it.
type Kind string

// The kinds of failure.
const (
	KindInvalidTrace Kind = "invalid_trace" // the raw trace cannot be analyzed at all
	KindOversize     Kind = "oversize"      // the document cannot be stored
	KindTimeout      Kind = "timeout"       // the trace's time budget ran out
	KindRateLimited  Kind = "rate_limited"  // the model's service refused for quota, 429
	KindUnavailable  Kind = "unavailable"   // the model's service or the way to it failed, 5xx or network
	KindRejected     Kind = "rejected"      // the model's service refused this request, 400
	KindConfig       Kind = "config"        // credentials or model name are wrong, 401, 403, 404: no trace can succeed
	KindBlocked      Kind = "blocked"       // the prompt or the answer was blocked by a safety filter
	KindTruncated    Kind = "truncated"     // the answer was cut at the output limit
	KindEmpty        Kind = "empty"         // the answer had no content
	KindInvalidJSON  Kind = "invalid_json"  // the answer is not JSON
	KindSchema       Kind = "schema"        // the answer breaks the schema or the validation rules
	KindEvidence     Kind = "evidence"      // no quote of the answer occurs in the trace
	KindStore        Kind = "store"         // the store failed
	KindInternal     Kind = "internal"      // a bug, recovered
	KindHalted       Kind = "halted"        // the run makes no more calls: the trace is given back, nothing is recorded
)

// An Error is a failure of a known kind.
type Error struct {
	Kind Kind
	Err  error
	// Response is the model's answer that was refused, if any. It is unredacted: only
	// its digest and a redacted excerpt may be stored.
	Response []byte
	// Spent is what the attempts cost although they failed.
	Spent Spent
	// Final says that asking again with the same input would only be paid for again. The
	// trace is quarantined at once.
	Final bool
}

// Spent is what calls of a model took.
type Spent struct {
	Tokens   evalforge.Tokens
	CostUSD  float64
	Attempts int
	Latency  time.Duration // of the calls, without what they waited for their turns
	// Unsure bounds what calls took beyond Tokens and CostUSD whose usage nobody reported.
	Unsure Unsure
}

// Unsure is the most that calls may have taken that were sent, and then were cancelled,
// ran out of time, broke off or came back unreadable: the service may bill them all the
// same. Calls that it refused with an error status are not among them.
type Unsure struct {
	Calls   int
	Tokens  evalforge.Tokens
	CostUSD float64
}

// Add returns the sum of s and t.
func (s Spent) Add(t Spent) Spent {
	return Spent{
		Tokens: s.Tokens.Add(t.Tokens), CostUSD: s.CostUSD + t.CostUSD, Attempts: s.Attempts + t.Attempts,
		Latency: s.Latency + t.Latency,
		Unsure: Unsure{
			Calls: s.Unsure.Calls + t.Unsure.Calls, Tokens: s.Unsure.Tokens.Add(t.Unsure.Tokens),
			CostUSD: s.Unsure.CostUSD + t.Unsure.CostUSD,
		},
	}
}

func (e *Error) Error() string {
	if hint := kinds[e.Kind].hint; hint != "" {
		return e.Err.Error() + " (" + hint + ")"
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// kindInfo is what follows from a kind.
type kindInfo struct {
	outcome   evalforge.Outcome
	errorType evalforge.ErrorType
	// permanent kinds are quarantined at once: trying again cannot help.
	permanent bool
	hint      string
}

var kinds = map[Kind]kindInfo{
	KindInvalidTrace: {evalforge.Skipped, evalforge.SchemaValidation, true, "correct the trace and import it again"},
	KindOversize:     {evalforge.Errored, evalforge.Oversize, true, ""},
	KindTimeout:      {evalforge.TimedOut, evalforge.Timeout, false, "raise PER_TRACE_TIMEOUT_SEC if this is frequent"},
	KindRateLimited:  {evalforge.Errored, evalforge.VertexError, false, "set EVALFORGE_REQUESTS_PER_MINUTE to your share of the quota, or ask for more"},
	KindUnavailable:  {evalforge.Errored, evalforge.VertexError, false, ""},
	KindRejected:     {evalforge.Errored, evalforge.VertexError, false, ""},
	KindConfig:       {evalforge.Errored, evalforge.VertexError, false, "run \"evalforge doctor\""},
	KindBlocked:      {evalforge.Errored, evalforge.VertexError, false, ""},
	KindTruncated:    {evalforge.ValidationFailed, evalforge.InvalidJSON, false, "raise GEMINI_MAX_OUTPUT_TOKENS"},
	KindEmpty:        {evalforge.ValidationFailed, evalforge.InvalidJSON, false, ""},
	KindInvalidJSON:  {evalforge.ValidationFailed, evalforge.InvalidJSON, false, ""},
	KindSchema:       {evalforge.ValidationFailed, evalforge.SchemaValidation, false, ""},
	KindEvidence:     {evalforge.ValidationFailed, evalforge.SchemaValidation, false, ""},
	KindStore:        {evalforge.Errored, evalforge.Unknown, false, ""},
	KindInternal:     {evalforge.Errored, evalforge.Unknown, false, ""},
	KindHalted:       {evalforge.Errored, evalforge.Unknown, false, ""},
}

// isFinal reports whether err says that asking again cannot help.
func isFinal(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Final
}

// KindOf returns the kind of err: that of the [*Error] in its chain, else KindTimeout
// for a passed deadline, else KindInternal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return KindTimeout
	}
	return KindInternal
}
