package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// CheckClaim reports a request that no claim can be made from.
func CheckClaim(req extract.ClaimRequest) error {
	if err := CheckPeek(req); err != nil {
		return err
	}
	if req.NewToken == nil {
		return errors.New("claim: NewToken is nil; every lease needs a token")
	}
	if !evalforge.At(req.LeaseUntil).After(evalforge.At(req.Now).Time) {
		return fmt.Errorf("claim: the lease would end at %s, which is not after %s", evalforge.At(req.LeaseUntil), evalforge.At(req.Now))
	}
	return nil
}

// CheckPeek reports a request that nothing can be looked up from. Peeking needs no
// token and no lease.
func CheckPeek(req extract.ClaimRequest) error {
	if err := checkRunID(req.RunID); err != nil {
		return err
	}
	switch {
	case req.Limit < 1:
		return &evalforge.FieldError{Field: "limit", Problem: fmt.Sprintf("is %d; at least 1 trace must be asked for", req.Limit)}
	case req.Now.IsZero():
		return &evalforge.FieldError{Field: "now", Problem: "must be set"}
	}
	return nil
}

// IncomingTrace returns t as ingestion writes it: unprocessed, and with a payload that
// every backend can hold. A missing payload is null, and a byte that is not UTF-8 is
// U+FFFD, as readers of JSON would take them anyway. It refuses an id that is no
// document id, and a payload that is not JSON. A payload that is JSON but nothing to
// analyze (null, a list, {}) is stored: the run that meets it records why it is skipped.
func IncomingTrace(t evalforge.RawTrace) (evalforge.RawTrace, error) {
	if err := evalforge.ValidateTraceID(t.TraceID); err != nil {
		return t, err
	}
	if !utf8.ValidString(t.TraceID) {
		return t, &evalforge.FieldError{Field: "trace_id", Problem: "is not valid UTF-8"}
	}
	t.Processed, t.ProcessedAt = false, nil
	if len(bytes.TrimSpace(t.Payload)) == 0 {
		t.Payload = json.RawMessage("null")
		return t, nil
	}
	if !json.Valid(t.Payload) {
		return t, &evalforge.FieldError{Field: "trace_payload", Problem: "is not valid JSON"}
	}
	t.Payload = validUTF8(t.Payload)
	return t, nil
}

// validUTF8 returns b with each byte that is not part of a valid sequence as U+FFFD:
// what encoding/json reads from such a string.
func validUTF8(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	out := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		out = utf8.AppendRune(out, r)
		b = b[n:]
	}
	return out
}

// CommittedPattern returns the pattern of r in its stored form, with lists and maps that
// are never null; nil if r has none. It refuses a result without the time at which it was
// reached, and a pattern that breaks [evalforge.Pattern.Validate], or that is of another
// trace than l.
func CommittedPattern(l extract.Lease, r extract.Result) (*evalforge.Pattern, error) {
	if r.At.IsZero() {
		return nil, &evalforge.FieldError{Field: "processed_at", Problem: "must be set"}
	}
	p := r.Pattern
	if p == nil {
		return nil, nil
	}
	if p.SourceTraceID != l.TraceID {
		return nil, &evalforge.FieldError{Field: "source_trace_id", Problem: fmt.Sprintf("is %.60q, but the lease is for %.60q", p.SourceTraceID, l.TraceID)}
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("pattern of trace %s: %w", l.TraceID, err)
	}
	q := *p
	q.Evidence.Refs = nonNil(q.Evidence.Refs)
	q.Provenance.Warnings = nonNil(q.Provenance.Warnings)
	if q.Provenance.Redactions == nil {
		q.Provenance.Redactions = map[string]int{}
	}
	return &q, nil
}

// CheckError reports an error document that cannot be found again.
func CheckError(e evalforge.ExtractionError) error {
	if err := checkRunID(e.RunID); err != nil {
		return err
	}
	if err := evalforge.ValidateTraceID(e.SourceTraceID); err != nil {
		return &evalforge.FieldError{Field: "source_trace_id", Problem: fieldProblem(err)}
	}
	if err := e.ErrorType.Validate(); err != nil {
		return err
	}
	if e.RecordedAt.IsZero() {
		return &evalforge.FieldError{Field: "recorded_at", Problem: "must be set"}
	}
	return nil
}

// CheckFailure reports a failure whose error document is malformed or of another
// trace than l.
func CheckFailure(l extract.Lease, f extract.Failure) error {
	if err := CheckError(f.Error); err != nil {
		return err
	}
	if f.Error.SourceTraceID != l.TraceID {
		return &evalforge.FieldError{Field: "source_trace_id", Problem: fmt.Sprintf("is %.60q, but the lease is for %.60q", f.Error.SourceTraceID, l.TraceID)}
	}
	return nil
}

// SavedRun returns r in its stored form, with lists and maps that are never null. It
// refuses a record that cannot be found again.
func SavedRun(r evalforge.Run) (evalforge.Run, error) {
	if err := checkRunID(r.RunID); err != nil {
		return r, err
	}
	if r.StartedAt.IsZero() {
		return r, &evalforge.FieldError{Field: "started_at", Problem: "must be set"}
	}
	if err := r.TriggeredBy.Validate(); err != nil {
		return r, err
	}
	r.TraceOutcomes = nonNil(r.TraceOutcomes)
	if r.Redactions == nil {
		r.Redactions = map[string]int{}
	}
	return r, nil
}

// checkRunID reports a run id that cannot be a document id.
func checkRunID(id string) error {
	if err := evalforge.ValidateTraceID(id); err != nil {
		return &evalforge.FieldError{Field: "run_id", Problem: fieldProblem(err)}
	}
	if !utf8.ValidString(id) {
		return &evalforge.FieldError{Field: "run_id", Problem: "is not valid UTF-8"}
	}
	return nil
}

// CheckRenewal reports a renewal without an end.
func CheckRenewal(until time.Time) error {
	if until.IsZero() {
		return &evalforge.FieldError{Field: "lease_until", Problem: "must be set"}
	}
	return nil
}

// maxRecentRuns bounds what a trace remembers of the runs that claimed it. A run that
// is still going when this many others have claimed the trace since could be given it
// again; leases and backoff make that many claims within one run impossible in practice.
const maxRecentRuns = 16

// AddRun returns the recent claimers of a trace with runID as the last. The argument
// is left unchanged.
func AddRun(recent []string, runID string) []string {
	out := make([]string, 0, len(recent)+1)
	for _, id := range recent {
		if id != runID {
			out = append(out, id)
		}
	}
	out = append(out, runID)
	return slices.Clip(out[max(0, len(out)-maxRecentRuns):])
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func fieldProblem(err error) string {
	var fe *evalforge.FieldError
	if errors.As(err, &fe) {
		return fe.Problem
	}
	return err.Error()
}

// Retryable reports why a trace in the given state has nothing to retry, as an error
// that matches [extract.ErrNotRetryable], or nil. The state of a trace that was never
// claimed is the zero State.
func Retryable(traceID string, processed bool, s extract.State, now time.Time) error {
	reason := ""
	switch {
	case processed:
		reason = "it is already processed"
	case s.LeaseToken != "" && now.Before(s.LeaseUntil.Time):
		reason = fmt.Sprintf("%s is working on it; its lease ends at %s", s.LeaseOwner, s.LeaseUntil)
	case s.QuarantinedAt.IsZero() && !now.Before(s.RetryAt.Time):
		reason = "it is due anyway; the next run takes it"
	default:
		return nil
	}
	return fmt.Errorf("trace %s: %w: %s", traceID, extract.ErrNotRetryable, reason)
}
