package signal

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/evalforge/evalforge/internal/excerpt"
)

var (
	asksLeast = compile(`(?i)\b(?:cheapest|lowest(?:[- ]priced)?|least expensive|smallest|fewest|shortest|minimum|lightest)\b`)
	asksMost  = compile(`(?i)\b(?:most expensive|highest|largest|biggest|longest|maximum|heaviest|priciest)\b`)
	// offField matches flags that take an item out of the question when they are false.
	offField = compile(`(?i)avail|active|in_?stock|enabled|open|valid`)
)

// wrongExtreme finds an answer to a question for the cheapest, largest and so on that
// gives the figure of an item which is not the extreme one of the list that the tool
// returned.
func wrongExtreme(v *view) (Signal, bool) {
	q := v.question()
	least, most := asksLeast.MatchString(q), asksMost.MatchString(q)
	if least == most {
		return Signal{}, false
	}
	a := v.answer()
	if a.step < 0 {
		return Signal{}, false
	}
	said := figures(a.text)
	used := v.used()
	for i := len(used) - 1; i >= 0; i-- {
		field, extreme, ok := extremeOf(used[i].text, said, least)
		if !ok {
			continue
		}
		if extreme {
			return Signal{}, false
		}
		return Signal{
			Name: "wrong_extreme", Condition: CondContradiction, Weight: 0.6, Step: a.step, Cause: a.step, Quote: head(a.text),
			Detail: fmt.Sprintf("the question asks for an extreme, and %s gives a %q that is not the extreme one in the result of %s",
				v.label(a.step), excerpt.Clip(excerpt.Line(field), 40), v.label(used[i].step)),
		}, true
	}
	return Signal{}, false
}

// extremeOf looks for the one numeric field of the items in result whose values the
// answer mentions, and reports whether the extreme one is among them.
func extremeOf(result string, said map[string]bool, least bool) (field string, extreme, ok bool) {
	values := map[string][]float64{}
	for _, it := range objects(result) {
		off := false
		for k, e := range it {
			if b, isBool := e.(bool); isBool && !b && offField.MatchString(k) {
				off = true
			}
		}
		if off {
			continue
		}
		for k, e := range it {
			if f, isNum := e.(float64); isNum {
				values[k] = append(values[k], f)
			}
		}
	}
	for _, k := range sortedKeys(values) {
		list := values[k]
		slices.Sort(list)
		if len(list) < 3 || list[0] == list[len(list)-1] {
			continue
		}
		best := list[0]
		if !least {
			best = list[len(list)-1]
		}
		mentioned := 0
		for _, f := range slices.Compact(list) {
			if said[normalFigure(jsonNumber(f))] {
				mentioned++
			}
		}
		if mentioned > 0 {
			return k, mentioned > 1 || said[normalFigure(jsonNumber(best))], true
		}
	}
	return "", false, false
}

func jsonNumber(f float64) string {
	b, err := json.Marshal(f)
	if err != nil {
		return ""
	}
	return string(b)
}

// firstList returns a JSON result that is a list, or of an object the first member, by
// name, that is a list of two or more.
func firstList(result string) []any {
	var doc any
	if json.Unmarshal([]byte(result), &doc) != nil {
		return nil
	}
	switch doc := doc.(type) {
	case []any:
		return doc
	case map[string]any:
		for _, name := range sortedKeys(doc) {
			if l, ok := doc[name].([]any); ok && len(l) > 1 {
				return l
			}
		}
	}
	return nil
}

// objects returns the objects in the first list of a JSON result.
func objects(text string) []map[string]any {
	var items []map[string]any
	for _, e := range firstList(text) {
		if m, ok := e.(map[string]any); ok {
			items = append(items, m)
		}
	}
	return items
}
