package trace

import (
	"maps"
	"slices"
	"strings"
)

// Langfuse: a trace with its observations, as the API and the UI export it:
// https://langfuse.com/docs/observability/data-model
//
// Input and output are in the words of whatever framework was instrumented, as objects or
// as JSON in strings. The attributes of that instrumentation are kept in
// metadata.attributes, half of an export's bytes; they are read only for what the
// observation's own fields leave open. latency is in ms or s, so it is computed.

func isLangfuse(doc any) bool {
	observations, _, _ := langfuseObservations(doc)
	return observations != nil
}

func isLangfuseObservation(m map[string]any) bool {
	if m["role"] != nil {
		return false
	}
	switch m["type"] {
	case "GENERATION", "SPAN", "EVENT", "TOOL", "AGENT", "CHAIN", "RETRIEVER", "EMBEDDING", "EVALUATOR", "GUARDRAIL":
		_, child := m["parentObservationId"]
		return child || m["traceId"] != nil || m["startTime"] != nil
	}
	_, child := m["parentObservationId"]
	return child && first(m, "parentObservationId", "startTime") != nil
}

func isLangfuseItem(m map[string]any) bool { return isLangfuseObservation(langfuseKeys(m)) }

// langfuseObservations returns the observations in doc with the JSON pointer of their
// list, and the trace they belong to, if doc has it.
func langfuseObservations(doc any) (observations []map[string]any, base string, trace map[string]any) {
	take := func(l []any) (out []map[string]any) {
		for _, e := range l {
			if m := langfuseKeys(object(e)); m != nil && isLangfuseObservation(m) {
				out = append(out, m)
			}
		}
		if len(l) == 0 || scalar(l[0]) != "" { // none, or only their ids
			if isLangfuseTrace(trace) {
				return []map[string]any{}
			}
		}
		if len(out)*2 < len(l) {
			return nil
		}
		return out
	}
	switch doc := doc.(type) {
	case []any:
		return take(doc), "", nil
	case map[string]any:
		trace = langfuseKeys(object(doc["trace"]))
		if l := list(doc["observations"]); l != nil {
			if trace == nil {
				trace = doc
			}
			return take(l), "/observations", trace
		}
		if l := list(trace["observations"]); l != nil {
			return take(l), "/trace/observations", trace
		}
		if l := list(doc["batch"]); l != nil {
			return langfuseBatch(l)
		}
		if m := langfuseKeys(doc); isLangfuseTrace(m) && first(m, "observations", "bookmarked", "htmlPath", "public") != nil {
			return []map[string]any{}, "/observations", m
		}
		for _, k := range [...]string{"spans", "data"} { // a list that was wrapped, an answer of the API
			if l := list(doc[k]); l != nil {
				return take(l), pointer("", k), nil
			}
		}
	}
	return nil, "", nil
}

// isLangfuseTrace recognises a trace, which need not have observations.
func isLangfuseTrace(m map[string]any) bool {
	return m["id"] != nil && m["timestamp"] != nil && (m["input"] != nil || m["output"] != nil)
}

// langfuseKeys returns m with the names of fields as the API has them: exports to files
// write them in snake_case.
func langfuseKeys(m map[string]any) map[string]any {
	if m["trace_id"] == nil && m["parent_observation_id"] == nil && m["session_id"] == nil {
		return m
	}
	out := maps.Clone(m)
	for from, to := range map[string]string{
		"trace_id": "traceId", "parent_observation_id": "parentObservationId", "start_time": "startTime", "end_time": "endTime",
		"status_message": "statusMessage", "provided_model_name": "providedModelName", "usage_details": "usageDetails",
		"session_id": "sessionId", "observation_id": "observationId", "string_value": "stringValue", "tool_definitions": "toolDefinitions",
	} {
		if v, ok := m[from]; ok && out[to] == nil {
			out[to] = v
		}
	}
	return out
}

// langfuseLists are where documents have their observations, or the events that make them.
func langfuseLists() []string { return []string{"observations", "batch", "spans", "data"} }

// isLangfuseEvent recognises an event of an SDK's batch.
func isLangfuseEvent(m map[string]any) bool {
	what, action, ok := strings.Cut(scalar(m["type"]), "-")
	if !ok || action != "create" && action != "update" || object(m["body"]) == nil {
		return false
	}
	switch what {
	case "trace", "observation", "span", "generation", "event", "score",
		"agent", "tool", "chain", "retriever", "embedding", "evaluator", "guardrail":
		return true
	}
	return false
}

// langfuseParts takes batches apart: an SDK sends what has happened since the last one, of
// whatever trace. An update need not repeat the trace of what it updates.
func langfuseParts(m map[string]any) (parts []fragment, skipped int) {
	events := list(m["batch"])
	if isLangfuseEvent(m) { // an event in a line of its own
		events = []any{m}
	}
	byObservation := make(map[string]string)
	var traces []string
	for _, e := range events {
		event := object(e)
		if id := langfuseEventTrace(event); id != "" {
			byObservation[scalar(object(event["body"])["id"])] = id
			if !slices.Contains(traces[max(0, len(traces)-1):], id) {
				traces = append(traces, id)
			}
		}
	}
	for _, e := range events {
		event := object(e)
		if !isLangfuseEvent(event) {
			if event == nil || event["body"] == nil {
				skipped++ // not what SDKs log of themselves
			}
			continue
		}
		id := anyOf(langfuseEventTrace(event), byObservation[scalar(object(event["body"])["id"])])
		if id == "" && len(traces) == 1 {
			id = traces[0]
		}
		if id == "" {
			skipped++
			continue
		}
		parts = append(parts, fragment{trace: id, list: "batch", item: event})
	}
	return parts, skipped
}

// langfuseEventTrace returns the trace that an event names, or "".
func langfuseEventTrace(event map[string]any) string {
	if !isLangfuseEvent(event) {
		return ""
	}
	body := langfuseKeys(object(event["body"]))
	if strings.HasPrefix(scalar(event["type"]), "trace-") {
		return scalar(body["id"])
	}
	return scalar(body["traceId"])
}

// inEventOrder returns the events of a batch by their time, if all of them have one.
func inEventOrder(events []any) []any {
	for _, e := range events {
		if instant(object(e)["timestamp"]).IsZero() {
			return events
		}
	}
	return slices.SortedStableFunc(slices.Values(events), func(a, b any) int {
		return instant(object(a)["timestamp"]).Compare(instant(object(b)["timestamp"]))
	})
}

// langfuseBatch puts the events of an SDK's batch together: what creates and then updates
// observations, the trace, and scores.
func langfuseBatch(events []any) (observations []map[string]any, base string, trace map[string]any) {
	byID := make(map[string]map[string]any)
	trace = make(map[string]any)
	var scores []any
	for _, e := range inEventOrder(events) {
		event := object(e)
		if !isLangfuseEvent(event) {
			continue
		}
		body := langfuseKeys(object(event["body"]))
		what, _, _ := strings.Cut(scalar(event["type"]), "-")
		switch what {
		case "trace":
			maps.Copy(trace, body)
			continue
		case "score":
			scores = append(scores, body)
			continue
		}
		if id := body["traceId"]; id != nil && trace["id"] == nil {
			trace["id"] = id
		}
		o := byID[scalar(body["id"])]
		if o == nil {
			o = make(map[string]any)
			byID[scalar(body["id"])] = o
			observations = append(observations, o)
			if what != "observation" {
				o["type"] = strings.ToUpper(what)
			}
		}
		for k, v := range body {
			if v != nil {
				o[k] = v
			}
		}
	}
	if len(observations) == 0 && trace["id"] == nil {
		return nil, "", nil
	}
	if scores != nil {
		trace["scores"] = scores
	}
	if observations == nil {
		observations = []map[string]any{}
	}
	return observations, "/batch", trace
}

func decodeLangfuse(b *builder, doc any) {
	observations, base, trace := langfuseObservations(doc)
	b.warnItems(langfuseStrays(doc, base, len(observations)))
	if len(observations) == 0 && isLangfuseTrace(trace) { // all that is known is what went in and what came out
		observations = []map[string]any{{
			"id": trace["id"], "traceId": trace["id"], "type": "SPAN", "name": trace["name"], "startTime": trace["timestamp"],
			"input": trace["input"], "output": trace["output"],
		}}
	}
	spans := make([]*span, len(observations))
	for i, m := range observations {
		spans[i] = langfuseSpan(b, m, pointer(base, i))
	}
	if trace != nil {
		b.t.ID = firstText(trace, "id", "traceId")
		b.t.Session = scalar(trace["sessionId"])
		b.t.Start = instant(trace["timestamp"])
		readLangfuseScores(b, trace["scores"], "")
		if m, ok := doc.(map[string]any); ok && trace["scores"] == nil { // beside the trace
			readLangfuseScores(b, m["scores"], "")
		}
		fillRoot(spans, map[string]any{"input": trace["input"], "output": trace["output"]})
	}
	buildSpans(b, spans)
	findLangfuseTools(b.t)
}

// findLangfuseTools makes tools of the spans without children that are named like a tool that
// a model called: the second generation of the SDKs has no type of observation for tools.
func findLangfuseTools(t *Trace) {
	called, parents := make(map[string]bool), make(map[string]bool)
	for _, m := range t.Messages {
		for _, c := range m.Calls {
			called[c.Name] = true
		}
	}
	for i := range t.Steps {
		parents[t.Steps[i].Parent] = true
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Kind != KindChain || s.Tool != nil || !called[s.Name] || parents[s.ID] || len(s.In)+len(s.Out) > 0 {
			continue
		}
		io := &ToolIO{Name: s.Name, Result: s.Output, HasResult: s.Output != ""}
		if io.Args, io.ArgsErr = arguments(s.Input); !isModels(io.Args) {
			io.ArgsErr = "" // as Python prints it
		}
		s.Kind, s.Tool, s.Input, s.Output = KindTool, io, "", ""
	}
}

// langfuseStrays counts what stands beside the observations that were read from the list at
// base, or beside the events.
func langfuseStrays(doc any, base string, read int) int {
	m, _ := doc.(map[string]any)
	switch base {
	case "":
		l, _ := doc.([]any)
		return len(l) - read
	case "/batch":
		_, skipped := langfuseParts(m)
		return skipped
	case "/trace/observations":
		return len(list(object(m["trace"])["observations"])) - read
	}
	n := 0
	for _, e := range list(m[base[1:]]) {
		if scalar(e) == "" { // not the id of an observation that stands elsewhere
			n++
		}
	}
	return n - read
}

func readLangfuseScores(b *builder, scores any, step string) {
	for _, e := range list(scores) {
		m := object(e)
		l := Label{Name: scalar(m["name"]), Source: "scores", StepID: anyOf(scalar(m["observationId"]), step), Explanation: scalar(m["comment"])}
		l.setValue(m["value"])
		if s := scalar(m["stringValue"]); s != "" {
			l.Value = s
		}
		b.label(l)
	}
}

func langfuseSpan(b *builder, m map[string]any, source string) *span {
	meta := b.memo.object(m["metadata"])
	sp := &span{
		trace: scalar(m["traceId"]), id: scalar(m["id"]), parent: scalar(m["parentObservationId"]),
		name: scalar(m["name"]), kind: scalar(m["type"]), source: source,
		start: instant(m["startTime"]), end: instant(m["endTime"]),
		attrs: attributes(meta["attributes"]),
	}
	if !sp.start.IsZero() && sp.end.After(sp.start) {
		sp.dur = sp.end.Sub(sp.start)
	}
	if resource := attributes(meta["resourceAttributes"]); scalar(resource["service.name"]) != "unknown_service" {
		sp.service = scalar(resource["service.name"])
	}
	for _, k := range [...]string{"error", "exception", "finish_reason", "langgraph_node"} {
		if v := meta[k]; v != nil && sp.attrs[k] == nil {
			sp.attrs[k] = v
		}
	}
	if scalar(m["level"]) == "ERROR" {
		sp.status = Error
	}
	sp.statusText = scalar(m["statusMessage"])
	if scalar(m["level"]) == "WARNING" && sp.statusText != "" {
		sp.events = append(sp.events, event{name: "warning", attrs: map[string]any{"message": sp.statusText}})
	}
	readLangfuseScores(b, m["scores"], sp.id)
	sp.read = func(sp *span, r *reading) { readLangfuse(sp, r, m) }
	return sp
}

func readLangfuse(sp *span, r *reading, m map[string]any) {
	// The instrumentation's own dialect first: it knows the kind of a SPAN, the tools and
	// the finish reason.
	if d, ok := dialectOf(sp); ok {
		d.read(sp, r)
	}
	if k := kindOf(sp.kind); k != "" && (r.kind == "" || k != KindChain) {
		if k != r.kind {
			r.tool = nil
		}
		r.kind = k
	}
	if r.kind == "" {
		r.kind = guessKind(sp, r)
	}
	r.model = anyOf(firstText(m, "model", "providedModelName"), r.model)
	if u := object(first(m, "usageDetails", "usage")); u != nil {
		r.tokens = Tokens{
			In:     count(u, "input", "prompt_tokens", "promptTokens", "input_tokens"),
			Out:    count(u, "output", "completion_tokens", "completionTokens", "output_tokens"),
			Cached: count(u, "prompt_details.cache_read", "input_cached_tokens", "cache_read_input_tokens"),
		}
	}
	if tools := parseTools(first(m, "tools", "toolDefinitions")); tools != nil {
		r.tools = tools
	}
	if ms, tools, ok := sp.memo.request(m["input"], "user"); ok && r.kind != KindTool {
		r.in, r.input = ms, ""
		if r.tools == nil {
			r.tools = tools
		}
		readLangfuseOutput(sp, r, sp.memo.embedded(m["output"]))
		return
	}
	input, output := sp.memo.embedded(m["input"]), sp.memo.embedded(m["output"])
	if r.kind == KindTool {
		sp.input, sp.output = input, output
		return
	}
	if input != nil {
		if rest, tools := langfuseTools(input); tools != nil {
			input = rest
			if r.tools == nil {
				r.tools = tools
			}
		}
		in, other := sp.memo.inOut(input, "user", r.kind)
		if len(in) > 0 || r.in == nil {
			r.in, r.input = in, other
		}
		if o := object(input); o != nil && r.tools == nil {
			r.tools = sp.memo.parseTools(first(o, "tools", "functions"))
		}
	}
	readLangfuseOutput(sp, r, output)
}

// langfuseTools takes the declared tools out of input, a list of messages: LangChain's
// callback writes them as messages of tools.
func langfuseTools(input any) (rest []any, tools []Tool) {
	l, _ := input.([]any)
	for i, e := range l {
		m, _ := e.(map[string]any)
		if content, _ := m["content"].(map[string]any); m["role"] == "tool" && object(content["function"]) != nil {
			if tools == nil {
				rest = slices.Clone(l[:i])
			}
			tools = append(tools, parseTools(content)...)
		} else if tools != nil {
			rest = append(rest, e)
		}
	}
	return rest, tools
}

func readLangfuseOutput(sp *span, r *reading, output any) {
	output = wholeAnswer(output)
	if output != nil {
		out, other := sp.memo.inOut(output, "assistant", r.kind)
		if len(out) > 0 || r.out == nil {
			r.out, r.output = out, other
		}
		if r.finish == "" {
			r.finish = answerFinish(output)
		}
	}
	r.complete = true
}
