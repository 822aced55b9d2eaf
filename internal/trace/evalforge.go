package trace

import "strings"

// This file reads the four payload shapes that EvalForge's own services write. None of
// them is a sequence: each is one model call, with what is known about it.

// isDatadogSpan recognises one LLM Observability span as the ingestion service stores it.
func isDatadogSpan(doc any) bool {
	m, _ := doc.(map[string]any)
	_, kind := m["span_kind"].(string)
	return kind && (m["input"] != nil || m["output"] != nil) && m["spans"] == nil && m["context"] == nil
}

func decodeDatadogSpan(b *builder, doc any) {
	m := doc.(map[string]any)
	sp := spanFrom(m, "")
	if meta := object(m["metadata"]); meta != nil {
		readVerdicts(b, meta, "")
	}
	buildSpans(b, []*span{sp})
	for i := range b.t.Steps {
		readNotes(&b.t.Steps[i], object(m["metadata"]))
	}
	b.t.Format = FormatDatadogSpan
}

// isSample recognises the documents of the sample-data generator.
func isSample(doc any) bool {
	m, _ := doc.(map[string]any)
	return m["spans"] == nil && (list(m["input_messages"]) != nil || list(m["output_messages"]) != nil)
}

func decodeSample(b *builder, doc any) {
	m := doc.(map[string]any)
	meta := object(m["metadata"])
	s := Step{
		Kind: KindLLM, Name: "llm", Tokens: unknownTokens,
		In:  b.pool(parseMessages(m["input_messages"], "user")),
		Out: b.pool(parseMessages(m["output_messages"], "assistant")),
	}
	s.Declared = b.declare(parseTools(first(m, "tools", "tool_definitions")))
	s.Finish = finishReason(m["output_messages"])
	s.Model = firstText(meta, "model", "model_name")
	if ms, ok := number(meta["latency_ms"]); ok {
		s.Dur = milliseconds(ms)
	}
	s.Attrs = allowedAttrs(meta, s.Attrs)
	s.Tokens = readTokens(meta)
	if f := failureFrom(first(m, "error", "error_message")); f != nil {
		s.Err, s.Status = f, Error
	} else if f := failureFrom(first(meta, "error", "error_message")); f != nil {
		s.Err, s.Status = f, Error
	}
	readNotes(&s, meta)
	b.t.ID = traceID(m)
	b.t.Steps = []Step{s}
	readVerdicts(b, meta, "")
	readVerdicts(b, m, "")
}

// isFewShot recognises the shape that the original's few-shot examples use.
func isFewShot(doc any) bool {
	m, _ := doc.(map[string]any)
	if m["prompt"] == nil || m["spans"] != nil {
		return false
	}
	_, response := m["response"]
	_, failed := m["error"]
	return response || failed
}

func decodeFewShot(b *builder, doc any) {
	m := doc.(map[string]any)
	in := parseMessages(m["prompt"], "user")
	if in == nil {
		in = []Message{{Role: "user", Text: text(m["prompt"])}}
	}
	out := parseMessages(m["response"], "assistant")
	if out == nil {
		out = []Message{{Role: "assistant", Text: text(m["response"])}}
	}
	var results []Message
	for _, c := range list(m["tool_calls"]) {
		c := object(c)
		if c == nil {
			continue
		}
		call := parseCall(c)
		out[0].Calls = append(out[0].Calls, call)
		if r := first(c, "output", "result", "error"); r != nil {
			results = append(results, Message{Role: "tool", Name: call.Name, ToolID: call.ID, Text: text(r), IsErr: c["error"] != nil})
		}
	}
	s := Step{
		Kind: KindLLM, Name: "llm", Model: scalar(m["model"]), Tokens: readTokens(m),
		In: b.pool(in), Out: b.pool(append(out, results...)), Finish: finishReason(m),
		Declared: b.declare(parseTools(m["tools"])), Attrs: allowedAttrs(m, nil),
	}
	if ms, ok := number(m["latency_ms"]); ok {
		s.Dur = milliseconds(ms)
	}
	if f := failureFrom(m["error"]); f != nil {
		s.Err, s.Status = f, Error
	}
	meta := object(m["metadata"])
	readNotes(&s, meta)
	b.t.ID = traceID(m)
	b.t.Steps = []Step{s}
	readVerdicts(b, m, "")
	readVerdicts(b, meta, "")
}

// isLiveTest recognises the shape that the original's live tests use.
func isLiveTest(doc any) bool {
	m, _ := doc.(map[string]any)
	_, failed := m["error_message"]
	_, response := m["model_response"]
	return m["user_prompt"] != nil && (failed || response) || failed && response || failed && m["spans"] != nil && m["status"] == nil
}

func decodeLiveTest(b *builder, doc any) {
	m := doc.(map[string]any)
	meta := object(m["metadata"])
	root := Step{Kind: KindLLM, Name: "llm", Tokens: readTokens(meta), Model: firstText(meta, "model", "model_name"), Finish: finishReason(meta)}
	if p := m["user_prompt"]; p != nil {
		in := parseMessages(p, "user")
		if in == nil {
			in = []Message{{Role: "user", Text: text(p)}}
		}
		root.In = b.pool(in)
	} else {
		root.In = b.pool(parseMessages(m["messages"], "user"))
	}
	if r := m["model_response"]; r != nil {
		out := parseMessages(r, "assistant")
		if out == nil {
			out = []Message{{Role: "assistant", Text: text(r)}}
		}
		root.Out = b.pool(out)
	}
	if f := failureFrom(m["error_message"]); f != nil {
		root.Err, root.Status = f, Error
	}
	if ms, ok := number(first(meta, "latency_ms", "duration_ms")); ok {
		root.Dur = milliseconds(ms)
	}
	root.Attrs = allowedAttrs(meta, nil)
	readNotes(&root, meta)
	var spans []*span
	b.warnItems(notObjects(list(m["spans"])))
	for i, e := range list(m["spans"]) {
		if o := object(e); o != nil {
			spans = append(spans, spanFrom(o, pointer("", "spans", i)))
		}
	}
	buildSpans(b, spans)
	for i := range b.t.Steps {
		b.t.Steps[i].Index++
		b.t.Steps[i].Depth++
	}
	b.t.Steps = append([]Step{root}, b.t.Steps...)
	b.t.Format = FormatLiveTest
	if id := traceID(m); id != "" {
		b.t.ID = id
	}
	readVerdicts(b, meta, "")
	readVerdicts(b, m, "")
}

// nativeFields are the fields of metadata that have a place of their own in the model of
// a trace.
var nativeFields = [...]string{
	"model", "model_name", "latency_ms", "duration_ms", "eval_flags", "evaluations", "evaluation", "scores", "annotations", "guardrails",
	"guardrail_results", "eval_results", "error", "error_message", "finish_reason", "finishReason", "stop_reason", "usage",
}

// readNotes reads what a payload's metadata says beside that into s: why the model
// stopped, a note that something went wrong with its output (parse_error, …), and free
// notes.
func readNotes(s *Step, meta map[string]any) {
	fill(&s.Finish, finishReason(meta))
	known := make(map[string]bool, len(nativeFields))
	for _, k := range nativeFields {
		known[k] = true
	}
	for _, k := range sortedKeys(meta) {
		v := text(meta[k])
		if known[k] || v == "" || v == "[]" || v == "{}" || strings.HasSuffix(k, "_score") || strings.HasSuffix(k, "tokens") {
			continue
		}
		if strings.HasSuffix(k, "_error") && s.Err == nil && v != "false" && v != "0" {
			s.Err, s.Status = &Failure{Type: k, Message: v}, Error
			s.Err.infer()
			continue
		}
		if len(v) <= maxAttr && len(s.Attrs) < maxAttrs {
			if s.Attrs == nil {
				s.Attrs = make(map[string]string)
			}
			s.Attrs[k] = v
		}
	}
}
