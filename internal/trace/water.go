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
	size, encoded, weight int // bytes, and bytes as JSON
}

func (w *water) add(s string, weight int) {
	w.texts = append(w.texts, waterText{s: s, size: len(s), weight: weight})
}

// encode fills in what the texts take as JSON.
func (w *water) encode() {
	for i := range w.texts {
		w.texts[i].encoded = encodedLen(w.texts[i].s)
	}
}

// measure returns what the texts take under a cap, in bytes as JSON, and how many bytes of
// them are cut.
func (w *water) measure(cap int) (size, cut int) {
	for _, t := range w.texts {
		if limit := cap * t.weight; !cuttable(t.s, limit) {
			size += t.encoded
		} else {
			head, tail, missing := ends(t.s, limit)
			size += encodedLen(head) + markerLen(missing) + encodedLen(tail)
			cut += missing
		}
	}
	return size, cut
}

// encodedLen returns what appendEscaped makes of s, in bytes.
func encodedLen(s string) int {
	n, rest, all := len(s), s, uint64(0)
	for len(rest) >= 8 {
		x := eight(rest)
		all |= x
		if zeros(x&(ones*0xe0)) != 0 { // control characters: all below 0x20
			n += escapesIn(rest[:8])
		} else {
			n += bits.OnesCount64(zeros(x^(ones*'"')) | zeros(x^(ones*'\\')))
		}
		rest = rest[8:]
	}
	n += escapesIn(rest)
	if (all&highs != 0 || plainASCII(rest) < len(rest)) && !utf8.ValidString(s) {
		n += (len("\uFFFD") - 1) * invalidBytes(s)
	}
	return n
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
	w := water{texts: p.cutTexts[:0]}
	r := p.write(v, &w)
	p.cutTexts = w.texts
	if r.over() {
		return Compacted{}, false
	}
	w.encode()
	size, cut := len(r.buf), r.cut // of the rendering at hand, which may not have been written
	sizeBeside, cutBeside := w.measure(v.cap)
	sizeBeside, cutBeside = size-sizeBeside, cut-cutBeside
	lo, hi := v.cap, max(v.cap, min(p.longestText, v.budget))
	if v.untried && sizeBeside+w.bytes(hi) <= v.budget {
		v.cap = hi // nothing is cut
		r = p.write(v, nil)
		return r.take(), true
	}
	target := v.budget - (size - w.bytes(lo))
	written, atLo := lo, true // the cap that r has; the rendering at hand has the cap lo
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
			r = p.write(at, nil)
			written, size, cut = at.cap, len(r.buf), r.cut
			atLo = !r.over()
		} else {
			size, cut = w.measure(at.cap)
			size, cut = size+sizeBeside, cut+cutBeside
			atLo = size <= v.budget
		}
		if atLo {
			lo = at.cap
			target += v.budget - size
		} else {
			hi = at.cap - 1
			target -= max(v.budget/enough, (w.bytes(at.cap)-w.bytes(lo))/8)
		}
	}
	if written != lo {
		v.cap = lo
		r = p.write(v, nil)
	}
	return r.take(), true
}
