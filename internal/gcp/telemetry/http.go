package telemetry

import (
	"log/slog"
	"net/http"

	"github.com/felixge/httpsnoop"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/evalforge/evalforge/internal/gcp/logging"
	"github.com/evalforge/evalforge/internal/server/route"
)

// Middleware returns next, which serves r, with a span, the HTTP metrics and a line in the
// access log for each request. It belongs outside of authentication, so that refusals are
// counted and their log lines belong to the request's trace.
//
// A request of a caller that is traced continues that trace, also when nothing is
// exported: then the log lines at least carry its id.
func (t *Telemetry) Middleware(r route.Route, next http.Handler) http.Handler {
	inFlight := label("http.route", r.Path)
	logged := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx := req.Context()
		t.metrics.inFlight.Add(ctx, 1, inFlight)
		defer t.metrics.inFlight.Add(ctx, -1, inFlight)
		m := httpsnoop.CaptureMetrics(next, w, req)
		t.log.LogAttrs(ctx, accessLevel(r, m.Code), "request", slog.String("route", r.Pattern()), logging.Request{
			Method: req.Method, Path: req.URL.Path, Status: m.Code, Size: m.Written,
			Latency: m.Duration, UserAgent: req.UserAgent(), Protocol: req.Proto,
		}.Attr())
	})
	return otelhttp.NewHandler(logged, r.Pattern(),
		otelhttp.WithTracerProvider(t.tracers), otelhttp.WithMeterProvider(t.meters), otelhttp.WithPropagators(t.propagator),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return r.Pattern() }))
}

// accessLevel keeps probes out of the log while they succeed.
func accessLevel(r route.Route, status int) slog.Level {
	switch {
	case status >= 500:
		return slog.LevelError
	case r.Role == route.Public:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
