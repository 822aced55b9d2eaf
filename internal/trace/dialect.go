package trace

import (
	"slices"
	"strings"
)

// A reading is what was understood of a span. Fields that stay zero are filled by the
// generic reading.
type reading struct {
	kind          Kind
	agent, model  string
	finish        string
	tokens        Tokens
	in, out       []Message
	tools         []Tool
	tool          *ToolIO
	input, output string
	noTokens      bool // the counts that the span states are sums of its children's
	complete      bool // input and output are as they should be, even where empty
}

// A dialect is one vocabulary of span attributes.
type dialect struct {
	format string // as in Trace.Format
	match  func(*span) bool
	read   func(*span, *reading)
}

// dialects returns the dialects in the order in which they are asked. Vercel and
// Traceloop also set gen_ai.* attributes, so they come before GenAI, and so do the others.
func dialects() []dialect { return registeredDialects }

// registeredDialects is set once, by init, because readers look for parts of other dialects.
var registeredDialects []dialect

func init() {
	registeredDialects = []dialect{
		{FormatOpenInference, isOpenInference, readOpenInference},
		{FormatVercel, isVercel, readVercel},
		{FormatTraceloop, isTraceloop, readTraceloop},
		{FormatLangSmithOTel, isLangSmithOTel, readLangSmithOTel},
		{FormatLangfuseOTel, isLangfuseOTel, readLangfuseOTel},
		{FormatMLflow, isMLflow, readMLflow},
		{FormatADKOTel, isADKSpan, readADKSpan},
		{FormatGenAI, isGenAI, readGenAI},
	}
}

// lookup returns the lookup of the attributes.
func (sp *span) lookup() lookup {
	if sp.summary.keys == 0 { // more may come
		return lookAlways(sp.attrs)
	}
	return lookup{sp.attrs, sp.summary}
}

// set gives the span an attribute while it is interpreted.
func (sp *span) set(k string, v any) {
	sp.attrs[k] = v
	if sp.summary.keys != 0 { // else all of them are looked for
		sp.summary.add(k)
	}
}

// has reports whether the span has an attribute under one of keys.
func (sp *span) has(keys ...string) bool { return sp.lookup().has(keys...) }

// hasPrefix reports whether the span has an attribute that starts with one of prefixes.
func (sp *span) hasPrefix(prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, sp.lookup().hasPrefix)
}

// indexed returns the list that attributes such as prefix.0.a spell out, as [indexed] does.
func (sp *span) indexed(prefix string) []any {
	if !sp.lookup().mayStart(prefix) {
		return nil
	}
	return sp.memo.indexed(sp.attrs, prefix)
}

func (sp *span) get(keys ...string) any        { return sp.lookup().first(keys...) }
func (sp *span) getText(keys ...string) string { return sp.lookup().text(keys...) }

// interpret reads sp by its dialect, then fills in what any emitter may have said, and
// returns the dialect's format, or "".
func interpret(sp *span) (reading, string) {
	r := reading{tokens: unknownTokens}
	format := ""
	sp.summary = lookupIn(sp.attrs).summary
	if sp.read != nil {
		sp.read(sp, &r)
	} else if d, ok := dialectOf(sp); ok {
		d.read(sp, &r)
		format = d.format
		if r.silent() {
			readOthers(sp, &r, format)
		}
	}
	readGeneric(sp, &r)
	if r.noTokens {
		r.tokens = unknownTokens
	}
	return r, format
}

// silent reports whether a reading has found neither what a span was given nor what it
// gave.
func (r *reading) silent() bool {
	return r.in == nil && r.out == nil && r.input == "" && r.output == "" && r.tool == nil && !r.complete
}

// readOthers fills what is open after sp was read in one dialect by what it says in
// others: instrumentation that names a span's kind in one vocabulary may write its
// messages in another.
func readOthers(sp *span, r *reading, format string) {
	for _, d := range dialects() {
		if d.format == format || !d.match(sp) {
			continue
		}
		other := reading{tokens: unknownTokens}
		d.read(sp, &other)
		if other.silent() {
			continue
		}
		r.in, r.out, r.input, r.output, r.tool = other.in, other.out, other.input, other.output, other.tool
		fill(&r.finish, other.finish)
		fill(&r.model, other.model)
		if r.kind == "" {
			r.kind = other.kind
		}
		if r.tools == nil {
			r.tools = other.tools
		}
		if r.tokens == unknownTokens {
			r.tokens = other.tokens
		}
		return
	}
}

// dialectOf returns the dialect of sp's attributes, if they are of one.
func dialectOf(sp *span) (d dialect, ok bool) {
	for _, d := range dialects() {
		if d.match(sp) {
			return d, true
		}
	}
	return dialect{}, false
}

// readTokens reads token counts under the names that emitters use.
func readTokens(m map[string]any) Tokens {
	if len(m) == 0 {
		return unknownTokens
	}
	return tokensIn(lookupIn(m))
}

// tokensIn is readTokens for an object that was looked at.
func tokensIn(l lookup) Tokens {
	t := Tokens{
		In: l.count("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens",
			"ai.usage.inputTokens", "ai.usage.promptTokens", "input_tokens", "prompt_tokens", "inputTokens", "promptTokens", "tokens_in", "usage.input_tokens", "usage.prompt_tokens", "usageDetails.input", "usage.input", "promptTokenCount", "prompt_token_count", "input"),
		Out: l.count("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion", "llm.usage.completion_tokens",
			"ai.usage.outputTokens", "ai.usage.completionTokens", "output_tokens", "completion_tokens", "outputTokens", "completionTokens", "tokens_out", "usage.output_tokens", "usage.completion_tokens", "usageDetails.output", "usage.output", "candidatesTokenCount", "candidates_token_count", "output"),
		Cached: l.count("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "llm.token_count.prompt_details.cache_read",
			"ai.usage.cachedInputTokens", "cache_read_input_tokens", "cached_tokens", "cache_read_tokens", "cachedContentTokenCount"),
	}
	for _, k := range [...]string{"prompt_tokens_details", "input_tokens_details", "input_token_details"} { // OpenAI's, and LangChain's
		if t.Cached < 0 && l.get(k) != nil {
			t.Cached = count(object(l.get(k)), "cached_tokens", "cache_read")
		}
	}
	return t
}

// kindWords maps the words that emitters use for a span's kind.
func kindOf(word string) Kind {
	switch strings.ToLower(word) {
	case "llm", "generation", "chat", "completion", "text_completion", "generate_content", "chat_model", "model", "responses":
		return KindLLM
	case "tool", "execute_tool", "tool_call", "function", "mcp_tool":
		return KindTool
	case "retriever", "retrieval", "reranker", "rerank", "embedding", "embeddings", "vector_search":
		return KindRetrieval
	case "agent", "invoke_agent", "create_agent", "plan":
		return KindAgent
	case "chain", "workflow", "task", "parser", "prompt", "guardrail", "evaluator", "invoke_workflow", "evaluation":
		return KindChain
	}
	return ""
}

// guessKind tells a span's kind by its own words for it, then by what it carries, then
// by its name.
func guessKind(sp *span, r *reading) Kind {
	for _, w := range [...]string{
		sp.getText("openinference.span.kind", "traceloop.span.kind", "langsmith.span.kind", "langfuse.observation.type", "span.type", "spring.ai.kind"),
		sp.getText("gen_ai.operation.name"), sp.kind,
	} {
		if k := kindOf(w); k != "" {
			return k
		}
	}
	name := strings.ToLower(sp.name)
	switch {
	case strings.HasPrefix(name, "agent"):
		return KindAgent
	case strings.HasPrefix(name, "tool"), strings.HasPrefix(name, "execute_tool"),
		sp.has("gen_ai.tool.name", "gen_ai.tool.call.id", "tool.name", "tool_name", "tool.args_json", "tool.result_json"):
		return KindTool
	case r.in != nil || r.out != nil, sp.has("gen_ai.request.model", "llm.model_name") && !sp.has("gen_ai.agent.name", "agent.name"),
		strings.HasPrefix(name, "llm"), strings.HasPrefix(name, "chat "), slices.ContainsFunc(clientCalls[:], func(call string) bool { return strings.Contains(name, call) }):
		return KindLLM
	case sp.has("gen_ai.agent.name", "agent.name", "agent_name"):
		return KindAgent
	case strings.Contains(name, "retriev"), strings.Contains(name, "embedding"):
		return KindRetrieval
	}
	return KindChain
}

// clientCalls are what tracers of providers' clients name a model's call after.
var clientCalls = [...]string{"chat.completions", "chatcompletion", "messages.create", "responses.create", "generate_content", "generatecontent"}

// Keys under which emitters without a dialect of their own put things.
var (
	inputKeys = [...]string{"input.value", "agent.input_message", "traceloop.entity.input", "langfuse.observation.input", "gen_ai.task.input", "gen_ai.retrieval.query.text", "reranker.query",
		"input", "inputs", "task.input", "request", "query", "prompt", "user_prompt", "question"}
	outputKeys = [...]string{"output.value", "agent.output_message", "traceloop.entity.output", "langfuse.observation.output", "gen_ai.task.output", "gen_ai.retrieval.documents",
		"output", "outputs", "response", "completion", "result", "model_response", "answer"}
	toolArgKeys = [...]string{"gen_ai.tool.call.arguments", "tool.args_json", "tool.arguments", "tool.args", "tool_call.function.arguments",
		"ai.toolCall.args", "tool.input", "tool_input", "tool_args", "tool_arguments", "mcp.tool.arguments", "spring.ai.tool.call.arguments"}
	toolResultKeys = [...]string{"gen_ai.tool.call.result", "tool.result_json", "tool.result", "ai.toolCall.result", "tool.output", "tool_output", "tool_response", "mcp.tool.result", "spring.ai.tool.call.result"}
	toolNameKeys   = [...]string{"gen_ai.tool.name", "tool.name", "ai.toolCall.name", "tool_name", "mcp.tool.name", "spring.ai.tool.definition.name", "tool"}
	toolIDKeys     = [...]string{"gen_ai.tool.call.id", "tool_call.id", "ai.toolCall.id", "tool.call_id", "tool.id", "tool_call_id"}
	agentKeys      = [...]string{"gen_ai.agent.name", "agent.name", "agent_name", "agent", "graph.node.name", "graph.node.id", "langgraph_node", "metadata.langgraph_node"}
	modelKeys      = [...]string{"gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "ai.response.model", "ai.model.id",
		"model", "model_name", "llm.request.model", "metadata.ls_model_name"}
	sessionKeys = [...]string{"session.id", "gen_ai.conversation.id", "langfuse.session.id", "traceloop.association.properties.session_id", "session_id", "sessionId"}
)

// readGeneric fills in what the dialect left open.
func readGeneric(sp *span, r *reading) {
	if r.agent == "" {
		r.agent = sp.getText(agentKeys[:]...)
	}
	if r.model == "" {
		r.model = sp.getText(modelKeys[:]...)
	}
	if r.tokens == unknownTokens {
		r.tokens = tokensIn(sp.lookup())
	}
	if r.finish == "" {
		r.finish = finishReason(sp.get("gen_ai.response.finish_reasons", "llm.finish_reason", "ai.response.finishReason", "finish_reason", "gen_ai.response.finish_reason"))
		if r.finish == "" {
			r.finish = sp.getText("llm.finish_reason", "ai.response.finishReason", "finish_reason", "gen_ai.response.finish_reason")
		}
	}
	if r.kind == "" {
		r.kind = guessKind(sp, r)
	}
	input, output := sp.get(inputKeys[:]...), sp.get(outputKeys[:]...)
	if sp.input != nil {
		input = sp.input
	}
	if sp.output != nil {
		output = sp.output
	}
	if r.kind == KindTool || sp.has(toolNameKeys[:]...) && sp.has(toolArgKeys[:]...) {
		readTool(sp, r, input, output)
	}
	if r.kind == KindTool || r.complete {
		return
	}
	if r.in == nil && r.input == "" {
		r.in, r.input = sp.memo.inOut(input, "user", r.kind)
		if r.tools == nil {
			if m := sp.memo.object(input); m != nil {
				r.tools = sp.memo.parseTools(first(m, "tools", "functions"))
			}
		}
	}
	if r.out == nil && r.output == "" {
		output = wholeAnswer(output)
		if m, ok := output.(map[string]any); ok && r.kind == KindLLM && r.tokens == unknownTokens {
			r.tokens = readTokens(object(first(m, usageKeys[:]...)))
		}
		r.out, r.output = sp.memo.inOut(output, "assistant", r.kind)
		if r.finish == "" {
			r.finish = answerFinish(sp.memo.embedded(output))
		}
	}
}

// inOut returns what v, a span's input or output, holds: messages, or else text.
func (c *memo) inOut(v any, role string, kind Kind) ([]Message, string) {
	v = unwrapValue(v)
	if v == nil {
		return nil, ""
	}
	if ms := c.parseMessages(v, role); ms != nil {
		return ms, ""
	}
	s := text(v)
	if kind == KindLLM && s != "" {
		if _, ok := v.(string); ok {
			return []Message{{Role: role, Text: s}}, ""
		}
	}
	return nil, s
}

// unwrapValue takes {"value": v} and {"input": v} and their like apart.
func unwrapValue(v any) any {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return v
	}
	for _, k := range [...]string{"value", "input", "output", "text"} {
		if inner := m[k]; inner != nil {
			return inner
		}
	}
	return v
}

// readTool reads a span's tool call; input and output are what it says it was given
// and gave.
func readTool(sp *span, r *reading, input, output any) {
	if r.tool == nil {
		r.tool = &ToolIO{}
	}
	io := r.tool
	if io.Name == "" {
		io.Name = sp.getText(toolNameKeys[:]...)
	}
	if io.Name == "" {
		io.Name = toolNameFromSpan(sp.name)
	}
	if io.CallID == "" {
		io.CallID = sp.getText(toolIDKeys[:]...)
	}
	if io.Args == "" && io.ArgsErr == "" {
		v := sp.get(toolArgKeys[:]...)
		if v == nil && r.kind == KindTool {
			v = unwrapValue(input)
			if m := sp.memo.object(v); m != nil && object(m["kwargs"]) != nil && list(m["args"]) != nil && len(m) == 2 { // a function's own
				if args := list(m["args"]); len(args) == 0 {
					v = m["kwargs"]
				} else if len(args) == 1 && len(object(m["kwargs"])) == 0 {
					v = args[0]
				}
			}
			io.Args, io.ArgsErr = sp.memo.arguments(v)
			if io.ArgsErr != "" && !isModels(text(v)) {
				io.ArgsErr = "" // a span's input that is plain text, not a model's arguments
			}
		} else {
			io.Args, io.ArgsErr = sp.memo.arguments(v)
		}
	}
	if !io.HasResult {
		v := sp.get(toolResultKeys[:]...)
		if v == nil && r.kind == KindTool {
			v = unwrapValue(output)
		}
		inner := sp.memo.embedded(v)
		if msg, ok := toolMessage(inner); ok {
			fill(&io.CallID, msg.ToolID)
			io.Result, io.HasResult, io.IsErr = msg.Text, true, io.IsErr || msg.IsErr
		} else if v != nil {
			io.Result, io.HasResult = resultText(v), true
			io.IsErr = io.IsErr || isErrorResult(inner)
		}
	}
	if schema := object(sp.get("gen_ai.tool.parameters")); schema != nil && r.tools == nil {
		r.tools = []Tool{{Name: io.Name, Schema: canonical(jsonSchema(schema))}}
	}
}

// toolMessage reads a tool's result that is a whole message, as LangChain's tools give it;
// its status says whether it is an error. It reports whether v is one.
func toolMessage(v any) (Message, bool) {
	m := object(v)
	if inner := object(m["output"]); inner != nil && len(m) == 1 {
		m = inner
	}
	switch {
	case m["lc"] != nil && m["kwargs"] != nil:
	case m["content"] != nil && (m["type"] == "tool" || m["tool_call_id"] != nil):
	default:
		return Message{}, false
	}
	if ms := parseMessage(m, "tool"); len(ms) > 0 && ms[0].Role == "tool" {
		return ms[0], true
	}
	return Message{}, false
}

// resultText returns a tool's result as text: a JSON string that only quotes another
// string is unquoted, everything else stays as it was written.
func resultText(v any) string {
	if s, ok := v.(string); ok {
		if len(s) > 1 && s[0] == '"' {
			if inner, ok := embedded(s).(string); ok {
				return inner
			}
			var once any
			once, err := readJSON(strings.NewReader(s))
			if inner, ok := once.(string); err == nil && ok {
				return inner
			}
		}
		return s
	}
	return text(v)
}

// isErrorResult reports whether a result marks itself as an error in one of the ways
// that protocols define: MCP's isError, or ok=false with an error.
func isErrorResult(v any) bool {
	m := object(v)
	if m == nil {
		return false
	}
	if truth(first(m, "isError", "is_error")) {
		return true
	}
	ok, isBool := m["ok"].(bool)
	return isBool && !ok && m["error"] != nil
}

func toolNameFromSpan(name string) string {
	for _, p := range [...]string{"execute_tool ", "tool call: ", "tool_call: ", "tool call ", "tool.", "tool: ", "tool:", "tools/call "} {
		if rest, ok := strings.CutPrefix(name, p); ok {
			return strings.TrimSpace(rest)
		}
	}
	return name
}
