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
	buildSpans(b, joinRecords(spans, records))
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

// otlpLogs returns the log records of an export or a list of exports, how many items are
// none, and how many of their attributes could not be read.
func otlpLogs(doc any) (out []record, strays, bad int) {
	batch := 0
	var read func(doc any)
	read = func(doc any) {
		if l, ok := doc.([]any); ok {
			for _, e := range l {
				read(object(e))
			}
			return // otlpSpans counts what is no export
		}
		m, _ := doc.(map[string]any)
		resources, _ := listUnder(m, otlpSignals[1].resources...)
		for _, rl := range resources {
			rl := object(rl)
			service := resourceService(rl)
			scopes, _ := listUnder(rl, otlpSignals[1].scopes...)
			for _, sl := range scopes {
				records, _ := listUnder(object(sl), otlpSignals[1].items...)
				batch++
				for _, e := range records {
					o := object(e)
					if o == nil {
						strays++
						continue
					}
					r, n := recordFrom(o)
					r.service, r.batch = service, batch
					out, bad = append(out, r), bad+n
				}
			}
		}
	}
	read(doc)
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
