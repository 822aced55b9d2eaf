package trace

import "unicode/utf8"

// This file finds the cap of the water-filling cut.

// A water has the texts that a rendering with the lowest cap cuts: what can be filled.
type water struct{ texts []waterText }

type waterText struct{ size, encoded, weight int } // bytes, and bytes as JSON

func (w *water) add(s string, weight int) {
	w.texts = append(w.texts, waterText{len(s), encodedLen(s), weight})
}

// encodedLen returns what appendEscaped makes of s, in bytes.
func encodedLen(s string) int {
	n, rest := len(s), s
	for len(rest) >= 8 {
		word := rest[:8]
		if rest = rest[8:]; specials(eight(word)) != 0 {
			n += escapesIn(word)
		}
	}
	n += escapesIn(rest)
	if !utf8.ValidString(s) {
		n += (len("\uFFFD") - 1) * invalidBytes(s)
	}
	return n
}

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
	var w water
	r := p.write(v, &w)
	if r.over() {
		return Compacted{}, false
	}
	lo, hi := v.cap, max(v.cap, min(p.longestText, v.budget))
	target := v.budget - (len(r.buf) - w.bytes(lo))
	atLo := true // r is the rendering with the cap lo
	for try := 0; try < maxTries && lo < hi; try++ {
		if atLo && (r.cut == 0 || v.budget-len(r.buf) <= v.budget/enough) {
			break
		}
		at := v
		at.cap = largest(lo, hi, func(n int) bool { return w.bytes(n) <= target })
		if at.cap == lo {
			at.cap = lo + (hi-lo+1)/2
		}
		r = p.write(at, nil)
		if atLo = !r.over(); atLo {
			lo = at.cap
			target += v.budget - len(r.buf)
		} else {
			hi = at.cap - 1
			target -= max(v.budget/enough, (w.bytes(at.cap)-w.bytes(lo))/8)
		}
	}
	if !atLo {
		v.cap = lo
		r = p.write(v, nil)
	}
	return r.take(), true
}
