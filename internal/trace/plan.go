package trace

import (
	"hash/maphash"
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
	cutTexts    []waterText
	shapes      []int      // by step: as [plan.shape] returns it
	keys        []uint64   // by step: as [plan.stepKeys] returns them
	seen        []bool     // by message: it is in a key
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
		parent: cleared(p.parent, keptValues), fold: cleared(p.fold, keptEntries), cutTexts: cleared(p.cutTexts, keptEntries),
		shapes: cleared(p.shapes, keptValues), keys: cleared(p.keys, keptValues), seen: cleared(p.seen, keptValues),
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
	keys := p.stepKeys()
	for i := 0; i < len(keys); {
		best, width := 0, 0
		for w := 1; w <= maxFoldWidth; w++ {
			n := i + w
			for n < len(keys) && keys[n] == keys[n-w] {
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

// stepKeys returns a digest of what each step says, without times and ids. Messages
// count where they are first seen: a growing history makes no step different. A step that
// cannot be in a cycle, because none near it has its shape, gets a digest of its own
// without being read.
func (p *plan) stepKeys() []uint64 {
	t := p.t
	shapes := sized(p.shapes, len(t.Steps))
	for i := range t.Steps {
		shapes[i] = p.shape(&t.Steps[i])
	}
	recurs := func(i int) bool {
		for w := 1; w <= maxFoldWidth; w++ {
			if i >= w && shapes[i-w] == shapes[i] || i+w < len(shapes) && shapes[i+w] == shapes[i] {
				return true
			}
		}
		return false
	}
	d := digester{t: t, digest: digest{seed: maphash.MakeSeed()}, seen: sized(p.seen, len(t.Messages))}
	keys := sized(p.keys, len(t.Steps))
	p.shapes, p.keys, p.seen = shapes, keys, d.seen
	for i := range t.Steps {
		if s := &t.Steps[i]; recurs(i) {
			keys[i] = d.step(s)
		} else {
			d.see(s)
			keys[i] = ^uint64(i)
		}
	}
	return keys
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

// A digester makes the keys of steps, in their order.
type digester struct {
	t *Trace
	digest
	seen []bool // by message
}

// step returns the key of s.
func (d *digester) step(s *Step) uint64 {
	d.sum = uint64(s.Depth)
	for _, v := range [...]string{string(s.Kind), s.Name, s.Agent, s.Model, string(s.Status), s.Finish, s.Input, s.Output} {
		d.add(v)
	}
	if s.Err != nil {
		d.add("err")
		d.add(s.Err.Type)
		d.add(s.Err.Code)
		d.add(s.Err.Message)
	}
	if s.Tool != nil {
		d.add("tool")
		d.add(s.Tool.Name)
		d.add(s.Tool.Args)
		d.add(s.Tool.Result)
	}
	d.add("in")
	for _, m := range s.In {
		if d.t.message(m) != nil && !d.seen[m] {
			d.message(m)
		}
	}
	d.add("out")
	for _, m := range s.Out {
		if d.t.message(m) != nil {
			d.message(m)
		}
	}
	return d.sum
}

// message takes message m in.
func (d *digester) message(m int) {
	d.seen[m] = true
	msg := &d.t.Messages[m]
	d.add(msg.Role)
	d.add(msg.Name)
	d.add(msg.Text)
	d.add(msg.Refusal)
	for i := range msg.Calls {
		d.add(msg.Calls[i].Name)
		d.add(msg.Calls[i].Args)
	}
}

// see notes that the messages of s were seen.
func (d *digester) see(s *Step) {
	for _, ms := range [...][]int{s.In, s.Out} {
		for _, m := range ms {
			if d.t.message(m) != nil {
				d.seen[m] = true
			}
		}
	}
}
