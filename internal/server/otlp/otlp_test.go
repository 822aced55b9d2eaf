package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evalforge/evalforge/internal/trace"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

func always(*trace.Trace) bool { return true }

// A collected sink remembers what it was given.
type collected struct {
	mu   sync.Mutex
	docs map[string]trace.Document
}

func (c *collected) sink(_ context.Context, d trace.Document) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docs == nil {
		c.docs = make(map[string]trace.Document)
	}
	c.docs[d.TraceID] = d
	return nil
}

func (c *collected) ids() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make(map[string]bool)
	for id := range c.docs {
		ids[id] = true
	}
	return ids
}

func traceID(n int) string { return fmt.Sprintf("%032x", n+1) }

// spanJSON is an export of one span; parent 0 is none.
func spanJSON(traceN, id, parent int, status string) string {
	p := ""
	if parent > 0 {
		p = fmt.Sprintf(`,"parentSpanId":"%016x"`, parent)
	}
	return fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":%q,"spanId":"%016x"%s,"name":"chat","startTimeUnixNano":"17726000000000000%02d","endTimeUnixNano":"1772600001000000000","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}],"status":{%s}}]}]}]}`,
		traceID(traceN), id, p, id%100, status)
}

func logJSON(traceN, span int, text string) string {
	return fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":%q,"spanId":"%016x","timeUnixNano":"1772600000000000001","body":{"kvlistValue":{"values":[{"key":"content","value":{"stringValue":%q}}]}},"attributes":[{"key":"event.name","value":{"stringValue":"gen_ai.user.message"}}]}]}]}]}`, traceID(traceN), span, text)
}

const failed = `"code":2,"message":"boom"`

func post(t testing.TB, r *Receiver, path, media, body string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", media)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

func mustPost(t testing.TB, r *Receiver, path, body string) {
	t.Helper()
	if w := post(t, r, path, "application/json", body); w.Code != http.StatusOK {
		t.Fatalf("POST %s: %d %s", path, w.Code, w.Body)
	}
}

// run runs the receiver until the test calls stop, which waits for its end.
func run(r *Receiver) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func TestSpansInAnyOrderAndRequestBecomeOneTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collected
		r := newReceiver(Options{Sink: c.sink})
		defer run(r)()
		mustPost(t, r, "/v1/traces", spanJSON(1, 3, 2, failed)) // a grandchild first
		mustPost(t, r, "/v1/logs", logJSON(1, 3, "Where is my lamp?"))
		time.Sleep(time.Minute)
		mustPost(t, r, "/v1/traces", spanJSON(1, 1, 0, "")) // the root
		time.Sleep(4 * time.Second)
		mustPost(t, r, "/v1/traces", spanJSON(1, 2, 1, "")) // within the grace after it
		synctest.Wait()
		if len(c.ids()) != 0 {
			t.Fatal("closed before the grace was over")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		doc, ok := c.docs[traceID(1)]
		if !ok {
			t.Fatal("not closed after the grace")
		}
		tr, err := trace.Decode(doc.Payload)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range tr.Steps {
			got = append(got, fmt.Sprintf("%s under %q", s.ID, s.Parent))
		}
		want := []string{`0000000000000001 under ""`, `0000000000000002 under "0000000000000001"`, `0000000000000003 under "0000000000000002"`}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if len(tr.Messages) != 1 || tr.Messages[0].Text != "Where is my lamp?" {
			t.Errorf("the log records are not joined: %+v", tr.Messages)
		}
		if doc.Service != "shop" || doc.Start.IsZero() {
			t.Errorf("document %+v", doc)
		}
	})
}

func TestTraceWithoutRootIsClosedWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collected
		r := newReceiver(Options{Sink: c.sink})
		defer run(r)()
		mustPost(t, r, "/v1/traces", spanJSON(1, 3, 2, failed))
		time.Sleep(119 * time.Second)
		synctest.Wait()
		if len(c.ids()) != 0 {
			t.Error("closed before it was idle for long enough")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !c.ids()[traceID(1)] {
			t.Error("not closed when idle")
		}
	})
}

func TestOnlyFailedTracesAreKept(t *testing.T) {
	decides := func(t *trace.Trace) bool { return len(t.Messages) > 0 && strings.Contains(t.Messages[0].Text, "loop") }
	for _, tc := range []struct {
		name string
		opt  Options
		want map[string]bool
	}{
		{"error status", Options{}, map[string]bool{traceID(1): true}},
		{"or a deciding signal", Options{Decides: decides}, map[string]bool{traceID(1): true, traceID(2): true}},
		{"all", Options{KeepAll: true}, map[string]bool{traceID(0): true, traceID(1): true, traceID(2): true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c collected
				tc.opt.Sink = c.sink
				r := newReceiver(tc.opt)
				stop := run(r)
				mustPost(t, r, "/v1/traces", spanJSON(0, 1, 0, ""))
				mustPost(t, r, "/v1/traces", spanJSON(1, 1, 0, failed))
				mustPost(t, r, "/v1/traces", spanJSON(2, 1, 0, ""))
				mustPost(t, r, "/v1/logs", logJSON(2, 1, "a loop"))
				stop()
				if diff := cmp.Diff(tc.want, c.ids()); diff != "" {
					t.Errorf("kept (-want +got):\n%s", diff)
				}
				if s := r.Stats(); s.Kept != int64(len(tc.want)) || s.Kept+s.Dropped != 3 || s.Bytes != 0 || s.OpenTraces != 0 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

// A flood of traces that never end: memory stays within its bound, and each trace that
// failed reaches the sink all the same, the oldest first.
func TestMemoryIsBoundedUnderAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1 << 20
		var c collected
		r := newReceiver(Options{Sink: c.sink, MaxMemory: limit})
		defer run(r)()
		rng := rand.New(rand.NewPCG(1, 2))
		want := map[string]bool{}
		for n := range 20_000 {
			status := ""
			if rng.IntN(50) == 0 {
				status = failed
				want[traceID(n)] = true
			}
			mustPost(t, r, "/v1/traces", spanJSON(n, 3, 2, status))
			if s := r.Stats(); s.Bytes > limit {
				t.Fatalf("%d bytes held after %d traces; at most %d are allowed", s.Bytes, n, limit)
			}
			synctest.Wait()
		}
		if r.Stats().Evicted == 0 {
			t.Error("nothing was closed early: the test does not reach the bound")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if diff := cmp.Diff(want, c.ids()); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
	})
}

func TestOneEndlessTraceIsClosedInParts(t *testing.T) {
	var parts int
	r := newReceiver(Options{MaxTrace: 4096, Sink: func(_ context.Context, d trace.Document) error {
		if parts++; len(d.Payload) > 8192 {
			t.Errorf("a part of %d bytes", len(d.Payload))
		}
		return nil
	}})
	stop := run(r)
	for i := range 100 {
		mustPost(t, r, "/v1/traces", spanJSON(1, i+2, 1, failed))
	}
	stop()
	if parts < 5 {
		t.Errorf("%d parts", parts)
	}
}

// The parts of a long trace that did not fail themselves are kept with the one that did,
// before and after it.
func TestPartsOfAFailedTraceAreKept(t *testing.T) {
	for name, failing := range map[string]int{"the first": 0, "one in the middle": 20, "the last": 39} {
		t.Run(name, func(t *testing.T) {
			spans := 0
			r := newReceiver(Options{MaxTrace: 4096, Decides: func(*trace.Trace) bool { return false }, Sink: func(_ context.Context, d trace.Document) error {
				spans += strings.Count(string(d.Payload), `"spanId"`)
				return nil
			}})
			stop := run(r)
			for i := range 40 {
				status := ""
				if i == failing {
					status = failed
				}
				mustPost(t, r, "/v1/traces", spanJSON(1, i+2, 1, status))
				mustPost(t, r, "/v1/traces", spanJSON(2, i+2, 1, ""))
			}
			stop()
			if spans != 40 {
				t.Errorf("%d of the 40 spans are kept", spans)
			}
			if s := r.Stats(); s.Bytes != 0 || s.Kept < 5 || s.Dropped < 5 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// A trace that never ends nor fails takes no more memory than its share.
func TestPartsThatWaitAreBounded(t *testing.T) {
	const limit = 64 << 10
	r := newReceiver(Options{MaxTrace: 2048, MaxMemory: limit, Sink: (&collected{}).sink})
	for i := range 1000 {
		mustPost(t, r, "/v1/traces", spanJSON(1, i+2, 1, ""))
		if s := r.Stats(); s.Bytes > limit/fullShare+2*2048 {
			t.Fatalf("%d bytes held after %d spans", s.Bytes, i)
		}
	}
	run(r)()
	if s := r.Stats(); s.Bytes != 0 || s.OpenTraces != 0 {
		t.Errorf("stats at the end: %+v", s)
	}
}

// While the sink stands still senders get their answer at once: first that all is well,
// then to come again.
func TestSendersNeverWaitForTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stored := map[string]bool{}
		r := newReceiver(Options{MaxMemory: 64 << 10, MaxTrace: 1, Sink: func(_ context.Context, d trace.Document) error {
			<-release
			stored[d.TraceID] = true
			return nil
		}})
		stop := run(r)
		accepted := map[string]bool{}
		refused := 0
		for n := range 1000 {
			w := post(t, r, "/v1/traces", "application/json", spanJSON(n, 1, 0, failed))
			switch {
			case w.Code == http.StatusOK:
				accepted[traceID(n)] = true
			case w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "":
				refused++
			default:
				t.Fatalf("answer %d %s", w.Code, w.Body)
			}
			if b := r.Stats().Bytes; b > 64<<10 {
				t.Fatalf("%d bytes held", b)
			}
		}
		close(release)
		stop()
		if refused == 0 {
			t.Error("nobody was told to come again")
		}
		if diff := cmp.Diff(accepted, stored); diff != "" {
			t.Errorf("stored what was not accepted, or the other way (-accepted +stored):\n%s", diff)
		}
	})
}

func TestWhatTheSinkCannotStoreIsCounted(t *testing.T) {
	r := newReceiver(Options{Sink: func(context.Context, trace.Document) error { return errors.New("disk full") }})
	stop := run(r)
	mustPost(t, r, "/v1/traces", spanJSON(1, 1, 0, failed))
	stop()
	if s := r.Stats(); s.SinkErrors != 1 || s.Kept != 0 || s.Bytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

// What was accepted outlives an outage of the store; while too much waits for its end,
// senders are told to come again.
func TestNothingIsLostInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collected
		var up atomic.Bool
		r := newReceiver(Options{MaxMemory: 64 << 10, Sink: func(ctx context.Context, d trace.Document) error {
			if !up.Load() {
				return errors.New("connection refused")
			}
			return c.sink(ctx, d)
		}})
		stop := run(r)
		want := map[string]bool{}
		send := func(n int) bool {
			w := post(t, r, "/v1/traces", "application/json", spanJSON(n, 1, 0, failed))
			if w.Code != http.StatusOK && w.Code != http.StatusServiceUnavailable {
				t.Fatalf("answer %d %s", w.Code, w.Body)
			}
			return w.Code == http.StatusOK
		}
		refused := 0
		for n := range 600 {
			if send(n) {
				want[traceID(n)] = true
			} else {
				refused++
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if b := r.Stats().Bytes; b > 64<<10 {
				t.Fatalf("%d bytes held", b)
			}
		}
		up.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !send(1000) {
			t.Error("refused after the outage")
		}
		want[traceID(1000)] = true
		stop()
		if diff := cmp.Diff(want, c.ids()); diff != "" {
			t.Errorf("stored (-accepted +stored):\n%s", diff)
		}
		if s := r.Stats(); refused == 0 || s.SinkErrors != 0 || s.Retries < 10 || s.Retries > 100 || s.Bytes != 0 {
			t.Errorf("%d refused, stats %+v", refused, s)
		}
	})
}

// One trace that can never be stored is given up; the others are not held up by it.
func TestATraceThatCannotBeStoredIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collected
		r := newReceiver(Options{Sink: func(ctx context.Context, d trace.Document) error {
			if d.TraceID == traceID(0) {
				return errors.New("refused")
			}
			return c.sink(ctx, d)
		}})
		defer run(r)()
		for n := range 200 {
			mustPost(t, r, "/v1/traces", spanJSON(n, 1, 0, failed))
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		if s := r.Stats(); s.SinkErrors != 1 || s.Kept < 190 || s.Retries != maxAttempts-1 {
			t.Errorf("stats %+v", s)
		}
	})
}

func zipped(s string) string {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	_, _ = zw.Write([]byte(s))
	_ = zw.Close()
	return b.String()
}

func TestRequestsThatAreNotTakenIn(t *testing.T) {
	r := newReceiver(Options{Sink: (&collected{}).sink, MaxBody: 4096, MaxDecoded: 8192})
	for _, tc := range []struct {
		name, method, path, media, encoding, body string
		status, code                              int
	}{
		{"no JSON", "POST", "/v1/traces", "application/json", "", `{"resourceSpans":[`, 400, 3},
		{"no object", "POST", "/v1/traces", "application/json", "", `[]`, 400, 3},
		{"wrong type", "POST", "/v1/traces", "application/json", "", `{"resourceSpans":{}}`, 400, 3},
		{"wrong element", "POST", "/v1/logs", "application/json", "", `{"resourceLogs":[1]}`, 400, 3},
		{"no protobuf", "POST", "/v1/traces", "application/x-protobuf", "", "\xff\xff", 400, 3},
		{"no gzip", "POST", "/v1/traces", "application/x-protobuf", "gzip", "plain", 400, 3},
		{"gzip cut off", "POST", "/v1/traces", "application/json", "gzip", zipped(`{"resourceSpans":[]}`)[:20], 400, 3},
		{"too large", "POST", "/v1/traces", "application/json", "", strings.Repeat(" ", 5000), 413, 8},
		{"too large when unpacked", "POST", "/v1/traces", "application/json", "gzip", zipped(strings.Repeat(" ", 1<<20)), 413, 8},
		{"unknown type", "POST", "/v1/traces", "text/plain", "", `{}`, 415, 3},
		{"no type", "POST", "/v1/traces", "", "", `{}`, 415, 3},
		{"unknown encoding", "POST", "/v1/traces", "application/json", "br", `{}`, 415, 3},
		{"unknown path", "POST", "/v1/metrics", "application/json", "", `{}`, 404, 12},
		{"GET", "GET", "/v1/traces", "application/json", "", "", 405, 12},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body))
			req.Header.Set("Content-Type", tc.media)
			if tc.encoding != "" {
				req.Header.Set("Content-Encoding", tc.encoding)
			}
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			if w.Code != tc.status {
				t.Errorf("status %d, want %d", w.Code, tc.status)
			}
			code, message := 0, ""
			if strings.Contains(tc.media, "protobuf") {
				code, message = protoStatus(t, w.Body.Bytes())
			} else {
				var body struct {
					Code    int    `json:"code"`
					Message string `json:"message"`
				}
				if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
					t.Fatalf("%v in %s", err, w.Body)
				}
				code, message = body.Code, body.Message
			}
			if code != tc.code || message == "" {
				t.Errorf("code %d %q, want %d", code, message, tc.code)
			}
		})
	}
}

// A small body that unpacks to millions of empty items is refused before they are decoded;
// one of as many bytes of text is not.
func TestManyEmptyItemsAreRefused(t *testing.T) {
	const size = 8 << 20
	r := newReceiver(Options{Sink: (&collected{}).sink, MaxBody: 32 << 20})
	text := strings.Replace(spanJSON(1, 1, 0, failed), `"chat"`, `"`+strings.Repeat(`{\"a\":[1,2]},`, size/12)+`"`, 1)
	for _, tc := range []struct {
		name, media, body string
		want              int
	}{
		{"JSON objects", "application/json", `{"resourceSpans":[` + strings.Repeat("{},", size/3) + `{}]}`, 413},
		{"JSON numbers", "application/json", `{"x":[` + strings.Repeat("1,", size/2) + `1]}`, 413},
		{"JSON in a text", "application/json", text, 200},
		{"protobuf", "application/x-protobuf", strings.Repeat("\x0a\x00", size/2), 413},
		{"protobuf of text", "application/x-protobuf", string(protowire.AppendString([]byte{0x7a}, strings.Repeat("\x0a\x00", size/2))), 200}, // of an unknown field
	} {
		t.Run(tc.name, func(t *testing.T) {
			if w := post(t, r, "/v1/traces", tc.media, tc.body); w.Code != tc.want {
				t.Errorf("status %d, want %d", w.Code, tc.want)
			}
		})
	}
}

// Bodies that are decompressed at the same time share a bound: what is more is told to come
// again, and finds room once the others are done.
func TestUnpackedBodiesShareABound(t *testing.T) {
	const most = 1 << 18
	r := newReceiver(Options{Sink: (&collected{}).sink, MaxDecoded: most})
	big := []byte(zipped(strings.Repeat(" ", most-10)))
	var held []int64
	for {
		body, no := r.unpack(big)
		held = append(held, int64(cap(body)))
		if n := r.unpacked.Load(); n > unpackedBodies*(most+1) {
			t.Fatalf("%d bytes are held", n)
		}
		if no != nil {
			if no.status != http.StatusServiceUnavailable || len(held) < 2 {
				t.Errorf("body %d: %+v", len(held), no)
			}
			break
		}
	}
	for _, n := range held {
		r.unpacked.Add(-n)
	}
	for range 2 { // whatever becomes of it, a request gives back what it took
		for _, encoding := range []string{"gzip", "identity", "br"} {
			for _, body := range []string{zipped("{}"), zipped(strings.Repeat(" ", 2*most)), zipped("{}")[:15], "{}", string(big)} {
				req := httptest.NewRequest(http.MethodPost, "/v1/traces", strings.NewReader(body))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Content-Encoding", encoding)
				r.ServeHTTP(httptest.NewRecorder(), req)
			}
		}
	}
	if n := r.unpacked.Load(); n != 0 {
		t.Errorf("%d bytes are held at the end", n)
	}
}

// protoStatus reads a google.rpc.Status.
func protoStatus(t *testing.T, b []byte) (code int, message string) {
	t.Helper()
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		b = b[max(n, 0):]
		switch {
		case n < 0:
			t.Fatalf("no protobuf: %q", b)
		case field == 1 && typ == protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			code, b = int(v), b[n:]
		case field == 2 && typ == protowire.BytesType:
			v, n := protowire.ConsumeString(b)
			message, b = v, b[n:]
		default:
			t.Fatalf("field %d of type %d", field, typ)
		}
	}
	return code, message
}

func TestItemsWithoutTraceIDAreRejectedAlone(t *testing.T) {
	r := newReceiver(Options{Sink: (&collected{}).sink})
	body := strings.Replace(spanJSON(1, 1, 0, ""), `"traceId":"`+traceID(1)+`"`, `"traceId":"00000000000000000000000000000000"`, 1)
	w := post(t, r, "/v1/traces", "application/json", body)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"partialSuccess":{"rejectedSpans":"1"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if s := r.Stats(); s.Rejected != 1 || s.OpenTraces != 0 {
		t.Errorf("stats %+v", s)
	}
}

// newProvider returns the SDK's tracer provider with its own OTLP exporter, pointed at url
// as OTEL_EXPORTER_OTLP_ENDPOINT would.
func newProvider(t testing.TB, url string, batch int) *sdk.TracerProvider {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	exp, err := otlptracehttp.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sdk.NewTracerProvider(sdk.WithBatcher(exp, sdk.WithMaxExportBatchSize(batch), sdk.WithMaxQueueSize(1<<16), sdk.WithBlocking()))
}

func TestTheSDKsExporterIsReceived(t *testing.T) {
	got := make(chan trace.Document, 1)
	r := newReceiver(Options{Grace: 50 * time.Millisecond, Sink: func(_ context.Context, d trace.Document) error {
		got <- d
		return nil
	}})
	srv := httptest.NewServer(r)
	defer srv.Close()
	defer run(r)()
	tp := newProvider(t, srv.URL, 2)
	tracer := tp.Tracer("test")
	ctx, root := tracer.Start(t.Context(), "invoke_agent desk", oteltrace.WithAttributes(attribute.String("gen_ai.operation.name", "invoke_agent")))
	for i := range 3 {
		_, sp := tracer.Start(ctx, "execute_tool find", oteltrace.WithAttributes(
			attribute.String("gen_ai.operation.name", "execute_tool"), attribute.String("gen_ai.tool.name", "find"),
			attribute.String("gen_ai.tool.call.arguments", fmt.Sprintf(`{"n":%d}`, i)), attribute.StringSlice("list", []string{"a", "b"}),
			attribute.Float64("ratio", 0.5), attribute.Bool("retry", true)))
		if i == 2 {
			sp.RecordError(errors.New("connection refused"))
			sp.SetStatus(codes.Error, "connection refused")
		}
		sp.End()
	}
	root.End()
	if err := tp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var doc trace.Document
	select {
	case doc = <-got:
	case <-time.After(time.Minute):
		t.Fatal("no trace came")
	}
	tr, err := trace.Decode(doc.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.Steps) != 4 || tr.Steps[3].Err == nil || tr.Steps[3].Err.Message != "connection refused" || tr.Steps[3].Tool.Args != `{"n":2}` || tr.Steps[0].Kind != trace.KindAgent {
		t.Errorf("decoded %+v", tr.Steps)
	}
	if doc.TraceID != root.SpanContext().TraceID().String() {
		t.Errorf("trace id %s", doc.TraceID)
	}
}

// The rate at which the SDK's exporter, its receiver and the decision what to keep run in
// one process; every failed trace must arrive.
func BenchmarkReceiveFromSDK(b *testing.B) {
	const perTrace = 10
	var mu sync.Mutex
	kept := map[string]bool{}
	r := newReceiver(Options{Grace: 20 * time.Millisecond, Decides: signalDecides, Sink: func(_ context.Context, d trace.Document) error {
		mu.Lock()
		defer mu.Unlock()
		kept[d.TraceID] = true
		return nil
	}})
	srv := httptest.NewServer(r)
	defer srv.Close()
	stop := run(r)
	tp := newProvider(b, srv.URL, 512)
	tracer := tp.Tracer("bench")
	want := map[string]bool{}
	content := strings.Repeat("What is the state of order 17? ", 10)
	n := 0
	for b.Loop() {
		ctx, root := tracer.Start(context.Background(), "invoke_agent desk")
		for i := range perTrace - 1 {
			_, sp := tracer.Start(ctx, "chat m-1", oteltrace.WithAttributes(
				attribute.String("gen_ai.operation.name", "chat"),
				attribute.String("gen_ai.input.messages", `[{"role":"user","parts":[{"type":"text","content":"`+content+`"}]}]`)))
			if n%20 == 0 && i == 4 {
				sp.SetStatus(codes.Error, "429")
				want[root.SpanContext().TraceID().String()] = true
			}
			sp.End()
		}
		root.End()
		n++
	}
	if err := tp.Shutdown(context.Background()); err != nil {
		b.Fatal(err)
	}
	stop()
	b.ReportMetric(float64(n*perTrace)/b.Elapsed().Seconds(), "spans/s")
	if diff := cmp.Diff(want, kept); diff != "" {
		b.Errorf("failed traces (-sent +kept):\n%s", diff)
	}
	if s := r.Stats(); s.Spans != int64(n*perTrace) {
		b.Errorf("%d spans arrived of %d", s.Spans, n*perTrace)
	}
}

func FuzzRequests(f *testing.F) {
	f.Add([]byte(spanJSON(1, 1, 0, failed)), false, false)
	f.Add([]byte(logJSON(1, 1, "x")), false, true)
	f.Add([]byte("\x0a\x02\x12\x00"), true, false)
	f.Fuzz(func(t *testing.T, body []byte, protobuf, logs bool) {
		r := newReceiver(Options{Sink: func(context.Context, trace.Document) error { return nil }, Decides: always})
		stop := run(r)
		media, path := "application/json", "/v1/traces"
		if protobuf {
			media = "application/x-protobuf"
		}
		if logs {
			path = "/v1/logs"
		}
		w := post(t, r, path, media, string(body))
		if w.Code != 200 && w.Code != 400 {
			t.Errorf("answer %d", w.Code)
		}
		stop()
		if s := r.Stats(); s.Bytes != 0 || s.OpenTraces != 0 || s.SinkErrors != 0 {
			t.Errorf("stats after the end: %+v", s)
		}
	})
}

// Senders that are slow with their bodies keep nobody else from being served.
func TestSlowSendersBlockNobody(t *testing.T) {
	var c collected
	r := newReceiver(Options{Sink: c.sink, MaxRequests: 2})
	for range 8 {
		in, out := io.Pipe()
		defer out.Close()
		req := httptest.NewRequest(http.MethodPost, "/v1/traces", in)
		req.Header.Set("Content-Type", "application/json")
		go r.ServeHTTP(httptest.NewRecorder(), req)
		if _, err := out.Write([]byte("{")); err != nil { // it is being read now
			t.Fatal(err)
		}
	}
	mustPost(t, r, "/v1/traces", spanJSON(0, 1, 0, failed))
	if got := r.reading.Load(); got <= 0 || got > 8*8<<10 {
		t.Errorf("bodies that are read take %d bytes", got)
	}
}

// What is no OTLP is told so, and what is right beside it is taken in.
func TestMalformedRequests(t *testing.T) {
	var c collected
	r := newReceiver(Options{Sink: c.sink})
	for _, tt := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"resourceSpans":[{"scopeSpans":5}]}`, 400, `"OTLP request: resourceSpans[0].scopeSpans must be an array"`},
		{`{"resourceSpans":[{"scopeSpans":[7]}]}`, 400, `resourceSpans[0].scopeSpans[0] must be an object`},
		{`{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}`, 400, `resourceSpans[0].scopeSpans[0].spans must be an array`},
		{`{"resourceSpans":[{"scopeSpans":[{"spans":[5]}]}]}`, 400, `resourceSpans[0].scopeSpans[0].spans[0] must be an object`},
		{strings.Replace(spanJSON(0, 1, 0, ""), `"spans":[`, `"spans":[5,`, 1), 200, `"rejectedSpans":"1"`},
		{`{"resourceSpans":[]}`, 200, `{}`},
		{`{"resourceSpans":[{"scopeSpans":[{"spans":[]}]}]}`, 200, `{}`},
	} {
		w := post(t, r, "/v1/traces", "application/json", tt.body)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s: %d %s, want %d and %s", tt.body, w.Code, w.Body, tt.status, tt.says)
		}
	}
}

// What comes after a failed trace was stored is stored, too, whether it failed or not.
func TestLateSpansOfAKeptTraceAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collected
		r := newReceiver(Options{Sink: c.sink})
		stop := run(r)
		mustPost(t, r, "/v1/traces", spanJSON(0, 1, 0, failed))
		time.Sleep(time.Minute)
		mustPost(t, r, "/v1/traces", spanJSON(0, 2, 1, ""))
		mustPost(t, r, "/v1/traces", spanJSON(1, 2, 1, ""))
		stop()
		if s := r.Stats(); s.Kept != 2 || s.Dropped != 1 {
			t.Errorf("%d parts kept and %d dropped, want 2 and 1", s.Kept, s.Dropped)
		}
	})
}
