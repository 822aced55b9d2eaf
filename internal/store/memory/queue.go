package memory

import (
	"cmp"
	"container/heap"
	"time"
)

// A queue orders the pending records, so that finding the due ones costs in proportion
// to how many are taken, not to how many there are.
type queue struct {
	fresh line // never tried, the oldest first
	tried line // the first to be due first
}

func newQueue() queue {
	return queue{
		fresh: line{before: func(a, b *record) bool { return byAge(a, b) < 0 }},
		tried: line{before: func(a, b *record) bool { return byDue(a, b) < 0 }},
	}
}

// byAge is the order in which fresh records are claimed.
func byAge(a, b *record) int {
	return cmp.Or(cmp.Compare(a.fetchedAt, b.fetchedAt), cmp.Compare(a.id, b.id))
}

// byDue is the order in which records tried before are claimed.
func byDue(a, b *record) int {
	return cmp.Or(a.dueAt().Compare(b.dueAt()), cmp.Compare(a.id, b.id))
}

// byTurn is the order of claiming.
func byTurn(retries bool) func(a, b *record) int {
	return func(a, b *record) int {
		switch {
		case a.tried() && b.tried():
			return byDue(a, b)
		case !a.tried() && !b.tried():
			return byAge(a, b)
		case a.tried() == retries:
			return -1
		}
		return 1
	}
}

// add takes a record in; one that is not pending is ignored.
func (q *queue) add(r *record) {
	switch {
	case !r.pending():
	case r.tried():
		heap.Push(&q.tried, r)
	default:
		heap.Push(&q.fresh, r)
	}
}

// remove takes a record out. It must be called before the record changes, since its
// place follows from its content.
func (q *queue) remove(r *record) {
	if r.line != nil {
		heap.Remove(r.line, r.place)
	}
}

// due returns the first records, at most limit, that are due and that accept takes.
func (q *queue) due(now time.Time, limit int, retries bool, accept func(*record) bool) []*record {
	first, second := &q.fresh, &q.tried
	if retries {
		first, second = second, first
	}
	due := first.due(now, limit, accept)
	return append(due, second.due(now, limit-len(due), accept)...)
}

func (l *line) due(now time.Time, limit int, accept func(*record) bool) []*record {
	var due, passed []*record
	for len(due) < limit && l.Len() > 0 {
		r := l.records[0]
		if r.tried() && now.Before(r.dueAt()) {
			break // and so are all behind it
		}
		heap.Pop(l)
		passed = append(passed, r)
		if !now.Before(r.dueAt()) && accept(r) {
			due = append(due, r)
		}
	}
	for _, r := range passed {
		heap.Push(l, r)
	}
	return due
}

// A line is a heap of records that know their place in it.
type line struct {
	records []*record
	before  func(a, b *record) bool
}

func (l *line) Len() int           { return len(l.records) }
func (l *line) Less(i, j int) bool { return l.before(l.records[i], l.records[j]) }

func (l *line) Swap(i, j int) {
	r := l.records
	r[i], r[j] = r[j], r[i]
	r[i].place, r[j].place = i, j
}

func (l *line) Push(x any) {
	r := x.(*record)
	r.line, r.place = l, len(l.records)
	l.records = append(l.records, r)
}

func (l *line) Pop() any {
	last := len(l.records) - 1
	r := l.records[last]
	l.records[last] = nil
	l.records = l.records[:last]
	r.line = nil
	return r
}
