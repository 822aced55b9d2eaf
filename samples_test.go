package evalforge

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// sampleCase is one line of labels.jsonl.
type sampleCase struct {
	ID        string `json:"id"`
	TraceFile string `json:"trace_file"`
	Format    string `json:"format"`
	Verdict   bool   `json:"verdict"` // an evaluator or a guardrail in the trace names the failure
	Expected  struct {
		IsFailure         bool          `json:"is_failure"`
		FailureTypes      []FailureType `json:"failure_types"`
		TriggerConditions []string      `json:"trigger_conditions"`
		FailingSteps      []int         `json:"failing_steps"`
		FailingSpans      []string      `json:"failing_spans"`
		Agents            []string      `json:"agents"`
	} `json:"expected"`
}

func TestSamplesLabelsAndTracesMatch(t *testing.T) {
	labelled := map[string]bool{}
	ids := map[string]bool{}
	for _, c := range sampleCases(t) {
		if ids[c.ID] {
			t.Errorf("%s: labelled twice", c.ID)
		}
		ids[c.ID] = true
		labelled[c.TraceFile] = true
		data := readSample(t, c.TraceFile)
		if !json.Valid(data) {
			t.Errorf("%s: %s is not valid JSON", c.ID, c.TraceFile)
		}
		if n := len(data); n < 1<<10 || n > 1<<20 {
			t.Errorf("%s: %s is %d bytes uncompressed; want 1 KiB to 1 MiB", c.ID, c.TraceFile, n)
		}
		zipped := strings.HasSuffix(c.TraceFile, ".gz")
		if large := len(data) > 200_000; large != zipped {
			t.Errorf("%s: %s is %d bytes; files over 200,000 bytes, and only those, are stored gzipped", c.ID, c.TraceFile, len(data))
		}
	}
	files, err := fs.Glob(Samples(), "traces/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !labelled[f] {
			t.Errorf("%s has no line in labels.jsonl", f)
		}
	}
	if len(files) != len(labelled) {
		t.Errorf("%d files are labelled, %d exist", len(labelled), len(files))
	}
}

func TestSamplesCoverTypesAndFormats(t *testing.T) {
	types := map[FailureType]int{}
	formats := map[string]int{}
	large, failures, successes := 0, 0, 0
	for _, c := range sampleCases(t) {
		formats[c.Format]++
		if c.TraceFile != strings.TrimSuffix(c.TraceFile, ".gz") {
			large++
		}
		if !c.Expected.IsFailure {
			successes++
			if len(c.Expected.FailureTypes) != 0 || len(c.Expected.TriggerConditions) != 0 {
				t.Errorf("%s: a run that succeeded is labelled with a failure", c.ID)
			}
			continue
		}
		failures++
		for _, ft := range c.Expected.FailureTypes {
			if err := ft.Validate(); err != nil {
				t.Errorf("%s: %v", c.ID, err)
			}
			types[ft]++
		}
		if n := len(c.Expected.TriggerConditions); n < 1 || n > 3 {
			t.Errorf("%s: has %d trigger conditions; want 1 to 3", c.ID, n)
		}
		if len(c.Expected.FailureTypes) == 0 {
			t.Errorf("%s: a failure without a failure type", c.ID)
		}
	}
	for _, ft := range FailureTypes() {
		want := 3
		if ft == Other {
			want = 4
		}
		if types[ft] < want {
			t.Errorf("%s: %d cases; want at least %d", ft, types[ft], want)
		}
	}
	for _, f := range []string{"evalforge/datadog", "evalforge/sample", "evalforge/few-shot", "evalforge/live-test",
		"openai", "autogen", "openinference", "genai", "spans"} {
		if formats[f] == 0 {
			t.Errorf("no case in format %s", f)
		}
	}
	if failures < 36 || successes < 4 || large < 2 {
		t.Errorf("%d failures, %d successes, %d large traces; want at least 36, 4 and 2", failures, successes, large)
	}
}

// A case is worth nothing if the trace says what to answer. Only traces with an
// evaluator's or a guardrail's verdict, as real systems record them, may.
func TestSamplesDoNotStateTheirLabel(t *testing.T) {
	stems := map[FailureType][]string{
		Hallucination: {"hallucinat"}, Toxicity: {"toxic"}, WrongTool: {"wrong tool"},
		RunawayLoop: {"runaway loop", "infinite loop"}, PIILeak: {"pii"}, StaleData: {"stale"},
		InfrastructureError: {"infrastructure error"}, ClientError: {"client error"},
	}
	hints, right := 0, 0
	for _, c := range sampleCases(t) {
		content := readSample(t, c.TraceFile)
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(content, &doc); err != nil {
			t.Errorf("%s: %v", c.TraceFile, err)
			continue
		}
		if payload, ok := doc["trace_payload"]; ok {
			content = append(append(payload, ' '), doc["service_name"]...)
			var hint string
			if err := json.Unmarshal(doc["failure_type"], &hint); err != nil {
				t.Errorf("%s: failure_type: %v", c.TraceFile, err)
			}
			hints++
			if slices.Contains(c.Expected.FailureTypes, FailureType(hint)) {
				right++
			}
		}
		if c.Verdict {
			continue
		}
		text := " " + NormalizeLabel(string(content)) + " "
		for _, ft := range c.Expected.FailureTypes {
			for _, stem := range stems[ft] {
				if strings.Contains(text, " "+stem) {
					t.Errorf("%s: the trace says %q, which is its label", c.ID, stem)
				}
			}
		}
		for _, label := range c.Expected.TriggerConditions {
			if strings.Contains(text, " "+NormalizeLabel(label)+" ") {
				t.Errorf("%s: the trace says %q, which is its label", c.ID, label)
			}
		}
	}
	if right*4 > hints {
		t.Errorf("ingestion's hint is right in %d of %d raw traces; want at most a quarter", right, hints)
	}
}

func TestSamplesLabelsPointIntoTheTrace(t *testing.T) {
	for _, c := range sampleCases(t) {
		data := readSample(t, c.TraceFile)
		var doc struct {
			Messages []json.RawMessage `json:"messages"`
			History  []json.RawMessage `json:"history"`
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Errorf("%s: %v", c.TraceFile, err)
			continue
		}
		n := len(doc.Messages) + len(doc.History) // a source has one of them
		for _, i := range c.Expected.FailingSteps {
			if i < 0 || i >= n {
				t.Errorf("%s: failing step %d does not exist among %d messages", c.ID, i, n)
			}
		}
		if c.Expected.IsFailure && n > 0 && len(c.Expected.FailingSteps) == 0 {
			t.Errorf("%s: no failing step is labelled", c.ID)
		}
		ids := map[string]bool{}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		spanIDs(v, ids)
		for _, id := range c.Expected.FailingSpans {
			if !ids[id] {
				t.Errorf("%s: failing span %q does not exist", c.ID, id)
			}
		}
		if c.Expected.IsFailure && len(ids) > 0 && len(c.Expected.FailingSpans) == 0 {
			t.Errorf("%s: no failing span is labelled", c.ID)
		}
		for _, a := range c.Expected.Agents {
			if !bytes.Contains(data, []byte(a)) {
				t.Errorf("%s: agent %q does not occur in the trace", c.ID, a)
			}
		}
	}
}

// spanIDs collects every span id of v, in the spellings of the span formats.
func spanIDs(v any, ids map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			spanIDs(e, ids)
		}
	case map[string]any:
		for _, k := range []string{"spanId", "span_id"} {
			if id, ok := v[k].(string); ok {
				ids[id] = true
			}
		}
		for _, e := range v {
			spanIDs(e, ids)
		}
	}
}

func TestMalformedSamplesAreMalformed(t *testing.T) {
	broken := map[string]func([]byte) bool{ // what is wrong with each
		"malformed/missing-trace-id.json":  func(b []byte) bool { return json.Valid(b) && !bytes.Contains(b, []byte(`"trace_id"`)) },
		"malformed/empty-payload.json":     func(b []byte) bool { return payloadError(b) != "" },
		"malformed/payload-not-a-map.json": func(b []byte) bool { return strings.Contains(payloadError(b), "must be a JSON object") },
		"malformed/truncated.json":         func(b []byte) bool { return !json.Valid(b) },
		"malformed/invalid-utf8.json":      func(b []byte) bool { return !utf8.Valid(b) && payloadError(b) == "" },
		"malformed/five-megabyte-string.json.gz": func(b []byte) bool {
			return len(b) > 5<<20 && payloadError(b) == ""
		},
	}
	seen := 0
	for line := range strings.Lines(string(readSample(t, "malformed/expected.jsonl"))) {
		var e struct {
			File     string
			Outcomes []string
			Why      string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("malformed/expected.jsonl: %v", err)
		}
		if len(e.Outcomes) == 0 {
			t.Errorf("%s: no outcome is named", e.File)
		}
		for _, o := range e.Outcomes {
			if !slices.Contains([]string{"import_error", "skipped", "stored"}, o) {
				t.Errorf("%s: outcome %q is none of import_error, skipped, stored", e.File, o)
			}
		}
		check, ok := broken[e.File]
		if !ok {
			t.Errorf("%s: this test does not know what is wrong with it", e.File)
			continue
		}
		seen++
		if !check(readSample(t, e.File)) {
			t.Errorf("%s is not broken in the way it says: %s", e.File, e.Why)
		}
	}
	files, err := fs.Glob(Samples(), "malformed/*.json*")
	if err != nil {
		t.Fatal(err)
	}
	if want := len(files) - 1; seen != want { // less expected.jsonl itself
		t.Errorf("expected.jsonl describes %d files, %d exist", seen, want)
	}
}

// payloadError returns why the raw trace in b cannot be analyzed, or "".
func payloadError(b []byte) string {
	var raw RawTrace
	if err := json.Unmarshal(b, &raw); err != nil {
		return err.Error()
	}
	if err := raw.Validate(); err != nil {
		return err.Error()
	}
	return ""
}

// The repository is cloned by everyone: its samples stay small.
func TestSamplesWeight(t *testing.T) {
	var total int64
	err := fs.WalkDir(Samples(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if max := int64(3 << 20); total > max {
		t.Errorf("samples weigh %d bytes; want at most %d", total, max)
	}
}

func sampleCases(t *testing.T) []sampleCase {
	t.Helper()
	f, err := Samples().Open("labels.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []sampleCase
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var c sampleCase
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatalf("labels.jsonl line %d: %v", len(cases)+1, err)
		}
		cases = append(cases, c)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return cases
}

// readSample returns a file of the samples, unzipped if its name ends in .gz.
func readSample(t *testing.T, name string) []byte {
	t.Helper()
	f, err := Samples().Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if path.Ext(name) == ".gz" {
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r = z
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return data
}
