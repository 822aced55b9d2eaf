package excerpt

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestClip(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 1, ""},
		{"a", 1, "a"},
		{"ab", 1, "…"},
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"äöüß", 4, "äöüß"},
		{"äöüß", 3, "äö…"},
		{"a\xffb", 3, "ab"},
		{"日本\xff語", 3, "日本…"},
	} {
		if got := Clip(tt.in, tt.n); got != tt.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

// A clipped text is valid, keeps the bound, and is the text itself where that fits.
func TestClipKeepsItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := string(rapid.SliceOf(rapid.Byte()).Draw(t, "s")), rapid.IntRange(1, 40).Draw(t, "n")
		got := Clip(s, n)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > n {
			t.Errorf("Clip(%q, %d) = %q", s, n, got)
		}
		if utf8.ValidString(s) && utf8.RuneCountInString(s) <= n && got != s {
			t.Errorf("Clip(%q, %d) = %q, although it fits", s, n, got)
		}
		if head, cut := strings.CutSuffix(got, "…"); cut && !strings.HasPrefix(strings.ToValidUTF8(s, ""), head) {
			t.Errorf("Clip(%q, %d) = %q, which is not its beginning", s, n, got)
		}
	})
}

func TestLine(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{" \t\n", ""},
		{"one two", "one two"},
		{"\x1b[31mred\x00\r\n  and\u00a0more\x7f", "[31mred and more"},
		{"a\xffb\uFFFDc", "a b c"},
	} {
		if got := Line(tt.in); got != tt.want {
			t.Errorf("Line(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
