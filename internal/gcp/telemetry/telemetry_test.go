package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracespb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gcp/logging"
	"github.com/evalforge/evalforge/internal/gcp/telemetry"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/server/route"
)

var update = flag.Bool("update", false, "rewrite the table in docs/observability.md")

// A collector is an OTLP/HTTP receiver that keeps what it gets.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*tracepb.Span
	metrics map[string]bool
	service string
}

func newCollector(t *testing.T) *collector {
	c := &collector{metrics: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = c.take(r.URL.Path, body)
		}
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(path string, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch path {
	case "/v1/traces":
		var req tracespb.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &req); err != nil {
			return err
		}
		for _, rs := range req.ResourceSpans {
			c.service = attr(rs.Resource.Attributes, "service.name")
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	case "/v1/metrics":
		var req metricspb.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &req); err != nil {
			return err
		}
		for _, rm := range req.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					c.metrics[m.Name] = true
				}
			}
		}
	default:
		return fmt.Errorf("unexpected path %s", path)
	}
	return nil
}

func attr(list []*commonpb.KeyValue, key string) string {
	for _, kv := range list {
		if kv.Key == key {
			switch v := kv.Value.Value.(type) {
			case *commonpb.AnyValue_StringValue:
				return v.StringValue
			case *commonpb.AnyValue_IntValue:
				return fmt.Sprint(v.IntValue)
			case *commonpb.AnyValue_DoubleValue:
				return fmt.Sprint(v.DoubleValue)
			}
		}
	}
	return ""
}

// start returns running telemetry and its log. env is also the environment of the
// process, which the OpenTelemetry SDK reads.
func start(t *testing.T, env map[string]string) (*telemetry.Telemetry, *bytes.Buffer) {
	t.Helper()
	for k, v := range env {
		t.Setenv(k, v)
	}
	var log bytes.Buffer
	tel, err := telemetry.Start(t.Context(), telemetry.Options{
		Getenv: func(k string) string { return env[k] }, Version: "v1", Now: time.Now,
		Log: slog.New(logging.New(&log, logging.Options{Level: slog.LevelDebug, Project: "p"})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return tel, &log
}

// live takes telemetry through a run of two traces and an HTTP request.
func live(ctx context.Context, tel *telemetry.Telemetry, header http.Header) *httptest.ResponseRecorder {
	rt := route.Route{Method: "POST", Path: "/run/{id}", Role: route.Invoker}
	mux := http.NewServeMux()
	mux.Handle(rt.Pattern(), tel.Middleware(rt, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, ended := tel.Run(r.Context(), extract.RunStart{RunID: "run_1", Trigger: evalforge.Scheduled, BatchSize: 2, Analyzer: "gemini", Model: "m1"})
		temperature := 0.2
		_, end := tel.Trace(ctx, extract.TraceStart{RunID: "run_1", TraceID: "t1", Attempt: 1, Model: "m1"})
		end(extract.TraceEnd{
			Outcome: extract.OutcomeStored, Elapsed: 2 * time.Second, PatternID: "pattern_t1", DerivedFrom: "t0", FailureType: evalforge.WrongTool,
			Severity: evalforge.High, Confidence: 0.5, Model: "m1", ModelVersion: "m1-001", Temperature: &temperature, PromptSHA256: "abc",
			ModelTime: time.Second, Redactions: redact.Counts{"EMAIL": 3},
			Spent: extract.Spent{Attempts: 2, CostUSD: 0.5, Tokens: evalforge.Tokens{Prompt: 100, Cached: 40, Output: 7}},
		})
		_, end = tel.Trace(ctx, extract.TraceStart{RunID: "run_1", TraceID: "t2", Attempt: 3, Model: "m1"})
		end(extract.TraceEnd{Outcome: extract.OutcomeError, Elapsed: time.Second, Model: "m1", Kind: extract.KindStore, Quarantined: true, LeaseLost: true})
		ended(evalforge.Run{RunID: "run_1", PickedUpCount: 2, StoredCount: 1, ErrorCount: 1}, nil)
		w.WriteHeader(http.StatusAccepted)
	})))
	req := httptest.NewRequest("POST", "http://any-host.example/run/1?q=secret-query", nil).WithContext(ctx)
	if req.Header = header; header == nil {
		req.Header = http.Header{}
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, req)
	return w
}

func scrape(t *testing.T, tel *telemetry.Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("/metrics: status %d\n%s", w.Code, w.Body)
	}
	return w.Body.String()
}

func watchBacklog(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	err := tel.WatchBacklog(func(context.Context) (extract.Backlog, error) {
		return extract.Backlog{Pending: 4, Quarantined: 1, OldestDue: evalforge.At(time.Now().Add(-time.Hour))}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every metric of the table is measured, with its labels, and no other.
func TestMetricsAreThoseOfTheTable(t *testing.T) {
	tel, _ := start(t, nil)
	watchBacklog(t, tel)
	live(t.Context(), tel, nil)
	text := scrape(t, tel)
	want := map[string][]string{}
	for _, m := range telemetry.Metrics() {
		labels := []string{}
		for _, l := range m.Labels {
			labels = append(labels, strings.ReplaceAll(l, ".", "_"))
		}
		want[m.Prometheus()] = labels
	}
	got := map[string][]string{}
	for _, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "go_") || strings.HasPrefix(line, "process_") || strings.HasPrefix(line, "target_info") {
			continue
		}
		name, labels, _ := strings.Cut(strings.Fields(line)[0], "{")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		names := []string{}
		for _, l := range strings.Split(strings.TrimSuffix(labels, "}"), `",`) {
			if k, _, ok := strings.Cut(l, "="); ok && k != "le" {
				names = append(names, k)
			}
		}
		slices.Sort(names)
		got[name] = names
	}
	for _, l := range want {
		slices.Sort(l)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-table +measured):\n%s", diff)
	}
	for _, line := range []string{
		`evalforge_traces_total{outcome="picked_up"} 2`,
		`evalforge_traces_total{outcome="pattern_stored"} 1`,
		`evalforge_model_tokens_total{model="m1",type="cached"} 40`,
		`evalforge_model_cost_usd_total{model="m1"} 0.5`,
		`evalforge_redactions_total{kind="EMAIL"} 3`,
		`evalforge_lease_conflicts_total 1`,
		`evalforge_traces_quarantined_total 1`,
		`evalforge_backlog{state="pending"} 4`,
		`evalforge_runs_total{result="ok",trigger="scheduled"} 1`,
		`http_server_active_requests{http_route="/run/{id}"} 0`,
		`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="202",http_route="/run/{id}"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(text, "any-host") {
		t.Error("the host name that a caller asked for is a label")
	}
}

// The documentation has the table.
func TestMetricsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | in Prometheus | kind | labels | what it measures |\n|---|---|---|---|---|\n")
	for _, m := range telemetry.Metrics() {
		labels := ""
		for i, l := range m.Labels {
			if i > 0 {
				labels += ", "
			}
			labels += "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", m.Name, m.Prometheus(), m.Kind, labels, m.Doc)
	}
	file := filepath.Join("..", "..", "..", "docs", "observability.md")
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- metrics: made by go test ./internal/gcp/telemetry -update -->\n", "<!-- end of metrics -->"
	head, rest, ok := strings.Cut(string(doc), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table of metrics", file)
	}
	want := head + begin + b.String() + end + tail
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(doc)); diff != "" {
		t.Errorf("%s is not current; run: go test ./internal/gcp/telemetry -update (-want +got)\n%s", file, diff)
	}
}

// Spans and metrics reach a collector; the spans of a run are of the caller's trace.
func TestExport(t *testing.T) {
	c := newCollector(t)
	tel, log := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_SERVICE_NAME": "own-name"})
	if diff := cmp.Diff([]string{"traces", "metrics"}, tel.Exporting()); diff != "" {
		t.Error(diff)
	}
	watchBacklog(t, tel)
	live(t.Context(), tel, http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.service != "own-name" {
		t.Errorf("service.name = %q", c.service)
	}
	spans := map[string]*tracepb.Span{}
	for _, s := range c.spans {
		if fmt.Sprintf("%x", s.TraceId) != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("span %s is of trace %x", s.Name, s.TraceId)
		}
		spans[s.Name+" "+attr(s.Attributes, "evalforge.source_trace_id")] = s
	}
	request, run, t1, t2 := spans["POST /run/{id} "], spans["extraction run "], spans["extract trace t1"], spans["extract trace t2"]
	if request == nil || run == nil || t1 == nil || t2 == nil {
		t.Fatalf("spans: %v", spans)
	}
	if fmt.Sprintf("%x", request.ParentSpanId) != "b7ad6b7169203331" || !bytes.Equal(run.ParentSpanId, request.SpanId) || !bytes.Equal(t1.ParentSpanId, run.SpanId) {
		t.Error("the spans do not hang together")
	}
	for key, want := range map[string]string{
		"evalforge.outcome": "pattern_stored", "evalforge.pattern_id": "pattern_t1", "gen_ai.request.model": "m1", "gen_ai.response.model": "m1-001",
		"gen_ai.usage.input_tokens": "100", "gen_ai.request.temperature": "0.2", "evalforge.cost_usd": "0.5", "evalforge.run_id": "run_1",
	} {
		if got := attr(t1.Attributes, key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if t2.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || attr(t2.Attributes, "error.type") != "store" {
		t.Errorf("the failed trace: %v", t2)
	}
	for _, m := range telemetry.Metrics() {
		if !c.metrics[m.Name] {
			t.Errorf("%s was not exported", m.Name)
		}
	}
	if !strings.Contains(log.String(), `"logging.googleapis.com/trace":"projects/p/traces/0af7651916cd43dd8448eb211c80319c"`) {
		t.Errorf("the access log does not name the trace: %s", log)
	}
	if strings.Contains(log.String(), "secret-query") {
		t.Errorf("the access log has the query: %s", log)
	}
}

// What is exported follows OpenTelemetry's variables.
func TestVariables(t *testing.T) {
	const endpoint = "http://127.0.0.1:1"
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"nothing set", nil, ""},
		{"endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, "traces metrics"},
		{"endpoint of traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}, "traces"},
		{"endpoint of metrics", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": endpoint}, "metrics"},
		{"no metrics", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_METRICS_EXPORTER": "none"}, "traces"},
		{"switched off", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "True"}, ""},
		{"grpc", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "traces metrics"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel, _ := start(t, tt.env)
			if got := strings.Join(tel.Exporting(), " "); got != tt.want {
				t.Errorf("exporting %q, want %q", got, tt.want)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // nobody is at the endpoint
			_ = tel.Shutdown(ctx)
		})
	}
	_, err := telemetry.Start(t.Context(), telemetry.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now, Getenv: func(k string) string {
		return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}[k]
	}})
	if err == nil || !strings.Contains(err.Error(), "http/protobuf, grpc") {
		t.Errorf("http/json: %v", err)
	}
}

// Without an exporter, log lines still carry the id of the caller's trace, in whichever
// header it comes.
func TestTraceHeaders(t *testing.T) {
	const id = "105445aa7843bc8bf206b12000100000"
	for _, tt := range []struct {
		name   string
		header http.Header
		want   string // in the log; "" is no trace
	}{
		{"none", nil, ""},
		{"Google's", http.Header{"X-Cloud-Trace-Context": {id + "/1;o=1"}}, `/traces/` + id + `","logging.googleapis.com/spanId":"0000000000000001","logging.googleapis.com/trace_sampled":true`},
		{"Google's, not sampled", http.Header{"X-Cloud-Trace-Context": {id + "/18446744073709551615"}}, `spanId":"ffffffffffffffff","logging.googleapis.com/trace_sampled":false`},
		{"W3C's", http.Header{"Traceparent": {"00-" + id + "-00f067aa0ba902b7-01"}}, `/traces/` + id + `","logging.googleapis.com/spanId":"00f067aa0ba902b7"`},
		{"both", http.Header{"Traceparent": {"00-" + id + "-00f067aa0ba902b7-01"}, "X-Cloud-Trace-Context": {strings.Repeat("2", 32) + "/1;o=1"}}, `/traces/` + id},
		{"no span", http.Header{"X-Cloud-Trace-Context": {id}}, ""},
		{"span 0", http.Header{"X-Cloud-Trace-Context": {id + "/0"}}, ""},
		{"no trace", http.Header{"X-Cloud-Trace-Context": {"/1;o=1"}}, ""},
		{"a trace that is none", http.Header{"X-Cloud-Trace-Context": {strings.Repeat("0", 32) + "/1;o=1"}}, ""},
		{"nonsense", http.Header{"X-Cloud-Trace-Context": {`"},{"severity":"EMERGENCY`}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel, log := start(t, nil)
			live(t.Context(), tel, tt.header)
			if has := strings.Contains(log.String(), "googleapis.com/trace"); has != (tt.want != "") || !strings.Contains(log.String(), tt.want) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// Probes that succeed are not in the log at its normal level; failures are errors.
func TestAccessLog(t *testing.T) {
	tel, log := start(t, nil)
	for _, r := range []struct {
		role   route.Role
		status int
		want   string
	}{{route.Public, 200, "DEBUG"}, {route.Public, 503, "ERROR"}, {route.Viewer, 200, "INFO"}, {route.Viewer, 404, "INFO"}, {route.Invoker, 500, "ERROR"}} {
		log.Reset()
		h := tel.Middleware(route.Route{Method: "GET", Path: "/x", Role: r.role}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(r.status) }))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
		if !strings.Contains(log.String(), `"severity":"`+r.want+`"`) || !strings.Contains(log.String(), fmt.Sprintf(`"status":%d`, r.status)) {
			t.Errorf("%s, %d: %s, want %s", r.role, r.status, log, r.want)
		}
	}
}

// The store is asked for the backlog at most once a minute, and what it said last stands
// while it fails.
func TestBacklogIsCached(t *testing.T) {
	var log bytes.Buffer
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tel, err := telemetry.Start(t.Context(), telemetry.Options{
		Getenv: func(string) string { return "" }, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	calls, fails := 0, false
	if err := tel.WatchBacklog(func(context.Context) (extract.Backlog, error) {
		calls++
		if fails {
			return extract.Backlog{}, errors.New("store down")
		}
		return extract.Backlog{Pending: 10 * calls, OldestDue: evalforge.At(now.Add(-90 * time.Second))}, nil
	}); err != nil {
		t.Fatal(err)
	}
	step := func(name string, d time.Duration, wantCalls int, want string) {
		t.Helper()
		now = now.Add(d)
		if text := scrape(t, tel); !strings.Contains(text, want) || calls != wantCalls {
			t.Errorf("%s: %d calls, want %d, and %s", name, calls, wantCalls, want)
		}
	}
	step("first", 0, 1, `evalforge_backlog{state="pending"} 10`)
	step("soon after", 59*time.Second, 1, `evalforge_backlog{state="pending"} 10`)
	step("a minute later", time.Second, 2, `evalforge_backlog{state="pending"} 20`)
	step("age", 0, 2, `evalforge_backlog_oldest_age_seconds 90`)
	fails = true
	step("store down", time.Minute, 3, `evalforge_backlog{state="pending"} 20`)
	if !strings.Contains(log.String(), "store down") {
		t.Errorf("log: %s", &log)
	}
}
