package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// maxHeld is what is gathered in memory, in bytes, unless [SplitOptions] say otherwise;
// more goes to disk.
const maxHeld = 32 << 20

// A gathered is what a file holds in pieces: the parts of each trace, in the order in
// which the traces first appear, or on disk.
type gathered struct {
	gatherings
	spill   *spill  // nil as long as everything is held
	talking bool    // a line was an entry of a conversation
	session string  // of the last line of a session log
	log     string  // the key of that session's trace, or ""
	strays  int     // lines that are no entries of it
	early   []piece // lines of a session whose id has not come yet
}

// maxEarly bounds the lines of a session log that are held until its id is known.
const maxEarly = 1000

// gatherings are traces in pieces, in memory.
type gatherings struct {
	order []*gathering
	byKey map[string]*gathering
	bytes int
}

// A gathering is the parts of one trace.
type gathering struct {
	key      string
	session  string
	lists    map[string][]json.RawMessage // by field of the document: "resourceSpans", "spans", "messages", …
	line     int
	bytes    int
	warnings []string
}

// What is counted for a piece beside its text, and for a trace beside its pieces, in bytes:
// a file of short spans of a trace each is mostly that.
const (
	perPiece = 64
	perTrace = 640
)

// add takes p in and returns the trace that it is of.
func (g *gatherings) add(p piece) *gathering {
	t := g.byKey[p.key]
	if t == nil {
		if g.byKey == nil {
			g.byKey = make(map[string]*gathering)
		}
		t = &gathering{key: p.key, lists: make(map[string][]json.RawMessage), line: p.line}
		g.byKey[p.key] = t
		g.order = append(g.order, t)
		g.bytes += perTrace
	}
	fill(&t.session, p.session)
	if p.list != "" {
		t.lists[p.list] = append(t.lists[p.list], p.element)
	}
	if len(t.warnings) < maxWarnings {
		t.warnings = append(t.warnings, p.warnings...)
	}
	t.bytes += len(p.element)
	g.bytes += len(p.element) + perPiece
	return t
}

// part takes in an element of a list of the trace with that key.
func (s *splitter) part(p piece) {
	if s.opt.Gathered != nil {
		s.opt.Gathered(len(p.element))
	}
	if s.spill != nil {
		s.spilled(s.spill.add(p))
		return
	}
	if s.gatherings.add(p); s.bytes <= s.opt.MaxHeld {
		return
	}
	sp, err := newSpill(s.opt.TempDir, 0)
	if s.spilled(err); err != nil {
		return
	}
	for _, g := range s.order {
		s.spilled(g.to(sp))
	}
	s.spill, s.gatherings = sp, gatherings{}
}

// to puts g into sp.
func (g *gathering) to(sp *spill) error {
	p := piece{key: g.key, session: g.session, line: g.line, warnings: g.warnings}
	for _, list := range sortedKeys(g.lists) {
		for _, e := range g.lists[list] {
			p.list, p.element = list, e
			if err := sp.add(p); err != nil {
				return err
			}
			p.warnings = nil
		}
	}
	return nil
}

// spilled ends the file when its pieces cannot be kept.
func (s *splitter) spilled(err error) {
	if err != nil && !s.done {
		s.fail(0, "its traces come in pieces, which could not be kept until its end: "+err.Error())
		s.done = true
	}
}

// isGathering reports whether pieces of traces wait for the others.
func (s *splitter) isGathering() bool {
	return len(s.order) > 0 || s.spill != nil || len(s.early) > 0
}

// flush emits what was gathered.
func (s *splitter) flush() {
	g := s.gathered
	s.gathered = gathered{}
	for _, p := range g.early { // no session followed
		s.plain(p.element, p.line, p.warnings)
	}
	s.emitAll(g.order)
	if g.spill != nil {
		s.unspill(g.spill)
	}
}

func (s *splitter) emitAll(order []*gathering) {
	for i, g := range order {
		if s.done {
			return
		}
		order[i] = nil
		if s.emitted++; s.emitted <= s.opt.Skip {
			continue
		}
		s.plain(g.payload(), g.line, g.warnings)
	}
}

// unspill emits what is in sp, bucket by bucket, and closes it.
func (s *splitter) unspill(sp *spill) {
	for i := range sp.buckets {
		b := &sp.buckets[i]
		if s.done {
			break
		}
		if b.size > int64(s.opt.MaxHeld) && b.many && sp.depth < maxSpillDepth {
			inner, err := newSpill(s.opt.TempDir, sp.depth+1)
			if err == nil {
				err = sp.each(b, inner.add)
			}
			if s.spilled(err); inner != nil {
				s.unspill(inner)
			}
			continue
		}
		var g gatherings
		s.spilled(sp.each(b, func(p piece) error {
			p.element = bytes.Clone(p.element)
			if t := g.add(p); t.bytes > MaxDocument && !s.done {
				t.warnings = append(t.warnings, fmt.Sprintf("it has more than %d MiB: parts that come later make a document of their own", MaxDocument>>20))
				s.emitAll(g.order)
				g = gatherings{}
			}
			return nil
		}))
		s.emitAll(g.order)
		*b = bucket{}
	}
	s.spilled(sp.close())
}

// The fields of a payload put together from entries.
const (
	messageList  = "messages"
	sessionField = "conversation_id"
)

// payload puts the parts together.
func (g *gathering) payload() []byte {
	b := []byte{'{'}
	if g.session != "" {
		b = append(appendString(b, sessionField), ':')
		b = appendString(b, g.session)
		b = append(b, ',')
	}
	for _, key := range sortedKeys(g.lists) {
		parts := g.lists[key]
		b = appendString(b, key)
		b = append(b, ':', '[')
		for i, p := range parts {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, p...)
		}
		b = append(b, ']', ',')
	}
	b[len(b)-1] = '}'
	return b
}

// gather takes in a document that is a part of a trace: one message, one span, or one
// line of an agent's session log. It reports whether m was one.
func (s *splitter) gather(m map[string]any, raw []byte, line int, warnings []string) bool {
	for _, d := range decoders() {
		if d.line == nil {
			continue
		}
		session, ok := d.line(m, s.session)
		if ok && session == "" {
			if len(s.early) == maxEarly {
				return false
			}
			s.early = append(s.early, piece{list: messageList, line: line, element: raw, warnings: warnings})
			return true
		}
		if ok {
			s.session, s.log = session, "session "+session
			for _, p := range s.early {
				p.key, p.session = s.log, session
				s.part(p)
			}
			s.early = nil
			s.part(piece{key: s.log, list: messageList, session: session, line: line, element: raw, warnings: warnings})
			return true
		}
	}
	for _, d := range decoders() {
		if d.entry != nil && d.entry(m, s.talking) {
			id := traceID(m)
			s.talking = true
			s.part(piece{key: "messages " + id, list: messageList, session: id, line: line, element: raw, warnings: warnings})
			return true
		}
	}
	switch {
	case isSpan(m) && first(m, "spans", "observations", "trace_payload", "input_messages") == nil && !isWhole(m):
		s.part(piece{key: "spans " + spanTrace(m), list: "spans", line: line, element: raw, warnings: warnings})
	default:
		return false
	}
	return true
}

// isWhole reports whether m is a trace, although it looks like a span.
func isWhole(m map[string]any) bool {
	for _, d := range decoders() {
		if d.whole && d.match(m) {
			return true
		}
	}
	return false
}

// stray takes in a line of a session log that is no entry of it. It reports false where
// no log is being read.
func (s *splitter) stray(line int) bool {
	if s.log == "" {
		return false
	}
	if s.strays++; s.strays <= maxWarnings {
		s.part(piece{key: s.log, line: line, warnings: []string{fmt.Sprintf("line %d is no entry of the session log and was skipped", line)}})
	}
	return true
}

// spanTrace returns the trace id of a span in any spelling.
func spanTrace(m map[string]any) string {
	id := firstText(m, "traceId", "trace_id", "traceID")
	if id == "" {
		id = firstText(object(first(m, "context", "span_context", "spanContext")), "trace_id", "traceId")
	}
	if id == "" {
		if inner := object(m["attributes"]); inner != nil {
			id = firstText(inner, "trace_id")
		}
	}
	for _, d := range decoders() {
		if id == "" && d.trace != nil {
			id = d.trace(m)
		}
	}
	return normalID(id, 16)
}

// takeApart takes in the parts of traces that m holds, if it is a document of such parts:
// those of one trace may go on in others.
func (s *splitter) takeApart(m map[string]any, line int, warnings []string) bool {
	for _, d := range decoders() {
		if d.parts == nil {
			continue
		}
		parts, skipped := d.parts(m)
		if parts == nil {
			continue
		}
		if skipped > 0 {
			warnings = append(slices.Clip(warnings), strayItems(skipped))
		}
		for _, p := range parts {
			s.part(piece{key: d.format + " " + p.trace, list: p.list, line: line, element: []byte(canonical(p.item)), warnings: warnings})
			warnings = nil // once is enough
		}
		return true
	}
	return false
}

// notObjects counts the elements of l that are no objects.
func notObjects(l []any) int {
	n := 0
	for _, e := range l {
		if object(e) == nil {
			n++
		}
	}
	return n
}

// strayItems is the warning of n items of a list that could not be read.
func strayItems(n int) string {
	if n == 1 {
		return "1 item of a list is no part of a trace and was skipped"
	}
	return fmt.Sprintf("%d items of lists are no parts of a trace and were skipped", n)
}

// splitSpans takes a list of spans apart that belong to several traces. It reports
// false, having done nothing, when they belong to one.
func (s *splitter) splitSpans(m map[string]any, line int, warnings []string) bool {
	for _, key := range spanListKeys {
		l := list(m[key])
		if objects, _ := spanObjects(l, ""); objects == nil {
			continue
		}
		traces := make(map[string]bool)
		for _, e := range l {
			if o := object(e); o != nil {
				traces[spanTrace(o)] = true
			}
		}
		if len(traces) < 2 && !isPage(m, key, traces) {
			return false
		}
		if n := notObjects(l); n > 0 {
			warnings = append(slices.Clip(warnings), strayItems(n))
		}
		for _, e := range l {
			if o := object(e); o != nil {
				s.part(piece{key: "spans " + spanTrace(o), list: "spans", line: line, element: []byte(canonical(o)), warnings: warnings})
				warnings = nil // once is enough
			}
		}
		return true
	}
	return false
}

// isPage reports whether m, which holds spans of one trace under key, is a page of an
// export, so that further spans of that trace may stand in the next one: it says nothing
// beside its list but where that is, and the spans name their trace.
func isPage(m map[string]any, key string, traces map[string]bool) bool {
	if key == "spans" || traces[""] {
		return false // "spans" is how a whole trace is written
	}
	for k := range m {
		switch k {
		case key, "meta", "links", "cursors", "cursor", "next_cursor", "nextCursor", "next", "next_page", "page", "pagination", "total", "limit", "object":
		default:
			return false
		}
	}
	return true
}

// gatherOTLP takes in one export: its spans and log records go to their traces.
func (s *splitter) gatherOTLP(m map[string]any, line int, warnings []string) {
	parts := 0
	for _, signal := range otlpSignals {
		resources, _ := listUnder(m, signal.resources...)
		for _, r := range resources {
			r := object(r)
			bad := 0
			eachItem([]any{r}, signal, func(item any) {
				if object(item) == nil {
					bad++
				}
			})
			notes := warnings
			if bad > 0 {
				notes = append(slices.Clip(warnings), fmt.Sprintf("%d items of %s are no objects and were skipped", bad, signal.resources[0]))
			}
			for _, id := range tracesIn(r, signal) {
				parts++
				s.part(piece{key: "otlp " + id, list: signal.resources[0], line: line, element: []byte(canonical(restrict(r, signal, id))), warnings: notes})
			}
		}
	}
	if parts == 0 {
		s.fail(line, "is an OTLP export without a span or log record")
	}
}

// An otlpSignal names the levels of an export of spans or of log records.
type otlpSignal struct{ resources, scopes, items []string }

var otlpSignals = [...]otlpSignal{
	{
		[]string{"resourceSpans", "resource_spans", "batches"},
		[]string{"scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans"},
		[]string{"spans"},
	},
	{
		[]string{"resourceLogs", "resource_logs"},
		[]string{"scopeLogs", "scope_logs", "instrumentationLibraryLogs"},
		[]string{"logRecords", "log_records"},
	},
}

// tracesIn returns the trace ids in a resource's spans or records, in order.
func tracesIn(resource map[string]any, signal otlpSignal) []string {
	var ids []string
	seen := make(map[string]bool)
	scopes, _ := listUnder(resource, signal.scopes...)
	for _, sc := range scopes {
		items, _ := listUnder(object(sc), signal.items...)
		for _, it := range items {
			if o := object(it); o != nil {
				if id := spanTrace(o); !seen[id] {
					seen[id] = true
					ids = append(ids, id)
				}
			}
		}
	}
	return ids
}

// restrict returns resource with only the items of one trace.
func restrict(resource map[string]any, signal otlpSignal, id string) map[string]any {
	scopes, scopeKey := listUnder(resource, signal.scopes...)
	var kept []any
	for _, sc := range scopes {
		sc := object(sc)
		items, itemKey := listUnder(sc, signal.items...)
		var mine []any
		for _, it := range items {
			if o := object(it); o != nil && spanTrace(o) == id {
				mine = append(mine, o)
			}
		}
		if mine != nil {
			kept = append(kept, with(sc, itemKey, mine))
		}
	}
	return with(resource, scopeKey, kept)
}

// with returns a copy of m in which key has the value v.
func with(m map[string]any, key string, v any) map[string]any {
	out := make(map[string]any, len(m)+1)
	for k, e := range m {
		out[k] = e
	}
	out[key] = v
	return out
}
