package trace

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxBytes is the hard bound on what is sent of one trace: 100 KiB.
const MaxBytes = 102_400

// MinBudget is the smallest budget that [Compact] can keep; it takes smaller ones as
// this.
const MinBudget = 1024

// A Compacted is a trace rendered for an analyzer.
type Compacted struct {
	// JSON is at most the budget given to [Compact], valid JSON and valid UTF-8. Strings
	// are written without HTML escaping. Each step carries its [Step.Index] as "i".
	JSON []byte
	// BytesCut counts content bytes that were cut from strings, StepsOmitted the steps
	// that were left out; both are 0 when nothing was lost.
	BytesCut     int
	StepsOmitted int
}

// Bounds of the lossy stages of compaction.
const (
	minCap   = 64  // bytes that every content string may keep while no step is dropped
	minItems = 8   // entries that every list may keep
	fewItems = 2   // entries where even that is too much
	nameCap  = 200 // bytes of a name, id or label
)

// Compact renders t in at most budget bytes, for any t; the same t always gives the same
// bytes.
//
// It first renders without loss: each message, tool and long text once, the schemas only
// of tools in failing calls, steps that repeat identically folded into a note. If that is
// over the budget, one cap is laid on every text, the largest that fits, with errors
// getting six times, the last output and errors that nobody marked three times as much; a
// cut text keeps 65 % of its cap from its head and 35 % from its tail, with …[n bytes cut]…
// between. If even short texts do not fit, steps are dropped from the middle, never the
// decisive errors, their ancestors, the first two and the last two, and one error of each kind
// last, leaving {"omitted_steps": n}. What is left is
// a summary of first input, error and last output.
func Compact(t *Trace, budget int) Compacted {
	budget = max(budget, MinBudget)
	p := newPlan(t)
	defer p.release()
	v := view{budget: budget}
	// Where the messages alone are over the budget, the cut below gives what this would if
	// it did fit, unless a name is cut; it also does where that can only be guessed.
	switch {
	case p.longestName <= nameCap && p.messages > budget:
	case p.longestName <= nameCap && p.likely > budget:
		v.untried = true
	default:
		if c, ok := p.render(v); ok {
			return c
		}
	}
	p.listen()
	v.names, v.cap = nameCap, minCap
	// Where no list is long, keeping all steps is the last that is tried below.
	if p.longestList > minItems || p.leastLikely <= budget {
		if c, ok := p.widen(v); ok {
			return c
		}
	}
	v.untried = false
	v.items = minItems
	if p.longestList > minItems {
		if used, ok := p.length(v); ok {
			v.items = p.most(v, used, minItems, p.longestList, func(v *view, n int) { v.items = n })
			c, _ := p.widen(v)
			return c
		}
	}
	order, decisive := p.priorities()
	keep := func(v *view, n int) {
		p.kept = sized(p.kept, len(t.Steps))
		for _, r := range order[:n] {
			p.kept[r.step()] = true
		}
		v.keep, v.top = p.kept, n
	}
	keep(&v, decisive)
	used, ok := p.length(v)
	if !ok {
		v.items = fewItems
		if used, ok = p.length(v); !ok {
			return p.lastResort(budget)
		}
	}
	keep(&v, p.most(v, used, decisive, len(order), keep))
	c, _ := p.widen(v)
	return c
}

// most returns how many items or steps, from lo to hi, can be kept so that v is within its
// budget: as many as can, or so many that at most a hundredth is unused. With lo of them
// it takes used bytes. What those kept so far took tells about how many more have room,
// which takes four renderings where bisection takes ten.
func (p *plan) most(v view, used, lo, hi int, keep func(v *view, n int)) int {
	each := used/max(lo, 1) + 1
	aim := v.budget - v.budget/enough/2 // the estimate is exact enough to miss the budget by one
	for try := 0; lo < hi && v.budget-used > v.budget/enough; try++ {
		n := min(lo+max(1, (aim-used)/each), hi)
		if try >= maxTries {
			n = lo + (hi-lo+1)/2
		}
		keep(&v, n)
		if bytes, ok := p.length(v); ok {
			each = max(1, (bytes-used)/(n-lo))
			lo, used = n, bytes
		} else {
			each += each/8 + 1
			hi = n - 1
		}
	}
	return lo
}

// largest returns a value in [lo, hi] that fits, by bisection: the largest where fits is
// monotonic. lo is known to fit.
func largest(lo, hi int, fits func(int) bool) int {
	for lo < hi {
		mid := lo + (hi-lo+1)/2
		if fits(mid) {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// A stepRank tells when a step is dropped, the highest first: by class, in the highest bits,
// then by the distance from an error or an end, then by position. As one number it is
// sorted in a third of the time, which was a tenth of a trace of thousands of steps.
type stepRank uint64

const rankBits = 30

// Classes of steps, what to keep first in front.
const (
	classDecisive = iota // never dropped
	classMarked          // the first of its kind of the marked errors, and its ancestors
	classTold            // the first of its kind of those that nobody marked
	classAgain           // an error that is there already
	classOther
)

func rankOf(class, distance, step int) stepRank {
	return stepRank(class)<<(2*rankBits) | stepRank(distance)<<rankBits | stepRank(step)
}

func (r stepRank) step() int { return int(r & (1<<rankBits - 1)) }

// priorities returns the ranks of all steps, what to keep first in front, and how many of
// them are never dropped: the first and the last error, and the ends. After those come the
// other errors, one of each kind before its repetitions, then the steps nearest to an error
// or an end.
func (p *plan) priorities() (order []stepRank, decisive int) {
	p.listen()
	n := len(p.t.Steps)
	class, distance := sized(p.class, n), sized(p.distance, n)
	p.class, p.distance = class, distance
	for i := range n {
		class[i], distance[i] = classOther, min(i, n-1-i)
	}
	for _, e := range p.classifyErrors(class) {
		for a, hops := e, 0; a >= 0 && hops < minItems; a, hops = p.parent[a], hops+1 {
			class[a] = classDecisive
		}
	}
	for _, i := range [...]int{0, 1, n - 2, n - 1} {
		if i >= 0 && i < n {
			class[i] = classDecisive
		}
	}
	// Distance to the nearest error, in two sweeps.
	for i := 1; i < n; i++ {
		distance[i] = min(distance[i], distance[i-1]+1)
		if p.failed(i) || p.told[i] {
			distance[i] = 0
		}
	}
	for i := n - 2; i >= 0; i-- {
		distance[i] = min(distance[i], distance[i+1]+1)
	}
	order = sized(p.ranks, n)
	p.ranks = order
	for i := range order {
		order[i] = rankOf(class[i], distance[i], i)
		if class[i] == classDecisive {
			decisive++
		}
	}
	slices.Sort(order)
	return order, decisive
}

// classifyErrors sets the classes of errors, and returns the first and the last of those
// that are marked or, if none is, of the others; -1 where there is none.
func (p *plan) classifyErrors(class []int) (ends [2]int) {
	marked, told := [2]int{-1, -1}, [2]int{-1, -1}
	note := func(ends *[2]int, i int) {
		if ends[0] < 0 {
			ends[0] = i
		}
		ends[1] = i
	}
	seen := make(map[string]bool)
	var kind []byte
	for i := range class {
		switch {
		case p.failed(i):
			note(&marked, i)
			class[i] = classMarked
		case p.told[i]:
			note(&told, i)
			class[i] = classTold
		default:
			continue
		}
		kind = p.appendErrorKind(kind[:0], i)
		if seen[string(kind)] {
			class[i] = classAgain
			continue
		}
		seen[string(kind)] = true
		for a, hops := p.parent[i], 0; a >= 0 && hops < maxEcho && class[a] > class[i]; a, hops = p.parent[a], hops+1 {
			class[a] = class[i]
		}
	}
	if marked[0] < 0 {
		return told
	}
	return marked
}

// appendErrorKind appends what errors have in common that differ in details only: the step's
// name, and the error's type or else its first words without numbers. A stack trace is known
// by its last line.
func (p *plan) appendErrorKind(b []byte, i int) []byte {
	s := &p.t.Steps[i]
	b = append(append(b, s.Name...), '\n')
	if s.Err != nil && s.Err.Type != "" {
		return append(b, s.Err.Type...)
	}
	text := p.said(i)
	if s.Err != nil {
		text = s.Err.Message
	}
	if strings.Contains(text, traceback) {
		text = strings.TrimSpace(text)
		text = text[strings.LastIndexByte(text, '\n')+1:]
	}
	const enough, words = 80, 3 // bytes that are looked at, and what of them tells kinds apart
	return appendWords(b, headOf(text, enough), words)
}

// appendWords appends the first n runs of letters in s, with a space between them.
func appendWords(b []byte, s string, n int) []byte {
	within, start := false, len(b)
	for _, c := range s {
		letter := unicode.IsLetter(c)
		if letter && !within {
			if n--; n < 0 {
				break
			}
			if len(b) > start {
				b = append(b, ' ')
			}
		}
		if within = letter; letter {
			b = utf8.AppendRune(b, c)
		}
	}
	return b
}
