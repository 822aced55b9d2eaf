package gemini

import (
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/evalforge/evalforge/internal/extract"
)

// EstimateTokens returns about how many tokens a model's tokenizer makes of a text,
// without one at hand: a word is one token and one more for each six letters beyond six, a
// digit is one, so are each two marks of punctuation and each run of white space that is not
// the single space before a word; letters of scripts without spaces are one each.
//
// It is for measuring and for showing estimates. What bounds a cost counts every byte.
func EstimateTokens(text string) int {
	n, i := 0, 0
	next := func() (rune, int) { return utf8.DecodeRuneInString(text[i:]) }
	run := func(is func(rune) bool) (length int) {
		for i < len(text) {
			r, size := next()
			if !is(r) {
				break
			}
			length++
			i += size
		}
		return length
	}
	for i < len(text) {
		r, size := next()
		switch {
		case unicode.IsSpace(r):
			if start := i; run(unicode.IsSpace) > 1 || text[start] != ' ' {
				n++
			}
		case unicode.IsDigit(r):
			n += run(unicode.IsDigit)
		case r > 0x2E7F && unicode.IsLetter(r):
			n++
			i += size
		case unicode.IsLetter(r):
			n += 1 + max(0, run(func(r rune) bool { return unicode.IsLetter(r) && r <= 0x2E7F })-1)/6
		default:
			n += (run(func(r rune) bool { return !unicode.IsSpace(r) && !unicode.IsDigit(r) && !unicode.IsLetter(r) }) + 1) / 2
		}
	}
	return n
}

// A Prompt is all the text of a request that is billed as input.
type Prompt struct {
	Instruction string
	Schema      string // as JSON
	Message     string
}

// Tokens returns about how many tokens the prompt has.
func (p *Prompt) Tokens() int {
	return EstimateTokens(p.Instruction) + EstimateTokens(p.Schema) + EstimateTokens(p.Message)
}

// PromptOf returns what a model is sent about a trace.
func PromptOf(in *extract.Input) (Prompt, error) {
	schema, err := requestSchema()
	if err != nil {
		return Prompt{}, fmt.Errorf("gemini: schema: %w", err)
	}
	b, err := json.Marshal(schema)
	if err != nil {
		return Prompt{}, fmt.Errorf("gemini: schema: %w", err)
	}
	msg, err := message(in, newMarker)
	if err != nil {
		return Prompt{}, fmt.Errorf("gemini: prompt: %w", err)
	}
	return Prompt{instruction(), string(b), msg}, nil
}
