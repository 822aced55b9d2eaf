package trace

import (
	"math/bits"
	"unicode/utf8"
)

// This file finds the cap of the water-filling cut.

// A water has the texts that a rendering with the lowest cap cuts: what can be filled.
type water struct {
	texts []waterText
	// tails is set when one of the texts is cut in another way than in its middle.
	tails bool
}

type waterText struct {
	s                     string
	size, encoded, weight int  // bytes, and bytes as JSON
	first, last           int  // s[first:last] has all that is escaped, or odd
	odd                   bool // it is no valid UTF-8
	from, to              int  // where the rendering has it, cut, in bytes
}

// add collects a text, of which the rendering has what is left from from to to.
func (w *water) add(s string, weight, from, to int) {
	w.texts = append(w.texts, waterText{s: s, size: len(s), weight: weight, from: from, to: to})
}

// encode fills in what the texts take as JSON.
func (w *water) encode() {
	for i := range w.texts {
		w.texts[i].encode()
	}
}

// start returns what the first n bytes of t take as JSON.
func (t *waterText) start(n int) int {
	switch {
	case n <= t.first:
		return n
	case n >= t.last:
		return t.encoded - (t.size - n)
	case t.odd:
		return encodedLen(t.s[:n])
	}
	added, _, _ := added(t.s[t.first:n])
	return n + added
}

// end returns what the bytes of t from n on take as JSON.
func (t *waterText) end(n int) int {
	switch {
	case n >= t.last:
		return t.size - n
	case n <= t.first:
		return t.encoded - n
	case t.odd:
		return encodedLen(t.s[n:])
	}
	added, _, _ := added(t.s[n:t.last])
	return t.size - n + added
}

// measure returns what the texts take under a cap, in bytes as JSON, and how many bytes of
// them are cut.
func (w *water) measure(cap int) (size, cut int) {
	for i := range w.texts {
		t := &w.texts[i]
		if limit := cap * t.weight; !cuttable(t.s, limit) {
			size += t.encoded
		} else {
			head, tail, missing := ends(t.s, limit)
			size += t.start(len(head)) + markerLen(missing) + t.end(t.size-len(tail))
			cut += missing
		}
	}
	return size, cut
}

// encodedLen returns what appendEscaped makes of s, in bytes.
func encodedLen(s string) int {
	t := waterText{s: s}
	t.encode()
	return t.encoded
}

// encode fills in what t takes as JSON.
func (t *waterText) encode() {
	n, first, last := added(t.s)
	t.size, t.first, t.last = len(t.s), first, last
	if !utf8.ValidString(t.s) {
		n += (len("\uFFFD") - 1) * invalidBytes(t.s)
		t.first, t.last, t.odd = 0, len(t.s), true
	}
	t.encoded = t.size + n
}

// added returns how many bytes escapes add to s, and a part of s outside of which there are
// none.
func added(s string) (n, first, last int) {
	first = len(s)
	for i := 0; i < len(s); i += 8 {
		if len(s)-i < 8 {
			if more := escapesIn(s[i:]); more > 0 {
				n, first, last = n+more, min(first, i), len(s)
			}
			break
		}
		x := eight(s[i:])
		letters, controls := zeros(x^(ones*'"'))|zeros(x^(ones*'\\')), zeros(x&(ones*0xe0)) // below 0x20
		if letters|controls == 0 {
			continue
		}
		first, last = min(first, i), i+8
		if controls == 0 {
			n += bits.OnesCount64(letters)
		} else {
			n += escapesIn(s[i : i+8])
		}
	}
	return n, first, last
}

// zeros returns a word with the highest bit set of each byte of x that is zero.
func zeros(x uint64) uint64 { return ^((x&^highs + ^uint64(highs)) | x) & highs }

// escapesIn returns how many bytes the escapes in s add.
func escapesIn(s string) int {
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case escapes[c] != 0:
			n++
		case c < ' ':
			n += len(`u0000`)
		}
	}
	return n
}

// bytes estimates what the texts take under a cap: as if what is escaped were spread
// evenly over each.
func (w *water) bytes(cap int) int {
	n := 0
	for _, t := range w.texts {
		if limit := cap * t.weight; t.size > limit+markerLen(t.size) {
			n += int(int64(limit)*int64(t.encoded)/int64(t.size)) + markerLen(t.size)
		} else {
			n += t.encoded
		}
	}
	return n
}

// Bounds of the search for the cap.
const (
	maxTries = 6
	enough   = 100 // what is left of the budget is at most one part of this many
)

// widen renders with the largest cap that fits v's budget, or one that leaves about a
// hundredth of it unused. It reports false where v does not even fit as it is.
//
// How the size grows with the cap is known but for where in a text its escapes are, so
// the cap is computed, and corrected a few times by what the rendering then measures.
func (p *plan) widen(v view) (Compacted, bool) {
	r, w := p.drafted(v), &p.water
	if r.over() {
		return Compacted{}, false
	}
	w.encode()
	size, cut := len(r.buf), r.cut // of the rendering at hand, which may not have been written
	sizeBeside, cutBeside := w.measure(v.cap)
	sizeBeside, cutBeside = size-sizeBeside, cut-cutBeside
	lo, hi := v.cap, max(v.cap, min(p.longestText, v.budget))
	if v.untried && !w.tails {
		if whole, _ := w.measure(hi); sizeBeside+whole <= v.budget { // nothing need be cut
			v.cap = hi
			return p.rewrite(r, v, w, sizeBeside+whole, cutBeside), true
		}
	}
	target := v.budget - (size - w.bytes(lo))
	fits, atLo := size, true // the size with the cap lo; the rendering at hand has that cap
	for try := 0; try < maxTries && lo < hi; try++ {
		if atLo && (cut == 0 || v.budget-size <= v.budget/enough) {
			break
		}
		at := v
		at.cap = largest(lo, hi, func(n int) bool { return w.bytes(n) <= target })
		if at.cap == lo {
			at.cap = lo + (hi-lo+1)/2
		}
		if w.tails {
			attempt := p.write(at, nil)
			size, cut = len(attempt.buf), attempt.cut
			atLo = !attempt.over()
		} else {
			size, cut = w.measure(at.cap)
			size, cut = size+sizeBeside, cut+cutBeside
			atLo = size <= v.budget
		}
		if atLo {
			lo, fits = at.cap, size
			target += v.budget - size
		} else {
			hi = at.cap - 1
			target -= max(v.budget/enough, (w.bytes(at.cap)-w.bytes(lo))/8)
		}
	}
	v.cap = lo
	return p.rewrite(r, v, w, fits, cutBeside), true
}

// rewrite renders v in size bytes, with as many cut beside the texts in w; r is a rendering
// with a lower cap, or the same, in which those are cut. Between them nothing changes with
// the cap.
func (p *plan) rewrite(r renderer, v view, w *water, size, cutBeside int) Compacted {
	switch {
	case w.tails:
		r = p.write(v, nil)
		return r.take()
	case r.cap == v.cap:
		return r.take()
	}
	c := Compacted{JSON: make([]byte, 0, size+spareOfEscaping), BytesCut: cutBeside, StepsOmitted: r.omitted}
	past := 0
	for _, t := range w.texts {
		var cut int
		c.JSON = append(c.JSON, r.buf[past:t.from]...)
		c.JSON, cut = appendCut(c.JSON, t.s, v.cap*t.weight)
		c.BytesCut += cut
		past = t.to
	}
	c.JSON = append(c.JSON, r.buf[past:]...)
	return c
}
