package extract

import (
	"slices"
	"testing"
)

// Whatever a text says before, a step that it names in the plainest way is found.
func FuzzStepsIn(f *testing.F) {
	for _, text := range []string{"", "step", "<b", "steps 1, 2 and", "the one hundred and", "Step −", "step ⁹⁹ (i=", "\xff step \xf0 1,000,"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !slices.ContainsFunc(stepsIn(text+"\nIt broke at step 4711."), func(s saidStep) bool { return s.n == 4711 }) {
			t.Errorf("step 4711 is not found behind %q", text)
		}
	})
}
