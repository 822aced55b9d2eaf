package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/evalforge/evalforge/internal/gcp/logging"
)

func lines(t *testing.T, b []byte) []map[string]any {
	t.Helper()
	var list []map[string]any
	for _, l := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		list = append(list, m)
	}
	return list
}

// The handler keeps slog's contract, with and without a span.
func TestHandlerIsAHandler(t *testing.T) {
	for name, ctx := range map[string]context.Context{"plain": t.Context(), "in a span": spanContext(t.Context())} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			h := inContext{logging.New(&buf, logging.Options{}), ctx}
			err := slogtest.TestHandler(h, func() []map[string]any {
				list := lines(t, buf.Bytes())
				for _, m := range list { // slogtest knows slog's own names
					m["msg"], m["level"] = m["message"], m["severity"]
				}
				return list
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// inContext handles every record in one context: slogtest logs without any.
type inContext struct {
	slog.Handler
	ctx context.Context
}

func (h inContext) Handle(_ context.Context, r slog.Record) error { return h.Handler.Handle(h.ctx, r) }
func (h inContext) WithAttrs(a []slog.Attr) slog.Handler {
	return inContext{h.Handler.WithAttrs(a), h.ctx}
}
func (h inContext) WithGroup(n string) slog.Handler { return inContext{h.Handler.WithGroup(n), h.ctx} }

func spanContext(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0x10, 15: 1}, SpanID: trace.SpanID{7: 2}, TraceFlags: trace.FlagsSampled,
	}))
}

// A line has the fields that Cloud Logging gives a meaning, at the top level even inside
// of a group.
func TestSpecialFields(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(logging.New(&buf, logging.Options{Level: slog.LevelDebug, Project: "p"}))
	ctx := spanContext(t.Context())
	log.DebugContext(ctx, "one")
	log.Info("two")
	log.With("a", 1).WithGroup("g").With("b", 2).WarnContext(ctx, "three", "c", 3)
	log.With("a", 1).ErrorContext(ctx, "four", logging.Request{
		Method: "POST", Path: "/x", Status: 503, Size: 12, Latency: 1500 * time.Millisecond,
		UserAgent: strings.Repeat("a", 500), Protocol: "HTTP/1.1",
	}.Attr())
	log.Log(t.Context(), slog.LevelError+4, "five")
	log.Info("six", "severity", "high", "message", "own")

	got := lines(t, buf.Bytes())
	for i, l := range got {
		if _, err := time.Parse(time.RFC3339Nano, l["time"].(string)); err != nil {
			t.Errorf("line %d: %v", i, err)
		}
		delete(l, "time")
	}
	const file = "logging.googleapis.com/sourceLocation"
	for _, i := range []int{3, 4} {
		loc, _ := got[i][file].(map[string]any)
		if f, _ := loc["file"].(string); !strings.HasSuffix(f, "logging_test.go") || loc["line"] == "" || loc["function"] == "" {
			t.Errorf("line %d: place in the code %v", i, loc)
		}
		delete(got[i], file)
	}
	span := func(m map[string]any) map[string]any {
		m["logging.googleapis.com/trace"] = "projects/p/traces/10000000000000000000000000000001"
		m["logging.googleapis.com/spanId"] = "0000000000000002"
		m["logging.googleapis.com/trace_sampled"] = true
		return m
	}
	want := []map[string]any{
		span(map[string]any{"severity": "DEBUG", "message": "one"}),
		{"severity": "INFO", "message": "two"},
		span(map[string]any{"severity": "WARNING", "message": "three", "a": 1.0, "g": map[string]any{"b": 2.0, "c": 3.0}}),
		span(map[string]any{"severity": "ERROR", "message": "four", "a": 1.0, "httpRequest": map[string]any{
			"requestMethod": "POST", "requestUrl": "/x", "status": 503.0, "responseSize": "12", "latency": "1.500000s",
			"userAgent": strings.Repeat("a", 200), "protocol": "HTTP/1.1",
		}}),
		{"severity": "CRITICAL", "message": "five"},
		{"severity": "INFO", "message": "six", "severity_": "high", "message_": "own"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// Without a project the trace's id is still there.
func TestWithoutAProject(t *testing.T) {
	var buf bytes.Buffer
	slog.New(logging.New(&buf, logging.Options{})).InfoContext(spanContext(t.Context()), "x")
	l := lines(t, buf.Bytes())[0]
	if l["trace_id"] != "10000000000000000000000000000001" || l["logging.googleapis.com/trace"] != nil {
		t.Errorf("line: %v", l)
	}
}

// Secrets are replaced wherever they stand.
func TestReplace(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(logging.New(&buf, logging.Options{Replace: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindString {
			a.Value = slog.StringValue(strings.ReplaceAll(a.Value.String(), "hunter2", "<secret>"))
		}
		return a
	}}))
	log.WithGroup("g").Info("a hunter2", "b", "c hunter2")
	if strings.Contains(buf.String(), "hunter2") || strings.Count(buf.String(), "<secret>") != 2 {
		t.Error(buf.String())
	}
}
