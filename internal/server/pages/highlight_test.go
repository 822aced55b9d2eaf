package pages

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLocate(t *testing.T) {
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
	} {
		from, to := locate(test.text, test.quote)
		if got := test.text[from:to]; got != test.want {
			t.Errorf("%q in %q: got %q, want %q", test.quote, test.text, got, test.want)
		}
	}
}

// A quote that was taken from a text is found in it, however its white space was folded.
func TestLocateFindsWhatIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zé"\\]{1,6}`), 1, 12).Draw(t, "words")
		space := rapid.SampledFrom([]string{" ", "  ", "\n", "\t \n"})
		var b strings.Builder
		for i, w := range words {
			if i > 0 {
				b.WriteString(space.Draw(t, "space"))
			}
			b.WriteString(w)
		}
		from := rapid.IntRange(0, len(words)-1).Draw(t, "from")
		to := rapid.IntRange(from+1, len(words)).Draw(t, "to")
		quote := strings.Join(words[from:to], " ")
		if i, j := locate(b.String(), quote); j <= i {
			t.Errorf("%q is not found in %q", quote, b.String())
		}
	})
}

// Nothing of a text is lost or doubled by dividing it.
func TestSegmentsAreTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-z ]{0,9}|\[REDACTED:EMAIL:3f9a\]|…\[12 bytes cut\]…){0,6}`).Draw(t, "text")
		var spans []span
		for at, n := 0, 1; ; n++ {
			from := at + rapid.IntRange(0, 9).Draw(t, "gap")
			to := from + rapid.IntRange(1, 9).Draw(t, "length")
			if to > len(text) {
				break
			}
			spans = append(spans, span{from, to, n})
			at = to
		}
		var got strings.Builder
		first := map[int]int{}
		for _, s := range segments(text, spans) {
			got.WriteString(s.Text)
			if s.Text == "" {
				t.Error("an empty segment")
			}
			if s.First {
				first[s.Mark]++
			}
		}
		if got.String() != text {
			t.Errorf("got %q, want %q", got.String(), text)
		}
		for _, sp := range spans {
			if first[sp.mark] != 1 {
				t.Errorf("quote %d begins %d times", sp.mark, first[sp.mark])
			}
		}
	})
}

func TestSegmentKinds(t *testing.T) {
	got := segments("mail [REDACTED:EMAIL:3f9a] now …[5 bytes cut]… end", []span{{0, 30, 1}})
	want := []segment{
		{Text: "mail ", Mark: 1, First: true}, {Text: "[REDACTED:EMAIL:3f9a]", Kind: "redacted", Mark: 1}, {Text: " now", Mark: 1},
		{Text: " "}, {Text: "…[5 bytes cut]…", Kind: "cut"}, {Text: " end"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
