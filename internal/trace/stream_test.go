package trace

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// streamed are answers as they come in one, and in pieces. All ask for the tool find.
var streamed = []struct {
	name   string
	whole  string
	pieces []string
}{
	{"chat completion", `{"id":"a","object":"chat.completion","created":1767323045,"model":"m","usage":{"prompt_tokens":5,"completion_tokens":7},
		"choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":"Hello","tool_calls":[
			{"id":"c1","type":"function","function":{"name":"find","arguments":"{\"q\":1}"}},{"id":"c2","type":"function","function":{"name":"find","arguments":"{\"q\":2}"}}]}}]}`,
		[]string{
			`{"id":"","object":"","model":"","choices":[],"prompt_filter_results":[]}`,
			`{"id":"a","object":"chat.completion.chunk","created":1767323045,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"lo"}}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"find","arguments":""}}]}}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"q\""}}]}}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c2","function":{"name":"find","arguments":"{\"q\":2}"}}]}}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}`,
		}},
	{"chat completion of a server that does not number calls", `{"id":"a","object":"chat.completion","model":"m",
		"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","tool_calls":[
			{"id":"c1","function":{"name":"find","arguments":"{\"q\":1}"}},{"id":"c2","function":{"name":"find","arguments":"{\"q\":2}"}}]}}]}`,
		[]string{
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"delta":{"role":"assistant","tool_calls":[{"id":"c1","function":{"name":"find","arguments":"{\"q\":"}}]}}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"delta":{"tool_calls":[{"function":{"arguments":"1}"}}]}}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"delta":{"tool_calls":[{"id":"c2","function":{"name":"find","arguments":"{\"q\":2}"}}]},"finish_reason":"stop"}]}`,
		}},
	{"completion", `{"id":"a","object":"text_completion","model":"m","choices":[{"text":"Hello","finish_reason":"length"}]}`,
		[]string{
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"text":"Hel","finish_reason":null}]}`,
			`{"id":"a","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"text":"lo","finish_reason":"length"}]}`,
		}},
	{"message", `{"id":"a","type":"message","role":"assistant","model":"m","stop_reason":"tool_use","usage":{"input_tokens":10,"output_tokens":25},"content":[
		{"type":"thinking","thinking":"Well."},{"type":"text","text":"Let me look."},{"type":"tool_use","id":"c1","name":"find","input":{"q":1}}]}`,
		[]string{
			`{"type":"message_start","message":{"id":"a","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":10,"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Well."}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}`,
			`{"type":"content_block_stop","index":0}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}`,
			`{"type":"ping"}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Let me "}}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"look."}}`,
			`{"type":"content_block_stop","index":1}`,
			`{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"c1","name":"find","input":{}}}`,
			`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}`,
			`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"q\":"}}`,
			`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":" 1}"}}`,
			`{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":25}}`,
			`{"type":"message_stop"}`,
		}},
	{"message that broke off", `{"id":"a","type":"message","role":"assistant","model":"m","usage":{"input_tokens":10,"output_tokens":1},"content":[{"type":"text","text":"Let me "}],
		"error":{"type":"overloaded_error","message":"Overloaded"}}`,
		[]string{
			`{"type":"message_start","message":{"id":"a","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":10,"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let me "}}`,
			`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`,
		}},
	{"response", `{"id":"a","object":"response","model":"m","status":"completed","usage":{"input_tokens":3,"output_tokens":4},"output":[
		{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]},{"type":"function_call","call_id":"c1","name":"find","arguments":"{\"q\":1}"}]}`,
		[]string{
			`{"type":"response.created","response":{"id":"a","object":"response","model":"m","status":"in_progress","output":[]}}`,
			`{"type":"response.output_item.added","output_index":0,"item":{"id":"m1","type":"message","status":"in_progress","role":"assistant","content":[]}}`,
			`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hello"}`,
			`{"type":"response.completed","response":{"id":"a","object":"response","model":"m","status":"completed","usage":{"input_tokens":3,"output_tokens":4},"output":[
				{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]},{"type":"function_call","call_id":"c1","name":"find","arguments":"{\"q\":1}"}]}}`,
		}},
	{"response that broke off", `{"id":"a","object":"response","model":"m","status":"in_progress","output":[
		{"type":"message","role":"assistant","content":"Hello"},{"type":"function_call","call_id":"c1","name":"find","arguments":"{\"q\":1}"},{"type":"function_call","call_id":"c2","name":"find","arguments":"{\"q\""}],
		"error":{"code":"server_error","message":"boom"}}`,
		[]string{
			`{"type":"response.created","response":{"id":"a","object":"response","model":"m","status":"in_progress","output":[]}}`,
			`{"type":"response.output_item.added","output_index":0,"item":{"id":"m1","type":"message","status":"in_progress","role":"assistant","content":[]}}`,
			`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hel"}`,
			`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"lo"}`,
			`{"type":"response.output_item.done","output_index":1,"item":{"id":"f1","type":"function_call","call_id":"c1","name":"find","arguments":"{\"q\":1}"}}`,
			`{"type":"response.output_item.added","output_index":2,"item":{"id":"f2","type":"function_call","call_id":"c2","name":"find","arguments":""}}`,
			`{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"q\""}`,
			`{"type":"error","code":"server_error","message":"boom"}`,
		}},
	{"converse", `{"output":{"message":{"role":"assistant","content":[{"text":"Hello"},{"toolUse":{"toolUseId":"c1","name":"find","input":{"q":1}}}]}},
		"stopReason":"tool_use","usage":{"inputTokens":5,"outputTokens":6}}`,
		[]string{
			`{"messageStart":{"role":"assistant"}}`,
			`{"contentBlockDelta":{"delta":{"text":"Hel"},"contentBlockIndex":0}}`,
			`{"contentBlockDelta":{"delta":{"text":"lo"},"contentBlockIndex":0}}`,
			`{"contentBlockStop":{"contentBlockIndex":0}}`,
			`{"contentBlockStart":{"start":{"toolUse":{"toolUseId":"c1","name":"find"}},"contentBlockIndex":1}}`,
			`{"contentBlockDelta":{"delta":{"toolUse":{"input":"{\"q\":"}},"contentBlockIndex":1}}`,
			`{"contentBlockDelta":{"delta":{"toolUse":{"input":"1}"}},"contentBlockIndex":1}}`,
			`{"messageStop":{"stopReason":"tool_use"}}`,
			`{"metadata":{"usage":{"inputTokens":5,"outputTokens":6},"metrics":{"latencyMs":100}}}`,
		}},
	{"converse that broke off", `{"output":{"message":{"role":"assistant","content":[{"text":"Hel"}]}},"error":{"type":"throttlingException","message":"Too many requests"}}`,
		[]string{
			`{"messageStart":{"role":"assistant"}}`,
			`{"contentBlockDelta":{"delta":{"text":"Hel"},"contentBlockIndex":0}}`,
			`{"throttlingException":{"message":"Too many requests"}}`,
		}},
	{"candidates", `{"responseId":"a","modelVersion":"m","usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":9},"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[
		{"text":"Well.","thought":true},{"text":"Hello"},{"functionCall":{"name":"find","args":{"q":1}}}]}}]}`,
		[]string{
			`{"candidates":[{"content":{"role":"model","parts":[{"text":"We","thought":true}]},"index":0}],"usageMetadata":{"promptTokenCount":3},"modelVersion":"m","responseId":"a"}`,
			`{"candidates":[{"content":{"role":"model","parts":[{"text":"ll.","thought":true},{"text":"He"}]},"index":0}],"modelVersion":"m","responseId":"a"}`,
			`{"candidates":[{"content":{"role":"model","parts":[{"text":"llo"}]},"index":0}],"modelVersion":"m","responseId":"a"}`,
			`{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"find","args":{"q":1}}}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":9},"modelVersion":"m","responseId":"a"}`,
		}},
	{"chat of Ollama", `{"model":"m","created_at":"2026-01-02T03:04:06Z","choices":[{"finish_reason":"stop","message":{"role":"assistant","content":"Hello","tool_calls":[{"function":{"name":"find","arguments":{"q":1}}}]}}],
		"usage":{"prompt_tokens":5,"completion_tokens":6}}`,
		[]string{
			`{"model":"m","created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":"Hel"},"done":false}`,
			`{"model":"m","created_at":"2026-01-02T03:04:06Z","message":{"role":"assistant","content":"lo","tool_calls":[{"function":{"name":"find","arguments":{"q":1}}}]},"done":false}`,
			`{"model":"m","created_at":"2026-01-02T03:04:06Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":5,"eval_count":6}`,
		}},
}

// An answer that came in pieces is the answer that comes in one, wherever the pieces stand.
func TestStreamedAnswersAreWhole(t *testing.T) {
	const request = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
	source := regexp.MustCompile(` source=\S+`)
	understood := func(response string) string {
		t.Helper()
		tr, err := Decode([]byte(`{"request":` + request + `,"response":` + response + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return source.ReplaceAllString(describe(tr), "")
	}
	for _, tc := range streamed {
		t.Run(tc.name, func(t *testing.T) {
			list := "[" + strings.Join(tc.pieces, ",") + "]"
			var events, data strings.Builder
			var wrapped []string
			for _, p := range tc.pieces {
				p = canonical(embedded(p)) // on one line
				fmt.Fprintf(&data, "data: %s\n\n", p)
				fmt.Fprintf(&events, "event: x\ndata:%s\r\n\r\n", p)
				wrapped = append(wrapped, `{"event":"x","data":`+canonical(p)+`}`)
			}
			want := understood(tc.whole)
			for in, response := range map[string]string{
				"list": list, "list as text": canonical(list), "body": `{"status":200,"body":` + list + `}`, "chunks": `{"chunks":` + list + `}`,
				"data": canonical(data.String() + "data: [DONE]\n\n"), "events": canonical(": ping\n\n" + events.String()), "wrapped": "[" + strings.Join(wrapped, ",") + "]",
			} {
				if diff := cmp.Diff(want, understood(response)); diff != "" {
					t.Errorf("%s (-whole +pieces):\n%s", in, diff)
				}
			}
		})
	}
}

// Pieces that stand in a file alone, in a list or in lines, are one answer.
func TestSplitStreams(t *testing.T) {
	for _, tc := range streamed {
		if strings.HasPrefix(tc.name, "completion") || strings.HasPrefix(tc.name, "chat of") || strings.HasPrefix(tc.name, "converse") {
			continue // whose pieces do not say of what they are one
		}
		t.Run(tc.name, func(t *testing.T) {
			var lines []string
			for _, p := range tc.pieces {
				lines = append(lines, canonical(embedded(p)))
			}
			for in, input := range map[string]string{"list": "[" + strings.Join(lines, ",") + "]", "lines": strings.Join(lines, "\n")} {
				got := split(t, strings.NewReader(input), SplitOptions{})
				if diff := cmp.Diff([]string{"1 openai a 1"}, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", in, diff)
				}
			}
		})
	}
}

// Lists that only look like pieces of an answer are not made one.
func TestWholeAnswersAreNoStream(t *testing.T) {
	for _, in := range []string{
		`[]`, `[null]`, `[{"role":"assistant","content":"x"}]`, `[{"type":"text","text":"x"}]`,
		`[{"candidates":[{"finishReason":"STOP"}]},{"candidates":[{"finishReason":"STOP"}]}]`,
		`[{"choices":[{"message":{"role":"assistant","content":"x"}}]}]`,
		`"data: 3 of 4 done\n"`, `"{\"a\":1}"`,
	} {
		var v any
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(err)
		}
		if got := unstreamed(v); got != nil {
			t.Errorf("unstreamed(%s) = %v, want nil", in, got)
		}
	}
}

// Indices that no answer has neither fail nor take memory.
func TestStreamIndices(t *testing.T) {
	for _, n := range []string{"-1", "1000000000", "null", `"x"`} {
		tr, err := Decode([]byte(`[{"object":"chat.completion.chunk","choices":[{"index":` + n + `,"delta":{"content":"x","tool_calls":[{"index":` + n + `,"id":"c"}]}}]},
			{"type":"content_block_delta","index":` + n + `,"delta":{"text":"x"}}]`))
		if err != nil {
			t.Fatal(err)
		}
		checkTrace(t, tr)
	}
}

// What is put together before it is decoded decodes to the same, and so do a log's lines.
func TestWholeDecodesToTheSame(t *testing.T) {
	source := regexp.MustCompile(` source=\S+`)
	for _, tc := range streamed {
		list := "[" + strings.Join(tc.pieces, ",") + "]"
		for _, payload := range []string{
			`{"request":{"model":"m","messages":[{"role":"user","content":"hi"}]},"response":` + list + `}`,
			`{"request":{"model":"m","messages":[{"role":"user","content":"hi"}]},"response":{"body":` + canonical(list) + `}}`,
			`{"conversation_id":"a","messages":` + list + `}`,
			`{"spans":[{"span_id":"s","name":"llm","start_time":1767323045,"input":"hi","output":` + list + `}]}`,
			`{"spans":[{"span_id":"s","name":"llm","start_time":1767323045,"attributes":{"openinference.span.kind":"LLM","output.value":` + canonical(list) + `}}]}`,
		} {
			whole := Whole([]byte(payload))
			if string(whole) == payload {
				t.Errorf("%s: nothing was put together in %.80s", tc.name, payload)
			}
			var got [2]string
			for i, p := range [...][]byte{[]byte(payload), whole} {
				tr, err := Decode(p)
				if err != nil {
					t.Fatal(err)
				}
				got[i] = source.ReplaceAllString(describe(tr), "")
			}
			if diff := cmp.Diff(got[0], got[1]); diff != "" {
				t.Errorf("%s: %.80s (-as it came +put together):\n%s", tc.name, payload, diff)
			}
		}
	}
}

// A payload without pieces of an answer comes back as it is, whatever words are in it.
func TestWholeLeavesOthersAlone(t *testing.T) {
	for _, payload := range []string{
		`{"messages": [{"role":"user","content":"the \"delta\" of \"candidates\" is \"done\""}]}`, `{"delta": [{"text": "a"}, {"text": "b"}]}`, `{"done": `, ``,
		`{"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]}`,
	} {
		if got := string(Whole([]byte(payload))); got != payload {
			t.Errorf("Whole(%s) = %s", payload, got)
		}
	}
}
