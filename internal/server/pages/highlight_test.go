package pages

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Nothing of a text is lost or doubled by dividing it.
func TestSegmentsAreTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-z ]{0,9}|\[REDACTED:EMAIL:3f9a\]|…\[12 bytes cut\]…){0,6}`).Draw(t, "text")
		var spans []span
		for n := range rapid.IntRange(0, 5).Draw(t, "quotes") {
			if from := rapid.IntRange(0, len(text)).Draw(t, "from"); from < len(text) {
				spans = append(spans, span{from, rapid.IntRange(from+1, len(text)).Draw(t, "to"), n + 1})
			}
		}
		var got strings.Builder
		first, marked := map[int]int{}, map[int]string{}
		for _, s := range segments(text, spans) {
			got.WriteString(s.Text)
			if s.Text == "" {
				t.Error("an empty segment")
			}
			for _, n := range s.Begins {
				first[n]++
			}
			for _, n := range s.Marks {
				marked[n] += s.Text
			}
		}
		if got.String() != text {
			t.Errorf("got %q, want %q", got.String(), text)
		}
		for _, sp := range spans {
			if first[sp.mark] != 1 || marked[sp.mark] != text[sp.from:sp.to] {
				t.Errorf("quote %d begins %d times, and %q is marked of %q", sp.mark, first[sp.mark], marked[sp.mark], text[sp.from:sp.to])
			}
		}
	})
}

func TestSegmentKinds(t *testing.T) {
	got := segments("mail [REDACTED:EMAIL:3f9a] now …[5 bytes cut]… end", []span{{0, 30, 1}})
	one := []int{1}
	want := []segment{
		{Text: "mail ", Marks: one, Begins: one}, {Text: "[REDACTED:EMAIL:3f9a]", Kind: "redacted", Marks: one}, {Text: " now", Marks: one},
		{Text: " "}, {Text: "…[5 bytes cut]…", Kind: "cut"}, {Text: " end"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
