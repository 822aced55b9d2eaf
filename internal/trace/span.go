package trace

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A span is one span of any emitter, before its attributes are interpreted.
type span struct {
	trace, id, parent string
	name, kind        string
	start, end        time.Time
	dur               time.Duration
	status            Status
	statusText        string
	attrs             map[string]any // dotted keys
	summary           summary        // of attrs, once they are complete
	events            []event
	logs              []logLine // of events that applications logged
	input, output     any       // fields of the span itself, beside its attributes
	err               any
	dropped           int
	bad               int // attributes that could not be read
	service, source   string
	pos               int      // in the source
	order             string   // sorts siblings before their times do, or ""
	failure           *Failure // the error, when the format's decoder read it itself
	// read interprets the span in place of a dialect of its attributes, for formats whose
	// spans are no attributes.
	read func(*span, *reading)
	memo *memo // of the trace; nil is fine
}

// An event is a span event or a log record of a span.
type event struct {
	name  string
	at    time.Time
	attrs map[string]any
	body  any
}

// spanFrom reads a span in any spelling that emitters and exports use. source is its
// JSON pointer.
func spanFrom(m map[string]any, source string) *span {
	in := lookupIn(m)
	ctx := object(in.first("context", "span_context", "spanContext"))
	meta := object(in.get("meta"))
	sp := &span{
		trace:  normalID(anyOf(in.text("traceId", "trace_id", "traceID"), firstText(ctx, "trace_id", "traceId")), 16),
		id:     normalID(anyOf(in.text("spanId", "span_id", "spanID"), firstText(ctx, "span_id", "spanId"), in.text("id", "run_id")), 8),
		parent: normalID(in.text("parentSpanId", "parent_span_id", "parent_id", "parentId", "parent_run_id", "parentObservationId", "parentSpanID"), 8),
		name:   in.text("name", "span_name", "operation_name", "operationName", "operation", "op_name"),
		source: source,
	}
	if sp.parent == "" {
		sp.parent = normalID(anyOf(scalar(in.get("parent")), firstText(object(in.get("parent")), "span_id", "spanId")), 8)
	}
	switch sp.parent {
	case "undefined", "0", "null", "None", "0000000000000000", sp.id:
		sp.parent = ""
	}
	sp.kind = in.text("span_kind", "spanKind", "run_type", "type", "kind")
	sp.start = instant(in.first("startTimeUnixNano", "start_time_unix_nano", "start_time_unix_ns", "start_time_ns", "start_ns",
		"start_time", "startTime", "started_at", "start", "timestamp"))
	sp.end = instant(in.first("endTimeUnixNano", "end_time_unix_nano", "end_time_unix_ns", "end_time_ns", "end_ns",
		"end_time", "endTime", "ended_at", "end"))
	sp.dur = duration(m, sp.start, sp.end)
	sp.attrs, sp.bad = readAttributes(in.first("attributes", "attrs"))
	if meta != nil {
		flatten(sp.attrs, "", meta, 0)
		for k, v := range maps.All(meta) {
			if k == "input" || k == "output" || k == "metadata" {
				sp.attrs[k] = v
			}
		}
		if k := firstText(sp.attrs, "span.kind", "kind"); k != "" {
			sp.kind = k
		}
		sp.input, sp.output, sp.err = meta["input"], meta["output"], meta["error"]
	}
	if s := object(in.first("span_attributes", "metadata")); s != nil {
		for k, v := range attributes(s) {
			if _, ok := sp.attrs[k]; !ok {
				sp.attrs[k] = v
			}
		}
	}
	if v := in.first("input", "inputs"); v != nil {
		sp.input = v
	}
	if v := in.first("output", "outputs"); v != nil {
		sp.output = v
	}
	for _, k := range [...]string{"model", "model_name", "agent", "agent_name", "tool", "tool_name", "usage", "usageDetails", "metrics", "tags",
		"session_id", "sessionId", "http_status", "status_code", "annotations", "evaluations", "evaluation", "scores", "finish_reason", "tools"} {
		if v := in.get(k); v != nil && sp.attrs[k] == nil {
			sp.attrs[k] = v
		}
	}
	readReferences(sp, in)
	readStatus(sp, in)
	sp.service = in.text("service", "service_name", "ml_app", "serviceName")
	if r := object(in.get("resource")); r != nil {
		fill(&sp.service, resourceService(m))
	}
	readTags(sp, list(in.get("tags")))
	for i, e := range list(in.first("events", "logs")) {
		o := object(e)
		if o == nil {
			sp.bad++
			continue
		}
		ev, bad := eventFrom(o)
		sp.events, sp.bad = append(sp.events, ev), sp.bad+bad
		if i > 10_000 {
			break
		}
	}
	sp.dropped = max(0, in.count("droppedAttributesCount", "dropped_attributes_count"))
	return sp
}

// readReferences reads what spans of OpenTracing have instead of a parent and attributes:
// references, and tags that are lists of keys and values.
func readReferences(sp *span, in lookup) {
	for _, e := range list(in.get("references")) {
		if ref := object(e); sp.parent == "" && scalar(ref["refType"]) != "FOLLOWS_FROM" {
			sp.parent = normalID(firstText(ref, "spanID", "span_id"), 8)
		}
	}
	if us, ok := number(in.get("duration")); ok && in.get("references") != nil {
		sp.dur = milliseconds(us / 1000)
	}
	tags := list(in.get("tags"))
	if len(tags) == 0 || object(tags[0])["key"] == nil {
		return
	}
	attrs, bad := readAttributes(tags)
	maps.Copy(sp.attrs, attrs)
	sp.bad += bad
	delete(sp.attrs, "tags")
	if truth(attrs["error"]) {
		sp.status = Error
	}
	fill(&sp.statusText, scalar(attrs["otel.status_description"]))
}

// eventFrom reads an event or a log record, and counts its attributes that could not be
// read.
func eventFrom(m map[string]any) (e event, bad int) {
	e = event{
		name: firstText(m, "name", "eventName", "event_name"),
		at:   instant(first(m, "timeUnixNano", "time_unix_nano", "timestamp_unix_ns", "timestamp", "time", "observedTimeUnixNano", "observed_time_unix_nano")),
		body: plain(m["body"]),
	}
	e.attrs, bad = readAttributes(first(m, "attributes", "attrs", "fields"))
	if n := scalar(e.attrs["event.name"]); n != "" {
		e.name = n
	}
	return e, bad
}

// readStatus reads the outcome of a span.
func readStatus(sp *span, in lookup) {
	for _, k := range [...]string{"status", "status_code", "statusCode", "level", "state"} {
		v := in.get(k)
		if v == nil {
			continue
		}
		if o, ok := v.(map[string]any); ok {
			sp.statusText = firstText(o, "message", "description", "status_message")
			v = first(o, "code", "status_code", "statusCode", "status")
		}
		if s := statusOf(v); s != Unset {
			sp.status = s
			break
		}
	}
	if t := in.text("status_message", "statusMessage", "status_description"); t != "" {
		sp.statusText = t
	}
	switch e := in.first("error", "error_message", "errorMessage", "exception").(type) {
	case nil:
	case bool:
		if e {
			sp.status = Error
		}
	case string:
		if e != "" {
			sp.err = e
			sp.status = Error
		}
	default:
		if n, ok := number(e); ok {
			if n != 0 {
				sp.status = Error
			}
			break
		}
		sp.err = e
		sp.status = Error
	}
}

// readTags reads Datadog's tags, key:value: its export has the error of a span nowhere
// else.
func readTags(sp *span, tags []any) {
	for _, t := range tags {
		k, v, ok := strings.Cut(scalar(t), ":")
		if !ok {
			continue
		}
		switch k {
		case "error":
			if sp.status == Unset && v == "1" {
				sp.status = Error
			}
		case "error_type", "error_message":
			if sp.attrs[k] == nil {
				sp.attrs[k] = v
			}
		case "ml_app":
			fill(&sp.service, v)
		}
	}
}

// statusOf reads a status in any spelling.
func statusOf(v any) Status {
	switch strings.ToLower(strings.TrimPrefix(scalar(v), "STATUS_CODE_")) {
	case "2", "error", "failed", "failure", "fail", "exception", "timeout", "timed_out", "critical", "errored":
		return Error
	case "1", "ok", "success", "succeeded", "completed", "complete", "passed":
		return OK
	}
	if n, ok := number(v); ok && n >= 400 && n < 600 {
		return Error
	} else if ok && n >= 200 && n < 300 {
		return OK
	}
	return Unset
}

// duration returns how long a span took, from its duration fields or its ends.
func duration(m map[string]any, start, end time.Time) time.Duration {
	if !start.IsZero() && end.After(start) {
		return end.Sub(start)
	}
	if f, ok := number(first(m, "duration_ms", "durationMs", "latency_ms", "elapsed_ms")); ok {
		return milliseconds(f)
	}
	if f, ok := number(first(m, "duration_ns", "durationNano")); ok {
		return milliseconds(f / 1e6)
	}
	if f, ok := number(m["duration"]); ok {
		if _, ns := m["start_ns"]; ns || f >= 1e6 || m["span_kind"] != nil { // Datadog counts nanoseconds
			return milliseconds(f / 1e6)
		}
		return milliseconds(f)
	}
	return 0
}

// milliseconds returns f ms, or 0 when that is negative or over a year.
func milliseconds(f float64) time.Duration {
	if f < 0 || f > 365*24*3600*1000 {
		return 0
	}
	return time.Duration(f * float64(time.Millisecond))
}

// readAttributes is attributes, without those of an OTLP list that have no key or no
// value, which it counts.
func readAttributes(v any) (attrs map[string]any, bad int) {
	v = embedded(v)
	attrs = attributes(v)
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if m, _ := e.(map[string]any); firstText(m, "key", "Key") == "" || first(m, "value", "Value") == nil {
				bad++
			}
		}
	case attrMap:
		for _, value := range v {
			if value == nil {
				bad++
			}
		}
	}
	if bad > 0 {
		maps.DeleteFunc(attrs, func(_ string, value any) bool { return value == nil })
	}
	return attrs, bad
}

// attributes returns attributes by dotted key: from OTLP's list of keys and values, or
// from an object, flat or nested.
func attributes(v any) map[string]any {
	if m, ok := v.(attrMap); ok {
		return m
	}
	out := make(map[string]any)
	switch v := embedded(v).(type) {
	case []any:
		for _, e := range v {
			m, _ := e.(map[string]any)
			if k := firstText(m, "key", "Key"); k != "" {
				out[k] = plain(first(m, "value", "Value"))
			}
		}
	case map[string]any:
		flatten(out, "", v, 0)
	}
	return out
}

// maxFlatten bounds how deep nested attributes become dotted keys.
const maxFlatten = 6

// flatten adds the values of m to out by dotted key, objects on the way included: an
// object may be a group of attributes or the value of one.
func flatten(out map[string]any, prefix string, m map[string]any, depth int) {
	for k, v := range m {
		if inner, ok := v.(map[string]any); ok && depth < maxFlatten {
			if p, ok := anyValue(inner); ok {
				out[prefix+k] = p
				continue
			}
			flatten(out, prefix+k+".", inner, depth+1)
		}
		out[prefix+k] = v
	}
}

// plain returns what an OTLP AnyValue holds; any other value it returns as it is.
func plain(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if p, ok := anyValue(m); ok {
		return p
	}
	return v
}

// anyValue decodes an OTLP AnyValue, in camelCase or snake_case.
func anyValue(m map[string]any) (any, bool) {
	if len(m) > 1 && !soleField(m) {
		return nil, false
	}
	for k, v := range m {
		if v == nil && len(m) > 1 {
			continue // one of the kinds of value that it is not
		}
		switch k {
		case "stringValue", "string_value", "intValue", "int_value", "doubleValue", "double_value", "boolValue", "bool_value", "bytesValue", "bytes_value":
			return v, true
		case "arrayValue", "array_value":
			l := list(object(v)["values"])
			out := make([]any, len(l))
			for i, e := range l {
				out[i] = plain(e)
			}
			return out, true
		case "kvlistValue", "kvlist_value":
			out := make(map[string]any)
			for _, e := range list(object(v)["values"]) {
				if kv, ok := e.(map[string]any); ok {
					out[scalar(kv["key"])] = plain(kv["value"])
				}
			}
			return out, true
		}
	}
	return nil, false
}

// soleField reports whether only one field of m is not null.
func soleField(m map[string]any) bool {
	n := 0
	for _, v := range m {
		if v != nil {
			n++
		}
	}
	return n == 1
}

func anyOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

// normalID returns an id of n bytes as lower-case hex when it is written as hex or, as
// protobuf's JSON mapping does, as base64; any other id it returns as it is.
func normalID(id string, n int) string {
	id = strings.TrimPrefix(id, "0x") // as OpenTelemetry's console exporters print it
	switch len(id) {
	case 2 * n:
		if _, err := hex.DecodeString(id); err == nil {
			return strings.ToLower(id)
		}
	case base64.StdEncoding.EncodedLen(n):
		if b, err := base64.StdEncoding.DecodeString(id); err == nil && len(b) == n {
			return hex.EncodeToString(b)
		}
	}
	return id
}

// indexed rebuilds the list that attributes such as prefix.0.a.b, prefix.1.a spell out,
// in the order of the indices; nil when there is none.
func indexed(attrs map[string]any, prefix string) []any {
	return new(workspace).indexed(attrs, prefix)
}

// An indexedPart is a value of an element of such a list.
type indexedPart struct {
	index int
	path  string
	value any
}

// indexed is the function of the same name with the list in the memory of w.
func (w *workspace) indexed(attrs map[string]any, prefix string) []any {
	parts := w.parts[:0]
	for k, v := range attrs {
		if len(k) <= len(prefix) || k[len(prefix)] != '.' || !strings.HasPrefix(k, prefix) {
			continue
		}
		i, path, ok := strings.Cut(k[len(prefix)+1:], ".")
		if n, err := strconv.Atoi(i); ok && err == nil && n >= 0 && len(i) <= 6 && strconv.Itoa(n) == i {
			parts = append(parts, indexedPart{n, path, v})
		}
	}
	if len(parts) == 0 {
		return nil
	}
	defer func(used []indexedPart) { // only those: a long list would be cleared again for each short one behind it
		clear(used)
		w.parts = used[:0]
	}(parts)
	slices.SortFunc(parts, func(a, b indexedPart) int { return cmp.Compare(a.index, b.index) })
	items := 1
	for i := range parts[1:] {
		if parts[i].index != parts[i+1].index {
			items++
		}
	}
	out := w.newArray(items)[:0]
	for len(parts) > 0 {
		n := 1
		for n < len(parts) && parts[n].index == parts[0].index {
			n++
		}
		item := w.newObject(n)
		for _, p := range parts[:n] {
			item[p.path] = p.value
		}
		out, parts = append(out, item), parts[n:]
	}
	return out
}

// lastIndex returns the largest index among the attributes prefix.0.…, prefix.1.…, or -1.
func lastIndex(attrs map[string]any, prefix string) int {
	last := -1
	for k := range attrs {
		if len(k) <= len(prefix) || k[len(prefix)] != '.' || !strings.HasPrefix(k, prefix) {
			continue
		}
		i, _, _ := strings.Cut(k[len(prefix)+1:], ".")
		if n, err := strconv.Atoi(i); err == nil && len(i) <= 6 {
			last = max(last, n)
		}
	}
	return last
}
