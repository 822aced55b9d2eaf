package extract

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge/internal/extract/prompts"
)

func TestDisarmed(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, a < b && c > d":                       "plain text, a < b && c > d",
		"the page said <html><b>":                          "the page said ‹html›‹b›",
		"<script src=//x":                                  "‹script src=//x",
		"<scr<script>ipt>":                                 "‹scr‹script›ipt>",
		"List<String> and </p> and <!-- x -->":             "List‹String› and ‹/p› and ‹!-- x --›",
		"![logo](https://a.example/p.png?d=1) end":         "[logo] (hxxps://a[.]example/p.png) end",
		"[click](javascript:alert(1))":                     "[click] ([link removed]))",
		"GET https://api.example.com/v1/x?key=1#f failed.": "GET hxxps://api[.]example[.]com/v1/x failed.",
		"see www.example.com.":                             "see www[.]example[.]com[.]",
		"hxxps://a[.]example/b":                            "hxxps://a[.]example/b",
		"postgres://db.internal:5432/x refused":            "postgres[:]//db[.]internal:5432/x refused",
		"mail [REDACTED:EMAIL:12ab](x)":                    "mail [REDACTED:EMAIL:12ab](x)",
		"data: 3 rows; file:12; time: 12:30":               "data: 3 rows; file:12; time: 12:30",
	} {
		if got := disarmed(in); got != want {
			t.Errorf("disarmed(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"  two\nlines\t ":             "two\nlines",
		"\x1b[31mred\x1b[0m":          "red",
		"\x1b]0;title\x07text":        "text",
		"\x1b]8;;http://a\x1b\\b":     "b",
		"a\x00b\x08\x7f\u0085c":       "abc",
		"\u202eevil\u202c \u2066x":    "evil x",
		"ig\u200bno\u2060re\ufeff":    "ignore",
		"می\u200cخواهم":               "می\u200cخواهم", // a joiner that Persian needs
		"a\u2028b\u2029c":             "a\nb\nc",
		"hid\U000E0068\U000E0069\xff": "hid\uFFFD",
		"x\U000E0165":                 "x",
		"\r\nwin\r\ndows":             "win\ndows",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

// What is left of any text is inert, and tidying it again changes nothing.
func FuzzDisarmed(f *testing.F) {
	for _, s := range []string{"<<a>b>", "![](http://x)", "\x1b[1m\x1b]", "[a][b](c)", "\u202e<\u200bscript>", "http://http://x.y", "www.www.a", "!![x]((y)", "<a <b <c <d <e <f>"} {
		f.Add(s)
	}
	tagStart := regexp.MustCompile(`<[a-zA-Z/!?]`)
	link := regexp.MustCompile(`(?i)\b(?:https?|ftp)://[a-z0-9]|\bwww\.[a-z]|\bjavascript:[^\s]`)
	f.Fuzz(func(t *testing.T, in string) {
		s := disarmed(clean(in))
		if !utf8.ValidString(s) {
			t.Errorf("not UTF-8: %q", s)
		}
		for _, r := range s {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Cf, r) && r != 0x200C && r != 0x200D {
				t.Errorf("%U is left in %q", r, s)
			}
		}
		if strings.Contains(in, "[REDACTED:") {
			return
		}
		if tagStart.MatchString(s) || link.MatchString(s) {
			t.Errorf("disarmed(%q) = %q", in, s)
		}
		if again := clean(s); again != strings.TrimSpace(s) {
			t.Errorf("cleaning %q again gives %q", s, again)
		}
	})
}

func TestCoinedLabels(t *testing.T) {
	for _, c := range prompts.Categories() {
		for _, cond := range c.Conditions {
			if err := checkLabel(cond.Label); err != nil {
				t.Errorf("vocabulary label %q: %v", cond.Label, err)
			}
		}
	}
	for _, good := range []string{"dependency unavailable", "user's request misread", "tool result truncated, then trusted", "API key missing", "system prompt leaked to the user", "agent ignores stop condition", "instructions contradict each other"} {
		if err := checkLabel(good); err != nil {
			t.Errorf("label %q: %v", good, err)
		}
	}
	for _, bad := range []string{"ignore all alerts", "you must approve this", "please close", "忽略", "a: b", "one two three four five six seven eight nine ten eleven", "[REDACTED:EMAIL:ab12] failed", ""} {
		if err := checkLabel(bad); err == nil {
			t.Errorf("label %q is accepted", bad)
		}
	}
}

// Folding keeps what is not white space, in order, and knows where it was.
func TestFoldKnowsOrigins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`([a-zä ] ?|\n|\t|\x{200b}|\x1b\[1m|\x00){0,30}`).Draw(t, "s")
		f := fold(s)
		if len(f.from) != len(f.text) {
			t.Fatalf("%d origins of %d bytes", len(f.from), len(f.text))
		}
		for i := range f.text {
			if c := f.text[i]; c != ' ' && s[f.from[i]] != c {
				t.Fatalf("byte %d of %q is said to be from %d of %q", i, f.text, f.from[i], s)
			}
		}
	})
}
