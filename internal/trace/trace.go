// Package trace holds the one model of an agent's trace, a decoder per input format
// ([Decode]), the splitting of input files into traces ([Split]), and compaction
// ([Compact]).
//
// Decode never fails on an unknown shape: it keeps it as one opaque step. What it had
// to leave out it says in [Trace.Warnings].
package trace

import "time"

// Trace formats as Decode names them in [Trace.Format].
const (
	FormatOTLP          = "otlp"           // OTLP JSON; the dialect of its spans follows after a slash
	FormatOpenInference = "openinference"  // OTLP spans with OpenInference attributes
	FormatGenAI         = "genai"          // OTLP spans (and log events) with GenAI semantic-convention attributes
	FormatVercel        = "otlp/vercel"    // OTLP spans of Vercel's AI SDK
	FormatTraceloop     = "otlp/traceloop" // OTLP spans of Traceloop (OpenLLMetry), current and legacy
	FormatLangSmithOTel = "otlp/langsmith" // OTLP spans with LangSmith attributes
	FormatLangfuseOTel  = "otlp/langfuse"  // OTLP spans of Langfuse's SDKs
	FormatMLflow        = "otlp/mlflow"    // OTLP spans, and exports, of MLflow
	FormatPhoenix       = "phoenix"        // span dumps of Phoenix
	FormatLangfuse      = "langfuse"       // traces with observations
	FormatLangSmith     = "langsmith"      // runs, exported or in an SDK's batch
	FormatOpenAIAgents  = "openai-agents"  // traces and spans of OpenAI's Agents SDKs
	FormatDatadog       = "datadog"        // LLM Observability spans as SDKs send them
	FormatDatadogExport = "datadog-export" // LLM Observability spans as the Export API returns them
	FormatSpans         = "spans"          // a list of spans of any other emitter
	FormatDatadogSpan   = "evalforge/datadog"
	FormatSample        = "evalforge/sample"
	FormatFewShot       = "evalforge/few-shot"
	FormatLiveTest      = "evalforge/live-test"
	FormatSWEAgent      = "swe-agent"   // SWE-agent trajectories
	FormatClaudeCode    = "claude-code" // session logs of Claude Code
	FormatOpenAI        = "openai"      // chat messages with tool calls; requests to a model's API with its responses
	FormatADK           = "adk"         // sessions of Google's Agent Development Kit
	FormatADKOTel       = "otlp/adk"    // OTLP spans of the same
	FormatShareGPT      = "sharegpt"    // conversations of turns from somebody
	FormatAutoGen       = "autogen"     // multi-agent histories: AutoGen, Who&When
	FormatOpaque        = "opaque"      // anything else
)

// A Trace is one decoded trace: steps in execution order, and every message once.
type Trace struct {
	ID      string
	Format  string
	Service string
	Session string
	Start   time.Time // zero when unknown
	// Steps are in execution order: pre-order of the span tree, siblings by start time;
	// or the source's own sequence of messages or history entries.
	Steps []Step
	// Messages is the pool of distinct messages; steps refer to it by position.
	Messages []Message
	Tools    []Tool  // declared tools, each once
	Labels   []Label // verdicts of evaluators and guardrails
	// Dropped counts attributes that the emitter says it dropped (OTel's
	// droppedAttributesCount). Where it is not 0, absence of a field proves nothing.
	Dropped int
	// Warnings say what could not be decoded.
	Warnings []string
}

// Kind classifies a step.
type Kind string

// The kinds of step.
const (
	KindInput     Kind = "input"     // a user's or system's message in a message list
	KindLLM       Kind = "llm"       // a model's turn
	KindTool      Kind = "tool"      // execution of a tool, with its result
	KindRetrieval Kind = "retrieval" // retriever, reranker, embedding
	KindAgent     Kind = "agent"     // an agent's turn or invocation
	KindChain     Kind = "chain"     // workflow, task, parser, guardrail, evaluator
	KindOpaque    Kind = "opaque"    // content that was not understood
)

// Status is a step's outcome as the emitter stated it.
type Status string

// The statuses. Unset means that the emitter did not say.
const (
	Unset Status = ""
	OK    Status = "ok"
	Error Status = "error"
)

// A Step is one thing that happened.
type Step struct {
	// Index is the step's position as the source counts: the message or history entry
	// in a list, else the position in [Trace.Steps]. Indices are unique and ascend.
	Index  int
	ID     string // span id, or ""
	Parent string // span id of the parent, or ""
	Depth  int
	Kind   Kind
	Name   string // span, tool or role name
	Agent  string // the agent that acted, or ""
	Model  string
	Status Status
	Err    *Failure
	Start  time.Time // zero when unknown
	Dur    time.Duration
	Tokens Tokens
	// In are the messages the step was given, as positions in [Trace.Messages]: all of
	// them for a span; in a list of messages, where each is a step, those since the last
	// model's turn.
	In     []int
	Out    []int   // messages the step produced
	Tool   *ToolIO // for KindTool, and for spans of other kinds that record a call
	Finish string  // finish reason, or ""
	// Declared are the tools offered to a KindLLM step, as positions in [Trace.Tools].
	Declared []int
	// Text is content that is not a message: a span's input and output values, or the
	// text of an opaque step.
	Input, Output string
	Attrs         map[string]string // few, allow-listed; never nil-checked by readers
	Source        string            // JSON pointer of the step in the payload
}

// Tokens counts a step's tokens; -1 is unknown.
type Tokens struct{ In, Out, Cached int }

// A Failure is an error as a step recorded it.
type Failure struct {
	Type    string // exception type or the provider's error type
	Code    string // the provider's error code
	Message string
	Stack   string
	HTTP    int // HTTP status, or 0
}

// A ToolIO is one call of a tool with its result.
type ToolIO struct {
	CallID string
	Name   string
	Args   string // canonical JSON (sorted keys) when the arguments are JSON, else as given
	Result string
	// HasResult tells an empty result from an absent one.
	HasResult bool
	// IsErr is set when the emitter itself marked the result as an error.
	IsErr bool
	// ArgsErr says why Args is no JSON object, or "".
	ArgsErr string
}

// A Message is one message of a conversation. Two messages are the same when role,
// name, text, calls, tool id and refusal are.
type Message struct {
	Role    string // system, user, assistant, tool
	Name    string
	Text    string
	Calls   []Call
	ToolID  string // the call that a tool message answers
	IsErr   bool
	Refusal string
}

// A Call is a tool call that a model asked for.
type Call struct {
	ID   string
	Name string
	Args string // as in [ToolIO.Args]
	// ArgsErr says why Args is no JSON object, or "".
	ArgsErr string
}

// A Tool is a declared tool.
type Tool struct {
	Name        string
	Description string
	Schema      string // JSON Schema of the arguments, or ""
}

// A Label is the verdict of an evaluator or a guardrail about a trace or a step.
type Label struct {
	Name   string
	Value  string
	Score  *float64
	Source string // attribute or field it came from
	StepID string // span id, or "" for the whole trace
	// Explanation is the evaluator's own text, or "".
	Explanation string
}

// An Invocation is one use of a tool anywhere in a trace, whether the source recorded
// it as a span, as a message, or as both.
type Invocation struct {
	Step int // position in [Trace.Steps] of the tool's execution, or of the call when none was recorded
	// Caller is the position in [Trace.Steps] of the step that asked for the call, or -1.
	Caller int
	ToolIO
	Status Status
	Err    *Failure
}
