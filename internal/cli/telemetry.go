package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gcp/telemetry"
	"github.com/evalforge/evalforge/internal/server/route"
)

// A telemetryConfig says where traces and metrics go.
type telemetryConfig struct {
	endpoint string
	headers  secret // as OTEL_EXPORTER_OTLP_HEADERS is written
}

// shutdownTimeout bounds the export of what is left when the program ends: Cloud Run
// kills it ten seconds after SIGTERM, and up to nine of them are the runs' to end.
const shutdownTimeout = 800 * time.Millisecond

// startTelemetry starts traces and metrics, for the engine and for what is served. The
// returned function ends them, once.
func (c *call) startTelemetry(ctx context.Context) (*telemetry.Telemetry, func(), error) {
	headers, err := parseHeaders(c.cfg.telemetry.headers.reveal())
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS %w", err)
	}
	t, err := telemetry.Start(ctx, telemetry.Options{
		Getenv: c.Getenv, Headers: headers, Version: thisVersion().Version, Log: c.log, Now: c.Now,
	})
	if err != nil {
		return nil, nil, withHint(err, "docs/observability.md says which variables count")
	}
	t.Install()
	c.observer = t
	return t, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := t.Shutdown(ctx); err != nil {
			c.log.WarnContext(ctx, "telemetry did not end in order", "error", err)
		}
	}, nil
}

// parseHeaders reads name=value,name=value with the values percent-encoded, as
// OpenTelemetry's exporters do.
func parseHeaders(s string) (map[string]string, error) {
	headers := map[string]string{}
	for _, pair := range strings.Split(s, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		v, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			return nil, errors.New("is not of the form name=value,name=value")
		}
		headers[name] = v
	}
	return headers, nil
}

// metricsRoute serves the metrics, and has the backlog of s among them.
func metricsRoute(t *telemetry.Telemetry, s extract.Archive, now func() time.Time) (route.Route, error) {
	err := t.WatchBacklog(func(ctx context.Context) (extract.Backlog, error) { return s.Backlog(ctx, now()) })
	return route.Route{Method: http.MethodGet, Path: "/metrics", Role: route.Viewer, Handler: t.Metrics()}, err
}

// checkTelemetry checks where traces and metrics go: that somebody listens there.
func (c *call) checkTelemetry(ctx context.Context) []check {
	endpoint := c.cfg.telemetry.endpoint
	if endpoint == "" {
		return []check{{"telemetry", checkOK, "not exported; a service has metrics at /metrics", ""}}
	}
	fail := func(err error, remedy string) []check {
		return []check{{"telemetry", checkFail, err.Error(), remedy}}
	}
	if _, err := parseHeaders(c.cfg.telemetry.headers.reveal()); err != nil {
		return fail(fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS %w", err), "such as authorization=Basic%20…")
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return fail(fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err), "such as http://localhost:4318")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return fail(fmt.Errorf("%s: %w", u.Redacted(), err), "start the collector, or correct or unset OTEL_EXPORTER_OTLP_ENDPOINT; runs work without it")
	}
	_ = conn.Close() // nothing was sent
	return []check{{"telemetry", checkOK, "traces and metrics are exported to " + u.Redacted(), ""}}
}
