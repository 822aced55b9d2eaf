package trace

// Traceloop (OpenLLMetry): https://www.traceloop.com/docs/openllmetry/contributing/semantic-conventions
//
// Its model spans carry the GenAI attributes of their day: gen_ai.input.messages now,
// gen_ai.prompt.N.role before (whose prompt side drops tool calls, and writes a null
// content as the word). Everything else is an entity: workflow, task, agent or tool.

func isTraceloop(sp *span) bool {
	return sp.has("llm.request.type", "gen_ai.prompt.0.role", "gen_ai.completion.0.role") || sp.hasPrefix("traceloop.")
}

func readTraceloop(sp *span, r *reading) {
	readGenAI(sp, r)
	if k := kindOf(sp.getText("traceloop.span.kind")); k != "" {
		r.kind = k
	}
	if k := kindOf(sp.getText("llm.request.type")); r.kind == "" && k == KindRetrieval { // rerank, embedding
		r.kind = k
	}
	if r.kind == "" && sp.has("llm.request.type", "gen_ai.prompt.0.role") {
		r.kind = KindLLM
	}
	r.tokens = Tokens{
		In:     count(sp.attrs, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
		Out:    count(sp.attrs, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
		Cached: count(sp.attrs, "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_read.input_tokens"),
	}
	for _, f := range sp.memo.indexed(sp.attrs, "llm.request.functions") {
		if t := sp.memo.parseTool(f.(map[string]any)); t.Name != "" {
			r.tools = append(r.tools, t)
		}
	}
	readTraceloopEntity(sp, r)
}

// readTraceloopEntity reads what is no model call.
func readTraceloopEntity(sp *span, r *reading) {
	name := sp.getText("traceloop.entity.name")
	switch r.kind {
	case KindTool:
		r.tool = &ToolIO{Name: name}
		r.tool.Args, r.tool.ArgsErr = traceloopArguments(traceloopEntity(sp, "input"))
		v := traceloopOutput(sp.get("traceloop.entity.output"))
		if msg, ok := toolMessage(v); ok {
			fill(&r.tool.CallID, msg.ToolID)
			r.tool.Result, r.tool.HasResult, r.tool.IsErr = msg.Text, true, msg.IsErr
		} else if v != nil {
			r.tool.Result, r.tool.HasResult = resultText(v), true
			r.tool.IsErr = isErrorResult(v)
		}
		return
	case KindAgent:
		r.agent = name
	}
	if v := traceloopEntity(sp, "input"); v != nil && r.in == nil {
		r.in, r.input = sp.memo.inOut(traceloopInput(v), "user", r.kind)
	}
	if v := traceloopEntity(sp, "output"); v != nil && r.out == nil {
		if s, ok := embedded(v).(string); ok { // a text is written as JSON, too
			v = s
		}
		r.out, r.output = sp.memo.inOut(traceloopOutput(v), "assistant", r.kind)
	}
}

// traceloopEntity returns the entity's input or output, of which the emitter may have cut the
// end.
func traceloopEntity(sp *span, side string) any {
	v := sp.get("traceloop.entity." + side)
	if left, cut, ok := sp.memo.mended(v); ok && cut && first(object(left), "args", "kwargs", "inputs", "outputs") != nil {
		sp.memo.note(text(v), true) // the instrumentation writes these, and a model nothing but what is in them
		return left
	}
	if left, ok := sp.memo.cutByEmitter(v); ok {
		return left
	}
	return v
}

// traceloopInput takes an entity's input apart: the arguments of the function that it
// wraps. A single positional argument stands for itself.
func traceloopInput(v any) any {
	m := object(v)
	if m == nil {
		return v
	}
	args, kwargs := list(m["args"]), object(m["kwargs"])
	broken, _ := m["kwargs"].(string)
	switch {
	case m["inputs"] != nil: // of a callback of LangChain, which adds tags and metadata
		return m["inputs"]
	case m["args"] == nil && m["kwargs"] == nil:
		return v
	case len(args) == 0 && len(kwargs) > 0:
		return kwargs
	case len(args) == 0 && broken != "": // a model's arguments that are no JSON
		return broken
	case len(args) == 1 && len(kwargs) == 0:
		return args[0]
	}
	return v
}

// traceloopOutput takes the output of a callback of LangChain apart.
func traceloopOutput(v any) any {
	m := object(v)
	if m["kwargs"] == nil || len(m) != 2 {
		return v
	}
	if inner := first(m, "outputs", "output"); inner != nil {
		return inner
	}
	return v
}

func traceloopArguments(v any) (args, problem string) {
	v = traceloopInput(v)
	args, problem = arguments(v)
	if _, ok := v.(string); ok && problem != "" && !isModels(args) {
		problem = "" // a function's argument that is plain text, not a model's arguments
	}
	return args, problem
}
