package telemetry

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// cloudTrace reads X-Cloud-Trace-Context, "TRACE_ID/SPAN_ID;o=OPTIONS" with the span in
// decimal digits, which Google's load balancers set beside, and before, W3C's header
// (https://cloud.google.com/trace/docs/trace-context#legacy-http-header). It writes nothing.
type cloudTrace struct{}

const cloudTraceHeader = "X-Cloud-Trace-Context"

func (cloudTrace) Inject(context.Context, propagation.TextMapCarrier) {}
func (cloudTrace) Fields() []string                                   { return nil }

func (cloudTrace) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	ids, options, _ := strings.Cut(carrier.Get(cloudTraceHeader), ";")
	traceID, spanID, _ := strings.Cut(ids, "/")
	id, err := trace.TraceIDFromHex(strings.ToLower(traceID))
	if err != nil {
		return ctx
	}
	n, err := strconv.ParseUint(spanID, 10, 64)
	if err != nil || n == 0 {
		return ctx
	}
	c := trace.SpanContextConfig{TraceID: id, Remote: true}
	binary.BigEndian.PutUint64(c.SpanID[:], n)
	if options == "o=1" {
		c.TraceFlags = trace.FlagsSampled
	}
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(c))
}
