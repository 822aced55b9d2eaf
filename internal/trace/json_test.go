package trace

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// jsonSeeds are texts at the edges of JSON's grammar.
var jsonSeeds = []string{
	`{}`, `[]`, `{"a":1,"a":2}`, `[1,-0,0.5,1e9,-1E-2,1.0e+3]`, `01`, `1.`, `-`, `+1`, `.5`, `1e`, `"\u00e9\ud83d\ude00\ud800x\udc00"`, `"\ud800\ud800\udc00"`,
	`"\x"`, `"\u12g4"`, "\"\x01\"", "\"\t\"", `"a\"b\\c\/d\b\f\n\r\t"`, `"unterminated`, `{"a"}`, `{"a":}`, `{,}`, `[1,]`, `[1 2]`, `tru`, `nul`, `true`, ` null `, `1 2`, `{"a":1}x`,
	`"1234567\"`, `"12345678"`, `"1234567\u0041"`, `[[[[]]]]`, `{"messages":[{"role":"user","content":"x"},{"role":"user","content":"x"}],"tools":[{"a":1}],"tools":[{"a":1}]}`,
	`{"messages":[{"a":"]}"},{"a":"\""}, 1]}`, "", " ", "\ufeff{}", `{"attributes":[{"key":"a","value":{"stringValue":"b"}}]}`,
}

// The parser gives what encoding/json gives, or nothing.
func FuzzParserAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add(s)
	}
	f.Add(strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001))
	f.Fuzz(func(t *testing.T, s string) {
		if s = strings.ToValidUTF8(s, ""); len(s) > 1<<16 {
			return
		}
		want, err := readJSON(strings.NewReader(s))
		got, ok := (*workspace)(nil).parseFast(s, false)
		if ok != (err == nil) {
			t.Fatalf("parseFast(%q) = %v; encoding/json says %v", s, ok, err)
		}
		if diff := cmp.Diff(want, got); ok && diff != "" {
			t.Errorf("parseFast(%q) (-encoding/json +got):\n%s", s, diff)
		}
		// Decoding OTLP's attributes on the way changes only how they are written.
		if fast, ok := (*workspace)(nil).parseFast(s, true); ok && err == nil && !strings.Contains(s, "attributes") && !strings.Contains(s, "body") {
			if diff := cmp.Diff(want, fast); diff != "" {
				t.Errorf("parseFast(%q, otlp) (-encoding/json +got):\n%s", s, diff)
			}
		}
	})
}

// Attributes mean the same whether they are decoded on the way or afterwards.
func FuzzOTLPAttributes(f *testing.F) {
	for _, s := range []string{
		`[{"key":"a","value":{"stringValue":"b"}}]`, `[{"key":"a","value":{"int_value":"5"}},{"key":"a","value":{"boolValue":true}}]`,
		`[{"key":"a","value":{"arrayValue":{"values":[{"stringValue":"x"},{"doubleValue":1.5}]}}}]`,
		`[{"key":"a","value":{"kvlistValue":{"values":[{"key":"b","value":{"stringValue":"c"}},{"key":"d"}]}}}]`,
		`[{"value":{"stringValue":"b"},"key":"a"}]`, `[{"key":"a","value":"plain"}]`, `[{"key":"a"}]`, `[]`, `{"a":{"b":1}}`, `[{"key":"","value":{"stringValue":"b"}}]`,
		`[{"key":"a","value":{"arrayValue":{}}}]`, `[{"key":"a","value":{"stringValue":"b","intValue":1}}]`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc := `{"attributes":` + strings.ToValidUTF8(s, "") + `}`
		slow, ok := (*workspace)(nil).parseFast(doc, false)
		if !ok || len(doc) > 1<<16 {
			return
		}
		fast, ok := (*workspace)(nil).parseFast(doc, true)
		if !ok {
			t.Fatalf("%q is read only without the attributes", doc)
		}
		want, got := attributes(slow.(map[string]any)["attributes"]), attributes(fast.(map[string]any)["attributes"])
		if diff := cmp.Diff(want, got, cmp.Transformer("map", func(m attrMap) map[string]any { return m })); diff != "" {
			t.Errorf("attributes of %q (-afterwards +on the way):\n%s", doc, diff)
		}
	})
}
