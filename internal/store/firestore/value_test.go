package firestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// checkStorable reports what Firestore would refuse in a value.
func checkStorable(v any, depth int) error {
	if depth > 20 {
		return fmt.Errorf("nested %d levels deep", depth)
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if k == "" || len(k) > 1500 || len(k) >= 4 && strings.HasPrefix(k, "__") && strings.HasSuffix(k, "__") {
				return fmt.Errorf("a field is called %.20q", k)
			}
			if err := checkStorable(e, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, e := range v {
			if _, ok := e.([]any); ok {
				return errors.New("an array directly inside an array")
			}
			if err := checkStorable(e, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// roundTrip takes a payload to Firestore's types and back.
func roundTrip(payload string) (got string, stored any, err error) {
	fields, err := document(evalforge.RawTrace{TraceID: "a", Payload: json.RawMessage(payload)})
	if err != nil {
		return "", nil, err
	}
	var back evalforge.RawTrace
	if err := json.Unmarshal(toJSON(fields), &back); err != nil {
		return "", nil, err
	}
	return string(back.Payload), fields["trace_payload"], nil
}

// differ compares two JSON texts by value, with exact numbers. It says in which texts
// they differ, or "". (A structural diff takes exponential time on deep nesting.)
func differ(t interface{ Fatalf(string, ...any) }, want, got string) string {
	var canonical [2]string
	for i, text := range []string{want, got} {
		v, err := store.ParseNative([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		b, err := store.Encode(v)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		canonical[i] = string(b)
	}
	if canonical[0] == canonical[1] {
		return ""
	}
	return fmt.Sprintf("-%.200s\n+%.200s", canonical[0], canonical[1])
}

func TestPayloadsAreStoredWithoutLoss(t *testing.T) {
	for _, payload := range []string{
		`{"a":[[1,[2]],[[]],{"b":[[3]]}]}`, `{"":1}`, `{"__x__":{"__y__":[]}}`, `{"~json":"[1]"}`, `{"~json":"[1]","b":1}`, `{"~json":{"~json":"x"}}`,
		`{"n":[0,-0,1.0,-0.0,1E5,1e400,12345678901234567890,0.1,0.10,1e-7,9223372036854775807,-9223372036854775808,1e21,100000000000000000000]}`,
		`[[1]]`, `"text"`, `null`, `1.50`, `{}`, `[]`, `{"` + strings.Repeat("k", 1501) + `":1}`,
		strings.Repeat(`{"a":[`, 40) + strings.Repeat(`]}`, 40), strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40),
		`{"html":"<b>&\u2028\u0000"}`,
	} {
		got, stored, err := roundTrip(payload)
		if err != nil {
			t.Errorf("%.60s: %v", payload, err)
			continue
		}
		if d := differ(t, payload, got); d != "" {
			t.Errorf("%.60s became %.60s (-want +got):\n%s", payload, got, d)
		}
		if err := checkStorable(stored, 1); err != nil {
			t.Errorf("%.60s: %v", payload, err)
		}
	}
}

// jsonValue draws any JSON value.
func jsonValue(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.StringMatching(`-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?`), func(s string) any { return json.Number(s) }),
	)
	if depth == 0 {
		return leaf
	}
	key := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "__a__", store.WrapKey, "a.b", "`", "____"}))
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return jsonValue(depth - 1) }), 0, 3), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(key, rapid.Deferred(func() *rapid.Generator[any] { return jsonValue(depth - 1) }), 0, 3), func(m map[string]any) any { return m }))
}

func TestAnyPayloadIsStoredWithoutLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := jsonValue(4).Draw(t, "value")
		for range rapid.SampledFrom([]int{0, 0, 15, 16, 17, 18, 19, 20, 21}).Draw(t, "deeper") {
			v = map[string]any{"d": v}
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, stored, err := roundTrip(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if d := differ(t, string(text), got); d != "" {
			t.Errorf("%s became %s (-want +got):\n%s", text, got, d)
		}
		if err := checkStorable(stored, 1); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		a, b := evalforge.RawTrace{Payload: text}, evalforge.RawTrace{Payload: json.RawMessage(got)}
		if a.Digest() != b.Digest() {
			t.Errorf("%s: the stored payload has another digest", text)
		}
	})
}

// FuzzStoredDocument: whatever JSON a field holds, it can be stored, and read back as it was.
func FuzzStoredDocument(f *testing.F) {
	for _, s := range []string{`{"a":[[1.0]]}`, `[1E9]`, `{"__a__":{"~json":"1"}}`, `"\ud800"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		if !json.Valid([]byte(payload)) {
			return
		}
		got, stored, err := roundTrip(payload)
		if err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		if d := differ(t, payload, got); d != "" {
			t.Errorf("%q became %q (-want +got):\n%s", payload, got, d)
		}
		if err := checkStorable(stored, 1); err != nil {
			t.Errorf("%q: %v", payload, err)
		}
	})
}

// The estimate of a document's size is Firestore's: what is just under the limit is
// stored, and what is over it is refused before it is sent, as oversize.
func TestOversize(t *testing.T) {
	db := open(t, emulator.Project())
	put := func(n int) error {
		tr := raw("big", 0)
		tr.Payload = fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", n))
		_, err := db.PutTrace(t.Context(), tr)
		return err
	}
	if err := put(store.MaxNative - 1000); err != nil {
		t.Errorf("a document just under the limit: %v", err)
	}
	for _, n := range []int{store.MaxNative, 3 * store.MaxNative} {
		if err := put(n); extract.KindOf(err) != extract.KindOversize {
			t.Errorf("a payload of %d bytes: got error %v of kind %s, want oversize", n, err, extract.KindOf(err))
		}
	}
	claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "r", Limit: 1, Now: minute(1), LeaseUntil: minute(2), NewToken: func() string { return "t" }})
	if err != nil || len(claims) != 1 {
		t.Fatalf("got %d claims and error %v", len(claims), err)
	}
	p := evalforge.Pattern{PatternID: evalforge.PatternID("big"), SourceTraceID: "big", Analysis: analysis(), ExtractedAt: evalforge.At(minute(2))}
	p.Provenance.Warnings = []string{strings.Repeat("x", store.MaxNative)}
	err = db.Commit(t.Context(), claims[0].Lease, extract.Result{Pattern: &p, Digest: claims[0].Digest, At: minute(2)})
	if extract.KindOf(err) != extract.KindOversize {
		t.Errorf("a pattern over the limit: got error %v, want oversize", err)
	}
	p.Provenance.Warnings = nil
	if err := db.Commit(t.Context(), claims[0].Lease, extract.Result{Pattern: &p, Digest: claims[0].Digest, At: minute(2)}); err != nil {
		t.Errorf("the lease is still held, but: %v", err)
	}
}
