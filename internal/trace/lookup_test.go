package trace

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// A lookup answers as its map does, for keys that share a bit with one that is there too.
func TestLookup(t *testing.T) {
	m := map[string]any{"": "nothing", "a": nil, "status": "ok", "gen_ai.usage.input_tokens": "5"}
	l := lookupIn(m)
	m["late"] = true
	l.add("late")
	asked := []string{"", "a", "status", "gen_ai.usage.input_tokens", "late", "é", "gen_ai.usage.output_tokens", "gen_ai.", "gen_ai.u", "gen_ai.usage", "gen_ai.usageless", "gen_ai_usage", "stat"}
	for i := range 2000 {
		asked = append(asked, fmt.Sprintf("%0*d%c", i%40+1, i, 'a'+i%26))
	}
	shared := 0
	for _, k := range asked {
		want, there := m[k]
		if !there && l.keys&keyBit(k) != 0 {
			shared++
		}
		if got := l.get(k); got != want {
			t.Errorf("get(%q) = %v, want %v", k, got, want)
		}
		if got := l.has(k); got != there {
			t.Errorf("has(%q) = %v, want %v", k, got, there)
		}
		if got, want := l.first("none", k), first(m, "none", k); got != want {
			t.Errorf("first(%q) = %v, want %v", k, got, want)
		}
		if got, want := l.text(k, "status"), firstText(m, k, "status"); got != want {
			t.Errorf("text(%q) = %q, want %q", k, got, want)
		}
		starts := false
		for there := range m {
			starts = starts || strings.HasPrefix(there, k)
		}
		if got := l.hasPrefix(k); got != starts {
			t.Errorf("hasPrefix(%q) = %v, want %v", k, got, starts)
		}
		if got, want := l.count(k), count(m, k); got != want {
			t.Errorf("count(%q) = %d, want %d", k, got, want)
		}
	}
	if shared == 0 {
		t.Error("no key that is not there shares a bit with one that is: the test does not test that")
	}
}

// What readers add to a span's attributes is found by the lookup as well.
func TestLookupIsComplete(t *testing.T) {
	files, err := filepath.Glob("testdata/decode/*.json")
	if err != nil {
		t.Fatal(err)
	}
	spans := 0
	for _, f := range files {
		doc, err := new(workspace).parseDocument([]byte(readTestdata(t, f)), true)
		if err != nil || !isOTLP(doc) {
			continue
		}
		found, _ := otlpSpans(doc, "")
		for _, sp := range found {
			spans++
			interpret(sp)
			if now := lookupIn(sp.attrs); now.keys&^sp.summary.keys != 0 || now.starts&^sp.summary.starts != 0 {
				t.Errorf("%s: span %s has attributes that its lookup does not know", f, sp.id)
			}
		}
	}
	if spans == 0 {
		t.Error("no span was read")
	}
}
