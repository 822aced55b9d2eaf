package trace

// Spans of Langfuse's SDKs since their third version, which are OpenTelemetry's, where
// something else than Langfuse received them:
// https://langfuse.com/integrations/native/opentelemetry#property-mapping

func isLangfuseOTel(sp *span) bool {
	return sp.has("langfuse.observation.type", "langfuse.observation.input", "langfuse.observation.output", "langfuse.observation.level")
}

func readLangfuseOTel(sp *span, r *reading) {
	r.kind = kindOf(sp.getText("langfuse.observation.type"))
	if sp.getText("langfuse.observation.level") == "ERROR" {
		sp.status = Error
	}
	fill(&sp.statusText, sp.getText("langfuse.observation.status_message"))
	r.model = sp.getText("langfuse.observation.model.name")
	usage := sp.memo.object(sp.get("langfuse.observation.usage_details"))
	r.tokens = readTokens(usage)
	if sp.hasPrefix("gen_ai.") { // of an instrumentation that has it in more detail
		readGenAI(sp, r)
	}
	input, output := sp.get("langfuse.observation.input"), sp.get("langfuse.observation.output")
	switch r.kind {
	case KindTool:
		if r.tool == nil {
			r.tool = &ToolIO{Name: anyOf(sp.getText("gen_ai.tool.name"), sp.name)}
		}
		if r.tool.Args == "" {
			r.tool.Args, r.tool.ArgsErr = sp.memo.arguments(input)
			if r.tool.ArgsErr != "" && !isModels(r.tool.Args) {
				r.tool.ArgsErr = "" // plain text given to a function
			}
		}
		return
	case KindAgent:
		r.agent = sp.name
	}
	if r.in == nil {
		if ms, tools, ok := sp.memo.request(input, "user"); ok {
			r.in, r.tools = ms, tools
		}
	}
	if r.out == nil {
		whole := wholeAnswer(sp.memo.embedded(output))
		r.out, r.output = sp.memo.inOut(whole, "assistant", r.kind)
		fill(&r.finish, answerFinish(whole))
	}
}
