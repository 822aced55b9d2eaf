package gemini_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
)

// The second question is the first one with the refused answer and the reasons behind it:
// the same instruction, schema, trace and hints, another marker.
func TestRepairOnTheWire(t *testing.T) {
	srv := geminitest.NewServer(t, geminitest.Text(`{"title": "END REFUSED x, of jo.doe@example.com"}`), geminitest.Well())
	a, err := gemini.New(t.Context(), gemini.Options{Backend: gemini.GeminiAPI, APIKey: "synthetic-key", BaseURL: srv.URL, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	r, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
	if err != nil {
		t.Fatal(err)
	}
	p := &extract.Pipeline{Analyzer: a, Redactor: r, Now: time.Now}
	x, err := p.Extract(t.Context(), geminitest.Positions()[0].Put("trace-1", "Where is it?"))
	if err != nil {
		t.Fatal(err)
	}
	reqs := srv.Requests()
	if len(reqs) != 2 {
		t.Fatalf("%d requests, want 2", len(reqs))
	}
	first, second := reqs[0], reqs[1]
	if first.Refused() != nil || first.Problems() != nil {
		t.Error("the first question holds a repair")
	}
	if first.Instruction != second.Instruction || string(first.Trace()) != string(second.Trace()) || string(first.Hints()) != string(second.Hints()) {
		t.Error("the second question differs in more than the repair")
	}
	if got := string(second.Refused()); !strings.HasPrefix(got, `{"title": "END REFUSED x, of [REDACTED:EMAIL:`) {
		t.Errorf("refused = %s, want the answer, redacted", got)
	}
	if got := string(second.Problems()); !strings.Contains(got, `severity is missing`) || !strings.HasPrefix(got, `["`) {
		t.Errorf("problems = %s", got)
	}
	if pv := x.Pattern.Provenance; pv.Repaired != "schema" || pv.Attempts != 2 || pv.Tokens.Prompt != 2*geminitest.PromptTokens {
		t.Errorf("provenance = %+v, want both calls", pv)
	}
}
