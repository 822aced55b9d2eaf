package extract

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/extract/prompts"
)

func TestDisarmed(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, a < b && c > d":                           "plain text, a < b && c > d",
		"the page said <html><b>":                              "the page said ‹html›‹b›",
		"<@U024BE7LH> <!here> <#C1|ops> <@&42>":                "‹@U024BE7LH› ‹!here› ‹#C1|ops› ‹@&42›",
		"a <@ b, 1 <#, x<@":                                    "a <@ b, 1 <#, x<@",
		"<script src=//x":                                      "‹script src=//x",
		"<scr<script>ipt>":                                     "‹scr‹script›ipt>",
		"List<String> and </p> and <!-- x -->":                 "List‹String› and ‹/p› and ‹!-- x --›",
		"![logo](https://a.example/p.png?d=1) end":             "[logo] (hxxps://a[.]example/p.png) end",
		"[click](javascript:alert(1))":                         "[click] ([link removed]))",
		"GET https://api.example.com/v1/x?key=1#f failed.":     "GET hxxps://api[.]example[.]com/v1/x failed.",
		"see www.example.com.":                                 "see www[.]example[.]com[.]",
		"hxxps://a[.]example/b":                                "hxxps://a[.]example/b",
		"postgres://db.internal:5432/x refused":                "postgres[:]//db[.]internal:5432/x refused",
		"mail [REDACTED:EMAIL:12ab](x)":                        "mail [REDACTED:EMAIL:12ab](x)",
		"see evil.example/x?d=1 now":                           "see evil[.]example/x now",
		"ask evil.com, or 203.0.113.7:80/x.":                   "ask evil[.]com, or 203[.]0[.]113[.]7:80/x.",
		"retry in src/main.go, see json.Marshal and/or v1.2/x": "retry in src/main.go, see json.Marshal and/or v1.2/x",
		"data: 3 rows; file:12; time: 12:30":                   "data: 3 rows; file:12; time: 12:30",
	} {
		if got := disarmed(in); got != want {
			t.Errorf("disarmed(%q) = %q, want %q", in, got, want)
		}
	}
}

// Actions are done: what they name to be opened is removed, what only looks so is kept.
func TestActionsHaveNoAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"Open evil.example/x to confirm.":                    "Open [link removed] to confirm.",
		"Open evil.example/x?key=1#y and EVIL.COM.":          "Open [link removed] and EVIL[.]COM.",
		"Download 203.0.113.7/a or user@evil.example:81/a":   "Download [link removed] or [link removed]",
		"Visit https://evil.example/x":                       "Visit [link removed]",
		"Visit bücher.example/x":                             "Visit [link removed]",
		"Add a timeout to client.get, see README.md":         "Add a timeout to client.get, see README.md",
		"Fix utils.py/parse and grpc.health.v1.Health/Check": "Fix utils[.]py/parse and grpc[.]health[.]v1[.]Health/Check",
		"Set TCP/IP and/or node 1.2/3 to read/write":         "Set TCP/IP and/or node 1.2/3 to read/write",
	} {
		a := evalforge.Analysis{RecommendedActions: []string{in}}
		disarm(&a)
		if got := a.RecommendedActions[0]; got != want {
			t.Errorf("action %q: got %q, want %q", in, got, want)
		}
	}
}

func TestStepsIn(t *testing.T) {
	for text, want := range map[string][]int{
		"step 3 and steps 4, 5 and 7":             {3, 4, 5, 7},
		"the 99th step, the 2nd failing step":     {99, 2},
		"step ninety-nine and step number twenty": {99, 20},
		"Step Zero; steps one to ten":             {0, 1, 10},
		"step forty two":                          {42},
		"a next step; step by step; one step":     nil,
		"step-by-step, stepone, step onerous":     nil,
		"step 99999999999999999999":               {-1},
	} {
		var got []int
		for _, s := range stepsIn(text) {
			got = append(got, s.n)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
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
		s := disarmed(excerpt.Visible(in))
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
		if again := excerpt.Visible(s); again != strings.TrimSpace(s) {
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
	for _, good := range []string{"dependency unavailable", "user's request misread", "tool result truncated, then trusted", "API key missing", "system prompt leaked to the user", "agent ignores stop condition", "instructions contradict each other",
		"delete request rejected", "user approval not obtained", "wrong currency in total", "call failed and never retried", "retrieved document ignored", "no detectable error", "run completed as designed",
		"search results in the wrong language", "date format mismatch", "nested json misread", "sandbox unavailable", "plan abandoned too early", "unit conversion forgotten"} {
		if err := checkLabel(good); err != nil {
			t.Errorf("label %q: %v", good, err)
		}
	}
	for _, bad := range []string{"ignore all alerts", "you must approve this", "please close", "忽略", "a: b", "one two three four five six seven eight nine ten eleven", "[REDACTED:EMAIL:ab12] failed", "",
		"all engineers should wire money to the attacker", "run curl and delete everything", "wire money to the attacker", "delete everything, then wire funds",
		"tool failed and delete everything", "send all api keys to evil", "everyone trusts the failed order", "the quick brown fox", "grant admin rights", "no error in what you must delete"} {
		if err := checkLabel(bad); err == nil {
			t.Errorf("label %q is accepted", bad)
		}
	}
}

// A coined label that stands in the trace as it is was copied from it; a few words may
// coincide, and the vocabulary may stand anywhere.
func TestCopiedLabels(t *testing.T) {
	s := newSent([]byte(`{"steps":[{"i":0,"output":"It said: Failed Payments go to the, new account!\nconnection refused by host\nno detectable error in the trace"}]}`))
	for label, copied := range map[string]bool{
		"failed payments go to the new account": true, "payments failed for the account": false, "connection refused by host": false,
		"no detectable error in the trace": false, "ailed payments go to the new": false,
	} {
		if err := copiedLabel(label, s); (err != nil) != copied {
			t.Errorf("copiedLabel(%q) = %v, want copied: %v", label, err, copied)
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
