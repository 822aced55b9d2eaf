package trace

import (
	"maps"
	"slices"
)

// Join returns whole with what part, which came later, adds to it: steps that whole does
// not have, and what its steps of the same span id leave open, such as the messages of a
// span whose log records come in another file. Neither is changed. It reports whether
// there was anything to add.
func Join(whole, part *Trace) (*Trace, bool) {
	b := newBuilder(new(workspace))
	*b.t = *whole
	b.t.Steps, b.t.Messages, b.t.Tools = nil, nil, nil
	j := joint{b: b, at: make(map[string]int)}
	for i := range whole.Steps {
		j.add(whole, &whole.Steps[i])
	}
	j.changed = false
	for i := range part.Steps {
		j.add(part, &part.Steps[i])
	}
	if !j.changed {
		return whole, false
	}
	for _, l := range part.Labels {
		if !slices.ContainsFunc(whole.Labels, func(o Label) bool { return o.Name == l.Name && o.StepID == l.StepID }) {
			b.t.Labels = append(slices.Clip(b.t.Labels), l)
		}
	}
	b.t.Dropped += part.Dropped
	fill(&b.t.Service, part.Service)
	fill(&b.t.Session, part.Session)
	if !part.Start.IsZero() && (b.t.Start.IsZero() || part.Start.Before(b.t.Start)) {
		b.t.Start = part.Start
	}
	b.t.Steps = inOrder(b.t.Steps)
	return b.t, true
}

// A joint is a trace that is put together from the steps of several.
type joint struct {
	b       *builder
	at      map[string]int // position of each span's step
	changed bool
}

// add takes in s, a step of t.
func (j *joint) add(t *Trace, s *Step) {
	step := *s
	step.In, step.Out, step.Declared = j.messages(t, s.In), j.messages(t, s.Out), j.tools(t, s.Declared)
	i, known := j.at[s.ID]
	if !known || s.ID == "" {
		j.at[s.ID] = len(j.b.t.Steps)
		j.b.t.Steps = append(j.b.t.Steps, step)
		j.changed = true
		return
	}
	j.changed = complete(&j.b.t.Steps[i], &step) || j.changed
}

func (j *joint) messages(t *Trace, ms []int) []int {
	var out []int
	for _, m := range ms {
		if msg := t.message(m); msg != nil {
			out = append(out, j.b.message(*msg))
		}
	}
	return out
}

func (j *joint) tools(t *Trace, tools []int) []int {
	var out []Tool
	for _, n := range tools {
		if n >= 0 && n < len(t.Tools) {
			out = append(out, t.Tools[n])
		}
	}
	return j.b.declare(out)
}

// complete fills what s leaves open from p, another part of the same step, and reports
// whether there was anything.
func complete(s, p *Step) bool {
	changed := false
	put := func(open, there bool, do func()) {
		if open && there {
			do()
			changed = true
		}
	}
	put(len(s.In) == 0, len(p.In) > 0, func() { s.In = p.In })
	put(len(s.Out) == 0, len(p.Out) > 0, func() { s.Out = p.Out })
	put(s.Input == "", p.Input != "", func() { s.Input = p.Input })
	put(s.Output == "", p.Output != "", func() { s.Output = p.Output })
	put(s.Tool == nil, p.Tool != nil, func() { s.Tool = p.Tool })
	put(s.Err == nil, p.Err != nil, func() { s.Err = p.Err })
	put(s.Status == Unset, p.Status != Unset, func() { s.Status = p.Status })
	put(s.Parent == "", p.Parent != "", func() { s.Parent = p.Parent })
	put(s.Finish == "", p.Finish != "", func() { s.Finish = p.Finish })
	put(s.Model == "", p.Model != "", func() { s.Model = p.Model })
	put(len(s.Declared) == 0, len(p.Declared) > 0, func() { s.Declared = p.Declared })
	put(s.Tokens == unknownTokens, p.Tokens != unknownTokens, func() { s.Tokens = p.Tokens })
	for k, v := range p.Attrs {
		put(s.Attrs[k] == "", v != "", func() {
			s.Attrs = maps.Clone(s.Attrs)
			if s.Attrs == nil {
				s.Attrs = make(map[string]string)
			}
			s.Attrs[k] = v
		})
	}
	put(s.Dur == 0, p.Dur > 0, func() { s.Start, s.Dur = p.Start, p.Dur })
	return changed
}

// inOrder returns steps in the order of [Trace.Steps], as buildSpans makes it of spans.
func inOrder(steps []Step) []Step {
	spans := make([]*span, len(steps))
	readings := make([]reading, len(steps))
	for i := range steps {
		s := &steps[i]
		spans[i] = &span{id: s.ID, parent: s.Parent, start: s.Start}
		if s.Dur > 0 {
			spans[i].end = s.Start.Add(s.Dur)
		}
		readings[i].kind = s.Kind
	}
	order, parents, depths := preorder(spans, readings)
	out := make([]Step, len(order))
	for n, i := range order {
		out[n] = steps[i]
		out[n].Index, out[n].Depth = n, depths[n]
	}
	settleErrors(out, parents)
	return out
}
