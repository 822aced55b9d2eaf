package ingest

import (
	"hash/maphash"
)

// A recall remembers the last strings that it was given, as digests of eight bytes: at
// least so many, and at most twice as many. That two different ones have one digest
// happens once in some million millions of imports.
type recall struct {
	seed       maphash.Seed
	least      int
	young, old map[uint64]struct{}
}

func newRecall(least int) *recall {
	return &recall{seed: maphash.MakeSeed(), least: least, young: make(map[uint64]struct{})}
}

// has reports whether s is remembered. The nil recall remembers nothing.
func (c *recall) has(s string) bool {
	if c == nil {
		return false
	}
	h := maphash.String(c.seed, s)
	if _, ok := c.young[h]; ok {
		return true
	}
	_, ok := c.old[h]
	return ok
}

// add remembers s.
func (c *recall) add(s string) {
	if c == nil {
		return
	}
	if c.young[maphash.String(c.seed, s)] = struct{}{}; len(c.young) == c.least {
		c.old, c.young = c.young, make(map[uint64]struct{})
	}
}
