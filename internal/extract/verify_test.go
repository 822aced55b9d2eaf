package extract

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestQuotesAreFound(t *testing.T) {
	doc, err := json.Marshal(map[string]any{"a": "line one\nline \"two\" of the text", "b": []string{"mail [REDACTED:EMAIL:ab12] now", "1234567890"}})
	if err != nil {
		t.Fatal(err)
	}
	h := newHaystack(doc)
	for quote, want := range map[string]string{
		`line "two" of the text`:         matchExact,
		"line one\nline":                 matchExact,
		"line one line":                  matchWhitespace,
		"  line   one\t\nline ":          matchWhitespace,
		`line \"two\" of the text`:       matchExact, // as it stands in the JSON
		"line three of the text":         matchAbsent,
		"one":                            matchAbsent, // too short
		"of the text mail":               matchAbsent, // runs across two strings
		"[REDACTED:EMAIL:ab12]":          matchAbsent, // a placeholder proves nothing
		"[REDACTED:EMAIL:ab12] now":      matchAbsent,
		"mail [REDACTED:EMAIL:ab12] now": matchAbsent, // seven letters are left
		"":                               matchAbsent,
		"\x00":                           matchAbsent,
		"1234567890":                     matchExact,
		strings.Repeat("line one\nline ", 100_000): matchAbsent,
	} {
		if got := h.find(quote); got != want {
			t.Errorf("find(%.60q) = %s, want %s", quote, got, want)
		}
	}
}

// Whatever is a substring of a string that was sent is found, if it is long enough.
func TestEveryPassageIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zäöü "\\<>&{}:,\n0-9]{20,200}`).Draw(t, "text")
		doc, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		runes := []rune(text)
		from := rapid.IntRange(0, len(runes)-1).Draw(t, "from")
		to := rapid.IntRange(from, len(runes)).Draw(t, "to")
		quote := string(runes[from:to])
		got := newHaystack(doc).find(quote)
		if long := letters(quote) >= MinQuoteRunes; (got == matchExact) != long {
			t.Fatalf("find(%q) = %s in %q", quote, got, text)
		}
	})
}
