package trace

import (
	"maps"
	"strings"
)

// Datadog LLM Observability: spans as its SDKs send them (intake, with meta), and as the
// Export API returns them ({"data": [{"attributes": {…}}]}):
// https://docs.datadoghq.com/llm_observability/evaluations/export_api/
//
// The export documents no text of an error: what is left of it is in the tags error:1 and
// error_type:X. error_type is the provider's own, "tokens" for OpenAI's rate limit.

func isDatadogIntake(doc any) bool {
	spans, _, _ := datadogSpans(doc)
	return spans != nil && object(spans[0]["meta"]) != nil
}

func isDatadogExport(doc any) bool {
	spans, _, _ := datadogSpans(doc)
	return spans != nil && object(spans[0]["meta"]) == nil
}

// datadogKeys returns the fields of a span with the names that they have in Datadog's API:
// programs in TypeScript may write them in camelCase.
func datadogKeys(m map[string]any) map[string]any {
	if m["spanId"] == nil || m["span_id"] != nil {
		return m
	}
	m = snakeKeys(m)
	if meta := object(m["meta"]); meta != nil {
		m["meta"] = snakeKeys(meta)
	}
	return m
}

// isDatadogObject recognises one span in either spelling.
func isDatadogObject(m map[string]any) bool {
	if first(m, "span_id", "trace_id", "spanId") == nil {
		return false
	}
	if meta := object(m["meta"]); meta != nil {
		return datadogKind(meta) != ""
	}
	return firstText(m, "span_kind", "spanKind") != "" && first(m, "ml_app", "mlApp", "start_ns", "startNs") != nil && m["attributes"] == nil
}

func datadogKind(meta map[string]any) string {
	if k := firstText(meta, "span.kind", "kind", "span_kind", "spanKind"); k != "" {
		return k
	}
	return scalar(object(meta["span"])["kind"])
}

// datadogSpans returns the spans in doc, with their JSON pointers, or nil. Strays counts
// what else stands in their lists.
func datadogSpans(doc any) (spans []map[string]any, sources []string, strays int) {
	var collect func(v any, base string, depth int)
	var request map[string]any // around the spans, with what they have in common
	collect = func(v any, base string, depth int) {
		switch v := v.(type) {
		case []any:
			for i, e := range v {
				before := len(spans)
				if m := object(e); isDatadogObject(m) || first(m, "ml_app", "data", "attributes", "spans", "trace") != nil {
					collect(m, pointer(base, i), depth+1)
				}
				if len(spans) == before {
					strays++
				}
			}
		case map[string]any:
			if isDatadogObject(v) {
				for _, k := range [...]string{"ml_app", "session_id"} {
					if request[k] != nil && v[k] == nil {
						v = with(v, k, request[k])
					}
				}
				spans, sources = append(spans, v), append(sources, base)
				return
			}
			if depth > 3 {
				return
			}
			if first(v, "ml_app", "mlApp") != nil {
				request = snakeKeys(v)
			}
			for _, k := range [...]string{"data", "attributes", "spans", "trace"} {
				switch inner := v[k].(type) {
				case []any, map[string]any:
					collect(inner, pointer(base, k), depth+1)
				}
			}
		}
	}
	collect(doc, "", 0)
	return spans, sources, strays
}

// datadogLists are where documents have their spans: requests, pages of an export.
func datadogLists() []string { return []string{"spans", "data"} }

// datadogParts takes requests and pages apart: SDKs send the spans of a long trace in
// several, and the export has at most 5,000 on a page.
func datadogParts(m map[string]any) (parts []fragment, skipped int) {
	if isDatadogObject(m) { // a span in a line of its own
		return nil, 0
	}
	spans, sources, strays := datadogSpans(m)
	for i, sp := range spans {
		sp = datadogKeys(sp)
		id := scalar(sp["trace_id"])
		if id == "" {
			return nil, 0
		}
		p := fragment{trace: id, list: "spans", item: sp}
		if wrapped, ok := strings.CutSuffix(sources[i], "/attributes"); ok && strings.HasPrefix(wrapped, "/data/") {
			p.list, p.item = "data", map[string]any{"type": "span", "attributes": sp}
			if scalar(sp["span_id"]) != "" {
				p.item["id"] = sp["span_id"]
			}
		}
		parts = append(parts, p)
	}
	return parts, strays
}

func decodeDatadog(b *builder, doc any) {
	objects, sources, strays := datadogSpans(doc)
	b.warnItems(strays)
	spans := make([]*span, len(objects))
	for i, m := range objects {
		spans[i] = datadogSpan(b, m, sources[i])
	}
	buildSpans(b, spans)
}

func datadogSpan(b *builder, m map[string]any, source string) *span {
	m = datadogKeys(m)
	sp := &span{
		trace: scalar(m["trace_id"]), id: scalar(m["span_id"]), parent: scalar(m["parent_id"]),
		name: scalar(m["name"]), source: source, service: firstText(m, "ml_app", "service"),
		start: instant(m["start_ns"]), status: statusOf(m["status"]), attrs: make(map[string]any),
	}
	if sp.parent == "undefined" || sp.parent == "0" {
		sp.parent = ""
	}
	if ns, ok := number(m["duration"]); ok {
		sp.dur = milliseconds(ns / 1e6)
		sp.end = sp.start.Add(sp.dur)
	}
	fields := m // the export has at the top what the intake has in meta
	if meta := object(m["meta"]); meta != nil {
		fields = maps.Clone(meta)
		if sp.kind = datadogKind(meta); sp.service == "" {
			sp.service = scalar(object(meta["metadata"])["ml_app"])
		}
	} else {
		sp.kind = scalar(m["span_kind"])
	}
	for _, t := range list(m["tags"]) {
		k, v, ok := strings.Cut(scalar(t), ":")
		if !ok {
			continue
		}
		switch k {
		case "error":
			if v == "1" {
				sp.status = Error
			}
		case "error_type":
			sp.attrs["error.type"] = v
		case "ml_app", "service":
			fill(&sp.service, v)
		case "session_id":
			sp.attrs["session.id"] = v
		}
	}
	if s := firstText(m, "session_id"); s != "" {
		sp.attrs["session.id"] = s
	}
	f := Failure{Type: scalar(fields["error.type"]), Message: scalar(fields["error.message"]), Stack: scalar(fields["error.stack"])}
	if e := object(fields["error"]); e != nil {
		f = Failure{Type: scalar(e["type"]), Message: scalar(e["message"]), Stack: scalar(e["stack"])}
	}
	if f != (Failure{}) {
		sp.failure = &f
	}
	for _, k := range [...]string{"evaluation", "evaluations"} {
		readVerdict(b, m[k], k, sp.id)
	}
	for k, v := range object(fields["metadata"]) {
		sp.attrs[k] = v
	}
	sp.read = func(sp *span, r *reading) { readDatadog(sp, r, m, fields) }
	return sp
}

func readDatadog(sp *span, r *reading, m, fields map[string]any) {
	r.kind = kindOf(sp.kind)
	r.complete = true
	r.model = firstText(fields, "model_name", "model")
	if a := object(fields["agent_attribution"]); a != nil {
		r.agent = scalar(a["pagent_name"])
	}
	if r.kind == KindAgent {
		r.agent = sp.name
	}
	r.tokens = readTokens(object(m["metrics"]))
	input, output := object(fields["input"]), object(fields["output"])
	if r.kind == KindTool {
		r.tool = &ToolIO{Name: sp.name}
		r.tool.Args, r.tool.ArgsErr = arguments(first(input, "value", "messages"))
		if r.tool.ArgsErr != "" && !isModels(r.tool.Args) {
			r.tool.ArgsErr = ""
		}
		// An empty result is left out of the output.
		if v := first(output, "value", "messages"); v != nil || output != nil && sp.status == OK {
			r.tool.Result, r.tool.HasResult = resultText(v), true
			r.tool.IsErr = isErrorResult(v)
		}
		return
	}
	r.in, r.input = datadogIO(sp, fields["input"], "user", r.kind)
	r.out, r.output = datadogIO(sp, fields["output"], "assistant", r.kind)
	r.finish = firstText(object(fields["metadata"]), "finish_reason", "stop_reason")
	r.tools = sp.memo.parseTools(fields["tool_definitions"])
	fill(&r.input, datadogDocuments(input))
	if docs := datadogDocuments(output); docs != "" {
		r.output = docs
	}
}

// datadogDocuments returns the texts of the documents in an input or output, or "".
func datadogDocuments(io map[string]any) string {
	var texts []string
	for _, d := range list(io["documents"]) {
		if s := firstText(object(d), "text", "name"); s != "" {
			texts = append(texts, s)
		}
	}
	return strings.Join(texts, "\n---\n")
}

// datadogIO reads the input or output of a span.
func datadogIO(sp *span, v any, role string, kind Kind) ([]Message, string) {
	m := object(v)
	if m == nil {
		return sp.memo.inOut(v, role, kind)
	}
	if ms := sp.memo.parseMessages(m["messages"], role); ms != nil {
		return ms, ""
	}
	return sp.memo.inOut(m["value"], role, kind)
}
