package store

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
)

// nativeSize is what JSONSize measures, in the long way.
func nativeSize(t interface{ Fatalf(string, ...any) }, doc []byte) int {
	v, err := ParseNative(doc)
	if err != nil {
		t.Fatalf("%.200s: %v", doc, err)
	}
	if v, err = Native(v, 1); err != nil {
		t.Fatalf("%.200s: %v", doc, err)
	}
	return NativeSize(v)
}

func TestJSONSize(t *testing.T) {
	for _, doc := range []string{
		`null`, `true`, `[]`, `{}`, `0`, `-0`, `1.50`, `1e400`, `9223372036854775808`, `12345678901234567890123`, `0.1`, `1E5`,
		`"a\"\\\n\u0000é\u00e9\ud83d\ude00\ud83d x\ud83d\ud83d"`, "\"\xff\xfe\"", `"\ud83d"`,
		`[1, 2 , [3, [4]], [[]]]`, `{"a":[[1,[2]],[[]],{"b":[[3]]}]}`, `{"":1}`, `{"__x__":{"__y__":[]}}`, `{"\u005f_x__":1}`,
		`{"~json":"[1]"}`, `{"~json":"[1]","b":1}`, `{"\u007ejson":1}`, `{"` + strings.Repeat("k", 1501) + `":1}`,
		strings.Repeat(`{"a":[`, 40) + strings.Repeat(`]}`, 40), strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40),
	} {
		if got, want := JSONSize([]byte(doc)), nativeSize(t, []byte(doc)); got != want {
			t.Errorf("%.60s: %d, want %d", doc, got, want)
		}
	}
}

// anyJSON draws any JSON value.
func anyJSON(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.StringMatching(`-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?`), func(s string) any { return json.Number(s) }),
	)
	if depth == 0 {
		return leaf
	}
	inner := rapid.Deferred(func() *rapid.Generator[any] { return anyJSON(depth - 1) })
	key := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "__a__", WrapKey, "a.b", "____"}))
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(inner, 0, 3), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(key, inner, 0, 3), func(m map[string]any) any { return m }))
}

func TestJSONSizeOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyJSON(4).Draw(t, "value")
		for range rapid.SampledFrom([]int{0, 15, 16, 17, 18, 21}).Draw(t, "deeper") {
			v = map[string]any{"d": v}
		}
		doc, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		got, want := JSONSize(doc), nativeSize(t, doc)
		if got != want {
			t.Errorf("%s: %d, want %d", doc, got, want)
		}
		if got > widest*len(doc)+widest {
			t.Errorf("%s: %d bytes of JSON take %d", doc, len(doc), got)
		}
	})
}

// A trace whose payload has just the room that there is can be stored.
func TestPayloadRoom(t *testing.T) {
	raw := evalforge.RawTrace{TraceID: strings.Repeat("t", 1500), ServiceName: strings.Repeat("s", 100_000)}
	room := PayloadRoom(raw)
	raw.Payload = json.RawMessage(`"` + strings.Repeat("x", room-1) + `"`)
	doc, err := Encode(raw)
	if err != nil {
		t.Fatal(err)
	}
	const prefixAndProject = 4096
	if got := nativeSize(t, doc); got+len(raw.TraceID)+prefixAndProject > MaxNative || got < MaxNative*8/10 {
		t.Errorf("the document takes %d bytes of %d", got, MaxNative)
	}
}

func FuzzJSONSize(f *testing.F) {
	f.Add([]byte(`{"a":[[1,{"b":"\ud83d\u0000"}]],"__x__":-0}`))
	f.Add([]byte(`{"a" 1 ]}"\u12`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		got := JSONSize(doc) // must end, whatever it is given
		if json.Valid(doc) && got < nativeSize(t, doc) {
			t.Errorf("%q: %d, want at least %d", doc, got, nativeSize(t, doc))
		}
	})
}
