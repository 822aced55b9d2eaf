package extract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// logLines returns what was logged as JSON, line by line.
func logLines(t *testing.T, log []byte) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for d := json.NewDecoder(bytes.NewReader(log)); d.More(); {
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	return lines
}

// Every line of a run has its id; every trace has one line when it is picked up and one
// when it ends, with what the on-call person looks for.
func TestLogTellsWhatBecameOfEachTrace(t *testing.T) {
	temperature := 0.2
	answer := good()
	answer.PromptSHA256, answer.Temperature = "5ca1ab1e", &temperature
	a := &scripted{answer: func(_ context.Context, in *extract.Input) (*extract.Answer, error) {
		switch in.TraceID {
		case "t001":
			return nil, &extract.Error{Kind: extract.KindSchema, Err: errors.New("scripted"), Spent: extract.Spent{CostUSD: 0.5, Attempts: 2}}
		case "t002":
			return nil, &extract.Error{Kind: extract.KindTimeout, Err: errors.New("scripted")}
		case "t003":
			return nil, &extract.Error{Kind: extract.KindUnavailable, Err: errors.New("scripted")}
		case "t005":
			return nil, &extract.Error{Kind: extract.KindConfig, Err: errors.New("scripted")}
		}
		b := *answer
		return &b, nil
	}}
	s := memory.New()
	put(t, s, 6)
	bad := rawTrace("t0035", 3) // comes between t003 and t004
	bad.Payload = json.RawMessage(`{}`)
	if _, err := s.PutTrace(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	e := engine(t, s, a, extract.Options{MaxAttempts: 1})
	e.Log = slog.New(slog.NewJSONHandler(&log, nil))
	run, err := e.Run(t.Context(), extract.RunRequest{})
	if extract.KindOf(err) != extract.KindConfig {
		t.Fatalf("run: %v", err)
	}

	lines := logLines(t, log.Bytes())
	got := map[string][]string{}
	for _, l := range lines {
		if l["run_id"] != run.RunID {
			t.Errorf("a line without the run's id: %v", l)
		}
		if id, ok := l["source_trace_id"].(string); ok {
			outcome, _ := l["outcome"].(string)
			got[id] = append(got[id], outcome)
		}
	}
	want := map[string][]string{
		"t000": {"picked_up", "pattern_stored"}, "t001": {"picked_up", "validation_failed"},
		"t002": {"picked_up", "timed_out"}, "t003": {"picked_up", "error"}, "t0035": {"picked_up", "skipped"},
		"t004": {"picked_up", "pattern_stored"}, "t005": {"picked_up", "not_started"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes by trace (-want +got):\n%s", diff)
	}
	if first, last := lines[0]["msg"], lines[len(lines)-1]; first != "run started" || last["msg"] != "run ended" ||
		last["stored"] != 2.0 || last["not_started"] != 1.0 || last["level"] != "ERROR" {
		t.Errorf("first line %q, last line %v", first, last)
	}
	for _, l := range lines {
		switch {
		case l["source_trace_id"] == "t000" && l["outcome"] == "pattern_stored":
			checkAttrs(t, l, map[string]any{
				"pattern_id": "pattern_t000", "model": "model-x", "model_version": "model-x-001", "temperature": 0.2,
				"prompt_sha256": "5ca1ab1e", "cost_usd": 0.25, "tokens_prompt": 10.0, "tokens_output": 5.0, "model_calls": 1.0,
				"confidence": 0.9, "failure_type": "infrastructure_error", "pattern_severity": "high", "attempt": 1.0,
			})
			if _, ok := l["elapsed_ms"]; !ok {
				t.Errorf("no elapsed_ms: %v", l)
			}
		case l["source_trace_id"] == "t001" && l["outcome"] == "validation_failed":
			checkAttrs(t, l, map[string]any{"kind": "schema", "quarantined": true, "error": "scripted", "cost_usd": 0.5, "model_calls": 2.0, "model": "model-x"})
		}
	}
}

func checkAttrs(t *testing.T, line, want map[string]any) {
	t.Helper()
	got := map[string]any{}
	for k := range want {
		got[k] = line[k]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v (-want +got):\n%s", line["msg"], diff)
	}
}
