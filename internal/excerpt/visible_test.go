package excerpt_test

import (
	"testing"

	"github.com/evalforge/evalforge/internal/excerpt"
)

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"  two\nlines\t ":               "two\nlines",
		"\x1b[31mred\x1b[0m":            "red",
		"\x1b]0;title\x07text":          "text",
		"\x1b]8;;http://a\x1b\\b":       "b",
		"a\x00b\x08\x7f\u0085c":         "abc",
		"\u202eevil\u202c \u2066x":      "evil x",
		"ig\u200bno\u2060re\ufeff":      "ignore",
		"می\u200cخواهم":                 "می\u200cخواهم", // a joiner that Persian needs
		"a\u2028b\u2029c":               "a\nb\nc",
		"hid\U000E0068\U000E0069\xff":   "hid\uFFFD",
		"x\U000E0165":                   "x",
		"ok\ufe0f\u3164\u2800 \uffa0":   "ok",
		"a\U000F0001b\U00100001c\ue001": "abc", // private use
		"a\U000E0002\U000E01FFb\ufdd0":  "ab",
		"bits \u200c\u200d\u200c\u200d": "bits",
		"می\u200c\u200d\u200cخواهم":     "می\u200cخواهم",
		"👩\u200d💻":                      "👩\u200d💻",
		"\r\nwin\r\ndows":               "win\ndows",
	} {
		if got := excerpt.Visible(in); got != want {
			t.Errorf("Visible(%q) = %q, want %q", in, got, want)
		}
	}
}
