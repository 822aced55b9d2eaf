package trace

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String says in words what was cut, or "" if nothing was.
func (c Cut) String() string {
	var parts []string
	if c.Bytes > 0 {
		parts = append(parts, fmt.Sprintf("%d bytes of texts", c.Bytes))
	}
	if c.Entries > 0 {
		parts = append(parts, fmt.Sprintf("%d entries of lists", c.Entries))
	}
	if c.Steps > 0 {
		parts = append(parts, fmt.Sprintf("%d steps", c.Steps))
	}
	if parts == nil {
		return ""
	}
	return strings.Join(parts, ", ") + " were left out to fit the store"
}

// Add adds what another cut left out.
func (c *Cut) Add(o Cut) {
	c.Bytes, c.Steps, c.Entries = c.Bytes+o.Bytes, c.Steps+o.Steps, c.Entries+o.Entries
}

// ownWarnings returns t's warnings without the one that says what was cut: that is made
// from the numbers.
func (t *Trace) ownWarnings() []string {
	if said := t.Cut.String(); said != "" {
		return slices.DeleteFunc(slices.Clone(t.Warnings), func(w string) bool { return w == said })
	}
	return t.Warnings
}

// MinStored is the smallest limit that [Normal] keeps for any trace, in bytes.
const MinStored = 64 << 10

// Normal returns t as a JSON object that [Decode] turns into t again: everything that was
// understood of it, each message once, positions as ranges. It takes at most limit bytes
// both as text and as size, if that is not nil, measures it.
//
// If it is longer than that, entries that are alike are folded, which loses nothing
// either. Only if that does not do, texts are cut in their middle, errors less than others;
// then names are, then lists of messages and labels, and last steps are left out between
// the errors and the ends. What was cut is in the result and is returned. The same t always
// gives the same bytes. t has a step, as every trace from [Decode] has. It fails only for a
// limit under [MinStored].
func Normal(t *Trace, limit int, size func([]byte) int) (json.RawMessage, Cut, error) {
	n := normalizer{limit: limit, size: size}
	if b := n.write(t); n.fits(b) {
		return b, Cut{}, nil
	}
	n.folds = true
	if b := n.write(t); n.fits(b) {
		return b, Cut{}, nil
	}
	p := newPlan(t)
	defer p.release()
	n.w.weight = p.weight
	// Where texts are most of it, folding would only make it harder to read.
	n.folds = false
	n.w.cap = minCap
	if b := n.write(t); !n.fits(b) || 4*len(b) > limit {
		n.folds = true
	}
	b, cut, ok := n.cut(t, p)
	if !ok {
		return nil, Cut{}, fmt.Errorf("the trace does not fit into %d bytes, whatever is cut", limit)
	}
	return b, cut, nil
}

// A normalizer writes one trace in ever shorter ways.
type normalizer struct {
	w     normalWriter
	limit int
	size  func([]byte) int
	folds bool
}

func (n *normalizer) fits(b []byte) bool {
	return len(b) <= n.limit && (n.size == nil || n.size(b) <= n.limit)
}

// write returns t as the writer is set, folded or not.
func (n *normalizer) write(t *Trace) []byte {
	n.w.buf = nil // what it was may be in a result
	n.w.write(t)
	if !n.folds {
		return n.w.buf
	}
	doc, err := parseJSON(n.w.buf)
	m, ok := doc.(map[string]any)
	if err != nil || !ok {
		return n.w.buf
	}
	return []byte(canonical(foldNormal(m)))
}

// try reports whether t fits with texts of cap bytes, whatever the numbers of its cut are.
func (n *normalizer) try(t *Trace, cap int) bool {
	const longest = 1 << 60
	t = t.withCut(Cut{longest, longest, longest})
	n.w.cap = cap
	return n.fits(n.write(t))
}

// widest returns t with the longest texts that fit, if those of lowest bytes do; cut is
// what was left out of it before.
func (n *normalizer) widest(t *Trace, lowest int, cut Cut) ([]byte, Cut, bool) {
	if !n.try(t, lowest) {
		return nil, Cut{}, false
	}
	highest, longest := n.highest(t, lowest)
	tried, fits := lowest >= longest, true // with texts that are not cut
	n.w.cap = largest(lowest, highest, func(cap int) bool {
		if cap < longest {
			return n.try(t, cap)
		}
		if !tried {
			tried, fits = true, n.try(t, cap)
		}
		return fits
	})
	n.write(t)
	cut.Bytes += n.w.cut
	all := t.Cut
	all.Add(cut)
	return n.write(t.withCut(all)), cut, true
}

// highest returns a cap that texts cannot have, because what they say alone would not fit,
// and the length of the longest of them, which no cap from there on cuts.
func (n *normalizer) highest(t *Trace, lowest int) (highest, longest int) {
	w := normalWriter{texts: make(map[string]int)}
	w.write(t)
	for _, length := range w.texts {
		longest = max(longest, length)
	}
	return largest(lowest, max(lowest, n.limit), func(cap int) bool {
		sum := 0
		for s, length := range w.texts {
			sum += min(length, cap*max(1, n.w.weight[s]))
		}
		return sum <= n.limit
	}), longest
}

// Bounds of what is always left, beside those of [Compact].
const (
	leastCap  = 16 // bytes of a text
	leastName = 64 // bytes of a name
)

// cut returns t with as little left out as it takes.
func (n *normalizer) cut(t *Trace, p *plan) ([]byte, Cut, bool) {
	if b, cut, ok := n.widest(t, minCap, Cut{}); ok {
		return b, cut, true
	}
	n.folds = true
	for _, n.w.names = range [...]int{nameCap, leastName} {
		if b, cut, ok := n.widest(t, minCap, Cut{}); ok {
			return b, cut, true
		}
	}
	items := func(max int) bool { short, _ := t.shortened(p, nil, max); return n.try(short, minCap) }
	if longest := t.longestList(); longest > minItems && items(minItems) {
		short, cut := t.shortened(p, nil, largest(minItems, longest, items))
		return n.widest(short, minCap, cut)
	}
	order, decisive := p.priorities()
	steps := func(k int) bool { short, _ := t.shortened(p, order[:k], minItems); return n.try(short, minCap) }
	if steps(decisive) {
		short, cut := t.shortened(p, order[:largest(decisive, len(order), steps)], minItems)
		return n.widest(short, minCap, cut)
	}
	short, cut := t.shortened(p, order[:decisive], fewItems)
	return n.widest(short, leastCap, cut)
}

// withCut returns t with another cut; that which it says in words now is left out.
func (t *Trace) withCut(c Cut) *Trace {
	out := *t
	out.Warnings = t.ownWarnings()
	out.Cut = c
	return &out
}

// longestList returns how long the longest list is that [Trace.shortened] shortens.
func (t *Trace) longestList() int {
	n := max(len(t.Labels), len(t.Tools), len(t.Warnings))
	for i := range t.Messages {
		n = max(n, len(t.Messages[i].Calls))
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		n = max(n, len(s.In), len(s.Out), len(s.Attrs))
	}
	return n
}

// shortened returns t with only the steps of the given ranks (nil for all), at most
// items entries in every list, and the messages and tools that are referred to; and what
// that leaves out.
func (t *Trace) shortened(p *plan, ranks []stepRank, items int) (*Trace, Cut) {
	out := t.withCut(t.Cut)
	own := out.Warnings
	out.Labels, out.Warnings = firstOf(t.Labels, items), firstOf(own, items)
	out.Messages, out.Tools, out.Steps = nil, nil, nil
	var cut Cut
	cut.Entries = len(t.Labels) - len(out.Labels) + len(own) - len(out.Warnings)

	tools := make(map[int]int)
	addTool := func(i int) {
		if _, ok := tools[i]; !ok && len(out.Tools) < items {
			tools[i] = len(out.Tools)
			out.Tools = append(out.Tools, t.Tools[i])
		}
	}
	for i := range t.Tools {
		if p.failingTool[t.Tools[i].Name] {
			addTool(i)
		}
	}
	for i := range t.Tools {
		addTool(i)
	}
	messages := make(map[int]int)
	addMessage := func(i int) int {
		to, ok := messages[i]
		if !ok {
			m := t.Messages[i]
			to = len(out.Messages)
			messages[i] = to
			calls := endsOf(m.Calls, items)
			cut.Entries += len(m.Calls) - len(calls)
			m.Calls = calls
			out.Messages = append(out.Messages, m)
		}
		return to
	}
	move := func(ms []int) []int {
		var to []int
		for _, m := range endsOf(ms, items) {
			if t.message(m) != nil {
				to = append(to, addMessage(m))
			}
		}
		return to
	}
	add := func(i int) {
		s := t.Steps[i]
		s.In, s.Out = move(s.In), move(s.Out)
		var declared []int
		for _, d := range s.Declared {
			if to, ok := tools[d]; ok {
				declared = append(declared, to)
			}
		}
		s.Declared = declared
		if len(s.Attrs) > items {
			cut.Entries += len(s.Attrs) - items
			keys := slices.Sorted(maps.Keys(s.Attrs))
			attrs := make(map[string]string, items)
			for _, k := range keys[:items] {
				attrs[k] = s.Attrs[k]
			}
			s.Attrs = attrs
		}
		out.Steps = append(out.Steps, s)
	}
	if ranks == nil {
		for i := range t.Steps {
			add(i)
		}
	} else {
		kept := make([]int, len(ranks))
		for i, r := range ranks {
			kept[i] = r.step()
		}
		slices.Sort(kept)
		for _, i := range kept {
			add(i)
		}
	}
	cut.Steps = len(t.Steps) - len(out.Steps)
	cut.Entries += len(t.Messages) - len(out.Messages) + len(t.Tools) - len(out.Tools)
	return out, cut
}

func firstOf[T any](l []T, n int) []T { return l[:min(len(l), n)] }

// endsOf returns n entries of l: the first quarter from its beginning, the others from its
// end.
func endsOf[T any](l []T, n int) []T {
	if len(l) <= n {
		return l
	}
	return slices.Concat(l[:n/4], l[len(l)-(n-n/4):])
}
