package extract

import (
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

func TestQuotesAreFound(t *testing.T) {
	doc, err := json.Marshal(map[string]any{"a": "line one\nline \"two\" of the text", "b": []string{"mail [REDACTED:EMAIL:ab12] now", "1234567890"},
		"c": "the head…[4711 bytes cut]… and the tail", "identical_to": "x", "d": "core dumped:\x00\x00 signal 11", "role": "assistant", "attrs": map[string]string{"customer_id": "c"}})
	if err != nil {
		t.Fatal(err)
	}
	h := newSent(doc)
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
		"mail [REDACTED:EMAIL:ab12] now": matchAbsent,     // seven letters are left
		"core dumped: signal 11":         matchWhitespace, // a quote never has the zero bytes of binary output
		"":                               matchAbsent,
		"\x00":                           matchAbsent,
		"EDACTED:EMAIL:ab12":             matchAbsent, // a part of a placeholder proves nothing either
		"REDACTED:EMAIL":                 matchAbsent,
		"…[4711 bytes cut]…":             matchAbsent, // neither does our mark where something was cut
		"the head…[4711 bytes cut]… and the tail":  matchExact,
		"bytes cut]… and the tail":                 matchExact,
		"identical_to":                             matchAbsent, // a key is ours
		"assistant":                                matchAbsent, // so is a role
		"customer_id":                              matchExact,  // but in attrs, keys are the trace's
		"1234567890":                               matchExact,
		strings.Repeat("line one\nline ", 100_000): matchAbsent,
	} {
		if got := h.find(quote, -1).match; got != want {
			t.Errorf("find(%.60q) = %s, want %s", quote, got, want)
		}
	}
}

// How letters with marks are written makes no other quote of it: file systems decompose
// them, models compose them. A letter without its mark is another letter.
func TestQuotesAreFoundComposedOrNot(t *testing.T) {
	const text = "cannot open Résumé ế Straße 한글 が.pdf today"
	for _, form := range []norm.Form{norm.NFC, norm.NFD} {
		doc, err := json.Marshal([]string{"before it", form.String(text), "after"})
		if err != nil {
			t.Fatal(err)
		}
		h := newSent(doc)
		for _, other := range []norm.Form{norm.NFC, norm.NFD} {
			for _, q := range []string{text, "open Résumé", "Straße 한글", "한글 が.pdf today"} {
				got := h.find(other.String(q), -1)
				if want := strings.Index(string(doc), form.String(q)); got.match == matchAbsent || got.offset != want {
					t.Errorf("%+q in %+q: %s at %d, want it at %d", other.String(q), doc, got.match, got.offset, want)
				}
			}
		}
	}
	doc, err := json.Marshal([]string{norm.NFC.String(text)})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"cannot open Resum", "cannot open Résume", "open Rèsumé"} {
		if got := newSent(doc).find(q, -1).match; got != matchAbsent {
			t.Errorf("%+q is found in %+q: %s", q, doc, got)
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
		got := newSent(doc).find(quote, -1)
		if long := letters(quote) >= MinQuoteRunes; (got.match == matchExact) != long {
			t.Fatalf("find(%q) = %+v in %q", quote, got, text)
		}
	})
}

// The offset leads to the quote in the bytes that were sent, whatever is escaped there,
// and the step is the one around it.
func TestPlacesOfQuotes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.StringMatching(`[a-zäö😀\x01 "\\\n]{0,12}`)
		quote := rapid.StringMatching(`[a-z]{4} [a-zü"\n]{8}`).Draw(t, "quote")
		type step struct {
			I      int    `json:"i"`
			Output string `json:"output"`
		}
		n := rapid.IntRange(1, 4).Draw(t, "steps")
		at := rapid.IntRange(0, n-1).Draw(t, "at")
		var steps []step
		for i := range n {
			s := step{I: 10 * i, Output: piece.Draw(t, "text")}
			if i == at {
				s.Output += "|" + quote + "|" + piece.Draw(t, "after")
			}
			steps = append(steps, s)
		}
		doc, err := json.Marshal(map[string]any{"steps": steps})
		if err != nil {
			t.Fatal(err)
		}
		p := newSent(doc).find(quote, 10*at)
		if letters(quote) < MinQuoteRunes {
			return
		}
		if p.match != matchExact || p.step != 10*at {
			t.Fatalf("find(%q) = %+v in %s", quote, p, doc)
		}
		literal, err := json.Marshal(quote)
		if err != nil {
			t.Fatal(err)
		}
		if rest := string(doc[p.offset:]); !strings.HasPrefix(rest, string(literal[1:len(literal)-1])) {
			t.Fatalf("at offset %d stands %.40q, want %q", p.offset, rest, quote)
		}
	})
}

// Whatever way a step is named in which the trace has none, the analysis is refused; a
// number that names no step is no reason.
func TestStepsThatDoNotExist(t *testing.T) {
	tr := &trace.Trace{Steps: []trace.Step{{Index: 0}, {Index: 3}, {Index: 4}}}
	for text, want := range map[string]string{
		"It broke at step 99.":                  "99",
		"It broke at Step #99.":                 "99",
		"It broke at step  99.":                 "99",
		"It broke at step\u00a099.":             "99",
		"It broke at step-99.":                  "99",
		"It broke at step index 99 (i=99).":     "99",
		"It broke at steps 0 and 99.":           "99",
		"It broke at steps 0, 3 and 99.":        "99",
		"It broke at steps 3–99.":               "99",
		"It broke at step 12345678901234567890": "123456789",
		"It broke at step 3, 429 was returned.": "",
		"It broke at step 3 and 12 retries.":    "",
		"It broke at steps 3 and 4, 429 times.": "",
		"It broke at step 3; 5 retries.":        "",
		"The next step: 12 retries.":            "",
		"In one step. 12 retries.":              "",
		"A two-step 2FA.":                       "",
		"It broke at step 3 - 12 errors.":       "",
		"It broke at steps 3-4 and 12 retries":  "",
		"Missteps 99":                           "",

		"Step: 99 failed.":                       "99",
		"It broke at Step: 99, then ended.":      "99",
		"It broke at step **99**.":               "99",
		"It broke at **step** 99.":               "99",
		"It broke at step (99).":                 "99",
		"It broke at step [99].":                 "99",
		"steps[99] broke.":                       "99",
		"It broke at step `99`.":                 "99",
		"It broke at step \"99\".":               "99",
		"It broke at step “99”.":                 "99",
		"It broke at step <b>99</b>.":            "99",
		"It broke at step_99.":                   "99",
		"It broke at step no 99.":                "99",
		"It broke at step no. 99.":               "99",
		"It broke at step № 99.":                 "99",
		"It broke at step id 99.":                "99",
		"It broke at step i=99.":                 "99",
		"It broke early (i=99).":                 "99",
		"It broke between steps 0/99.":           "99",
		"It broke between steps 0→99.":           "99",
		"It broke between step 0 and 99.":        "99",
		"It broke from step 0 to 99.":            "99",
		"It broke from step 0 through step99.":   "99",
		"It broke at steps 0, 3, 99.":            "99",
		"It broke at steps 0, 3, or even 99.":    "99",
		"It broke in steps 0 - 99.":              "99",
		"Step -1 broke.":                         "-1",
		"Step −1 broke.":                         "-1",
		"Step ９９ broke.":                         "99",
		"Step ٩٩ broke.":                         "99",
		"Step ⁹⁹ broke.":                         "99",
		"Step 3.99 broke.":                       "3.99",
		"Step 1,000 broke.":                      "1000",
		"The ninety-ninth step broke.":           "ninety-ninth",
		"The hundredth step broke.":              "hundredth",
		"The one hundred and first step broke.":  "one hundred and first",
		"Step one hundred broke.":                "one hundred",
		"Step a hundred and five broke.":         "a hundred and five",
		"Steps one and ten broke.":               "ten",
		"Étape 99 : échec.":                      "99",
		"Schritt 99 schlug fehl.":                "99",
		"In this step 99 fails.":                 "99",
		"503 at step 3. Step 99 broke.":          "99",
		"At 503 step 99 broke.":                  "99",
		"It took 3 steps.":                       "",
		"It took 3 steps 12 times.":              "",
		"In 2 steps retry 5 times.":              "",
		"Take the next steps.":                   "",
		"In this step 12 retries were made.":     "",
		"In this step 429 was returned.":         "",
		"The lookup step (503) was retried.":     "",
		"The lookup step: 503.":                  "",
		"A number of steps: 50.":                 "",
		"The limit is max_steps 50, steps=50.":   "",
		"A 30 second step.":                      "",
		"A 3-step 12 minute job.":                "",
		"Use a third party step.":                "",
		"In that step 99% were lost.":            "",
		"Check this step\n99. Retry.":            "",
		"The first step of three; step 3 of 4.":  "",
		"At step 3, 404 Not Found came.":         "",
		"Version 2.17 of the step.":              "",
		"At steps 3 and 4 5 seconds were lost.":  "",
		"step a user takes; one step at a time.": "",
	} {
		for field, a := range map[string]evalforge.Analysis{
			"summary":        {Summary: text},
			"input_pattern":  {ReproductionContext: evalforge.ReproductionContext{InputPattern: text}},
			"required_state": {ReproductionContext: evalforge.ReproductionContext{RequiredState: &text}},
		} {
			err := namedSteps(&a, tr)
			if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), field+" names step "+want+",") {
				t.Errorf("%s %q: %v, want step %q refused", field, text, err, want)
			}
		}
	}
}

// Messages, turns and spans are numbered too; their names are common words.
func TestPlacesThatDoNotExist(t *testing.T) {
	tr := &trace.Trace{Steps: []trace.Step{{Index: 0}, {Index: 3}, {Index: 4, ID: "7719"}}, Messages: make([]trace.Message, 12)}
	for text, want := range map[string]string{
		"It broke at message 99.":                  "message 99",
		"It broke at messages 3 and 99.":           "message 99",
		"It broke in turn 99.":                     "turn 99",
		"It broke in the 99th turn.":               "turn 99th",
		"It broke in span 99.":                     "span 99",
		"It broke in span id 99.":                  "span 99",
		"It broke at message 12, turn 2.":          "",
		"It broke in span 7719.":                   "",
		"The error message 99 came.":               "",
		"It returned message 404 Not Found.":       "",
		"The message: 404 Not Found.":              "",
		"They turn 180 degrees.":                   "",
		"The logs span 30 days.":                   "",
		"It sent the message 99 times.":            "",
		"The first message came in a second turn.": "",
	} {
		err := namedSteps(&evalforge.Analysis{Summary: text}, tr)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), "summary names "+want+",") {
			t.Errorf("%q: %v, want %q refused", text, err, want)
		}
	}
}

// Advice may count itself, and no text is free of the check.
func TestStepsInEveryField(t *testing.T) {
	tr := &trace.Trace{Steps: []trace.Step{{Index: 0}}}
	if err := namedSteps(&evalforge.Analysis{RecommendedActions: []string{"As a second step, add a limit."}}, tr); err != nil {
		t.Errorf("advice that counts itself: %v", err)
	}
	if err := namedSteps(&evalforge.Analysis{TriggerCondition: "step ninety failed"}, tr); err == nil {
		t.Error("a label that names a step is accepted")
	}
}
