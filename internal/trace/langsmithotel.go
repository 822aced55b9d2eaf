package trace

// LangSmith over OpenTelemetry: https://docs.langchain.com/langsmith/trace-with-opentelemetry
//
// Runs as spans: run type and metadata under langsmith., inputs and outputs each as one
// JSON string under gen_ai.prompt and gen_ai.completion.

func isLangSmithOTel(sp *span) bool { return sp.hasPrefix("langsmith.") }

func readLangSmithOTel(sp *span, r *reading) {
	r.kind = kindOf(anyOf(sp.getText("langsmith.span.kind"), sp.getText("gen_ai.operation.name")))
	r.model = sp.getText("gen_ai.response.model", "gen_ai.request.model", "langsmith.metadata.ls_model_name")
	prompt, completion := sp.get("gen_ai.prompt"), sp.get("gen_ai.completion")
	if r.kind == KindTool {
		r.tool = &ToolIO{Name: anyOf(sp.getText("gen_ai.tool.name"), sp.name), CallID: sp.getText("gen_ai.tool.call.id")}
		readLangSmithTool(r.tool, object(prompt), object(completion), prompt, completion)
		return
	}
	if prompt == nil && completion == nil { // indexed messages, or those of the current conventions
		readGenAIMessages(sp, r)
		return
	}
	r.in, r.input = sp.memo.inOut(langSmithValue(prompt), "user", r.kind)
	r.out, r.output = sp.memo.inOut(langSmithValue(completion), "assistant", r.kind)
	r.finish = answerFinish(completion)
	if m := object(prompt); m != nil {
		r.tools = sp.memo.parseTools(first(m, "tools", "functions"))
	}
	r.complete = true
}
