package trace

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	logscollector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// OTLP in protobuf: what SDKs and Collectors send by default. It is turned into OTLP JSON,
// which is what is stored, and what [Decode] reads.

// OTLPProto is [OTLPJSON] for a body in protobuf.
func OTLPProto(body []byte, logs bool) (parts []OTLPPart, skipped int, err error) {
	if logs {
		return protoLogs(body)
	}
	var request tracecollector.ExportTraceServiceRequest
	if err := unmarshalOTLP(body, &request); err != nil {
		return nil, 0, fmt.Errorf("OTLP request: not an ExportTraceServiceRequest: %w", err)
	}
	c := partCollector{byID: make(map[string]int)}
	var w protoWriter
	for _, rs := range request.GetResourceSpans() {
		var ids []string
		byTrace := make(map[string][]byte)
		for _, ss := range rs.GetScopeSpans() {
			for _, sp := range ss.GetSpans() {
				id := hex.EncodeToString(sp.GetTraceId())
				if !isTraceID(id) {
					skipped++
					continue
				}
				b := byTrace[id]
				if b == nil {
					ids = append(ids, id)
					b = w.resource(nil, rs.GetResource(), "scopeSpans", "spans")
				} else {
					b = append(b, ',')
				}
				byTrace[id] = w.span(b, sp)
				p := c.part(id)
				p.Items++
				parent := sp.GetParentSpanId()
				p.note(len(parent) == 0 || hex.EncodeToString(parent) == noSpan, sp.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR, unixNano(sp.GetStartTimeUnixNano()))
			}
		}
		for _, id := range ids {
			p := c.part(id)
			p.Resources = append(p.Resources, append(byTrace[id], "]}]}"...))
		}
	}
	return c.parts, skipped, nil
}

func protoLogs(body []byte) (parts []OTLPPart, skipped int, err error) {
	var request logscollector.ExportLogsServiceRequest
	if err := unmarshalOTLP(body, &request); err != nil {
		return nil, 0, fmt.Errorf("OTLP request: not an ExportLogsServiceRequest: %w", err)
	}
	c := partCollector{logs: true, byID: make(map[string]int)}
	var w protoWriter
	for _, rl := range request.GetResourceLogs() {
		var ids []string
		byTrace := make(map[string][]byte)
		for _, sl := range rl.GetScopeLogs() {
			for _, r := range sl.GetLogRecords() {
				id := hex.EncodeToString(r.GetTraceId())
				if !isTraceID(id) {
					skipped++
					continue
				}
				b := byTrace[id]
				if b == nil {
					ids = append(ids, id)
					b = w.resource(nil, rl.GetResource(), "scopeLogs", "logRecords")
				} else {
					b = append(b, ',')
				}
				byTrace[id] = w.record(b, r)
				c.part(id).Items++
			}
		}
		for _, id := range ids {
			p := c.part(id)
			p.Resources = append(p.Resources, append(byTrace[id], "]}]}"...))
		}
	}
	return c.parts, skipped, nil
}

func unixNano(n uint64) time.Time {
	if n == 0 || n > math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(0, int64(n)).UTC()
}

// A protoWriter writes OTLP messages as OTLP JSON.
type protoWriter struct{}

// resource opens an element of resourceSpans or resourceLogs, up to its first item. What
// closes it is "]}]}".
func (w protoWriter) resource(b []byte, r *resource.Resource, scopes, items string) []byte {
	b = append(b, `{"resource":{"attributes":`...)
	b = w.attributes(b, r.GetAttributes(), 0)
	b = append(b, `},"`...)
	b = append(b, scopes...)
	b = append(b, `":[{"`...)
	b = append(b, items...)
	return append(b, `":[`...)
}

func (w protoWriter) span(b []byte, sp *tracepb.Span) []byte {
	b = append(b, `{"traceId":"`...)
	b = hex.AppendEncode(b, sp.GetTraceId())
	b = append(b, `","spanId":"`...)
	b = hex.AppendEncode(b, sp.GetSpanId())
	if len(sp.GetParentSpanId()) > 0 {
		b = append(b, `","parentSpanId":"`...)
		b = hex.AppendEncode(b, sp.GetParentSpanId())
	}
	b = append(b, `","name":`...)
	b = appendString(b, sp.GetName())
	b = append(b, `,"kind":`...)
	b = strconv.AppendInt(b, int64(sp.GetKind()), 10)
	b = w.time(b, "startTimeUnixNano", sp.GetStartTimeUnixNano())
	b = w.time(b, "endTimeUnixNano", sp.GetEndTimeUnixNano())
	b = append(b, `,"attributes":`...)
	b = w.attributes(b, sp.GetAttributes(), 0)
	if n := sp.GetDroppedAttributesCount(); n > 0 {
		b = append(b, `,"droppedAttributesCount":`...)
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	if events := sp.GetEvents(); len(events) > 0 {
		b = append(b, `,"events":[`...)
		for i, e := range events {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"name":`...)
			b = appendString(b, e.GetName())
			b = w.time(b, "timeUnixNano", e.GetTimeUnixNano())
			b = append(b, `,"attributes":`...)
			b = w.attributes(b, e.GetAttributes(), 0)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	if st := sp.GetStatus(); st.GetCode() != 0 || st.GetMessage() != "" {
		b = append(b, `,"status":{"code":`...)
		b = strconv.AppendInt(b, int64(st.GetCode()), 10)
		b = append(b, `,"message":`...)
		b = appendString(b, st.GetMessage())
		b = append(b, '}')
	}
	return append(b, '}')
}

func (w protoWriter) record(b []byte, r *logspb.LogRecord) []byte {
	b = append(b, `{"traceId":"`...)
	b = hex.AppendEncode(b, r.GetTraceId())
	b = append(b, `","spanId":"`...)
	b = hex.AppendEncode(b, r.GetSpanId())
	b = append(b, '"')
	b = w.time(b, "timeUnixNano", r.GetTimeUnixNano())
	b = w.time(b, "observedTimeUnixNano", r.GetObservedTimeUnixNano())
	if n := r.GetSeverityNumber(); n != 0 {
		b = append(b, `,"severityNumber":`...)
		b = strconv.AppendInt(b, int64(n), 10)
	}
	if s := r.GetEventName(); s != "" {
		b = append(b, `,"eventName":`...)
		b = appendString(b, s)
	}
	if r.GetBody() != nil {
		b = append(b, `,"body":`...)
		b = w.value(b, r.GetBody(), 0)
	}
	b = append(b, `,"attributes":`...)
	b = w.attributes(b, r.GetAttributes(), 0)
	return append(b, '}')
}

func (protoWriter) time(b []byte, key string, n uint64) []byte {
	if n == 0 {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, key...)
	b = append(b, `":"`...)
	b = strconv.AppendUint(b, n, 10)
	return append(b, '"')
}

func (w protoWriter) attributes(b []byte, kvs []*common.KeyValue, depth int) []byte {
	b = append(b, '[')
	for i, kv := range kvs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"key":`...)
		b = appendString(b, kv.GetKey())
		b = append(b, `,"value":`...)
		b = w.value(b, kv.GetValue(), depth)
		b = append(b, '}')
	}
	return append(b, ']')
}

// maxAnyValue bounds how deep values of attributes nest; deeper ones become null.
const maxAnyValue = 64

func (w protoWriter) value(b []byte, v *common.AnyValue, depth int) []byte {
	if depth > maxAnyValue {
		return append(b, "{}"...)
	}
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		b = append(b, `{"stringValue":`...)
		b = appendString(b, v.StringValue)
	case *common.AnyValue_BoolValue:
		b = append(b, `{"boolValue":`...)
		b = strconv.AppendBool(b, v.BoolValue)
	case *common.AnyValue_IntValue:
		b = append(b, `{"intValue":"`...)
		b = strconv.AppendInt(b, v.IntValue, 10)
		b = append(b, '"')
	case *common.AnyValue_DoubleValue:
		b = append(b, `{"doubleValue":`...)
		if math.IsNaN(v.DoubleValue) || math.IsInf(v.DoubleValue, 0) {
			b = appendString(b, strconv.FormatFloat(v.DoubleValue, 'g', -1, 64))
		} else {
			b = strconv.AppendFloat(b, v.DoubleValue, 'g', -1, 64)
		}
	case *common.AnyValue_BytesValue:
		b = append(b, `{"bytesValue":"`...)
		b = base64.StdEncoding.AppendEncode(b, v.BytesValue)
		b = append(b, '"')
	case *common.AnyValue_ArrayValue:
		b = append(b, `{"arrayValue":{"values":[`...)
		for i, e := range v.ArrayValue.GetValues() {
			if i > 0 {
				b = append(b, ',')
			}
			b = w.value(b, e, depth+1)
		}
		b = append(b, "]}"...)
	case *common.AnyValue_KvlistValue:
		b = append(b, `{"kvlistValue":{"values":`...)
		b = w.attributes(b, v.KvlistValue.GetValues(), depth+1)
		b = append(b, '}')
	default:
		return append(b, "{}"...)
	}
	return append(b, '}')
}
