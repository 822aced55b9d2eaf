package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

// A served is the program, serving.
type served struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	mu     sync.Mutex
	line   *sync.Cond // there is more in stderr, or it has ended
	stderr bytes.Buffer
	done   bool
	ended  chan struct{} // closed when stderr has ended
}

// program returns a command that runs this program in a folder, with nothing of the environment but env.
func program(t testing.TB, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Args = append([]string{"evalforge"}, args...) // the name by which TestMain runs main
	c.Dir = dir
	c.Env = append([]string{"HOME=" + dir}, env...)
	return c
}

var listening = regexp.MustCompile(`listening on (http://[^ ,"\s]+)`)

// serve starts "evalforge serve" on a free port, and returns when it listens. It is killed when the test ends.
func serve(t *testing.T, dir string, env []string, args ...string) *served {
	t.Helper()
	s := &served{t: t, cmd: program(t, dir, env, append([]string{"serve", "-addr", "127.0.0.1:0"}, args...)...), ended: make(chan struct{})}
	s.line = sync.NewCond(&s.mu)
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // ended already, if all is well
	go func() {
		defer close(s.ended)
		for in := bufio.NewScanner(pipe); in.Scan(); {
			s.heard(in.Text()+"\n", false)
		}
		s.heard("", true)
	}()
	m := listening.FindStringSubmatch(s.await("listening on"))
	if m == nil {
		t.Fatalf("it does not serve:\n%s", s.said())
	}
	s.url = m[1]
	return s
}

func (s *served) heard(line string, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stderr.WriteString(line)
	s.done = s.done || done
	s.line.Broadcast()
}

// await waits until the program says something, or has ended, and returns all that it said.
func (s *served) await(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.done && !strings.Contains(s.stderr.String(), text) {
		s.line.Wait()
	}
	return s.stderr.String()
}

// said is what the program wrote to stderr so far.
func (s *served) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// stop sends SIGTERM and waits for the end, which must come in time and be in order.
func (s *served) stop() {
	s.t.Helper()
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	<-s.ended
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("ended with %v\n%s", err, s.said())
	}
	if took := time.Since(began); took > 9*time.Second {
		s.t.Errorf("stopping took %s", took)
	}
}

// ask makes a request and decodes its answer, which must have the wanted status.
func (s *served) ask(want int, method, path, body string, v any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		s.t.Fatalf("%s %s: %s, %v, want %d\n%s\n%s", method, path, resp.Status, err, want, b, s.said())
	}
	if v != nil {
		if err := json.Unmarshal(b, v); err != nil {
			s.t.Fatalf("%s %s: %v in\n%s", method, path, err, b)
		}
	}
}

// ready waits until the service is.
func (s *served) ready() {
	s.t.Helper()
	s.until("it is ready", func() bool {
		resp, err := http.Get(s.url + "/ready")
		if err != nil {
			s.t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// until asks until the answer is yes, for half a minute at most.
func (s *served) until(what string, yes func() bool) {
	s.t.Helper()
	pause := time.NewTicker(20 * time.Millisecond) // the program needs the processor more than who asks
	defer pause.Stop()
	for deadline := time.Now().Add(30 * time.Second); !yes(); <-pause.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("after half a minute it is not so that %s:\n%s", what, s.said())
		}
	}
}

type listOf[T any] struct{ Items []T }

// In an empty folder, without any setting, the service works at once: traces come in by curl and by
// an OpenTelemetry SDK, a run extracts them, and everything is still there after a restart.
func TestServeAsANewUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir, nil)
	s.ready()
	var sum struct{ Created int }
	s.ask(200, "POST", "/api/v1/traces", twoTraces, &sum)
	if sum.Created != 2 {
		t.Errorf("imported %d traces, want 2", sum.Created)
	}
	sendSpans(t, s.url)
	s.stop() // which closes the trace that has just come, and stores it

	s = serve(t, dir, nil)
	s.ready()
	var run evalforge.RunSummary
	s.ask(202, "POST", "/extraction/run-once", "", &run)
	if run.StoredCount != 3 {
		t.Errorf("the run stored %d patterns, want 3: %+v", run.StoredCount, run)
	}
	var patterns listOf[evalforge.Pattern]
	s.ask(200, "GET", "/api/v1/patterns?service=shop-assistant", "", &patterns)
	if len(patterns.Items) != 1 || patterns.Items[0].FailureType != evalforge.InfrastructureError {
		t.Errorf("of the received trace there are %d patterns: %+v", len(patterns.Items), patterns.Items)
	}
	s.stop()
	if !strings.Contains(s.said(), "store sqlite:evalforge.db, analyzer rules") {
		t.Errorf("it does not say what it uses:\n%s", s.said())
	}
	if info, err := os.Stat(filepath.Join(dir, "evalforge.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the database: %v, %v", info, err)
	}
}

// sendSpans sends a failed trace with the OpenTelemetry SDK, as an application does that
// is told of the endpoint and nothing else.
func sendSpans(t *testing.T, url string) {
	t.Helper()
	ctx := t.Context()
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(url+"/v1/traces"))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop-assistant"))))
	defer func() {
		if err := provider.Shutdown(ctx); err != nil {
			t.Errorf("the exporter: %v", err)
		}
	}()
	tracer := provider.Tracer("test")
	ctx, root := tracer.Start(ctx, "invoke_agent shop-assistant")
	root.SetAttributes(attribute.String("gen_ai.operation.name", "invoke_agent"), attribute.String("gen_ai.agent.name", "shop-assistant"))
	_, tool := tracer.Start(ctx, "execute_tool find_parcel")
	tool.SetAttributes(attribute.String("gen_ai.operation.name", "execute_tool"), attribute.String("gen_ai.tool.name", "find_parcel"))
	err = errors.New("503 Service Unavailable: upstream connect error")
	tool.RecordError(err)
	tool.SetStatus(codes.Error, err.Error())
	tool.End()
	root.SetStatus(codes.Error, "the parcel could not be found")
	root.End()
}

// A service that is told to stop in mid-run answers its caller, and exits in order and in time.
func TestServeStopsInMidRun(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 2), make(chan struct{})
	late := geminitest.Late(release, geminitest.Well())
	srv := geminitest.NewServer(t, func(w http.ResponseWriter, r *geminitest.Request) { asked <- struct{}{}; late(w, r) })
	s := serve(t, t.TempDir(), []string{"GEMINI_API_KEY=for-tests-only", "GOOGLE_GEMINI_BASE_URL=" + srv.URL}, "-analyzer", "gemini")
	s.ready()
	s.ask(200, "POST", "/api/v1/traces", twoTraces, nil)
	answer := make(chan evalforge.RunSummary, 1)
	go func() {
		var run evalforge.RunSummary
		s.ask(202, "POST", "/extraction/run-once", `{"triggeredBy":"cloud-scheduler"}`, &run)
		answer <- run
	}()
	<-asked
	go func() { s.await("stopping"); close(release) }()
	s.stop()
	run := <-answer
	if run.StoredCount != 1 || run.PickedUpCount != 1 || run.ThrottleReason != "the run was stopped" || run.TriggeredBy != evalforge.Scheduled {
		t.Errorf("got %+v, want a run that finished its trace and began no other", run)
	}
}

// What keeps the service from starting is said with its remedy.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir, nil, "-store", "mem:")
	addr := strings.TrimPrefix(s.url, "http://")
	for _, tt := range []struct {
		name, want, hint string
		env, args        []string
	}{
		{"port taken", "another program has this port", "another port", nil, []string{"-store", "mem:", "-addr", addr}},
		{"bad address", `-addr: "8080" is no address; write HOST:PORT`, "", nil, []string{"-addr", "8080"}},
		{"open to all", "other machines can reach", "", nil, []string{"-store", "mem:", "-addr", ":0"}},
		{"open on Cloud Run", "everybody on the internet", "", []string{"K_SERVICE=x", "EVALFORGE_AUTH=none"}, []string{"-store", "mem:", "-analyzer", "rules"}},
		{"no folder", "does not exist; create it first", "", nil, []string{"-store", "sqlite:nowhere/x.db"}},
		{"no access to Gemini", "neither an API key", "GEMINI_API_KEY", nil, []string{"-analyzer", "gemini"}},
		{"schedule", `-every: "5" is not a duration`, "", nil, []string{"-every", "5"}},
		{"samples in the cloud", "do not belong", "leave -store out", []string{"GOOGLE_CLOUD_PROJECT=p"}, []string{"-samples", "-store", "firestore:"}},
	} {
		out, err := program(t, dir, tt.env, append([]string{"serve"}, tt.args...)...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%s: ended with %v, want exit status 2\n%s", tt.name, err, out)
		}
		if !strings.Contains(string(out), tt.want) || !strings.Contains(string(out), tt.hint) {
			t.Errorf("%s: it does not say %q and %q:\n%s", tt.name, tt.want, tt.hint, out)
		}
	}
	s.stop()
}

// The bundled samples are there to look at, in memory and nowhere else.
func TestServeSamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir, nil, "-samples")
	s.ready()
	var patterns listOf[evalforge.Pattern]
	s.ask(200, "GET", "/api/v1/patterns?limit=1000", "", &patterns)
	if len(patterns.Items) < 40 {
		t.Errorf("there are %d patterns", len(patterns.Items))
	}
	s.stop()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v behind, %v", left, err)
	}
}

// The schedule extracts what comes in, without being asked.
func TestServeEvery(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), nil, "-every", "1s")
	s.ready()
	s.ask(200, "POST", "/api/v1/traces", twoTraces, nil)
	s.until("there are two patterns", func() bool {
		var patterns listOf[evalforge.Pattern]
		s.ask(200, "GET", "/api/v1/patterns", "", &patterns)
		return len(patterns.Items) == 2
	})
	s.stop()
}

// On Cloud Run the service listens where it is told, logs JSON, and takes the caller's word from Cloud Run.
func TestServeOnCloudRun(t *testing.T) {
	t.Parallel()
	cmd := program(t, t.TempDir(), []string{"K_SERVICE=evalforge", "PORT=0"}, "serve", "-store", "mem:", "-analyzer", "rules")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	in := bufio.NewScanner(pipe)
	var url string
	for url == "" && in.Scan() {
		var line map[string]any
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			t.Fatalf("a line of the log is no JSON: %s", in.Text())
		}
		if m := listening.FindStringSubmatch(in.Text()); m != nil {
			url = m[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, pipe) }()
	for path, want := range map[string]int{"/health": 200, "/ready": 200, "/api/v1/patterns": 401} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %s, want %d", path, resp.Status, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(fmt.Errorf("it ended with %w", err))
	}
}
