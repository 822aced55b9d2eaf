package trace

import (
	"math/bits"
	"slices"
	"sync"
)

// A workspace is the memory that decoding a trace takes beside the trace: the objects and
// arrays of the document, and the tables of what was read before. It serves one trace after
// the other, which is worth more than half of the allocation of a short one. A [Trace] has
// nothing of it: its strings are the payload's or their own. The nil workspace gives new
// memory each time.
type workspace struct {
	parser  parser
	objects [objectClasses]objectPool
	arrays  arrayPool
	builder builder
	memo    memo
	parts   []indexedPart // of the list that is put together
	spans   []reading     // of the spans
	text    []byte        // that is put together
	// steps and messages are where a trace's are collected, as far as their number is not
	// known before.
	steps    []Step
	messages []Message
}

// workspaces are those that nobody works in; asides are those for what is read and forgotten
// while a trace is decoded. They are apart because one that was used for a long trace would
// else serve for the arguments of a call, and the next long trace find another, empty one.
var (
	workspaces = sync.Pool{New: func() any { return new(workspace) }}
	asides     = sync.Pool{New: func() any { return new(workspace) }}
)

// Bounds of what a workspace keeps for the next trace; what is more comes new each time. It
// is about 5 MiB together, and after a trace of many objects up to 25 MiB, which halve
// with each trace that needs less than a quarter of them.
const (
	keptSmall   = 1 << 16 // objects of the smallest class
	keptObjects = 4096    // of a class of one field each: half a MiB of each other class
	keptArrays  = 64      // blocks
	keptValues  = 1 << 16 // elements of the arrays under way
	keptEntries = 1024    // of each table
)

// release gives the workspace to whoever decodes next. Nothing that came from it may be
// used any more.
func (w *workspace) release() {
	w.forget()
	w.builder.reset()
	w.memo.reset()
	w.parts, w.spans = cleared(w.parts, keptEntries), cleared(w.spans, keptEntries)
	workspaces.Put(w)
}

// releaseAside is release for a workspace from asides, in which only documents were read.
func (w *workspace) releaseAside() {
	w.forget()
	asides.Put(w)
}

// forget makes w ready for another document.
func (w *workspace) forget() {
	for i := range w.objects {
		w.objects[i].reset()
	}
	w.arrays.reset()
	w.parser.reset()
	if cap(w.text) > maxScratch {
		w.text = nil
	}
}

// settle gives t its steps and messages in memory of their size.
func (w *workspace) settle(t *Trace) {
	t.Steps, w.steps = settled(t.Steps, w.steps)
	t.Messages, w.messages = settled(t.Messages, w.messages)
}

// settled returns what was collected, as a rule from kept on, in memory of about its size,
// and the memory that the next trace is collected in.
func settled[T any](s, kept []T) (own, free []T) {
	if there := cap(s) > 0 && cap(kept) > 0 && &s[:1][0] == &kept[:1][0]; !there && cap(s)-len(s) <= len(s)/16+1 {
		return s, kept
	}
	if len(s) > 0 {
		own = append(make([]T, 0, len(s)), s...)
	}
	return own, cleared(s, keptEntries)
}

// objectClasses is the number of sizes of objects that are kept: of up to 8 fields, which
// every map has room for, then 14, 28, … 448.
const objectClasses = 7

// An objectPool has objects of about one size. The first used ones are taken.
type objectPool struct {
	all  []map[string]any
	used int
}

// newObject returns an empty object with room for n fields.
func (w *workspace) newObject(n int) map[string]any {
	class := 0
	if n > 8 {
		class = bits.Len(uint(n-1) / 7)
	}
	if w == nil || class >= objectClasses {
		return make(map[string]any, n)
	}
	p, kept := &w.objects[class], keptSmall
	if class > 0 {
		kept = keptObjects >> (class + 1)
	}
	if p.used == len(p.all) {
		if p.used == kept {
			return make(map[string]any, n)
		}
		p.all = append(p.all, make(map[string]any, max(8, 7<<class)))
	}
	p.used++
	return p.all[p.used-1]
}

// reset empties the objects that were taken. Where few were, half of the others go.
func (p *objectPool) reset() {
	for _, m := range p.all[:p.used] {
		clear(m)
	}
	if n := len(p.all); n > keptEntries && p.used < n/4 {
		p.all = slices.Clone(p.all[:n/2])
	}
	p.used = 0
}

// arrayBlock is how many elements a block of arrays has room for; what takes an eighth of
// one has its own memory.
const arrayBlock = 512

// An arrayPool has blocks of array elements. The first used blocks are full, but for the
// last of them.
type arrayPool struct {
	blocks [][]any
	used   int
}

// newArray returns an array of n elements that are null.
func (w *workspace) newArray(n int) []any {
	if w == nil || n > arrayBlock/8 {
		return make([]any, n)
	}
	p := &w.arrays
	if p.used == 0 || len(p.blocks[p.used-1])+n > arrayBlock {
		if p.used == len(p.blocks) {
			if p.used == keptArrays {
				return make([]any, n)
			}
			p.blocks = append(p.blocks, make([]any, 0, arrayBlock))
		}
		p.used++
	}
	b := &p.blocks[p.used-1]
	from := len(*b)
	*b = (*b)[:from+n]
	return (*b)[from : from+n : from+n]
}

// reset empties the blocks that were used.
func (p *arrayPool) reset() {
	for i, b := range p.blocks[:p.used] {
		clear(b)
		p.blocks[i] = b[:0]
	}
	p.used = 0
}

// emptied returns m without its entries, or nil where it is so large that a trace of
// ordinary size should not have to clear it.
func emptied[K comparable, V any](m map[K]V) map[K]V {
	if len(m) > keptEntries {
		return nil
	}
	clear(m)
	return m
}

// made returns m, or an empty map if it is nil.
func made[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		m = make(map[K]V)
	}
	return m
}

// cleared returns s without its elements, or nil where it has room for more than max.
func cleared[T any](s []T, max int) []T {
	if cap(s) > max {
		return nil
	}
	clear(s)
	return s[:0]
}
