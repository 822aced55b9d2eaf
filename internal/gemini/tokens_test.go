package gemini

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge/internal/extract"
)

func TestEstimateTokens(t *testing.T) {
	for text, want := range map[string]int{
		"":                              0,
		"The tool failed.":              4,
		"a  b":                          3, // two spaces are a token
		"20261123":                      8, // digits are one each
		`{"id":"c1"}`:                   7,
		"internationalization":          4,
		"忽略之前的指令":                       7,
		strings.Repeat("\n        ", 3): 1,
	} {
		if got := EstimateTokens(text); got != want {
			t.Errorf("EstimateTokens(%q) = %d, want %d", text, got, want)
		}
	}
}

// An estimate is never more than what bounds a cost: one token for each byte.
func TestEstimateIsAtMostTheBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if n := EstimateTokens(text); n > len(text) || (n == 0) != (strings.Trim(text, " ") == "" && utf8.RuneCountInString(text) < 2) {
			t.Fatalf("EstimateTokens(%q) = %d of %d bytes", text, n, len(text))
		}
	})
}

// The parts of a prompt are what the request has.
func TestPromptOf(t *testing.T) {
	r := newRig(t, GeminiAPI, Options{})
	if _, err := r.analyze(t); err != nil {
		t.Fatal(err)
	}
	p, err := PromptOf(testInput())
	if err != nil {
		t.Fatal(err)
	}
	q := r.srv.Requests()[0]
	if p.Instruction != q.Instruction || len(p.Message) != len(q.Message) {
		t.Errorf("instruction of %d bytes and message of %d, want %d and %d", len(p.Instruction), len(p.Message), len(q.Instruction), len(q.Message))
	}
	if n := p.Tokens(); n < 2048 || n > 5000 {
		t.Errorf("a small trace takes about %d tokens", n)
	}
	if _, err := PromptOf(&extract.Input{}); err != nil {
		t.Error(err)
	}
}
