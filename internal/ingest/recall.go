package ingest

import (
	"crypto/sha256"
	"encoding/binary"
)

// A recall remembers the last strings that it was given, as digests of eight bytes: at
// least so many, and at most twice as many. That two different ones have one digest
// happens once in some million millions of imports.
type recall struct {
	least      int
	young, old map[uint64]struct{}
}

func newRecall(least int) *recall {
	return &recall{least: least, young: make(map[uint64]struct{})}
}

// has reports whether s is remembered. The nil recall remembers nothing.
func (c *recall) has(s string) bool {
	if c == nil {
		return false
	}
	h := digestOf(s)
	if _, ok := c.young[h]; ok {
		return true
	}
	_, ok := c.old[h]
	return ok
}

// add remembers s.
func (c *recall) add(s string) {
	if c != nil {
		c.addDigest(digestOf(s))
	}
}

func (c *recall) addDigest(h uint64) {
	if c.young[h] = struct{}{}; len(c.young) == c.least {
		c.old, c.young = c.young, make(map[uint64]struct{})
	}
}

// digestOf is the digest of s, the same in every process.
func digestOf(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:])
}
