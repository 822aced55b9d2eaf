package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/store/memory"
	"github.com/evalforge/evalforge/internal/trace"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// An importer for one test, with a memory store and the real redactor.
func newImporter(t *testing.T) (*Importer, *memory.Store) {
	t.Helper()
	red, err := redact.New(redact.Options{Key: []byte("the key of this test")})
	if err != nil {
		t.Fatal(err)
	}
	s := memory.New()
	t.Cleanup(func() { s.Close() })
	return &Importer{Store: s, Redactor: red, Now: func() time.Time { return now }, Suffix: "0000cafe"}, s
}

// write makes a folder with the given files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func gz(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func raw(id, text string) string {
	return fmt.Sprintf(`{"trace_id": %q, "fetched_at": "2026-01-02T03:04:05.000006+00:00", "failure_type": "llm_error", "severity": "high", "service_name": "shop", "processed": true, "processed_at": "2026-01-02T03:04:06.000006+00:00", "trace_payload": {"messages": [{"role": "user", "content": %q}]}}`, id, text)
}

const chat = `[{"role": "user", "content": "where is my order"}, {"role": "assistant", "content": "I do not know"}]`

// counts is the part of a summary that a test is about.
var counts = cmpopts.IgnoreFields(Summary{}, "RunID", "Bytes", "Redactions", "Warnings", "Failures")

func TestImportFolder(t *testing.T) {
	im, s := newImporter(t)
	dir := write(t, map[string]string{
		"a.jsonl":       raw("a-1", "hello") + "\n" + raw("a-2", "hello again") + "\n",
		"b.json":        chat,
		"sub/c.json.gz": gz(t, raw("c-1", "compressed")),
		".hidden.json":  raw("hidden", "x"),
		".git/d.json":   raw("hidden", "x"),
		"notes.txt":     "not a trace",
	})
	var last Progress
	im.Progress = func(p Progress) { last = p }
	got, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Summary{Files: 3, Ignored: 1, Read: 4, Created: 4}
	if diff := cmp.Diff(want, got, counts); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if got.RunID != "import_20260304_050607_0000cafe" {
		t.Errorf("run id %q", got.RunID)
	}
	if len(got.Warnings) != 2 || !strings.Contains(got.Warnings[0], "notes.txt: ignored") || !strings.Contains(got.Warnings[1], "b.json") {
		t.Errorf("warnings %q", got.Warnings)
	}
	if want := (Progress{Files: 3, FilesTotal: 3, Documents: 4, Bytes: got.Bytes, BytesTotal: got.Bytes}); last != want {
		t.Errorf("last progress %+v, want %+v", last, want)
	}
	doc, err := s.Trace(t.Context(), "a-1")
	if err != nil {
		t.Fatal(err)
	}
	wantDoc := evalforge.RawTrace{
		TraceID: "a-1", FetchedAt: evalforge.At(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)),
		FailureType: "llm_error", Severity: "high", ServiceName: "shop", RecurrenceCount: 1,
		Payload: json.RawMessage(`{"messages": [{"role": "user", "content": "hello"}]}`),
	}
	if diff := cmp.Diff(wantDoc, doc, jsonText); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}

	again, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Summary{Files: 3, Ignored: 1, Read: 4, Unchanged: 4}, again, counts); diff != "" {
		t.Errorf("the second import is not idle (-want +got):\n%s", diff)
	}
}

// jsonText compares JSON by its meaning.
var jsonText = cmp.Comparer(func(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
})

func TestImportDefaults(t *testing.T) {
	im, s := newImporter(t)
	im.Stdin = strings.NewReader(chat)
	got, err := im.Import(t.Context(), "-")
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != 1 || len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "stdin") {
		t.Fatalf("summary %+v", got)
	}
	id := got.Warnings[0][strings.Index(got.Warnings[0], "trace_"):][:len("trace_")+16]
	doc, err := s.Trace(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if doc.FailureType != "unknown" || doc.RecurrenceCount != 1 || !doc.FetchedAt.Equal(now) || doc.Processed {
		t.Errorf("stored %+v", doc)
	}
}

func TestBadInputIsRecordedAndDoesNotStopTheImport(t *testing.T) {
	im, s := newImporter(t)
	dir := write(t, map[string]string{
		"bad.jsonl": strings.Join([]string{
			raw("ok-1", "hello"),
			`{"trace_id": "cut", "trace_pay`,
			`{"trace_id": "none", "trace_payload": {}}`,
			`{"trace_id": "text", "trace_payload": "only text"}`,
			raw("ok-2", "hello"),
		}, "\n"),
		"cut.json.gz": gz(t, raw("zipped", strings.Repeat("some text to compress ", 50)))[:60],
		"ok.json":     raw("ok-3", "hello"),
	})
	got, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Summary{Files: 3, Read: 7, Created: 3, Failed: 4}, got, counts); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	var lines []int
	for _, f := range got.Failures {
		lines = append(lines, f.Line)
		if f.File != filepath.Join(dir, "bad.jsonl") && f.File != filepath.Join(dir, "cut.json.gz") || f.Reason == "" {
			t.Errorf("failure %+v", f)
		}
	}
	if diff := cmp.Diff([]int{2, 3, 4}, lines[:3]); diff != "" {
		t.Errorf("lines of failures (-want +got):\n%s", diff)
	}
	recorded, _, err := s.Errors(t.Context(), extract.ErrorQuery{RunID: got.RunID})
	if err != nil {
		t.Fatal(err)
	}
	types := map[evalforge.ErrorType]int{}
	for _, e := range recorded {
		types[e.ErrorType]++
		if strings.Contains(e.ID(), "/") || !strings.Contains(e.ErrorMessage, ".json") || !e.RecordedAt.Equal(now) {
			t.Errorf("recorded %+v", e)
		}
	}
	if diff := cmp.Diff(map[evalforge.ErrorType]int{evalforge.InvalidJSON: 2, evalforge.SchemaValidation: 2}, types); diff != "" {
		t.Errorf("recorded errors (-want +got):\n%s", diff)
	}
}

func TestMissingSourceIsNamedBeforeAnythingIsWritten(t *testing.T) {
	im, _ := newImporter(t)
	im.Store = noStore{}
	dir := write(t, map[string]string{"a.json": raw("a", "x")})
	for _, tt := range []struct {
		sources []string
		want    string
	}{
		{nil, "nothing to import"},
		{[]string{dir, filepath.Join(dir, "none.json")}, "none.json: no such file or directory; nothing was imported"},
		{[]string{"-", "-"}, `"-" is given twice`},
	} {
		_, err := im.Import(t.Context(), tt.sources...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Import(%q): error %v, want %q", tt.sources, err, tt.want)
		}
	}
}

// noStore is a store that must not be used.
type noStore struct{}

func (noStore) PutTrace(context.Context, evalforge.RawTrace) (extract.PutResult, error) {
	panic("PutTrace called")
}

func (noStore) Trace(context.Context, string) (evalforge.RawTrace, error) { panic("Trace called") }

func (noStore) RecordError(context.Context, evalforge.ExtractionError) error {
	panic("RecordError called")
}

// Secrets planted wherever an input can hold them.
const (
	email  = "jane.roe@customer-mail.com"
	apiKey = "sk-proj-abcdEFGH1234ijklMNOP5678qrstUVWX"
)

func TestNoSecretReachesStoreLogOrErrors(t *testing.T) {
	im, s := newImporter(t)
	var log bytes.Buffer
	im.Log = slog.New(slog.NewTextHandler(&log, nil))
	dir := write(t, map[string]string{
		"payload.json":            raw("payload", "mail "+email+" with "+apiKey),
		"id.json":                 raw(email, "hello"),
		email + ".json":           raw("named", "hello"),
		"cut-" + email + ".jsonl": `{"trace_id": "` + apiKey + `", "trace_payload": {"k": "` + apiKey + "\n",
		apiKey + ".txt":           "ignored",
		"empty.jsonl":             `{"trace_id": "` + email + `", "trace_payload": {}}`,
		"time.jsonl":              `{"trace_id": "x", "fetched_at": "` + email + `", "trace_payload": {"a": 1}}`,
		"fields.json": `{"trace_id": "fields", "failure_type": "` + email + `", "severity": "` + email + `", "service_name": "` + email + `", "status": "` + email + `",
			"status_history": [{"status": "new", "actor": "` + email + `", "destination": "` + email + `", "timestamp": "2026-01-02T03:04:05.000006+00:00"}],
			"export_status": "` + email + `", "export_destination": "` + email + `", "export_reference": "` + email + `", "user_hash": "` + email + `",
			"trace_payload": {"` + email + `": "a key"}}`,
	})
	sum, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Created == 0 || sum.Failed == 0 || sum.Redactions["EMAIL"]+sum.Redactions["email"] == 0 {
		t.Errorf("summary %+v", sum)
	}
	all := log.String()
	_, missing := im.Import(t.Context(), filepath.Join(dir, apiKey+".json"))
	all += fmt.Sprint(missing)
	claims, err := s.Peek(t.Context(), extract.ClaimRequest{RunID: "run", Owner: "test", Limit: 100, Now: now, LeaseUntil: now.Add(time.Hour), NewToken: func() string { return "t" }})
	if err != nil {
		t.Fatal(err)
	}
	if len(claims) != sum.Created {
		t.Errorf("%d traces stored, want %d", len(claims), sum.Created)
	}
	recorded, _, err := s.Errors(t.Context(), extract.ErrorQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{sum, recorded, claims} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all += "\n" + string(b)
	}
	for _, secret := range []string{email, apiKey, "jane.roe", "abcdEFGH1234"} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%q got out: …%s…", secret, all[max(0, i-80):min(len(all), i+80)])
		}
	}
}

// A value that goes on from one piece of a streamed answer to the next is redacted as one
// that stands in a piece.
func TestNoSecretReachesTheStoreInPieces(t *testing.T) {
	im, s := newImporter(t)
	var chunks []string
	for _, c := range "mail " + email + " with " + apiKey + " now" {
		chunks = append(chunks, `{"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":`+strconv.Quote(string(c))+`}}]}`)
	}
	list := "[" + strings.Join(chunks, ",") + "]"
	dir := write(t, map[string]string{
		"raw.json":      `{"trace_id": "raw", "trace_payload": {"request": {"messages": [{"role": "user", "content": "hi"}]}, "response": ` + list + `}}`,
		"langfuse.json": `{"trace": {"id": "langfuse"}, "observations": [{"id": "o", "traceId": "langfuse", "type": "GENERATION", "output": ` + strconv.Quote(list) + `}]}`,
		"lines.jsonl":   strings.Join(chunks, "\n"),
	})
	if sum, err := im.Import(t.Context(), dir); err != nil || sum.Created != 3 || sum.Redactions["EMAIL"]+sum.Redactions["email"] != 3 {
		t.Errorf("summary %+v, %v", sum, err)
	}
	claims, err := s.Peek(t.Context(), extract.ClaimRequest{RunID: "run", Owner: "test", Limit: 100, Now: now, LeaseUntil: now.Add(time.Hour), NewToken: func() string { return "t" }})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range claims {
		tr, err := trace.Decode(c.Trace.Payload)
		if err != nil {
			t.Fatal(err)
		}
		said := tr.Messages[len(tr.Messages)-1].Text
		if strings.Contains(said, "jane") || strings.Contains(said, "sk-proj") || !strings.HasPrefix(said, "mail ") {
			t.Errorf("%s is stored with %q", c.Trace.TraceID, said)
		}
	}
}

// brokenRedactor fails on documents with a given word.
type brokenRedactor struct {
	Redactor
	word string
}

func (b brokenRedactor) JSON(doc []byte) ([]byte, redact.Counts, error) {
	if bytes.Contains(doc, []byte(b.word)) {
		return nil, nil, errors.New("out of order at " + email)
	}
	return b.Redactor.JSON(doc)
}

func TestWhatCannotBeRedactedIsNotStored(t *testing.T) {
	im, s := newImporter(t)
	im.Redactor = brokenRedactor{im.Redactor, "unspeakable"}
	dir := write(t, map[string]string{"a.jsonl": raw("a", "unspeakable") + "\n" + raw("b", "fine")})
	got, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Failed != 1 || got.Created != 1 || !strings.Contains(got.Failures[0].Reason, "nothing of it is stored") || strings.Contains(got.Failures[0].Reason, email) {
		t.Errorf("summary %+v", got)
	}
	if _, err := s.Trace(t.Context(), "a"); !errors.Is(err, evalforge.ErrNotFound) {
		t.Errorf("trace a: error %v, want not found", err)
	}
}

const otelID = "0af7651916cd43dd8448eb211c80319c"

func spans(spanID, name string) string {
	return fmt.Sprintf(`{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}, "scopeSpans": [{"spans": [
		{"traceId": %q, "spanId": %q, "name": %q, "startTimeUnixNano": "1772600000000000000", "endTimeUnixNano": "1772600001000000000", "status": {"code": 2},
		 "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]}]}]}]}`, otelID, spanID, name)
}

func logs(spanID, text string) string {
	return fmt.Sprintf(`{"resourceLogs": [{"scopeLogs": [{"logRecords": [
		{"traceId": %q, "spanId": %q, "timeUnixNano": "1772600000500000000", "eventName": "gen_ai.user.message", "body": {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": %q}}]}}}]}]}]}`, otelID, spanID, text)
}

func TestPartsOfOneTraceAreMerged(t *testing.T) {
	im, s := newImporter(t)
	dir := write(t, map[string]string{
		"1.json":      spans("00f067aa0ba902b7", "chat one"),
		"1.logs.json": logs("00f067aa0ba902b7", "the question was asked by "+email), // starts later
		"0.json":      spans("00f067aa0ba902b8", "chat two"),
	})
	got, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Summary{Files: 3, Read: 3, Created: 1, Merged: 2}, got, counts); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	stored := func() string {
		doc, err := s.Trace(t.Context(), otelID)
		if err != nil {
			t.Fatal(err)
		}
		return string(doc.Payload)
	}
	for _, want := range []string{"chat one", "chat two", "the question was asked by"} {
		if n := strings.Count(stored(), want); n != 1 {
			t.Errorf("%q is stored %d times, want once: %s", want, n, stored())
		}
	}
	if strings.Contains(stored(), email) {
		t.Errorf("not redacted: %s", stored())
	}
	doc, err := s.Trace(t.Context(), otelID)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Unix(1772600000, 0); !doc.FetchedAt.Equal(want) { // the spans' start, before the logs'
		t.Errorf("fetched at %v, want %v", doc.FetchedAt, want)
	}

	before := stored()
	again, err := im.Import(t.Context(), filepath.Join(dir, "1.logs.json"), filepath.Join(dir, "0.json"), filepath.Join(dir, "1.json"))
	if err != nil {
		t.Fatal(err)
	}
	if again.Created+again.Replaced != 0 || again.Failed != 0 || stored() != before {
		t.Errorf("the second import changed something: %+v\n%s", again, stored())
	}
}

func spanDoc(ids ...string) string {
	var list []string
	for _, id := range ids {
		list = append(list, fmt.Sprintf(`{"trace_id": %q, "span_id": %q, "name": "step %s", "start_time_unix_ns": 1772600000000000000, "end_time_unix_ns": 1772600001000000000}`, otelID, id, id))
	}
	return `{"spans": [` + strings.Join(list, ",") + `]}`
}

func TestListsOfSpansAreMergedWithinAnImport(t *testing.T) {
	im, s := newImporter(t)
	dir := write(t, map[string]string{"1.json": spanDoc("00f067aa0ba902b1", "00f067aa0ba902b2"), "2.json": spanDoc("00f067aa0ba902b3")})
	for _, want := range []Summary{{Files: 2, Read: 2, Created: 1, Merged: 1}, {Files: 2, Read: 2, Unchanged: 1, Merged: 1}} {
		got, err := im.Import(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, counts); diff != "" {
			t.Errorf("summary (-want +got):\n%s", diff)
		}
	}
	later := write(t, map[string]string{"1.json": spanDoc("00f067aa0ba902b1", "00f067aa0ba902b4")})
	got, err := im.Import(t.Context(), later)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := s.Trace(t.Context(), otelID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Replaced != 1 || strings.Contains(string(doc.Payload), "00f067aa0ba902b2") {
		t.Errorf("a changed list of spans did not replace the stored one: %+v\n%s", got, doc.Payload)
	}
}

func TestRawTraceDocumentsReplaceWhatIsStored(t *testing.T) {
	im, s := newImporter(t)
	doc := func(spanID string) string {
		return fmt.Sprintf(`{"trace_id": %q, "failure_type": "unknown", "trace_payload": %s}`, otelID, spans(spanID, "chat"))
	}
	dir := write(t, map[string]string{"1.json": doc("00f067aa0ba902b1"), "2.json": doc("00f067aa0ba902b2")})
	got, err := im.Import(t.Context(), filepath.Join(dir, "1.json"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := im.Import(t.Context(), filepath.Join(dir, "2.json"))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := s.Trace(t.Context(), otelID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != 1 || again.Replaced != 1 || strings.Contains(string(stored.Payload), "00f067aa0ba902b1") {
		t.Errorf("summaries %+v, %+v; stored %s", got, again, stored.Payload)
	}
}

func TestTracesThatShareAnIDAreAllKept(t *testing.T) {
	im, s := newImporter(t)
	dir := write(t, map[string]string{"a.jsonl": raw("x", "one") + "\n" + raw("x", "one") + "\n" + raw("x", "two") + "\n" + raw("x", "two")})
	got, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Summary{Files: 1, Read: 4, Created: 2, Unchanged: 2}, got, counts); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if len(got.Warnings) != 2 || !strings.Contains(got.Warnings[0], "a.jsonl:3: has the trace id of another trace of this import; it is imported as x_") {
		t.Errorf("warnings %q", got.Warnings)
	}
	b, err := s.Backlog(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if b.Pending != 2 {
		t.Errorf("%d traces stored, want 2", b.Pending)
	}
	again, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Unchanged != 4 {
		t.Errorf("the second import is not idle: %+v", again)
	}
}

func TestChangedTraceIsReplaced(t *testing.T) {
	im, s := newImporter(t)
	for i, text := range []string{"one", "two"} {
		im.Stdin = strings.NewReader(raw("x", text))
		got, err := im.Import(t.Context(), "-")
		if err != nil {
			t.Fatal(err)
		}
		if got.Created != 1-i || got.Replaced != i {
			t.Errorf("import %d: %+v", i+1, got)
		}
	}
	doc, err := s.Trace(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc.Payload), "two") {
		t.Errorf("stored %s", doc.Payload)
	}
}

func TestNumericTraceIDsAreKept(t *testing.T) {
	im, s := newImporter(t)
	const id = "4111111111111111" // as long as a card number, with the right check digit
	dir := write(t, map[string]string{"a.json": raw(id, "hello")})
	if _, err := im.Import(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Trace(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func TestInvalidTraceIDsAreDerived(t *testing.T) {
	im, s := newImporter(t)
	dir := write(t, map[string]string{"a.jsonl": raw("with/slash", "one") + "\n" + raw("", "two") + "\n" + raw("__x__", "three")})
	first, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.Created != 3 || len(first.Warnings) != 3 {
		t.Errorf("summary %+v", first)
	}
	again, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Unchanged != 3 {
		t.Errorf("derived ids differ between imports: %+v", again)
	}
	b, err := s.Backlog(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if b.Pending != 3 {
		t.Errorf("%d traces pending, want 3", b.Pending)
	}
}

// failingStore fails from the nth trace on.
type failingStore struct {
	Store
	n   int
	err error
}

func (f *failingStore) PutTrace(ctx context.Context, t evalforge.RawTrace) (extract.PutResult, error) {
	if f.n--; f.n < 0 {
		return "", f.err
	}
	return f.Store.PutTrace(ctx, t)
}

func TestStoreFailureEndsTheImport(t *testing.T) {
	im, s := newImporter(t)
	im.Store = &failingStore{s, 1, errors.New("disk full")}
	dir := write(t, map[string]string{"a.jsonl": raw("a", "x") + "\n" + raw("b", "x") + "\n" + raw("c", "x")})
	got, err := im.Import(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "a.jsonl, file 1 of 1, after 1 document: store trace b from") || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v", err)
	}
	if got.Created != 1 || got.Read != 1 {
		t.Errorf("summary %+v", got)
	}
}

func TestOversizeTraceIsRecorded(t *testing.T) {
	im, s := newImporter(t)
	im.Store = &failingStore{s, 1, &extract.Error{Kind: extract.KindOversize, Err: errors.New("document over 1 MiB")}}
	dir := write(t, map[string]string{"a.jsonl": raw("a", "x") + "\n" + raw("b", "x")})
	got, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	recorded, _, err := s.Errors(t.Context(), extract.ErrorQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != 1 || got.Failed != 1 || len(recorded) != 1 || recorded[0].ErrorType != evalforge.Oversize {
		t.Errorf("summary %+v, recorded %+v", got, recorded)
	}
}

// mute cannot record errors.
type mute struct{ Store }

func (mute) RecordError(context.Context, evalforge.ExtractionError) error {
	return errors.New("read-only")
}

func TestUnrecordableFailureIsStillReported(t *testing.T) {
	im, s := newImporter(t)
	im.Store = mute{s}
	dir := write(t, map[string]string{"a.jsonl": "{broken\n" + raw("b", "x")})
	got, err := im.Import(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Failed != 1 || len(got.Failures) != 1 || got.Created != 1 || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "could not be recorded") {
		t.Errorf("summary %+v", got)
	}
}

func TestCancelledImportStopsBetweenDocuments(t *testing.T) {
	im, s := newImporter(t)
	ctx, cancel := context.WithCancel(t.Context())
	im.Progress = func(p Progress) {
		if p.Documents == 2 {
			cancel()
		}
	}
	dir := write(t, map[string]string{"a.jsonl": raw("a", "x") + "\n" + raw("b", "x") + "\n" + raw("c", "x")})
	got, err := im.Import(ctx, dir)
	if want := filepath.Join(dir, "a.jsonl") + ", file 1 of 1, after 2 documents; run it again to import the rest: what is stored already is left as it is"; !errors.Is(err, context.Canceled) || err.Error() != "import stopped at "+want {
		t.Errorf("error %v, want %q", err, want)
	}
	b, err := s.Backlog(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != 2 || b.Pending != 2 {
		t.Errorf("summary %+v, %d stored", got, b.Pending)
	}
}

func TestFailuresOfOneLineAreAllRecorded(t *testing.T) {
	r := (&Importer{Now: func() time.Time { return now }}).newRun()
	ids := map[string]bool{}
	for _, name := range []string{"a/b.jsonl", "a_b.jsonl", "a:b.jsonl", strings.Repeat("long/", 100) + "b.jsonl", "ünï.jsonl"} {
		for range 2 {
			id := r.sourceID(name, 7)
			if ids[id] || evalforge.ValidateTraceID(id) != nil {
				t.Errorf("sourceID(%q) = %q, which is taken or no document id", name, id)
			}
			ids[id] = true
		}
	}
}
