package trace

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// What a part of a text takes as JSON is known without reading all of it.
func TestWaterTextParts(t *testing.T) {
	for _, s := range []string{
		"", "plain", `"`, strings.Repeat("plain ", 9), "a\n" + strings.Repeat("日本語", 9) + "\x01b", strings.Repeat("x", 20) + `"said"` + strings.Repeat("é", 20),
		strings.Repeat("\x01\"日", 30), "seven.." + `\`, "\xff\xfe" + strings.Repeat("odd", 9) + "\xe6\x97", strings.Repeat("odd", 9) + "\x80\"", "\u2028\"é" + strings.Repeat("y", 30),
	} {
		text := waterText{s: s}
		text.encode()
		for n := range len(s) + 1 {
			if n < len(s) && !utf8.RuneStart(s[n]) {
				continue
			}
			if got, want := text.start(n), len(appendEscaped(nil, s[:n])); got != want {
				t.Errorf("the first %d bytes of %q take %d as JSON, want %d", n, s, got, want)
			}
			if got, want := text.end(n), len(appendEscaped(nil, s[n:])); got != want {
				t.Errorf("%q takes %d from byte %d on as JSON, want %d", s, got, n, want)
			}
		}
		if want := len(appendEscaped(nil, s)); text.encoded != want {
			t.Errorf("%q takes %d as JSON, want %d", s, text.encoded, want)
		}
	}
}
