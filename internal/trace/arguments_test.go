package trace

import "testing"

// The arguments that are written without making objects of them are what they would be.
func FuzzFlatArguments(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"b": "x", "a": -20, "c": true}`, `{"a b":1,"a":2,"a!":3}`, `{"a":1,"a":2}`, `{"a":null,}`, `{"a":01}`, `{"a":1.5}`, `{"a":1e5}`,
		`{"a":"\\n"}`, `{"a":{}}`, `{"a":[1]}`, `{"é":"日本"}`, "{\"a\":\"\xff\"}", `{"a":truex}`, `{"a":-}`, `{"a" 1}`, `{"a":"b"`, `[1]`, `"{}"`, `{"":""}`, "{\"a\":\"\x01\"}",
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1}`, `{"a":-0}`, `{"a":123456789012345678901234567890}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		args, ok := flatArguments(s)
		if !ok {
			return
		}
		w := new(workspace)
		inner := w.embedded(s)
		if _, object := inner.(map[string]any); !object {
			t.Fatalf("%q is taken for an object, which it is not", s)
		}
		if want, problem := w.argumentsIn(s, inner); args != want || problem != "" {
			t.Errorf("%q becomes %q, want %q (%s)", s, args, want, problem)
		}
	})
}

// The texts of most calls are read so.
func TestFlatArguments(t *testing.T) {
	for s, want := range map[string]string{
		`{"order": "A4711", "limit": 5}`: `{"limit":5,"order":"A4711"}`,
		`{"a b":1,"a":2,"a!":null}`:      `{"a":2,"a b":1,"a!":null}`,
		`{"q":"日本","deep":false}`:        `{"deep":false,"q":"日本"}`,
		"{}":                             "{}",
		" {\n}\n":                        "{}",
	} {
		if got, ok := flatArguments(s); !ok || got != want {
			t.Errorf("flatArguments(%s) = %s, %v, want %s", s, got, ok, want)
		}
	}
}
