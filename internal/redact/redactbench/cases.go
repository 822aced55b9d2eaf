package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/evalforge/evalforge/internal/redact"
)

// A measure is a part of a set with its thresholds; a negative one is none.
type measure struct {
	name, set string
	keep      func(labelled) bool
	regional  bool    // cases are redacted with their region set
	recall    float64 // at least, of the positives
	fired     float64 // at most, of the negatives
}

// core are the entities that are promised without context.
var core = map[string]bool{
	"EMAIL_ADDRESS": true, "CREDIT_CARD": true, "PHONE_NUMBER": true, "US_SSN": true, "US_ITIN": true,
	"IP_ADDRESS": true, "MAC_ADDRESS": true, "IBAN_CODE": true,
}

// weakScore is the score up to which the author of a case calls the match weak: one
// that needs context, which the case does not have.
const weakScore = 0.41

func strong(c labelled) bool {
	return core[c.Entity] && (c.Label != "pos" || len(c.Score) < 2 || c.Score[1] > weakScore || c.Entity == "PHONE_NUMBER")
}

func international(c labelled) bool {
	return c.Region == "US" || strings.HasPrefix(c.Text, "+") || strings.HasPrefix(c.Text, "＋")
}

func measures() []measure {
	return []measure{
		{"Presidio, core kinds, strong", "presidio", strong, false, 0.98, -1},
		{"Presidio, core kinds, all", "presidio", func(c labelled) bool { return core[c.Entity] }, false, -1, -1},
		{"Presidio, other kinds", "presidio", func(c labelled) bool { return !core[c.Entity] }, false, -1, -1},
		{"libphonenumber, US and +", "libphonenumber", international, true, 0.90, -1},
		{"libphonenumber, national", "libphonenumber", func(c labelled) bool { return !international(c) }, true, 0.90, -1},
		{"gitleaks, literal", "gitleaks", func(c labelled) bool { return c.Origin == "literal" }, false, 0.99, -1},
		{"gitleaks, generated", "gitleaks", func(c labelled) bool { return c.Origin != "literal" }, false, 0.99, -1},
		{"secretlint", "secretlint", nil, false, 0.90, -1},
		{"detect-secrets", "detect_secrets", nil, false, -1, -1},
		{"hard negatives", "secret_hard_negatives", nil, false, -1, 0.05},
	}
}

// maxDepth is the JSON depth up to which cases are measured: text, a string in a
// document, and a string in a document in a string.
const maxDepth = 2

func (b *bench) cases(sets map[string][]labelled) error {
	fmt.Fprintln(b.out, "## Labelled cases: recall at JSON depth 0, 1, 2; false alarms; cases that a second pass changed")
	redactors := make(map[string]*redact.Redactor)
	for _, m := range measures() {
		cases := sets[m.set]
		if m.keep != nil {
			cases = slices.DeleteFunc(slices.Clone(cases), func(c labelled) bool { return !m.keep(c) })
		}
		if err := b.measure(m, cases, redactors); err != nil {
			return err
		}
		delete(redactors, "") // each measure starts without caches
	}
	// Sets that the list above does not know are measured as well.
	var rest []string
	for name, cases := range sets {
		known := slices.ContainsFunc(measures(), func(m measure) bool { return m.set == name })
		if !known && len(cases) > 0 && cases[0].Trap == "" {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	for _, name := range rest {
		if err := b.measure(measure{name, name, nil, true, -1, -1}, sets[name], redactors); err != nil {
			return err
		}
	}
	for name, cases := range sets {
		if len(cases) > 0 && cases[0].Trap != "" {
			if err := b.traps(name, cases); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) measure(m measure, cases []labelled, redactors map[string]*redact.Redactor) error {
	var caught, fired [maxDepth + 1]int
	positive, negative, unstable := 0, 0, 0
	for _, c := range cases {
		region := ""
		if m.regional {
			region = c.Region
		}
		r := redactors[region]
		if r == nil {
			var regions []string
			if region != "" {
				regions = []string{region}
			}
			var err error
			if r, err = newRedactor(regions...); err != nil {
				return err
			}
			redactors[region] = r
		}
		if c.Label == "pos" {
			positive++
		} else {
			negative++
		}
		for depth := range maxDepth + 1 {
			got, stable, err := redactAt(r, c.Text, depth)
			if err != nil {
				return fmt.Errorf("%s: %w", c.ID, err)
			}
			if !stable {
				unstable++
				if b.wrong == m.name {
					fmt.Fprintf(b.out, "  unstable %s %.240q\n      -> %.240q\n", c.ID, c.Text, got)
				}
			}
			switch ok := isCaught(c, got); {
			case c.Label == "pos" && ok:
				caught[depth]++
			case c.Label == "pos" && b.wrong == m.name && depth == 0:
				fmt.Fprintf(b.out, "  missed %s %.240q\n      -> %.240q\n", c.ID, c.Text, got)
			case c.Label == "neg" && got != c.Text:
				fired[depth]++
				if b.wrong == m.name && depth == 0 {
					fmt.Fprintf(b.out, "  false alarm %s %.240q\n      -> %.240q\n", c.ID, c.Text, got)
				}
			}
		}
	}
	recall := [maxDepth + 1]float64{}
	for i := range recall {
		recall[i] = float64(caught[i]) / float64(max(positive, 1))
	}
	rate := float64(slices.Max(fired[:])) / float64(max(negative, 1))
	want, ok := "", unstable == 0
	if m.recall >= 0 {
		want = fmt.Sprintf(">= %.2f", m.recall)
		ok = ok && slices.Min(recall[:]) >= m.recall && slices.Min(recall[:]) == slices.Max(recall[:])
	}
	if m.fired >= 0 {
		want = fmt.Sprintf("<= %.2f fired", m.fired)
		ok = ok && rate <= m.fired
	}
	b.row(m.name, fmt.Sprintf("%.3f %.3f %.3f of %d; fired %d of %d (%.3f); %d", recall[0], recall[1], recall[2], positive, slices.Max(fired[:]), negative, rate, unstable), want, ok)
	return nil
}

// redactAt redacts text at a JSON depth, behind a line break, and returns what became
// of it, and whether a second pass leaves that alone.
func redactAt(r *redact.Redactor, text string, depth int) (got string, stable bool, err error) {
	if depth == 0 {
		out, _ := r.Text(text)
		again, _ := r.Text(out)
		return out, out == again, nil
	}
	// Characters that JSON has no way to write are not the point here.
	content := "line\n" + strings.ToValidUTF8(text, "?")
	for range depth {
		doc, err := json.Marshal(map[string]string{"content": content})
		if err != nil {
			return "", false, err
		}
		content = string(doc)
	}
	doc, _, err := r.JSON([]byte(content))
	if err != nil {
		return "", false, err
	}
	again, _, err := r.JSON(doc)
	if err != nil {
		return "", false, err
	}
	content = string(doc)
	for range depth {
		var m map[string]string
		if err := json.Unmarshal([]byte(content), &m); err != nil {
			return "", false, fmt.Errorf("the redacted document is not valid: %w", err)
		}
		content = m["content"]
	}
	return strings.TrimPrefix(content, "line\n"), bytes.Equal(doc, again), nil
}

// isCaught reports whether no half of a gold value, or more, is left in got.
func isCaught(c labelled, got string) bool {
	if len(c.Spans) == 0 {
		return got != c.Text
	}
	text := []rune(c.Text)
	for _, s := range c.Spans {
		gold := text[max(s[0], 0):min(s[1], len(text))]
		half := (len(gold) + 1) / 2
		for i := 0; half > 0 && i+half <= len(gold); i++ {
			if strings.Contains(got, string(gold[i:i+half])) {
				return false
			}
		}
	}
	return true
}

func (b *bench) traps(name string, cases []labelled) error {
	r, err := newRedactor()
	if err != nil {
		return err
	}
	changed := make(map[string]int)
	total := 0
	for _, c := range cases {
		out, _, err := r.JSON(c.Doc)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Trap, err)
		}
		if !bytes.Equal(out, c.Doc) {
			if changed[c.Trap]++; b.wrong == name && changed[c.Trap] <= 3 {
				fmt.Fprintf(b.out, "  %s %s -> %s\n", c.Trap, c.Doc, out)
			}
			total++
		}
	}
	rate := float64(total) / float64(len(cases))
	b.row(name, fmt.Sprintf("%d of %d changed (%.4f) %v", total, len(cases), rate, changed), "<= 0.001", rate <= 0.001)
	return nil
}
