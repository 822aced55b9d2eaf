package firestore

import (
	"math/rand/v2"
	"slices"
)

// scatter moves the start of contending workers apart, among the fresh ones and among
// the others: none of these is taken while one of those is free.
func (f *finder) scatter(list []candidate, retries bool) {
	k := 0
	if f.tasks > 1 {
		k = f.task % f.tasks
	}
	if f.spread > 0 {
		k += rand.N(f.spread + 1)
	}
	if k == 0 || len(list) == 0 {
		return
	}
	n := slices.IndexFunc(list, func(c candidate) bool { return c.fresh(retries) != list[0].fresh(retries) })
	if n < 0 {
		n = len(list)
	}
	rotate(list[:n], k)
	rotate(list[n:], k)
}

// rotate moves the first k of list, round and round, to its end.
func rotate(list []candidate, k int) {
	if len(list) < 2 {
		return
	}
	k %= len(list)
	slices.Reverse(list[:k])
	slices.Reverse(list[k:])
	slices.Reverse(list)
}

// window is how many candidates to look for so that there is something to spread over.
func (f *finder) window(n int) int { return n + f.spread + max(f.tasks-1, 0) }

// contended notes whether the last claim met other workers.
func (f *finder) contended(yes bool) {
	if yes {
		f.spread = min(2*f.spread+2, maxSpread)
	} else {
		f.spread /= 2
	}
}
