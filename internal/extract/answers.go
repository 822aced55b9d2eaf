package extract

import (
	"context"

	"github.com/evalforge/evalforge"
)

// Answers keeps what models answered, so that no answer is paid for twice: not when a
// worker dies between an answer and its commit, and not for copies of one failure.
type Answers interface {
	// Answer returns the answer kept under a key, or an error that matches
	// [evalforge.ErrNotFound].
	Answer(ctx context.Context, key string) (KeptAnswer, error)
	// SaveAnswer keeps an answer, in place of an older one with the same key. A store may
	// forget it after months.
	SaveAnswer(ctx context.Context, a KeptAnswer) error
}

// A KeptAnswer is a model's answer that became a pattern. All text in it is redacted,
// and values that differ between copies of a failure, such as ids and times, are
// replaced by marks.
type KeptAnswer struct {
	Key     string `json:"key"`      // 64 hex digits, a SHA-256
	TraceID string `json:"trace_id"` // whose analysis was paid for; forgetting that trace deletes the answer
	// Digest identifies what was sent, exactly.
	Digest       string              `json:"digest"`
	SavedAt      evalforge.Timestamp `json:"saved_at"`
	Analysis     evalforge.Analysis  `json:"analysis"` // as the model gave it, before the engine judged it
	Model        string              `json:"model"`
	ModelVersion string              `json:"model_version"`
	PromptSHA256 string              `json:"prompt_sha256"`
	Temperature  *float64            `json:"temperature,omitempty"`
	Finish       string              `json:"finish,omitempty"`   // [Answer.Finish]
	Repaired     Kind                `json:"repaired,omitempty"` // why an answer before it was refused
	Tokens       evalforge.Tokens    `json:"tokens"`
	CostUSD      float64             `json:"cost_usd"`
	Attempts     int                 `json:"attempts"`
	LatencyMS    int64               `json:"latency_ms"`
	// Quotes is how many of the quotes were found in the text that was sent.
	Quotes int `json:"quotes"`
	// Refused is nil, or says that the model's answers were refused for good: then there
	// is no analysis. It is kept under a key of its own.
	Refused *Refusal `json:"refused,omitempty"`
}

// A Refusal is why the answers about a trace were refused.
type Refusal struct {
	Kind   Kind   `json:"kind"`
	Reason string `json:"reason"` // redacted, with marks like the analysis
}
