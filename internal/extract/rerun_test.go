package extract

import (
	"slices"
	"testing"

	"github.com/evalforge/evalforge"
)

// TestMakingOfASuccessor: a pattern that a successor of the configured model made is not
// made otherwise, as long as the settings are the same: it would be paid for at each rerun.
func TestMakingOfASuccessor(t *testing.T) {
	pattern := func(model, configured string) *evalforge.Pattern {
		return &evalforge.Pattern{Provenance: evalforge.Provenance{Analyzer: "gemini", Model: model, ConfiguredModel: configured, PromptSHA256: "p"}}
	}
	now := func(model string) Making { return Making{Analyzer: "gemini", Model: model, Prompt: "p"} }
	for _, tt := range []struct {
		name string
		made *evalforge.Pattern
		now  Making
		want []string
	}{
		{"by the configured model", pattern("a", ""), now("a"), nil},
		{"by a successor", pattern("b", "a"), now("a"), nil},
		{"by what is configured now", pattern("b", "a"), now("b"), nil},
		{"by a successor of another", pattern("b", "a"), now("c"), []string{PartModel}},
		{"by another", pattern("b", ""), now("a"), []string{PartModel}},
	} {
		if got := MadeWith(tt.made).Differs(tt.now); !slices.Equal(got, tt.want) {
			t.Errorf("%s: differs in %q, want %q", tt.name, got, tt.want)
		}
	}
}
