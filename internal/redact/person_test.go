package redact

import (
	"encoding/json"
	"strings"
	"testing"
)

// Names go wherever they stand: before, between and behind the keys that give them away,
// in strings and in documents in strings.
func TestNamesWhereverTheyStand(t *testing.T) {
	r := newRedactor(t)
	quote := func(doc string) string {
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	names := []string{"Sofia Rossi", "Noémie Blanchard"}
	mention := func(key string) string {
		inner := `{"` + key + `": "\nSofia Rossi met Noémie Blanchard"}`
		return `"` + key + `1": "Sofia Rossi met Noémie Blanchard", "` + key + `2": ` + quote(inner) + `, "` + key + `3": ` + quote(`{"x": `+quote(inner)+`}`)
	}
	for _, given := range [][2]string{
		{`"user": {"name": "Sofia Rossi"}`, `"customer": {"name": "Noémie Blanchard"}`},
		{`"log": ` + quote(`{"full_name": "Sofia Rossi"}`), `"log2": ` + quote(`{"customer": {"name": "Noémie Blanchard"}}`)},
		{`"cut": "{'full_name': 'Sofia Rossi', 'x"`, `"{\"full_name\": \"Noémie Blanchard\"}": 1`},
	} {
		doc := `{` + mention("a") + `, ` + given[0] + `, ` + mention("b") + `, ` + given[1] + `, ` + mention("c") + `}`
		out, _, err := r.JSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if plain := strings.ReplaceAll(string(out), `\u00e9`, "é"); strings.Contains(plain, name) {
				t.Errorf("%s is left in %s", name, out)
			}
		}
		if again, _, err := r.JSON(out); err != nil || string(again) != string(out) {
			t.Errorf("the second time gave %s, %v; the first %s", again, err, out)
		}
	}
}
