package trace

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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
		case "traceloop":
			attrs["traceloop.workflow.name"] = "shop"
			attrs["gen_ai.operation.name"] = "chat"
			attrs["gen_ai.input.messages"] = "[" + strings.Join(plain, ",") + "]"
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
	case "openai-tools":
		var turns []string
		for i := range plain {
			id := fmt.Sprintf("call_%d", i)
			args := q(fmt.Sprintf(`{"order": "A%d", "limit": %d}`, 4711+i, i))
			turns = append(turns,
				fmt.Sprintf(`{"role":"assistant","content":null,"tool_calls":[{"id":%q,"type":"function","function":{"name":"find_%d","arguments":%s}}]}`, id, i%3, args),
				fmt.Sprintf(`{"role":"tool","tool_call_id":%q,"content":%s}`, id, q(fmt.Sprintf(`{"status": "ok", "row": %d, "of": "%s"}`, i, strings.Repeat("order ", 60)))),
				plain[i])
		}
		return []byte(`{"messages":[` + strings.Join(turns, ",") + `]}`)
	case "autogen":
		for i := range plain {
			plain[i] = strings.Replace(plain[i], `{`, fmt.Sprintf(`{"name":"agent_%d",`, i%3), 1)
		}
		return []byte(`{"question":"Where is it?","history":[` + strings.Join(plain, ",") + `]}`)
	case "swe-agent":
		var turns []string
		for i := range plain {
			turns = append(turns, fmt.Sprintf(`{"action":"ls %d","observation":%s,"response":"Let me look.","state":"{}","thought":"Let me look."}`, i, plain[i][strings.Index(plain[i], `"content":`)+len(`"content":`):len(plain[i])-1]))
		}
		return []byte(`{"trajectory":[` + strings.Join(turns, ",") + `],"info":{"exit_status":"submitted"}}`)
	case "datadog":
		var items []string
		for i := range plain {
			items = append(items, fmt.Sprintf(`{"span_id":"%d","trace_id":"77","parent_id":"undefined","name":"chat","start_ns":%d,"duration":500000000,"status":"ok","meta":{"span.kind":"llm","input":{"messages":[%s]},"output":{"messages":[%s]}},"metrics":{"input_tokens":5}}`,
				i+1, 1772600000000000000+i, strings.Join(plain[:i+1], ","), plain[i]))
		}
		return []byte(`{"event_type":"span","ml_app":"shop","spans":[` + strings.Join(items, ",") + `]}`)
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
var benchDialects = []string{
	"genai", "openinference", "vercel", "traceloop", "traceloop-legacy", "langsmith", "langfuse", "datadog", "openai", "openai-tools", "autogen", "swe-agent",
}

// benchSizes are the lengths of the conversations that are measured, in messages: a short
// one has 6 to 40 KB, a long one 30 KB to 2 MB.
var benchSizes = []struct {
	name  string
	turns int
}{{"short", 8}, {"long", 60}}

// work decodes and compacts payload, as is done with each trace.
func work(payload []byte) error {
	t, err := Decode(payload)
	if err == nil {
		Compact(t, 32<<10)
	}
	return err
}

// allocated returns how many bytes work(payload) allocates at least, in some runs: others
// find the memory of the one before taken back, or give expressions theirs.
func allocated(tb testing.TB, payload []byte) uint64 {
	least := uint64(math.MaxUint64)
	for range 8 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := work(payload); err != nil {
			tb.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// What decoding and compacting allocates is at most four times the input. An input of less
// than 8 KiB counts as one of 8 KiB.
func TestMemoryBound(t *testing.T) {
	payloads := map[string][]byte{}
	for _, dialect := range benchDialects {
		for _, n := range []int{1, 8, 20, 60} {
			payloads[fmt.Sprint(dialect, " ", n)] = conversation(dialect, n)
		}
	}
	for _, dialect := range []string{"openai", "openai-tools", "autogen"} { // a step each
		payloads[dialect+" 400"] = conversation(dialect, 400)
	}
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		payloads[f] = []byte(readTestdata(t, f))
	}
	for name, payload := range payloads {
		if got, limit := allocated(t, payload), uint64(allocSlack*4*max(len(payload), 8<<10)); got > limit {
			t.Errorf("%s: %d bytes allocated for %d, want at most %d", name, got, len(payload), limit)
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

// BenchmarkDecodeCompact measures decoding and compacting a trace, in turns with reading its
// bytes into any by encoding/json: x-encoding/json says how many times as fast it is, and
// x-input-B how many times the input it allocates. EVALFORGE_TRACES names a folder of trace
// files to measure beside the made ones, each subfolder on its own.
func BenchmarkDecodeCompact(b *testing.B) {
	inputs := map[string][][]byte{}
	for _, dialect := range benchDialects {
		for _, size := range benchSizes {
			inputs["format="+dialect+"/size="+size.name] = [][]byte{conversation(dialect, size.turns)}
		}
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
			folder := "folder=" + filepath.Base(filepath.Dir(f))
			inputs[folder] = append(inputs[folder], payload)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		b.Run(name, func(b *testing.B) { benchmarkAgainstJSON(b, inputs[name]) })
	}
}

func benchmarkAgainstJSON(b *testing.B, payloads [][]byte) {
	var size, bytes int
	for _, p := range payloads {
		size += len(p)
		bytes += int(allocated(b, p))
	}
	var ours, theirs []time.Duration
	for b.Loop() {
		start := time.Now()
		for _, p := range payloads {
			if err := work(p); err != nil {
				b.Fatal(err)
			}
		}
		done := time.Now()
		for _, p := range payloads {
			var v any
			if err := json.Unmarshal(p, &v); err != nil {
				b.Fatal(err)
			}
		}
		ours, theirs = append(ours, done.Sub(start)), append(theirs, time.Since(done))
	}
	// Medians, because what else the machine does hits single rounds.
	slices.Sort(ours)
	slices.Sort(theirs)
	mine, json := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(float64(mine.Nanoseconds()), "ns/op")
	b.ReportMetric(float64(size)/1e6/mine.Seconds(), "MB/s")
	b.ReportMetric(float64(bytes), "B/op")
	b.ReportMetric(float64(bytes)/float64(size), "x-input-B")
	b.ReportMetric(json.Seconds()/mine.Seconds(), "x-encoding/json")
}
