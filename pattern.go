package evalforge

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Analysis is what an analyzer says about one failed trace: the part of a
// [Pattern] that a model writes. Its JSON Schema is [AnalysisSchema].
type Analysis struct {
	Title               string              `json:"title" jsonschema:"one line: what failed, at which step"`
	FailureType         FailureType         `json:"failure_type" jsonschema:"the category that fits best; other when none does"`
	TriggerCondition    string              `json:"trigger_condition" jsonschema:"short stable lower-case label of what sets the failure off, without names or numbers from the trace; taken from the vocabulary where one fits"`
	Summary             string              `json:"summary" jsonschema:"what happened, in order, naming steps"`
	RootCauseHypothesis string              `json:"root_cause_hypothesis" jsonschema:"why it happened; a hypothesis, said as such where the trace does not prove it"`
	Evidence            Evidence            `json:"evidence"`
	RecommendedActions  []string            `json:"recommended_actions" jsonschema:"what engineers should do, most useful first"`
	ReproductionContext ReproductionContext `json:"reproduction_context"`
	Severity            Severity            `json:"severity"`
	Confidence          float64             `json:"confidence" jsonschema:"0 to 1: the probability that failure_type and root cause are right"`
	ConfidenceRationale string              `json:"confidence_rationale" jsonschema:"what the confidence rests on and what speaks against it"`
	// FailingStep is null when no step can be named.
	FailingStep *FailingStep `json:"failing_step" jsonschema:"the earliest step that made the failure inevitable, or null"`
}

// Evidence is what in the trace supports a pattern.
type Evidence struct {
	Signals []string `json:"signals" jsonschema:"observations in the trace that support the finding"`
	// Excerpt is one short redacted quote, at most [MaxExcerptRunes] characters, or null.
	Excerpt *string `json:"excerpt" jsonschema:"the most telling passage, quoted verbatim from the trace, at most 500 characters, or null"`
	// Refs ties the finding to places in the trace.
	Refs []EvidenceRef `json:"refs" jsonschema:"verbatim quotes with the step they stand in"`
}

// An EvidenceRef is one quote and where it stands. Verified, SpanID, Match and Offset are
// set by the engine, never taken from a model.
type EvidenceRef struct {
	Step     *int   `json:"step" jsonschema:"index i of the step that the quote is from, or null"`
	SpanID   string `json:"span_id"`
	Quote    string `json:"quote" jsonschema:"verbatim text from that step, 8 to 300 characters, never containing a [REDACTED:…] placeholder alone"`
	Verified bool   `json:"verified"`
	Match    string `json:"match"` // exact, or whitespace: equal but for white space, invisible characters and how marks are written
	// Offset is where the quote begins, in bytes of the text that was sent, or null.
	Offset *int `json:"offset,omitempty"`
}

// ReproductionContext is what it takes to make the failure happen again. Downstream
// generators fall back to a template when InputPattern is blank.
type ReproductionContext struct {
	InputPattern  string   `json:"input_pattern" jsonschema:"the kind of input that leads to the failure, without personal data"`
	RequiredState *string  `json:"required_state" jsonschema:"state the system must be in, or null"`
	ToolsInvolved []string `json:"tools_involved" jsonschema:"names of the tools that take part; empty when none does"`
}

// A FailingStep names a step of the source trace.
type FailingStep struct {
	Index  int    `json:"index" jsonschema:"index i of the step"` // as the source counts its messages, history entries or spans, from 0
	SpanID string `json:"span_id"`
	Name   string `json:"name"`
	Agent  string `json:"agent"`
}

// A Pattern is one document of the failure_patterns collection. The document id is
// SourceTraceID.
type Pattern struct {
	PatternID     string `json:"pattern_id"` // "pattern_" + SourceTraceID; readers strip the prefix to find the document
	SourceTraceID string `json:"source_trace_id"`
	Analysis
	ExtractedAt Timestamp  `json:"extracted_at"`
	Processed   bool       `json:"processed"` // false as written; the next service's flag
	Fingerprint string     `json:"fingerprint"`
	Provenance  Provenance `json:"provenance"`
}

// PatternID returns the id of the pattern extracted from a trace.
func PatternID(traceID string) string { return "pattern_" + traceID }

// Provenance says how a pattern came about, completely enough to decide later whether
// it must be extracted anew.
type Provenance struct {
	RunID        string `json:"run_id"`
	ServiceName  string `json:"service_name"` // of the raw trace, redacted
	Analyzer     string `json:"analyzer"`
	Model        string `json:"model"`         // as requested, or "" for an analyzer without a model
	ModelVersion string `json:"model_version"` // as the service named the model that answered
	// ConfiguredModel is the model of the settings, where Model is a successor of it.
	ConfiguredModel  string         `json:"configured_model,omitempty"`
	PromptSHA256     string         `json:"prompt_sha256"`
	Temperature      *float64       `json:"temperature,omitempty"` // absent: the model takes none
	SchemaSHA256     string         `json:"schema_sha256"`
	RedactionVersion string         `json:"redaction_version"`
	Redactions       map[string]int `json:"redactions"`   // values replaced before analysis, by kind
	InputDigest      string         `json:"input_digest"` // [RawTrace.Digest]
	BytesBefore      int            `json:"bytes_before"` // the redacted payload
	BytesAfter       int            `json:"bytes_after"`  // what the analyzer was sent of it
	BytesCut         int            `json:"bytes_cut"`
	StepsOmitted     int            `json:"steps_omitted"`
	Format           string         `json:"format"`   // the trace format that was recognised
	Warnings         []string       `json:"warnings"` // what decoding had to leave out, redacted
	Tokens           Tokens         `json:"tokens"`
	CostUSD          float64        `json:"cost_usd"`
	Attempts         int            `json:"attempts"`   // calls of the model for this pattern
	LatencyMS        int64          `json:"latency_ms"` // of the analysis
	// ModelConfidence is the analyzer's own number; null in patterns that are older than
	// the field. ConfidenceMoves lead from it to the pattern's confidence.
	ModelConfidence *float64         `json:"model_confidence,omitempty"`
	ConfidenceMoves []ConfidenceMove `json:"confidence_moves,omitempty"`
	// QuotesDropped counts quotes that the analyzer gave and the trace does not hold. They
	// are not stored.
	QuotesDropped int `json:"quotes_dropped,omitempty"`
	// Repaired is why a first answer was refused, if this is the second: a kind of error.
	Repaired string `json:"repaired,omitempty"`
	// DerivedFrom is the trace whose analysis this one repeats, because both show the same
	// failure; such a pattern took no call. "" for all others.
	DerivedFrom string `json:"derived_from,omitempty"`
}

// A ConfidenceMove is one reason why a pattern's confidence is not its analyzer's.
type ConfidenceMove struct {
	Name   string  `json:"name"`   // evidence, step, signals, cut, finish, repair, no_failure, bound
	By     float64 `json:"by"`     // what it added; negative where it took away
	Reason string  `json:"reason"` // a clause for people
}

// Tokens counts what a model was given and gave.
type Tokens struct {
	Prompt int64 `json:"prompt"` // includes Cached
	Cached int64 `json:"cached"`
	Output int64 `json:"output"` // includes thinking
}

// Add returns the sum of t and u.
func (t Tokens) Add(u Tokens) Tokens {
	return Tokens{t.Prompt + u.Prompt, t.Cached + u.Cached, t.Output + u.Output}
}

// Bounds on the text of an analysis, in characters (runes) and items. MaxExcerptRunes
// is part of the stored contract; the others are generous, and keep a rambling answer
// out of documents that people read.
const (
	MaxExcerptRunes = 500
	MaxTitleRunes   = 300
	MaxTextRunes    = 4000
	MaxItemRunes    = 1000
	MaxItems        = 30
	MaxLabelRunes   = 80
)

// Validate reports everything that keeps a from being stored, each problem with its
// field: what the JSON Schema says, and what it cannot say (no blank strings, bounds
// on length, the form of labels).
func (a *Analysis) Validate() error {
	var v validator
	v.text("title", a.Title, MaxTitleRunes)
	v.err(a.FailureType.Validate())
	v.label("trigger_condition", a.TriggerCondition)
	v.text("summary", a.Summary, MaxTextRunes)
	v.text("root_cause_hypothesis", a.RootCauseHypothesis, MaxTextRunes)
	v.list("evidence.signals", a.Evidence.Signals, 1)
	if e := a.Evidence.Excerpt; e != nil {
		v.text("evidence.excerpt", *e, MaxExcerptRunes)
	}
	if len(a.Evidence.Refs) > MaxItems {
		v.add("evidence.refs", fmt.Sprintf("has %d items; at most %d are allowed", len(a.Evidence.Refs), MaxItems))
	}
	for i, r := range a.Evidence.Refs {
		v.text(fmt.Sprintf("evidence.refs[%d].quote", i), r.Quote, MaxItemRunes)
	}
	v.list("recommended_actions", a.RecommendedActions, 1)
	v.text("reproduction_context.input_pattern", a.ReproductionContext.InputPattern, MaxTextRunes)
	if s := a.ReproductionContext.RequiredState; s != nil {
		v.text("reproduction_context.required_state", *s, MaxTextRunes)
	}
	if a.ReproductionContext.ToolsInvolved == nil {
		v.add("reproduction_context.tools_involved", "must be a list, not null; use [] when no tool takes part")
	}
	v.list("reproduction_context.tools_involved", a.ReproductionContext.ToolsInvolved, 0)
	v.err(a.Severity.Validate())
	if !(a.Confidence >= 0 && a.Confidence <= 1) { // also catches NaN
		v.add("confidence", fmt.Sprintf("%v is not between 0 and 1", a.Confidence))
	}
	v.text("confidence_rationale", a.ConfidenceRationale, MaxTextRunes)
	if a.FailingStep != nil && a.FailingStep.Index < 0 {
		v.add("failing_step.index", "must not be negative")
	}
	return v.result()
}

// Validate reports everything that keeps p from being stored, each problem with its
// field.
func (p *Pattern) Validate() error {
	var v validator
	v.err(ValidateTraceID(p.SourceTraceID))
	if want := PatternID(p.SourceTraceID); p.PatternID != want {
		v.add("pattern_id", fmt.Sprintf("must be %q", want))
	}
	v.err(p.Analysis.Validate())
	if p.ExtractedAt.IsZero() {
		v.add("extracted_at", "must be set")
	}
	return v.result()
}

// NormalizeLabel returns a label in the form in which labels are compared: lower case,
// with every run of other characters than letters and digits as one space.
func NormalizeLabel(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), " ")
}

type validator struct{ errs []error }

func (v *validator) add(field, problem string) {
	v.errs = append(v.errs, &FieldError{Field: field, Problem: problem})
}

func (v *validator) err(err error) {
	if err != nil {
		v.errs = append(v.errs, err)
	}
}

func (v *validator) text(field, s string, max int) {
	if strings.TrimSpace(s) == "" {
		v.add(field, "must not be empty")
		return
	}
	if !utf8.ValidString(s) {
		v.add(field, "is not valid UTF-8")
	}
	if n := utf8.RuneCountInString(s); n > max {
		v.add(field, fmt.Sprintf("is %d characters long; at most %d are allowed", n, max))
	}
}

func (v *validator) list(field string, items []string, min int) {
	if len(items) < min {
		v.add(field, fmt.Sprintf("must have at least %d item", min))
	}
	if len(items) > MaxItems {
		v.add(field, fmt.Sprintf("has %d items; at most %d are allowed", len(items), MaxItems))
	}
	for i, s := range items {
		v.text(fmt.Sprintf("%s[%d]", field, i), s, MaxItemRunes)
	}
}

// label checks the style of a trigger condition. Downstream services merge patterns by
// the similarity of this string, so anything particular to one trace would keep equal
// failures apart.
func (v *validator) label(field, s string) {
	v.text(field, s, MaxLabelRunes)
	if strings.ContainsFunc(s, unicode.IsDigit) {
		v.add(field, "must not contain digits: it is a label, without values from the trace")
	}
	if strings.ContainsAny(s, "\n\r\t{}[]<>@\"`") {
		v.add(field, "must be plain words: it is a label, without values from the trace")
	}
}

func (v *validator) result() error { return errors.Join(v.errs...) }
