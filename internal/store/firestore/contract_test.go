package firestore

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
	"github.com/evalforge/evalforge/internal/trace"
)

var update = flag.Bool("update", false, "rewrite the golden documents")

// typed renders a stored value with its Firestore type, which JSON would not show: an
// integer is 1, a double 1.0, a native timestamp an object.
func typed(v any) any {
	switch v := v.(type) {
	case float64:
		return json.Number(store.FormatDouble(v))
	case time.Time:
		return map[string]any{"$timestamp": v}
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = typed(e)
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = typed(e)
		}
		return m
	}
	return v
}

// written plays a story and returns the documents that it leaves, by collection and id.
func written(t *testing.T) map[string]any {
	t.Helper()
	db := open(t, emulator.Project())
	code, score := 503, 1.0
	full := raw("trace-full", 0)
	full.StatusCode, full.QualityScore, full.UserHash = &code, &score, strings.Repeat("ab", 32)
	full.StatusHistory = []evalforge.StatusChange{{Status: "new", Actor: "ingestion", Timestamp: evalforge.At(t0)}}
	full.ExportStatus = "pending"
	full.Payload = json.RawMessage(`{"input_messages":[{"role":"user","content":"hi"}],"matrix":[[1,2.0],[]],"big":1E400,"metadata":{"latency_ms":12.5}}`)
	for i, tr := range []evalforge.RawTrace{full, raw("trace-quarantined", 1), raw("trace-backing-off", 2), raw("trace-leased", 3), raw("trace-ready", 4)} {
		if _, err := db.PutTrace(t.Context(), tr); err != nil {
			t.Fatal(i, err)
		}
	}
	n := 0
	claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "run_20260102_030405_0a1b2c3d", Owner: "host, process 1", Limit: 4,
		Now: minute(1), LeaseUntil: minute(6), NewToken: func() string { n++; return fmt.Sprint("token-", n) }})
	if err != nil || len(claims) != 4 {
		t.Fatalf("got %d claims and error %v", len(claims), err)
	}
	excerpt, step := "hi", 2
	p := evalforge.Pattern{PatternID: evalforge.PatternID("trace-full"), SourceTraceID: "trace-full", Analysis: analysis(),
		ExtractedAt: evalforge.At(minute(2)), Fingerprint: "fp-1"}
	p.Evidence.Excerpt = &excerpt
	p.Evidence.Refs = []evalforge.EvidenceRef{{Step: &step, Quote: "hi", Verified: true, Match: "exact"}}
	p.FailingStep = &evalforge.FailingStep{Index: 2, Name: "answer"}
	p.Provenance = evalforge.Provenance{RunID: "run_20260102_030405_0a1b2c3d", Analyzer: "gemini", Model: "m", InputDigest: claims[0].Digest, Attempts: 1}
	if err := db.Commit(t.Context(), claims[0].Lease, extract.Result{Pattern: &p, Digest: claims[0].Digest, At: minute(2)}); err != nil {
		t.Fatal(err)
	}
	for i, c := range claims[1:3] {
		f := extract.Failure{Quarantine: i == 0, RetryAt: minute(30), Error: evalforge.ExtractionError{RunID: c.RunID, SourceTraceID: c.TraceID,
			ErrorType: evalforge.InvalidJSON, ErrorMessage: "the answer is not JSON", RecordedAt: evalforge.At(minute(3)),
			ModelResponseSHA256: strings.Repeat("0f", 32), ModelResponseExcerpt: "Sure! Here"}}
		if err := db.Fail(t.Context(), c.Lease, f); err != nil {
			t.Fatal(err)
		}
	}
	patternID, reason := p.PatternID, "the answer is not JSON"
	if err := db.SaveRun(t.Context(), evalforge.Run{RunID: "run_20260102_030405_0a1b2c3d", StartedAt: evalforge.At(minute(1)), FinishedAt: evalforge.At(minute(4)),
		TriggeredBy: evalforge.Scheduled, BatchSize: 50, PickedUpCount: 3, StoredCount: 1, ErrorCount: 2, Analyzer: "gemini", Model: "m", CostUSD: 1,
		TraceOutcomes: []evalforge.TraceOutcome{{SourceTraceID: "trace-full", Status: evalforge.Stored, PatternID: &patternID},
			{SourceTraceID: "trace-quarantined", Status: evalforge.ValidationFailed, ErrorReason: &reason}}}); err != nil {
		t.Fatal(err)
	}
	docs := without(dump(t, db), "mark", "raw_version") // which are other ones each time
	for k, v := range docs {
		docs[k] = typed(v)
	}
	return docs
}

// TestGoldenDocuments: what is stored, field by field and type by type.
func TestGoldenDocuments(t *testing.T) {
	golden(t, "extraction", written(t))
}

// golden compares documents with the files of a folder. Each file has its document, and
// each document its file.
func golden(t *testing.T, folder string, written map[string]any) {
	t.Helper()
	folder = filepath.Join("testdata", "golden", folder)
	docs := map[string]string{}
	for path, doc := range written {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(doc); err != nil {
			t.Fatal(err)
		}
		docs[strings.NewReplacer("/", "__", ":", "_").Replace(path)+".json"] = b.String()
	}
	if *update {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, doc := range docs {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(doc), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := map[string]string{}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatalf("%v; go test -update writes the files", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		want[file.Name()] = string(text)
	}
	if d := gocmp.Diff(want, docs); d != "" {
		t.Errorf("the documents are not those of the files; go test -update writes them (-want +got):\n%s", d)
	}
}

var storedTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$`)

// TestWrittenDocumentsFollowTheContract checks what is written against what the services
// downstream read by key, and how they read it.
func TestWrittenDocumentsFollowTheContract(t *testing.T) {
	for path, doc := range written(t) {
		fields := doc.(map[string]any)
		collection, id, _ := strings.Cut(path, "/")
		walk(path, fields, 0, func(at string, depth int, v any) {
			if m, ok := v.(map[string]any); ok && m["$timestamp"] != nil && at != path+"."+expiryField {
				t.Errorf("%s is a native timestamp", at)
			}
			if depth > 20 {
				t.Errorf("%s is nested %d levels deep", at, depth)
			}
			name := at[strings.LastIndexByte(at, '.')+1:]
			if s, ok := v.(string); ok && (strings.HasSuffix(name, "_at") || name == "timestamp") && s != "" && !storedTime.MatchString(s) {
				t.Errorf("%s is %q, want the one layout of stored times", at, s)
			}
		})
		text := func(names ...string) {
			for _, name := range names {
				if _, ok := fields[name].(string); !ok {
					t.Errorf("%s.%s: got %v, want a string", path, name, fields[name])
				}
			}
		}
		texts := func(m map[string]any, name string, least int) {
			list, ok := m[name].([]any)
			if !ok || len(list) < least || slices.ContainsFunc(list, func(v any) bool { _, ok := v.(string); return !ok }) {
				t.Errorf("%s: %s is %v, want at least %d strings", path, name, m[name], least)
			}
		}
		counts := func(names ...string) {
			for _, name := range names {
				if _, ok := fields[name].(int64); !ok {
					t.Errorf("%s.%s: got %v, want an integer", path, name, fields[name])
				}
			}
		}
		oneOf := func(name string, allowed ...string) {
			if s, _ := fields[name].(string); !slices.Contains(allowed, s) {
				t.Errorf("%s.%s is %q, want one of %q", path, name, s, allowed)
			}
		}
		switch collection {
		case rawTraces:
			text("trace_id", "fetched_at", "failure_type", "severity", "service_name")
			counts("recurrence_count")
			if _, ok := fields["trace_payload"].(map[string]any); !ok || fields["trace_id"] != id {
				t.Errorf("%s: trace_id %v, trace_payload %T", path, fields["trace_id"], fields["trace_payload"])
			}
			if p, ok := fields["processed"].(bool); !ok || p != (fields["processed_at"] != nil) {
				t.Errorf("%s: processed %v, processed_at %v", path, fields["processed"], fields["processed_at"])
			}
			for _, absent := range []string{"status_code", "quality_score", "user_hash"} { // never null
				if v, ok := fields[absent]; ok && v == nil {
					t.Errorf("%s: %s is null, want it absent", path, absent)
				}
			}
		case patterns:
			text("title", "trigger_condition", "summary", "root_cause_hypothesis", "confidence_rationale", "extracted_at")
			oneOf("failure_type", "hallucination", "toxicity", "wrong_tool", "runaway_loop", "pii_leak", "stale_data", "infrastructure_error", "client_error", "other")
			oneOf("severity", "low", "medium", "high", "critical")
			oneOf("pattern_id", "pattern_"+id)
			oneOf("source_trace_id", id)
			texts(fields, "recommended_actions", 1)
			texts(fields["evidence"].(map[string]any), "signals", 1)
			repro := fields["reproduction_context"].(map[string]any)
			texts(repro, "tools_involved", 0)
			if s, _ := repro["input_pattern"].(string); strings.TrimSpace(s) == "" {
				t.Errorf("%s: blank input_pattern", path)
			}
			for m, name := range map[*map[string]any]string{&repro: "required_state"} {
				if _, ok := (*m)[name]; !ok {
					t.Errorf("%s: %s is absent, want a string or null", path, name)
				}
			}
			if _, ok := fields["confidence"].(json.Number); !ok {
				t.Errorf("%s: confidence is a %T, want a double", path, fields["confidence"])
			}
			if fields["processed"] != false {
				t.Errorf("%s: processed is %v, want false", path, fields["processed"])
			}
		case runs:
			text("run_id", "started_at", "finished_at")
			oneOf("triggered_by", "scheduled", "manual")
			counts("batch_size", "picked_up_count", "stored_count", "validation_failed_count", "error_count", "timed_out_count")
			if !regexp.MustCompile(`^run_\d{8}_\d{6}_[0-9a-f]{8}$`).MatchString(id) {
				t.Errorf("%s: the id has another form", path)
			}
			for _, o := range fields["trace_outcomes"].([]any) {
				o := o.(map[string]any)
				if s, _ := o["status"].(string); !slices.Contains([]string{"stored", "skipped", "validation_failed", "error", "timed_out"}, s) {
					t.Errorf("%s: status %q", path, s)
				}
				for _, name := range []string{"pattern_id", "error_reason"} {
					if _, ok := o[name]; !ok {
						t.Errorf("%s: an outcome without %s", path, name)
					}
				}
			}
		case errorDocs:
			text("run_id", "source_trace_id", "error_message", "recorded_at")
			oneOf("error_type", "invalid_json", "schema_validation", "vertex_error", "timeout", "oversize", "unknown")
			if want := fmt.Sprint(fields["run_id"], ":", fields["source_trace_id"]); id != want {
				t.Errorf("%s: the id should be %s", path, want)
			}
		}
	}
}

func walk(path string, v any, depth int, visit func(path string, depth int, v any)) {
	visit(path, depth, v)
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			walk(path+"."+k, e, depth+1, visit)
		}
	case []any:
		for _, e := range v {
			walk(path, e, depth+1, visit)
		}
	}
}

// pythonPayloads are the four shapes of trace_payload that the existing services write.
var pythonPayloads = map[string]map[string]any{
	"datadog": {"input": map[string]any{"messages": []any{map[string]any{"role": "user", "content": "what is the fare?"}}},
		"output": map[string]any{"value": "it is free"}, "metadata": map[string]any{"model_name": "m"}, "tags": []any{"env:prod"},
		"metrics": map[string]any{"input_tokens": 12, "output_tokens": 3.0}, "name": "chat", "span_kind": "llm", "status": "error", "duration": 1.5e9},
	"generator": {"input_messages": []any{map[string]any{"role": "user", "content": "hi"}},
		"output_messages": []any{map[string]any{"role": "assistant", "content": "ho", "tool_calls": []any{}, "tool_results": []any{}}},
		"metadata":        map[string]any{"model": "m", "provider": "p", "latency_ms": 1200, "eval_flags": []any{"toxic"}, "monitor_tags": []any{}}},
	"few-shot": {"model": "m", "prompt": "p", "response": "r", "error": nil, "latency_ms": 12, "tokens_used": 40,
		"tool_calls": []any{map[string]any{"tool": "search", "input": "x"}}, "retry_count": 0},
	"live-test": {"error_message": "boom", "user_prompt": "u", "model_response": "m", "metadata": map[string]any{},
		"spans": []any{map[string]any{"span_id": "1", "operation": "llm", "duration_ms": 10, "status": "error"}}},
}

// TestReadsWhatThePythonServicesWrite: every payload shape, with times as strings of
// several layouts and as native timestamps, with and without optional fields.
func TestReadsWhatThePythonServicesWrite(t *testing.T) {
	db := open(t, emulator.Project())
	placeholder(t, db)
	at := time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC)
	times := map[string]any{"string": "2026-01-01T00:00:00.123456+00:00", "zulu": "2026-01-01T00:00:00.123456Z", "naive": "2026-01-01T00:00:00.123456", "native": at}
	want := map[string]json.RawMessage{}
	for shape, payload := range pythonPayloads {
		for layout, fetched := range times {
			for _, optional := range []bool{false, true} {
				id := fmt.Sprintf("%s-%s-%v", shape, layout, optional)
				fields := map[string]any{"trace_id": id, "fetched_at": fetched, "failure_type": "llm_error", "severity": "", "service_name": "",
					"trace_payload": payload, "processed": false, "recurrence_count": 1, "status": "new",
					"status_history": []any{map[string]any{"status": "new", "actor": "ingestion", "timestamp": fetched}}, "export_status": "pending"}
				if optional {
					fields["status_code"], fields["quality_score"], fields["user_hash"] = 500, 0.25, "ab"
					fields["trace_id"] = "something else" // the document's id wins
				}
				if _, err := db.raw(id).Set(t.Context(), fields); err != nil {
					t.Fatal(err)
				}
				text, err := json.Marshal(payload)
				if err != nil {
					t.Fatal(err)
				}
				want[id] = text
			}
		}
	}
	claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 500, Now: minute(1), LeaseUntil: minute(2), NewToken: func() string { return "t" }})
	if err != nil || len(claims) != len(want) {
		t.Fatalf("got %d claims and error %v, want %d", len(claims), err, len(want))
	}
	for _, c := range claims {
		tr := c.Trace
		if c.Err != nil || tr.TraceID != c.TraceID || !tr.FetchedAt.Equal(at) || !tr.StatusHistory[0].Timestamp.Equal(at) {
			t.Errorf("%s: got id %q, fetched at %v, history %v, error %v", c.TraceID, tr.TraceID, tr.FetchedAt, tr.StatusHistory, c.Err)
		}
		optional := strings.HasSuffix(c.TraceID, "true")
		if (tr.StatusCode != nil) != optional || (tr.QualityScore != nil) != optional || (tr.UserHash != "") != optional {
			t.Errorf("%s: optional fields %v %v %q", c.TraceID, tr.StatusCode, tr.QualityScore, tr.UserHash)
		}
		var got, wanted any
		if err := json.Unmarshal(tr.Payload, &got); err != nil {
			t.Errorf("%s: %v", c.TraceID, err)
		}
		if err := json.Unmarshal(want[c.TraceID], &wanted); err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(wanted, got); d != "" {
			t.Errorf("%s: payload (-want +got):\n%s", c.TraceID, d)
		}
		if d, err := trace.Decode(tr.Payload); err != nil || len(d.Steps) == 0 {
			t.Errorf("%s: the payload is not understood: %v", c.TraceID, err)
		}
	}

	// And the documents of the Python extraction service itself, which have less in them.
	set := func(collection, id string, fields map[string]any) {
		if _, err := db.collection(collection).Doc(id).Set(t.Context(), fields); err != nil {
			t.Fatal(err)
		}
	}
	pythonPattern := map[string]any{"pattern_id": "pattern_x", "source_trace_id": "x", "title": "t", "failure_type": "stale_data", "trigger_condition": "old",
		"summary": "s", "root_cause_hypothesis": "r", "evidence": map[string]any{"signals": []any{"s"}, "excerpt": nil},
		"recommended_actions": []any{"a"}, "reproduction_context": map[string]any{"input_pattern": "i", "required_state": nil, "tools_involved": []any{}},
		"severity": "low", "confidence": 1, "confidence_rationale": "c", "extracted_at": at, "processed": true, "processed_at": at}
	set(patterns, "x", pythonPattern)
	set(runs, "run_20260101_000000_00000000", map[string]any{"run_id": "run_20260101_000000_00000000", "started_at": at, "finished_at": "2026-01-01T00:00:01Z",
		"triggered_by": "scheduled", "batch_size": 50, "picked_up_count": 1, "stored_count": 1, "validation_failed_count": 0, "error_count": 0, "timed_out_count": 0})
	set(errorDocs, "r:x", map[string]any{"run_id": "r", "source_trace_id": "x", "error_type": "vertex_error", "error_message": "m", "recorded_at": at})
	p, err := db.Pattern(t.Context(), "x")
	if err != nil || p.Confidence != 1 || !p.ExtractedAt.Equal(at) || !p.Processed {
		t.Errorf("pattern: %+v, %v", p, err)
	}
	if list, _, err := db.Patterns(t.Context(), extract.PatternQuery{}); err != nil || len(list) != 1 {
		t.Errorf("patterns: got %d, %v", len(list), err)
	}
	if list, _, err := db.Runs(t.Context(), extract.PageQuery{}); err != nil || len(list) != 1 || !list[0].StartedAt.Equal(at) {
		t.Errorf("runs: got %+v, %v", list, err)
	}
	if list, _, err := db.Errors(t.Context(), extract.ErrorQuery{}); err != nil || len(list) != 1 {
		t.Errorf("errors: got %d, %v", len(list), err)
	}
}

// TestExtractsWhateverElseIsWrong: a trace is extracted, as the Python service does it,
// whatever the fields are that extraction has no use for. They stay as they are.
func TestExtractsWhateverElseIsWrong(t *testing.T) {
	db := open(t, emulator.Project())
	want := 0
	for name, v := range map[string]any{"trace_id": 17, "fetched_at": 1767323045, "recurrence_count": "many", "status": true, "status_history": "none",
		"export_status": 1, "export_destination": []any{1}, "export_reference": map[string]any{}, "status_code": "503", "quality_score": "low",
		"user_hash": minute(1), "processed_at": 1.5, "more": []any{map[string]any{"a": nil}}} {
		fields, err := document(raw(name, 0))
		if err != nil {
			t.Fatal(err)
		}
		fields[name] = v
		if _, err := db.raw(name).Set(t.Context(), fields); err != nil {
			t.Fatal(err)
		}
		want++
	}
	r := run(t, engine(t, db, &script{}, extract.Options{}), 50)
	if r.StoredCount != want {
		t.Errorf("stored %d of %d: %+v", r.StoredCount, want, r.TraceOutcomes)
	}
	snap, err := db.raw("status_code").Get(t.Context())
	if err != nil || snap.Data()["status_code"] != "503" || snap.Data()["processed"] != true {
		t.Errorf("the raw document is now %v, error %v", snap.Data(), err)
	}
}
