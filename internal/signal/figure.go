package signal

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// figure matches numbers as people write them.
var figure = compile(`\d[\d,]*(?:\.\d+)?`)

// figures returns the numbers of at least two digits in text, without separators and
// trailing zeros of a fraction.
func figures(text string) map[string]bool {
	found := map[string]bool{}
	for _, s := range figure.FindAllString(text, 2000) {
		if n := normalFigure(s); len(n) > 1 {
			found[n] = true
		}
	}
	return found
}

func normalFigure(s string) string {
	s = strings.ReplaceAll(strings.Trim(s, ","), ",", "")
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if t := strings.TrimLeft(s, "0"); t != "" && t[0] != '.' {
		s = t
	}
	return s
}

// measured matches a number with the unit that it is given in.
var measured = compile(`(\d[\d,]*(?:\.\d+)?) ?(%|[a-zA-Zµ]{1,6}/[a-zA-Z]{1,4}|°[CF]|(?:mm|cm|km|kg|mg|kWh|MB|GB|ms|bpm|mmHg|mph)\b)`)

// otherValue finds a measured value in an answer that is in no source, although a
// result gives values in that unit. Amounts of money are too often computed to count.
func otherValue(v *view) (Signal, bool) {
	a := v.answer()
	if a.step < 0 || v.t.Dropped > 0 {
		return Signal{}, false
	}
	known := map[string]bool{}
	for _, p := range v.lower {
		if p.step <= a.step {
			addFigures(known, p.text)
		}
	}
	for _, m := range measured.FindAllStringSubmatchIndex(a.text, 50) {
		value, unit := normalFigure(a.text[m[2]:m[3]]), strings.ToLower(a.text[m[4]:m[5]])
		if known[value] || len(value) < 2 || v.told(value, a.step) || !v.resultHasUnit(unit, a.step) {
			continue
		}
		if derivable(value, known) {
			continue
		}
		return Signal{
			Name: "other_value", Condition: CondContradiction, Weight: 0.6, Step: a.step, Cause: a.step, Quote: quote(a.text, m[0], m[1]),
			Detail: fmt.Sprintf("%s gives a value in a unit in which the results have values, and none of them is it", v.label(a.step)),
		}, true
	}
	return Signal{}, false
}

// resultHasUnit reports whether a result before a step has the unit as a word of its own
// or as a JSON value.
func (v *view) resultHasUnit(unit string, step int) bool {
	for _, r := range v.results {
		if r.step <= step && strings.Contains(strings.ToLower(r.text), unit) {
			return true
		}
	}
	return false
}

// maxDerive bounds the numbers that derivable combines.
const maxDerive = 300

// derivable reports whether value is, to the digits that it is given with, a known
// figure rounded or scaled by a power of ten, or the sum or difference of two.
func derivable(value string, known map[string]bool) bool {
	want, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return true
	}
	_, frac, _ := strings.Cut(value, ".")
	tol := 0.51 * math.Pow(10, -float64(len(frac)))
	var nums []float64
	for _, k := range sortedKeys(known) {
		if f, err := strconv.ParseFloat(k, 64); err == nil && len(nums) < maxDerive {
			nums = append(nums, f)
		}
	}
	near := func(f float64) bool { return math.Abs(f-want) <= tol }
	for i, a := range nums {
		if near(a) || near(a*100) || near(a/100) || near(a/1000) || near(a*1000) {
			return true
		}
		for j, b := range nums {
			if near(a-b) || j <= i && near(a+b) {
				return true
			}
		}
	}
	return false
}
