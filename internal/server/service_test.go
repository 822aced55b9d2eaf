package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/rules"
	"github.com/evalforge/evalforge/internal/server"
	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/runner"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A service is a server over a store in memory, with what a test looks at and turns.
type service struct {
	t        testing.TB
	store    extract.Store
	redactor *redact.Redactor
	engine   *extract.Engine
	runner   *runner.Runner
	options  server.Options
	log      *logBuffer
	server   *server.Server
	url      string
}

// A logBuffer keeps what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newService returns a service that is not started; edit changes it before it is made.
func newService(t testing.TB, edit ...func(*service)) *service {
	t.Helper()
	redactor, err := redact.New(redact.Options{Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, store: memory.New(), redactor: redactor, log: new(logBuffer)}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	pipeline := &extract.Pipeline{Analyzer: rules.New(), Redactor: redactor, Now: time.Now}
	s.engine = &extract.Engine{Pipeline: pipeline, Log: log, Owner: "test"}
	s.options = server.Options{Log: log, Version: "test"}
	for _, f := range edit {
		f(s)
	}
	if s.options.Auth == nil {
		if s.options.Auth, err = auth.New(auth.Options{Mode: auth.None, Listen: "127.0.0.1:0", Log: log}); err != nil {
			t.Fatal(err)
		}
	}
	s.engine.Queue = s.store
	s.runner = runner.New(s.engine, runner.Options{})
	s.options.Store, s.options.Runner, s.options.Clean = s.store, s.runner, clean.New(redactor)
	s.options.Importer = &ingest.Importer{Store: s.store, Redactor: redactor, Now: time.Now, Log: log}
	if s.server, err = server.New(s.options); err != nil {
		t.Fatal(err)
	}
	return s
}

// start answers requests, through the handler alone.
func start(t testing.TB, edit ...func(*service)) *service {
	t.Helper()
	s := newService(t, edit...)
	srv := httptest.NewServer(s.server.Handler())
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// serve answers requests as the program does. The returned function stops it and returns what Serve did.
func serve(t testing.TB, edit ...func(*service)) (s *service, stop func() error) {
	t.Helper()
	s = newService(t, edit...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(ctx, l) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return s, stop
}

// withGemini has traces analyzed by a Gemini service that answers as the script says.
func withGemini(script ...geminitest.Reply) func(*service) {
	return func(s *service) {
		s.t.Helper()
		srv := geminitest.NewServer(s.t, script...)
		a, err := gemini.New(s.t.Context(), gemini.Options{Backend: gemini.GeminiAPI, APIKey: "for-tests-only", BaseURL: srv.URL})
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { _ = a.Close() })
		s.engine.Pipeline.Analyzer = a
	}
}

// traces puts n traces into the store.
func (s *service) traces(n int) []string {
	s.t.Helper()
	var ids []string
	for i := range n {
		id := fmt.Sprintf("t-%04d", i)
		raw := evalforge.RawTrace{TraceID: id, FetchedAt: evalforge.At(time.Now()), FailureType: "unknown", RecurrenceCount: 1,
			Payload: fmt.Appendf(nil, `{"messages":[{"role":"user","content":"Where is parcel number %d, please?"},{"role":"assistant","content":"I do not know where it is."}]}`, i)}
		if _, err := s.store.PutTrace(s.t.Context(), raw); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// samples puts the bundled samples into the store.
func (s *service) samples() {
	s.t.Helper()
	err := fs.WalkDir(evalforge.Samples(), "traces", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := evalforge.Samples().Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = s.options.Importer.ImportReader(s.t.Context(), name, f)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// A response is an answer, read.
type response struct {
	*http.Response
	body []byte
}

// do makes a request, and holds the answer to the document that describes the API. Header are names and
// values.
func (s *service) do(method, path, body string, header ...string) response {
	s.t.Helper()
	r := s.ask(method, path, body, header...)
	s.conforms(r)
	if r.StatusCode < http.StatusMultipleChoices {
		s.promised(r, body)
	}
	return r
}

func (s *service) ask(method, path, body string, header ...string) response {
	s.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response{resp, b}
}

// get makes a GET request that must succeed, and decodes the answer.
func get[T any](s *service, path string) T {
	s.t.Helper()
	r := s.do(http.MethodGet, path, "")
	if r.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s\n%s", path, r.Status, r.body)
	}
	return decode[T](s.t, r.body)
}

func decode[T any](t testing.TB, b []byte) T {
	t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	return v
}

// run triggers a run that must be answered with its summary.
func (s *service) run(body string, header ...string) evalforge.RunSummary {
	s.t.Helper()
	r := s.do(http.MethodPost, "/extraction/run-once", body, header...)
	if r.StatusCode != http.StatusAccepted {
		s.t.Fatalf("run-once %s: %s\n%s", body, r.Status, r.body)
	}
	return decode[evalforge.RunSummary](s.t, r.body)
}

// refused checks that an answer is a problem of a kind, as RFC 9457 wants it.
func (r response) refused(t testing.TB, kind problem.Kind) problem.Problem {
	t.Helper()
	want := problem.New(kind, "")
	if r.StatusCode != want.Status || r.Header.Get("Content-Type") != problem.MediaType {
		t.Fatalf("%s %s: got %s, %s, want %d and a problem\n%s", r.Request.Method, r.Request.URL.Path, r.Status, r.Header.Get("Content-Type"), want.Status, r.body)
	}
	p := decode[problem.Problem](t, r.body)
	if p.Type != want.Type || p.Title != want.Title || p.Status != want.Status {
		t.Errorf("got problem %s, %q, %d, want %s, %q, %d", p.Type, p.Title, p.Status, want.Type, want.Title, want.Status)
	}
	return p
}

// claimOne leases a trace, as a worker of another process would.
func claimOne(t testing.TB, s *service) extract.Claim {
	t.Helper()
	claims, err := s.store.Claim(t.Context(), extract.ClaimRequest{RunID: "run_other", Owner: "other", Limit: 1, Now: time.Now(),
		LeaseUntil: time.Now().Add(time.Hour), NewToken: rand.Text})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %d traces, %v", len(claims), err)
	}
	return claims[0]
}

// resultOf is the end of a claim, with p as its pattern.
func resultOf(c extract.Claim, p evalforge.Pattern) extract.Result {
	p.SourceTraceID, p.PatternID = c.TraceID, "pattern_"+c.TraceID
	return extract.Result{Pattern: &p, Digest: c.Digest, At: time.Now()}
}
