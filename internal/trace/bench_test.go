package trace

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// conversation is a trace of n model calls, each given the whole history before it, in one
// of the dialects.
func conversation(dialect string, n int) []byte {
	var spans, genai, plain []string
	q := func(s string) string { return strconv.Quote(s) }
	for i := range n {
		said := fmt.Sprintf("Message %d: the lamp of order %d has not come, and its \"tracking\" says nothing. ", i, 4711+i) + strings.Repeat("Please look again. ", 20)
		role := []string{"user", "assistant"}[i%2]
		genai = append(genai, fmt.Sprintf(`{"role":%s,"parts":[{"type":"text","content":%s}]}`, q(role), q(said)))
		plain = append(plain, fmt.Sprintf(`{"role":%s,"content":%s}`, q(role), q(said)))
		attrs := map[string]string{}
		switch dialect {
		case "genai":
			attrs["gen_ai.operation.name"] = "chat"
			attrs["gen_ai.input.messages"] = "[" + strings.Join(genai, ",") + "]"
		case "openinference":
			attrs["openinference.span.kind"] = "LLM"
			attrs["input.value"] = `{"model":"m","messages":[` + strings.Join(plain, ",") + `]}`
			for j, m := range plain[:min(len(plain), 40)] {
				attrs[fmt.Sprintf("llm.input_messages.%d.message.content", j)] = m
				attrs[fmt.Sprintf("llm.input_messages.%d.message.role", j)] = "user"
			}
		case "traceloop-legacy":
			attrs["llm.request.type"] = "chat"
			for j := range plain {
				attrs[fmt.Sprintf("gen_ai.prompt.%d.content", j)] = said
				attrs[fmt.Sprintf("gen_ai.prompt.%d.role", j)] = role
			}
			for j := range 10 {
				attrs[fmt.Sprintf("llm.request.functions.%d.name", j)] = fmt.Sprintf("find_%d", j)
				attrs[fmt.Sprintf("llm.request.functions.%d.arguments", j)] = `{"type":"object","properties":{"id":{"type":"string"}}}`
			}
		case "vercel":
			attrs["ai.operationId"] = "ai.generateText.doGenerate"
			attrs["ai.prompt.messages"] = "[" + strings.Join(plain, ",") + "]"
		}
		var list []string
		for _, k := range sortedKeys(anyMap(attrs)) {
			list = append(list, fmt.Sprintf(`{"key":%s,"value":{"stringValue":%s}}`, q(k), q(attrs[k])))
		}
		spans = append(spans, fmt.Sprintf(`{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"%016x","name":"chat","startTimeUnixNano":"%d","attributes":[%s]}`, i+1, 1772600000000000000+i, strings.Join(list, ",")))
	}
	switch dialect {
	case "openai":
		return []byte(`{"messages":[` + strings.Join(plain, ",") + `]}`)
	case "autogen":
		for i := range plain {
			plain[i] = strings.Replace(plain[i], `{`, fmt.Sprintf(`{"name":"agent_%d",`, i%3), 1)
		}
		return []byte(`{"question":"Where is it?","history":[` + strings.Join(plain, ",") + `]}`)
	case "langsmith", "langfuse":
		var items []string
		for i := range plain {
			messages := `{"messages":[` + strings.Join(plain[:i+1], ",") + `]}`
			item := fmt.Sprintf(`{"id":"r%d","trace_id":"t","run_type":"llm","name":"chat","start_time":"2026-03-04T05:00:%02dZ","inputs":%s,"outputs":%s}`, i, i, messages, plain[i])
			if dialect == "langfuse" {
				item = fmt.Sprintf(`{"id":"o%d","traceId":"t","type":"GENERATION","name":"chat","startTime":"2026-03-04T05:00:%02dZ","input":%s,"output":%s}`, i, i, q(messages), plain[i])
			}
			items = append(items, item)
		}
		if dialect == "langfuse" {
			return []byte(`{"trace":{"id":"t"},"observations":[` + strings.Join(items, ",") + `]}`)
		}
		return []byte(`{"runs":[` + strings.Join(items, ",") + `]}`)
	}
	return []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[` + strings.Join(spans, ",") + `]}]}]}`)
}

// benchDialects are those that conversation knows.
var benchDialects = []string{"genai", "openinference", "vercel", "traceloop-legacy", "langsmith", "langfuse", "openai", "autogen"}

// What decoding and compacting allocates is at most four times the input, and what does
// not depend on the input: the text that is sent, and some tables.
func TestMemoryBound(t *testing.T) {
	const budget, tables = 32 << 10, 24 << 10
	payloads := map[string][]byte{}
	for _, dialect := range benchDialects {
		for _, n := range []int{1, 8, 60} {
			payloads[fmt.Sprint(dialect, " ", n)] = conversation(dialect, n)
		}
	}
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		payloads[f] = []byte(readTestdata(t, f))
	}
	for name, payload := range payloads {
		least := uint64(math.MaxUint64)
		for range 3 { // expressions keep their memory for the next use
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			tr, err := Decode(payload)
			if err != nil {
				t.Fatal(err)
			}
			Compact(tr, budget)
			runtime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		if limit := uint64(allocSlack * (4*len(payload) + budget + tables)); least > limit {
			t.Errorf("%s: %d bytes allocated for %d, want at most %d", name, least, len(payload), limit)
		}
	}
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// BenchmarkDecodeCompact compares decoding and compacting a trace with reading its bytes
// into any by encoding/json. EVALFORGE_TRACES names a folder of trace files to measure
// beside the made ones, each subfolder on its own.
func BenchmarkDecodeCompact(b *testing.B) {
	inputs := map[string][][]byte{}
	for _, dialect := range benchDialects {
		inputs[dialect] = [][]byte{conversation(dialect, 60)}
	}
	if dir := os.Getenv("EVALFORGE_TRACES"); dir != "" {
		files, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range files {
			payload, err := os.ReadFile(f)
			if err != nil {
				b.Fatal(err)
			}
			folder := filepath.Base(filepath.Dir(f))
			inputs[folder] = append(inputs[folder], payload)
		}
	}
	names := map[string]any{}
	for name := range inputs {
		names[name] = nil
	}
	for _, name := range sortedKeys(names) {
		size := 0
		for _, payload := range inputs[name] {
			size += len(payload)
		}
		for _, how := range []struct {
			name string
			do   func([]byte) error
		}{
			{"encoding-json", func(payload []byte) error { var v any; return json.Unmarshal(payload, &v) }},
			{"decode-compact", func(payload []byte) error {
				t, err := Decode(payload)
				if err == nil {
					Compact(t, 32<<10)
				}
				return err
			}},
		} {
			b.Run("input="+name+"/how="+how.name, func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					for _, payload := range inputs[name] {
						if err := how.do(payload); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}
