package gemini

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

func decoder(t testing.TB) *Analyzer {
	t.Helper()
	s, err := evalforge.AnalysisSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Analyzer{answer: s}
}

// edited returns the first example's answer with one field changed; nil removes it.
func edited(t testing.TB, field string, v any) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(prompts.Examples()[0].Answer, &m); err != nil {
		t.Fatal(err)
	}
	if m[field] = v; v == nil {
		delete(m, field)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDecodeForgives(t *testing.T) {
	good := string(prompts.Examples()[0].Answer)
	var want evalforge.Analysis
	if err := json.Unmarshal([]byte(good), &want); err != nil {
		t.Fatal(err)
	}
	a := decoder(t)
	for name, text := range map[string]string{
		"as it is":          good,
		"white space":       "\n\t " + good + " \r\n\n",
		"byte order mark":   "\uFEFF" + good,
		"fence":             "```json\n" + good + "\n```",
		"fence, no tag":     "```\n" + good + "\n```\n",
		"fence on one line": "```json " + good + "```",
		"float index":       strings.Replace(good, `{"index":3}`, `{"index":3.0}`, 1),
		"exponent index":    strings.Replace(good, `{"index":3}`, `{"index":3e0}`, 1),
	} {
		got, f := a.decode(text)
		if f != nil {
			t.Errorf("%s: %v", name, f.err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Everything else is refused, and the error names the field.
func TestDecodeRefuses(t *testing.T) {
	good := string(prompts.Examples()[0].Answer)
	tests := []struct {
		name, text string
		kind       extract.Kind
		want       string
	}{
		{"prose", "Sure! " + good, extract.KindInvalidJSON, "syntax error at byte 1"},
		{"prose after", good + "\nHope this helps.", extract.KindInvalidJSON, "text follows"},
		{"two objects", good + good, extract.KindInvalidJSON, "text follows"},
		{"cut", good[:len(good)/2], extract.KindInvalidJSON, "ends early"},
		{"open fence", "```json\n" + good, extract.KindInvalidJSON, "syntax error"},
		{"null", "null", extract.KindSchema, "the answer is of type null, want object"},
		{"list", "[" + good + "]", extract.KindSchema, "the answer is of type array, want object"},
		{"missing", edited(t, "severity", nil), extract.KindSchema, "severity is missing"},
		{"extra", edited(t, "note", "x"), extract.KindSchema, `unknown field "note"`},
		{"confidence as text", edited(t, "confidence", "0.9"), extract.KindSchema, "confidence is of type string, want number"},
		{"confidence in percent", edited(t, "confidence", 93), extract.KindSchema, "confidence is out of range"},
		{"unknown type", edited(t, "failure_type", "llm_error"), extract.KindSchema, "failure_type is none of the 9 allowed values"},
		{"no actions", edited(t, "recommended_actions", []string{}), extract.KindSchema, "recommended_actions has 0 items, want at least 1"},
		{"engine field", strings.Replace(good, `{"step":2,`, `{"step":2,"verified":true,`, 1), extract.KindSchema, `evidence.refs[0] has an unknown field "verified"`},
		{"fraction", strings.Replace(good, `{"index":2}`, `{"index":3.5}`, 1), extract.KindSchema, "failing_step.index is of type number, want integer"},
		{"huge index", strings.Replace(good, `{"index":2}`, `{"index":1e30}`, 1), extract.KindSchema, "failing_step.index cannot be read as int"},
		{"null text", strings.Replace(good, `"input_pattern":"`, `"input_pattern":null,"x":"`, 1), extract.KindSchema, "reproduction_context.input_pattern is of type null"},
	}
	a := decoder(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, f := a.decode(tt.text)
			if f == nil {
				t.Fatal("accepted")
			}
			if f.kind != tt.kind || !strings.Contains(f.err.Error(), tt.want) {
				t.Errorf("%s: %v; want %s, %q", f.kind, f.err, tt.kind, tt.want)
			}
			if string(f.answer) != tt.text || f.retry {
				t.Errorf("answer kept: %v, retried: %v", string(f.answer) == tt.text, f.retry)
			}
		})
	}
}

// A reason is also told to the model, so it names what is wrong and nothing else.
func TestDecodeNamesOnlyWhatIsWrong(t *testing.T) {
	_, f := decoder(t).decode(edited(t, "confidence", "0.9"))
	if want := "the answer breaks the schema: confidence is of type string, want number"; f == nil || f.err.Error() != want {
		t.Errorf("failure = %+v, want %q", f, want)
	}
}

// Whatever a model writes: no panic, what is accepted meets the schema, and what breaks
// it is explained.
func FuzzDecode(f *testing.F) {
	for _, e := range prompts.Examples() {
		f.Add(string(e.Answer))
		f.Add("```json\n" + string(e.Answer) + "\n```")
	}
	f.Add(edited(f, "confidence", "0.9"))
	f.Add(edited(f, "evidence", map[string]any{"refs": []any{nil, 1, "x"}}))
	f.Add(`{"failing_step":{"index":1e309}}`)
	a := decoder(f)
	f.Fuzz(func(t *testing.T, text string) {
		an, fail := a.decode(text)
		if fail != nil {
			if strings.Contains(fail.err.Error(), "a rule that has no message") {
				t.Errorf("no explanation for %q", text)
			}
			return
		}
		var v any
		if err := json.Unmarshal([]byte(geminitest.Encode(an)), &v); err != nil {
			t.Fatal(err)
		}
		if err := a.answer.Validate(v); err != nil {
			t.Errorf("accepted, but %v", err)
		}
	})
}
