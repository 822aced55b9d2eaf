package eval

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// read returns what ReadCases yields for input: "id trace_id" for a case, the error's
// text for an error.
func read(input string, fsys fstest.MapFS) []string {
	var out []string
	for c, err := range ReadCases("cases.jsonl", strings.NewReader(input), fsys) {
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		out = append(out, c.ID+" "+c.Trace.TraceID)
	}
	return out
}

func zip(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const (
	rawDoc  = `{"trace_id": "raw-1", "failure_type": "unknown", "trace_payload": {"messages": [{"role": "user", "content": "hi"}]}}`
	chatDoc = `[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]`
)

func TestReadCases(t *testing.T) {
	good := `{"id": "a", "trace": ` + rawDoc + `, "expected": {"is_failure": true}}`
	files := fstest.MapFS{
		"traces/raw.json":     {Data: []byte(rawDoc)},
		"traces/chat.json":    {Data: []byte(chatDoc)},
		"traces/chat.json.gz": {Data: zip(t, chatDoc)},
		"traces/broken.json":  {Data: []byte(`{"messages": [`)},
		"traces/empty.json":   {},
		"traces/cut.gz":       {Data: []byte{0x1f, 0x8b, 8}},
	}
	line := func(fields string) string { return `{"id": "a", ` + fields + `}` }
	for _, tt := range []struct {
		name, input string
		want        []string
	}{
		{"nothing", "", nil},
		{"a raw trace keeps its id", good, []string{"a raw-1"}},
		{"blank lines, byte order mark, no end of line", "\ufeff\n" + good + "\n\n" + good, []string{"a raw-1", "a raw-1"}},
		{"unknown fields", line(`"note": 1, "trace": ` + rawDoc + `, "expected": {"reason": "x"}`), []string{"a raw-1"}},
		{"another format takes the case's id", line(`"trace": {"messages": ` + chatDoc + `}, "expected": {}`), []string{"a a"}},
		{"an array", line(`"trace": ` + chatDoc + `, "expected": {}`), []string{"a a"}},
		{"a raw trace without id", line(`"trace": {"trace_payload": {"x": 1}}, "expected": {}`), []string{"a a"}},
		{"a raw trace that cannot be analyzed is the extractor's to judge", line(`"trace": {"trace_payload": "text"}, "expected": {}`), []string{"a a"}},
		{"an id that is no document id", `{"id": "a/b", "trace": ` + chatDoc + `, "expected": {}}`, []string{"a/b case_c14cddc033f64b9d"}},
		{"trace file", line(`"trace_file": "traces/raw.json", "expected": {}`), []string{"a raw-1"}},
		{"trace file in another format", line(`"trace_file": "traces/chat.json", "expected": {}`), []string{"a a"}},
		{"gzipped trace file", line(`"trace_file": "traces/chat.json.gz", "expected": {}`), []string{"a a"}},

		{"a bad line does not end it", "{\"id\": \n" + good + "\nnot json\n" + good, []string{
			"cases.jsonl:1: is not valid JSON at byte 6: unexpected end of JSON input; each line must be one whole JSON object", "a raw-1",
			"cases.jsonl:3: is not valid JSON at byte 2: invalid character 'o' in literal null (expecting 'u'); each line must be one whole JSON object", "a raw-1"}},
		{"no object", `5`, []string{"cases.jsonl:1: must be a JSON object, got number"}},
		{"no id", `{"trace": ` + rawDoc + `, "expected": {}}`, []string{"cases.jsonl:1: id: is missing; give each case an id of its own"}},
		{"id of the wrong type", `{"id": 1}`, []string{"cases.jsonl:1: id: must be a string, got number"}},
		{"no labels", line(`"trace": ` + rawDoc), []string{`cases.jsonl:1: expected: is missing; say what is known, at least {"is_failure": true}`}},
		{"labels of the wrong type", line(`"trace": ` + rawDoc + `, "expected": []`), []string{"cases.jsonl:1: expected: must be a JSON object, got array"}},
		{"label list of the wrong type", line(`"trace": ` + rawDoc + `, "expected": {"agents": "a"}`), []string{"cases.jsonl:1: expected.agents: must be a list, got string"}},
		{"label of the wrong type", line(`"trace": ` + rawDoc + `, "expected": {"failing_steps": ["3"]}`), []string{"cases.jsonl:1: expected.failing_steps: must be a whole number, got string"}},
		{"is_failure of the wrong type", line(`"trace": ` + rawDoc + `, "expected": {"is_failure": "yes"}`), []string{"cases.jsonl:1: expected.is_failure: must be true or false, got string"}},
		{"unknown failure type", line(`"trace": ` + rawDoc + `, "expected": {"failure_types": ["wrong_tol"]}`), []string{
			"cases.jsonl:1: expected.failure_types: none of the accepted answers is a failure type; use one of hallucination, toxicity, wrong_tool, runaway_loop, pii_leak, stale_data, infrastructure_error, client_error, other"}},
		{"negative step", line(`"trace": ` + rawDoc + `, "expected": {"failing_steps": [2, -1]}`), []string{"cases.jsonl:1: expected.failing_steps[1]: must not be negative; steps are counted from 0"}},
		{"blank agent", line(`"trace": ` + rawDoc + `, "expected": {"agents": [" "]}`), []string{"cases.jsonl:1: expected.agents[0]: must not be blank; remove it, or leave the list out if nothing is known"}},
		{"no trace", line(`"expected": {}`), []string{"cases.jsonl:1: trace: is missing; give the trace itself, or a file in trace_file"}},
		{"two traces", line(`"trace": ` + rawDoc + `, "trace_file": "traces/raw.json", "expected": {}`), []string{"cases.jsonl:1: trace: is given beside trace_file; keep one of them"}},
		{"a raw trace with a bad field goes without it", line(`"trace": {"trace_id": 7, "trace_payload": {}}, "expected": {}`), []string{"a a"}},
		{"no such file", line(`"trace_file": "traces/none.json", "expected": {}`), []string{"cases.jsonl:1: trace_file: open traces/none.json: file does not exist; the path is relative to the folder of the cases file"}},
		{"file outside", line(`"trace_file": "../raw.json", "expected": {}`), []string{`cases.jsonl:1: trace_file: must be a path relative to the folder of the cases file, with "/" and without "..": the file may not lie outside it`}},
		{"empty file", line(`"trace_file": "traces/empty.json", "expected": {}`), []string{"cases.jsonl:1: trace_file: cannot be read as a trace: it is empty; want a trace as JSON or JSON Lines"}},
		{"cut gzip file", line(`"trace_file": "traces/cut.gz", "expected": {}`), []string{"cases.jsonl:1: trace_file: read traces/cut.gz: unexpected EOF"}},
		{"several traces", line(`"trace": [` + rawDoc + `, ` + strings.Replace(rawDoc, "raw-1", "raw-2", 1) + `], "expected": {}`), []string{"cases.jsonl:1: trace: holds several traces; a case needs exactly one: make a case of each"}},
		{"a number for a trace", line(`"trace": 7, "expected": {}`), []string{"cases.jsonl:1: trace: cannot be read as a trace: it is a number; a trace is a JSON object or an array"}},
		{"one array", "[" + good + "]", []string{"cases.jsonl:1: the file is one JSON array, but one case per line is needed; convert it with: jq -c '.[]' FILE"}},
		{"indented", "{\n" + good[1:], []string{"cases.jsonl:1: the cases are spread over several lines, but one case per line is needed; convert them with: jq -c . FILE"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, read(tt.input, files)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("broken trace file", func(t *testing.T) {
		got := read(line(`"trace_file": "traces/broken.json", "expected": {}`), files)
		if len(got) != 1 || !strings.HasPrefix(got[0], "cases.jsonl:1: trace_file: cannot be read as a trace: ") {
			t.Errorf("got %q", got)
		}
	})
}

func TestReadCasesGunzips(t *testing.T) {
	in := zip(t, `{"id": "a", "trace": `+rawDoc+`, "expected": {}}`+"\n")
	if diff := cmp.Diff([]string{"a raw-1"}, read(string(in), nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got := read(string(in[:len(in)-10]), nil)
	if last := got[len(got)-1]; !strings.Contains(last, "read: unexpected EOF; the lines from here on are missing") {
		t.Errorf("cut gzip: got %q", got)
	}
}

func TestReadCasesStopsAtReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	r := io.MultiReader(strings.NewReader(`{"id": "a", "trace": `+rawDoc+`, "expected": {}}`+"\n"), iotest.ErrReader(broken))
	var got []string
	for c, err := range ReadCases("c", r, nil) {
		if err != nil && !errors.Is(err, broken) {
			t.Errorf("error %v, want one that wraps %v", err, broken)
		}
		got = append(got, fmt.Sprint(c.ID, err))
	}
	if diff := cmp.Diff([]string{"a<nil>", "c:2: read: disk on fire; the lines from here on are missing"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadCasesWithoutFolder(t *testing.T) {
	for _, err := range ReadCases("stdin", strings.NewReader(`{"id": "a", "trace_file": "x.json", "expected": {}}`), nil) {
		if err == nil || !strings.HasPrefix(err.Error(), "stdin:1: trace_file: cannot be used here") {
			t.Errorf("error %v", err)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	long := strings.Repeat("x", 200_000) // over several buffers
	lr, err := newLineReader(strings.NewReader("short\n"+long+"\nend"), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		line, err := lr.next()
		if errors.Is(err, io.EOF) {
			break
		}
		got = append(got, fmt.Sprint(lr.n, string(line), err))
	}
	if diff := cmp.Diff([]string{"1short<nil>", "2line too long", "3end<nil>"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestErrorsHoldNoTraceContent(t *testing.T) {
	const secret = "hunter2-s3cr3t"
	for _, in := range []string{
		`{"id": "a", "trace": {"trace_id": {"k": "` + secret + `"}, "trace_payload": {}}, "expected": {}}`,
		`{"id": "a", "trace": {"fetched_at": 7, "trace_payload": {"k": "` + secret + `"}}, "expected": {}}`,
		`{"id": "a", "trace": "` + secret + `", "expected": {}}`,
		`{"id": "a", "trace": {"messages": ["` + secret + `", "expected": {}}`,
		`{"id": "a", "trace": ` + rawDoc + `, "expected": {"failing_steps": ["` + secret + `"]}}`,
		`"` + secret + `"`,
	} {
		for _, err := range ReadCases("c", strings.NewReader(in), nil) {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: error holds trace content: %v", in, err)
			}
		}
	}
}

// Whatever the input, every line is a case that can be scored or an error that names
// its place.
func FuzzReadCases(f *testing.F) {
	f.Add([]byte(`{"id": "a", "trace": ` + rawDoc + `, "expected": {"is_failure": true, "failing_steps": [1]}}`))
	f.Add([]byte(`{"id": "a", "trace": ` + chatDoc + `, "expected": {"failing_spans": ["x"]}}` + "\n{"))
	f.Add([]byte(`{"id": "a", "trace_file": "raw.json", "expected": {}}`))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Add([]byte("{\n"))
	fsys := fstest.MapFS{"raw.json": {Data: []byte(rawDoc)}}
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		for c, err := range ReadCases("cases.jsonl", bytes.NewReader(in), fsys) {
			if n++; n > len(in)+1 {
				t.Fatal("more cases than bytes")
			}
			if err != nil {
				if ce := (*CaseError)(nil); !errors.As(err, &ce) || !strings.HasPrefix(err.Error(), "cases.jsonl") {
					t.Errorf("error without its place: %v", err)
				}
				continue
			}
			if c.ID == "" || c.Trace.TraceID == "" {
				t.Errorf("case without an id: %+v", c)
			}
			if len(c.Trace.Payload) > 0 && !json.Valid(c.Trace.Payload) {
				t.Errorf("payload is not JSON: %q", c.Trace.Payload)
			}
			if err := c.Expected.validate(); err != nil {
				t.Errorf("labels are not valid: %v", err)
			}
		}
	})
}
