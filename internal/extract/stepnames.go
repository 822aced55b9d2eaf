package extract

import (
	"regexp"
	"strconv"
	"strings"
)

// A saidStep is a step that a text names.
type saidStep struct {
	text string
	n    int
	// counted says that it may be the nth one, from 1, and not the one with index n.
	counted bool
}

const (
	smallNumbers = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
	tens         = "twenty thirty forty fifty sixty seventy eighty ninety"
)

// stepName is how analyses name steps: "step 3", as the prompt asks for it, and what else
// models write ("step #3", "step-3", "step 3–7", "steps 3, 4 and 7"). After one step, or
// behind a comma alone, a number may be anything ("at step 3 and 429 was returned").
// stepOrdinal is "the 3rd step", stepWord "step twenty-one".
var (
	stepName = regexp.MustCompile(`(?i)\b(?:` +
		`steps[\s\p{Z}]+\d+(?:,[\s\p{Z}]*\d+)*,?[\s\p{Z}]+(?:and|or|to|through|&)[\s\p{Z}]+\d+` +
		`|steps?(?:[\s\p{Z}]+(?:number|no\.|index|i))?(?:[\s\p{Z}]*[#=]?[\s\p{Z}]*|-)\d+(?:[-–]\d+)?` +
		`)\b`)
	stepNumber  = regexp.MustCompile(`\d+`)
	stepOrdinal = regexp.MustCompile(`(?i)\b(\d+)(?:st|nd|rd|th)[\s\p{Z}-]+(?:[a-z]+[\s\p{Z}])?step\b`)
	stepWord    = regexp.MustCompile(`(?i)\bsteps?[\s\p{Z}-]+(?:number[\s\p{Z}]+)?(` + alternatives(tens) + `)?[\s\p{Z}-]*(` + alternatives(smallNumbers) + `)?\b`)
)

func alternatives(words string) string { return strings.ReplaceAll(words, " ", "|") }

// stepsIn returns the steps that a text names.
func stepsIn(text string) []saidStep {
	var list []saidStep
	add := func(text, digits string, counted bool) {
		n, err := strconv.Atoi(digits)
		if err != nil {
			n = -1 // no step has such a number
		}
		list = append(list, saidStep{text, n, counted})
	}
	for _, m := range stepName.FindAllString(text, -1) {
		for _, digits := range stepNumber.FindAllString(m, -1) {
			add(digits[:min(9, len(digits))], digits, false)
		}
	}
	for _, m := range stepOrdinal.FindAllStringSubmatch(text, -1) {
		add(m[1][:min(9, len(m[1]))], m[1], true)
	}
	for _, m := range stepWord.FindAllStringSubmatch(text, -1) {
		ten, small := indexOf(tens, m[1]), indexOf(smallNumbers, m[2])
		word := strings.TrimSpace(m[1] + " " + m[2])
		switch {
		case ten >= 0 && small >= 1 && small <= 9:
			add(word, strconv.Itoa(20+10*ten+small), true)
		case ten >= 0:
			add(word, strconv.Itoa(20+10*ten), true)
		case small >= 0:
			add(word, strconv.Itoa(small), true)
		}
	}
	return list
}

// indexOf returns the position of a word in a list of words, or -1.
func indexOf(words, word string) int {
	for i, w := range strings.Fields(words) {
		if strings.EqualFold(w, word) {
			return i
		}
	}
	return -1
}
