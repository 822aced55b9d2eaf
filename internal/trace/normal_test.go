package trace

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// maxStored is about what a store has room for, in bytes.
const maxStored = 960 << 10

// The normal form loses nothing of what was decoded.
func TestNormalFormDecodesToTheSameTrace(t *testing.T) {
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no input files: %v", err)
	}
	for _, f := range files {
		payload, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := Normal(want, maxStored, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-before +after):\n%s", f, diff)
		}
		if again, _, err := Normal(got, maxStored, nil); err != nil || string(again) != string(b) {
			t.Errorf("%s: the normal form of the normal form differs", f)
		}
	}
}

func TestNormalFormKeepsItsBoundAndTheErrors(t *testing.T) {
	for _, steps := range []int{1, 300, 3_000} {
		tr := &Trace{ID: "x", Format: FormatOpenAI}
		for i := range steps {
			m := Message{Role: "user", Text: fmt.Sprintf("message %d ", i) + strings.Repeat("ö\x00\"", 300_000/steps)}
			tr.Messages = append(tr.Messages, m)
			s := Step{Index: i, Kind: KindLLM, Name: "m", Out: []int{i}, Tokens: unknownTokens}
			if i == steps/3 {
				s.Status, s.Err = Error, &Failure{Message: "the decisive error"}
			}
			tr.Steps = append(tr.Steps, s)
		}
		for _, limit := range []int{128 << 10, 64 << 10} {
			b, _, err := Normal(tr, limit, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > limit || !json.Valid(b) {
				t.Errorf("%d steps: %d bytes for a limit of %d, or no JSON", steps, len(b), limit)
			}
			got, err := Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			checkTrace(t, got)
			found := false
			for _, s := range got.Steps {
				found = found || s.Err != nil && s.Err.Message == "the decisive error" && s.Index == steps/3
			}
			if !found {
				t.Errorf("%d steps, limit %d: the error is lost", steps, limit)
			}
		}
	}
}

// What is alike in a long trace is stored once, and nothing of it is lost.
func TestNormalFormOfLongTracesLosesNothing(t *testing.T) {
	history := &Trace{ID: "history", Format: FormatLangSmith}
	for i := range 400 {
		history.Messages = append(history.Messages, Message{Role: "user", Text: fmt.Sprint("q", i)})
		s := Step{Index: i, ID: fmt.Sprint("s", i), Kind: KindLLM, Name: "m", Tokens: unknownTokens}
		for m := range i + 1 {
			s.In = append(s.In, m)
		}
		history.Steps = append(history.Steps, s)
	}
	loop := &Trace{ID: "loop", Format: FormatOpenAI}
	for i := range 3_000 {
		id := fmt.Sprint("c", i)
		loop.Messages = append(loop.Messages,
			Message{Role: "assistant", Calls: []Call{{ID: id, Name: "f", Args: `{"a":1}`}}},
			Message{Role: "tool", ToolID: id, Text: "same"})
		loop.Steps = append(loop.Steps,
			Step{Index: 2 * i, Kind: KindLLM, Name: "assistant", In: []int{max(0, 2*i-1)}, Out: []int{2 * i}, Tokens: unknownTokens},
			Step{Index: 2*i + 1, Kind: KindTool, Name: "f", Out: []int{2*i + 1}, Tokens: unknownTokens, Attrs: map[string]string{"in": id, "from": "a", "by": "b"},
				Tool: &ToolIO{CallID: id, Name: "f", Args: `{"a":1}`, Result: "same", HasResult: true}})
	}
	calls := &Trace{ID: "calls", Format: FormatOpenAI, Messages: []Message{{Role: "assistant"}}}
	for i := range 4_000 {
		calls.Messages[0].Calls = append(calls.Messages[0].Calls, Call{ID: fmt.Sprint("c", i), Name: "look up", Args: "{bad", ArgsErr: "is no JSON object"})
	}
	calls.Steps = []Step{{Kind: KindLLM, Out: []int{0}, Tokens: unknownTokens}}
	for _, tt := range []struct {
		trace *Trace
		limit int
	}{{history, 64 << 10}, {loop, 300 << 10}, {calls, 128 << 10}} {
		b, cut, err := Normal(tt.trace, tt.limit, nil)
		if err != nil || cut != (Cut{}) || len(b) > tt.limit {
			t.Errorf("%s: %d bytes, %v was cut, %v", tt.trace.ID, len(b), cut, err)
			continue
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.trace, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-before +after):\n%.2000s", tt.trace.ID, diff)
		}
	}
}

// Whatever entries of a list are, folding them loses nothing.
func TestFoldsAreUndone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaf := rapid.OneOf(
			rapid.Map(rapid.SampledFrom([]string{"", "a", "b"}), func(s string) any { return s }),
			rapid.Map(rapid.IntRange(-3, 3), func(n int) any { return json.Number(fmt.Sprint(n)) }),
			rapid.Just[any](true))
		field := rapid.SampledFrom([]string{"in", "from", "by", "each", "x", "tools"})
		entry := rapid.Custom(func(t *rapid.T) any {
			e := map[string]any{"name": leaf.Draw(t, "name"), "index": leaf.Draw(t, "index")}
			if rapid.Bool().Draw(t, "refers") {
				e["in"] = rapid.SliceOfN(leaf, 0, 3).Draw(t, "in")
			}
			for _, k := range []string{"attributes", "usage"} {
				if rapid.Bool().Draw(t, k) {
					e[k] = rapid.Map(rapid.MapOfN(field, rapid.Map(rapid.SampledFrom([]string{"", "a"}), func(s string) any { return s }), 0, 2), func(m map[string]any) any { return m }).Draw(t, "of "+k)
				}
			}
			if rapid.Bool().Draw(t, "calls") {
				e["calls"] = rapid.SliceOfN(rapid.Map(leaf, func(v any) any { return map[string]any{"id": v} }), 0, 20).Draw(t, "calls of it")
			}
			return e
		})
		doc := map[string]any{}
		for _, k := range []string{"steps", "messages"} {
			var l []any
			for range rapid.IntRange(0, 3).Draw(t, "runs") {
				cycle := rapid.SliceOfN(entry, 1, 3).Draw(t, "cycle")
				for range rapid.IntRange(1, 6).Draw(t, "times") {
					l = append(l, cycle...)
				}
				l = append(l, rapid.SliceOfN(entry, 0, 3).Draw(t, "others")...)
			}
			doc[k] = l
		}
		want := canonical(doc)
		folded := foldNormal(doc)
		if canonical(doc) != want {
			t.Fatal("folding changed what it was given")
		}
		again, err := parseJSON([]byte(canonical(folded)))
		if err != nil {
			t.Fatal(err)
		}
		got, whole := unfold(again.(map[string]any))
		if canonical(got) != want || !whole {
			t.Fatalf("%s\nfolded %s\nunfolded %s", want, canonical(folded), canonical(got))
		}
	})
}

// A few bytes do not stand for more than can be held.
func TestFoldsAndRangesAreBounded(t *testing.T) {
	doc, err := parseJSON([]byte(`{"steps":[{"times":1000000000000,"each":[{"kind":"llm","index":{"from":0,"by":1}}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, whole := unfold(object(doc)); whole || len(list(got["steps"])) > maxFolded {
		t.Errorf("%d entries, said to be all of them: %v", len(list(got["steps"])), whole)
	}
	for _, payload := range []string{
		`{"evalforge_trace":2,"steps":[{"times":1000000000000,"each":[]},{"times":-1,"each":[{}]},{"times":2,"each":[{"kind":["llm"],"attributes":{"a":["b"]}}]}]}`,
		`{"evalforge_trace":2,"messages":[{"text":"x"}],"steps":[{"in":[0,1000000000000],"out":[5,1,-9000000,-1],"declared":[0]}]}`,
		`{"evalforge_trace":2,"messages":[{"calls":[{"times":1000000000000,"each":[{"id":"a"}]}]}],"steps":[{"times":3,"each":[{"in":[{"each":[0]},0]}]}]}`,
	} {
		tr, err := Decode([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		checkTrace(t, tr)
		if len(tr.Steps) > maxFolded {
			t.Errorf("%s: %d steps", payload, len(tr.Steps))
		}
	}
}

// The normal form of version 1 is still read.
func TestFirstNormalForm(t *testing.T) {
	got, err := Decode([]byte(`{"evalforge_trace":1,"format":"openai","id":"x","messages":[{"text":"a"},{"text":"b"},{"text":"c"}],"steps":[{"kind":"llm","in":[0,2],"out":[1]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Step{{Kind: KindLLM, In: []int{0, 2}, Out: []int{1}}}, got.Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// Texts are cut before anything else is, and what was cut is said.
func TestWhatIsCutIsSaid(t *testing.T) {
	tr := &Trace{ID: "x", Format: FormatOpenAI}
	for i := range 2_000 {
		tr.Messages = append(tr.Messages, Message{Role: "user", Text: fmt.Sprint(i, strings.Repeat(" text", 200))})
		tr.Steps = append(tr.Steps, Step{Index: i, Kind: KindLLM, Out: []int{i}, Tokens: unknownTokens})
	}
	b, cut, err := Normal(tr, 512<<10, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cut.Steps != 0 || cut.Entries != 0 || cut.Bytes < 1_000_000 {
		t.Errorf("cut %+v, want texts alone", cut)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Cut != cut || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "bytes of texts were left out") {
		t.Errorf("cut %+v, and the stored trace says %+v and %q", cut, got.Cut, got.Warnings)
	}
	again, more, err := Normal(got, 256<<10, nil)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := Decode(again)
	if err != nil {
		t.Fatal(err)
	}
	if twice.Cut.Bytes != cut.Bytes+more.Bytes || len(twice.Warnings) != 1 {
		t.Errorf("after %d and %d bytes were cut, %+v and %q", cut.Bytes, more.Bytes, twice.Cut, twice.Warnings)
	}
}
