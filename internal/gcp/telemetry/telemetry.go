// Package telemetry makes OpenTelemetry traces and metrics of what the service does.
//
// [Start] sets it up from the standard OTEL_ variables; the [Telemetry] it returns is an
// [extract.Observer] for the engine, a middleware for routes, and a handler for /metrics.
// One set of instruments (metrics.go) feeds both OTLP and Prometheus.
//
// Nothing here ever carries content of a trace: labels are enums and names of models,
// span attributes are those and ids.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope names the instrumentation.
const scope = "github.com/evalforge/evalforge"

// Options configure telemetry.
type Options struct {
	// Getenv says whether and how to export: OTEL_EXPORTER_OTLP_ENDPOINT (or the ones for
	// traces and metrics alone), OTEL_EXPORTER_OTLP_PROTOCOL (http/protobuf or grpc),
	// OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER and OTEL_SDK_DISABLED. All other OTEL_
	// variables are read by the OpenTelemetry SDK from the environment of the process.
	Getenv func(string) string
	// Headers are sent with each export, in the place of OTEL_EXPORTER_OTLP_HEADERS; empty
	// means those.
	Headers map[string]string
	Version string // of the program
	Log     *slog.Logger
	Now     func() time.Time
}

// A Telemetry is running instrumentation. It is safe for concurrent use.
type Telemetry struct {
	log        *slog.Logger
	now        func() time.Time
	tracers    trace.TracerProvider
	tracer     trace.Tracer
	meters     *sdkmetric.MeterProvider
	metrics    *instruments
	propagator propagation.TextMapPropagator
	registry   *prometheus.Registry
	shutdown   []func(context.Context) error
	exporting  []string
}

// Start sets telemetry up. Metrics are kept in any case, for Prometheus; traces only when
// they are exported. Nothing is sent before there is something to send: an endpoint that
// is down delays nothing and is logged.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	t := &Telemetry{
		log: o.Log, now: o.Now, tracers: noop.NewTracerProvider(), registry: prometheus.NewRegistry(),
		// A later one overrides an earlier: W3C's header is the standard.
		propagator: propagation.NewCompositeTextMapPropagator(cloudTrace{}, propagation.TraceContext{}),
	}
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "evalforge"), attribute.String("service.version", o.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("telemetry: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	if err := t.startTraces(ctx, o.Getenv, o.Headers, res); err != nil {
		return nil, err
	}
	if err := t.startMetrics(ctx, o.Getenv, o.Headers, res); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, nil
}

// Exporting says what is exported over OTLP: "traces", "metrics", both or neither.
func (t *Telemetry) Exporting() []string { return t.exporting }

// endpoint returns the address that a signal ("TRACES", "METRICS") is exported to, or "".
func endpoint(getenv func(string) string, signal string) string {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return ""
	}
	if e := getenv("OTEL_" + signal + "_EXPORTER"); e != "" && e != "otlp" {
		return ""
	}
	if e := getenv("OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT"); e != "" {
		return e
	}
	return getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
}

// protocol returns how a signal is exported.
func protocol(getenv func(string) string, signal string) (grpc bool, err error) {
	name := "OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL"
	v := getenv(name)
	if v == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
		v = getenv(name)
	}
	switch v {
	case "", "http/protobuf":
		return false, nil
	case "grpc":
		return true, nil
	}
	return false, fmt.Errorf("telemetry: %s: %q is none of http/protobuf, grpc", name, v)
}

func (t *Telemetry) startTraces(ctx context.Context, getenv func(string) string, headers map[string]string, res *resource.Resource) error {
	t.tracer = t.tracers.Tracer(scope)
	if endpoint(getenv, "TRACES") == "" {
		return nil
	}
	grpc, err := protocol(getenv, "TRACES")
	if err != nil {
		return err
	}
	var exporter sdktrace.SpanExporter
	if grpc {
		exporter, err = otlptracegrpc.New(ctx, headersOr(headers, otlptracegrpc.WithHeaders)...)
	} else {
		exporter, err = otlptracehttp.New(ctx, headersOr(headers, otlptracehttp.WithHeaders)...)
	}
	if err != nil {
		return fmt.Errorf("telemetry: exporting traces: %w", err)
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	t.tracers, t.tracer = p, p.Tracer(scope)
	t.shutdown = append(t.shutdown, p.Shutdown)
	t.exporting = append(t.exporting, "traces")
	return nil
}

func (t *Telemetry) startMetrics(ctx context.Context, getenv func(string) string, headers map[string]string, res *resource.Resource) error {
	scrape, err := otelprometheus.New(otelprometheus.WithRegisterer(t.registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("telemetry: metrics for Prometheus: %w", err)
	}
	for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := t.registry.Register(c); err != nil {
			return fmt.Errorf("telemetry: metrics for Prometheus: %w", err)
		}
	}
	options := append(views(), sdkmetric.WithResource(res), sdkmetric.WithReader(scrape))
	if endpoint(getenv, "METRICS") != "" {
		exporter, err := metricExporter(ctx, getenv, headers)
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)))
		t.exporting = append(t.exporting, "metrics")
	}
	t.meters = sdkmetric.NewMeterProvider(options...)
	t.shutdown = append(t.shutdown, t.meters.Shutdown)
	t.metrics, err = newInstruments(t.meters.Meter(scope))
	return err
}

func metricExporter(ctx context.Context, getenv func(string) string, headers map[string]string) (sdkmetric.Exporter, error) {
	grpc, err := protocol(getenv, "METRICS")
	if err != nil {
		return nil, err
	}
	var exporter sdkmetric.Exporter
	if grpc {
		exporter, err = otlpmetricgrpc.New(ctx, headersOr(headers, otlpmetricgrpc.WithHeaders)...)
	} else {
		exporter, err = otlpmetrichttp.New(ctx, headersOr(headers, otlpmetrichttp.WithHeaders)...)
	}
	if err != nil {
		return nil, fmt.Errorf("telemetry: exporting metrics: %w", err)
	}
	return exporter, nil
}

// headersOr returns the option that sets headers, or none where they come from the
// environment.
func headersOr[O any](headers map[string]string, option func(map[string]string) O) []O {
	if len(headers) == 0 {
		return nil
	}
	return []O{option(headers)}
}

// views bound what the HTTP metrics are split by: a caller chooses the host name that it
// asks for, and every new one would be another time series.
func views() []sdkmetric.Option {
	keep := attribute.NewAllowKeysFilter("http.request.method", "http.route", "http.response.status_code")
	return []sdkmetric.Option{sdkmetric.WithView(
		sdkmetric.NewView(sdkmetric.Instrument{Name: "http.server.request.duration"}, sdkmetric.Stream{AttributeFilter: keep}),
		sdkmetric.NewView(sdkmetric.Instrument{Name: "http.server.*.body.size"}, sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}}),
	)}
}

// Install makes t what the clients of Google's services and of the model report their
// spans to. It is for main only: the process has one such place.
func (t *Telemetry) Install() {
	otel.SetTracerProvider(t.tracers)
	otel.SetTextMapPropagator(t.propagator)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		t.log.Warn("telemetry could not be exported", "error", err)
	}))
}

// Metrics serves the metrics as Prometheus scrapes them.
func (t *Telemetry) Metrics() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Shutdown exports what is left and stops. ctx bounds it.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, f := range t.shutdown {
		errs = append(errs, f(ctx))
	}
	t.shutdown = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("telemetry: the last spans or metrics could not be exported: %w", err)
	}
	return nil
}
