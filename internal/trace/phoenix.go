package trace

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Phoenix span dumps: OpenInference spans as Phoenix's client and its data frames write
// them, with context{trace_id, span_id} and nested or dotted attributes:
// https://arize.com/docs/phoenix/sdk-api-reference

func isPhoenix(doc any) bool {
	spans, _, _ := phoenixSpans(doc)
	return spans != nil
}

func isPhoenixSpan(m map[string]any) bool {
	if scalar(m["context.span_id"]) != "" { // a row of a data frame
		return first(m, "span_kind", "attributes.openinference.span.kind", "parent_id", "status_code") != nil
	}
	ctx := object(m["context"])
	if ctx == nil || first(ctx, "span_id") == nil {
		return false
	}
	if _, ok := m["status"].(map[string]any); ok { // the console exporters of OTel SDKs
		return false
	}
	_, parent := m["parent_id"]
	return parent && (m["span_kind"] != nil || m["status_code"] != nil || m["attributes"] != nil)
}

// phoenixSpans returns the spans in doc, with their JSON pointers, or nil. Strays counts
// what else stands in their list.
func phoenixSpans(doc any) (spans []map[string]any, sources []string, strays int) {
	take := func(l []any, base string) {
		for i, e := range l {
			if m := object(e); m != nil && isPhoenixSpan(m) {
				spans, sources = append(spans, m), append(sources, pointer(base, i))
			}
		}
		if len(spans)*2 < len(l) {
			spans, sources = nil, nil
		}
		strays = len(l) - len(spans)
	}
	switch doc := doc.(type) {
	case []any:
		take(doc, "")
	case map[string]any:
		if isPhoenixSpan(doc) {
			return []map[string]any{doc}, []string{""}, 0
		}
		if spans = phoenixRows(doc); spans != nil {
			return spans, make([]string, len(spans)), 0
		}
		for _, k := range [...]string{"spans", "data"} {
			if l, ok := doc[k].([]any); ok && spans == nil {
				take(l, pointer("", k))
			}
		}
	}
	return spans, sources, strays
}

// phoenixRows returns the spans of a data frame that was written by column, which is what
// pandas does by default: {"name": {"row": "q", …}, "span_kind": {"row": "LLM", …}, …}. Where
// no column has the id of a span, the row's name, the frame's index, is it. It returns nil for
// anything else.
func phoenixRows(doc map[string]any) []map[string]any {
	names, _ := doc["name"].(map[string]any)
	traces, _ := first(doc, "context.trace_id", "context.span_id").(map[string]any)
	if names == nil || traces == nil {
		return nil
	}
	var rows []map[string]any
	for _, row := range slices.SortedFunc(maps.Keys(names), byNumber) {
		span := map[string]any{}
		for k, column := range doc {
			cells, _ := column.(map[string]any)
			if v := cells[row]; v != nil {
				span[k] = v
			}
		}
		if span["context.span_id"] == nil {
			span["context.span_id"] = row
		}
		rows = append(rows, span)
	}
	return rows
}

// byNumber orders the names of rows, which are numbers unless the frame has an index.
func byNumber(a, b string) int {
	m, errA := strconv.Atoi(a)
	n, errB := strconv.Atoi(b)
	if errA == nil && errB == nil {
		return cmp.Compare(m, n)
	}
	return cmp.Compare(a, b)
}

// phoenixParts takes a data frame that was written by column apart: it may have the spans of
// several traces.
func phoenixParts(m map[string]any) (parts []fragment, skipped int) {
	for _, row := range phoenixRows(m) {
		id := spanTrace(map[string]any{"trace_id": row["context.trace_id"]})
		if id == "" {
			return nil, 0 // all are taken for one trace
		}
		parts = append(parts, fragment{trace: id, list: spanListKeys[0], item: row})
	}
	return parts, 0
}

func decodePhoenix(b *builder, doc any) {
	objects, sources, strays := phoenixSpans(doc)
	b.warnItems(strays)
	spans := make([]*span, len(objects))
	for i, m := range objects {
		spans[i] = phoenixSpan(b, m, sources[i])
	}
	buildSpans(b, spans)
}

func phoenixSpan(b *builder, m map[string]any, source string) *span {
	ctx := object(m["context"])
	sp := &span{
		trace:  normalID(anyOf(scalar(ctx["trace_id"]), scalar(m["context.trace_id"])), 16),
		id:     normalID(anyOf(scalar(ctx["span_id"]), scalar(m["context.span_id"])), 8),
		parent: normalID(scalar(m["parent_id"]), 8), name: scalar(m["name"]), kind: scalar(m["span_kind"]), source: source,
		start: instant(m["start_time"]), end: instant(m["end_time"]),
		status: statusOf(m["status_code"]), statusText: scalar(m["status_message"]),
	}
	sp.attrs, sp.bad = readAttributes(m["attributes"])
	sp.dur = duration(m, sp.start, sp.end)
	for k, v := range m {
		if rest, ok := strings.CutPrefix(k, "attributes."); ok && v != nil {
			sp.attrs[rest] = v
			if inner := object(v); inner != nil {
				flatten(sp.attrs, rest+".", inner, 0)
			}
		}
	}
	if sp.attrs["openinference.span.kind"] == nil && kindOf(sp.kind) != "" {
		sp.attrs["openinference.span.kind"] = sp.kind
	}
	for _, e := range list(m["events"]) {
		o := object(e)
		if o == nil {
			sp.bad++
			continue
		}
		ev, bad := eventFrom(o)
		sp.events, sp.bad = append(sp.events, ev), sp.bad+bad
	}
	for _, k := range [...]string{"annotations", "span_annotations"} {
		for _, e := range list(m[k]) {
			a := object(e)
			result := object(a["result"])
			if result == nil {
				result = a
			}
			l := Label{Name: scalar(a["name"]), Value: scalar(result["label"]), Explanation: scalar(result["explanation"]), Source: k, StepID: sp.id}
			if f, ok := number(result["score"]); ok {
				l.Score = &f
			}
			b.label(l)
		}
	}
	sp.service = scalar(sp.attrs["openinference.project.name"])
	return sp
}
