package trace

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// buildSpans turns spans into the steps of b's trace: in pre-order of their tree,
// siblings by start time. Spans whose parent is not there are roots.
func buildSpans(b *builder, spans []*span) {
	b.warnAttributes(spans)
	spans = mergeDuplicates(spans)
	b.memo.spans = spans
	readings := sized(b.memo.w.spans, len(spans))
	b.memo.w.spans = readings
	formats := make(map[string]int)
	for i, sp := range spans {
		sp.pos, sp.memo = i, b.memo
		r, format := interpret(sp)
		readings[i] = r
		if format != "" {
			formats[format]++
		}
	}
	order, parents, depths := preorder(spans, readings)
	t := b.t
	t.Steps = make([]Step, len(order))
	for n, i := range order {
		s := &t.Steps[n]
		*s = stepFrom(b, spans[i], &readings[i])
		s.Index, s.Depth = n, depths[n]
		readSpanVerdicts(b, spans[i], s)
		readTraceFields(t, spans[i])
	}
	b.memo.excuse(t)
	b.warnUnclean()
	settleErrors(t.Steps, parents)
	recoverOutputs(t)
	if t.Format == FormatOTLP {
		t.Format = dominant(formats, t.Format)
	}
}

// warnAttributes says how many attributes and events of spans could not be read.
func (b *builder) warnAttributes(spans []*span) {
	bad := 0
	for _, sp := range spans {
		bad += sp.bad
	}
	if bad > 0 {
		b.warn("attributes or events of spans without a key or a value: %d were skipped", bad)
	}
}

// warnItems says how many items of lists are no parts of the trace.
func (b *builder) warnItems(n int) {
	if n > 0 {
		b.warn("%s", strayItems(n))
	}
}

// dominant returns the most frequent format, or def when there is none. GenAI yields to
// any other, whose emitters set its attributes too.
func dominant(formats map[string]int, def string) string {
	best := ""
	for _, f := range slices.Sorted(maps.Keys(formats)) {
		if best == FormatGenAI || f != FormatGenAI && formats[f] > formats[best] || best == "" {
			best = f
		}
	}
	if best == "" {
		return def
	}
	return best
}

// mergeDuplicates joins spans of the same id: emitters that stream send a span twice,
// and log records make a span of their own.
func mergeDuplicates(spans []*span) []*span {
	byID := make(map[string]*span, len(spans))
	out := spans[:0:0]
	for _, sp := range spans {
		old := byID[sp.id]
		if sp.id == "" || old == nil {
			byID[sp.id] = sp
			out = append(out, sp)
			continue
		}
		for k, v := range sp.attrs {
			old.attrs[k] = v
		}
		if !sameEvents(old.events, sp.events) {
			old.events, old.logs = append(old.events, sp.events...), append(old.logs, sp.logs...)
		}
		fill(&old.name, sp.name)
		fill(&old.parent, sp.parent)
		fill(&old.statusText, sp.statusText)
		if sp.status != Unset {
			old.status = sp.status
		}
		if old.start.IsZero() {
			old.start = sp.start
		}
		if sp.end.After(old.end) {
			old.end, old.dur = sp.end, sp.dur
		}
		for _, p := range [...]struct{ dst, src *any }{{&old.input, &sp.input}, {&old.output, &sp.output}, {&old.err, &sp.err}} {
			if *p.src != nil {
				*p.dst = *p.src
			}
		}
	}
	return out
}

// sameEvents reports whether b, which came with the same span, is a again.
func sameEvents(a, b []event) bool {
	return slices.EqualFunc(a, b, func(a, b event) bool {
		return a.name == b.name && a.at.Equal(b.at) && canonical(a.body) == canonical(b.body) && canonical(a.attrs) == canonical(b.attrs)
	})
}

// preorder returns the spans' positions in execution order, with each one's parent (as
// a position in that order, or -1) and depth.
func preorder(spans []*span, readings []reading) (order, parents, depths []int) {
	byID := make(map[string]int, len(spans))
	for i, sp := range spans {
		if sp.id != "" {
			byID[sp.id] = i
		}
	}
	sorted := inTime(spans, readings)
	children := make(map[int][]int)
	var roots []int
	for _, i := range sorted {
		if p, ok := byID[spans[i].parent]; ok && spans[i].parent != "" && p != i {
			children[p] = append(children[p], i)
		} else {
			roots = append(roots, i)
		}
	}
	type visit struct{ span, parent, depth int }
	seen := make([]bool, len(spans))
	walk := func(root int) {
		stack := []visit{{root, -1, 0}}
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[v.span] {
				continue
			}
			seen[v.span] = true
			n := len(order)
			order, parents, depths = append(order, v.span), append(parents, v.parent), append(depths, v.depth)
			for _, c := range slices.Backward(children[v.span]) {
				stack = append(stack, visit{c, n, v.depth + 1})
			}
		}
	}
	for _, r := range roots {
		walk(r)
	}
	for _, i := range sorted { // members of a cycle, which no root reaches
		if !seen[i] {
			walk(i)
		}
	}
	return order, parents, depths
}

// inTime returns the spans' positions by their own order, else by their start. Of those that
// start together, which clocks of a millisecond make many, the first to end comes first, and
// a model before a tool; where not all have an end they stay in the order of the source.
func inTime(spans []*span, readings []reading) []int {
	sorted := make([]int, len(spans))
	for i := range sorted {
		sorted[i] = i
	}
	byStart := func(i, j int) int {
		a, b := spans[i], spans[j]
		if a.order != "" && b.order != "" {
			return cmp.Compare(a.order, b.order)
		}
		return a.start.Compare(b.start)
	}
	slices.SortStableFunc(sorted, byStart)
	for rest := sorted; len(rest) > 0; {
		n := 1
		for n < len(rest) && byStart(rest[0], rest[n]) == 0 {
			n++
		}
		if tied := rest[:n]; n > 1 && !slices.ContainsFunc(tied, func(i int) bool { return spans[i].end.IsZero() }) {
			slices.SortStableFunc(tied, func(i, j int) int {
				return cmp.Or(spans[i].end.Compare(spans[j].end), cmp.Compare(rank(readings[i].kind), rank(readings[j].kind)))
			})
		}
		rest = rest[n:]
	}
	return sorted
}

// rank orders spans whose clocks tie: a model asks before the tool runs.
func rank(k Kind) int {
	switch k {
	case KindLLM:
		return 0
	case KindTool:
		return 2
	}
	return 1
}

func stepFrom(b *builder, sp *span, r *reading) Step {
	s := Step{
		ID: sp.id, Parent: sp.parent, Kind: r.kind, Name: sp.name, Agent: r.agent, Model: r.model,
		Status: sp.status, Err: failureOf(sp), Start: sp.start, Dur: sp.dur, Tokens: r.tokens,
		In: b.pool(r.in), Out: b.pool(r.out), Tool: r.tool, Finish: r.finish, Declared: b.declare(r.tools),
		Input: r.input, Output: r.output, Attrs: allowedAttrs(sp.attrs, nil), Source: sp.source,
	}
	if s.Name == "" {
		s.Name = string(r.kind)
	}
	if s.Tool != nil && s.Tool.IsErr && s.Status == Unset && s.Kind == KindTool {
		s.Status = Error
	}
	if s.Status != Error && s.Err == nil {
		delete(s.Attrs, "server.address") // says something where something failed
	}
	for _, e := range sp.events {
		if d := eventDetail(e); d != "" && len(s.Attrs) < maxAttrs {
			if s.Attrs == nil {
				s.Attrs = make(map[string]string)
			}
			s.Attrs["event."+e.name] = d
		}
	}
	addLogs(&s, sp)
	return s
}

// eventDetail returns what an event that is neither a message nor an exception says.
func eventDetail(e event) string {
	if e.name == "" || e.name == "exception" || strings.HasPrefix(e.name, "gen_ai.") || len(e.attrs) == 0 {
		return ""
	}
	var parts []string
	for _, k := range sortedKeys(e.attrs) {
		if v := scalar(e.attrs[k]); v != "" && len(v) <= maxAttr {
			parts = append(parts, k+"="+v)
		}
	}
	return strings.Join(parts, " ")
}

// Bounds on what is kept of a step's other attributes.
const (
	maxAttrs = 16
	maxAttr  = 500 // bytes
)

// attrPrefixes are the attributes that say something about a failure, beyond what the
// model of a step has fields for.
var attrPrefixes = [...]string{
	"http.status_code", "http.response.status_code", "error.", "error_type", "retry", "run.status", "plan.", "agent.role", "agent.state",
	"peer.service", "server.address", "tool.output.", "guardrail", "task.", "response_format", "gen_ai.output.type",
	"eval_flags", "monitor_tags", "retry_count", "tags", "finish", "content_filter", "db.", "url.full", "langgraph_node", "provider", "stop",
}

// attrsFrom has the prefixes by their first byte.
var attrsFrom = func() (from [256][]string) {
	for _, p := range attrPrefixes {
		from[p[0]] = append(from[p[0]], p)
	}
	return from
}()

// allowedAttr reports whether the attribute k is on the list.
func allowedAttr(k string) bool {
	if k == "" {
		return false
	}
	for _, p := range attrsFrom[k[0]] {
		if strings.HasPrefix(k, p) {
			return k != "error.message" && k != "error.type" && k != "task.input" && k != "error.stack"
		}
	}
	return false
}

// allowedAttrs returns the attributes of m that are on the list, added to attrs.
func allowedAttrs(m map[string]any, attrs map[string]string) map[string]string {
	var few [maxAttrs]string
	keys := few[:0]
	for k := range m {
		if allowedAttr(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if len(attrs) >= maxAttrs {
			break
		}
		if _, ok := m[k].(map[string]any); ok {
			continue
		}
		if v := text(m[k]); v != "" && v != "[]" && len(v) <= maxAttr {
			if attrs == nil {
				attrs = make(map[string]string)
			}
			attrs[k] = v
		}
	}
	return attrs
}

// readTraceFields reads what a span says about its whole trace.
func readTraceFields(t *Trace, sp *span) {
	fill(&t.ID, sp.trace)
	fill(&t.Service, sp.service)
	fill(&t.Session, sp.getText(sessionKeys[:]...))
	t.Dropped += sp.dropped
	if !sp.start.IsZero() && (t.Start.IsZero() || sp.start.Before(t.Start)) {
		t.Start = sp.start
	}
}

// recoverOutputs finds the output of model calls whose attributes were dropped in the
// input of the next call: the first message that follows what the call was given.
func recoverOutputs(t *Trace) {
	if t.Dropped == 0 {
		return
	}
	last := -1
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Kind != KindLLM || len(s.In) == 0 {
			continue
		}
		if last >= 0 {
			prev := &t.Steps[last]
			n := len(prev.In)
			if prev.Out == nil && prev.Status != Error && len(s.In) > n && slices.Equal(s.In[:n], prev.In) && t.Messages[s.In[n]].Role == "assistant" {
				prev.Out = []int{s.In[n]}
			}
		}
		last = i
	}
}
