package trace

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// rendered is what the tests read back of a compacted trace.
type rendered struct {
	Steps []struct {
		I        *int            `json:"i"`
		Omitted  int             `json:"omitted_steps"`
		Repeated int             `json:"repeated_steps"`
		Error    json.RawMessage `json:"error"`
		Input    string          `json:"input"`
	} `json:"steps"`
}

// A tester is a test, or one of the many that rapid makes of it.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// checkCompacted fails unless c keeps what its documentation promises of tr.
func checkCompacted(t tester, tr *Trace, c Compacted, budget int) rendered {
	t.Helper()
	if len(c.JSON) > budget {
		t.Fatalf("%d bytes, want at most %d", len(c.JSON), budget)
	}
	if !utf8.Valid(c.JSON) {
		t.Fatalf("not valid UTF-8: %q", c.JSON)
	}
	var r rendered
	if err := json.Unmarshal(c.JSON, &r); err != nil {
		t.Fatalf("not valid JSON: %v\n%s", err, c.JSON)
	}
	known := make(map[int]bool)
	for _, s := range tr.Steps {
		known[s.Index] = true
	}
	shown, hidden := 0, 0
	for _, s := range r.Steps {
		if s.I != nil {
			shown++
			if !known[*s.I] {
				t.Errorf("step %d is none of the trace's", *s.I)
			}
		}
		hidden += s.Omitted + s.Repeated
	}
	if shown+hidden != len(tr.Steps) {
		t.Errorf("%d steps shown and %d accounted for, want %d in all", shown, hidden, len(tr.Steps))
	}
	omitted := 0
	for _, s := range r.Steps {
		omitted += s.Omitted
	}
	if omitted != c.StepsOmitted {
		t.Errorf("StepsOmitted = %d, but the text says %d", c.StepsOmitted, omitted)
	}
	return r
}

// stringsIn returns every string in the JSON document b, decoded.
func stringsIn(t tester, b []byte) []string {
	t.Helper()
	v, err := parseJSON(b)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var out []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return out
}

// hostile draws strings that are hard to render: control characters, quotes, astral
// runes, invalid UTF-8, markers, and long ones.
func hostile() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		piece := rapid.SampledFrom([]string{
			"", "a", "hello world ", "\x00\x01\x1f", `"\"`, "\u2028", "日本語", "🙂", "\xff\xfe", "\xe2\x82", "…[9 bytes cut]…", "<script>&amp;", `{"role":"user"}`, "\r\n\t", "\x7f",
		})
		s := strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces"), "")
		return strings.Repeat(s, rapid.SampledFrom([]int{1, 1, 1, 2, 50, 3000}).Draw(t, "times"))
	})
}

// anyTrace draws traces that no decoder would make: dangling references, cycles,
// duplicate ids, huge names.
func anyTrace() *rapid.Generator[*Trace] {
	return rapid.Custom(func(t *rapid.T) *Trace {
		text, name := hostile(), rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b", "tool"}), hostile())
		pos := rapid.IntRange(-2, 40)
		calls := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Call {
			return Call{ID: name.Draw(t, "id"), Name: name.Draw(t, "name"), Args: text.Draw(t, "args"), ArgsErr: name.Draw(t, "argsErr")}
		}), 0, 3)
		failure := rapid.Custom(func(t *rapid.T) *Failure {
			if rapid.Bool().Draw(t, "fine") {
				return nil
			}
			return &Failure{Type: name.Draw(t, "type"), Code: name.Draw(t, "code"), Message: text.Draw(t, "message"), Stack: text.Draw(t, "stack"), HTTP: rapid.Int().Draw(t, "http")}
		})
		tr := &Trace{
			ID: name.Draw(t, "id"), Format: name.Draw(t, "format"), Service: name.Draw(t, "service"), Dropped: rapid.Int().Draw(t, "dropped"),
			Start: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "start"), 0), Warnings: rapid.SliceOfN(name, 0, 30).Draw(t, "warnings"),
		}
		for range rapid.IntRange(0, 40).Draw(t, "messages") {
			tr.Messages = append(tr.Messages, Message{
				Role: name.Draw(t, "role"), Name: name.Draw(t, "name"), Text: text.Draw(t, "text"), Calls: calls.Draw(t, "calls"),
				ToolID: name.Draw(t, "tool"), IsErr: rapid.Bool().Draw(t, "isErr"), Refusal: name.Draw(t, "refusal"),
			})
		}
		for range rapid.IntRange(0, 10).Draw(t, "tools") {
			tr.Tools = append(tr.Tools, Tool{Name: name.Draw(t, "tool"), Schema: text.Draw(t, "schema"), Description: text.Draw(t, "description")})
		}
		for range rapid.IntRange(0, 10).Draw(t, "labels") {
			score := rapid.SampledFrom([]float64{0, -1.5, 1e300, math.Inf(1), math.NaN()}).Draw(t, "score")
			tr.Labels = append(tr.Labels, Label{Name: name.Draw(t, "label"), Value: text.Draw(t, "value"), Score: &score, StepID: name.Draw(t, "step"), Explanation: text.Draw(t, "why")})
		}
		copies := rapid.SampledFrom([]int{1, 1, 1, 5, 200}).Draw(t, "copies")
		index := 0
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			s := Step{
				ID: name.Draw(t, "span"), Parent: name.Draw(t, "parent"), Depth: rapid.Int().Draw(t, "depth"), Kind: Kind(name.Draw(t, "kind")),
				Name: name.Draw(t, "name"), Agent: name.Draw(t, "agent"), Model: name.Draw(t, "model"), Status: Status(rapid.SampledFrom([]string{"", "ok", "error"}).Draw(t, "status")),
				Err: failure.Draw(t, "err"), Dur: time.Duration(rapid.Int64().Draw(t, "dur")), Tokens: Tokens{rapid.Int().Draw(t, "tin"), rapid.Int().Draw(t, "tout"), -1},
				In: rapid.SliceOfN(pos, 0, 60).Draw(t, "in"), Out: rapid.SliceOfN(pos, 0, 4).Draw(t, "out"), Finish: name.Draw(t, "finish"),
				Declared: rapid.SliceOfN(pos, 0, 5).Draw(t, "declared"), Input: text.Draw(t, "input"), Output: text.Draw(t, "output"),
				Attrs: rapid.MapOfN(name, name, 0, 4).Draw(t, "attrs"),
			}
			if rapid.Bool().Draw(t, "opaque") {
				s.Kind = KindOpaque
			}
			if rapid.Bool().Draw(t, "tool") {
				s.Tool = &ToolIO{CallID: name.Draw(t, "call"), Name: name.Draw(t, "toolName"), Args: text.Draw(t, "args"), Result: text.Draw(t, "result"),
					HasResult: rapid.Bool().Draw(t, "has"), IsErr: rapid.Bool().Draw(t, "toolErr"), ArgsErr: name.Draw(t, "argsErr")}
			}
			for range copies {
				s.Index = index
				index += rapid.IntRange(1, 3).Draw(t, "gap")
				tr.Steps = append(tr.Steps, s)
			}
		}
		return tr
	})
}

// For any trace and any budget, what Compact gives is within the budget, valid JSON and
// UTF-8, accounts for every step, and is the same each time.
func TestCompactBound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tr := anyTrace().Draw(rt, "trace")
		budget := rapid.OneOf(rapid.SampledFrom([]int{MinBudget, 4096, 16 << 10, 32 << 10, MaxBytes}), rapid.IntRange(MinBudget, MaxBytes)).Draw(rt, "budget")
		c := Compact(tr, budget)
		checkCompacted(rt, tr, c, budget)
		if again := Compact(tr, budget); string(again.JSON) != string(c.JSON) {
			rt.Fatalf("two renderings differ")
		}
		tr.Invocations() // must not panic on any trace either
	})
}

// The bound is 100 KiB and no more for one string of any sort that is far longer.
func TestCompactOneHugeString(t *testing.T) {
	for _, unit := range []string{"a", "\x00", `"`, "é", "🙂", "\xff", "\n"} {
		huge := strings.Repeat(unit, 5<<20/len(unit))
		for name, tr := range map[string]*Trace{
			"message": {Messages: []Message{{Role: "user", Text: huge}}, Steps: []Step{{Kind: KindInput, Out: []int{0}}}},
			"input":   {Steps: []Step{{Kind: KindLLM, Input: huge}}},
			"error":   {Steps: []Step{{Kind: KindTool, Err: &Failure{Message: huge, Stack: huge}}}},
			"name":    {Service: huge, Format: huge, Steps: []Step{{Kind: Kind(huge), Name: huge, Agent: huge, ID: huge, Model: huge}}},
			"opaque":  {Steps: []Step{{Kind: KindOpaque, Input: huge}}},
			"label":   {Labels: []Label{{Name: huge, Value: huge, Source: huge}}, Steps: []Step{{Kind: KindLLM}}},
			"warning": {Warnings: []string{huge}, Steps: []Step{{Kind: KindLLM}}},
		} {
			c := Compact(tr, MaxBytes)
			checkCompacted(t, tr, c, MaxBytes)
			if c.BytesCut == 0 {
				t.Errorf("%s of %q: BytesCut = 0, want what was cut", name, unit)
			}
			if name != "name" && name != "label" && name != "warning" && len(c.JSON) < MaxBytes*8/10 {
				t.Errorf("%s of %q: %d bytes, want the budget of %d used", name, unit, len(c.JSON), MaxBytes)
			}
		}
	}
}

// A very long trace loses steps from its middle, never its errors, their ancestors or its
// ends.
func TestCompactKeepsWhatMatters(t *testing.T) {
	tr := &Trace{Format: FormatSpans}
	for i := range 20_000 {
		s := Step{Index: i, ID: "s" + strconv.Itoa(i), Parent: "s0", Kind: KindLLM, Name: "chat", Output: fmt.Sprintf("answer number %d of many that are all different", i)}
		switch i {
		case 0:
			s.Parent = ""
		case 7000:
			s.Kind, s.Name = KindAgent, "worker"
		case 7001:
			s.Parent, s.Kind, s.Status = "s7000", KindTool, Error
			s.Err = &Failure{Type: "Timeout", Message: "the order service did not answer"}
		}
		tr.Steps = append(tr.Steps, s)
	}
	for _, budget := range []int{2048, 8 << 10, MaxBytes} {
		c := Compact(tr, budget)
		r := checkCompacted(t, tr, c, budget)
		shown := make(map[int]bool)
		for _, s := range r.Steps {
			if s.I != nil {
				shown[*s.I] = true
			}
		}
		for _, i := range []int{0, 1, 7000, 7001, 19_998, 19_999} {
			if !shown[i] {
				t.Errorf("budget %d: step %d is missing", budget, i)
			}
		}
		if !slices.ContainsFunc(stringsIn(t, c.JSON), func(s string) bool { return s == "the order service did not answer" }) {
			t.Errorf("budget %d: the error's text is missing", budget)
		}
		if c.StepsOmitted == 0 {
			t.Errorf("budget %d: StepsOmitted = 0", budget)
		}
	}
}

var cutMarker = regexp.MustCompile(`…\[(\d+) bytes cut\]…`)

// A cut text is its head and its tail with the number of bytes between them, and
// nothing that was not cut differs from the source by one byte.
func TestCompactTextIsVerbatim(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tr := &Trace{}
		text := rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.StringMatching(`[a-zé🙂 "\\]{1,40}`).Draw(t, "text"), rapid.IntRange(1, 60).Draw(t, "times"))
		})
		n := rapid.IntRange(1, 20).Draw(rt, "steps")
		sources := make(map[string]bool)
		for i := range n {
			msg := Message{Role: "assistant", Text: text.Draw(rt, "said") + strconv.Itoa(i)}
			sources[msg.Text] = true
			tr.Messages = append(tr.Messages, msg)
			tr.Steps = append(tr.Steps, Step{Index: i, Kind: KindLLM, Out: []int{i}})
		}
		c := Compact(tr, rapid.IntRange(MinBudget, 20_000).Draw(rt, "budget"))
		if c.StepsOmitted > 0 {
			return
		}
		cut := 0
		for _, s := range stringsIn(rt, c.JSON) {
			m := cutMarker.FindStringSubmatchIndex(s)
			if m == nil {
				continue
			}
			missing, _ := strconv.Atoi(s[m[2]:m[3]])
			head, tail := s[:m[0]], s[m[1]:]
			found := false
			for src := range sources {
				if strings.HasPrefix(src, head) && strings.HasSuffix(src, tail) && len(src) == len(head)+len(tail)+missing {
					found = true
					break
				}
			}
			if !found {
				rt.Fatalf("%q is no cut of any source", s)
			}
			cut += missing
		}
		if cut != c.BytesCut {
			rt.Fatalf("the markers say %d bytes, BytesCut %d", cut, c.BytesCut)
		}
		if cut == 0 {
			got := stringsIn(rt, c.JSON)
			for src := range sources {
				if !slices.Contains(got, src) {
					rt.Fatalf("%q is missing although nothing was cut", src)
				}
			}
		}
	})
}

// Only what repeats is folded: steps that differ in what they say, or in where they stand
// in the tree, are not.
func TestCompactFolds(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(i int, s *Step)
		folded int
	}{
		{"identical", func(i int, s *Step) { s.Dur = time.Duration(i) * time.Second }, 8},
		{"different arguments", func(i int, s *Step) { s.Tool.Args = strconv.Itoa(i) }, 0},
		{"different results", func(i int, s *Step) { s.Tool.Result = strconv.Itoa(i) }, 0},
		{"different errors", func(i int, s *Step) { s.Err = &Failure{Message: strconv.Itoa(i)} }, 0},
		{"nested", func(i int, s *Step) { s.Depth = i }, 0},
		{"two kinds in turn", func(i int, s *Step) { s.Name = strconv.Itoa(i % 2) }, 6},
		{"three kinds in turn", func(i int, s *Step) { s.Name = strconv.Itoa(i % 3) }, 3},
		{"two of a sort, five times", func(i int, s *Step) { s.Name = strconv.Itoa(i / 2) }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := &Trace{}
			for i := range 10 {
				s := Step{Index: i, Kind: KindTool, Name: "f", Tool: &ToolIO{Name: "f", Args: "{}", Result: "no", HasResult: true}}
				tc.change(i, &s)
				tr.Steps = append(tr.Steps, s)
			}
			folded := 0
			for _, s := range checkCompacted(t, tr, Compact(tr, MaxBytes), MaxBytes).Steps {
				folded += s.Repeated
			}
			if folded != tc.folded {
				t.Errorf("%d steps folded, want %d", folded, tc.folded)
			}
		})
	}
}

// Each message is written once, however many steps were given it, and every text of the
// sources survives as long as nothing is cut.
func TestCompactIsLossless(t *testing.T) {
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		payload, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		c := Compact(tr, MaxBytes)
		checkCompacted(t, tr, c, MaxBytes)
		if c.BytesCut != 0 || c.StepsOmitted != 0 {
			t.Errorf("%s: cut %d bytes and %d steps of a small trace", f, c.BytesCut, c.StepsOmitted)
		}
		got := stringsIn(t, c.JSON)
		want := []string{}
		for _, m := range tr.Messages {
			want = append(want, m.Text, m.Refusal)
			for _, c := range m.Calls {
				want = append(want, c.Args, c.Name)
			}
		}
		for _, s := range tr.Steps {
			want = append(want, s.Input, s.Output, s.Agent, s.Model)
			if s.Tool != nil {
				want = append(want, s.Tool.Args, s.Tool.Result, s.Tool.Name)
			}
			if s.Err != nil {
				want = append(want, s.Err.Message, s.Err.Type, s.Err.Stack)
			}
		}
		for _, w := range want {
			if w != "" && !slices.Contains(got, w) {
				t.Errorf("%s: %q is missing from\n%s", f, w, c.JSON)
			}
		}
	}
}

// Golden renderings, for people to judge: a conversation, a loop, and a cut.
func TestCompactGolden(t *testing.T) {
	for name, tc := range map[string]struct {
		payload string
		budget  int
	}{
		"loop":  {loopPayload(30), MaxBytes},
		"cut":   {longPayload(), 3000},
		"spans": {readTestdata(t, "testdata/decode/spans.json"), MaxBytes},
		"chat":  {readTestdata(t, "testdata/decode/chat.json"), MaxBytes},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := Decode([]byte(tc.payload))
			if err != nil {
				t.Fatal(err)
			}
			c := Compact(tr, tc.budget)
			checkCompacted(t, tr, c, tc.budget)
			got := strings.ReplaceAll(string(c.JSON), `{"i":`, "\n"+`{"i":`) + "\n"
			golden := "testdata/compact/" + name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(readTestdata(t, golden), got); diff != "" {
				t.Errorf("(-want +got; refresh with -update)\n%s", diff)
			}
		})
	}
}

func readTestdata(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// loopPayload is a conversation that makes the same failing call n times.
func loopPayload(n int) string {
	msgs := []string{`{"role":"system","content":"You help customers of a shop."}`, `{"role":"user","content":"Where is order 9?"}`}
	for i := range n {
		msgs = append(msgs,
			fmt.Sprintf(`{"role":"assistant","content":null,"tool_calls":[{"id":"c%d","type":"function","function":{"name":"find_order","arguments":"{\"id\":\"9\"}"}}]}`, i),
			fmt.Sprintf(`{"role":"tool","tool_call_id":"c%d","content":"order not found"}`, i))
	}
	return `{"messages":[` + strings.Join(append(msgs, `{"role":"assistant","content":"I give up."}`), ",") + `]}`
}

// longPayload is a conversation of long turns, with an error in its middle.
func longPayload() string {
	var msgs []string
	for i := range 12 {
		role := []string{"user", "assistant"}[i%2]
		extra := ""
		if i == 5 {
			extra = `,"error":{"type":"ServerError","message":"500 the model is overloaded and did not answer within the time that was allowed for this turn"}`
		}
		msgs = append(msgs, fmt.Sprintf(`{"role":%q,"content":%q%s}`, role, strings.Repeat(fmt.Sprintf("turn %d says this. ", i), 40), extra))
	}
	return `{"messages":[` + strings.Join(msgs, ",") + `]}`
}

// An unrecognised payload over 200 KB keeps its end: its last 100 KB, as far as they fit
// the bound.
func TestCompactOpaqueKeepsItsEnd(t *testing.T) {
	for _, size := range []int{150 << 10, 201 << 10, 3 << 20} {
		payload := `{"dump":"` + strings.Repeat("x", size) + `the end of it"}`
		tr, err := Decode([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		c := Compact(tr, MaxBytes)
		r := checkCompacted(t, tr, c, MaxBytes)
		input := r.Steps[0].Input
		if !strings.HasSuffix(input, `the end of it"}`) {
			t.Errorf("%d bytes: the end is missing: …%s", size, tailOf(input, 40))
		}
		m := cutMarker.FindStringSubmatchIndex(input)
		if m == nil {
			t.Fatalf("%d bytes: no marker in %.60s…", size, input)
		}
		if size > opaqueLimit && m[0] != 0 {
			t.Errorf("%d bytes: keeps %d bytes of the head, want only the tail", size, m[0])
		}
		if kept := len(input) - (m[1] - m[0]); kept < 100_000 {
			t.Errorf("%d bytes: keeps %d, want nearly 100 KB", size, kept)
		}
	}
}

func BenchmarkDecode(b *testing.B)  { benchmark(b, func(tr *Trace) {}) }
func BenchmarkCompact(b *testing.B) { benchmark(b, func(tr *Trace) { Compact(tr, MaxBytes) }) }

// benchmark decodes a replayed conversation of 60 turns with its whole history in every
// span, about 1 MB, and does with the trace what use says.
func benchmark(b *testing.B, use func(*Trace)) {
	payload := replay(60)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		tr, err := Decode(payload)
		if err != nil {
			b.Fatal(err)
		}
		use(tr)
	}
}

// replay returns an OpenInference export of a conversation of n model calls.
func replay(n int) []byte {
	var spans, msgs []string
	for i := range n {
		msgs = append(msgs, canonical(map[string]any{"role": "user", "content": strings.Repeat(fmt.Sprintf("question %d, ", i), 15)}))
		spans = append(spans, fmt.Sprintf(`{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"%016x","name":"chat","startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[{"key":"openinference.span.kind","value":{"stringValue":"LLM"}},{"key":"input.value","value":{"stringValue":%s}},{"key":"output.value","value":{"stringValue":"fine"}}],"status":{"code":1}}`,
			i+1, 1795397607000000000+i*1000, 1795397607000000500+i*1000, canonical(`{"messages":[`+strings.Join(msgs, ",")+`]}`)))
		msgs = append(msgs, canonical(map[string]any{"role": "assistant", "content": strings.Repeat(fmt.Sprintf("answer %d, ", i), 20)}))
	}
	return []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[` + strings.Join(spans, ",") + `]}]}]}`)
}

// Attributes are longer than any text here, and what is escaped in them stands where it is
// kept: the estimate of what they take is far too low.
func TestCompactBoundAttributes(t *testing.T) {
	attr := strings.Repeat("x", 41) + strings.Repeat("\x01", 89) + strings.Repeat("x", 370)
	tr := &Trace{Format: FormatSpans}
	for range 2000 { // they fold, which nobody knows beforehand
		tr.Steps = append(tr.Steps, Step{Index: len(tr.Steps), Kind: KindChain, Name: "again", Output: strings.Repeat("o", 200), Tokens: unknownTokens})
	}
	for i := range 20 {
		s := Step{Index: len(tr.Steps), Kind: KindChain, Name: fmt.Sprint("step ", i), Tokens: unknownTokens, Attrs: map[string]string{}}
		for k := range 10 {
			s.Attrs[fmt.Sprint("db.k", k)] = attr
		}
		tr.Steps = append(tr.Steps, s)
	}
	for _, budget := range []int{45_000, 60_000, MaxBytes, 2 * MaxBytes} {
		c := Compact(tr, budget)
		if len(c.JSON) > budget {
			t.Errorf("%d bytes, want at most %d", len(c.JSON), budget)
		}
		if !json.Valid(c.JSON) {
			t.Errorf("budget %d: the result is no JSON", budget)
		}
		if whole := budget > MaxBytes; whole != (c.BytesCut == 0) {
			t.Errorf("budget %d: %d bytes were cut", budget, c.BytesCut)
		}
	}
}

// A position at which there is no message makes no step different.
func TestFoldsWithMissingMessages(t *testing.T) {
	tr := &Trace{Messages: []Message{{Role: "assistant", Text: "again"}}}
	for i := range 9 {
		tr.Steps = append(tr.Steps, Step{Index: i, Kind: KindLLM, Name: "turn", Out: [][]int{{0}, {-1, 0}, {0, 7}}[i%3], Tokens: unknownTokens})
	}
	if c := Compact(tr, MaxBytes); !strings.Contains(string(c.JSON), `"repeated_steps":7`) {
		t.Errorf("the steps are not folded: %s", c.JSON)
	}
}
