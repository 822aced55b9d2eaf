package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// A model is the contract at its simplest: one list, searched from end to end, without
// leases that are hidden anywhere else. It is what random histories are compared with.
type model struct {
	traces   map[string]*modelTrace
	patterns map[string]evalforge.Pattern
	errors   map[string]evalforge.ExtractionError
}

type modelTrace struct {
	raw   evalforge.RawTrace
	runs  []string // that claimed it
	ended string   // how the last lease ended, and which
	state extract.State
}

func newModel() *model {
	return &model{map[string]*modelTrace{}, map[string]evalforge.Pattern{}, map[string]evalforge.ExtractionError{}}
}

func (m *model) put(tr evalforge.RawTrace) extract.PutResult {
	t := m.traces[tr.TraceID]
	switch {
	case t == nil:
		m.ingest(tr)
		return extract.Created
	case t.raw.Digest() == tr.Digest():
		return extract.Unchanged
	}
	m.ingest(tr)
	return extract.Replaced
}

func (m *model) ingest(tr evalforge.RawTrace) {
	t := m.traces[tr.TraceID]
	if t == nil {
		t = &modelTrace{state: extract.State{TraceID: tr.TraceID}}
		m.traces[tr.TraceID] = t
	} else if t.raw.Digest() != tr.Digest() {
		t.state.Attempts = 0
		t.state.RetryAt, t.state.QuarantinedAt = evalforge.Timestamp{}, evalforge.Timestamp{}
	}
	t.raw = tr
}

func (t *modelTrace) leased(now time.Time) bool {
	return t.state.LeaseToken != "" && t.state.LeaseUntil.After(now)
}

func (m *model) due(req extract.ClaimRequest) []*modelTrace {
	var fresh, tried []*modelTrace
	for id, t := range m.traces {
		named := slices.Contains(req.TraceIDs, id)
		switch {
		case len(req.TraceIDs) > 0 && !named, t.raw.Processed, !t.state.QuarantinedAt.IsZero(), t.leased(req.Now), slices.Contains(t.runs, req.RunID):
		case !named && t.state.RetryAt.After(req.Now):
		case t.state.Attempts == 0:
			fresh = append(fresh, t)
		default:
			tried = append(tried, t)
		}
	}
	slices.SortFunc(fresh, func(a, b *modelTrace) int {
		return cmp.Or(a.raw.FetchedAt.Compare(b.raw.FetchedAt.Time), strings.Compare(a.raw.TraceID, b.raw.TraceID))
	})
	slices.SortFunc(tried, func(a, b *modelTrace) int {
		return cmp.Or(a.state.DueAt().Compare(b.state.DueAt().Time), strings.Compare(a.raw.TraceID, b.raw.TraceID))
	})
	due := append(fresh, tried...)
	if req.Retries {
		due = append(tried, fresh...)
	}
	return due[:min(req.Limit, len(due))]
}

// describe says what a claim of t would tell.
func (m *model) describe(t *modelTrace, attempt int) string {
	extracted := t.state.ExtractedDigest
	if _, ok := m.patterns[t.raw.TraceID]; !ok {
		extracted = ""
	}
	return fmt.Sprintf("%s attempt %d anew %v digest %.6s extracted %.6s", t.raw.TraceID, attempt, attempt == 1 && t.state.LastErrorType != "", t.raw.Digest(), extracted)
}

func (m *model) lease(t *modelTrace, run, owner, token string, now, until time.Time) {
	t.runs = append(t.runs, run)
	s := &t.state
	s.RunID, s.Attempts, s.RetryAt, s.UpdatedAt = run, s.Attempts+1, evalforge.Timestamp{}, evalforge.At(now)
	s.LeaseOwner, s.LeaseToken, s.LeaseUntil = owner, token, evalforge.At(until)
}

// held returns the trace that l is the lease of, or nil.
func (m *model) held(l extract.Lease) *modelTrace {
	t := m.traces[l.TraceID]
	if t == nil || l.Token == "" || t.state.LeaseToken != l.Token {
		return nil
	}
	return t
}

func (t *modelTrace) dropLease() {
	t.state.LeaseOwner, t.state.LeaseToken, t.state.LeaseUntil = "", "", evalforge.Timestamp{}
}

func (m *model) renew(l extract.Lease, until time.Time) error {
	t := m.held(l)
	if t == nil {
		return extract.ErrLeaseLost
	}
	t.state.LeaseUntil = evalforge.At(until)
	return nil
}

// repeats reports whether the lease has already ended so.
func (m *model) repeats(l extract.Lease, how string) bool {
	t := m.traces[l.TraceID]
	return t != nil && t.ended == how+l.Token
}

func (m *model) commit(l extract.Lease, p *evalforge.Pattern, at time.Time) error {
	if m.repeats(l, "commit") {
		return nil
	}
	t := m.held(l)
	if t == nil {
		return extract.ErrLeaseLost
	}
	t.dropLease()
	t.ended = "commit" + l.Token
	t.state.Attempts, t.state.LastError, t.state.LastErrorType = 0, "", ""
	t.state.ExtractedDigest, t.state.UpdatedAt = l.Digest, evalforge.At(at)
	if t.raw.Digest() == l.Digest {
		processedAt := evalforge.At(at)
		t.raw.Processed, t.raw.ProcessedAt = true, &processedAt
	}
	if p != nil {
		m.patterns[l.TraceID] = *p
	}
	return nil
}

func (m *model) fail(l extract.Lease, f extract.Failure) error {
	if m.repeats(l, "fail") {
		return nil
	}
	t := m.held(l)
	if t == nil {
		return extract.ErrLeaseLost
	}
	t.dropLease()
	t.ended = "fail" + l.Token
	m.errors[f.Error.ID()] = f.Error
	t.state.LastError, t.state.LastErrorType, t.state.UpdatedAt = f.Error.ErrorMessage, f.Error.ErrorType, f.Error.RecordedAt
	switch {
	case t.raw.Digest() != l.Digest:
	case f.Quarantine:
		t.state.QuarantinedAt = f.Error.RecordedAt
	default:
		t.state.RetryAt = evalforge.At(f.RetryAt)
	}
	return nil
}

func (m *model) release(l extract.Lease) {
	if t := m.held(l); t != nil {
		t.dropLease()
		t.state.Attempts = max(0, t.state.Attempts-1)
	}
}

func (m *model) retry(id string, now time.Time) error {
	t := m.traces[id]
	switch {
	case t == nil:
		return evalforge.ErrNotFound
	case t.raw.Processed, t.leased(now), t.state.QuarantinedAt.IsZero() && !t.state.RetryAt.After(now):
		return extract.ErrNotRetryable
	}
	t.state.Attempts, t.state.UpdatedAt = 0, evalforge.At(now)
	t.state.RetryAt, t.state.QuarantinedAt = evalforge.Timestamp{}, evalforge.Timestamp{}
	return nil
}

func (m *model) backlog(now time.Time) extract.Backlog {
	var b extract.Backlog
	for _, t := range m.traces {
		if t.raw.Processed {
			b.Processed++
			continue
		}
		b.Pending++
		switch {
		case !t.state.QuarantinedAt.IsZero():
			b.Quarantined++
			continue
		case t.leased(now):
			b.Leased++
		case t.state.RetryAt.After(now):
			b.BackingOff++
		}
		if b.OldestDue.IsZero() || t.raw.FetchedAt.Before(b.OldestDue.Time) {
			b.OldestDue = t.raw.FetchedAt
		}
	}
	return b
}

func (m *model) states(quarantined bool) []extract.State {
	list := []extract.State{}
	for _, t := range m.traces {
		if len(t.runs) > 0 && (!quarantined || !t.state.QuarantinedAt.IsZero()) {
			list = append(list, t.state)
		}
	}
	slices.SortFunc(list, func(a, b extract.State) int {
		return newest(a.UpdatedAt.String(), a.TraceID, b.UpdatedAt.String(), b.TraceID)
	})
	return list
}

func (m *model) patternList() []evalforge.Pattern {
	list := []evalforge.Pattern{}
	for _, p := range m.patterns {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b evalforge.Pattern) int {
		return newest(a.ExtractedAt.String(), a.SourceTraceID, b.ExtractedAt.String(), b.SourceTraceID)
	})
	return list
}

func (m *model) errorList() []evalforge.ExtractionError {
	list := []evalforge.ExtractionError{}
	for _, e := range m.errors {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b evalforge.ExtractionError) int {
		return newest(a.RecordedAt.String(), a.ID(), b.RecordedAt.String(), b.ID())
	})
	return list
}
