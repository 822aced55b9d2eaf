// Package memory is a store that lives and dies with its process: for tests, and for
// trying things out ("mem:"). It passes the same suite as the durable ones.
package memory

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// A Store keeps everything in maps behind one mutex. Documents are kept as their JSON
// text, so a caller never shares memory with the store. The zero value is not usable:
// see [New].
type Store struct {
	mu       sync.Mutex
	key      []byte
	records  map[string]*record // by trace id
	queue    queue
	patterns map[string]pattern // by trace id
	runs     map[string]document
	errors   map[string]errorDocument // by document id
	windows  map[string]*window
	answers  map[string]keptAnswer
	history  map[string][][]byte // replaced patterns by trace id, the oldest first
}

var _ extract.Store = (*Store)(nil)

// A record is one raw trace with what extraction remembers about it.
type record struct {
	id        string
	doc       []byte
	digest    string
	fetchedAt string
	processed bool
	processAt evalforge.Timestamp

	line  *line // in which the record waits, or nil
	place int   // in it

	runs  []string // recent claimers, the last one last
	ended ending   // of the last lease that was committed or failed
	state extract.State
}

// An ending is how a lease ended.
type ending struct{ how, token string }

func (r *record) claimed() bool       { return len(r.runs) > 0 }
func (r *record) quarantined() bool   { return !r.state.QuarantinedAt.IsZero() }
func (r *record) pending() bool       { return !r.processed && !r.quarantined() }
func (r *record) holds(t string) bool { return t != "" && r.state.LeaseToken == t }

func (r *record) leased(now time.Time) bool {
	return r.state.LeaseToken != "" && now.Before(r.state.LeaseUntil.Time)
}

func (r *record) tried() bool { return r.state.Attempts > 0 }

func (r *record) dueAt() time.Time { return r.state.DueAt().Time }

func (r *record) dropLease() {
	r.state.LeaseOwner, r.state.LeaseToken, r.state.LeaseUntil = "", "", evalforge.Timestamp{}
}

func (r *record) trace() (evalforge.RawTrace, error) {
	t, err := store.DecodeTrace(r.id, r.doc)
	t.Processed = r.processed
	if r.processed && !r.processAt.IsZero() {
		at := r.processAt
		t.ProcessedAt = &at
	}
	return t, err
}

type document struct {
	at  string // what the list is ordered by
	doc []byte
}

type pattern struct {
	document
	value evalforge.Pattern // for matching only: what is handed out is decoded anew
}

type keptAnswer struct {
	traceID string
	doc     []byte
}

type errorDocument struct {
	document
	runID, traceID string
}

// New returns an empty store.
func New() *Store {
	return &Store{
		records:  map[string]*record{},
		queue:    newQueue(),
		patterns: map[string]pattern{},
		runs:     map[string]document{},
		errors:   map[string]errorDocument{},
		windows:  map[string]*window{},
		answers:  map[string]keptAnswer{},
		history:  map[string][][]byte{},
	}
}

// Close implements [extract.Store]. The content stays until s is garbage.
func (s *Store) Close() error { return nil }

// InstallationKey implements [extract.Store].
func (s *Store) InstallationKey(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		s.key = make([]byte, 32)
		rand.Read(s.key) // never fails
	}
	return slices.Clone(s.key), nil
}

// PutTrace implements [extract.Archive].
func (s *Store) PutTrace(ctx context.Context, t evalforge.RawTrace) (extract.PutResult, error) {
	return s.put(ctx, t, false)
}

// Overwrite writes a raw trace as ingestion services do that do not go through
// [Store.PutTrace]: the whole document, unprocessed, even if nothing changed.
func (s *Store) Overwrite(ctx context.Context, t evalforge.RawTrace) error {
	_, err := s.put(ctx, t, true)
	return err
}

func (s *Store) put(ctx context.Context, t evalforge.RawTrace, always bool) (extract.PutResult, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	t, err := store.IncomingTrace(t)
	if err != nil {
		return "", fmt.Errorf("put trace: %w", err)
	}
	doc, err := store.Encode(t)
	if err != nil {
		return "", fmt.Errorf("put trace %s: %w", t.TraceID, err)
	}
	digest := t.Digest()

	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[t.TraceID]
	if r == nil {
		r = &record{id: t.TraceID, doc: doc, digest: digest, fetchedAt: t.FetchedAt.String(), state: extract.State{TraceID: t.TraceID}}
		s.records[t.TraceID] = r
		s.queue.add(r)
		return extract.Created, nil
	}
	changed := r.digest != digest
	if !changed && !always {
		return extract.Unchanged, nil
	}
	s.queue.remove(r)
	r.doc, r.digest, r.fetchedAt = doc, digest, t.FetchedAt.String()
	r.processed, r.processAt = false, evalforge.Timestamp{}
	if changed {
		r.state.Attempts = 0
		r.state.RetryAt, r.state.QuarantinedAt = evalforge.Timestamp{}, evalforge.Timestamp{}
	}
	s.queue.add(r)
	return extract.Replaced, nil
}

// Trace implements [extract.Archive].
func (s *Store) Trace(ctx context.Context, id string) (evalforge.RawTrace, error) {
	if err := ctx.Err(); err != nil {
		return evalforge.RawTrace{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		return evalforge.RawTrace{}, store.NotFound("raw_traces", id)
	}
	return r.trace()
}

// Remove deletes a raw trace and what is remembered about it; its pattern stays.
func (s *Store) Remove(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		return store.NotFound("raw_traces", id)
	}
	s.queue.remove(r)
	delete(s.records, id)
	return nil
}

// String names the store as settings do.
func (s *Store) String() string { return "mem:" }
