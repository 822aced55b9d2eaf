package trace

// OTLP JSON: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding, and what
// is written under its name: snake_case keys, base64 ids, the old name of scopes,
// several exports in one list.

func isOTLP(doc any) bool {
	switch doc := doc.(type) {
	case []any:
		if len(doc) == 0 {
			return false
		}
		return isOTLP(object(doc[0]))
	case map[string]any:
		if l := list(doc["batches"]); len(l) > 0 { // as Tempo answers
			scopes, _ := listUnder(object(l[0]), otlpSignals[0].scopes...)
			return scopes != nil
		}
		return list(first(doc, "resourceSpans", "resource_spans", "resourceLogs", "resource_logs")) != nil
	}
	return false
}

func decodeOTLP(b *builder, doc any) {
	spans, strays := otlpSpans(doc, "")
	records, strayRecords, bad := otlpLogs(doc)
	b.warnItems(strays + strayRecords)
	if bad > 0 {
		b.warn("attributes of log records without a key or a value: %d were skipped", bad)
	}
	byID := make(map[string]*span, len(spans))
	for _, sp := range spans {
		byID[sp.id] = sp
	}
	for _, r := range records {
		sp := byID[r.span]
		if sp == nil { // logs without their span: the span of a model's call
			sp = &span{trace: r.trace, id: r.span, name: "chat", start: r.event.at, attrs: map[string]any{}, service: r.service}
			if len(spans) == 0 || r.span != "" {
				byID[r.span] = sp
			}
			spans = append(spans, sp)
		}
		for _, k := range [...]string{"gen_ai.system", "gen_ai.provider.name", "gen_ai.request.model"} {
			if v := r.event.attrs[k]; v != nil && sp.attrs[k] == nil {
				sp.attrs[k] = v
			}
		}
		sp.events = append(sp.events, r.event)
	}
	buildSpans(b, spans)
}

// otlpSpans returns the spans of an export or a list of exports, and how many items are
// none.
func otlpSpans(doc any, base string) (spans []*span, strays int) {
	if l, ok := doc.([]any); ok {
		for i, e := range l {
			inner, n := otlpSpans(object(e), pointer(base, i))
			spans, strays = append(spans, inner...), strays+n
		}
		return spans, strays + notObjects(l)
	}
	m, _ := doc.(map[string]any)
	resources, key := listUnder(m, otlpSignals[0].resources...)
	for i, rs := range resources {
		rs := object(rs)
		service := resourceService(rs)
		scopes, scopeKey := listUnder(rs, otlpSignals[0].scopes...)
		for j, ss := range scopes {
			inner, _ := listUnder(object(ss), "spans")
			for k, e := range inner {
				o := object(e)
				if o == nil {
					strays++
					continue
				}
				sp := spanFrom(o, pointer(base, key, i, scopeKey, j, "spans", k))
				if kindOf(sp.kind) == "" {
					sp.kind = ""
				}
				fill(&sp.service, service)
				spans = append(spans, sp)
			}
		}
	}
	return spans, strays
}

// A record is one log record, with the span it belongs to.
type record struct {
	trace, span, service string
	event                event
}

// otlpLogs returns the log records of an export or a list of exports, how many items are
// none, and how many of their attributes could not be read.
func otlpLogs(doc any) (out []record, strays, bad int) {
	if l, ok := doc.([]any); ok {
		for _, e := range l {
			inner, n, attrs := otlpLogs(object(e))
			out, strays, bad = append(out, inner...), strays+n, bad+attrs
		}
		return out, strays, bad
	}
	m, _ := doc.(map[string]any)
	resources, _ := listUnder(m, "resourceLogs", "resource_logs")
	for _, rl := range resources {
		rl := object(rl)
		service := resourceService(rl)
		scopes, _ := listUnder(rl, "scopeLogs", "scope_logs", "instrumentationLibraryLogs")
		for _, sl := range scopes {
			records, _ := listUnder(object(sl), "logRecords", "log_records")
			for _, e := range records {
				o := object(e)
				if o == nil {
					strays++
					continue
				}
				e, n := eventFrom(o)
				bad += n
				out = append(out, record{
					trace:   normalID(firstText(o, "traceId", "trace_id"), 16),
					span:    normalID(firstText(o, "spanId", "span_id"), 8),
					service: service,
					event:   e,
				})
			}
		}
	}
	return out, strays, bad
}

// listUnder returns the first array of m under keys, and its key.
func listUnder(m map[string]any, keys ...string) ([]any, string) {
	for _, k := range keys {
		if l := list(m[k]); l != nil {
			return l, k
		}
	}
	return nil, keys[0]
}

func resourceService(m map[string]any) string {
	attrs := attributes(first(object(m["resource"]), "attributes", "attrs"))
	return firstText(attrs, "service.name", "openinference.project.name")
}
