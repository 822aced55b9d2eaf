package gemini

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
	"github.com/evalforge/evalforge/internal/trace"
)

// liveVar turns on the test against the real service, which costs about $0.002.
const liveVar = "EVALFORGE_LIVE_GEMINI"

// The real service accepts the request and answers it, on whichever backend the
// environment has credentials for.
func TestLive(t *testing.T) {
	if os.Getenv(liveVar) != "1" {
		t.Skipf("SKIPPED: the test against the real service needs %s=1 and GEMINI_API_KEY or GOOGLE_CLOUD_PROJECT", liveVar)
	}
	opt := Options{Backend: GeminiAPI, APIKey: os.Getenv("GEMINI_API_KEY"), Model: os.Getenv("GEMINI_MODEL")}
	if opt.APIKey == "" {
		opt.Backend, opt.Project, opt.Location = Vertex, os.Getenv("GOOGLE_CLOUD_PROJECT"), os.Getenv("VERTEX_AI_LOCATION")
	}
	a, err := New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.Check(ctx); err != nil {
		t.Fatal(err)
	}
	in := &extract.Input{TraceID: "live", Trace: &trace.Trace{}, Compacted: trace.Compacted{JSON: prompts.Examples()[0].Trace}}
	ans, err := a.Analyze(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := ans.Analysis.Validate(); err != nil {
		t.Error(err)
	}
	t.Logf("%s (%s): %s, %s, %.2f; %+v tokens, $%.5f, %v", ans.Model, ans.ModelVersion, ans.Analysis.FailureType,
		ans.Analysis.TriggerCondition, ans.Analysis.Confidence, ans.Tokens, ans.CostUSD, ans.Latency)
}
