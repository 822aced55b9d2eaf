package redact

import "slices"

// A startTable is lists by the two bytes that something begins with. It is asked at every
// second word of a hostile text, where a map would be most of the time that is spent.
type startTable[T any] struct {
	rows  [256]*[256]uint16 // positions in lists, from 1 on
	lists [][]T
}

// get returns the list of what begins with a and b.
func (t *startTable[T]) get(a, b byte) []T {
	if row := t.rows[a]; row != nil && row[b] > 0 {
		return t.lists[row[b]-1]
	}
	return nil
}

// add adds v to the list of what begins with a and b.
func (t *startTable[T]) add(a, b byte, v T) {
	if t.rows[a] == nil {
		t.rows[a] = new([256]uint16)
	}
	n := &t.rows[a][b]
	if *n == 0 {
		t.lists = append(t.lists, nil)
		*n = uint16(len(t.lists)) // at most 1<<16 - 1: few bytes begin anything
	}
	t.lists[*n-1] = append(t.lists[*n-1], v)
}

// clone returns a copy of t to which more can be added.
func (t *startTable[T]) clone() startTable[T] {
	c := *t
	for a, row := range t.rows {
		if row != nil {
			copied := *row
			c.rows[a] = &copied
		}
	}
	c.lists = make([][]T, len(t.lists))
	for i, list := range t.lists {
		c.lists[i] = slices.Clone(list)
	}
	return c
}
