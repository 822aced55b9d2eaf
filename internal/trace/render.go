package trace

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A view says how much of a trace is rendered.
type view struct {
	budget int
	cap    int    // bytes of each content string, times its weight; 0: all
	names  int    // bytes of each name or id; 0: all
	items  int    // entries of each list, from both ends; 0: all
	keep   []bool // by step position; nil: all
}

// A renderer writes one view of a trace. Rendering stops early once it is over budget.
type renderer struct {
	*plan
	view
	buf      []byte
	cut      int
	cutTexts int // texts that were cut, times their weights
	omitted  int
	rendered []bool            // by message: written in full, or part of a fold
	where    map[string]string // long content that was written, with its place
	calls    map[string]string // arguments of the calls that were written, by id
	// said has the name of the last step of each kind, model that of the last step that had
	// one, agent the last one: what is the same again is left out.
	said         map[Kind]string
	model, agent string
}

// shareable is the length from which a text that was written before is referred to
// instead of repeated.
const shareable = 48

// render returns the view and reports whether it is within the budget.
func (p *plan) render(v view) (Compacted, bool) {
	r := p.write(v)
	if r.over() {
		return Compacted{}, false
	}
	return Compacted{JSON: bytes.Clone(r.buf), BytesCut: r.cut, StepsOmitted: r.omitted}, true
}

// fits reports whether the view is within the budget.
func (p *plan) fits(v view) bool {
	r := p.write(v)
	return !r.over()
}

// write writes the view. Its memory is the plan's and is used again for the next one.
func (p *plan) write(v view) renderer {
	if p.scratch == nil {
		p.scratch = &scratch{
			buf:      make([]byte, 0, min(v.budget+v.budget/8, 256<<10)),
			rendered: make([]bool, len(p.t.Messages)),
			where:    make(map[string]string),
			calls:    make(map[string]string),
			names:    make(map[Kind]string),
		}
	}
	sc := p.scratch
	clear(sc.rendered)
	clear(sc.where)
	clear(sc.calls)
	clear(sc.names)
	r := renderer{plan: p, view: v, buf: sc.buf[:0], rendered: sc.rendered, where: sc.where, calls: sc.calls, said: sc.names}
	r.buf = append(r.buf, '{')
	r.header()
	r.key("steps")
	r.buf = append(r.buf, '[')
	r.steps()
	r.buf = append(r.buf, ']', '}')
	sc.buf = r.buf
	return r
}

// A scratch is the memory of one rendering.
type scratch struct {
	buf          []byte
	rendered     []bool
	where, calls map[string]string
	names        map[Kind]string
}

func (r *renderer) over() bool { return len(r.buf) > r.budget }

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
		r.content("description", failing[i].Description, "")
		r.content("schema", failing[i].Schema, "")
		r.close()
	})
}

func (r *renderer) label(l *Label) {
	r.open()
	r.name("name", l.Name)
	r.content("value", l.Value, "")
	if l.Score != nil {
		if s := strconv.FormatFloat(*l.Score, 'g', 6, 64); strings.Trim(s, "0123456789.e+-") == "" { // neither Inf nor NaN
			r.key("score")
			r.buf = append(r.buf, s...)
		}
	}
	if i, ok := r.byID[l.StepID]; ok {
		r.int("step", r.t.Steps[i].Index)
	}
	r.content("explanation", l.Explanation, "")
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

func (r *renderer) step(i int) {
	s := &r.t.Steps[i]
	place := "step " + strconv.Itoa(s.Index)
	r.open()
	r.int("i", s.Index)
	r.name("kind", string(s.Kind))
	if s.Name != s.Agent && s.Name != string(s.Kind) && s.Name != r.said[s.Kind] && !r.saysRole(s) && (s.Tool == nil || !namesTool(s.Name, s.Tool.Name)) {
		r.name("name", s.Name)
		r.said[s.Kind] = s.Name
	}
	if s.Kind != KindTool || s.Agent != r.agent {
		r.name("agent", s.Agent)
		r.agent = s.Agent
	}
	if s.Model != r.model && s.Model != "" {
		r.name("model", s.Model)
		r.model = s.Model
	}
	if p := r.parent[i]; p >= 0 {
		r.int("parent", r.t.Steps[p].Index)
	}
	if s.Status == Error {
		r.name("status", string(s.Status))
	}
	if s.Err != nil {
		r.failure(s.Err, place)
	}
	if s.Dur > 0 {
		r.int("ms", int(s.Dur.Milliseconds()))
	}
	if s.Tokens.In > 0 || s.Tokens.Out > 0 {
		r.key("tokens")
		r.str(strconv.Itoa(s.Tokens.In) + "/" + strconv.Itoa(s.Tokens.Out))
	}
	r.name("finish", s.Finish)
	if len(s.Declared) > 0 && len(s.Declared) < len(r.t.Tools) {
		r.key("tools")
		r.list(len(s.Declared), func(n int) { r.buf = strconv.AppendInt(r.buf, int64(s.Declared[n]), 10) })
	}
	if s.ID != "" || !r.allRendered(s.In) {
		r.messages("in", s.In)
	}
	if s.Kind == KindOpaque {
		r.opaque(s.Input)
	} else {
		r.content("input", s.Input, place+" input")
	}
	if s.Tool != nil {
		r.tool(s, place)
	} else {
		r.messages("out", s.Out)
	}
	r.content("output", s.Output, place+" output")
	if len(s.Attrs) > 0 {
		r.attrs(s.Attrs)
	}
	r.close()
}

// saysRole reports whether the step's name is the role of its message, which is written
// there.
func (r *renderer) saysRole(s *Step) bool {
	return len(s.Out) > 0 && s.Out[0] >= 0 && s.Out[0] < len(r.t.Messages) && r.t.Messages[s.Out[0]].Role == s.Name
}

// namesTool reports whether a span's name says no more than its tool's: "execute_tool x",
// "x.tool".
func namesTool(name, tool string) bool {
	if name == tool {
		return true
	}
	before, after, ok := strings.Cut(name, tool)
	return ok && len(before)+len(after) <= len("execute_tool ")
}

func (r *renderer) allRendered(ms []int) bool {
	for _, m := range ms {
		if m < 0 || m >= len(r.rendered) || !r.rendered[m] {
			return false
		}
	}
	return true
}

func (r *renderer) failure(f *Failure, place string) {
	r.key("error")
	r.open()
	r.name("type", f.Type)
	r.name("code", f.Code)
	if f.HTTP > 0 {
		r.int("http", f.HTTP)
	}
	r.content("message", f.Message, place+" error")
	r.content("stack", f.Stack, place+" stack")
	r.close()
}

// tool writes a call with its result, and the step's messages that say the same.
func (r *renderer) tool(s *Step, place string) {
	io := s.Tool
	r.key("tool")
	r.open()
	r.name("name", io.Name)
	r.name("id", io.CallID)
	if args, ok := r.calls[io.CallID]; !ok || io.CallID == "" || args != io.Args {
		r.content("args", io.Args, place+" args")
	}
	r.content("args_error", io.ArgsErr, "")
	if io.HasResult {
		if io.Result == "" {
			r.key("result")
			r.str("")
		}
		r.content("result", io.Result, place+" result")
	}
	if io.IsErr {
		r.key("is_error")
		r.buf = append(r.buf, "true"...)
	}
	r.close()
	if len(s.Out) == 1 && s.Out[0] >= 0 && s.Out[0] < len(r.t.Messages) {
		if m := &r.t.Messages[s.Out[0]]; m.Text == io.Result && m.Calls == nil && m.Refusal == "" && !r.rendered[s.Out[0]] {
			r.rendered[s.Out[0]] = true
			r.int("m", s.Out[0])
			return
		}
	}
	r.messages("out", s.Out)
}

// messages writes messages: in full where they come first, later as ranges of numbers.
func (r *renderer) messages(key string, ms []int) {
	if len(ms) == 0 {
		return
	}
	r.key(key)
	r.buf = append(r.buf, '[')
	head, tail := len(ms), len(ms)
	if r.items > 0 && len(ms) > r.items {
		fresh := 0 // references are short: only new messages count
		for _, m := range ms {
			if m < 0 || m >= len(r.rendered) || !r.rendered[m] {
				fresh++
			}
		}
		if fresh > r.items || len(ms) > 64*r.items {
			head, tail = r.items/2, len(ms)-r.items/2
		}
	}
	for i := 0; i < len(ms) && !r.over(); {
		if i == head && head < tail {
			r.open()
			r.int("omitted_messages", tail-head)
			r.close()
			i = tail
			continue
		}
		m := ms[i]
		if m < 0 || m >= len(r.t.Messages) {
			i++
			continue
		}
		if !r.rendered[m] {
			r.rendered[m] = true
			r.message(m)
			i++
			continue
		}
		end := i + 1
		for end < len(ms) && end != head && ms[end] == ms[end-1]+1 && ms[end] < len(r.rendered) && r.rendered[ms[end]] {
			end++
		}
		r.comma()
		ref := strconv.Itoa(m)
		if end-i > 1 {
			ref += "-" + strconv.Itoa(ms[end-1])
		}
		r.str(ref)
		i = end
	}
	r.buf = append(r.buf, ']')
}

func (r *renderer) message(n int) {
	m := &r.t.Messages[n]
	place := "m " + strconv.Itoa(n)
	r.open()
	r.int("m", n)
	r.name("role", m.Role)
	r.name("name", m.Name)
	r.name("call", m.ToolID)
	r.content("text", m.Text, place)
	r.content("refusal", m.Refusal, place+" refusal")
	if m.IsErr {
		r.key("is_error")
		r.buf = append(r.buf, "true"...)
	}
	if len(m.Calls) > 0 {
		r.key("calls")
		r.list(len(m.Calls), func(i int) {
			c := &m.Calls[i]
			r.open()
			r.name("name", c.Name)
			r.name("id", c.ID)
			r.content("args", c.Args, place+" args")
			r.content("args_error", c.ArgsErr, "")
			r.close()
			if c.ID != "" {
				r.calls[c.ID] = c.Args
			}
		})
	}
	r.close()
}

func (r *renderer) attrs(attrs map[string]string) {
	keys := make([]string, 0, len(attrs))
	for k := range attrs {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	r.key("attrs")
	r.open()
	for n, k := range keys {
		if r.items > 0 && n >= r.items {
			break
		}
		if r.names == 0 || len(k) <= r.names {
			r.content(k, attrs[k], "")
		}
	}
	r.close()
}

// opaque writes a payload that was not understood. A long one keeps its end.
func (r *renderer) opaque(s string) {
	if len(s) <= opaqueLimit {
		r.content("input", s, "")
		return
	}
	n := opaqueKeep
	if r.cap > 0 {
		n = min(n, r.cap)
	}
	kept := tailOf(s, n)
	r.cut += len(s) - len(kept)
	r.key("input")
	r.str(marker(len(s)-len(kept)) + kept)
}

// content writes a text under key, cut to its cap. A long text that was written before
// is referred to by its place; one with place "" is always written.
func (r *renderer) content(key, s, place string) {
	if s == "" || r.over() {
		return
	}
	if place != "" && len(s) >= shareable {
		if at, ok := r.where[s]; ok {
			r.key(key + "_same_as")
			r.str(at)
			return
		}
		r.where[s] = place
	}
	if r.cap > 0 {
		limit := r.cap * max(1, r.weight[s])
		if len(s) > limit+len(marker(len(s))) {
			var n int
			s, n = cutMiddle(s, limit)
			r.cut += n
			r.cutTexts += limit / r.cap
		}
	} else if len(s) > r.budget {
		r.buf = append(r.buf, make([]byte, r.budget)...) // cannot fit: over, without writing it
		return
	}
	r.key(key)
	r.str(s)
}

// The writing of JSON.

func (r *renderer) open() {
	r.comma()
	r.buf = append(r.buf, '{')
}

func (r *renderer) close() { r.buf = append(r.buf, '}') }

// comma separates a value from the one before it.
func (r *renderer) comma() {
	switch r.buf[len(r.buf)-1] {
	case '{', '[', ':', ',':
	default:
		r.buf = append(r.buf, ',')
	}
}

func (r *renderer) key(k string) {
	r.comma()
	r.buf = appendString(r.buf, k)
	r.buf = append(r.buf, ':')
}

func (r *renderer) str(s string) { r.buf = appendString(r.buf, s) }

func (r *renderer) int(key string, n int) {
	r.key(key)
	r.buf = strconv.AppendInt(r.buf, int64(n), 10)
}

// name writes a short string under key unless it is "".
func (r *renderer) name(key, s string) {
	if s == "" {
		return
	}
	if r.names == 0 && len(s) > r.budget {
		r.buf = append(r.buf, make([]byte, r.budget)...)
		return
	}
	r.key(key)
	r.str(r.short(s))
}

// short cuts a name, where names are cut.
func (r *renderer) short(s string) string {
	if r.names == 0 || len(s) <= r.names+len(marker(len(s))) {
		return s
	}
	short, n := cutMiddle(s, r.names)
	r.cut += n
	return short
}

// list writes n values as an array; of a long one the first and last.
func (r *renderer) list(n int, write func(i int)) {
	r.buf = append(r.buf, '[')
	for i := 0; i < n && !r.over(); i++ {
		if r.items > 0 && n > r.items && i == r.items/2 {
			skipped := n - r.items
			r.open()
			r.int("omitted", skipped)
			r.close()
			i += skipped
		}
		r.comma()
		write(i)
	}
	r.buf = append(r.buf, ']')
}

// cutMiddle returns the first 65 % and the last 35 % of limit bytes of s, on rune
// boundaries, with a marker between them, and how many bytes are missing.
func cutMiddle(s string, limit int) (string, int) {
	head := headOf(s, limit*65/100)
	tail := tailOf(s, limit-limit*65/100)
	n := len(s) - len(head) - len(tail)
	if n <= 0 {
		return s, 0
	}
	return head + marker(n) + tail, n
}

func marker(n int) string { return "…[" + strconv.Itoa(n) + " bytes cut]…" }

// headOf returns at most the first n bytes of s, ending on a rune boundary.
func headOf(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// tailOf returns at most the last n bytes of s, starting on a rune boundary.
func tailOf(s string, n int) string {
	if len(s) <= n {
		return s
	}
	i := len(s) - n
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return s[i:]
}

// lastResort renders what matters most of a trace that nothing else made small enough.
// Every part has a share of the budget that it cannot exceed.
func (p *plan) lastResort(budget int) Compacted {
	t := p.t
	const overhead, tiny = 420, 32 // structure and numbers; bytes of each of five names
	room := budget - overhead - 5*tiny
	failing, start, last := -1, 0, len(t.Steps)-1
	for start < last && p.said(start) == "" {
		start++
	}
	for last > start && p.said(last) == "" {
		last--
	}
	for i := range t.Steps {
		if t.Steps[i].Err != nil || failing < 0 && p.failed(i) {
			failing = i
			if t.Steps[i].Err != nil {
				break
			}
		}
	}
	shown := 0
	b := append([]byte(nil), `{"format":`...)
	b = appendWithin(b, t.Format, tiny)
	b = append(b, `,"steps":[`...)
	show := func(i int, text string, share int) {
		if shown > 0 {
			b = append(b, ',')
		}
		shown++
		s := &t.Steps[i]
		b = append(b, `{"i":`...)
		b = strconv.AppendInt(b, int64(s.Index), 10)
		b = append(b, `,"kind":`...)
		b = appendWithin(b, string(s.Kind), tiny/2)
		b = append(b, `,"name":`...)
		b = appendWithin(b, s.Name, tiny/2)
		if i == failing {
			b = append(b, `,"status":"error","error":`...)
		} else {
			b = append(b, `,"text":`...)
		}
		b = appendWithin(b, text, share)
		b = append(b, '}')
	}
	if start < last && failing != start && (failing < 0 || start < failing) {
		show(start, p.said(start), room/5)
	}
	if failing >= 0 {
		text := p.said(failing)
		if e := t.Steps[failing].Err; e != nil {
			text = strings.TrimSpace(e.Type + " " + e.Message)
		}
		show(failing, text, room/2)
	}
	if last >= 0 && last > failing {
		show(last, p.said(last), room/4)
	}
	b = append(b, `,{"omitted_steps":`...)
	if shown == 0 {
		b = append(b[:len(b)-len(`,{"omitted_steps":`)], `{"omitted_steps":`...)
	}
	b = strconv.AppendInt(b, int64(len(t.Steps)-shown), 10)
	b = append(b, `}]}`...)
	return Compacted{JSON: b, BytesCut: p.contentBytes(), StepsOmitted: len(t.Steps) - shown}
}

// said returns the text of a step: its output, else its input.
func (p *plan) said(i int) string {
	s := &p.t.Steps[i]
	if s.Output != "" {
		return s.Output
	}
	if s.Tool != nil && s.Tool.Result != "" {
		return s.Tool.Result
	}
	for _, ms := range [...][]int{s.Out, s.In} {
		for n := len(ms) - 1; n >= 0; n-- {
			if m := ms[n]; m >= 0 && m < len(p.t.Messages) && p.t.Messages[m].Text != "" {
				return p.t.Messages[m].Text
			}
		}
	}
	return s.Input
}

// contentBytes counts the bytes of all texts of the trace.
func (p *plan) contentBytes() int {
	n := 0
	for i := range p.t.Messages {
		n += len(p.t.Messages[i].Text)
	}
	for i := range p.t.Steps {
		s := &p.t.Steps[i]
		n += len(s.Input) + len(s.Output)
		if s.Tool != nil {
			n += len(s.Tool.Args) + len(s.Tool.Result)
		}
	}
	return n
}

// appendWithin appends s as a JSON string of at most limit bytes, quotes included (at
// least 2), cut at its end with an ellipsis.
func appendWithin(b []byte, s string, limit int) []byte {
	start := len(b)
	if len(s) > limit {
		s = headOf(s, limit)
	}
	for {
		b = appendString(b[:start], s)
		if len(b)-start <= limit || s == "" {
			return b
		}
		s = headOf(s, len(s)-max(1, min(len(s), (len(b)-start-limit)/6+1)))
	}
}
