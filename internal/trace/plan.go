package trace

import (
	"slices"
	"sync"
)

// Weights of content in the water-filling cut.
const (
	errorWeight  = 6
	toldWeight   = 3 // of errors that nobody marked
	outputWeight = 3
)

// Opaque payloads over opaqueLimit keep only their last opaqueKeep bytes.
const (
	opaqueLimit = 200 * 1024
	opaqueKeep  = 100 * 1024
)

// A plan is what rendering a trace needs to know beforehand. It is computed once and
// used for every attempt to fit. Its memory then serves another trace.
type plan struct {
	t           *Trace
	byID        map[string]int // position of each span's step
	parent      []int          // position of each step's parent, or -1
	weight      map[string]int // content that weighs more than 1
	failingTool map[string]bool
	fold        []fold // by first folded position, ascending
	longestText int
	longestList int
	longestName int
	messages    int         // bytes of all messages
	lengths     map[int]int // how many texts that can be referred to have a length
	size        int         // of a rendering without cuts, at most by estimate, in bytes
	likely      int         // the same, as it mostly is
	leastLikely int         // the same with all texts cut to minCap
	scratch     scratch
	water       water    // the texts that are cut in the draft
	draft       renderer // the last one, if isDraft is set
	isDraft     bool
	shapes      []int      // by step: as [plan.shape] returns it
	seen        []bool     // by message: a step before has it
	fresh       []int      // the messages that steps are the first to be given, in their order
	freshUpTo   []int      // by step: the end of its part of fresh
	ranks       []stepRank // by step
	class       []int      // by step
	distance    []int      // by step
	kept        []bool     // by step: it is rendered
	told        []bool     // by step: as [plan.listen] finds it
}

// plans are those that are of no trace.
var plans = sync.Pool{New: func() any { return new(plan) }}

// keptRendering is how long a rendering may be whose memory serves the next one, in bytes.
const keptRendering = 256 << 10

// release gives the plan's memory to the next one. The plan must not be used any more.
func (p *plan) release() {
	s := &p.scratch
	s.release()
	*p = plan{
		byID: emptied(p.byID), weight: emptied(p.weight), failingTool: emptied(p.failingTool), lengths: emptied(p.lengths), scratch: *s,
		parent: cleared(p.parent, keptValues), fold: cleared(p.fold, keptEntries), water: water{texts: cleared(p.water.texts, keptEntries)},
		shapes: cleared(p.shapes, keptValues), seen: cleared(p.seen, keptValues),
		fresh: cleared(p.fresh, keptValues), freshUpTo: cleared(p.freshUpTo, keptValues),
		ranks: cleared(p.ranks, keptValues), class: cleared(p.class, keptValues), distance: cleared(p.distance, keptValues), kept: cleared(p.kept, keptValues),
		told: cleared(p.told, keptValues),
	}
	plans.Put(p)
}

// sized returns n zero elements, in the memory of s where that is enough.
func sized[T any](s []T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

// A fold is a run of steps that repeat the width steps before them.
type fold struct {
	from, to int // positions [from, to) that are not rendered
	width    int
}

func newPlan(t *Trace) *plan {
	p := plans.Get().(*plan)
	p.t = t
	p.byID, p.weight, p.failingTool, p.lengths = made(p.byID), made(p.weight), made(p.failingTool), made(p.lengths)
	p.scratch.make()
	for i := range t.Steps {
		if id := t.Steps[i].ID; id != "" {
			p.byID[id] = i
		}
	}
	p.parent = sized(p.parent, len(t.Steps))
	for i := range t.Steps {
		p.parent[i] = -1
		if a, ok := p.byID[t.Steps[i].Parent]; ok && t.Steps[i].Parent != "" && a < i {
			p.parent[i] = a // an ancestor comes before its descendants: no cycles
		}
	}
	p.weigh()
	p.measure()
	p.findFolds()
	return p
}

// failed reports whether the step at position i has an error of any sort.
func (p *plan) failed(i int) bool {
	s := &p.t.Steps[i]
	return s.Err != nil || s.Status == Error || s.Tool != nil && s.Tool.IsErr
}

func (p *plan) measure() {
	t := p.t
	// What keys, numbers and names take, by step and message, in bytes.
	const perStep, perMessage = 128, 64
	p.size = perStep*len(t.Steps) + perMessage*(len(t.Messages)+len(t.Labels)+len(t.Tools))
	// What they mostly take, without names.
	const likelyStep, likelyMessage, likelyName, likelyTool = 40, 20, 10, 45
	p.likely = likelyStep*len(t.Steps) + likelyMessage*len(t.Messages)
	p.leastLikely = p.likely
	text := func(ss ...string) {
		for _, s := range ss {
			p.longestText = max(p.longestText, len(s))
			p.size += len(s)
			p.likely += len(s)
			p.leastLikely += min(len(s), minCap)
			if len(s) >= shareable {
				p.lengths[len(s)]++
			}
		}
	}
	name := func(ss ...string) {
		for _, s := range ss {
			p.longestName = max(p.longestName, len(s))
		}
	}
	name(t.Format, t.Service)
	list := func(n int) { p.longestList = max(p.longestList, n) }
	for i := range t.Messages {
		m := &t.Messages[i]
		text(m.Text, m.Refusal)
		for _, c := range m.Calls {
			text(c.Args, c.ArgsErr)
		}
		for _, c := range m.Calls {
			name(c.Name, c.ID)
		}
		name(m.Role, m.Name, m.ToolID)
		if n := len(m.Name); n > 0 {
			p.likely += n + likelyName
		}
		list(len(m.Calls))
		p.messages += len(m.Text)
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		text(s.Input, s.Output)
		name(s.Name, s.Agent, s.Model, s.Finish)
		if i > 0 && s.Agent != t.Steps[i-1].Agent {
			p.likely += len(s.Agent) + likelyName
		}
		if s.Tool != nil {
			text(s.Tool.Args, s.Tool.Result)
			repeated := p.repeated(s)
			p.likely += likelyTool - repeated
			p.leastLikely += likelyTool - min(repeated, 2*minCap)
			name(s.Tool.Name, s.Tool.CallID)
		}
		if s.Err != nil {
			text(s.Err.Message, s.Err.Stack)
			name(s.Err.Type, s.Err.Code)
		}
		for _, v := range s.Attrs {
			p.longestText = max(p.longestText, len(v))
		}
		list(len(s.In))
		list(len(s.Out))
		list(len(s.Attrs))
	}
	for i := range t.Labels {
		text(t.Labels[i].Explanation, t.Labels[i].Value)
		name(t.Labels[i].Name, t.Labels[i].Source)
	}
	name(t.Warnings...)
	for i := range t.Tools {
		name(t.Tools[i].Name)
		if p.failingTool[t.Tools[i].Name] {
			text(t.Tools[i].Schema, t.Tools[i].Description)
		}
	}
	list(len(t.Labels))
	list(len(t.Tools))
	list(len(t.Warnings))
}

// repeated returns about how many bytes of a step's tool are written elsewhere: the call of
// the model, and the message with the result.
func (p *plan) repeated(s *Step) int {
	n := 0
	if s.Tool.CallID != "" {
		n = len(s.Tool.Args)
	}
	if len(s.Out) == 1 {
		if m := p.t.message(s.Out[0]); m != nil && len(m.Text) == len(s.Tool.Result) {
			n += len(m.Text)
		}
	}
	return n
}

// weigh finds the texts of errors and of the last output, and the tools of failing
// calls.
func (p *plan) weigh() {
	t := p.t
	for i := len(t.Steps) - 1; i >= 0; i-- {
		s := &t.Steps[i]
		if s.Kind == KindTool || s.Kind == KindInput || s.Output == "" && len(s.Out) == 0 {
			continue
		}
		p.weight[s.Output] = outputWeight
		for _, m := range s.Out {
			if m >= 0 && m < len(t.Messages) {
				p.weight[t.Messages[m].Text] = outputWeight
			}
		}
		break
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Err != nil {
			p.weight[s.Err.Message] = errorWeight
			p.weight[s.Err.Stack] = errorWeight
		}
		if s.Tool != nil && s.Tool.IsErr {
			p.weight[s.Tool.Result] = errorWeight
		}
		if s.Tool != nil && (p.failed(i) || s.Tool.ArgsErr != "") {
			p.failingTool[s.Tool.Name] = true
		}
	}
	for i := range t.Messages {
		m := &t.Messages[i]
		if m.IsErr {
			p.weight[m.Text] = errorWeight
			p.failingTool[m.Name] = true
		}
		for _, c := range m.Calls {
			if c.ArgsErr != "" {
				p.failingTool[c.Name] = true
			}
		}
	}
}

// maxFoldWidth is the widest cycle of steps that is folded.
const maxFoldWidth = 3

// findFolds finds runs of at least three identical cycles of one to three steps; the
// first and the last cycle of a run stay.
func (p *plan) findFolds() {
	steps := len(p.t.Steps)
	p.shapes = sized(p.shapes, steps)
	for i := range p.shapes {
		p.shapes[i] = p.shape(&p.t.Steps[i])
	}
	p.findFresh()
	for i := 0; i < steps; {
		best, width := 0, 0
		for w := 1; w <= maxFoldWidth; w++ {
			n := i + w
			for n < steps && p.alike(n, n-w) {
				n++
			}
			if cycles := (n - i) / w; cycles >= 3 && cycles*w > best {
				best, width = cycles*w, w
			}
		}
		if best == 0 {
			i++
			continue
		}
		p.fold = append(p.fold, fold{from: i + width, to: i + best - width, width: width})
		i += best
	}
}

// findFresh lists the messages that each step is the first to be given.
func (p *plan) findFresh() {
	t := p.t
	p.seen, p.freshUpTo = sized(p.seen, len(t.Messages)), sized(p.freshUpTo, len(t.Steps))
	p.fresh = p.fresh[:0]
	for i := range t.Steps {
		for _, m := range t.Steps[i].In {
			if t.message(m) != nil && !p.seen[m] {
				p.seen[m] = true
				p.fresh = append(p.fresh, m)
			}
		}
		p.freshUpTo[i] = len(p.fresh)
		for _, m := range t.Steps[i].Out {
			if t.message(m) != nil {
				p.seen[m] = true
			}
		}
	}
}

// freshIn returns the messages that step i is the first to be given.
func (p *plan) freshIn(i int) []int {
	if i == 0 {
		return p.fresh[:p.freshUpTo[0]]
	}
	return p.fresh[p.freshUpTo[i-1]:p.freshUpTo[i]]
}

// alike reports whether steps i and j say the same, whenever they ran and whatever their
// ids are. Messages count where they are first seen: a growing history makes no step
// different.
func (p *plan) alike(i, j int) bool {
	if p.shapes[i] != p.shapes[j] { // most differ in their length
		return false
	}
	a, b := &p.t.Steps[i], &p.t.Steps[j]
	switch {
	case a.Depth != b.Depth, a.Kind != b.Kind, a.Name != b.Name, a.Agent != b.Agent, a.Model != b.Model, a.Status != b.Status, a.Finish != b.Finish,
		a.Input != b.Input, a.Output != b.Output, (a.Err == nil) != (b.Err == nil), (a.Tool == nil) != (b.Tool == nil):
		return false
	case a.Err != nil && (a.Err.Type != b.Err.Type || a.Err.Code != b.Err.Code || a.Err.Message != b.Err.Message):
		return false
	case a.Tool != nil && (a.Tool.Name != b.Tool.Name || a.Tool.Args != b.Tool.Args || a.Tool.Result != b.Tool.Result):
		return false
	}
	return p.sayAlike(a.Out, b.Out) && p.sayAlike(p.freshIn(i), p.freshIn(j))
}

// sayAlike reports whether two lists of messages say the same, whatever their ids are.
func (p *plan) sayAlike(a, b []int) bool {
	return slices.EqualFunc(p.present(a), p.present(b), func(i, j int) bool {
		m, n := &p.t.Messages[i], &p.t.Messages[j]
		return i == j || m.Role == n.Role && m.Name == n.Name && m.Text == n.Text && m.Refusal == n.Refusal &&
			slices.EqualFunc(m.Calls, n.Calls, func(c, d Call) bool { return c.Name == d.Name && c.Args == d.Args })
	})
}

// present returns ms without positions at which there is no message.
func (p *plan) present(ms []int) []int {
	missing := func(m int) bool { return p.t.message(m) == nil }
	if slices.ContainsFunc(ms, missing) {
		ms = slices.DeleteFunc(slices.Clone(ms), missing)
	}
	return ms
}

// shape returns a number that is the same for steps that say the same.
func (p *plan) shape(s *Step) int {
	const prime = 31 // any mix does: an equal shape only costs time
	n := len(s.Name)
	for _, v := range [...]int{len(s.Kind), len(s.Agent), len(s.Input), len(s.Output), len(s.Finish), s.Depth} {
		n = n*prime + v
	}
	if s.Err != nil {
		n = n*prime + len(s.Err.Message)
	}
	if s.Tool != nil {
		n = (n*prime+len(s.Tool.Args))*prime + len(s.Tool.Result)
	}
	for _, m := range s.Out {
		if msg := p.t.message(m); msg != nil {
			n = n*prime + len(msg.Text)
		}
	}
	return n
}
