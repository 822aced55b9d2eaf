package trace

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// adversarial are inputs that are made to cost more than they are long, or to come out
// longer than they may be.
func adversarial() map[string]string {
	quoted := `{"role":"user","content":"x"}`
	for range 12 { // JSON in JSON strings, ever more escapes
		quoted = strconv.Quote(quoted)
	}
	chain, siblings, cycle := []string{}, []string{}, []string{}
	for i := range 10_000 {
		chain = append(chain, fmt.Sprintf(`{"span_id":"%d","parent_id":"%d","name":"n","status":"error","error":"e%d","start_time":1}`, i, i-1, i))
		siblings = append(siblings, fmt.Sprintf(`{"span_id":"%d","parent_id":"0","name":"t","span_kind":"tool","tool":"f","input":"{\"i\":%d}","error":"no"}`, i, i))
		cycle = append(cycle, fmt.Sprintf(`{"span_id":"%d","parent_id":"%d","name":"n"}`, i, (i+1)%10_000))
	}
	var attrs []string
	for i := range 3000 {
		attrs = append(attrs, fmt.Sprintf(`{"key":"llm.input_messages.%d.message.contents.%d.message_content.text","value":{"stringValue":"a"}}`, 999999-i, i))
	}
	var calls []string
	for i := range 5000 {
		calls = append(calls, fmt.Sprintf(`{"role":"assistant","tool_calls":[{"id":"same","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"same","content":"%d"}`, i))
	}
	span := func(attrs string) string {
		return `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"n","attributes":[` + attrs + `]}]}]}]}`
	}
	nested := strings.Repeat(`{"key":"a","value":{"kvlistValue":{"values":[`, 2000) + strings.Repeat(`]}}}`, 2000)
	history := `{"role":"user","content":"again"},`
	return map[string]string{
		"deep messages":        `{"messages":[` + strings.Repeat(`{"role":"user","content":[`, 4000) + strings.Repeat(`]}`, 4000) + `]}`,
		"deep attributes":      span(nested),
		"deep json in strings": `{"messages":[` + quoted + `],"history":` + quoted + `}`,
		"chain of spans":       `{"spans":[` + strings.Join(chain, ",") + `]}`,
		"flat errors":          `{"spans":[` + strings.Join(siblings, ",") + `]}`,
		"cycle of spans":       `{"spans":[` + strings.Join(cycle, ",") + `]}`,
		"sparse indices":       span(strings.Join(attrs, ",")),
		"one id for all calls": `{"messages":[` + strings.Join(calls, ",") + `]}`,
		"one message for ever": `{"messages":[` + strings.Repeat(history, 20_000) + `{"role":"user"}]}`,
		"tiny strings":         `{"messages":[{"role":"user","content":[` + strings.Repeat(`"a",`, 100_000) + `"b"]}]}`,
		"runes":                `{"messages":[{"role":"user","content":"` + strings.Repeat("🙂é日", 40_000) + `"}]}`,
		"escapes":              `{"messages":[{"role":"user","content":"` + strings.Repeat(`\u0000\n\"`, 40_000) + `"}]}`,
		"surrogates":           `{"messages":[{"role":"user","content":"` + strings.Repeat(`\ud800`, 40_000) + `"}]}`,
		"not utf-8":            `{"messages":[{"role":"user","content":"` + strings.Repeat("\xff\xfe", 40_000) + `"}]}`,
		"many keys":            `{"messages":[{"role":"user","content":"x"` + strings.Repeat(`,"k":[]`, 30_000) + `}]}`,
		"many tools":           `{"tools":[` + strings.Repeat(`{"name":"t","parameters":{"type":"object"}},`, 20_000) + `{}],"messages":[{"role":"user","content":"x"}]}`,
		"references":           `{"evalforge_trace":1,"messages":[{"role":"user","text":"x"}],"steps":[{"kind":"llm","in":[` + strings.Repeat("0,", 100_000) + `0]}]}`,
		"fences":               `{"history":[{"name":"a","role":"x","content":"` + strings.Repeat("```", 50_000) + `"},{"name":"b","role":"x","content":"exitcode: 1"},{"name":"b","role":"x","content":"exitcode: 1"}]}`,
		"huge numbers":         `{"spans":[{"span_id":"a","name":"n","start_time":1e999,"end_time":-1e999,"duration_ms":1e308,"usage":{"input_tokens":1e300}}]}`,
		"verdicts":             `{"messages":[{"role":"user","content":"x"}],"scores":` + strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000) + `}`,
	}
}

// What is made to be hard keeps every promise: bounded memory, the bound of what is sent,
// valid JSON and UTF-8.
func TestAdversarialInput(t *testing.T) {
	for name, payload := range adversarial() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			tr, err := Decode([]byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			for _, budget := range []int{MinBudget, 8 << 10, MaxBytes} {
				checkCompacted(t, tr, Compact(tr, budget), budget)
			}
			if normal, _, err := Normal(tr, maxStored, nil); err != nil || len(normal) > maxStored {
				t.Errorf("%d bytes to store", len(normal))
			}
			tr.Invocations()
			runtime.ReadMemStats(&after)
			if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(allocSlack*(128*len(payload)+64<<20)); got > limit {
				t.Errorf("%d MB allocated for %d kB", got>>20, len(payload)>>10)
			}
		})
	}
}

// FuzzCompact is TestCompactBound for traces that the fuzzer draws.
func FuzzCompact(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(rt *rapid.T) {
		tr := anyTrace().Draw(rt, "trace")
		budget := rapid.IntRange(MinBudget, MaxBytes).Draw(rt, "budget")
		c := Compact(tr, budget)
		checkCompacted(rt, tr, c, budget)
	}))
}

// FuzzNormal: what is stored of a trace is within its limit, and the same trace again.
func FuzzNormal(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(normalIsBounded))
}

func normalIsBounded(rt *rapid.T) {
	tr := anyTrace().Filter(func(t *Trace) bool { return len(t.Steps) > 0 }).Draw(rt, "trace") // as every decoded trace
	limit := rapid.IntRange(MinStored, 2*MinStored).Draw(rt, "limit")
	b, cut, err := Normal(tr, limit, nil)
	if err != nil {
		rt.Fatal(err)
	}
	if len(b) > limit || !json.Valid(b) {
		rt.Fatalf("%d bytes for %d, or no JSON", len(b), limit)
	}
	got, err := Decode(b)
	if err != nil {
		rt.Fatalf("%v", err)
	}
	if want := tr.Cut; got.Cut.Steps != want.Steps+cut.Steps || len(got.Steps)+cut.Steps != len(tr.Steps) {
		rt.Fatalf("%d steps of %d are left, and %+v is said to be cut, %+v returned", len(got.Steps), len(tr.Steps), got.Cut, cut)
	}
	if said := got.Cut.String(); said != "" && !slices.Contains(got.Warnings, said) {
		rt.Fatalf("%+v was cut, but warned of is only %q", got.Cut, got.Warnings)
	}
}

// The normal form is JSON of the model, whatever the format that a trace came in.
func TestNormalIsTheModel(t *testing.T) {
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		tr, err := Decode([]byte(readTestdata(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		want, err := referenceNormal(tr)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Normal(tr, maxStored, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-encoding/json +got):\n%s", name, diff)
		}
	}
}

// referenceNormal makes the normal form by encoding/json, field names replaced and what
// says nothing left out.
func referenceNormal(t *Trace) ([]byte, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	v, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	m := renamed(v, normalKeys).(map[string]any)
	m[normalMark] = json.Number("2")
	delete(m, "cut")
	for _, s := range list(m["steps"]) {
		for _, k := range []string{"in", "out", "declared"} {
			if at := list(object(s)[k]); at != nil {
				object(s)[k] = rangesOf(at)
			}
		}
	}
	return []byte(canonical(m)), nil
}

// rangesOf returns the first and the last of each run of positions.
func rangesOf(positions []any) []any {
	var out []any
	last := int64(-1)
	for _, p := range positions {
		n, _ := integer(p)
		if out != nil && n == last+1 {
			out[len(out)-1] = p
		} else {
			out = append(out, p, p)
		}
		last = n
	}
	return out
}

// FuzzJoin: joining a part that a trace has already changes nothing, whatever the trace.
func FuzzJoin(f *testing.F) {
	for _, payload := range adversarial() {
		if len(payload) < 1<<16 {
			f.Add([]byte(payload), []byte(payload))
		}
	}
	f.Add([]byte(`{"spans":[{"span_id":"a","name":"n"}]}`), []byte(`{"spans":[{"span_id":"a","name":"n","output":"x"},{"span_id":"b","parent_id":"a","name":"m"}]}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		whole, err := Decode(a)
		if err != nil {
			return
		}
		part, err := Decode(b)
		if err != nil {
			return
		}
		joined, _ := Join(whole, part)
		checkTrace(t, joined)
		if len(joined.Steps) < len(whole.Steps) {
			t.Errorf("%d steps of %d are left", len(joined.Steps), len(whole.Steps))
		}
		named := true
		for _, s := range part.Steps {
			named = named && s.ID != ""
		}
		if again, changed := Join(joined, part); changed && named {
			t.Errorf("joined twice: %d steps, then %d", len(joined.Steps), len(again.Steps))
		}
	})
}
