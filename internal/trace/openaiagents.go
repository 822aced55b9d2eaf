package trace

import (
	"maps"
	"strings"
)

// Traces of OpenAI's Agents SDKs, as their exporters and trace processors write them: items
// that are a "trace" or a "trace.span", whose span_data says what it is:
// https://openai.github.io/openai-agents-python/ref/tracing/span_data/
//
// The exporter to OpenAI leaves out what a model was asked over the Responses API; processors
// that dump the span keep it.

const agentsSpan, agentsTrace = "trace.span", "trace"

// isAgentsItem recognises one item.
func isAgentsItem(m map[string]any) bool {
	switch anyOf(scalar(m["object"]), scalar(m["type"])) {
	case agentsSpan:
		return object(first(m, "span_data", "spanData")) != nil
	case agentsTrace:
		return strings.HasPrefix(agentsTraceID(m), "trace_") && (m["workflow_name"] != nil || m["name"] != nil)
	}
	return false
}

// agentsTraceID returns the id of an item's trace, or "".
func agentsTraceID(m map[string]any) string {
	id := firstText(m, "trace_id", "traceId")
	if id == "" && anyOf(scalar(m["object"]), scalar(m["type"])) == agentsTrace {
		id = scalar(m["id"])
	}
	return id
}

// agentsItems returns the items in doc, with their JSON pointers, or nil. Strays counts what
// else stands in their list.
func agentsItems(doc any) (items []map[string]any, sources []string, strays int) {
	spans := 0
	take := func(v any, source string) {
		m, _ := v.(map[string]any)
		if !isAgentsItem(m) {
			strays++
			return
		}
		if first(m, "span_data", "spanData") != nil {
			spans++
		}
		items, sources = append(items, m), append(sources, source)
	}
	all := func(l []any, base string) {
		for i, e := range l {
			take(e, pointer(base, i))
		}
	}
	switch doc := doc.(type) {
	case []any:
		all(doc, "")
	case map[string]any:
		if isAgentsItem(doc) {
			take(doc, "")
		} else if m := object(doc["trace"]); m != nil {
			take(m, "/trace")
		}
		for _, k := range spanListKeys {
			if l, ok := doc[k].([]any); ok {
				all(l, pointer("", k))
				break
			}
		}
	}
	if spans == 0 || strays > spans {
		return nil, nil, 0
	}
	return items, sources, strays
}

func isAgents(doc any) bool {
	items, _, _ := agentsItems(doc)
	return items != nil
}

func decodeAgents(b *builder, doc any) {
	items, sources, strays := agentsItems(doc)
	b.warnItems(strays)
	spans := make([]*span, 0, len(items))
	for i, m := range items {
		if data := object(first(m, "span_data", "spanData")); data != nil {
			spans = append(spans, agentsSpanFrom(b, m, data, sources[i]))
			continue
		}
		fill(&b.t.ID, agentsTraceID(m))
		fill(&b.t.Service, firstText(m, "workflow_name", "name"))
		fill(&b.t.Session, firstText(m, "group_id", "groupId"))
	}
	buildSpans(b, spans)
}

func agentsSpanFrom(b *builder, m, data map[string]any, source string) *span {
	kind := scalar(data["type"])
	sp := &span{
		trace: agentsTraceID(m), id: firstText(m, "id", "span_id", "spanId"), parent: firstText(m, "parent_id", "parentId"),
		name: firstText(data, "name", "workflow_name", "server"), kind: kind, source: source,
		start: instant(first(m, "started_at", "startedAt")), end: instant(first(m, "ended_at", "endedAt")),
		attrs: make(map[string]any),
	}
	sp.dur = duration(m, sp.start, sp.end)
	fill(&sp.name, kind)
	if from, to := firstText(data, "from_agent", "fromAgent"), firstText(data, "to_agent", "toAgent"); from+to != "" {
		sp.name = "handoff from " + from + " to " + to
	}
	if f := agentsFailure(object(m["error"])); f != nil {
		sp.failure, sp.status = f, Error
	}
	if kind == "guardrail" {
		l := Label{Name: sp.name, Value: "passed", Source: "guardrail", StepID: sp.id}
		if truth(data["triggered"]) {
			l.Value = "triggered"
		}
		b.label(l)
	}
	sp.read = func(sp *span, r *reading) { readAgentsSpan(sp, r, data) }
	return sp
}

// agentsFailure returns an error of the SDK's: what it says itself, and what happened in its
// data.
func agentsFailure(m map[string]any) *Failure {
	if m == nil {
		return nil
	}
	data := maps.Clone(object(m["data"]))
	f := failureFromText(scalar(data["error"]))
	delete(data, "error")
	f.Message = join(scalar(m["message"]), f.Message)
	if f.Stack == "" && len(data) > 0 {
		f.Message = join(f.Message, canonical(data))
	}
	return &f
}

func readAgentsSpan(sp *span, r *reading, data map[string]any) {
	r.complete = true
	r.model = scalar(data["model"])
	r.tokens = readTokens(object(data["usage"]))
	switch sp.kind {
	case "agent":
		r.kind, r.agent = KindAgent, sp.name
		r.tools = sp.memo.parseTools(data["tools"])
		r.in, r.input = sp.memo.inOut(data["input"], "user", r.kind)
		r.out, r.output = sp.memo.inOut(data["output"], "assistant", r.kind)
	case "function":
		r.kind, r.tool = KindTool, &ToolIO{Name: sp.name}
		r.tool.Args, r.tool.ArgsErr = sp.memo.arguments(data["input"])
		if v := data["output"]; v != nil {
			r.tool.Result, r.tool.HasResult = resultText(v), true
			r.tool.IsErr = isErrorResult(sp.memo.embedded(v))
		}
	case "generation", "response":
		readAgentsModel(sp, r, data)
	case "mcp_tools":
		r.kind, r.output = KindChain, text(data["result"])
	case "transcription", "speech":
		r.kind = KindLLM
		r.in, r.input = sp.memo.inOut(agentsAudio(data["input"]), "user", r.kind)
		r.out, r.output = sp.memo.inOut(agentsAudio(data["output"]), "assistant", r.kind)
	default: // handoff, guardrail, custom, speech_group
		r.kind = KindChain
		if v := data["data"]; len(object(v)) > 0 {
			r.input = text(v)
		}
		fill(&r.input, text(data["input"]))
		r.output = text(data["output"])
	}
}

// readAgentsModel reads a model's call. A dump of the span has the response, and beside it
// what the model was given.
func readAgentsModel(sp *span, r *reading, data map[string]any) {
	r.kind = KindLLM
	response := object(first(data, "response", "_response"))
	r.in = systemPrompt(response)
	in, input := sp.memo.inOut(first(data, "input", "_input"), "user", r.kind)
	r.in, r.input = append(r.in, in...), input
	output := wholeAnswer(data["output"])
	if output == nil && response != nil {
		output = response
	}
	r.out, r.output = sp.memo.inOut(output, "assistant", r.kind)
	r.finish = answerFinish(output)
	r.tools = sp.memo.parseTools(first(response, "tools"))
	fill(&r.model, scalar(response["model"]))
	if r.tokens == unknownTokens {
		r.tokens = readTokens(object(response["usage"]))
	}
}

// agentsAudio returns what was said, not the sound of it.
func agentsAudio(v any) any {
	if m, ok := v.(map[string]any); ok {
		return "[" + anyOf(scalar(m["format"]), "audio") + "]"
	}
	return v
}
