package memory

import (
	"cmp"
	"container/heap"
	"time"
)

// A queue orders the pending records, so that finding the due ones costs in proportion
// to how many are taken, not to how many there are. A record is either ready, in the
// order in which it will be claimed, or parked until its lease or backoff ends.
type queue struct {
	ready  line // the oldest first
	parked line // the next to become due first
}

func newQueue() queue {
	return queue{
		ready:  line{before: func(a, b *record) bool { return byAge(a, b) < 0 }},
		parked: line{before: func(a, b *record) bool { return a.waitsUntil().Before(b.waitsUntil()) }},
	}
}

// byAge is the order of claiming.
func byAge(a, b *record) int {
	return cmp.Or(cmp.Compare(a.fetchedAt, b.fetchedAt), cmp.Compare(a.id, b.id))
}

// add takes a record in; one that is not pending is ignored.
func (q *queue) add(r *record) {
	switch {
	case !r.pending():
	case r.waitsUntil().IsZero():
		heap.Push(&q.ready, r)
	default:
		heap.Push(&q.parked, r)
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
func (q *queue) due(now time.Time, limit int, accept func(*record) bool) []*record {
	for q.parked.Len() > 0 && !now.Before(q.parked.records[0].waitsUntil()) {
		heap.Push(&q.ready, heap.Pop(&q.parked))
	}
	var due, passed []*record
	for len(due) < limit && q.ready.Len() > 0 {
		r := heap.Pop(&q.ready).(*record)
		passed = append(passed, r)
		// One may have been made ready for a clock that is ahead of this one.
		if r.due(now) && accept(r) {
			due = append(due, r)
		}
	}
	for _, r := range passed {
		heap.Push(&q.ready, r)
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
