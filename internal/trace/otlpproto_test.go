package trace

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

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
			framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
			zw, err := zstd.NewWriter(nil)
			if err != nil {
				t.Fatal(err)
			}
			for how, file := range map[string][]byte{"plain": b, "framed": framed, "zstd": zw.EncodeAll(b, nil)} {
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

func TestBrokenProtobufIsReported(t *testing.T) {
	valid := protoOf(t, []byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"name":"no ids"}]}]}]}`))
	for name, file := range map[string][]byte{
		"no ids":       valid,
		"cut off":      valid[:len(valid)-3],
		"frame cut":    append(binary.BigEndian.AppendUint32(nil, 1000), valid...),
		"frame header": {0, 0, 0, 9, 0x0a, 1, 2, 3},
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
