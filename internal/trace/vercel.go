package trace

import "strings"

// The AI SDK of Vercel: https://ai-sdk.dev/docs/ai-sdk-core/telemetry
//
// A call of generateText or streamText is a parent span with one child per model call
// (doGenerate, doStream) and per tool call, all siblings. The parent repeats prompt,
// answer and the sum of the tokens; every attempt at a model call is a child of its own.
// A failed tool call leaves its tool span without error: only the next model call's prompt
// has it, as a result of type error-text or error-json.

func isVercel(sp *span) bool { return sp.has("ai.operationId") }

func readVercel(sp *span, r *reading) {
	op := sp.getText("ai.operationId")
	switch {
	case op == "ai.toolCall":
		readVercelTool(sp, r)
		return
	case strings.HasSuffix(op, ".doGenerate"), strings.HasSuffix(op, ".doStream"):
		r.kind = KindLLM
		r.tokens = Tokens{
			In:     count(sp.attrs, "ai.usage.inputTokens", "ai.usage.promptTokens", "gen_ai.usage.input_tokens"),
			Out:    count(sp.attrs, "ai.usage.outputTokens", "ai.usage.completionTokens", "gen_ai.usage.output_tokens"),
			Cached: count(sp.attrs, "ai.usage.cachedInputTokens"),
		}
	case strings.HasPrefix(op, "ai.embed"):
		r.kind = KindRetrieval
		r.input = text(sp.get("ai.value", "ai.values"))
	default:
		r.kind = KindAgent
		r.agent = sp.getText("ai.telemetry.functionId")
		r.noTokens = true
	}
	r.model = sp.getText("ai.response.model", "ai.model.id")
	r.finish = sp.getText("ai.response.finishReason", "ai.finishReason")
	v := sp.get("ai.prompt.messages")
	if v == nil {
		v = sp.get("ai.prompt")
	}
	if m := object(sp.memo.held(v)); m != nil && scalar(m["prompt"]) != "" && m["messages"] == nil {
		r.in = append(systemPrompt(m), Message{Role: "user", Text: scalar(m["prompt"])})
	} else {
		r.in = sp.memo.conversation(v, "user")
	}
	out := Message{Role: "assistant", Text: sp.getText("ai.response.text", "ai.response.object", "ai.result.text", "ai.result.object")}
	out.Text = join(sp.getText("ai.response.reasoning"), out.Text) // as the next prompt has it
	readVercelCalls(sp, &out)
	if out.Text != "" || out.Calls != nil {
		r.out = []Message{out}
	}
	r.tools = sp.memo.parseTools(sp.get("ai.prompt.tools"))
}

// readVercelCalls adds the tool calls that a model asked for to its message.
func readVercelCalls(sp *span, out *Message) {
	v := sp.get("ai.response.toolCalls", "ai.result.toolCalls")
	calls, ok := sp.memo.held(v).([]any)
	if s := text(v); !ok && s != "" {
		sp.memo.note(s, false)
		out.Text = join(out.Text, s)
	}
	for _, c := range calls {
		if c := object(c); c != nil {
			out.Calls = append(out.Calls, parseCall(c))
		}
	}
}

func readVercelTool(sp *span, r *reading) {
	r.kind = KindTool
	r.tool = &ToolIO{Name: sp.getText("ai.toolCall.name"), CallID: sp.getText("ai.toolCall.id")}
	r.tool.Args, r.tool.ArgsErr = sp.memo.arguments(sp.get("ai.toolCall.args", "ai.toolCall.input"))
	if v := sp.get("ai.toolCall.result", "ai.toolCall.output"); v != nil {
		r.tool.Result, r.tool.HasResult = resultText(v), true
		r.tool.IsErr = isErrorResult(sp.memo.embedded(v))
	}
}
