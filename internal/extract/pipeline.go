package extract

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

// DefaultBudget is how many bytes of a trace an analyzer is sent unless a setting says
// otherwise: 32 KiB, about ten thousand tokens. Compaction brings most traces under it
// without cutting; [trace.MaxBytes] bounds it.
const DefaultBudget = 32 << 10

// A Pipeline is the path of one trace, from the raw document to a pattern that is ready
// to be stored. It has no state and does no I/O but the analyzer's: evaluation uses it
// without a store.
type Pipeline struct {
	Analyzer Analyzer
	Redactor *redact.Redactor
	// Budget bounds the bytes of the compacted trace; 0 means [DefaultBudget]. It is held
	// between 1 KiB and [trace.MaxBytes].
	Budget int
	Now    func() time.Time
	// Reuse keeps the answers of an analyzer that is [Versioned]; nil: none are kept.
	Reuse *Reuse
}

// An Extraction is the result of one trace.
type Extraction struct {
	Pattern evalforge.Pattern
	Spent   Spent
	// Redactions counts, by kind, the values that are replaced in the trace, whenever that
	// was done, and those that were replaced in the answer.
	Redactions redact.Counts
	// Stages is how long it took; what it waited for turns is not taken out of Analyze.
	Stages evalforge.Stages
}

// Prepare decodes, redacts and compacts a raw trace and finds its signals. Its errors
// are of KindInvalidTrace.
func (p *Pipeline) Prepare(raw evalforge.RawTrace) (*Input, error) {
	in, err := p.View(raw)
	if err != nil {
		return nil, err
	}
	in.Signals = signal.Detect(in.Trace, in.FailureType)
	return in, nil
}

// View is [Pipeline.Prepare] without the signals, which take nine tenths of its time: for
// people who look at the trace.
//
// Redaction comes first, on the whole document, so that not even a decoder's warning
// can carry what it removes.
func (p *Pipeline) View(raw evalforge.RawTrace) (*Input, error) {
	if err := raw.Validate(); err != nil {
		return nil, &Error{Kind: KindInvalidTrace, Err: err}
	}
	payload, _, err := p.Redactor.JSON(trace.Whole(raw.Payload))
	if err != nil {
		return nil, &Error{Kind: KindInvalidTrace, Err: fmt.Errorf("trace_payload could not be redacted, so nothing of it is used: %w", err)}
	}
	t, err := trace.Decode(payload)
	if err != nil {
		return nil, &Error{Kind: KindInvalidTrace, Err: fmt.Errorf("trace_payload: %w", err)}
	}
	text := func(s string) string {
		out, _ := p.Redactor.Text(s)
		return out
	}
	return &Input{
		TraceID:     raw.TraceID,
		FailureType: text(raw.FailureType),
		Severity:    text(raw.Severity),
		ServiceName: text(raw.ServiceName),
		Trace:       t,
		Compacted:   trace.Compact(t, p.budget()),
		Redactions:  placeholders(payload),
		Digest:      raw.Digest(),
		BytesBefore: len(payload),
	}, nil
}

// placeholders counts the placeholders in a redacted payload by kind. Most traces were
// redacted before they were stored, so what is replaced now says nothing.
func placeholders(payload []byte) redact.Counts {
	counts := redact.Counts{}
	for _, m := range placeholder.FindAllSubmatch(payload, -1) {
		counts[redact.Kind(m[1])]++
	}
	return counts
}

func (p *Pipeline) budget() int {
	b := p.Budget
	if b == 0 {
		b = DefaultBudget
	}
	return min(max(b, 1<<10), trace.MaxBytes)
}

// Extract takes one trace all the way: prepare, analyze, validate, verify the evidence,
// redact the answer. An answer that is refused is asked for once more, with the reasons.
// The pattern's run id is left to the caller. Errors are [*Error]; what failed attempts
// cost is in them.
func (p *Pipeline) Extract(ctx context.Context, raw evalforge.RawTrace) (Extraction, error) {
	start := p.Now()
	in, err := p.Prepare(raw)
	stages := evalforge.Stages{Prepare: p.since(start)}
	if err != nil {
		return Extraction{Stages: stages}, err
	}
	if err := ctx.Err(); err != nil {
		return Extraction{Stages: stages}, &Error{Kind: KindOf(context.Cause(ctx)), Err: fmt.Errorf("before the analysis: %w", context.Cause(ctx))}
	}
	in.stages = &stages
	f, err := p.answerOnce(ctx, in)
	if err != nil {
		return Extraction{Stages: stages}, p.redactError(asError(ctx, err))
	}
	f.redactions.Add(in.Redactions)
	return Extraction{Pattern: f.pattern, Spent: f.spent, Redactions: f.redactions, Stages: stages}, nil
}

// redactError returns e with its text redacted: what a service says about a request may quote
// it, and errors are printed, logged and stored.
func (p *Pipeline) redactError(e *Error) *Error {
	text, counts := p.Redactor.Text(e.Err.Error())
	if counts.Total() == 0 {
		return e
	}
	c := *e
	c.Err = &cleanError{text, e.Err}
	return &c
}

// A cleanError is an error with a redacted text.
type cleanError struct {
	text string
	err  error
}

func (e *cleanError) Error() string { return e.text }
func (e *cleanError) Unwrap() error { return e.err }

// since returns the milliseconds since a time.
func (p *Pipeline) since(start time.Time) int64 { return p.Now().Sub(start).Milliseconds() }

// asError gives err a kind. An analyzer that failed because the trace's time was up is
// a timeout, whatever it made of it.
func asError(ctx context.Context, err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Kind: KindOf(err), Err: err}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && e.Kind != KindTimeout && e.Kind != KindHalted {
		e = &Error{Kind: KindTimeout, Err: fmt.Errorf("the trace's time budget ran out: %w", e.Err), Response: e.Response, Spent: e.Spent}
	}
	return e
}

// A finished is an answer that was accepted.
type finished struct {
	pattern    evalforge.Pattern
	spent      Spent
	redactions redact.Counts // in the answer
	answer     *Answer
	repaired   Kind // why an answer before it was refused, or ""
	doubts     []error
}

// finish turns an answer into a pattern: tidy, validate, verify, weigh, redact, disarm,
// validate again (a placeholder can be longer than what it replaces). repaired is why an
// earlier answer was refused, or "".
func (p *Pipeline) finish(in *Input, ans *Answer, repaired Kind) (*finished, *Error) {
	fail := func(k Kind, err error) (*finished, *Error) { return nil, &Error{Kind: k, Err: err} }
	a := clone(ans.Analysis)
	tidy(&a)
	if err := errors.Join(a.Validate(), checkLabel(a.TriggerCondition)); err != nil {
		return fail(KindSchema, fmt.Errorf("the answer is not a valid analysis: %w", inOneLine(err)))
	}
	found, err := verify(&a, in, ans.Computed)
	if err != nil {
		return fail(KindEvidence, inOneLine(err))
	}
	given := a.Confidence
	stored, moves := confidence(weigh(in, ans, &a, found, repaired))
	a.Confidence, a.ConfidenceRationale = stored, explain(a.ConfidenceRationale, given, stored, moves)
	counts, err := p.redactAnalysis(&a)
	if err != nil {
		return fail(KindInternal, err)
	}
	disarm(&a)
	pat := evalforge.Pattern{
		PatternID:     evalforge.PatternID(in.TraceID),
		SourceTraceID: in.TraceID,
		Analysis:      a,
		ExtractedAt:   evalforge.At(p.Now()),
		Fingerprint:   Fingerprint(&a),
		Provenance:    p.provenance(in, ans),
	}
	pv := &pat.Provenance
	pv.ModelConfidence, pv.ConfidenceMoves = &given, moves
	pv.QuotesDropped, pv.Repaired = found.dropped, string(repaired)
	if err := pat.Validate(); err != nil {
		return fail(KindSchema, fmt.Errorf("the answer is not a valid pattern: %w", inOneLine(err)))
	}
	return &finished{pat, ans.spent(), counts, ans, repaired, found.doubts}, nil
}

// provenance says how an answer came about.
func (p *Pipeline) provenance(in *Input, ans *Answer) evalforge.Provenance {
	v := evalforge.Provenance{
		ServiceName:      name(in.ServiceName),
		Analyzer:         p.Analyzer.Name(),
		Model:            ans.Model,
		ModelVersion:     name(ans.ModelVersion),
		PromptSHA256:     ans.PromptSHA256,
		Temperature:      ans.Temperature,
		SchemaSHA256:     evalforge.AnalysisSchemaSHA256(),
		RedactionVersion: redact.Version,
		Redactions:       in.Redactions.Strings(),
		InputDigest:      in.Digest,
		BytesBefore:      in.BytesBefore,
		BytesAfter:       len(in.Compacted.JSON),
		BytesCut:         in.Compacted.BytesCut,
		StepsOmitted:     in.Compacted.StepsOmitted,
		Format:           in.Trace.Format,
		Warnings:         names(in.Trace.Warnings),
		Tokens:           ans.Tokens,
		CostUSD:          ans.CostUSD,
		Attempts:         ans.Attempts,
		LatencyMS:        ans.Latency.Milliseconds(),
	}
	// An analyzer with successors says which model the settings name.
	if a, ok := p.Analyzer.(interface{ ConfiguredModel() string }); ok && a.ConfiguredModel() != ans.Model {
		v.ConfiguredModel = a.ConfiguredModel()
	}
	return v
}

// names makes what decoding says of a trace fit to be stored: it may name parts of it.
func names(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = name(s)
	}
	return out
}

func inOneLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// redactAnalysis passes every string of a through the redactor.
func (p *Pipeline) redactAnalysis(a *evalforge.Analysis) (redact.Counts, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("redacting the answer: %w", err)
	}
	out, counts, err := p.Redactor.JSON(b)
	if err != nil {
		return nil, fmt.Errorf("redacting the answer: %w", err)
	}
	var r evalforge.Analysis
	if err := json.Unmarshal(out, &r); err != nil {
		return nil, fmt.Errorf("redacting the answer: %w", err)
	}
	*a = r
	return counts, nil
}

// Fingerprint returns a stable digest of what failed where: failure type, trigger
// condition, and the name and agent of the failing step with numbers folded. Equal
// failures of one application have equal fingerprints whatever the trace's values.
func Fingerprint(a *evalforge.Analysis) string {
	parts := []string{string(a.FailureType), evalforge.NormalizeLabel(a.TriggerCondition)}
	if f := a.FailingStep; f != nil {
		parts = append(parts, foldDigits(f.Name), foldDigits(f.Agent))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// foldDigits replaces every run of digits by "#".
func foldDigits(s string) string {
	var b strings.Builder
	in := false
	for _, r := range s {
		if unicode.IsDigit(r) {
			if !in {
				b.WriteByte('#')
			}
			in = true
			continue
		}
		in = false
		b.WriteRune(r)
	}
	return b.String()
}
