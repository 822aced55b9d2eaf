package trace

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// finished gives cut JSON an end and keeps what stands in it; nothing else is JSON for it.
func TestFinished(t *testing.T) {
	const mark = `"` + CutMark + `"`
	tests := []struct{ in, want string }{
		{`[{"role":"user","text":"delete OR`, `[{"role":"user","text":"delete OR` + CutMark + `"}]`},
		{`[{"role":"user","te`, `[{"role":"user","…":` + mark + `}]`},
		{`[{"role":"user","text":`, `[{"role":"user","…":` + mark + `}]`},
		{`[{"a":"x\u00`, `[{"a":"x` + CutMark + `"}]`},
		{`[{"a":"x\`, `[{"a":"x` + CutMark + `"}]`},
		{`{"a":{"b":[1,2`, `{"a":{"b":[1,` + mark + `]}}`},
		{`{"a":tru`, `{"…":` + mark + `}`},
		{`{"a":true `, `{"a":true,"…":` + mark + `}`},
		{`[`, `[` + mark + `]`},
		{`{`, `{"…":` + mark + `}`},
		{`[1] ...`, `[1]`},
		{`{"a":1}… [truncated]`, `{"a":1}`},
		{`[1] is a list`, ""},
		{`[note`, ""},
		{`[ERROR] the disk is full`, ""},
		{`{]`, ""},
		{`plain`, ""},
		{``, ""},
	}
	for _, tt := range tests {
		got, ok := finished(tt.in)
		if !ok {
			got = ""
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("finished(%q) (-want +got)\n%s", tt.in, diff)
		}
	}
}

// Wherever an emitter cuts JSON, what is left can be read.
func TestFinishedAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab \"\\\n…🙂é[]{},:")), 0, 12, -1)
		doc := []any{map[string]any{"role": "user", text.Draw(t, "key"): text.Draw(t, "text"), "n": -1.5e3, "b": []any{true, nil, map[string]any{}}}, text.Draw(t, "last")}
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, len(b)-1).Draw(t, "length")
		for !utf8.RuneStart(b[n]) { // an SDK cuts between characters
			n--
		}
		cut := string(b[:n])
		got, ok := finished(cut)
		if !ok || !json.Valid([]byte(got)) {
			t.Errorf("finished(%q) = %q, %v; want JSON", cut, got, ok)
		}
		if !IsCut(got) {
			t.Errorf("finished(%q) = %q: nothing says that it was cut", cut, got)
		}
	})
}

func FuzzFinished(f *testing.F) {
	f.Add(`[{"role":"user","content":"x`)
	f.Add(`{"a":{"b":["\ud83d\u`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := finished(s); ok && len(got) > len(s)+maxClosers+len(CutMark)+len(cutField)+8 {
			t.Errorf("%d bytes became %d", len(s), len(got))
		}
		c := &memo{w: new(workspace)}
		c.conversation(s, "user")
		c.cutByEmitter(s)
	})
}

// Arguments that the emitter cut are marked; those that the model did not write to their end
// are still its own mistake.
func TestWhoCutArguments(t *testing.T) {
	const args = `{"item":"peat","reason":"spoiled by the frost of the last week, seen by the clerk on Mon`
	decode := func(limit int) *Trace {
		input := `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat("Write it off. ", 40) + `"}]}]`
		attr := func(k, v string) string {
			b, err := json.Marshal(v[:min(len(v), limit)])
			if err != nil {
				t.Fatal(err)
			}
			return `{"key":"` + k + `","value":{"stringValue":` + string(b) + `}}`
		}
		tr, err := Decode([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[
			{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"0000000000000001","name":"chat","attributes":[` +
			attr("gen_ai.operation.name", "chat") + `,` + attr("gen_ai.input.messages", input) + `]},
			{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"0000000000000002","parentSpanId":"0000000000000001","name":"execute_tool x","attributes":[` +
			attr("gen_ai.operation.name", "execute_tool") + `,` + attr("gen_ai.tool.name", "x") + `,` + attr("gen_ai.tool.call.arguments", args) + `]}]}]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	if io := decode(len(args)).Steps[1].Tool; io.ArgsErr != "" || !IsCut(io.Args) {
		t.Errorf("cut by the emitter: Args %s, ArgsErr %q; want a mark and no error", io.Args, io.ArgsErr)
	}
	if io := decode(1000).Steps[1].Tool; io.ArgsErr == "" || IsCut(io.Args) {
		t.Errorf("not ended by the model: Args %s, ArgsErr %q; want an error and no mark", io.Args, io.ArgsErr)
	}
}
