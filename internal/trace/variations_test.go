package trace

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// eachSample calls f with each file of testdata/decode.
func eachSample(t *testing.T, f func(t *testing.T, doc any)) {
	t.Helper()
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no input files: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := parseJSON(b)
			if err != nil {
				t.Fatal(err)
			}
			f(t, doc)
		})
	}
}

// decodeDoc decodes doc as a payload.
func decodeDoc(t *testing.T, doc any) *Trace {
	t.Helper()
	tr, err := Decode([]byte(canonical(doc)))
	if err != nil {
		t.Fatal(err)
	}
	checkTrace(t, tr)
	return tr
}

// What services put around a trace changes nothing but where its steps stand.
func TestDecodeInEnvelopes(t *testing.T) {
	eachSample(t, func(t *testing.T, doc any) {
		want := decodeDoc(t, doc)
		if want.Format == FormatOpaque {
			t.Skip("of no known format")
		}
		for prefix, wrapped := range map[string]any{
			"/payload":     map[string]any{"payload": doc, "version": true},
			"/result/item": map[string]any{"ok": true, "result": map[string]any{"item": doc}},
		} {
			got := decodeDoc(t, wrapped)
			for i := range got.Steps {
				rest, ok := strings.CutPrefix(got.Steps[i].Source, prefix)
				if !ok && got.Steps[i].Source != "" {
					t.Errorf("step %d is at %s, want it below %s", i, got.Steps[i].Source, prefix)
				}
				got.Steps[i].Source = rest
			}
			if diff := gocmp.Diff(describe(want), describe(got)); diff != "" {
				t.Errorf("below %s (-alone +within):\n%s", prefix, diff)
			}
		}
	})
}

// Exporters write spans in any order, some of them twice, and null for what there is not:
// the same steps, messages and failures are understood.
func TestDecodeVariations(t *testing.T) {
	items := func(doc any, change func([]any) []any) any {
		var walk func(v any, depth int) any
		walk = func(v any, depth int) any {
			switch v := v.(type) {
			case []any:
				for i, e := range v {
					v[i] = walk(e, depth+1)
				}
				if spans, _ := spanObjects(v, ""); spans != nil && depth < 8 {
					return change(v)
				}
			case map[string]any:
				for k, e := range v {
					if k != "logRecords" {
						v[k] = walk(e, depth+1)
					}
				}
			}
			return v
		}
		return walk(doc, 0)
	}
	reversed := func(l []any) []any { slices.Reverse(l); return l }
	twice := func(l []any) []any { return slices.Concat(l, l) }
	nulls := func(l []any) []any {
		for _, e := range l {
			if m, ok := e.(map[string]any); ok {
				for _, k := range []string{"error", "input", "output", "parent_id", "events", "links", "tags", "metadata", "statusMessage", "model"} {
					if _, has := m[k]; !has {
						m[k] = nil
					}
				}
			}
		}
		return l
	}
	eachSample(t, func(t *testing.T, doc any) {
		source := canonical(doc)
		want := essence(decodeDoc(t, doc))
		for name, change := range map[string]func([]any) []any{"reversed": reversed, "twice": twice, "nulls": nulls} {
			fresh, _ := (*workspace)(nil).parseText(source)
			if diff := gocmp.Diff(want, essence(decodeDoc(t, items(fresh, change)))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// essence returns what a trace says, whatever the order of its steps.
func essence(t *Trace) []string {
	out := []string{"format " + t.Format}
	for _, s := range t.Steps {
		line := "step " + string(s.Kind) + " " + s.Name + " " + string(s.Status)
		if s.Err != nil {
			line += " " + s.Err.Type + " " + s.Err.Message
		}
		out = append(out, line)
	}
	for _, m := range t.Messages {
		out = append(out, "message "+m.Role+" "+m.Text)
	}
	for _, inv := range t.Invocations() {
		out = append(out, "call "+inv.Name+" "+inv.Args+" "+inv.Result)
	}
	slices.SortFunc(out, cmp.Compare)
	return out
}
