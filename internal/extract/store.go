package extract

import (
	"context"
	"errors"
	"time"

	"github.com/evalforge/evalforge"
)

// A Store keeps raw traces, patterns, runs, errors and the state of extraction. One
// value is used by many goroutines at once, and many processes may share one backlog.
//
// Every method is durable when it returns nil. Methods retry transient faults of their
// backend themselves and return only errors that a caller can do nothing about but
// report; they return promptly with ctx's error once ctx is done. A document that does
// not exist is an error that matches [evalforge.ErrNotFound], never (nil, nil).
//
// Time comes in with the requests; a store never reads the clock to decide anything.
// The conformance suite is package storetest.
type Store interface {
	Queue
	Archive
	Ledger
	Answers
	Reviser
	// InstallationKey returns the random key of this installation (32 bytes), made on
	// first use and the same ever after. Redaction derives its placeholders from it.
	InstallationKey(ctx context.Context) ([]byte, error)
	Close() error
}

// A Queue is what a run needs of a store.
//
// A trace is due when it is unprocessed, not quarantined, not under a live lease, past
// its backoff, and not yet claimed by the same run. Leases, attempts and backoff are
// kept apart from the raw trace, which ingestion overwrites as a whole.
type Queue interface {
	// Claim leases up to req.Limit due traces and counts an attempt on each. Fresh traces,
	// without an attempt so far, come first: oldest FetchedAt first, ties by id. Then come
	// those tried before, in the order in which they became due ([State.DueAt]), ties by
	// id, so that each has its turn before any has another. Whatever fails again and
	// again thus never stands before a fresh trace.
	//
	// Two claims, in whatever processes, never lease the same trace at the same time. A
	// lease that expired is taken over as one that was tried before; its old token is
	// worthless from then on. An empty result means that nothing is due.
	Claim(ctx context.Context, req ClaimRequest) ([]Claim, error)
	// Peek returns what Claim would lease, and leases nothing.
	Peek(ctx context.Context, req ClaimRequest) ([]Claim, error)
	// Renew extends a lease. It fails with [ErrLeaseLost] when the lease was taken over
	// or given up.
	Renew(ctx context.Context, l Lease, until time.Time) error
	// Commit ends a trace's extraction: it writes r.Pattern (replacing an older one),
	// marks the trace processed, remembers r.Digest, clears attempts and gives up the
	// lease, all in one transaction, fenced by the lease's token. With a nil r.Pattern
	// the trace is marked processed and its pattern is left as it is. A lease past its
	// expiry that nobody took over still commits. It fails with [ErrLeaseLost], and
	// writes nothing, when the lease was taken over or given up, or when the raw trace is
	// gone.
	//
	// A lease is committed once. A repeated commit, in whatever process and with whatever
	// result, is no error and writes nothing: its acknowledgement may have been lost. It
	// is known from what is stored, until another lease of the trace ends.
	//
	// When ingestion has replaced the trace by another payload since the claim (its
	// digest is no longer the claimed one), the pattern is stored but the trace stays
	// unprocessed, so that the new payload is extracted too.
	Commit(ctx context.Context, l Lease, r Result) error
	// Fail ends an attempt: it records f.Error, sets the backoff or the quarantine, and
	// gives up the lease, in one transaction, fenced like Commit. Repeated, it is no error
	// and writes nothing, like Commit; after a commit it fails, and a commit after it.
	Fail(ctx context.Context, l Lease, f Failure) error
	// Release gives a claimed trace back untouched: it is due again at once for other
	// runs, and the attempt is not counted. A lease already lost is no error.
	Release(ctx context.Context, l Lease) error
	// SaveRun writes the record of a run, replacing an earlier one of the same id.
	SaveRun(ctx context.Context, r evalforge.Run) error
	// RecordError writes an error document that belongs to no lease.
	RecordError(ctx context.Context, e evalforge.ExtractionError) error
}

// ErrLeaseLost is returned for a lease that its holder no longer holds.
var ErrLeaseLost = errors.New("lease lost: another worker took the trace over")

// A ClaimRequest says what to claim.
type ClaimRequest struct {
	RunID string // traces already claimed under this id are not claimed again
	Owner string // who works on it, for people to read
	Limit int    // at least 1
	// Retries asks for traces tried before first, and for fresh ones after them.
	Retries bool
	// TraceIDs restricts the claim to these traces, if not empty. Named traces are
	// claimed even while they back off, but not while quarantined, leased or processed.
	TraceIDs   []string
	Now        time.Time
	LeaseUntil time.Time
	// NewToken returns a value that no other claim has: the fencing token.
	NewToken func() string
}

// A Lease is the right to commit one trace.
type Lease struct {
	TraceID string
	RunID   string
	Owner   string
	Token   string
	Until   time.Time
	// Digest is the digest of the raw trace as it was claimed.
	Digest string
}

// A Claim is a leased trace.
type Claim struct {
	Lease
	Trace evalforge.RawTrace
	// Err says why the stored document could not be decoded; Trace then has only what
	// could be.
	Err error
	// Attempt counts the claims of this trace since it last succeeded, was retried by
	// hand or changed: 1 for the first. Attempts that ended in a crash count.
	Attempt int
	// Anew says that the trace failed before, and was then retried by hand or changed.
	Anew bool
	// KeptSince is when the trace was reopened, or zero: answers that were kept before are of
	// what is to be replaced, and are not used for it, whichever run claims it.
	KeptSince time.Time
	// ExtractedDigest is the digest of the input that the stored pattern was extracted
	// from, or "": also when that pattern is gone.
	ExtractedDigest string
}

// A Result is what [Queue.Commit] writes.
type Result struct {
	Pattern *evalforge.Pattern // nil: unchanged since the last extraction
	Digest  string             // of the raw trace that was analyzed
	At      time.Time
}

// A Failure is what [Queue.Fail] writes.
type Failure struct {
	Error evalforge.ExtractionError
	// RetryAt is when the trace is due again; ignored when Quarantine is set.
	RetryAt time.Time
	// Quarantine takes the trace out of the backlog until it is retried by hand or
	// ingestion brings a changed payload.
	Quarantine bool
}

// An Archive is what reading, importing and operating need of a store.
type Archive interface {
	// PutTrace writes a raw trace as ingestion does: the whole document, unprocessed.
	// A trace that is already there with the same digest is left alone, whatever its
	// state. A changed payload makes the trace due again: its attempts, backoff and
	// quarantine are cleared.
	PutTrace(ctx context.Context, t evalforge.RawTrace) (PutResult, error)
	Trace(ctx context.Context, id string) (evalforge.RawTrace, error)
	Pattern(ctx context.Context, traceID string) (evalforge.Pattern, error)
	// Patterns, Runs, Errors and States list newest first (by ExtractedAt, StartedAt,
	// RecordedAt, UpdatedAt; ties by id) or, if they can, in the order of q.Sort; at most
	// q.Limit, and return the cursor of the next page, or "" at the end. Where other services
	// write too, a document of wrong types is listed with what can be read of it; asked for
	// by itself it is an error that says what is wrong.
	Patterns(ctx context.Context, q PatternQuery) ([]evalforge.Pattern, string, error)
	Run(ctx context.Context, runID string) (evalforge.Run, error)
	// Delivered returns the latest run that answered the delivery with a key and was
	// started at since or later, or an error that matches [evalforge.ErrNotFound].
	Delivered(ctx context.Context, key string, since time.Time) (evalforge.Run, error)
	Runs(ctx context.Context, q PageQuery) ([]evalforge.Run, string, error)
	Errors(ctx context.Context, q ErrorQuery) ([]evalforge.ExtractionError, string, error)
	State(ctx context.Context, traceID string) (State, error)
	States(ctx context.Context, q StateQuery) ([]State, string, error)
	// Retry makes a quarantined or backing-off trace due at now, with its attempts at
	// zero. It reports a trace that is unknown ([evalforge.ErrNotFound]), and one that has
	// nothing to retry: already processed, leased, or due anyway ([ErrNotRetryable]).
	Retry(ctx context.Context, traceID string, now time.Time) error
	// Backlog counts without reading documents one by one.
	Backlog(ctx context.Context, now time.Time) (Backlog, error)
	Forgetter
	Insights
}

// ErrNotRetryable is returned, wrapped with the reason, by [Archive.Retry].
var ErrNotRetryable = errors.New("nothing to retry")

// A PutResult says what [Archive.PutTrace] did.
type PutResult string

// What PutTrace can do.
const (
	Created   PutResult = "created"
	Replaced  PutResult = "replaced"
	Unchanged PutResult = "unchanged"
)

// MaxPage bounds the Limit of every list query.
const MaxPage = 1000

// A PageQuery asks for one page of a list.
type PageQuery struct {
	Limit int    // 1 to [MaxPage]; 0 means 100
	After string // cursor from the previous page, or ""
}

// An ErrorQuery filters error documents; empty fields do not.
type ErrorQuery struct {
	PageQuery
	RunID   string
	TraceID string
}

// A StateQuery filters extraction states; empty fields do not.
type StateQuery struct {
	PageQuery
	Quarantined bool // only quarantined traces
}

// A State is what extraction remembers about one trace, apart from the raw trace: a
// document {prefix}extraction_state/{trace_id}. A trace that was never claimed has none.
type State struct {
	TraceID         string              `json:"trace_id"`
	RunID           string              `json:"run_id"` // of the last claim
	Attempts        int                 `json:"attempts"`
	LeaseOwner      string              `json:"lease_owner"`
	LeaseToken      string              `json:"lease_token"`
	LeaseUntil      evalforge.Timestamp `json:"lease_until"`
	RetryAt         evalforge.Timestamp `json:"retry_at"`
	QuarantinedAt   evalforge.Timestamp `json:"quarantined_at"`
	LastError       string              `json:"last_error"` // redacted
	LastErrorType   evalforge.ErrorType `json:"last_error_type"`
	ExtractedDigest string              `json:"extracted_digest"`
	UpdatedAt       evalforge.Timestamp `json:"updated_at"`
	// AnewSince is when the trace was reopened, until its next commit: see [Claim.KeptSince].
	AnewSince evalforge.Timestamp `json:"anew_since,omitzero"`
}

// DueAt is when the lease ends, or else the backoff; zero if there is neither.
func (s State) DueAt() evalforge.Timestamp {
	if s.LeaseToken != "" {
		return s.LeaseUntil
	}
	return s.RetryAt
}

// A Backlog counts the traces by what they wait for.
type Backlog struct {
	Pending     int                 `json:"pending"` // unprocessed, whatever their state
	Leased      int                 `json:"leased"`
	BackingOff  int                 `json:"backing_off"`
	Quarantined int                 `json:"quarantined"`
	Processed   int                 `json:"processed"`
	OldestDue   evalforge.Timestamp `json:"oldest_pending"` // FetchedAt of the oldest unprocessed, unquarantined trace
}
