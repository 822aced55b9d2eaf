package trace

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A view says how much of a trace is rendered.
type view struct {
	budget int
	cap    int    // bytes of each content string, times its weight; 0: all
	names  int    // bytes of each name or id; 0: all
	items  int    // entries of each list, from both ends; 0: all
	keep   []bool // by step position; nil: all
	top    int    // how many steps keep has, the first by priority
	// untried is set when it is not known that the view does not fit without a cap.
	untried bool
}

// A renderer writes one view of a trace. Rendering stops early once it is over budget.
type renderer struct {
	*plan
	view
	*scratch
	full    bool // what is still to be written cannot fit, and is not written
	cut     int
	omitted int
	// model is that of the last step that had one, agent that of the last step: what is the
	// same again is left out.
	model, agent string
	water        *water // collects the texts that are cut, if not nil
}

// A scratch is the memory of one rendering, used again for the next.
type scratch struct {
	buf      []byte
	rendered []bool            // by message: written in full, or part of a fold
	where    map[string]place  // long content that was written, with its place
	calls    map[string]string // arguments of the calls that were written, by id
	lastCall map[string]string // arguments of the last call that was written, by name
	lastName map[Kind]string   // the name of the last step of each kind
}

func (s *scratch) clear() {
	clear(s.where)
	clear(s.calls)
	clear(s.lastCall)
	clear(s.lastName)
}

// make gives s its tables, as far as it has none.
func (s *scratch) make() {
	s.where, s.calls, s.lastCall, s.lastName = made(s.where), made(s.calls), made(s.lastCall), made(s.lastName)
}

// release keeps of s what may serve the next trace.
func (s *scratch) release() {
	s.where, s.calls, s.lastCall, s.lastName = emptied(s.where), emptied(s.calls), emptied(s.lastCall), emptied(s.lastName)
	s.rendered = cleared(s.rendered, keptValues)
	if cap(s.buf) > keptRendering {
		s.buf = nil
	}
}

// shareable is the length from which a text that was written before is referred to
// instead of repeated.
const shareable = 48

// render returns the view and reports whether it is within the budget.
func (p *plan) render(v view) (Compacted, bool) {
	r := p.write(v, nil)
	if r.over() {
		return Compacted{}, false
	}
	return r.take(), true
}

// take returns what was rendered.
func (r *renderer) take() Compacted {
	return Compacted{JSON: slices.Clone(r.buf), BytesCut: r.cut, StepsOmitted: r.omitted}
}

// length returns how long the view is, in bytes, and whether that is within the budget.
func (p *plan) length(v view) (bytes int, ok bool) {
	r := p.drafted(v)
	return len(r.buf), !r.over()
}

// drafted writes the view, unless it is the one that was written last, and collects the texts
// that are cut in it. What is written next takes its memory.
func (p *plan) drafted(v view) renderer {
	if !p.isDraft || !p.draft.shows(v) {
		clear(p.water.texts) // a shorter list would keep the others
		p.water = water{texts: p.water.texts[:0]}
		p.draft = p.write(v, &p.water)
		p.isDraft = true
	}
	return p.draft
}

// shows reports whether v and w are the same of a trace.
func (v view) shows(w view) bool {
	return v.budget == w.budget && v.cap == w.cap && v.names == w.names && v.items == w.items && (v.keep == nil) == (w.keep == nil) && v.top == w.top
}

// write writes the view and collects in w, if that is not nil, the texts that it cuts.
func (p *plan) write(v view, w *water) renderer {
	p.isDraft = false
	r := renderer{plan: p, view: v, scratch: &p.scratch, water: w}
	r.clear()
	r.rendered = sized(r.rendered, len(p.t.Messages))
	r.buf = append(slices.Grow(r.buf[:0], min(v.budget, p.size)*17/16+sparePerRendering), '{')
	r.header()
	r.key("steps")
	r.buf = append(r.buf, '[')
	r.steps()
	r.buf = append(r.buf, ']', '}')
	return r
}

// sparePerRendering is what a rendering takes beside its texts, and a sixteenth of them
// for their escapes, in bytes.
const sparePerRendering = 256

func (r *renderer) over() bool { return r.full || len(r.buf) > r.budget }

func (r *renderer) header() {
	t := r.t
	r.name("format", t.Format)
	r.name("service", t.Service)
	if !t.Start.IsZero() {
		r.name("started", t.Start.UTC().Format(time.RFC3339))
	}
	if len(t.Tools) > 0 {
		r.key("tools")
		r.list(len(t.Tools), func(i int) { r.str(r.short(t.Tools[i].Name)) })
		r.schemas()
	}
	if len(t.Labels) > 0 {
		r.key("labels")
		r.list(len(t.Labels), func(i int) { r.label(&t.Labels[i]) })
	}
	if t.Dropped > 0 {
		r.int("dropped_attributes", t.Dropped)
	}
	if len(t.Warnings) > 0 {
		r.key("warnings")
		r.list(len(t.Warnings), func(i int) { r.str(r.short(t.Warnings[i])) })
	}
}

// schemas writes the declarations of the tools in failing calls.
func (r *renderer) schemas() {
	var failing []*Tool
	for i := range r.t.Tools {
		if t := &r.t.Tools[i]; r.failingTool[t.Name] && (t.Schema != "" || t.Description != "") {
			failing = append(failing, t)
		}
	}
	if failing == nil {
		return
	}
	r.key("tool_schemas")
	r.list(len(failing), func(i int) {
		r.open()
		r.name("name", failing[i].Name)
		r.content("description", failing[i].Description, place{})
		r.content("schema", failing[i].Schema, place{})
		r.close()
	})
}

func (r *renderer) label(l *Label) {
	r.open()
	r.name("name", l.Name)
	r.content("value", l.Value, place{})
	if l.Score != nil {
		if s := strconv.FormatFloat(*l.Score, 'g', 6, 64); strings.Trim(s, "0123456789.e+-") == "" { // neither Inf nor NaN
			r.key("score")
			r.buf = append(r.buf, s...)
		}
	}
	if i, ok := r.byID[l.StepID]; ok {
		r.int("step", r.t.Steps[i].Index)
	}
	r.content("explanation", l.Explanation, place{})
	r.name("source", l.Source)
	r.close()
}

func (r *renderer) steps() {
	folds := r.fold
	for i := 0; i < len(r.t.Steps) && !r.over(); {
		if len(folds) > 0 && folds[0].from == i {
			f := folds[0]
			folds = folds[1:]
			if r.foldable(f) {
				r.folded(f)
				i = f.to
				continue
			}
		}
		if r.keep == nil || r.keep[i] {
			r.step(i)
			i++
			continue
		}
		first := i
		for i < len(r.t.Steps) && !r.keep[i] {
			i++
		}
		for len(folds) > 0 && folds[0].from < i {
			folds = folds[1:]
		}
		r.omitted += i - first
		r.open()
		r.int("omitted_steps", i-first)
		r.int("from", r.t.Steps[first].Index)
		r.int("to", r.t.Steps[i-1].Index)
		r.close()
	}
}

// foldable reports whether the steps that f repeats are rendered.
func (r *renderer) foldable(f fold) bool {
	if r.keep == nil {
		return true
	}
	for i := f.from - f.width; i < f.from; i++ {
		if !r.keep[i] {
			return false
		}
	}
	return true
}

// folded writes the note that stands for steps that repeat others.
func (r *renderer) folded(f fold) {
	for i := f.from; i < f.to; i++ {
		for _, ms := range [...][]int{r.t.Steps[i].In, r.t.Steps[i].Out} {
			for _, m := range ms {
				if m >= 0 && m < len(r.rendered) {
					r.rendered[m] = true
				}
			}
		}
	}
	r.open()
	r.int("repeated_steps", f.to-f.from)
	r.int("from", r.t.Steps[f.from].Index)
	r.int("to", r.t.Steps[f.to-1].Index)
	r.key("identical_to")
	r.str("steps " + strconv.Itoa(r.t.Steps[f.from-f.width].Index) + "-" + strconv.Itoa(r.t.Steps[f.from-1].Index) +
		", " + strconv.Itoa((f.to-f.from)/f.width) + " more times")
	r.close()
}
