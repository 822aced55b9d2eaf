package trace

// MLflow's spans: inputs, outputs and the kind of a span are attributes that hold JSON:
// https://mlflow.org/docs/latest/genai/tracing/concepts/span/

func isMLflow(sp *span) bool {
	return sp.has("mlflow.spanInputs", "mlflow.spanOutputs", "mlflow.spanType")
}

func readMLflow(sp *span, r *reading) {
	kind, _ := embedded(sp.get("mlflow.spanType")).(string)
	if r.kind = kindOf(kind); kind == "UNKNOWN" {
		r.kind = KindChain
	}
	input, output := sp.memo.embedded(sp.get("mlflow.spanInputs")), sp.memo.embedded(sp.get("mlflow.spanOutputs"))
	usage := sp.memo.object(sp.get("mlflow.chat.tokenUsage"))
	r.tokens = readTokens(usage)
	switch r.kind {
	case KindTool:
		name, _ := embedded(sp.get("mlflow.spanFunctionName")).(string)
		r.tool = &ToolIO{Name: anyOf(name, sp.name)}
		r.tool.Args, r.tool.ArgsErr = sp.memo.arguments(input)
		if r.tool.ArgsErr != "" && !isModels(r.tool.Args) {
			r.tool.ArgsErr = "" // plain text given to a function
		}
		if msg, ok := toolMessage(output); ok {
			r.tool.CallID, r.tool.Result, r.tool.HasResult, r.tool.IsErr = msg.ToolID, msg.Text, true, msg.IsErr
		} else if output != nil {
			r.tool.Result, r.tool.HasResult, r.tool.IsErr = resultText(output), true, isErrorResult(output)
		}
		return
	case KindAgent:
		r.agent = sp.name
	}
	request := sp.memo.object(input)
	r.in, r.input = sp.memo.inOut(input, "user", r.kind)
	r.out, r.output = sp.memo.inOut(wholeAnswer(output), "assistant", r.kind)
	r.finish = answerFinish(output)
	r.model = firstText(request, "model")
	r.tools = sp.memo.parseTools(first(sp.attrs, "mlflow.chat.tools"))
	if r.tools == nil {
		r.tools = sp.memo.parseTools(first(request, "tools", "functions"))
	}
	r.complete = true
}
