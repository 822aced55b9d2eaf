package trace

import (
	"encoding/json"
	"fmt"
)

// A gathered is what a file holds in pieces: the parts of each trace, in the order in
// which the traces first appear.
type gathered struct {
	order   []*gathering
	byKey   map[string]*gathering
	bytes   int
	session string     // of the last line of a session log
	log     *gathering // that session's
}

// A gathering is the parts of one trace.
type gathering struct {
	session  string
	lists    map[string][]json.RawMessage // "resourceSpans", "resourceLogs", "spans", "messages"
	line     int
	warnings []string
}

// part adds an element to a list of the trace with that key.
func (s *splitter) part(key, listKey string, element []byte, line int, warnings []string) *gathering {
	g := s.byKey[key]
	if g == nil {
		if s.byKey == nil {
			s.byKey = make(map[string]*gathering)
		}
		g = &gathering{lists: make(map[string][]json.RawMessage), line: line}
		s.byKey[key] = g
		s.order = append(s.order, g)
	}
	g.lists[listKey] = append(g.lists[listKey], element)
	if len(g.warnings) < maxWarnings {
		g.warnings = append(g.warnings, warnings...)
	}
	s.bytes += len(element)
	return g
}

// flush emits what was gathered; why, if not "", becomes a warning.
func (s *splitter) flush(why string) {
	for _, g := range s.order {
		if s.done {
			break
		}
		if why != "" {
			g.warnings = append(g.warnings, why)
		}
		s.plain(g.payload(), g.line, g.warnings)
	}
	s.gathered = gathered{}
}

// payload puts the parts together.
func (g *gathering) payload() []byte {
	b := []byte{'{'}
	if g.session != "" {
		b = append(b, `"conversation_id":`...)
		b = appendString(b, g.session)
		b = append(b, ',')
	}
	for _, key := range [...]string{"resourceSpans", "resourceLogs", "spans", "messages"} {
		parts := g.lists[key]
		if parts == nil {
			continue
		}
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

// gatherFull flushes when more is held than fits.
func (s *splitter) gatherFull() {
	if s.bytes > MaxDocument {
		s.flush(fmt.Sprintf("the file holds more than %d MiB of spans: parts of this trace that come later make a document of their own", MaxDocument>>20))
	}
}

// gather takes in a document that is a part of a trace: one message, one span, or one
// line of an agent's session log. It reports whether m was one.
func (s *splitter) gather(m map[string]any, raw []byte, line int, warnings []string) bool {
	for _, d := range decoders() {
		if d.line == nil {
			continue
		}
		if session, ok := d.line(m, s.session); ok {
			s.session = session
			s.log = s.part("session "+session, "messages", raw, line, warnings)
			s.log.session = session
			s.gatherFull()
			return true
		}
	}
	_, role := m["role"].(string)
	switch {
	case role && (m["content"] != nil || m["tool_calls"] != nil || m["parts"] != nil) && m["messages"] == nil && m["history"] == nil:
		s.part("messages", "messages", raw, line, warnings)
	case isSpan(m) && first(m, "spans", "observations", "trace_payload", "input_messages") == nil && !isDatadogSpan(m):
		s.part("spans "+spanTrace(m), "spans", raw, line, warnings)
	default:
		return false
	}
	s.gatherFull()
	return true
}

// stray takes in a line of a session log that is no entry of it. It reports false where
// no log is being read.
func (s *splitter) stray(line int) bool {
	if s.log == nil {
		return false
	}
	if len(s.log.warnings) < maxWarnings {
		s.log.warnings = append(s.log.warnings, fmt.Sprintf("line %d is no entry of the session log and was skipped", line))
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
	return normalID(id, 16)
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
		if len(traces) < 2 {
			return false
		}
		for _, e := range l {
			if o := object(e); o != nil {
				s.part("spans "+spanTrace(o), "spans", []byte(canonical(o)), line, warnings)
			}
		}
		s.gatherFull()
		return true
	}
	return false
}

// gatherOTLP takes in one export: its spans and log records go to their traces.
func (s *splitter) gatherOTLP(m map[string]any, line int, warnings []string) {
	parts := 0
	for _, signal := range otlpSignals {
		resources, _ := listUnder(m, signal.resources...)
		for _, r := range resources {
			r := object(r)
			for _, id := range tracesIn(r, signal) {
				parts++
				s.part("otlp "+id, signal.resources[0], []byte(canonical(restrict(r, signal, id))), line, warnings)
			}
		}
	}
	if parts == 0 {
		s.fail(line, "is an OTLP export without a span or log record")
		return
	}
	s.gatherFull()
}

// An otlpSignal names the levels of an export of spans or of log records.
type otlpSignal struct{ resources, scopes, items []string }

var otlpSignals = [...]otlpSignal{
	{
		[]string{"resourceSpans", "resource_spans"},
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
