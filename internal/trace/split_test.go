package trace

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	chatA = `{"trace_id":"A","messages":[{"role":"user","content":"hi"}]}`
	chatB = `{"trace_id":"B","messages":[{"role":"user","content":"hello"}]}`
)

// otlp returns an OTLP export of spans given as "trace/span".
func otlp(spans ...string) string {
	var out []string
	for _, s := range spans {
		trace, id, _ := strings.Cut(s, "/")
		out = append(out, fmt.Sprintf(`{"traceId":%q,"spanId":%q,"name":%q,"attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}]}`, trace, id, id))
	}
	return `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"svc"}}]},"scopeSpans":[{"scope":{"name":"s"},"spans":[` + strings.Join(out, ",") + `]}]}]}`
}

// split returns one line per document or error of input.
func split(t *testing.T, input io.Reader, opt SplitOptions) []string {
	t.Helper()
	var got []string
	for d, err := range Split("in", input, opt) {
		if err != nil {
			var se *SplitError
			if !errors.As(err, &se) {
				t.Fatalf("%T is no *SplitError: %v", err, err)
			}
			got = append(got, "error "+err.Error())
			continue
		}
		line := fmt.Sprintf("%d %s %s", d.Line, d.Format, d.TraceID)
		if d.Raw != nil {
			line += " raw"
			if string(d.Raw.Payload) != string(d.Payload) || d.Raw.TraceID != d.TraceID {
				t.Errorf("Raw and Document differ: %+v", d)
			}
		} else if !json.Valid(d.Payload) || d.Payload[0] != '{' {
			t.Errorf("payload is no JSON object: %s", d.Payload)
		} else {
			tr, err := Decode(d.Payload)
			if err != nil {
				t.Errorf("Decode: %v", err)
			}
			line += fmt.Sprintf(" %d", len(tr.Steps))
			if tr.Format != d.Format {
				t.Errorf("split as %s, decoded as %s", d.Format, tr.Format)
			}
		}
		for _, w := range d.Warnings {
			line += " (" + w + ")"
		}
		got = append(got, line)
	}
	return got
}

func TestSplit(t *testing.T) {
	pretty := func(s string) string {
		var b bytes.Buffer
		if err := json.Indent(&b, []byte(s), "", "  "); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	const empty = "error in: is empty; want a trace as JSON or JSON Lines"
	for _, tc := range []struct {
		name  string
		input string
		opt   SplitOptions
		want  []string
	}{
		{"empty", "", SplitOptions{}, []string{empty}},
		{"only white space", " \n\t\r\n", SplitOptions{}, []string{empty}},
		{"one line", chatA, SplitOptions{}, []string{"1 openai A 1"}},
		{"lines", chatA + "\n" + chatB + "\n", SplitOptions{}, []string{"1 openai A 1", "2 openai B 1"}},
		{"lines with gaps", "\n\n" + chatA + "\r\n\r\n" + chatB, SplitOptions{}, []string{"3 openai A 1", "5 openai B 1"}},
		{"byte order mark", "\xef\xbb\xbf" + chatA, SplitOptions{}, []string{"1 openai A 1"}},
		{"record separators", "\x1e" + chatA + "\n\x1e" + chatB + "\n", SplitOptions{}, []string{"1 openai A 1", "2 openai B 1"}},
		{"pretty", pretty(chatA), SplitOptions{}, []string{"1 openai A 1"}},
		{"concatenated", pretty(chatA) + pretty(chatB) + chatA, SplitOptions{}, []string{"1 openai A 1", "9 openai B 1", "17 openai A 1"}},
		{"array of traces", "[\n" + chatA + ",\n\n" + pretty(chatB) + "\n]", SplitOptions{}, []string{"2 openai A 1", "4 openai B 1"}},
		{"array of arrays", `[[{"role":"user","content":"a"}],` + "\n" + `[{"role":"user","content":"b"},{"role":"assistant","content":"c"}]]`, SplitOptions{}, []string{"1 openai  1", "2 openai  2"}},
		{"object of traces", `{"traces":[` + chatA + `,` + chatB + `]}`, SplitOptions{}, []string{"1 openai A 1", "1 openai B 1"}},
		{"array of messages", `[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]`, SplitOptions{}, []string{"1 openai  2"}},
		{"lines of messages", `{"role":"user","content":"hi"}` + "\n" + `{"role":"assistant","content":"ho"}`, SplitOptions{}, []string{"1 openai  2"}},
		{"array of spans of two traces", `[{"trace_id":"t","span_id":"a","name":"x"},{"trace_id":"u","span_id":"b","name":"y"},{"trace_id":"t","span_id":"c","name":"z"}]`, SplitOptions{}, []string{"1 spans t 2", "1 spans u 1"}},
		{"lines of spans", `{"trace_id":"t","span_id":"a","name":"x"}` + "\n" + `{"trace_id":"u","span_id":"b","name":"y"}` + "\n" + `{"trace_id":"t","span_id":"c","name":"z"}`, SplitOptions{}, []string{"1 spans t 2", "2 spans u 1"}},
		{"session log that begins before its session", `{"type":"summary","summary":"Old","leafUuid":"z"}` + "\n" + `{"type":"file-history-snapshot","messageId":"m","snapshot":{"messageId":"m"}}` + "\n" + `{"type":"queue-operation","operation":"enqueue","sessionId":"s"}` + "\n" + `{"sessionId":"s","type":"user","uuid":"1","message":{"role":"user","content":"hi"}}`, SplitOptions{}, []string{"1 claude-code s 2"}},
		{"session log without a session", `{"type":"summary","summary":"Old","leafUuid":"z"}`, SplitOptions{}, []string{"1 opaque  1 (unknown format: kept as one opaque step)"}},
		{"spans that are none", `{"resourceSpans":[{"scopeSpans":[{"spans":[null,5,{"traceId":"t","spanId":"s","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}]}]}]}]}`, SplitOptions{}, []string{"1 genai t 1 (2 items of resourceSpans are no objects and were skipped)"}},
		{"session log", `{"sessionId":"s","type":"user","uuid":"1","message":{"role":"user","content":"hi"}}` + "\n" + `{"sessionId":"s","type":"assistant","uuid":"2","message":{"role":"assistant","content":[{"type":"text","text":"ho"}]}}`, SplitOptions{}, []string{"1 claude-code s 2"}},
		{"otlp of two traces", otlp("t/a", "u/b", "t/c"), SplitOptions{}, []string{"1 genai t 2", "1 genai u 1"}},
		{"otlp over lines", otlp("t/a") + "\n" + otlp("u/b") + "\n" + otlp("t/c"), SplitOptions{}, []string{"1 genai t 2", "2 genai u 1"}},
		{"otlp in an array", "[" + otlp("t/a") + "," + otlp("t/c") + "]", SplitOptions{}, []string{"1 genai t 2"}},
		{"otlp without spans", `{"resourceSpans":[]}`, SplitOptions{}, []string{"error in:1: is an OTLP export without a span or log record"}},
		{"raw trace", `{"trace_id":"r","failure_type":"x","trace_payload":` + chatA + `}`, SplitOptions{}, []string{"1 openai r raw"}},
		{"raw trace without an id", `{"trace_payload":` + chatA + `}`, SplitOptions{}, []string{"1 openai  raw"}},
		{"raw trace with an empty payload", `{"trace_id":"r","trace_payload":{}}`, SplitOptions{}, []string{"1 opaque r raw (unknown format: kept as one opaque step)"}},
		{"raw trace whose payload is no map", `{"trace_id":"r","trace_payload":[1,2]}`, SplitOptions{}, []string{"1 opaque r raw (unknown format: kept as one opaque step)"}},
		{"raw trace without a payload", `{"trace_id":"r","failure_type":"x","severity":"high"}`, SplitOptions{}, []string{"1 opaque r raw"}},
		{"raw trace with a null payload", `{"trace_id":"r","trace_payload":null}`, SplitOptions{}, []string{"1 opaque r raw"}},
		{"raw trace with wrong types", `{"trace_id":"r","severity":3,"fetched_at":"yesterday","trace_payload":` + chatA + `}`, SplitOptions{},
			[]string{"1 openai r raw (fetched_at has a value of the wrong type or form and was left out) (severity has a value of the wrong type or form and was left out)"}},
		{"evaluation case", `{"id":"c","trace":{"trace_id":"r","trace_payload":` + chatA + `},"expected":{}}`, SplitOptions{}, []string{"1 openai r raw"}},
		{"json in a string", canonical(chatA), SplitOptions{}, []string{"1 openai A 1"}},
		{"text in a string", `"it broke"`, SplitOptions{}, []string{"1 opaque  1 (unknown format: kept as one opaque step)"}},
		{"unknown object", `{"a":1}`, SplitOptions{}, []string{"1 opaque  1 (unknown format: kept as one opaque step)"}},
		{"scalars", "null\ntrue\n12\n", SplitOptions{}, []string{
			"error in:1: is null; a trace is a JSON object or an array", "error in:2: is a boolean; a trace is a JSON object or an array", "error in:3: is a number; a trace is a JSON object or an array",
		}},
		{"empty values", "{}\n[]\n", SplitOptions{}, []string{"error in:1: is an empty object; there is nothing to analyze", "error in:2: is an empty array; there is nothing to analyze"}},
		{"bad line", chatA + "\n{\"a\": }\n" + chatB, SplitOptions{}, []string{
			"1 openai A 1", "error in:2: is not valid JSON, at byte 7: unexpected character looking for beginning of value", "3 openai B 1",
		}},
		{"line cut in a string", chatA + "\n" + chatB[:30] + "\n" + chatB, SplitOptions{}, []string{
			"1 openai A 1", "error in:2: is not valid JSON, at byte 31: unexpected character in string literal", "3 openai B 1",
		}},
		{"line cut between values", `{"a":[1` + "\n" + chatB, SplitOptions{}, []string{
			"error in:1: is not valid JSON: the value that starts here breaks in line 2: unexpected character after array element", "2 openai B 1",
		}},
		{"last line cut", chatA + "\n" + chatB[:len(chatB)-2], SplitOptions{}, []string{"1 openai A 1", "error in:2: is cut off: the JSON value that starts here has no end"}},
		{"pretty value cut", strings.TrimSuffix(pretty(chatA), "\n  ]\n}") + "\n" + chatB, SplitOptions{}, []string{
			"error in:1: is not valid JSON: the value that starts here breaks in line 8: unexpected character after array element", "8 openai B 1",
		}},
		{"pretty value without an end", strings.TrimSuffix(pretty(chatA), "\n}"), SplitOptions{}, []string{"error in:1: is cut off: the JSON value that starts here has no end"}},
		{"not JSON at all", strings.Repeat("plain text\n", 25), SplitOptions{}, append(
			func() (out []string) {
				for i := range 20 {
					out = append(out, fmt.Sprintf("error in:%d: is not valid JSON, at byte 1: unexpected character looking for beginning of value", i+1))
				}
				return out
			}(), "error in:21: 5 more lines, up to line 25, are not valid JSON either")},
		{"invalid UTF-8", `{"messages":[{"role":"user","content":"a` + "\xff\xfe" + `b"}]}`, SplitOptions{}, []string{"1 openai  1 (2 bytes that are not UTF-8 were replaced by U+FFFD)"}},
		{"too long", chatA + "\n" + `{"messages":"` + strings.Repeat("x", 100_000) + `"}` + "\n" + chatB, SplitOptions{MaxDocument: 1000}, []string{
			"1 openai A 1", "error in:2: is over 1000 bytes long; split it, or leave out what the agent did not see", "3 openai B 1",
		}},
		{"wanted format", chatA + "\n" + otlp("t/a"), SplitOptions{Format: FormatOTLP}, []string{
			"error in:1: is of the format openai, not otlp; import it without -format, or with the right one", "2 genai t 1",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, split(t, strings.NewReader(tc.input), tc.opt)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := split(t, iotest.OneByteReader(strings.NewReader(tc.input)), tc.opt); tc.name != "too long" && !slices.Equal(got, tc.want) {
				t.Errorf("byte by byte: %s", cmp.Diff(tc.want, got))
			}
		})
	}
}

func TestSplitGzip(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, chatA+"\n"+chatB); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1 openai A 1", "2 openai B 1"}, split(t, bytes.NewReader(b.Bytes()), SplitOptions{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cut := split(t, bytes.NewReader(b.Bytes()[:b.Len()-12]), SplitOptions{})
	if len(cut) == 0 || !strings.Contains(cut[len(cut)-1], "unexpected EOF") {
		t.Errorf("of a cut gzip file: %q, want an error at its end", cut)
	}
}

func TestSplitReadError(t *testing.T) {
	r := io.MultiReader(strings.NewReader(chatA+"\n"+chatB[:10]), iotest.ErrReader(errors.New("disk on fire")))
	want := []string{"1 openai A 1", "error in:2: cannot be read to its end: disk on fire"}
	if diff := cmp.Diff(want, split(t, r, SplitOptions{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The sequence may be left at any document.
func TestSplitStops(t *testing.T) {
	input := strings.Repeat(chatA+"\nbad\n"+otlp("t/a")+"\n", 3)
	for stop := 1; stop < 8; stop++ {
		n := 0
		for range Split("in", strings.NewReader(input), SplitOptions{}) {
			if n++; n == stop {
				break
			}
		}
		if n != min(stop, 7) {
			t.Errorf("stopped after %d, want %d", n, stop)
		}
	}
}

// Whatever stands around them, good lines are found, each with its line number: save what
// makes one JSON value with them, such as an opening and a closing bracket.
func TestSplitFindsGoodLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bad := rapid.SampledFrom([]string{"", "nonsense", `{"a":`, `{"a":[1,2`, `{"a":"b`, `[`, `"x`, `{"a":1}}`, "\xff\xfe", "12", `{"a" 1}`, "nul"})
		var lines []string
		var want []int
		for i := range rapid.IntRange(0, 12).Draw(t, "lines") {
			if rapid.Bool().Draw(t, "good") {
				lines = append(lines, chatA)
				want = append(want, i+1)
			} else {
				lines = append(lines, bad.Draw(t, "bad"))
			}
		}
		var got []int
		for d, err := range Split("in", strings.NewReader(strings.Join(lines, "\n")), SplitOptions{}) {
			if err == nil && d.TraceID == "A" {
				got = append(got, d.Line)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("found lines %v, want %v", got, want)
		}
	})
}

// A broken file takes time in proportion to its length, not to its square, and its good
// lines are still found.
func TestSplitBrokenFile(t *testing.T) {
	line := `{"a":["` + strings.Repeat("x", 4000) + `"` + "\n"
	input := strings.Repeat("[\n", 20_000) + strings.Repeat(line, 5_000) + chatA + "\n" + strings.Repeat("[\n", 20_000)
	found, failed := 0, 0
	for d, err := range Split("in", strings.NewReader(input), SplitOptions{}) {
		switch {
		case err != nil:
			failed++
		case d.TraceID == "A":
			found++
		}
	}
	if found != 1 || failed == 0 || failed > 100 {
		t.Errorf("found %d good lines, want 1, and %d errors, want 1 to 100", found, failed)
	}
}

func FuzzSplit(f *testing.F) {
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
	f.Add([]byte(chatA + "\n{\n" + otlp("t/a", "u/b")))
	f.Add([]byte("\x1f\x8b"))
	f.Add(framed(protoOf(f, []byte(otlp("00000000000000000000000000000001/0000000000000002")))))
	f.Fuzz(func(t *testing.T, input []byte) {
		line := 0
		n := 0
		for d, err := range Split("in", bytes.NewReader(input), SplitOptions{MaxDocument: 1 << 20}) {
			n++
			if err != nil {
				if se := (*SplitError)(nil); !errors.As(err, &se) || se.Reason == "" {
					t.Errorf("bad error %v", err)
				}
				continue
			}
			if d.Line < 1 && !isProto(input) {
				t.Errorf("line %d after %d", d.Line, line)
			}
			if d.Raw != nil {
				continue
			}
			tr, err := Decode(d.Payload)
			if err != nil {
				t.Fatalf("payload does not decode: %v\n%s", err, d.Payload)
			}
			checkTrace(t, tr)
		}
		if n == 0 {
			t.Error("neither a document nor an error")
		}
	})
}

func TestMerge(t *testing.T) {
	logs := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"t","spanId":"a","eventName":"gen_ai.user.message","body":{"content":"hi"}}]}]}]}`
	named := strings.Replace(otlp("t/a"), `"name":"a"`, `"name":"newer"`, 1)
	names := func(payload json.RawMessage) []string {
		tr, err := Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		checkTrace(t, tr)
		var out []string
		for _, s := range tr.Steps {
			out = append(out, fmt.Sprint(s.Name, len(s.In)))
		}
		return out
	}
	for _, tc := range []struct {
		name, a, b string
		want       []string
	}{
		{"spans and logs", otlp("t/a", "t/b"), logs, []string{"a1", "b0"}},
		{"logs and spans", logs, otlp("t/a", "t/b"), []string{"a1", "b0"}},
		{"more spans", otlp("t/a"), otlp("t/b"), []string{"a0", "b0"}},
		{"a newer version of a span", otlp("t/a", "t/b"), named, []string{"newer0", "b0"}},
		{"a part of it again", otlp("t/a", "t/b"), otlp("t/b"), []string{"a0", "b0"}},
		{"two spans of one id", otlp("t/a"), strings.Replace(otlp("t/b", "t/b"), `"name":"b"`, `"name":"began"`, 1), []string{"a0", "began0"}},
		{"the same logs again", logs, logs, []string{"chat1"}},
		{"span lists", `{"spans":[{"trace_id":"t","span_id":"a","name":"a"}]}`, `{"spans":[{"trace_id":"t","span_id":"b","name":"b"},{"trace_id":"t","span_id":"a","name":"c"}]}`, []string{"c0", "b0"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Merge(json.RawMessage(tc.a), json.RawMessage(tc.b))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, names(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for part, b := range map[string]string{"the whole": string(got), "the newer part": tc.b} {
				again, err := Merge(got, json.RawMessage(b))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(got), string(again)); diff != "" {
					t.Errorf("merging %s again changes it (-want +got):\n%s", part, diff)
				}
			}
		})
	}
	for _, tc := range [][2]string{{chatA, chatB}, {chatA, otlp("t/a")}, {"[]", "{}"}, {"{", "{}"}, {"{}", ""}} {
		if got, err := Merge(json.RawMessage(tc[0]), json.RawMessage(tc[1])); err == nil {
			t.Errorf("Merge(%s, %s) = %s, want an error", tc[0], tc[1], got)
		}
	}
}

// A data frame of Phoenix in one object, by column, may hold the spans of several traces.
func TestSplitDataFrame(t *testing.T) {
	frame := `{"name":{"x":"a","y":"b","z":"c"},"span_kind":{"x":"LLM","y":"LLM","z":"TOOL"},"parent_id":{"x":null,"y":null,"z":"x"},
		"context.trace_id":{"x":"t1","y":"t2","z":"t1"},"start_time":{"x":1783555200000,"y":1783555200000,"z":1783555201000}}`
	got := split(t, strings.NewReader(frame), SplitOptions{})
	want := split(t, strings.NewReader(`{"spans":[{"name":"a","span_kind":"LLM","parent_id":null,"context.trace_id":"t1","context.span_id":"x","start_time":1783555200000},
		{"name":"c","span_kind":"TOOL","parent_id":"x","context.trace_id":"t1","context.span_id":"z","start_time":1783555201000}]}
		{"spans":[{"name":"b","span_kind":"LLM","parent_id":null,"context.trace_id":"t2","context.span_id":"y","start_time":1783555200000}]}`), SplitOptions{})
	for i := range want { // the lines are not the point
		_, want[i], _ = strings.Cut(want[i], " ")
	}
	for i := range got {
		_, got[i], _ = strings.Cut(got[i], " ")
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 2 {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Python's json.dumps writes NaN and Infinity, which JSON does not have: they are null, and the
// line is not lost. In texts they are words.
func TestSplitNaN(t *testing.T) {
	line := `{"trace_id":"n","messages":[{"role":"user","content":"NaN, \"Infinity\" \\"},{"role":"assistant","content":"yo","score":NaN,"x":[Infinity,
		-Infinity]}]}`
	var lines []string
	for range 2000 { // as many as would be too much to scan if they were broken
		lines = append(lines, line)
	}
	n := 0
	for d, err := range Split("in", strings.NewReader(strings.Join(lines, "\n")), SplitOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 1 {
			continue
		}
		want := `{"trace_id":"n","messages":[{"role":"user","content":"NaN, \"Infinity\" \\"},{"role":"assistant","content":"yo","score":null,"x":[null,
		null]}]}`
		if diff := cmp.Diff(want, string(d.Payload)); diff != "" {
			t.Errorf("payload (-want +got)\n%s", diff)
		}
		if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "3 numbers") {
			t.Errorf("warnings %q, want one that counts 3 numbers", d.Warnings)
		}
	}
	if n != len(lines) {
		t.Errorf("%d documents, want %d", n, len(lines))
	}
	for _, broken := range []string{`{"a":NaN`, `{"a":Nonsense}`, `{"a":NaN]`, `{"a":NaN,"b":Infinite}`} {
		if got := split(t, strings.NewReader(broken), SplitOptions{}); len(got) != 1 || !strings.HasPrefix(got[0], "error") {
			t.Errorf("%s: %q, want an error", broken, got)
		}
	}
}
