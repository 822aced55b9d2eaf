package gemini

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode"

	"google.golang.org/genai"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// read turns a response into an analysis. An answer that was cut is one all the same if it
// is complete: a model may go on with white space until the limit ends it.
func (a *Analyzer) read(resp *genai.GenerateContentResponse) (evalforge.Analysis, []byte, *failure) {
	text, f := content(resp)
	if f != nil {
		if f.kind == extract.KindTruncated && len(f.answer) > 0 {
			if an, broken := a.decode(string(f.answer)); broken == nil {
				return an, f.answer, nil
			}
		}
		return evalforge.Analysis{}, nil, f
	}
	an, f := a.decode(text)
	return an, []byte(text), f
}

// finishOf returns why an accepted answer ended, or "" if it was complete.
func finishOf(resp *genai.GenerateContentResponse) string {
	switch r := resp.Candidates[0].FinishReason; r {
	case genai.FinishReasonStop:
		return ""
	case "":
		return "unspecified"
	default:
		return reason(string(r))
	}
}

// content returns the text of a complete answer. Whatever did not finish with STOP is a
// failure of its own kind: the SDK's Text method would return "" for most of them.
func content(resp *genai.GenerateContentResponse) (string, *failure) {
	if p := resp.PromptFeedback; p != nil && p.BlockReason != "" {
		f := failed(extract.KindBlocked, "the prompt was blocked: %s", reason(string(p.BlockReason)))
		f.final = aboutContent(string(p.BlockReason))
		return "", f
	}
	if len(resp.Candidates) == 0 || resp.Candidates[0] == nil {
		return "", failed(extract.KindEmpty, "the response has no candidates").retryable()
	}
	c := resp.Candidates[0]
	text := textOf(c)
	switch c.FinishReason {
	case genai.FinishReasonStop:
	case genai.FinishReasonMaxTokens:
		f := failed(extract.KindTruncated, "the answer was cut at the output limit").with(text)
		f.cut = true
		return "", f
	case "", genai.FinishReasonUnspecified, genai.FinishReasonContinuation:
		if text != "" {
			return "", failed(extract.KindTruncated, "the answer came without a finish reason: it may be incomplete").with(text)
		}
		return "", failed(extract.KindEmpty, "the answer is empty and came without a finish reason").retryable()
	default:
		f := failed(extract.KindBlocked, "the answer was withheld: %s", reason(string(c.FinishReason))).with(text)
		f.final = aboutContent(string(c.FinishReason))
		return "", f
	}
	if strings.TrimSpace(text) == "" {
		return "", failed(extract.KindEmpty, "the answer has no text").retryable()
	}
	return text, nil
}

// aboutContent reports a reason that lies in what is asked, so that the same question would be
// refused again. Others, such as OTHER, may pass.
func aboutContent(reason string) bool {
	switch genai.FinishReason(reason) {
	case genai.FinishReasonSafety, genai.FinishReasonRecitation, genai.FinishReasonBlocklist, genai.FinishReasonProhibitedContent, genai.FinishReasonSPII:
		return true
	}
	return false
}

// reason returns a reason as the service named it. New ones are passed on, but only in
// the form of a name.
func reason(s string) string {
	if !isCode(s) || len(s) > 64 {
		return "for an unknown reason"
	}
	return s
}

// textOf joins the text of a candidate, thoughts left out.
func textOf(c *genai.Candidate) string {
	if c.Content == nil {
		return ""
	}
	var b strings.Builder
	for _, p := range c.Content.Parts {
		if p != nil && !p.Thought {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

// decode reads an answer's text. It is one JSON object that meets the schema; white
// space and a Markdown fence around it are all that is forgiven.
func (a *Analyzer) decode(text string) (evalforge.Analysis, *failure) {
	var none evalforge.Analysis
	body := unfence(text)
	d := json.NewDecoder(strings.NewReader(body))
	var v any
	if err := d.Decode(&v); err != nil {
		return none, failed(extract.KindInvalidJSON, "the answer is not JSON: %s", syntax(err, body)).with(text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return none, failed(extract.KindInvalidJSON, "the answer is not JSON: text follows after the object").with(text)
	}
	if err := a.answer.Validate(v); err != nil {
		list := problems(a.answer.Schema(), v, "")
		if len(list) == 0 {
			list = []string{"a rule that has no message"}
		}
		const most = 8
		if len(list) > most {
			list = append(list[:most], "and more")
		}
		return none, failed(extract.KindSchema, "the answer breaks the schema: %s", strings.Join(list, "; ")).with(text)
	}
	// Written anew, because JSON has more ways to write an integer (3.0, 3e0) than Go reads.
	norm, err := json.Marshal(v)
	if err != nil {
		return none, failed(extract.KindInvalidJSON, "the answer cannot be read").with(text)
	}
	var an evalforge.Analysis
	if err := json.Unmarshal(norm, &an); err != nil {
		return none, failed(extract.KindSchema, "the answer breaks the schema: %s", typeProblem(err)).with(text)
	}
	return an, nil
}

// unfence removes white space, a byte order mark and one Markdown code fence around s.
func unfence(s string) string {
	s = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(s), "\uFEFF"))
	rest, ok := strings.CutPrefix(s, "```")
	if !ok {
		return s
	}
	inner, ok := strings.CutSuffix(rest, "```")
	if !ok {
		return s
	}
	return strings.TrimSpace(strings.TrimLeftFunc(inner, unicode.IsLetter)) // the fence's language
}

// syntax describes a JSON error without the text around it.
func syntax(err error, body string) string {
	var s *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &s) && int(s.Offset) >= len(body):
		return "it ends early"
	case errors.As(err, &s):
		return "syntax error at byte " + itoa(s.Offset)
	}
	return "it cannot be parsed"
}

// typeProblem names the field of a decoding error without its value.
func typeProblem(err error) string {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return name(t.Field) + " cannot be read as " + t.Type.String()
	}
	return "a field cannot be read"
}
