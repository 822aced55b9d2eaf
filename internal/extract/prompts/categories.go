package prompts

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/evalforge/evalforge"
)

//go:embed categories.json
var categoriesJSON []byte

// parsed reads the embedded file once. A file that does not parse is a build that no
// test has seen, so there is no error to return.
var parsed = sync.OnceValue(func() []Category {
	var list []Category
	if err := json.Unmarshal(categoriesJSON, &list); err != nil {
		panic(fmt.Sprintf("prompts: categories.json: %v", err)) // embedded: covered by a test
	}
	return list
})

// Categories returns the failure types in their documented order, each with its
// definition and its vocabulary of trigger conditions. The caller may change the result.
func Categories() []Category {
	list := slices.Clone(parsed())
	for i := range list {
		list[i].Conditions = slices.Clone(list[i].Conditions)
		for j := range list[i].Conditions {
			list[i].Conditions[j].Actions = slices.Clone(list[i].Conditions[j].Actions)
		}
	}
	return list
}

// ConditionFor returns the vocabulary's entry for a label, and the failure type that it
// belongs to. Labels are compared in the form of [evalforge.NormalizeLabel]. It reports
// false for a label that is not in the vocabulary. The caller must not change the
// condition's actions.
func ConditionFor(label string) (Condition, evalforge.FailureType, bool) {
	want := evalforge.NormalizeLabel(label)
	for _, c := range parsed() {
		for _, cond := range c.Conditions {
			if evalforge.NormalizeLabel(cond.Label) == want {
				return cond, c.FailureType, true
			}
		}
	}
	return Condition{}, "", false
}
