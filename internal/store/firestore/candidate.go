package firestore

import (
	"cmp"
	"slices"
	"time"

	"cloud.google.com/go/firestore"
)

// A sortKey is the order of claiming fresh traces.
type sortKey struct{ fetchedAt, id string }

func (a sortKey) compare(b sortKey) int {
	return cmp.Or(cmp.Compare(a.fetchedAt, b.fetchedAt), cmp.Compare(a.id, b.id))
}

// A candidate is a trace that seems to be due.
type candidate struct {
	id        string
	fetchedAt string
	s         *state
	// suspect ones may have been written anew since they were tried. Until that is known
	// they are taken for what is asked for first.
	suspect bool
}

func (c candidate) key() sortKey { return sortKey{c.fetchedAt, c.id} }

func (c candidate) fresh(retries bool) bool {
	if c.suspect {
		return !retries
	}
	return c.s.Attempts == 0
}

// compare is the order of claiming.
func (c candidate) compare(d candidate, retries bool) int {
	switch {
	case c.fresh(retries) != d.fresh(retries):
		if c.fresh(retries) == retries {
			return 1
		}
		return -1
	case c.fresh(retries):
		return c.key().compare(d.key())
	}
	return cmp.Or(cmp.Compare(c.s.DueAt().String(), d.s.DueAt().String()), cmp.Compare(c.id, d.id))
}

// found is the outcome of a search: candidates in the order of claiming, and what has to
// be written for the next search to be cheap.
type found struct {
	retries    bool // are asked for first
	candidates []candidate
	track      []*state // that have to be written, candidates or not
	orphans    []orphan
	pos        position
	seen       map[string]bool
	cut        bool // there was no time to look at everything
}

// An orphan is a state whose trace was deleted, or that says that its trace waits, and it
// was processed by somebody else. It would be counted as if it were.
type orphan struct {
	s    *state
	gone bool
}

func (f *found) add(c candidate) {
	if !f.seen[c.id] {
		f.seen[c.id] = true
		f.candidates = append(f.candidates, c)
	}
}

// fresh counts the fresh candidates.
func (f *found) fresh() int {
	n := 0
	for _, c := range f.candidates {
		if c.fresh(f.retries) {
			n++
		}
	}
	return n
}

// upTo counts the fresh candidates that come no later than the position.
func (f *found) upTo(p position) int {
	n := 0
	if p.traceID == "" {
		return 0
	}
	for _, c := range f.candidates {
		if c.fresh(f.retries) && c.key().compare(p.key()) <= 0 {
			n++
		}
	}
	return n
}

func sortCandidates(list []candidate, retries bool) {
	slices.SortFunc(list, func(a, b candidate) int { return a.compare(b, retries) })
}

// A rawKey is what the search needs of a raw trace: the payload is not fetched.
type rawKey struct {
	id      string
	value   any // fetched_at as it is stored
	version time.Time
}

func rawKeys(snaps []*firestore.DocumentSnapshot) []rawKey {
	keys := make([]rawKey, len(snaps))
	for i, s := range snaps {
		keys[i] = rawKey{s.Ref.ID, s.Data()["fetched_at"], s.UpdateTime}
	}
	return keys
}
