package trace

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

// describe writes out everything in t that was decoded, one line per step, message,
// tool, label and invocation; what is empty is left out.
func describe(t *Trace) string {
	var sb strings.Builder
	line := func(head string, pairs ...any) {
		sb.WriteString(head)
		for i := 0; i < len(pairs); i += 2 {
			switch v := fmt.Sprint(pairs[i+1]); v {
			case "", "0", "[]", "map[]", "false", "0s", "{-1 -1 -1}", "<nil>":
			default:
				fmt.Fprintf(&sb, " %s=%s", pairs[i], strings.ReplaceAll(v, "\n", `\n`))
			}
		}
		sb.WriteByte('\n')
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	line("trace", "id", t.ID, "format", t.Format, "service", t.Service, "session", t.Session, "start", at(t.Start), "dropped", t.Dropped)
	for i, s := range t.Steps {
		line(fmt.Sprintf("step %d", i), "index", s.Index, "id", s.ID, "parent", s.Parent, "depth", s.Depth, "kind", s.Kind, "name", s.Name, "agent", s.Agent,
			"model", s.Model, "status", s.Status, "start", at(s.Start), "dur", s.Dur, "tokens", s.Tokens, "in", s.In, "out", s.Out,
			"finish", s.Finish, "declared", s.Declared, "input", s.Input, "output", s.Output, "attrs", s.Attrs, "source", s.Source)
		if s.Err != nil {
			line("  error", "type", s.Err.Type, "code", s.Err.Code, "http", s.Err.HTTP, "message", s.Err.Message, "stack", s.Err.Stack)
		}
		if s.Tool != nil {
			line("  tool", "id", s.Tool.CallID, "name", s.Tool.Name, "args", s.Tool.Args, "argsErr", s.Tool.ArgsErr, "result", s.Tool.Result, "hasResult", s.Tool.HasResult, "isErr", s.Tool.IsErr)
		}
	}
	for i, m := range t.Messages {
		line(fmt.Sprintf("message %d", i), "role", m.Role, "name", m.Name, "text", m.Text, "tool", m.ToolID, "isErr", m.IsErr, "refusal", m.Refusal)
		for _, c := range m.Calls {
			line("  call", "id", c.ID, "name", c.Name, "args", c.Args, "argsErr", c.ArgsErr)
		}
	}
	for i, d := range t.Tools {
		line(fmt.Sprintf("tool %d", i), "name", d.Name, "description", d.Description, "schema", d.Schema)
	}
	for _, l := range t.Labels {
		score := ""
		if l.Score != nil {
			score = fmt.Sprint(*l.Score)
		}
		line("label", "name", l.Name, "value", l.Value, "score", score, "source", l.Source, "step", l.StepID, "explanation", l.Explanation)
	}
	for _, inv := range t.Invocations() {
		line("invocation", "step", fmt.Sprintf("#%d", inv.Step), "caller", fmt.Sprintf("#%d", inv.Caller), "id", inv.CallID, "name", inv.Name, "args", inv.Args, "argsErr", inv.ArgsErr,
			"result", inv.Result, "hasResult", inv.HasResult, "isErr", inv.IsErr, "status", inv.Status)
	}
	for _, w := range t.Warnings {
		line("warning", "is", w)
	}
	return sb.String()
}

// Each file of testdata/decode is one trace in one format; beside it stands everything
// that was understood of it.
func TestDecodeGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no input files: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".json"), func(t *testing.T) {
			payload, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tr, err := Decode(payload)
			if err != nil {
				t.Fatal(err)
			}
			checkTrace(t, tr)
			got := describe(tr)
			golden := strings.TrimSuffix(f, ".json") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got; refresh with -update)\n%s", diff)
			}
		})
	}
}

// checkTrace fails unless tr keeps what its documentation promises.
func checkTrace(t testing.TB, tr *Trace) {
	t.Helper()
	if len(tr.Steps) == 0 {
		t.Fatal("a trace without steps")
	}
	ids := make(map[string]int)
	for i, s := range tr.Steps {
		if i > 0 && s.Index <= tr.Steps[i-1].Index {
			t.Errorf("step %d: Index %d after %d; indices must ascend", i, s.Index, tr.Steps[i-1].Index)
		}
		if s.Kind == "" {
			t.Errorf("step %d has no kind", i)
		}
		for _, m := range slices.Concat(s.In, s.Out) {
			if m < 0 || m >= len(tr.Messages) {
				t.Errorf("step %d refers to message %d of %d", i, m, len(tr.Messages))
			}
		}
		for _, d := range s.Declared {
			if d < 0 || d >= len(tr.Tools) {
				t.Errorf("step %d refers to tool %d of %d", i, d, len(tr.Tools))
			}
		}
		if s.ID != "" {
			if _, twice := ids[s.ID]; twice {
				t.Errorf("span id %s stands for two steps", s.ID)
			}
			ids[s.ID] = i
		}
	}
	for i, m := range tr.Messages {
		for j := range i {
			if equalMessages(&tr.Messages[j], &m) {
				t.Fatalf("message %d is message %d again", i, j)
			}
		}
		if i > 50 {
			break // enough; the comparison is quadratic
		}
	}
	for _, inv := range tr.Invocations() {
		if inv.Step < 0 || inv.Step >= len(tr.Steps) || inv.Caller < -1 || inv.Caller >= len(tr.Steps) {
			t.Errorf("invocation of %s refers to steps %d and %d of %d", inv.Name, inv.Step, inv.Caller, len(tr.Steps))
		}
	}
}

func TestDecodeRefusesWhatIsNoJSON(t *testing.T) {
	for _, payload := range []string{"", "  ", "{", `{"a":1} {"b":2}`, "hello", `{"a":}`} {
		if tr, err := Decode([]byte(payload)); err == nil {
			t.Errorf("Decode(%q) = %v, want an error", payload, tr)
		}
	}
}

// A payload that is JSON in a JSON string, however often up to four times, is the same
// payload.
func TestDecodeEmbedded(t *testing.T) {
	payload := `{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"[1] is a list"}]}`
	want, err := Decode([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	for n := range maxEmbedded {
		quoted, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		payload = string(quoted)
		got, err := Decode(quoted)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(describe(want), describe(got)); diff != "" {
			t.Errorf("quoted %d times (-want +got):\n%s", n+1, diff)
		}
	}
	inner, err := Decode([]byte(`{"messages":"[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"[1] is a list\"}]"}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(describe(want), describe(inner)); diff != "" {
		t.Errorf("messages as a string (-want +got):\n%s", diff)
	}
}

// Steps come in the order of execution, whatever order the exporter chose: parents
// first, siblings by start, ties by end and then model before tool; orphans are roots and
// a cycle loses nothing.
func TestDecodeOrder(t *testing.T) {
	const at = 1795397607000000000
	span := func(id, parent string, start, end int, attrs string) string {
		return fmt.Sprintf(`{"traceId":"t","spanId":%q,"parentSpanId":%q,"name":%q,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":{%s}}`,
			id, parent, id, at+start, at+end, attrs)
	}
	open := func(id string, start int) string {
		return fmt.Sprintf(`{"traceId":"t","spanId":%q,"parentSpanId":"a","name":%q,"startTimeUnixNano":"%d"}`, id, id, at+start)
	}
	llm, tool := `"openinference.span.kind":"LLM"`, `"openinference.span.kind":"TOOL"`
	for _, tc := range []struct {
		name  string
		spans []string
		want  []string
	}{
		{"child first", []string{span("b", "a", 5, 6, ""), span("c", "b", 5, 6, ""), span("a", "", 0, 9, "")}, []string{"a0", "b1", "c2"}},
		{"siblings by start", []string{span("a", "", 0, 9, ""), span("z", "a", 1, 2, ""), span("y", "a", 3, 4, ""), span("x", "a", 2, 3, "")}, []string{"a0", "z1", "x1", "y1"}},
		{"tie: end, then model before tool", []string{span("a", "", 0, 9, ""), span("tool", "a", 1, 2, tool), span("model", "a", 1, 2, llm), span("early", "a", 1, 1, tool)}, []string{"a0", "early1", "model1", "tool1"}},
		{"tie without ends: as in the source", []string{open("d", 1), open("c", 1), span("b", "a", 1, 2, ""), open("f", 1), span("e", "a", 1, 1, ""), span("a", "", 0, 9, "")},
			[]string{"a0", "d1", "c1", "b1", "f1", "e1"}},
		{"no times: as in the source", []string{`{"spanId":"m1","name":"m1","attributes":{` + llm + `}}`, `{"spanId":"t1","name":"t1","attributes":{` + tool + `}}`, `{"spanId":"m2","name":"m2","attributes":{` + llm + `}}`},
			[]string{"m10", "t10", "m20"}},
		{"orphans are roots", []string{span("b", "gone", 5, 6, ""), span("a", "", 0, 9, "")}, []string{"a0", "b0"}},
		{"cycle", []string{span("a", "b", 1, 2, ""), span("b", "a", 2, 3, ""), span("c", "c", 0, 1, "")}, []string{"c0", "a0", "b1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, err := Decode([]byte(`{"spans":[` + strings.Join(tc.spans, ",") + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range tr.Steps {
				got = append(got, fmt.Sprint(s.Name, s.Depth))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// One error that every span on its way records again belongs to the deepest step; what
// only an ancestor knows of it moves there, and unrelated errors stay where they are.
func TestDecodeErrorOnDeepestStep(t *testing.T) {
	span := func(id, parent, status, events string) string {
		return fmt.Sprintf(`{"trace_id":"t","span_id":%q,"parent_id":%q,"name":%q,"start_time":1795397607,"status":%s,"events":[%s]}`, id, parent, id, status, events)
	}
	exception := func(typ, msg, stack string) string {
		return fmt.Sprintf(`{"name":"exception","attributes":{"exception.type":%q,"exception.message":%q,"exception.stacktrace":%q}}`, typ, msg, stack)
	}
	failed := `{"code":"ERROR"}`
	for _, tc := range []struct {
		name  string
		spans []string
		want  map[string]string
	}{
		{"echo", []string{span("a", "", failed, exception("Timeout", "timed out", "at x")), span("b", "a", failed, exception("", "timed out", ""))},
			map[string]string{"b": "Timeout timed out at x 0"}},
		{"wrapped", []string{span("a", "", failed, exception("RetryError", "gave up: 503 busy", "")), span("b", "a", failed, exception("APIError", "503 busy", ""))},
			map[string]string{"b": "APIError gave up: 503 busy  503"}},
		{"mute child", []string{span("a", "", failed, exception("RateLimit", "429 slow down", "")), span("b", "a", failed, "")},
			map[string]string{"b": "RateLimit 429 slow down  429"}},
		{"different", []string{span("a", "", failed, exception("A", "one", "")), span("b", "a", failed, exception("B", "two", ""))},
			map[string]string{"a": "A one  0", "b": "B two  0"}},
		{"only the parent was exported", []string{span("a", "", failed, exception("A", "one", "")), span("b", "a", `{"code":"OK"}`, "")},
			map[string]string{"a": "A one  0"}},
		{"caught", []string{span("a", "", `{"code":"OK"}`, exception("A", "one", ""))}, map[string]string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, err := Decode([]byte(`{"spans":[` + strings.Join(tc.spans, ",") + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]string)
			for _, s := range tr.Steps {
				if s.Err != nil {
					got[s.ID] = fmt.Sprint(s.Err.Type, " ", s.Err.Message, " ", s.Err.Stack, " ", s.Err.HTTP)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFailureHTTP(t *testing.T) {
	for _, tc := range []struct {
		in   string
		http int
		code string
	}{
		{"429 Rate limit reached", 429, ""},
		{"Error: 500 The server had an error", 500, ""},
		{"Error code: 400 - {'error': {'message': 'too long', 'code': 'context_length_exceeded'}}", 400, "context_length_exceeded"},
		{"Request failed with status code 503", 503, ""},
		{"HTTP/1.1 404 Not Found", 404, ""},
		{"read 512 bytes, wanted 404 more", 0, ""},
		{"port=443: timed out", 0, ""},
		{"4290 items", 0, ""},
	} {
		f := failureFrom(tc.in)
		if f.HTTP != tc.http || f.Code != tc.code {
			t.Errorf("failureFrom(%q) = HTTP %d, code %q; want %d, %q", tc.in, f.HTTP, f.Code, tc.http, tc.code)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, tc := range []struct {
		in            any
		args, problem string
	}{
		{nil, "", ""},
		{"", "", ""},
		{`{"b": 1, "a": [2.50, null]}`, `{"a":[2.50,null],"b":1}`, ""},
		{`"{\"a\":1}"`, `{"a":1}`, ""},
		{map[string]any{"z": "<&>"}, `{"z":"<&>"}`, ""},
		{`[1]`, `[1]`, "arguments are a JSON array, not an object"},
		{`12`, `12`, "arguments are no JSON object"},
		{`{"a": `, `{"a": `, "arguments are not valid JSON: unexpected EOF"},
	} {
		args, problem := arguments(tc.in)
		if args != tc.args || problem != tc.problem {
			t.Errorf("arguments(%v) = %q, %q; want %q, %q", tc.in, args, problem, tc.args, tc.problem)
		}
	}
}

func TestInstant(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, v := range []any{
		json.Number("1767323045"), json.Number("1767323045000"), json.Number("1767323045000000"), json.Number("1767323045000000000"),
		"1767323045000000000", json.Number("1767323045.0"), json.Number("1.767323045e18"), "2026-01-02T03:04:05Z", "2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05",
	} {
		if v == json.Number("1.767323045e18") {
			continue // beyond what a float holds exactly: not read
		}
		if got := instant(v); !got.Equal(want) {
			t.Errorf("instant(%v) = %v, want %v", v, got, want)
		}
	}
	for _, v := range []any{nil, "", "yesterday", json.Number("0"), json.Number("-5"), json.Number("1e300"), true, map[string]any{}} {
		if got := instant(v); !got.IsZero() {
			t.Errorf("instant(%v) = %v, want the zero time", v, got)
		}
	}
}

// Hostile nesting neither overflows the stack nor takes long.
func TestDecodeDeep(t *testing.T) {
	deep := strings.Repeat(`{"message":`, 9000) + `{"role":"user"}` + strings.Repeat("}", 9000)
	nested := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	for _, payload := range []string{
		deep, nested, `{"messages":[` + deep + `]}`,
		`{"spans":[{"span_id":"a","name":"n","attributes":` + deep + `}]}`,
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"a","name":"n","attributes":[{"key":"gen_ai.input.messages","value":{"stringValue":` +
			canonical(`[{"role":"user","parts":[{"type":"text","content":`+deep+`}]}]`) + `}}]}]}]}]}`,
	} {
		tr, err := Decode([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		checkTrace(t, tr)
		if got := Compact(tr, MinBudget); len(got.JSON) > MinBudget {
			t.Errorf("%d bytes, want at most %d", len(got.JSON), MinBudget)
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		tr, err := Decode(payload)
		if err != nil {
			return
		}
		checkTrace(t, tr)
		for _, budget := range []int{MinBudget, MaxBytes} {
			c := Compact(tr, budget)
			checkCompacted(t, tr, c, budget)
		}
	})
}
