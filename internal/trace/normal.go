package trace

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// FormatNormal is the format of what [Normal] writes. A trace that was decoded from it
// names in [Trace.Format] the format that it had before.
const FormatNormal = "evalforge/normal"

// MaxStored is how long a payload may be to be stored as it is, in bytes: Firestore's
// documents hold at most 1 MiB, of which this leaves some to the fields around it.
const MaxStored = 960 << 10

// normalKeys are the names of fields in the normal form, where they are not the Go
// names in lower case: names that say what the values are, for whoever reads the
// document by its keys, such as a redactor.
var normalKeys = map[string]string{
	"ID": "id", "Parent": "parent_id", "CallID": "call_id", "ToolID": "tool_call_id", "StepID": "span_id", "Index": "index",
	"Steps": "steps", "Messages": "messages", "Tools": "tools", "Labels": "labels", "Warnings": "warnings",
	"Format": "format", "Service": "service", "Session": "session_id", "Start": "start_time", "Dropped": "dropped_attributes",
	"Depth": "depth", "Kind": "kind", "Name": "name", "Agent": "agent", "Model": "model", "Status": "status", "Err": "error",
	"Dur": "duration_ns", "Tokens": "usage", "In": "in", "Out": "out", "Cached": "cached", "Tool": "tool", "Finish": "finish_reason",
	"Declared": "declared", "Input": "input", "Output": "output", "Attrs": "attributes", "Source": "source",
	"Type": "type", "Code": "code", "Message": "message", "Stack": "stack", "HTTP": "http_status",
	"Args": "arguments", "Result": "result", "HasResult": "has_result", "IsErr": "is_error", "ArgsErr": "arguments_error",
	"Role": "role", "Text": "text", "Calls": "calls", "Refusal": "refusal", "Description": "description", "Schema": "schema",
	"Value": "value", "Score": "score", "Explanation": "explanation",
}

// normalMark is the field by which the normal form is recognised; it has its version.
const (
	normalMark    = "evalforge_trace"
	normalVersion = 1
)

// Normal returns t as a JSON object of at most limit bytes that [Decode] turns into t
// again: everything that was understood of it, each message once. Only where that is
// longer are texts cut in their middle, errors less than others, and then steps left out
// between the errors and the ends. It fails when even that does not fit, which takes a
// trace of thousands of errors or a limit under [MinBudget]. The same t always gives the
// same bytes.
func Normal(t *Trace, limit int) (json.RawMessage, error) {
	var w normalWriter
	w.write(t)
	if len(w.buf) <= limit || w.err != nil {
		return w.buf, w.err
	}
	p := newPlan(t)
	defer p.release()
	w.weight = p.weight
	fits := func(t *Trace, cap int) bool {
		w.cap = cap
		w.write(t)
		return len(w.buf) <= limit
	}
	// cut writes t with the longest texts that fit.
	cut := func(t *Trace) bool {
		if !fits(t, minCap) {
			return false
		}
		n := largest(minCap, max(minCap, min(p.longestText, limit)), func(n int) bool { return fits(t, n) })
		return fits(t, n)
	}
	if cut(t) {
		return w.buf, nil
	}
	order, decisive := p.priorities()
	n := largest(decisive, len(order), func(n int) bool { return fits(t.keepSteps(order[:n]), minCap) })
	if cut(t.keepSteps(order[:n])) {
		return w.buf, nil
	}
	return nil, fmt.Errorf("the trace does not fit into %d bytes, whatever is cut", limit)
}

// keepSteps returns t with only the steps of the given ranks and what they refer to.
func (t *Trace) keepSteps(ranks []stepRank) *Trace {
	kept := make([]int, len(ranks))
	for i, r := range ranks {
		kept[i] = r.step()
	}
	slices.Sort(kept)
	out := *t
	out.Steps = make([]Step, len(kept))
	out.Messages = nil
	moved := make(map[int]int)
	move := func(ms []int) []int {
		var to []int
		for _, m := range ms {
			if t.message(m) == nil {
				continue
			}
			if _, ok := moved[m]; !ok {
				moved[m] = len(out.Messages)
				out.Messages = append(out.Messages, t.Messages[m])
			}
			to = append(to, moved[m])
		}
		return to
	}
	for i, p := range kept {
		s := t.Steps[p]
		s.In, s.Out = move(s.In), move(s.Out)
		out.Steps[i] = s
	}
	out.Warnings = append(slices.Clip(t.Warnings), fmt.Sprintf("%d steps were left out to fit the store", len(t.Steps)-len(kept)))
	return &out
}

// zeroTime is the zero time in JSON.
const zeroTime = "0001-01-01T00:00:00Z"

// renamed returns v with the keys of objects replaced and fields that say nothing left
// out. The keys of attributes are the emitter's and stay.
func renamed(v any, keys map[string]string) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = renamed(e, keys)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			to := keys[k]
			if to == "" {
				to = k
			}
			if k == "Attrs" || to == "Attrs" {
				if m, ok := e.(map[string]any); ok && len(m) > 0 {
					out[to] = m
				}
				continue
			}
			switch e := renamed(e, keys).(type) {
			case nil:
			case bool:
				if e {
					out[to] = e
				}
			case string:
				if e != "" && e != zeroTime {
					out[to] = e
				}
			case json.Number:
				if e != "0" || k == "Score" || to == "Score" {
					out[to] = e
				}
			case []any:
				if len(e) > 0 {
					out[to] = e
				}
			default:
				out[to] = e
			}
		}
		return out
	}
	return v
}

func isNormal(doc any) bool {
	m, _ := doc.(map[string]any)
	return m[normalMark] != nil && list(m["steps"]) != nil
}

func decodeNormal(b *builder, doc any) {
	m := maps.Clone(doc.(map[string]any))
	delete(m, normalMark)
	back := make(map[string]string, len(normalKeys))
	for k, v := range normalKeys {
		back[v] = k
	}
	var t Trace
	if err := json.Unmarshal([]byte(canonical(renamed(m, back))), &t); err != nil {
		b.warn("the normal form of a trace could not be read to its end")
	}
	within := func(ps []int, n int) []int {
		return slices.DeleteFunc(ps, func(p int) bool { return p < 0 || p >= n })
	}
	last := -1
	for i := range t.Steps {
		s := &t.Steps[i]
		s.In, s.Out, s.Declared = within(s.In, len(t.Messages)), within(s.Out, len(t.Messages)), within(s.Declared, len(t.Tools))
		if s.Index <= last {
			s.Index = last + 1
		}
		last = s.Index
		s.Depth = max(0, s.Depth)
		if s.Kind == "" {
			s.Kind = KindOpaque
		}
	}
	if t.Format == "" {
		t.Format = FormatNormal
	}
	t.Warnings = append(t.Warnings, b.t.Warnings...)
	*b.t = t
}
