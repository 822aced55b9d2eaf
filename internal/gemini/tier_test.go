package gemini

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

// answeredAs is a good answer whose usage names a traffic type, and whose version is
// another model's if version is not "".
func answeredAs(traffic, version string) geminitest.Reply {
	return func(w http.ResponseWriter, r *geminitest.Request) {
		usage := map[string]any{"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
		if traffic != "" {
			usage["trafficType"] = traffic
		}
		if version == "" {
			version = r.Model
		}
		geminitest.JSON(http.StatusOK, map[string]any{
			"candidates":    []any{map[string]any{"finishReason": "STOP", "content": map[string]any{"parts": []any{map[string]any{"text": geminitest.Encode(geminitest.Plausible(r))}}}}},
			"usageMetadata": usage, "modelVersion": version,
		})(w, r)
	}
}

// Each service is asked for the Flex tier in its own way, and billed as it says.
func TestFlexTier(t *testing.T) {
	const full = (1000*0.30 + 100*2.50) / 1e6
	tests := []struct {
		name    string
		backend Backend
		tier    Tier
		traffic string
		cost    float64
	}{
		{"Gemini API", GeminiAPI, Flex, "", full / 2},
		{"Gemini API, standard", GeminiAPI, Standard, "", full},
		{"Vertex AI", Vertex, Flex, "ON_DEMAND_FLEX", full / 2},
		{"Vertex AI, served otherwise", Vertex, Flex, "ON_DEMAND", full},
		{"Vertex AI, does not say", Vertex, Flex, "", full},
		{"Vertex AI, standard", Vertex, "", "ON_DEMAND", full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.backend, Options{Tier: tt.tier, Location: DefaultLocation}, answeredAs(tt.traffic, ""))
			ans, err := r.analyze(t)
			if err != nil {
				t.Fatal(err)
			}
			if !near(ans.CostUSD, tt.cost) {
				t.Errorf("cost %v, want %v", ans.CostUSD, tt.cost)
			}
			q := r.srv.Requests()[0]
			var body map[string]any
			if err := json.Unmarshal(q.Body, &body); err != nil {
				t.Fatal(err)
			}
			flex := tt.tier == Flex
			if got := body["serviceTier"] == "flex"; got != (flex && tt.backend == GeminiAPI) {
				t.Errorf("serviceTier = %v", body["serviceTier"])
			}
			if got := q.Header.Get("X-Vertex-AI-LLM-Shared-Request-Type") == "flex"; got != (flex && tt.backend == Vertex) {
				t.Errorf("shared request type %q", q.Header.Get("X-Vertex-AI-LLM-Shared-Request-Type"))
			}
		})
	}
	if _, err := New(t.Context(), Options{Backend: Vertex, Project: "p", Location: "europe-west4", Tier: Flex}); err == nil || !strings.Contains(err.Error(), "VERTEX_AI_LOCATION") {
		t.Errorf("Flex at a region: %v", err)
	}
	if _, err := New(t.Context(), Options{Backend: GeminiAPI, APIKey: "k", Tier: "priority"}); err == nil || !strings.Contains(err.Error(), "EVALFORGE_SERVICE_TIER") {
		t.Errorf("unknown tier: %v", err)
	}
}

// A service that answers with another model is billed at that one's price, which is said
// once.
func TestReroutedModel(t *testing.T) {
	r := newRig(t, GeminiAPI, Options{}, answeredAs("", "gemini-3.6-flash"))
	for range 3 {
		ans, err := r.analyze(t)
		if err != nil {
			t.Fatal(err)
		}
		if want := (1000*1.50 + 100*7.50) / 1e6; !near(ans.CostUSD, want) || ans.ModelVersion != "gemini-3.6-flash" {
			t.Errorf("cost %v of %s, want %v", ans.CostUSD, ans.ModelVersion, want)
		}
	}
	if n := strings.Count(r.logs.String(), "answers with another model"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, r.logs)
	}
}

// A model that is in no table of prices may be dearer than the one that was asked: it is
// counted at the highest rates, and is no proof of what the next call costs.
func TestReroutedToUnknownModel(t *testing.T) {
	for _, version := range []string{"gemini-9-huge", "models/x"} {
		r := newRig(t, GeminiAPI, Options{}, answeredAs("", version))
		ans, err := r.analyze(t)
		if err != nil {
			t.Fatal(err)
		}
		if want := DefaultPrices().Dearest().Cost(1000, 0, 100); !near(ans.CostUSD, want) {
			t.Errorf("answered by %s: cost %v, want %v", version, ans.CostUSD, want)
		}
		if r.lineup.proven(DefaultModel, r.now()) {
			t.Errorf("an answer of %s is taken as proof of the price of %s", version, DefaultModel)
		}
	}
}

func TestSuccessors(t *testing.T) {
	r := newRig(t, Vertex, Options{Model: "gemini-a", Successors: []string{"gemini-b", "gemini-a", "gemini-c"}})
	r.srv.Gone("gemini-a", "gemini-b")
	for range 3 {
		if ans, err := r.analyze(t); err != nil || ans.Model != "gemini-c" {
			t.Fatalf("answer of %+v, %v; want of gemini-c", ans, err)
		}
	}
	var asked []string
	for _, q := range r.srv.Requests() {
		asked = append(asked, q.Model)
	}
	if want := []string{"gemini-a", "gemini-b", "gemini-c", "gemini-c", "gemini-c"}; !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v: a model that is gone is not asked again", asked, want)
	}
	if n := strings.Count(r.logs.String(), "its successor takes over"); n != 2 {
		t.Errorf("%d warnings, want one for each", n)
	}
	r = newRig(t, Vertex, Options{Model: "gemini-a", Successors: []string{}})
	r.srv.Gone("gemini-a")
	if _, err := r.analyze(t); extract.KindOf(err) != extract.KindConfig || len(r.srv.Requests()) != 1 {
		t.Errorf("without successors: %v after %d calls", err, len(r.srv.Requests()))
	}
	if _, err := New(t.Context(), Options{Backend: GeminiAPI, APIKey: "k", Successors: []string{"a b"}}); err == nil || !strings.Contains(err.Error(), "EVALFORGE_MODEL_SUCCESSORS") {
		t.Errorf("malformed successor: %v", err)
	}
}

// Calls whose usage nobody reported are bounded; refused ones cost nothing.
func TestUnsureSpending(t *testing.T) {
	for name, tt := range map[string]struct {
		script []geminitest.Reply
		unsure int
	}{
		"well":            {[]geminitest.Reply{geminitest.Well()}, 0},
		"refused":         {[]geminitest.Reply{geminitest.RateLimited(0, ""), geminitest.Status(503, "UNAVAILABLE", "x"), geminitest.Well()}, 0},
		"half, then well": {[]geminitest.Reply{geminitest.Half(), geminitest.Well()}, 1},
		"always half":     {[]geminitest.Reply{geminitest.Half()}, 3},
		"dropped":         {[]geminitest.Reply{geminitest.Drop(), geminitest.Well()}, 1},
		"garbage":         {[]geminitest.Reply{geminitest.Garbage(), geminitest.Well()}, 1},
		"no usage":        {[]geminitest.Reply{geminitest.NoCandidates(), geminitest.Well()}, 1},
		"400":             {[]geminitest.Reply{geminitest.Status(400, "INVALID_ARGUMENT", "x")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, GeminiAPI, Options{}, tt.script...)
			ans, err := r.analyze(t)
			var got extract.Unsure
			var e *extract.Error
			switch {
			case err == nil:
				got = ans.Unsure
			case errors.As(err, &e):
				got = e.Spent.Unsure
			}
			if got.Calls != tt.unsure || (got.CostUSD > 0) != (tt.unsure > 0) || (got.Tokens.Prompt > 0) != (tt.unsure > 0) {
				t.Errorf("unsure = %+v, want of %d calls", got, tt.unsure)
			}
		})
	}
}

// A complete answer that the limit ended in the white space behind it is paid for and used.
func TestCompleteAnswerAtTheLimit(t *testing.T) {
	r := newRig(t, GeminiAPI, Options{}, func(w http.ResponseWriter, q *geminitest.Request) {
		geminitest.Finish("MAX_TOKENS", geminitest.Encode(geminitest.Plausible(q))+strings.Repeat(" \n", 500))(w, q)
	})
	ans, err := r.analyze(t)
	if err != nil || ans.Finish != "MAX_TOKENS" || ans.Attempts != 1 {
		t.Errorf("answer %+v, %v; want it used after one call, and the reason of its end kept", ans, err)
	}
}

// The ways in which services say that a model cannot be had, and what only sounds so.
func TestWhatMeansGone(t *testing.T) {
	for _, tt := range []struct {
		code    int
		status  string
		message string
		gone    bool
	}{
		{404, "NOT_FOUND", "models/gemini-x is not found for API version v1beta, or is not supported for generateContent.", true},
		{404, "NOT_FOUND", "Publisher Model `projects/p/locations/l/publishers/google/models/gemini-x` was not found or your project does not have access to it.", true},
		{400, "FAILED_PRECONDITION", "Organization Policy constraint constraints/vertexai.allowedModels violated: attempting to use a disallowed Gen AI model gemini-x.", true},
		{400, "FAILED_PRECONDITION", "Model gemini-x is not supported in region us-west9.", true},
		{403, "PERMISSION_DENIED", "This model is no longer available to new users.", true},
		{410, "GONE", "The model gemini-x has been retired.", true},
		{410, "GONE", "Model gemini-x is not there any more.", true},
		{400, "FAILED_PRECONDITION", "The model gemini-x was retired on 2026-10-20.", true},
		{403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/p/models/m' (or it may not exist).", false},
		{400, "FAILED_PRECONDITION", "User location is not supported for the API use.", false},
		{400, "INVALID_ARGUMENT", "Thinking level is not supported by this model.", false},
		{400, "INVALID_ARGUMENT", "The model gemini-x is deprecated and no longer supported. Please use a newer model.", true},
		{400, "FAILED_PRECONDITION", "Gemini 1.0 Pro has been deprecated on July 12, 2024. Consider switching to a different model.", true},
		{400, "INVALID_ARGUMENT", "models/gemini-x is no longer supported.", true},
		{403, "PERMISSION_DENIED", "Model gemini-x has reached its end of life.", true},
		{400, "INVALID_ARGUMENT", "Thinking budget is no longer supported by this model.", false},
		{400, "INVALID_ARGUMENT", "Model gemini-x: the parameter top_k is deprecated and no longer supported.", false},
		{400, "INVALID_ARGUMENT", "The input is too long for this model.", false},
		{404, "NOT_FOUND", "Requested entity was not found.", false},
	} {
		r := newRig(t, GeminiAPI, Options{Model: "gemini-x", Successors: []string{"gemini-y"}}, geminitest.Status(tt.code, tt.status, tt.message), geminitest.Well())
		_, err := r.analyze(t)
		if moved := err == nil && r.Model() == "gemini-y"; moved != tt.gone {
			t.Errorf("%d %s: moved on: %v (%v)", tt.code, tt.message, moved, err)
		}
	}
}

// A model that was found gone is asked again when the run is long over.
func TestGoneModelIsAskedAgainLater(t *testing.T) {
	var models []string
	back := false
	r := newRig(t, GeminiAPI, Options{Model: "gemini-x", Successors: []string{"gemini-y"}}, func(w http.ResponseWriter, q *geminitest.Request) {
		models = append(models, q.Model)
		if q.Model == "gemini-x" && !back {
			geminitest.ModelGone()(w, q)
			return
		}
		geminitest.Well()(w, q)
	})
	at := time.Now()
	r.now = func() time.Time { return at }
	for _, after := range []time.Duration{0, time.Hour, goneFor, 2 * time.Hour} {
		at = at.Add(after)
		back = after == goneFor
		if _, err := r.analyze(t); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"gemini-x", "gemini-y", "gemini-y", "gemini-x", "gemini-x", "gemini-y"}
	if diff := cmp.Diff(want, models); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}
