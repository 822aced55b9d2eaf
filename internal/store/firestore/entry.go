package firestore

import (
	"context"
	"fmt"
	"sync"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// An entry is a reservation or a settlement that is to be made.
type entry struct {
	r    extract.Reservation
	took *extract.Amount // nil: a reservation
	made bool
	err  error
	gone bool // nobody waits for it any more
}

// entries are those of this process. They all change the same few documents, and would
// only make each other repeat their work: so one goroutine makes all that wait, in one
// commit, while the next ones gather.
type entries struct {
	making chan struct{} // held by the goroutine that makes entries

	mu      sync.Mutex
	waiting []*entry
}

// maxEntries bounds the entries of one commit.
const maxEntries = 100

// make makes an entry, or has it made. An entry whose maker gave up is made by its own
// goroutine: making one twice is making it once.
func (q *entries) make(ctx context.Context, db *DB, e *entry) error {
	q.mu.Lock()
	q.waiting = append(q.waiting, e)
	q.mu.Unlock()
	select {
	case q.making <- struct{}{}:
	case <-ctx.Done():
		q.drop(e)
		return fmt.Errorf("ledger: %w", ctx.Err())
	}
	defer func() { <-q.making }()
	if e.made {
		return e.err
	}
	batch := q.take(e)
	err := db.makeEntries(ctx, batch)
	if err != nil {
		q.giveBack(batch, e)
		return err
	}
	for _, b := range batch {
		b.made = true
	}
	return e.err
}

// take returns e and those that wait with it.
func (q *entries) take(e *entry) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := []*entry{e}
	var rest []*entry
	for _, w := range q.waiting {
		switch {
		case w == e, w.gone:
		case len(batch) < maxEntries:
			batch = append(batch, w)
		default:
			rest = append(rest, w)
		}
	}
	q.waiting = rest
	return batch
}

// giveBack lets the others of a batch that failed wait again.
func (q *entries) giveBack(batch []*entry, failed *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range batch {
		if b != failed {
			q.waiting = append(q.waiting, b)
		}
	}
}

// drop gives an entry up. It may be under way, and be made all the same.
func (q *entries) drop(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.gone = true
}

// makeEntries makes all entries of a batch in one commit, as if one after the other. Its
// error is about all of them; what is wrong with one is in that one.
func (db *DB) makeEntries(ctx context.Context, batch []*entry) error {
	var names []string
	var refs []*firestore.DocumentRef
	seen := map[string]bool{}
	for _, e := range batch {
		for _, w := range e.r.Windows {
			if !seen[w.Name] {
				seen[w.Name] = true
				names, refs = append(names, w.Name), append(refs, db.window(w.Name))
			}
		}
	}
	return db.retry(ctx, "ledger", func(ctx context.Context) error {
		snaps, err := db.getAll(ctx, refs)
		if err != nil {
			return err
		}
		have, changed := map[string]*window{}, map[string]bool{}
		for i, name := range names {
			w, err := readWindow(snaps[i])
			if err != nil {
				return err
			}
			have[name] = &w
		}
		for _, e := range batch {
			e.apply(have, changed)
		}
		if len(changed) == 0 {
			return nil
		}
		return db.write(ctx, func(tx *firestore.Transaction) error {
			for i, name := range names {
				if changed[name] {
					if err := putWindow(tx, snaps[i], have[name]); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
}

// apply changes windows by an entry, and notes which. What was done before, by an attempt
// whose acknowledgement was lost, is not done again.
func (e *entry) apply(have map[string]*window, changed map[string]bool) {
	e.err = nil
	if e.took != nil {
		for _, w := range e.r.Windows {
			if open, ok := have[w.Name].Open[e.r.ID]; ok {
				have[w.Name].Counted = have[w.Name].Counted.Sub(open.Amount).Add(*e.took)
				delete(have[w.Name].Open, e.r.ID)
				changed[w.Name] = true
			}
		}
		return
	}
	counted := map[string]extract.Amount{}
	for _, w := range e.r.Windows {
		if _, ok := have[w.Name].Open[e.r.ID]; ok {
			return
		}
		counted[w.Name] = have[w.Name].Counted
	}
	if e.err = store.OverBudget(e.r, counted); e.err != nil {
		return
	}
	for _, w := range e.r.Windows {
		v := have[w.Name]
		v.Counted = v.Counted.Add(e.r.Most)
		v.Open[e.r.ID] = reservation{e.r.Most, stamp(e.r.At)}
		v.UpdatedAt = stamp(e.r.At)
		changed[w.Name] = true
	}
}
