// Package logging writes logs as Cloud Logging reads them: one JSON object per line with
// severity, message and time, the place in the code of errors, and the trace and span that
// a line belongs to, so that all lines of a request are found together.
//
// The field names are those of
// https://cloud.google.com/logging/docs/structured-logging#special-payload-fields.
package logging

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Options configure a handler.
type Options struct {
	Level slog.Leveler // nil means [slog.LevelInfo]
	// Project is where traces are kept. Without it, lines carry the bare trace id in
	// trace_id, which Cloud Logging does not link.
	Project string
	// Replace changes an attribute before it is written, if not nil.
	Replace func(groups []string, a slog.Attr) slog.Attr
}

// New returns a handler that writes to w. Each line is one Write.
func New(w io.Writer, o Options) slog.Handler {
	base := slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: o.Level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 {
				a = special(a)
			}
			if o.Replace != nil {
				a = o.Replace(groups, a)
			}
			return a
		},
	})
	return &handler{base: base, now: base, project: o.Project}
}

// special gives slog's own fields the names and values that Cloud Logging knows.
func special(a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.LevelKey:
		if l, ok := a.Value.Any().(slog.Level); ok {
			return slog.String("severity", severity(l))
		}
	case slog.MessageKey:
		a.Key = "message"
	case "severity", "message": // somebody's own attribute: a second one would replace the line's
		a.Key += "_"
	}
	return a
}

// severity returns the LogSeverity of a level.
func severity(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	case l < slog.LevelError+4:
		return "ERROR"
	}
	return "CRITICAL"
}

// A handler adds to each record what belongs at the top level of the line.
type handler struct {
	base    slog.Handler                      // without groups and attributes
	now     slog.Handler                      // base with them
	steps   []func(slog.Handler) slog.Handler // what makes now of base
	grouped bool
	project string
}

func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.now.Enabled(ctx, l) }

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	return h.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) }, h.grouped)
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) }, true)
}

func (h *handler) with(step func(slog.Handler) slog.Handler, grouped bool) *handler {
	c := *h
	c.now, c.steps, c.grouped = step(h.now), append(slices.Clip(h.steps), step), grouped
	return &c
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	top := h.top(ctx, r)
	switch {
	case len(top) == 0:
		return h.now.Handle(ctx, r)
	case !h.grouped:
		r = r.Clone()
		r.AddAttrs(top...)
		return h.now.Handle(ctx, r)
	}
	to := h.base.WithAttrs(top)
	for _, step := range h.steps {
		to = step(to)
	}
	return to.Handle(ctx, r)
}

// top returns what Cloud Logging wants at the top level of a line.
func (h *handler) top(ctx context.Context, r slog.Record) []slog.Attr {
	var attrs []slog.Attr
	if s := trace.SpanContextFromContext(ctx); s.IsValid() {
		if h.project != "" {
			attrs = append(attrs, slog.String("logging.googleapis.com/trace", "projects/"+h.project+"/traces/"+s.TraceID().String()))
		} else {
			attrs = append(attrs, slog.String("trace_id", s.TraceID().String()))
		}
		attrs = append(attrs, slog.String("logging.googleapis.com/spanId", s.SpanID().String()),
			slog.Bool("logging.googleapis.com/trace_sampled", s.IsSampled()))
	}
	if r.Level >= slog.LevelError && r.PC != 0 {
		f, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		attrs = append(attrs, slog.Group("logging.googleapis.com/sourceLocation",
			slog.String("file", f.File), slog.String("line", strconv.Itoa(f.Line)), slog.String("function", f.Function)))
	}
	return attrs
}

// A Request is one answered HTTP request, for an access log. It holds nothing that a
// caller could hide content in: no query, no header but the agent's name.
type Request struct {
	Method, Path string
	Status       int
	Size         int64 // bytes of the answer's body
	Latency      time.Duration
	UserAgent    string
	Protocol     string
}

// maxAgent bounds the name of an agent in a line.
const maxAgent = 200

// Attr returns r as the field httpRequest, which Cloud Logging shows in its own columns.
func (r Request) Attr() slog.Attr {
	if len(r.UserAgent) > maxAgent {
		r.UserAgent = r.UserAgent[:maxAgent]
	}
	return slog.Group("httpRequest",
		slog.String("requestMethod", r.Method), slog.String("requestUrl", r.Path), slog.Int("status", r.Status),
		slog.String("responseSize", strconv.FormatInt(r.Size, 10)),
		slog.String("latency", strconv.FormatFloat(r.Latency.Seconds(), 'f', 6, 64)+"s"),
		slog.String("userAgent", r.UserAgent), slog.String("protocol", r.Protocol))
}
