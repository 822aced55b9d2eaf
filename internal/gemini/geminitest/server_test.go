package geminitest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var v struct {
		Candidates []struct {
			Content struct{ Parts []struct{ Text string } }
		}
	}
	_ = json.NewDecoder(resp.Body).Decode(&v) // an error page has no candidates
	if len(v.Candidates) == 0 {
		return resp.StatusCode, ""
	}
	parts := v.Candidates[0].Content.Parts
	return resp.StatusCode, parts[len(parts)-1].Text
}

// The scripted answer is valid, quotes a step of the trace, and follows the hints.
func TestWellAnswersFromTheRequest(t *testing.T) {
	s := geminitest.NewServer(t)
	msg := "BEGIN HINTS m1\n" + `{"signals":[{"speaks_for":"wrong_tool","suggests":"unsuitable tool chosen for the task"}]}` +
		"\nEND HINTS m1\nBEGIN TRACE m1\n" + `{"format":"a long text outside any step","steps":[{"i":7,"text":"the passage to quote"}]}` + "\nEND TRACE m1\n"
	body, err := json.Marshal(map[string]any{"contents": []any{map[string]any{"parts": []any{map[string]any{"text": msg}}}}})
	if err != nil {
		t.Fatal(err)
	}
	code, text := post(t, s.URL+"/v1beta/models/gemini-x:generateContent", string(body))
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	schema, err := evalforge.AnalysisSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		t.Error(err)
	}
	var a evalforge.Analysis
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	if err := a.Validate(); err != nil {
		t.Error(err)
	}
	if r := a.Evidence.Refs[0]; r.Quote != "the passage to quote" || *r.Step != 7 || a.FailingStep.Index != 7 || a.FailureType != evalforge.WrongTool {
		t.Errorf("analysis = %+v", a)
	}
	if got := s.Requests(); len(got) != 1 || got[0].Model != "gemini-x" || got[0].Vertex {
		t.Errorf("requests = %+v", got)
	}
}

func TestScriptRunsInOrderAndRepeatsItsEnd(t *testing.T) {
	s := geminitest.NewServer(t, geminitest.RateLimited(0, ""), geminitest.HTML(503))
	url := s.URL + "/v1beta1/projects/p/locations/l/publishers/google/models/m:generateContent"
	var got []int
	for range 3 {
		code, _ := post(t, url, "{}")
		got = append(got, code)
	}
	s.Gone("m")
	code, _ := post(t, url, "{}")
	if got = append(got, code); got[0] != 429 || got[1] != 503 || got[2] != 503 || got[3] != 404 {
		t.Errorf("statuses = %v, want 429 503 503 404", got)
	}
	if code, _ := post(t, s.URL+"/v2/other", "{}"); code != http.StatusNotFound {
		t.Errorf("unknown path: %d", code)
	}
	if code, _ := post(t, url, "no JSON"); code != http.StatusBadRequest {
		t.Errorf("body that is not JSON: %d", code)
	}
	if s.Peak() != 1 {
		t.Errorf("peak = %d, want 1", s.Peak())
	}
}
