package trace

import (
	"maps"
	"strings"
)

// LangSmith runs: https://docs.langchain.com/langsmith/run-data-format, as exported
// ({"runs": […]} or a list), nested in child_runs, or as the SDKs send them in batches:
// created in post, completed in patch.

func isLangSmith(doc any) bool {
	runs, _, _ := langSmithRuns(doc)
	return runs != nil
}

// isLangSmithRun recognises one run; part of a batch need not say its type again.
func isLangSmithRun(m map[string]any) bool {
	m = langSmithKeys(m)
	return scalar(m["run_type"]) != "" && first(m, "dotted_order", "trace_id", "id") != nil
}

// langSmithKeys returns m with the names of fields as the API has them: programs in
// TypeScript write them in camelCase.
func langSmithKeys(m map[string]any) map[string]any {
	if m["runType"] == nil && m["dottedOrder"] == nil {
		return m
	}
	out := maps.Clone(m)
	for from, to := range map[string]string{
		"runType": "run_type", "dottedOrder": "dotted_order", "traceId": "trace_id", "parentRunId": "parent_run_id", "childRuns": "child_runs",
		"startTime": "start_time", "endTime": "end_time", "sessionName": "session_name", "projectName": "project_name",
		"promptTokens": "prompt_tokens", "completionTokens": "completion_tokens", "feedbackStats": "feedback_stats",
	} {
		if v, ok := m[from]; ok && out[to] == nil {
			out[to] = v
		}
	}
	return out
}

// langSmithRuns returns the runs in doc, each once, with their JSON pointers, or nil.
// Strays counts what else stands in their lists.
func langSmithRuns(doc any) (runs []map[string]any, sources []string, strays int) {
	var byID map[string]int
	var add func(m map[string]any, source string)
	add = func(m map[string]any, source string) {
		m = langSmithKeys(m)
		id := firstText(m, "id", "run_id")
		if i, ok := byID[id]; ok && id != "" { // the later half of a run
			whole := maps.Clone(runs[i])
			for k, v := range m {
				if o, empty := v.(map[string]any); v != nil && (!empty || len(o) > 0) {
					whole[k] = v
				}
			}
			runs[i] = whole
			return
		}
		remember(&byID, id, len(runs))
		runs, sources = append(runs, m), append(sources, source)
		for i, c := range list(m["child_runs"]) {
			if c := object(c); c != nil {
				add(c, pointer(source, "child_runs", i))
			} else if scalar(c) == "" { // not the id of a run that stands elsewhere
				strays++
			}
		}
	}
	found := false
	each := func(l []any, base string) {
		for i, e := range l {
			if m := langSmithKeys(object(e)); m != nil && (isLangSmithRun(m) || (found || m["dotted_order"] != nil) && m["id"] != nil) {
				found = true
				add(m, pointer(base, i))
			} else {
				strays++
			}
		}
	}
	switch doc := doc.(type) {
	case []any:
		each(doc, "")
	case map[string]any:
		switch {
		case isLangSmithRun(doc):
			add(doc, "")
		case list(doc["post"]) != nil || list(doc["patch"]) != nil:
			each(list(doc["post"]), "/post")
			each(list(doc["patch"]), "/patch")
		default:
			for _, k := range [...]string{"runs", "spans"} {
				each(list(doc[k]), pointer("", k))
			}
		}
	}
	return runs, sources, strays
}

// langSmithLists are where documents have their runs: exports, and the SDKs' batches.
func langSmithLists() []string { return []string{"runs", "post", "patch", "spans"} }

// langSmithParts takes a batch apart: an SDK sends the runs that began or ended since the
// last one, of whatever trace. What completes a run need not repeat its trace.
func langSmithParts(m map[string]any) (parts []fragment, skipped int) {
	byRun := make(map[string]string)
	keys := [...]string{"post", "patch"}
	for _, k := range keys {
		for _, e := range list(m[k]) {
			if run := object(e); langSmithTrace(run) != "" {
				byRun[scalar(run["id"])] = langSmithTrace(run)
			}
		}
	}
	for _, k := range keys {
		for _, e := range list(m[k]) {
			run := object(e)
			id := anyOf(langSmithTrace(run), byRun[scalar(run["id"])])
			if id == "" {
				skipped++
				continue
			}
			parts = append(parts, fragment{trace: id, list: k, item: run})
		}
	}
	return parts, skipped
}

// langSmithTrace returns the id of a run's trace, which is that of its first run, or "".
func langSmithTrace(run map[string]any) string {
	run = langSmithKeys(run)
	if id := scalar(run["trace_id"]); id != "" {
		return id
	}
	if list(run["child_runs"]) != nil && scalar(run["parent_run_id"]) == "" && isLangSmithRun(run) {
		return scalar(run["id"])
	}
	root, _, _ := strings.Cut(scalar(run["dotted_order"]), ".")
	_, id, _ := strings.Cut(root, "Z")
	return id
}

func decodeLangSmith(b *builder, doc any) {
	runs, sources, strays := langSmithRuns(doc)
	b.warnItems(strays)
	spans := make([]*span, len(runs))
	for i, m := range runs {
		spans[i] = langSmithSpan(b, m, sources[i])
	}
	buildSpans(b, spans)
}

func langSmithSpan(b *builder, m map[string]any, source string) *span {
	extra := object(m["extra"])
	meta := object(extra["metadata"])
	sp := &span{
		trace: langSmithTrace(m), id: firstText(m, "id", "run_id"), parent: scalar(m["parent_run_id"]),
		name: scalar(m["name"]), kind: scalar(m["run_type"]), order: scalar(m["dotted_order"]), source: source,
		start: instant(m["start_time"]), end: instant(m["end_time"]),
		attrs: make(map[string]any), status: statusOf(m["status"]),
	}
	if sp.parent == "" { // the order holds the ids of all ancestors
		if path := strings.Split(sp.order, "."); len(path) > 1 {
			if _, id, ok := strings.Cut(path[len(path)-2], "Z"); ok {
				sp.parent = id
			}
		}
	}
	sp.dur = duration(m, sp.start, sp.end)
	if v := m["error"]; v != nil && v != "" {
		sp.err, sp.status = v, Error
		if s, ok := v.(string); ok {
			f := failureFromText(s)
			sp.failure = &f
		}
	}
	flatten(sp.attrs, "", meta, 0)
	if s := firstText(meta, "session_id", "thread_id", "conversation_id"); s != "" {
		sp.attrs["session.id"] = s
	}
	sp.service = firstText(m, "session_name", "project_name")
	sp.read = func(sp *span, r *reading) { readLangSmith(sp, r, m, meta) }
	for _, name := range sortedKeys(object(m["feedback_stats"])) {
		stats := object(object(m["feedback_stats"])[name])
		l := Label{Name: name, Source: "feedback_stats", StepID: sp.id}
		if f, ok := number(first(stats, "avg", "score")); ok {
			l.Score = &f
		}
		b.label(l)
	}
	return sp
}

func readLangSmith(sp *span, r *reading, m, meta map[string]any) {
	r.kind = kindOf(sp.kind)
	inputs, outputs := object(m["inputs"]), object(m["outputs"])
	invocation := object(object(m["extra"])["invocation_params"])
	r.model = anyOf(firstText(meta, "ls_model_name"), firstText(inputs, "model"), firstText(invocation, "model", "model_name"))
	r.agent = firstText(meta, "langgraph_node", "lc_agent_name")
	usage := object(first(meta, "usage_metadata"))
	if usage == nil {
		usage = object(first(outputs, "usage_metadata", "usage"))
	}
	if usage == nil { // LangChain's result
		usage = object(object(outputs["llm_output"])["token_usage"])
	}
	if usage == nil {
		usage = generationUsage(outputs["generations"])
	}
	r.tokens = readTokens(usage)
	if r.tokens.In < 0 && r.tokens.Out < 0 {
		r.tokens = Tokens{In: count(m, "prompt_tokens"), Out: count(m, "completion_tokens"), Cached: -1}
	}
	if r.kind == KindTool {
		r.tool = &ToolIO{Name: sp.name, CallID: firstText(meta, "tool_call_id")}
		readLangSmithTool(r.tool, inputs, outputs, m["inputs"], m["outputs"])
		return
	}
	r.in, r.input = sp.memo.inOut(langSmithValue(m["inputs"]), "user", r.kind)
	r.out, r.output = sp.memo.inOut(langSmithValue(m["outputs"]), "assistant", r.kind)
	r.finish = finishReason(m["outputs"])
	fill(&r.finish, generationFinish(outputs["generations"]))
	r.tools = sp.memo.parseTools(first(inputs, "tools", "functions"))
	if r.tools == nil {
		r.tools = sp.memo.parseTools(first(invocation, "tools", "functions"))
	}
	r.complete = true
}

// langSmithValue returns the value of inputs or outputs that wrap only one: a traced
// function's argument or result.
func langSmithValue(v any) any {
	m := object(v)
	if len(m) != 1 {
		return v
	}
	for _, k := range [...]string{"input", "inputs", "output", "outputs", "result"} {
		if inner, ok := m[k]; ok {
			if l := list(inner); l != nil && len(parseMessages(l, "user")) > 0 {
				return l
			}
			return inner
		}
	}
	return v
}

// readLangSmithTool reads a tool's run. LangChain's tools give a ToolMessage, whose
// status says whether it is an error.
func readLangSmithTool(io *ToolIO, inputs, outputs map[string]any, in, out any) {
	args := langSmithValue(in)
	if m := object(args); m != nil && m["args"] != nil && m["name"] != nil { // LangGraph gives the tool the whole call
		fill(&io.CallID, scalar(m["id"]))
		args = m["args"]
	}
	io.Args, io.ArgsErr = arguments(args)
	if io.ArgsErr != "" && !isModels(io.Args) {
		io.ArgsErr = "" // plain text given to a function
	}
	if out == nil || outputs != nil && len(outputs) == 0 {
		return
	}
	v := langSmithValue(out)
	io.HasResult = true
	if msg, ok := toolMessage(v); ok {
		fill(&io.CallID, msg.ToolID)
		io.Result, io.IsErr = msg.Text, msg.IsErr
		return
	}
	io.Result, io.IsErr = resultText(v), isErrorResult(v)
}
