package prompts

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
)

func TestCategoriesCoverEveryFailureType(t *testing.T) {
	var got []evalforge.FailureType
	for _, c := range Categories() {
		got = append(got, c.FailureType)
	}
	if diff := cmp.Diff(evalforge.FailureTypes(), got); diff != "" {
		t.Errorf("failure types of categories.json (-want +got):\n%s", diff)
	}
}

// Downstream services merge patterns by the similarity of the label, and stored labels
// are refused when they hold digits or brackets, so the vocabulary must be plain words.
func TestVocabularyIsStorable(t *testing.T) {
	plain := regexp.MustCompile(`^[a-z]+( [a-z]+)*$`)
	seen := map[string]evalforge.FailureType{}
	for _, c := range Categories() {
		if strings.TrimSpace(c.Definition) == "" {
			t.Errorf("%s: no definition", c.FailureType)
		}
		if n := len(c.Conditions); n < 4 || n > 10 {
			t.Errorf("%s: %d trigger conditions, want 4 to 10", c.FailureType, n)
		}
		for _, cond := range c.Conditions {
			if !plain.MatchString(cond.Label) {
				t.Errorf("%s: label %q is not plain lower-case words", c.FailureType, cond.Label)
			}
			if n := utf8.RuneCountInString(cond.Label); n > evalforge.MaxLabelRunes {
				t.Errorf("%s: label %q has %d characters, want at most %d", c.FailureType, cond.Label, n, evalforge.MaxLabelRunes)
			}
			if other, ok := seen[cond.Label]; ok {
				t.Errorf("label %q is in %s and in %s", cond.Label, other, c.FailureType)
			}
			seen[cond.Label] = c.FailureType
			if strings.TrimSpace(cond.When) == "" {
				t.Errorf("label %q does not say when it applies", cond.Label)
			}
			if n := len(cond.Actions); n < 2 || n > 4 {
				t.Errorf("label %q has %d actions, want 2 to 4", cond.Label, n)
			}
			for _, a := range cond.Actions {
				if strings.TrimSpace(a) == "" || utf8.RuneCountInString(a) > evalforge.MaxItemRunes {
					t.Errorf("label %q: action %q is blank or too long", cond.Label, a)
				}
			}
		}
	}
}

func TestConditionFor(t *testing.T) {
	for _, tc := range []struct {
		label string
		want  evalforge.FailureType
		ok    bool
	}{
		{"model provider rate limit exceeded", evalforge.InfrastructureError, true},
		{"Model provider: rate-limit exceeded ", evalforge.InfrastructureError, true},
		{"no detectable error in the trace", evalforge.Other, true},
		{"a label nobody coined", "", false},
		{"", "", false},
	} {
		cond, got, ok := ConditionFor(tc.label)
		if got != tc.want || ok != tc.ok {
			t.Errorf("ConditionFor(%q) = %q, %v; want %q, %v", tc.label, got, ok, tc.want, tc.ok)
		}
		if ok && len(cond.Actions) == 0 {
			t.Errorf("ConditionFor(%q) has no actions", tc.label)
		}
	}
}

func TestCategoriesReturnsACopy(t *testing.T) {
	c := Categories()
	c[0].Conditions[0].Label = "changed"
	c[0].Conditions[0].Actions[0] = "changed"
	if got := Categories()[0].Conditions[0]; got.Label == "changed" || got.Actions[0] == "changed" {
		t.Error("a change by one caller is seen by the next")
	}
}
