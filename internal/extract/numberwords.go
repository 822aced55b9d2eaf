package extract

import (
	"strconv"
	"strings"
	"unicode"
)

// The words for numbers under two million, in lower case; "and" may stand behind hundreds.
const (
	smallNumbers  = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
	smallOrdinals = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
	tens          = "twenty thirty forty fifty sixty seventy eighty ninety"
	tenths        = "twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth"
)

// Regular expressions of numbers, without groups: number is one in digits or words, ordinal
// is "3rd", "third" or "hundred and third".
var (
	below100 = `(?:(?:` + alternatives(tens) + `)(?:[ -]+(?:` + alternatives(smallNumbers[len("zero "):strings.Index(smallNumbers, " ten")]) + `))?|` + alternatives(smallNumbers) + `)\b`
	hundreds = `(?:(?:an?|` + below100 + `)[ -]+)?(?:hundred|thousand)`
	inWords  = `(?:` + hundreds + `\b(?:[ -]+(?:and )?` + below100 + `)?|` + below100 + `)`
	number   = `(?:-?\d+(?:\.\d+)*|` + inWords + `)`
	nth      = `(?:(?:(?:` + alternatives(tens) + `)[ -]+)?(?:` + alternatives(smallOrdinals) + `)|` + alternatives(tenths) + `)`
	ordinal  = `(?:` + hundreds + `(?:th|[ -]+(?:and )?` + nth + `)|` + nth + `|\d+(?:st|nd|rd|th))`
)

func alternatives(words string) string { return strings.ReplaceAll(words, " ", "|") }

// numberOf returns the number that digits or words are.
func numberOf(text string) (int, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, true
	}
	sum, part, any := 0, 0, false
	for _, w := range strings.FieldsFunc(text, func(c rune) bool { return unicode.IsSpace(c) || c == '-' }) {
		small, ten := max(indexOf(smallNumbers, w), indexOf(smallOrdinals, w)), max(indexOf(tens, w), indexOf(tenths, w))
		switch {
		case small >= 0:
			part += small
		case ten >= 0:
			part += 20 + 10*ten
		case w == "hundred" || w == "hundredth":
			part = 100 * max(1, part)
		case w == "thousand" || w == "thousandth":
			sum, part = sum+1000*max(1, part), 0
		case w == "a" || w == "an" || w == "and":
			continue
		default:
			return 0, false
		}
		any = true
	}
	return sum + part, any
}

// indexOf returns the position of a word in a list of words, or -1.
func indexOf(words, word string) int {
	for i, w := range strings.Fields(words) {
		if w == word {
			return i
		}
	}
	return -1
}

// digit returns the value of a decimal digit: Unicode has them in rows of ten.
func digit(c rune) rune {
	for _, r := range unicode.Nd.R16 {
		if rune(r.Lo) <= c && c <= rune(r.Hi) {
			return (c - rune(r.Lo)) % 10
		}
	}
	for _, r := range unicode.Nd.R32 {
		if rune(r.Lo) <= c && c <= rune(r.Hi) {
			return (c - rune(r.Lo)) % 10
		}
	}
	return 0
}
