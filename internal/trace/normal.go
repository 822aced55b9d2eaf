package trace

import (
	"encoding/json"
	"maps"
	"slices"
)

// FormatNormal is the format of what [Normal] writes. A trace that was decoded from it
// names in [Trace.Format] the format that it had before.
const FormatNormal = "evalforge/normal"

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
	"Cut": "cut", "Bytes": "bytes", "Entries": "entries",
}

// normalMark is the field by which the normal form is recognised; it has its version.
const (
	normalMark = "evalforge_trace"
	// Version 1 has lists of positions instead of ranges, and no folds.
	normalVersion = 2
)

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
	version, _ := integer(m[normalMark])
	delete(m, normalMark)
	if version > 1 {
		var whole bool
		if m, whole = unfold(m); !whole {
			b.warn("the normal form of a trace stands for more than can be read; the rest of it is left out")
		}
	}
	refs := references{left: maxReferences, ranges: version > 1}
	steps, _ := m["steps"].([]any)
	positions := make([]stepPositions, len(steps))
	bare := make([]any, len(steps))
	for i, s := range steps {
		bare[i], positions[i] = refs.take(s)
	}
	m["steps"] = bare
	if refs.left < 0 {
		b.warn("steps refer to more messages than can be read")
	}
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
		if i < len(positions) {
			s.In, s.Out, s.Declared = positions[i].in, positions[i].out, positions[i].declared
		}
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
	t.Cut = Cut{max(0, t.Cut.Bytes), max(0, t.Cut.Steps), max(0, t.Cut.Entries)}
	t.Warnings = append(t.Warnings, b.t.Warnings...)
	if w := t.Cut.String(); w != "" {
		t.Warnings = append(t.Warnings, w)
	}
	*b.t = t
}

// maxReferences bounds the positions of messages and tools that the steps of a document
// name all together: what outside input can make of a few ranges.
const maxReferences = 1 << 22

// references reads positions.
type references struct {
	left   int // that may still be read
	ranges bool
}

type stepPositions struct{ in, out, declared []int }

// take returns step s without its positions, and those.
func (r *references) take(s any) (any, stepPositions) {
	m, ok := s.(map[string]any)
	if !ok {
		return s, stepPositions{}
	}
	at := stepPositions{r.positions(m["in"]), r.positions(m["out"]), r.positions(m["declared"])}
	m = maps.Clone(m)
	delete(m, "in")
	delete(m, "out")
	delete(m, "declared")
	return m, at
}

func (r *references) positions(v any) []int {
	l, _ := v.([]any)
	var out []int
	put := func(from, to int64) {
		for n := from; n <= to && r.left >= 0; n++ {
			if r.left--; r.left >= 0 {
				out = append(out, int(n))
			}
		}
	}
	if !r.ranges {
		for _, e := range l {
			if n, ok := integer(e); ok {
				put(n, n)
			}
		}
		return out
	}
	for ; len(l) >= 2; l = l[2:] {
		from, ok := integer(l[0])
		to, ok2 := integer(l[1])
		if ok && ok2 {
			put(from, to)
		}
	}
	return out
}
