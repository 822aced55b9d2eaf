package extract

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/redact"
)

// markUnchanged marks a trace as processed whose pattern was made of the same input.
func (r *run) markUnchanged(ctx context.Context, c *Claim) error {
	err := r.persist(ctx, persistFor, func(ctx context.Context) error {
		return r.queue.Commit(ctx, c.Lease, Result{Digest: c.Digest, At: r.Pipeline.Now()})
	})
	var known *Error
	switch {
	case err == nil:
		return errUnchanged
	case errors.As(err, &known):
		return err
	}
	return &Error{Kind: KindStore, Err: err}
}

// commit stores a pattern.
func (r *run) commit(ctx context.Context, j *job) error {
	err := r.persist(ctx, persistFor, func(ctx context.Context) error {
		return r.queue.Commit(ctx, j.Lease, Result{Pattern: &j.x.Pattern, Digest: j.x.Pattern.Provenance.InputDigest, At: r.Pipeline.Now()})
	})
	var known *Error
	if err == nil || errors.As(err, &known) { // the store knows more, as of a document over its size limit
		return err
	}
	err = &Error{Kind: KindStore, Err: fmt.Errorf("storing the pattern: %w", err)}
	var refused *evalforge.FieldError // of this trace alone
	if !errors.Is(err, ErrLeaseLost) && !errors.As(err, &refused) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.endEarly("the store failed", err) // the next answer would be lost too
	}
	return err
}

// persist makes a write that must not be lost for a passing fault: it tries again as
// long as patience lasts, not at all when the run is being stopped. The trace's lease
// may expire meanwhile; the write's fence decides whether it still counts.
func (r *run) persist(ctx context.Context, patience time.Duration, write func(context.Context) error) error {
	deadline := r.Pipeline.Now().Add(patience)
	for wait := firstWait; ; wait *= 2 {
		wctx, cancel := r.storeContext(ctx)
		err := write(wctx)
		cancel()
		var known *Error
		var refused *evalforge.FieldError
		if err == nil || errors.Is(err, ErrLeaseLost) || errors.As(err, &known) || errors.As(err, &refused) {
			return err
		}
		if r.stopping() || r.Pipeline.Now().Add(wait).After(deadline) {
			return err
		}
		r.log.WarnContext(ctx, "the store failed; trying again", "error", r.redacted(err))
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

// fail records why a trace did not become a pattern, and gives it back with a backoff or
// quarantines it. When even that fails the outcome still counts; the lease then expires
// by itself.
func (r *run) fail(ctx context.Context, j *job, err error) {
	c, w, x := j.Claim, j.watch, j.x
	kind := KindOf(err)
	info := kinds[kind]
	msg := r.redacted(err)
	spent := x.Spent
	rec := evalforge.ExtractionError{
		RunID: r.rec.RunID, SourceTraceID: c.TraceID, ErrorType: info.errorType,
		ErrorMessage: msg, RecordedAt: evalforge.At(r.Pipeline.Now()),
	}
	var e *Error
	if errors.As(err, &e) {
		spent = spent.Add(e.Spent)
		if len(e.Response) > 0 {
			sum := sha256.Sum256(e.Response)
			rec.ModelResponseSHA256 = hex.EncodeToString(sum[:])
			text, _ := r.Pipeline.Redactor.Text(excerpt.Visible(string(e.Response)))
			rec.ModelResponseExcerpt = cutRunes(noTags(text), excerptRunes)
		}
	}
	f := Failure{
		Error:      rec,
		RetryAt:    r.Pipeline.Now().Add(r.backoff(c.Attempt)),
		Quarantine: info.permanent || isFinal(err) || c.Attempt >= r.o.MaxAttempts,
	}
	if !errors.Is(err, ErrLeaseLost) {
		if ferr := r.persist(ctx, recordFor, func(ctx context.Context) error { return r.queue.Fail(ctx, c.Lease, f) }); ferr != nil {
			w.log.ErrorContext(ctx, "the failure could not be recorded; the trace is due again when its lease expires", "error", r.redacted(ferr))
		}
	}
	r.settle(j, evalforge.TraceOutcome{Status: info.outcome, ErrorReason: &msg}, spent)
	w.failed(ctx, err, msg, f.Quarantine, spent)
}

// backoff is the wait after the nth failure: it doubles, up to an hour.
func (r *run) backoff(attempt int) time.Duration {
	if r.o.Backoff < 0 {
		return 0
	}
	d := r.o.Backoff
	for range attempt - 1 {
		if d *= 2; d >= maxBackoff {
			return maxBackoff
		}
	}
	return d
}

// release gives a trace back unfinished.
func (r *run) release(ctx context.Context, j *job, why error) {
	rctx, cancel := r.storeContext(ctx)
	defer cancel()
	if err := r.queue.Release(rctx, j.Lease); err != nil {
		j.log.ErrorContext(ctx, "a lease could not be released; the trace is due again when it expires", "error", r.redacted(err))
	}
	var spent Spent
	var e *Error
	if errors.As(why, &e) {
		spent = e.Spent
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.NotStartedCount++
	r.spend(spent, nil)
	j.released(ctx, spent)
}

// settle counts a trace's outcome and what it took.
func (r *run) settle(j *job, o evalforge.TraceOutcome, s Spent) {
	o.SourceTraceID, o.StartedAt, o.CostUSD = j.TraceID, evalforge.At(j.started), s.CostUSD
	o.ElapsedMS, o.Stages = r.Pipeline.since(j.started), j.x.Stages
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.Count(o)
	r.spend(s, j.x.Redactions)
	if r.req.Progress != nil {
		r.req.Progress(Progress{Done: len(r.rec.TraceOutcomes), Batch: r.size, Outcome: o})
	}
}

// spend adds to the run's totals. r.mu is held.
func (r *run) spend(s Spent, redactions redact.Counts) {
	r.rec.CostUSD += s.CostUSD
	r.rec.UnsureCostUSD += s.Unsure.CostUSD
	r.rec.Tokens = r.rec.Tokens.Add(s.Tokens)
	for k, n := range redactions {
		r.rec.Redactions[string(k)] += n
	}
}
