package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
	"github.com/evalforge/evalforge/internal/trace"
)

// maxStored is about what a store has room for, in bytes.
const maxStored = 960 << 10

// longTrace is an OTLP export of n model calls, each with the whole history before it.
func longTrace(from, n int) string {
	var spans, history []string
	for i := range from + n {
		history = append(history, fmt.Sprintf(`{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"message %d %s\"}]}`, i, strings.Repeat("x", 500)))
		if i < from {
			continue
		}
		spans = append(spans, fmt.Sprintf(`{"traceId":%q,"spanId":"%016x","name":"chat","startTimeUnixNano":"%d","attributes":[{"key":"gen_ai.input.messages","value":{"stringValue":"[%s]"}}]}`,
			otelID, i+1, 1772600000000000000+i, strings.Join(history, ",")))
	}
	return `{"resourceSpans":[{"scopeSpans":[{"spans":[` + strings.Join(spans, ",") + `]}]}]}`
}

func TestLongTracesAreStoredInNormalForm(t *testing.T) {
	im, s := newImporter(t)
	text := longTrace(0, 80)
	if len(text) < maxStored*3/2 {
		t.Fatalf("the trace has only %d bytes", len(text))
	}
	dir := write(t, map[string]string{"long.json": text})
	for i, want := range []Summary{{Files: 1, Read: 1, Created: 1}, {Files: 1, Read: 1, Unchanged: 1}} {
		got, err := im.Import(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, counts); diff != "" {
			t.Errorf("import %d: summary (-want +got):\n%s", i+1, diff)
		}
		if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "each message and step once") {
			t.Errorf("warnings %q", got.Warnings)
		}
	}
	stored, err := s.Trace(t.Context(), otelID)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.Payload) > maxStored {
		t.Errorf("%d bytes stored", len(stored.Payload))
	}
	want, err := trace.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := trace.Decode(stored.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Steps) != 80 || len(got.Messages) != len(want.Messages) || got.Format != trace.FormatGenAI {
		t.Errorf("stored %s with %d steps and %d messages, want %d", got.Format, len(got.Steps), len(got.Messages), len(want.Messages))
	}
}

// A part of a long trace that is stored already changes nothing, and a new one is joined
// to it, whether it has spans or only what was said in them.
func TestPartsOfLongTraces(t *testing.T) {
	im, s := newImporter(t)
	logs := fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":%q,"spanId":"%016x","eventName":"gen_ai.choice","body":{"kvlistValue":{"values":[{"key":"message","value":{"kvlistValue":{"values":[{"key":"content","value":{"stringValue":"said late"}}]}}}]}}}]}]}]}`, otelID, 3)
	for i, step := range []struct {
		text     string
		steps    int
		messages int
		want     Summary
	}{
		{longTrace(0, 80), 80, 80, Summary{Files: 1, Read: 1, Created: 1}},
		{longTrace(10, 3), 80, 80, Summary{Files: 1, Read: 1, Unchanged: 1}},
		{longTrace(80, 2), 82, 82, Summary{Files: 1, Read: 1, Replaced: 1}},
		{logs, 82, 83, Summary{Files: 1, Read: 1, Replaced: 1}},
		{logs, 82, 83, Summary{Files: 1, Read: 1, Unchanged: 1}},
		{longTrace(80, 2), 82, 83, Summary{Files: 1, Read: 1, Unchanged: 1}},
	} {
		im.Stdin = strings.NewReader(step.text)
		got, err := im.Import(t.Context(), "-")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, got, counts); diff != "" {
			t.Errorf("import %d: summary (-want +got):\n%s", i+1, diff)
		}
		stored, err := s.Trace(t.Context(), otelID)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := trace.Decode(stored.Payload)
		if err != nil || len(tr.Steps) != step.steps || len(tr.Messages) != step.messages {
			t.Errorf("import %d: %d steps and %d messages stored, want %d and %d (%v)", i+1, len(tr.Steps), len(tr.Messages), step.steps, step.messages, err)
		}
	}
}

func TestZstd(t *testing.T) {
	im, _ := newImporter(t)
	zw, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, map[string]string{"a.jsonl.zst": string(zw.EncodeAll([]byte(raw("a", "x")+"\n"+raw("b", "y")), nil))})
	got, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != 2 || got.Failed != 0 {
		t.Errorf("summary %+v", got)
	}
}

// endless yields n raw-trace documents without holding them.
type endless struct {
	n, i int
	rest string
}

func (e *endless) Read(p []byte) (int, error) {
	for e.rest == "" {
		if e.i == e.n {
			return 0, io.EOF
		}
		e.rest = raw(fmt.Sprintf("t-%d", e.i), strings.Repeat("What about my lamp? ", 1000)) + "\n"
		e.i++
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// null stores nothing.
type null struct{ Store }

func (null) PutTrace(context.Context, evalforge.RawTrace) (extract.PutResult, error) {
	return extract.Created, nil
}

func (null) Trace(context.Context, string) (evalforge.RawTrace, error) {
	return evalforge.RawTrace{}, evalforge.ErrNotFound
}

// What an import holds does not grow with its input.
func TestImportHoldsNoMoreThanADocument(t *testing.T) {
	im, s := newImporter(t)
	im.Store = null{s}
	const documents = 3000 // of 20 kB: 60 MB
	im.Stdin = &endless{n: documents}
	var peak uint64
	im.Progress = func(p Progress) {
		if p.Documents%500 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	got, err := im.Import(t.Context(), "-")
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != documents {
		t.Errorf("summary %+v", got)
	}
	if limit := uint64(24 << 20); peak > limit {
		t.Errorf("%d MiB held; at most %d are allowed", peak>>20, limit>>20)
	}
}

// An import that was stopped goes on where it stopped, and reads nothing twice.
func TestStoppedImportIsResumed(t *testing.T) {
	im, s := newImporter(t)
	var lines, more []string
	for i := range 50 {
		lines = append(lines, raw(fmt.Sprintf("a-%d", i), "x"))
		more = append(more, raw(fmt.Sprintf("b-%d", i), "x"))
	}
	dir := write(t, map[string]string{"a.jsonl": strings.Join(lines, "\n"), "b.jsonl.gz": gz(t, strings.Join(more, "\n"))})
	im.Checkpoint = t.TempDir() + "/import.checkpoint"
	store := &failingStore{s, 70, context.DeadlineExceeded}
	im.Store = store
	first, err := im.Import(t.Context(), dir)
	if err == nil || first.Created != 70 {
		t.Fatalf("the first import: %+v, %v", first, err)
	}
	store.n = 1000
	second, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if second.Read != 30 || second.Created != 30 || second.Unchanged != 0 {
		t.Errorf("the second import read %d documents and created %d, want 30", second.Read, second.Created)
	}
	third, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if third.Read != 100 || third.Unchanged != 100 {
		t.Errorf("the checkpoint of a finished import is still used: %+v", third)
	}
}

// A file that has changed is read from its start.
func TestCheckpointOfAnotherFileIsNotUsed(t *testing.T) {
	im, s := newImporter(t)
	dir := write(t, map[string]string{"a.jsonl": raw("a", "x") + "\n" + raw("b", "x")})
	im.Checkpoint = t.TempDir() + "/import.checkpoint"
	store := &failingStore{s, 1, context.DeadlineExceeded}
	im.Store = store
	if _, err := im.Import(t.Context(), dir); err == nil {
		t.Fatal("no error")
	}
	store.n = 1000
	other := write(t, map[string]string{"a.jsonl": raw("c", "longer") + "\n" + raw("d", "x")})
	got, err := im.Import(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != 2 {
		t.Errorf("summary %+v", got)
	}
}

// Whatever is made to fit takes no more in Firestore than a document may have there.
func TestWhatFitsFitsEveryStore(t *testing.T) {
	const call = `{"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":{"v":[%s]}}}]}]}`
	for _, tt := range []struct {
		payload, unit string
		times         int
	}{
		{call, `1`, 230_000}, {call, `[1,[2]]`, 90_000}, {call, `"\u0000é"`, 90_000}, {call, `{"a":1e400}`, 60_000},
		{`{"what":[%s]}`, `1`, 200_000}, {`{"messages":[%s]}`, `{"role":"user","content":"x"}`, 9_000},
	} {
		raw := evalforge.RawTrace{
			TraceID: strings.Repeat("t", 1500), ServiceName: strings.Repeat("s", 200_000),
			Payload: json.RawMessage(fmt.Sprintf(tt.payload, tt.unit+strings.Repeat(","+tt.unit, tt.times))),
		}
		if _, err := fit(&raw); err != nil {
			t.Fatal(err)
		}
		text, err := store.Encode(raw)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := store.ParseNative(text)
		if err != nil {
			t.Fatal(err)
		}
		if doc, err = store.Native(doc, 0); err != nil {
			t.Fatal(err)
		}
		const beside = 4096 // path, and what a commit adds
		if n := store.NativeSize(doc) + len(raw.TraceID) + beside; n > store.MaxNative {
			t.Errorf("%s of %d %s: %d bytes of JSON take %d", tt.payload, tt.times, tt.unit, len(text), n)
		}
	}
}

// What an import cuts is in its summary and in the stored trace.
func TestCutTextsAreReported(t *testing.T) {
	im, s := newImporter(t)
	im.Stdin = strings.NewReader(`{"trace_id":"long","messages":[{"role":"user","content":"` + strings.Repeat("word ", 200_000) + `end"},{"role":"assistant","content":"done"}]}`)
	got, err := im.Import(t.Context(), "-")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "bytes of texts were left out to fit the store") {
		t.Errorf("warnings %q", got.Warnings)
	}
	stored, err := s.Trace(t.Context(), "long")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trace.Decode(stored.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if tr.Cut.Bytes < 10_000 || len(tr.Warnings) != 1 {
		t.Errorf("cut %+v, warnings %q", tr.Cut, tr.Warnings)
	}
}
