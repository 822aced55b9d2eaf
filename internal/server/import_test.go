package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/server/problem"
)

const twoConversations = `{"trace_id":"t-1","trace_payload":{"messages":[{"role":"user","content":"My address is ann.doe@corp.example, where is my parcel?"}]}}
{"trace_id":"t-2","trace_payload":{"messages":[{"role":"user","content":"Where is my second parcel?"}]}}
`

// imports sends traces that must be taken.
func (s *service) imports(body string, header ...string) ingest.Summary {
	s.t.Helper()
	r := s.do(http.MethodPost, "/api/v1/traces", body, header...)
	if r.StatusCode != http.StatusOK {
		s.t.Fatalf("%s\n%s", r.Status, r.body)
	}
	return decode[ingest.Summary](s.t, r.body)
}

// Traces come in redacted, compressed or not; the same again changes nothing.
func TestImport(t *testing.T) {
	s := start(t)
	if sum := s.imports(twoConversations, "Content-Type", "application/x-ndjson"); sum.Created != 2 || sum.Failed != 0 {
		t.Errorf("got %+v, want 2 traces", sum)
	}
	raw, err := s.store.Trace(t.Context(), "t-1")
	if err != nil || bytes.Contains(raw.Payload, []byte("ann.doe")) || !bytes.Contains(raw.Payload, []byte("REDACTED:EMAIL")) {
		t.Errorf("stored is %s, %v", raw.Payload, err)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(twoConversations)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if sum := s.imports(packed.String(), "Content-Encoding", "gzip"); sum.Unchanged != 2 {
		t.Errorf("compressed, got %+v, want both unchanged", sum)
	}
	if run := s.run(""); run.StoredCount != 2 {
		t.Errorf("the run did %+v", run)
	}
}

// What is no trace is said to the sender, who waits for it, and not recorded; the rest is taken.
func TestImportSaysWhatIsWrong(t *testing.T) {
	s := start(t)
	if sum := s.imports(twoConversations + "{broken\n"); sum.Created != 2 || sum.Failed != 1 || len(sum.Failures) != 1 || sum.Failures[0].Line != 3 {
		t.Errorf("got %+v, want two traces and one failure in line 3", sum)
	}
	for _, body := range []string{"{broken", "[]", " ", `"` + strings.Repeat("x", 100)} {
		p := s.do(http.MethodPost, "/api/v1/traces", body).refused(t, problem.Invalid)
		if p.Detail == "" || p.Hint == "" {
			t.Errorf("%q: the problem says too little: %+v", body, p)
		}
	}
	p := s.do(http.MethodPost, "/api/v1/traces?format=unheard-of", twoConversations).refused(t, problem.Invalid)
	if len(p.Errors) != 1 || p.Errors[0].Field != "format" {
		t.Errorf("got errors %+v, want one of the format", p.Errors)
	}
	if errs := get[page[evalforge.ExtractionError]](s, "/api/v1/errors"); len(errs.Items) != 0 {
		t.Errorf("%d errors were recorded", len(errs.Items))
	}
}

// An import that loses its store says how far it came.
func TestImportWithoutStore(t *testing.T) {
	f := new(faultyStore)
	s := start(t, faulty(f))
	f.down.Store(true)
	p := s.do(http.MethodPost, "/api/v1/traces", twoConversations).refused(t, problem.StoreUnavailable)
	if !strings.Contains(p.Detail, "0 of the 0 traces read until then are stored") {
		t.Errorf("the detail is %q", p.Detail)
	}
	f.down.Store(false)
	if sum := s.imports(twoConversations); sum.Created != 2 {
		t.Errorf("got %+v", sum)
	}
}

// A flakyStore fails to put traces for a while.
type flakyStore struct {
	extract.Store
	failures atomic.Int64
}

func (f *flakyStore) PutTrace(ctx context.Context, r evalforge.RawTrace) (extract.PutResult, error) {
	if f.failures.Add(-1) >= 0 {
		return "", errDown
	}
	return f.Store.PutTrace(ctx, r)
}

// Spans that were accepted are stored when the service stops, even if the store fails for a moment then.
func TestReceivedSpansAreStored(t *testing.T) {
	t.Parallel()
	f := new(flakyStore)
	f.failures.Store(1)
	s, stop := serve(t, func(s *service) { f.Store = s.store; s.store = f })
	if r := s.do(http.MethodPost, "/v1/traces", otlpTrace); r.StatusCode != http.StatusOK {
		t.Fatalf("%s\n%s", r.Status, r.body)
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if b, err := f.Store.Backlog(t.Context(), time.Now()); err != nil || b.Pending != 1 {
		t.Errorf("%d traces are stored, %v, want 1", b.Pending, err)
	}
}

// A caller who goes away before an import has its place is no sign of a busy service, whatever else is ready.
func TestImportOfACallerWhoHasGone(t *testing.T) {
	s := start(t)
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/traces", &leaving{strings.NewReader(twoConversations), cancel})
		r.ContentLength = int64(len(twoConversations))
		w := httptest.NewRecorder()
		s.server.Handler().ServeHTTP(w, r)
		if want := problem.New(problem.ClientGone, "").Status; w.Code != http.StatusOK && w.Code != want {
			t.Fatalf("no import is under way, and the answer is %d, want %d\n%s", w.Code, want, w.Body)
		}
	}
}

// leaving is a body whose sender goes once it is read.
type leaving struct {
	io.Reader
	leave func()
}

func (l *leaving) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err != nil {
		l.leave()
	}
	return n, err
}
