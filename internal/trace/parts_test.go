package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What belongs to one trace is put together, and what does not is kept apart, however it
// is distributed over the documents of a file.
func TestSplitParts(t *testing.T) {
	event := func(typ, id, body string) string {
		return fmt.Sprintf(`{"id":"%s-%s","type":%q,"timestamp":"2026-01-01T00:00:00Z","body":{"id":%q%s}}`, typ, id, typ, id, body)
	}
	batch := func(events ...string) string { return `{"batch":[` + strings.Join(events, ",") + `],"metadata":{}}` }
	observation := func(id, trace string) string {
		return event("span-create", id, `,"traceId":"`+trace+`","name":"`+id+`","startTime":"2026-01-01T00:00:00Z"`)
	}
	exported := func(trace, span string) string {
		return fmt.Sprintf(`{"type":"span","id":%[2]q,"attributes":{"trace_id":%[1]q,"span_id":%[2]q,"name":%[2]q,"span_kind":"tool","ml_app":"app","start_ns":1772600000000000000}}`, trace, span)
	}
	page := func(spans ...string) string {
		return `{"data":[` + strings.Join(spans, ",") + `],"links":{"next":"https://api/next"},"meta":{"page":{"after":"x"}}}`
	}
	sent := func(trace, span string) string {
		return fmt.Sprintf(`{"trace_id":%q,"span_id":%[2]q,"parent_id":"undefined","name":%[2]q,"start_ns":1772600000000000000,"duration":5,"meta":{"kind":"tool"}}`, trace, span)
	}
	run := func(trace, id string) string {
		return fmt.Sprintf(`{"id":%[2]q,"trace_id":%[1]q,"name":%[2]q,"run_type":"tool","dotted_order":"20260101T000000000000Z%[2]s","start_time":"2026-01-01T00:00:00Z","inputs":{"q":1}}`, trace, id)
	}
	ended := func(trace, id string) string {
		return fmt.Sprintf(`{"id":%q,"trace_id":%q,"end_time":"2026-01-01T00:00:01Z","outputs":{"a":2}}`, id, trace)
	}
	for _, tc := range []struct {
		name  string
		input []string // lines
		want  []string
	}{
		{"langfuse batch of two traces", []string{batch(
			event("trace-create", "t", `,"name":"job"`), observation("a", "t"), event("trace-create", "u", ""), observation("b", "u"), observation("c", "t"),
		)}, []string{"1 langfuse t 2", "1 langfuse u 1"}},
		{"langfuse batches of one trace", []string{batch(observation("a", "t"), observation("b", "u")), batch(observation("c", "t"))},
			[]string{"1 langfuse t 2", "1 langfuse u 1"}},
		{"langfuse events, one in a line", []string{event("trace-create", "t", ""), observation("a", "t"), observation("b", "u"), observation("c", "t")},
			[]string{"1 langfuse t 2", "3 langfuse u 1"}},
		{"langfuse update that names no trace", []string{batch(observation("a", "t"), observation("b", "u"), event("span-update", "b", `,"level":"ERROR"`))},
			[]string{"1 langfuse t 1", "1 langfuse u 1"}},
		{"langfuse events that cannot be placed", []string{batch(observation("a", "t"), observation("b", "u"), event("span-update", "z", ""), "7", `{"type":"sdk-log","body":{}}`)},
			[]string{"1 langfuse t 1 (2 items of lists are no parts of a trace and were skipped)", "1 langfuse u 1"}},
		{"langfuse trace without observations", []string{batch(event("trace-create", "t", `,"timestamp":"2026-01-01T00:00:00Z","input":"q"`))}, []string{"1 langfuse t 1"}},
		{"datadog export over pages", []string{page(exported("t", "a"), exported("u", "b")), page(exported("t", "c"), "null")},
			[]string{"1 datadog-export t 2 (1 item of a list is no part of a trace and was skipped)", "1 datadog-export u 1"}},
		{"datadog requests", []string{`{"spans":[` + sent("t", "a") + `]}`, `{"data":{"type":"span","attributes":{"ml_app":"app","spans":[` + sent("t", "b") + "," + sent("u", "c") + `]}}}`},
			[]string{"1 datadog t 2", "2 datadog u 1"}},
		{"datadog requests in a list", []string{`[{"_dd.stage":"raw","spans":[` + sent("t", "a") + `]},{"_dd.stage":"raw","spans":[` + sent("t", "b") + `]}]`},
			[]string{"1 datadog t 2"}},
		{"langsmith batches", []string{`{"post":[` + run("t", "a") + "," + run("u", "b") + `]}`, `{"patch":[` + ended("t", "a") + `]}`, `{"post":[` + run("t", "c") + `],"patch":[` + ended("u", "b") + `]}`},
			[]string{"1 langsmith t 2", "1 langsmith u 1"}},
		{"langsmith patch that names no trace", []string{`{"post":[` + run("t", "a") + "," + run("u", "b") + `],"patch":[{"id":"b","error":"timeout"}]}`},
			[]string{"1 langsmith t 1", "1 langsmith u 1"}},
		{"langsmith runs in camelCase", []string{`{"runs":[{"id":"a","traceId":"t","name":"a","runType":"chain","inputs":{}},{"id":"b","traceId":"t","parentRunId":"a","name":"b","runType":"tool","error":"boom"},{"id":"c","traceId":"u","name":"c","runType":"llm"}]}`},
			[]string{"1 langsmith t 2", "1 langsmith u 1"}},
		{"langsmith pages", []string{`{"runs":[` + run("t", "a") + `],"cursors":{"next":"x"}}`, `{"runs":[` + run("t", "b") + `],"cursors":{"next":null}}`},
			[]string{"1 langsmith t 2"}},
		{"pages of any spans", []string{`{"data":[{"trace_id":"t","span_id":"a","name":"x"}],"next_cursor":"c"}`, `{"data":[{"trace_id":"t","span_id":"b","name":"y"}]}`},
			[]string{"1 spans t 2"}},
		{"whole traces of any spans", []string{`{"spans":[{"trace_id":"t","span_id":"a","name":"x"}]}`, `{"spans":[{"trace_id":"u","span_id":"b","name":"y"}]}`},
			[]string{"1 spans t 1", "2 spans u 1"}},
		{"agents' batches of two traces", []string{
			`{"data":[{"object":"trace","id":"trace_t","workflow_name":"w","group_id":"g"},{"object":"trace.span","id":"a","trace_id":"trace_t","started_at":"2026-01-01T00:00:00Z","span_data":{"type":"agent","name":"x"}}]}`,
			`{"data":[{"object":"trace.span","id":"b","trace_id":"trace_u","span_data":{"type":"agent","name":"y"}},{"object":"trace.span","id":"c","trace_id":"trace_t","parent_id":"a","span_data":{"type":"function","name":"f"}}]}`,
		}, []string{"1 openai-agents trace_t 2", "2 openai-agents trace_u 1"}},
		{"agents' items, one in a line", []string{
			`{"object":"trace","id":"trace_t","workflow_name":"w"}`, `{"object":"trace.span","id":"a","trace_id":"trace_t","span_data":{"type":"agent","name":"x"}}`,
		}, []string{"1 openai-agents trace_t 1"}},
		{"turns without a document", []string{`[{"from":"human","value":"hi"},{"from":"gpt","value":"hello"}]`}, []string{"1 sharegpt  2"}},
		{"conversations of a data set", []string{`{"id":"a","conversations":[{"from":"human","value":"hi"}]}`, `{"id":"b","conversations":[{"from":"human","value":"hi"}]}`},
			[]string{"1 sharegpt a 1", "2 sharegpt b 1"}},
		{"autogen items and what the run returned", []string{
			`{"source":"user","content":"hi","type":"TextMessage","models_usage":null}`,
			`{"source":"agent","content":[{"id":"c","name":"f","arguments":"{}"}],"type":"ToolCallRequestEvent"}`,
			`{"source":"agent","content":[{"call_id":"c","name":"f","content":"x","is_error":true}],"type":"ToolCallExecutionEvent"}`,
			`{"messages":[{"source":"user","content":"hi","type":"TextMessage"}],"stop_reason":"done"}`,
		}, []string{"1 autogen  3"}},
		{"what several autogen runs returned", []string{
			`{"messages":[{"source":"user","content":"hi","type":"TextMessage"},{"source":"a","content":"x","type":"TextMessage"}],"stop_reason":"done"}`,
			`{"messages":[{"source":"user","content":"ho","type":"TextMessage"}],"stop_reason":null}`,
		}, []string{"1 autogen  2", "2 autogen  1"}},
		{"what autogen logs", []string{
			`{"type":"LLMCall","messages":[{"role":"user","content":"hi"}],"response":{"choices":[{"message":{"role":"assistant","content":"ho"}}]},"agent_id":"a/1"}`,
			`{"type":"Message","payload":"{}","sender":"a","receiver":"b","kind":"MessageKind.DIRECT","delivery_stage":"DeliveryStage.SEND"}`,
			`{"type":"ToolCall","tool_name":"f","arguments":{},"result":"x","agent_id":"a/1"}`,
			`{"timestamp":"2026-01-01T00:00:00Z","source":"g","type":"ContentPublishEvent","agent_message":{"source":"a","content":"x","type":"TextMessage"}}`,
		}, []string{"1 autogen  3"}},
		{"messages of two conversations", []string{
			`{"conversation_id":"c","role":"user","content":"hi"}`, `{"conversation_id":"d","role":"user","content":"hello"}`, `{"conversation_id":"c","role":"assistant","content":"ho"}`,
		}, []string{"1 openai c 2", "2 openai d 1"}},
		{"requests of one conversation", []string{
			`{"trace_id":"c","request":{"model":"m","messages":[{"role":"user","content":"hi"}]},"response":{"choices":[{"message":{"role":"assistant","content":"ho"}}]}}`,
			`{"trace_id":"d","request":{"model":"m","messages":[{"role":"user","content":"hi"}]},"response":{"choices":[{"message":{"role":"assistant","content":"ho"}}]}}`,
			`{"trace_id":"c","request":{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"},{"role":"user","content":"ha"}]},"error":"timeout"}`,
		}, []string{"1 openai c 2", "2 openai d 2"}},
		{"langsmith runs with the runs below them", []string{
			`{"id":"a","run_type":"chain","name":"a","inputs":{},"child_runs":[{"id":"b","run_type":"llm","name":"b","parent_run_id":"a","child_runs":[]}]}`,
			`{"id":"c","run_type":"chain","name":"c","error":"boom","child_runs":[]}`,
		}, []string{"1 langsmith a 2", "2 langsmith c 1"}},
		{"an answer with traces", []string{`{"data":[` + chatA + "," + chatB + `],"total":2}`}, []string{"1 openai A 1", "1 openai B 1"}},
		{"traces by id", []string{`{"A":{"trace_id":"A","failure_type":"x","trace_payload":` + chatA + `},"B":` + chatB + `}`}, []string{"1 openai A raw", "1 openai B 1"}},
		{"magentic-one's log", []string{`{"timestamp":"2026-01-01T00:00:00","source":"UserProxy","message":"Find it","type":"OrchestrationEvent"}`, `{"timestamp":"2026-01-01T00:00:01","source":"WebSurfer","message":"Error: x","type":"WebSurferEvent"}`}, []string{"1 autogen  2"}},
		{"traces within an envelope", []string{`{"status":"ok","result":{"items":[` + chatA + "," + chatB + `]}}`}, []string{"1 openai A 1", "1 openai B 1"}},
		{"requests of a batch", []string{
			`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"hi"}]}}`,
			`{"custom_id":"b","params":{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}}`,
		}, []string{"1 openai a 1", "2 openai b 1"}},
		{"responses of a batch", []string{
			`{"id":"r","custom_id":"a","response":{"status_code":200,"body":{"choices":[{"message":{"role":"assistant","content":"ho"}}]}},"error":null}`,
			`{"id":"s","custom_id":"b","response":null,"error":{"code":"batch_expired","message":"too late"}}`,
			`{"custom_id":"c","result":{"type":"succeeded","message":{"id":"m","type":"message","role":"assistant","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn"}}}`,
			`{"custom_id":"d","result":{"type":"expired"}}`,
		}, []string{"1 openai a 1", "2 openai b 1", "3 openai c 1", "4 openai d 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := split(t, strings.NewReader(strings.Join(tc.input, "\n")), SplitOptions{})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			spilled := split(t, strings.NewReader(strings.Join(tc.input, "\n")), SplitOptions{MaxHeld: 1, TempDir: t.TempDir()})
			if len(spilled) != len(got) { // with the disk comes another order
				t.Errorf("%d documents by way of the disk, want %d: %q", len(spilled), len(got), spilled)
			}
		})
	}
}

// Parts of a trace that come in several files are put together in any format that has
// parts, and the newer version of an item stands.
func TestMergeLists(t *testing.T) {
	for _, tc := range []struct {
		name, a, b string
		want       []string // names of the steps
	}{
		{"langfuse batches", `{"batch":[{"id":"1","type":"span-create","body":{"id":"a","traceId":"t","name":"a"}}]}`, `{"batch":[{"id":"2","type":"span-create","body":{"id":"b","traceId":"t","name":"b"}}]}`, []string{"a", "b"}},
		{"langfuse observations", `{"trace":{"id":"t"},"observations":[{"id":"a","type":"SPAN","traceId":"t","name":"a"}]}`, `{"trace":{"id":"t"},"observations":[{"id":"b","type":"SPAN","traceId":"t","name":"b"},{"id":"a","type":"SPAN","traceId":"t","name":"newer"}]}`, []string{"newer", "b"}},
		{"datadog pages", `{"data":[{"id":"a","type":"span","attributes":{"trace_id":"t","span_id":"a","span_kind":"tool","ml_app":"x","name":"a"}}]}`, `{"data":[{"id":"b","type":"span","attributes":{"trace_id":"t","span_id":"b","span_kind":"tool","ml_app":"x","name":"b"}}]}`, []string{"a", "b"}},
		{"langsmith begin and end", `{"post":[{"id":"a","trace_id":"t","dotted_order":"1Zt","run_type":"tool","name":"a","inputs":{"q":1}}]}`, `{"patch":[{"id":"a","trace_id":"t","dotted_order":"1Zt","outputs":{"a":2}}]}`, []string{"a"}},
		{"a session and its agent", `{"conversation_id":"s","messages":[{"sessionId":"s","type":"user","uuid":"1","message":{"role":"user","content":"hi"}}]}`,
			`{"conversation_id":"s","messages":[{"sessionId":"s","type":"user","uuid":"2","isSidechain":true,"agentId":"a","message":{"role":"user","content":"test"}}]}`, []string{"user", "user"}},
		{"langsmith runs", `{"runs":[{"id":"a","trace_id":"t","run_type":"tool","name":"a"}]}`, `{"runs":[{"id":"b","trace_id":"t","run_type":"tool","name":"b"}]}`, []string{"a", "b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Merge(json.RawMessage(tc.a), json.RawMessage(tc.b))
			if err != nil {
				t.Fatal(err)
			}
			tr, err := Decode(got)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range tr.Steps {
				names = append(names, s.Name)
			}
			if diff := cmp.Diff(tc.want, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			again, err := Merge(got, json.RawMessage(tc.b))
			if err != nil || string(again) != string(got) {
				t.Errorf("merged again: %s, %v; want no change", again, err)
			}
		})
	}
	for _, tc := range [][2]string{
		{`{"runs":[{"id":"a","trace_id":"t","run_type":"tool"}]}`, `{"batch":[{"id":"1","type":"span-create","body":{"id":"a","traceId":"t"}}]}`},
		{`{"messages":[{"role":"user","content":"a"}]}`, `{"messages":[{"role":"user","content":"b"}]}`},
	} {
		if got, err := Merge(json.RawMessage(tc[0]), json.RawMessage(tc[1])); err == nil {
			t.Errorf("Merge(%s, %s) = %s, want an error", tc[0], tc[1], got)
		}
	}
}

// What a list holds beside spans is skipped, and counted.
func TestStrayItemsAreCounted(t *testing.T) {
	const attributes = `"attributes":[{"key":"a"},{"value":{"stringValue":"b"}},{"key":"c","value":{"stringValue":"d"}},5]`
	for _, tc := range []struct{ name, payload, want string }{
		{"otlp attributes", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"t","spanId":"s","name":"n",` + attributes + `}]}]}]}`,
			"attributes or events of spans without a key or a value: 3 were skipped"},
		{"otlp attributes without a value", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"t","spanId":"s","name":"n","attributes":[{"key":"a"}]}]}]}]}`,
			"attributes or events of spans without a key or a value: 1 were skipped"},
		{"otlp events", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"t","spanId":"s","name":"n","events":[null,{"name":"e",` + attributes + `}]}]}]}]}`,
			"attributes or events of spans without a key or a value: 4 were skipped"},
		{"otlp logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"t","spanId":"s","eventName":"gen_ai.user.message","body":{"content":"x"},` + attributes + `}]}]}]}`,
			"attributes of log records without a key or a value: 3 were skipped"},
		{"otlp items", `[{"resourceSpans":[{"scopeSpans":[{"spans":[null,{"traceId":"t","spanId":"s","name":"n"}]}]}]},7]`, "2 items of lists are no parts of a trace and were skipped"},
		{"langfuse", `{"trace":{"id":"t"},"observations":[null,{"id":"a","type":"SPAN","traceId":"t"},{"id":"b","type":"SPAN","traceId":"t"}]}`, "1 item of a list is no part of a trace and was skipped"},
		{"langsmith", `{"runs":[{"id":"a","trace_id":"t","run_type":"tool"},null,"x"]}`, "2 items of lists are no parts of a trace and were skipped"},
		{"datadog", `{"spans":[{"span_id":"a","trace_id":"t","meta":{"kind":"tool"}},null,{}]}`, "2 items of lists are no parts of a trace and were skipped"},
		{"datadog export", `{"data":[{"attributes":{"span_id":"a","trace_id":"t","span_kind":"tool","ml_app":"x"}},null]}`, "1 item of a list is no part of a trace and was skipped"},
		{"phoenix", `[{"context":{"span_id":"a","trace_id":"t"},"parent_id":null,"span_kind":"TOOL","name":"x"},5]`, "1 item of a list is no part of a trace and was skipped"},
		{"any spans", `{"spans":[{"span_id":"a","trace_id":"t","name":"x"},null]}`, "1 item of a list is no part of a trace and was skipped"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, err := Decode([]byte(tc.payload))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tc.want}, tr.Warnings); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tr.Format, diff)
			}
		})
	}
}

// Merging what was merged already changes nothing, and what comes of it can be decoded.
func FuzzMerge(f *testing.F) {
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for i, name := range files {
		a, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(files[(i+1)%len(files)])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a, b)
		f.Add(a, bytes.ReplaceAll(a, []byte("1"), []byte("2")))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a)+len(b) > 1<<17 {
			return
		}
		whole, err := Merge(a, b)
		if err != nil {
			return
		}
		again, err := Merge(whole, b)
		if err != nil || canonicalText(t, again) != canonicalText(t, whole) {
			t.Errorf("merged again: %v\n%s\nwant no change:\n%s", err, again, whole)
		}
		tr, err := Decode(whole)
		if err != nil {
			t.Fatal(err)
		}
		checkTrace(t, tr)
	})
}

func canonicalText(t *testing.T, b []byte) string {
	t.Helper()
	v, err := parseJSON(b)
	if err != nil {
		t.Fatal(err)
	}
	return canonical(v)
}
