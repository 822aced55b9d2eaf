package trace

// This file reads plain lists of spans, in whatever spelling: exports of tracing
// back ends, dumps of SDKs, hand-made test data.

// spanListKeys are the fields under which documents keep their spans.
var spanListKeys = [...]string{"spans", "observations", "runs", "data"}

// spanListOf returns the spans in doc, as objects with their JSON pointers, or nil. Strays
// counts what else stands in their list.
func spanListOf(doc any) (spans []map[string]any, sources []string, strays int) {
	switch doc := doc.(type) {
	case []any:
		spans, sources = spanObjects(doc, "")
		return spans, sources, notObjects(doc)
	case map[string]any:
		for _, k := range spanListKeys {
			if l := list(doc[k]); l != nil {
				if spans, sources := spanObjects(l, pointer("", k)); spans != nil {
					return spans, sources, notObjects(l)
				}
			}
		}
		if inner := object(doc["trace"]); inner != nil && doc["history"] == nil {
			for _, k := range spanListKeys {
				if l := list(inner[k]); l != nil {
					if spans, sources := spanObjects(l, pointer("", "trace", k)); spans != nil {
						return spans, sources, notObjects(l)
					}
				}
			}
		}
		if isSpan(doc) {
			return []map[string]any{doc}, []string{""}, 0
		}
	}
	return nil, nil, 0
}

// spanObjects returns the spans of l when most of its elements are spans.
func spanObjects(l []any, base string) ([]map[string]any, []string) {
	var spans []map[string]any
	var sources []string
	found := 0
	for i, e := range l {
		m := object(e)
		if m == nil {
			continue
		}
		source := pointer(base, i)
		if inner := object(m["attributes"]); inner != nil && inner["span_id"] != nil && m["span_id"] == nil { // Datadog's export API
			m, source = inner, pointer(source, "attributes")
		}
		if isSpan(m) {
			found++
		}
		spans, sources = append(spans, m), append(sources, source)
	}
	if found == 0 || found*2 < len(l) {
		return nil, nil
	}
	return spans, sources
}

// isSpan reports whether m looks like a span, or like a log record of one.
func isSpan(m map[string]any) bool {
	in := lookupIn(m)
	if in.get("role") != nil {
		return false
	}
	if isLogRecord(m) {
		return true
	}
	id := in.first("spanId", "span_id", "spanID") != nil
	if ctx := object(in.first("context", "span_context")); ctx != nil {
		id = id || first(ctx, "span_id", "spanId") != nil
	}
	named := in.first("name", "operation", "operation_name", "operationName", "span_name", "op_name") != nil
	timed := in.first("start_time", "startTime", "start_ns", "start", "start_time_unix_ns", "startTimeUnixNano", "started_at", "duration_ms", "duration") != nil
	if id {
		return named || timed || in.get("attributes") != nil
	}
	parent := in.has("parent_id")
	if named && timed && (in.get("status") != nil || in.get("attributes") != nil || in.get("parent_id") != nil || parent && in.get("trace_id") != nil) {
		return true
	}
	for _, d := range decoders() {
		if d.item != nil && d.item(m) {
			return true
		}
	}
	return false
}

func isSpanList(doc any) bool {
	spans, _, _ := spanListOf(doc)
	return spans != nil
}

func decodeSpanList(b *builder, doc any) {
	objects, sources, strays := spanListOf(doc)
	b.warnItems(strays)
	spans := make([]*span, 0, len(objects))
	var records []record
	for i, m := range objects {
		if !isLogRecord(m) {
			spans = append(spans, spanFrom(m, sources[i]))
			continue
		}
		r, bad := recordFrom(m)
		r.batch = i // of its own
		records = append(records, r)
		if bad > 0 {
			b.warn("attributes of log records without a key or a value: %d were skipped", bad)
		}
	}
	if m, ok := doc.(map[string]any); ok {
		if inner := object(m["trace"]); inner != nil {
			m = inner
		}
		b.t.ID = traceID(m)
		b.t.Service = firstText(m, "service", "service_name", "ml_app")
		b.t.Session = firstText(m, "session_id", "sessionId")
		readVerdicts(b, m, "")
		if meta := object(m["metadata"]); meta != nil {
			readVerdicts(b, meta, "")
		}
		fillRoot(spans, m)
	}
	buildSpans(b, joinRecords(spans, records))
	b.t.Format = FormatSpans
}

// fillRoot gives what a document says about the whole run to its root span where that
// does not say it: task, answer and error.
func fillRoot(spans []*span, m map[string]any) {
	ids := make(map[string]bool, len(spans))
	for _, sp := range spans {
		ids[sp.id] = true
	}
	var root *span
	for _, sp := range spans {
		if sp.parent == "" || !ids[sp.parent] {
			if root != nil {
				return // several roots: no single one stands for the run
			}
			root = sp
		}
	}
	if root == nil {
		return
	}
	if v := first(m, "task", "question", "user_prompt", "input"); v != nil && root.input == nil && root.get(inputKeys[:]...) == nil {
		root.input = v
	}
	if v := first(m, "answer", "final_answer", "model_response", "output"); v != nil && root.output == nil && root.get(outputKeys[:]...) == nil {
		root.output = v
	}
	if s := scalar(m["status"]); s != "" && root.attrs["run.status"] == nil {
		root.attrs["run.status"] = s
	}
	if v := first(m, "error", "error_message"); v != nil && root.err == nil {
		if f := failureFrom(v); f != nil {
			root.err, root.status = v, Error
		}
	}
}
