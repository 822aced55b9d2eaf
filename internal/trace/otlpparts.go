package trace

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// An OTLPPart is what one OTLP export request holds of one trace.
type OTLPPart struct {
	TraceID string // lower-case hex
	// Logs tells log records from spans.
	Logs bool
	// Resources are elements of resourceSpans or resourceLogs with only this trace's items.
	Resources []json.RawMessage
	Items     int // spans or log records
	// Root is set when the part has a span without parent: SDKs export a span when it has
	// ended, so the trace is complete but for what is still on its way.
	Root bool
	// Failed is set when a span has the status error.
	Failed bool
	Start  time.Time // of the earliest span, zero for logs
}

// Size returns the part's size in bytes.
func (p *OTLPPart) Size() int {
	n := len(p.TraceID)
	for _, r := range p.Resources {
		n += len(r)
	}
	return n
}

// JoinOTLP returns the payload that holds the given elements of resourceSpans and
// resourceLogs.
func JoinOTLP(spans, logs []json.RawMessage) json.RawMessage {
	g := gathering{lists: map[string][]json.RawMessage{}}
	if len(spans) > 0 {
		g.lists[otlpSignals[0].resources[0]] = spans
	}
	if len(logs) > 0 {
		g.lists[otlpSignals[1].resources[0]] = logs
	}
	if len(g.lists) == 0 {
		return json.RawMessage("{}")
	}
	return g.payload()
}

// OTLPJSON takes the body of an OTLP/HTTP request in JSON apart, one part per trace, in
// the order in which they appear. Items without a trace id are left out; skipped counts
// them, and those that are no objects. An empty request has no parts, and one in which
// nothing else is right is an error.
func OTLPJSON(body []byte, logs bool) (parts []OTLPPart, skipped int, err error) {
	v, err := parseJSON(body)
	if err != nil {
		return nil, 0, fmt.Errorf("OTLP request: %w", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, 0, errors.New("OTLP request: the body must be a JSON object")
	}
	signal := otlpSignals[0]
	if logs {
		signal = otlpSignals[1]
	}
	value := first(m, signal.resources...)
	resources := list(value)
	if value != nil && resources == nil {
		return nil, 0, fmt.Errorf("OTLP request: %s must be an array", signal.resources[0])
	}
	c := partCollector{logs: logs, byID: make(map[string]int)}
	first := "" // item that is no object
	for i, r := range resources {
		r, ok := r.(map[string]any)
		if !ok {
			return nil, 0, fmt.Errorf("OTLP request: %s[%d] must be an object", signal.resources[0], i)
		}
		bad, err := malformed(r, signal, fmt.Sprintf("%s[%d]", signal.resources[0], i))
		if err != nil {
			return nil, 0, err
		}
		if bad.n > 0 {
			skipped += bad.n
			first = cmp.Or(first, bad.at)
		}
		for _, id := range tracesIn(r, signal) {
			mine := restrict(r, signal, id)
			if !isTraceID(id) {
				eachItem([]any{mine}, signal, func(any) { skipped++ })
				continue
			}
			p := c.part(id)
			p.Resources = append(p.Resources, json.RawMessage(canonical(mine)))
			eachItem([]any{mine}, signal, func(item any) { p.addItem(object(item)) })
		}
	}
	if first != "" && len(c.parts) == 0 {
		return nil, 0, fmt.Errorf("OTLP request: %s must be an object", first)
	}
	return c.parts, skipped, nil
}

// A misfit counts the items of a resource that are no objects.
type misfit struct {
	n  int
	at string // the first
}

// malformed looks for what is no list of scopes or items, which is an error, and for items
// that are none.
func malformed(resource map[string]any, signal otlpSignal, at string) (misfit, error) {
	var bad misfit
	scopes, at, err := listAt(resource, at, signal.scopes)
	if err != nil {
		return bad, err
	}
	for i, sc := range scopes {
		at := fmt.Sprintf("%s[%d]", at, i)
		scope, ok := sc.(map[string]any)
		if !ok {
			return bad, fmt.Errorf("OTLP request: %s must be an object", at)
		}
		items, at, err := listAt(scope, at, signal.items)
		if err != nil {
			return bad, err
		}
		for i, item := range items {
			if _, ok := item.(map[string]any); !ok {
				if bad.n++; bad.n == 1 {
					bad.at = fmt.Sprintf("%s[%d]", at, i)
				}
			}
		}
	}
	return bad, nil
}

// listAt returns the list that m has under one of the keys, and where it is.
func listAt(m map[string]any, at string, keys []string) ([]any, string, error) {
	for _, k := range keys {
		if v := m[k]; v != nil {
			l, ok := v.([]any)
			if !ok {
				return nil, "", fmt.Errorf("OTLP request: %s.%s must be an array", at, k)
			}
			return l, at + "." + k, nil
		}
	}
	return nil, at, nil
}

// addItem notes what matters of a span.
func (p *OTLPPart) addItem(m map[string]any) {
	p.Items++
	if p.Logs {
		return
	}
	parent := normalID(firstText(m, "parentSpanId", "parent_span_id"), 8)
	status := object(m["status"])
	p.note(parent == "" || parent == noSpan, statusOf(status["code"]) == Error, instant(first(m, "startTimeUnixNano", "start_time_unix_nano")))
}

// noSpan is how some emitters write that there is no parent.
const noSpan = "0000000000000000"

func (p *OTLPPart) note(root, failed bool, start time.Time) {
	p.Root = p.Root || root
	p.Failed = p.Failed || failed
	if !start.IsZero() && (p.Start.IsZero() || start.Before(p.Start)) {
		p.Start = start
	}
}

// isTraceID reports whether id is 16 bytes in hex that are not all zero.
func isTraceID(id string) bool {
	if len(id) != 32 {
		return false
	}
	zero := true
	for i := range len(id) {
		switch c := id[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
			zero = zero && c == '0'
		default:
			return false
		}
	}
	return !zero
}

// A partCollector keeps the parts of one request by trace.
type partCollector struct {
	logs  bool
	parts []OTLPPart
	byID  map[string]int
}

// part returns the part of trace id; it is valid until the next call.
func (c *partCollector) part(id string) *OTLPPart {
	i, ok := c.byID[id]
	if !ok {
		i = len(c.parts)
		c.byID[id] = i
		c.parts = append(c.parts, OTLPPart{TraceID: id, Logs: c.logs})
	}
	return &c.parts[i]
}
