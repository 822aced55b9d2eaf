package trace

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// protoOf returns an OTLP JSON export in protobuf. protojson wants ids in base64.
func protoOf(t testing.TB, payload []byte) []byte {
	t.Helper()
	v, err := parseJSON(payload)
	if err != nil {
		t.Fatal(err)
	}
	var fix func(v any)
	fix = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				fix(e)
			}
		case map[string]any:
			for k, e := range v {
				switch k {
				case "traceId", "spanId", "parentSpanId":
					id, err := hex.DecodeString(e.(string))
					if err != nil {
						t.Fatal(err)
					}
					v[k] = base64.StdEncoding.EncodeToString(id)
				case "intValue": // some exporters write numbers
					if n, ok := e.(json.Number); ok {
						v[k] = n.String()
					}
				default:
					fix(e)
				}
			}
		}
	}
	fix(v)
	var request tracepb.ExportTraceServiceRequest
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(canonical(v)), &request); err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(&request)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is decoded does not depend on the encoding that an exporter chose.
func TestProtobufIsDecodedAsJSONIs(t *testing.T) {
	for _, name := range []string{"openinference", "vercel", "traceloop", "traceloop_legacy", "langsmith_otel"} {
		t.Run(name, func(t *testing.T) {
			payload, err := os.ReadFile(filepath.Join("testdata/decode", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			want, err := Decode(payload)
			if err != nil {
				t.Fatal(err)
			}
			b := protoOf(t, payload)
			zw, err := zstd.NewWriter(nil)
			if err != nil {
				t.Fatal(err)
			}
			for how, file := range map[string][]byte{
				"plain": b, "framed": framed(b), "zstd": zw.EncodeAll(b, nil), "zstd around frames": zw.EncodeAll(framed(b), nil),
				"zstd in frames": framed(zw.EncodeAll(b, nil)), "JSON in frames": framed(zw.EncodeAll(payload, nil)),
			} {
				var docs []Document
				for d, err := range Split("spans.pb", bytes.NewReader(file), SplitOptions{}) {
					if err != nil {
						t.Fatalf("%s: %v", how, err)
					}
					docs = append(docs, d)
				}
				if len(docs) != 1 {
					t.Fatalf("%s: %d documents", how, len(docs))
				}
				got, err := Decode(docs[0].Payload)
				if err != nil {
					t.Fatal(err)
				}
				for i := range got.Steps { // scopes are joined, so that positions differ
					got.Steps[i].Source, want.Steps[i].Source = "", ""
				}
				if diff := cmp.Diff(describe(want), describe(got)); diff != "" {
					t.Errorf("%s (-JSON +protobuf):\n%s", how, diff)
				}
			}
		})
	}
}

// A text that an emitter cut within a rune costs that rune, not the spans of the request.
func TestProtobufWithBadUTF8IsRead(t *testing.T) {
	b := protoOf(t, []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[
		{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","name":"one Z","attributes":[{"key":"output.value","value":{"stringValue":"cafÃZZ"}}]},
		{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b8","name":"two","status":{"code":2,"message":"boom"}}]}]}]}`))
	b = bytes.ReplaceAll(b, []byte("Z"), []byte{0xc3})
	for name, read := range map[string]func() ([]OTLPPart, error){
		"request": func() ([]OTLPPart, error) { parts, _, err := OTLPProto(b, false); return parts, err },
		"file":    func() ([]OTLPPart, error) { return protoParts(b) },
	} {
		parts, err := read()
		if err != nil || len(parts) != 1 || parts[0].Items != 2 || !parts[0].Failed {
			t.Fatalf("%s: %+v, %v", name, parts, err)
		}
		tr, err := Decode(JoinOTLP(parts[0].Resources, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := []string{tr.Steps[0].Name, tr.Steps[0].Output, tr.Steps[1].Name}, []string{"one ?", "cafÃ??", "two"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if _, _, err := OTLPProto([]byte("\x0a\xff"), false); err == nil {
		t.Error("what is no protobuf is read")
	}
}

// framed returns messages as the Collector's file exporter writes them, each after its
// length.
func framed(messages ...[]byte) []byte {
	var b []byte
	for _, m := range messages {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(m))), m...)
	}
	return b
}

// A file is read message by message, and one that is a single message resource by resource:
// however long it is, no more than that is held. What is too long is left out, and said.
func TestProtobufFilesAreStreamed(t *testing.T) {
	message := func(trace, length int) []byte {
		return protoOf(t, fmt.Appendf(nil, `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","name":%q}]}]}]}`, trace, trace, strings.Repeat("n", length)))
	}
	var messages [][]byte
	for i := range 100 {
		messages = append(messages, message(i+1, 5_000))
	}
	const long = "message 51 is over 0 MiB long; export in smaller batches"
	for name, file := range map[string][]byte{"messages": framed(messages...), "fields of one": bytes.Join(messages, nil)} {
		for _, limit := range []int{6_000, 4_000} {
			var found int
			var errs []string
			for _, err := range Split("f", iotest.OneByteReader(bytes.NewReader(file)), SplitOptions{MaxDocument: limit}) {
				if found++; err != nil {
					errs = append(errs, err.Error())
				}
			}
			if found != 100 || limit == 6_000 && len(errs) > 0 || limit == 4_000 && len(errs) != 100 {
				t.Errorf("%s, at most %d bytes each: %d results, %d errors: %.1q", name, limit, found, len(errs), errs)
			}
		}
	}
	messages[50] = message(51, 50_000)
	var errs []string
	traces := 0
	for _, err := range Split("f", bytes.NewReader(framed(messages...)), SplitOptions{MaxDocument: 6_000}) {
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		traces++
	}
	if diff := cmp.Diff([]string{"f: " + long}, errs); diff != "" || traces != 99 {
		t.Errorf("%d traces, want 99; errors (-want +got):\n%s", traces, diff)
	}
}

func TestBrokenProtobufIsReported(t *testing.T) {
	valid := protoOf(t, []byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"name":"no ids"}]}]}]}`))
	for name, file := range map[string][]byte{
		"no ids":       valid,
		"cut off":      valid[:len(valid)-3],
		"frame cut":    append(binary.BigEndian.AppendUint32(nil, 1000), valid...),
		"frame header": {0, 0, 0, 9, 0x0a, 1, 2, 3},
		"broken zstd":  framed(append(slices.Clone(zstdMagic), 1, 2, 3)),
		"empty zstd":   framed([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0}),
		"other fields": append(slices.Clone(valid), 0x12, 1, 0),
	} {
		n := 0
		for _, err := range Split(name, bytes.NewReader(file), SplitOptions{}) {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			n++
		}
		if n == 0 {
			t.Errorf("%s: nothing reported", name)
		}
	}
}

func FuzzOTLPProto(f *testing.F) {
	for _, name := range []string{"openinference", "traceloop_legacy"} {
		payload, err := os.ReadFile(filepath.Join("testdata/decode", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(protoOf(f, payload), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, logs bool) {
		parts, _, err := OTLPProto(b, logs)
		if err != nil {
			return
		}
		for _, p := range parts {
			payload := JoinOTLP(p.Resources, nil)
			if logs {
				payload = JoinOTLP(nil, p.Resources)
			}
			if !json.Valid(payload) {
				t.Fatalf("no JSON: %q", payload)
			}
			again, _, err := OTLPJSON(payload, logs)
			if err != nil || len(again) != 1 || again[0].TraceID != p.TraceID || again[0].Items != p.Items || again[0].Root != p.Root || again[0].Failed != p.Failed {
				t.Errorf("read again as JSON: %+v, %v; want %+v", again, err, p)
			}
			tr, err := Decode(payload)
			if err != nil {
				t.Fatal(err)
			}
			checkTrace(t, tr)
		}
	})
}

// Every decoder takes whatever it is given: no panic, a trace that keeps its promises, and
// the same again from the same bytes.
func FuzzDecoders(f *testing.F) {
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for i, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, i)
	}
	n := 0
	for _, payload := range adversarial() {
		if len(payload) < 1<<16 {
			n++
			f.Add([]byte(payload), n)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte, n int) {
		v, err := (*workspace)(nil).parseDocument(payload, true)
		if err != nil || len(payload) > 1<<17 {
			return
		}
		// Each decoder on its own, also on what it does not recognise but another might
		// hand to it.
		ds := decoders()
		d := ds[max(n%len(ds), 0)]
		if d.match(v) {
			b := newBuilder(new(workspace))
			b.t.Format = d.format
			d.decode(b, v)
			if len(b.t.Steps) > 0 {
				checkTrace(t, b.t)
			}
		}
		tr, err := Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		checkTrace(t, tr)
		again, _ := Decode(payload)
		if diff := cmp.Diff(describe(tr), describe(again)); diff != "" {
			t.Errorf("decoded differently the second time:\n%s", diff)
		}
		for _, budget := range []int{MinBudget, 8 << 10} {
			c := Compact(tr, budget)
			if len(c.JSON) > budget || !json.Valid(c.JSON) {
				t.Errorf("budget %s: %d bytes, or no JSON", strconv.Itoa(budget), len(c.JSON))
			}
		}
	})
}
