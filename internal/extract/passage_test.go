package extract

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
)

func TestPassageFind(t *testing.T) {
	long := strings.Repeat("<nil> ", evalforge.MaxItemRunes)
	for _, test := range []struct{ text, quote, want string }{
		{"it is free of charge", "is free", "is free"},
		{"it is\n\t free  of charge", "is free of", "is\n\t free  of"},
		{"is it is free", "is free", "is free"},
		{`say "hi" now`, `say \"hi\" now`, `say "hi" now`},
		{"  padded quote ", " padded quote ", "padded quote"},
		{"it isfree", "is free", ""},
		{"short", "a longer quote than the text", ""},
		{"", "x", ""},
		{"x", "", ""},
		{"Grüße\u00a0aus Köln", "Grüße aus", "Grüße\u00a0aus"},
		{"TypeError: not <class 'int'> here", "TypeError: not ‹class 'int'›", "TypeError: not <class 'int'>"},
		{"value is <nil>.", "value is ‹nil›", "value is <nil>"},
		{"a <br> b <br> c", "‹br› c", "<br> c"},
		{"it said ‹so›", "said ‹so›", "said ‹so›"},
		{"\x1b[31merror:\x1b[0m disk full", "error: disk full", "error:\x1b[0m disk full"},
		{"ab\u202ecd\u2066ef gh", "abcdef gh", "ab\u202ecd\u2066ef gh"},
		{"see ![pic](https://a.example/x)", "see [pic] (https://a.example/x)", "see ![pic](https://a.example/x)"},
		{"say <b>\"hi\"</b>", `‹b›\"hi\"‹/b›`, "<b>\"hi\"</b>"},
		{long, cutRunes(strings.ReplaceAll(strings.ReplaceAll(long, "<", "‹"), ">", "›"), evalforge.MaxItemRunes), long[:evalforge.MaxItemRunes-1]},
	} {
		from, to := NewPassage(test.text).Find(test.quote)
		if got := test.text[from:to]; got != test.want {
			t.Errorf("%.60q in %.60q: got %.60q, want %.60q", test.quote, test.text, got, test.want)
		}
	}
}

// Whatever a quote was taken from, it is found there again in the form in which it is stored.
func TestPassageFindsWhatIsStored(t *testing.T) {
	pieces := rapid.SampledFrom([]string{"word", "é", "<class 'int'>", "<nil>", "</p>", "<!-- a -->", "<", ">", "‹x›", "\x1b[31m", "\x1b[0m",
		"\u202e", "\u200b", "\u2066", "![a](b)", "!![a][b]", "[c][d]", "]", "!", "(", "a\u200db", "1 < 2", `"q"`, `\n`, "\u2028", "[REDACTED:EMAIL:3f9a]"})
	space := rapid.SampledFrom([]string{" ", "  ", "\n", "\t \n"})
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(pieces, 1, 12).Draw(t, "pieces")
		for i := range words {
			words[i] += space.Draw(t, "space")
		}
		from := rapid.IntRange(0, len(words)-1).Draw(t, "from")
		to := rapid.IntRange(from+1, len(words)).Draw(t, "to")
		original := strings.Join(words[from:to], "")
		a := evalforge.Analysis{Evidence: evalforge.Evidence{Refs: []evalforge.EvidenceRef{{Quote: original}}}}
		tidy(&a)
		disarm(&a)
		stored := a.Evidence.Refs[0].Quote
		if strings.Trim(flatten(stored).text, " ") == "" {
			return // nothing is left of the quote that could be found
		}
		text := strings.Join(words, "")
		i, j := NewPassage(text).Find(stored)
		if j <= i {
			t.Fatalf("%q, stored as %q, is not found in %q", original, stored, text)
		}
		if got, want := strings.Trim(flatten(text[i:j]).text, " "), strings.Trim(flatten(original).text, " "); got != want {
			t.Errorf("%q, stored as %q: found %q", original, stored, text[i:j])
		}
	})
}
