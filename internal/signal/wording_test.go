package signal

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The filter in front of an expression never changes what it finds.
func TestWordingNeverMissesAMatch(t *testing.T) {
	exprs := []string{
		`(?i)rate[ _-]?limit|too many requests|quota`,
		`(?i)\b(?:could ?n[o']t|could not|unable)\b`,
		`(?i)context[ _]?length|prompt is too long`,
		`(?i)(?:made|making) (?:it|that) up|invented|hallucinat\w+`,
		`\bno (?:\w+ ){0,3}(?:results?|matches|match)\b`,
		`(?i)^\W{0,3}(?:sorry|(?:i|we) cannot)`,
		`(?i)"(?:cached_?at|cache_?(?:time|date))"\s*:\s*"(\d{4})`,
		`(?i)task|kiosk|skis`,
		`(?i)\b(?:i(?:'ve| have)|(?:was|were) (?:now |successfully )+)?(?:just |also )*(booked|sent)`,
		`[0-9]{3,}|x+y?`,
		`(?:ab|cd+|e)(?:fgh|ij)?klm`,
		`(?:a|\d|long words)x(?:yz|zy)`,
	}
	for _, expr := range exprs {
		w := compile(expr)
		rapid.Check(t, func(t *rapid.T) {
			around := rapid.StringMatching(`[a-zA-Z .,\x{17f}\x{212a}äÄ0-9]{0,20}`)
			text := around.Draw(t, "before") + rapid.StringMatching(expr).Draw(t, "match") + around.Draw(t, "after")
			if got, want := w.MatchString(text), w.load().Regexp.MatchString(text); got != want {
				t.Fatalf("%s on %q: %v, without the filter %v (needs %q)", expr, text, got, want, w.load().needs)
			}
		})
	}
}

// The same for every expression that feedback, toxicity and failures are found with.
func TestWordingOfThePackageNeverMissesAMatch(t *testing.T) {
	ws := []*wording{nothingText, admission, simulation, retrievalClaim, claimDone, gaveUpText, refusalText, cutoffText,
		overdueMark, supersededMark, staleMark, ageWarning, contactPoint, extraction, resultPrefix, exitStatus, rejection}
	for _, c := range complaints {
		ws = append(ws, c.re)
	}
	for _, c := range abuse {
		ws = append(ws, c.re)
	}
	for _, c := range failPatterns {
		ws = append(ws, c.re)
	}
	for _, w := range ws {
		gen := rapid.StringMatching(w.String())
		rapid.Check(t, func(t *rapid.T) {
			text := gen.Draw(t, "match")
			if got, want := w.MatchString(text), w.load().Regexp.MatchString(text); got != want {
				t.Fatalf("%.80s on %q: %v, without the filter %v (needs %q)", w, text, got, want, w.load().needs)
			}
		})
	}
}

func TestWordingFoldsAsExpressionsDo(t *testing.T) {
	w := compile(`(?i)kiosk task`)
	for _, text := range []string{"KIOSK TASK", "Kiosk ta\u017fk", "\u212aios\u212a tas\u212a"} {
		if !w.load().Regexp.MatchString(text) {
			t.Fatalf("the expression itself does not match %q", text)
		}
		if !w.MatchString(text) {
			t.Errorf("%q is filtered out", text)
		}
	}
}

func TestWordingNeeds(t *testing.T) {
	for expr, want := range map[string][]string{
		`(?i)rate ?Limit|quota`:         {"ratelimit", "rate limit", "quota"},
		`(?i)(?:nowhere|not) (?:in|on)`: {"not in", "not on", "nowhere in", "nowhere on"},
		`(?:that|those) .{3}outdated`:   {"outdated"},
		`ca[nm]\b`:                      {"can", "cam"},
		`(?:abc|abcd)x+`:                {"abc"},
		`ab|abc`:                        nil, // one literal is too short to look for
		`(?i)(?:foo)?bar`:               {"bar"},
		`(?:foo)*`:                      nil,
		`\d+`:                           nil,
		`(?:alpha|beta).{0,9}longer`:    {"longer"},
		`(?:x|\d+|abcd)efg`:             {"efg"},
	} {
		got := slices.Sorted(slices.Values(compile(expr).load().needs))
		if want := slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			t.Errorf("%s needs %q, want %q", expr, got, want)
		}
	}
}
