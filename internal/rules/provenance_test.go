package rules

import (
	"context"
	"strings"
	"testing"

	"github.com/evalforge/evalforge/internal/extract/prompts"
)

func TestAnswerSaysWhatProducedIt(t *testing.T) {
	ans, err := New().Analyze(context.Background(), prepare(t, unknownTool, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if ans.ModelVersion != Version || ans.PromptSHA256 != prompts.Version() {
		t.Errorf("got %q and %q, want %q and the version of the prompts", ans.ModelVersion, ans.PromptSHA256, Version)
	}
}

// An error that does not decide is still named: the title must not say that there is none.
func TestTitleNamesAnErrorThatDoesNotDecide(t *testing.T) {
	a := analyze(t, prepare(t, `{"messages":[{"role":"user","content":"Rain?"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"a","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"503 Service Unavailable"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"c2","type":"function","function":{"name":"b","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"c2","content":"4 mm"},
		{"role":"assistant","content":"4 mm."}]}`, "", ""))
	if a.Confidence >= 0.5 || strings.Contains(strings.ToLower(a.Title), "no detectable error") || !strings.Contains(a.Title, "server error") {
		t.Errorf("title %q with confidence %.2f", a.Title, a.Confidence)
	}
	if strings.Contains(a.Summary, "No step recorded an error") {
		t.Errorf("summary denies the error: %s", a.Summary)
	}
}
