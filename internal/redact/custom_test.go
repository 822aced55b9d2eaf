package redact

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRules(t *testing.T) {
	rules, err := ParseRules([]byte(`{"rules": [
		{"id": "acme", "kind": "ACME_KEY", "pattern": "acme_[a-z0-9]{12}"},
		{"id": "badge", "kind": "BADGE", "pattern": "[0-9]{8}", "names": ["badge"]}],
		"always": {"NAME": ["nick_name"]}, "never": ["phone_model"]}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{Key: []byte("key"), Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	plain := newRedactor(t)
	for _, tc := range []struct{ in, want string }{
		{"use acme_abcdef012345 now", "use «ACME_KEY» now"},
		{"badge no: 12345678, order 12345678", "badge no: «BADGE», order 12345678"},
		{`{"nickName": "Zo", "phone_model": "415-555-0132"}`, `{"nickName": "«NAME»", "phone_model": "415-555-0132"}`},
	} {
		if got, _ := r.Text(tc.in); shorten(got) != tc.want {
			t.Errorf("Text(%q) = %q, want %q", tc.in, shorten(got), tc.want)
		}
	}
	if in := "use acme_abcdef012345 now, badge no: 12345678"; true {
		if got, _ := plain.Text(in); got != in {
			t.Errorf("rules of one redactor are in another: %q", got)
		}
	}
}

// A file with a mistake is refused, and the error says where it is.
func TestRulesAreChecked(t *testing.T) {
	for in, want := range map[string]string{
		`{`:                             "redaction rules",
		`{"ruels": []}`:                 `"ruels"`,
		`{} {}`:                         "after the end",
		`{"rules": [{"pattern": "x"}]}`: "rule 1 has no id",
		`{"rules": [{"id": "a", "kind": "Key", "pattern": "ab[0-9]{8}"}]}`: `rule a: the kind "Key"`,
		`{"rules": [{"id": "a", "pattern": "ab[0-9"}]}`:                    "rule a: error parsing",
		`{"rules": [{"id": "a", "pattern": "[a-z]{10}"}]}`:                 "two fixed characters",
		`{"rules": [{"id": "a", "pattern": "(a+)+$"}]}`:                    "rule a",
		`{"rules": [{"id": "a", "pattern": "[0-9]{8}", "names": ["x"]}]}`:  `name "x" is too short`,
		`{"always": {"name": ["x"]}}`:                                      `kind "name"`,
		`{"always": {"NAME": ["user.nick"]}}`:                              "last part",
		`{"never": ["password"]}`:                                          "cannot be switched off",
	} {
		if _, err := ParseRules([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRules(%s): %v, want %q in it", in, err, want)
		}
	}
}

// A name that stands under a key is hidden in the rest of the document, whatever the
// order, and nowhere else.
func TestNamesOfTheSameDocument(t *testing.T) {
	r := newRedactor(t)
	for _, tc := range []struct{ in, want string }{
		{`{"text": "Dear Noémie, hi", "user": {"name": "Noémie"}}`, `{"text": "Dear «NAME», hi", "user": {"name": "«NAME»"}}`},
		{`{"user": {"name": "Sofia Rossi"}, "log": "{\"note\": \"\\nSofia Rossi called\"}"}`, `{"user": {"name": "«NAME»"}, "log": "{\"note\": \"\\n«NAME» called\"}"}`},
		{`{"first_name": "Mark", "text": "Mark this as done"}`, `{"first_name": "«NAME»", "text": "Mark this as done"}`},
		{`{"first_name": "Sofia", "text": "Sofiastraat, SofiaX", "Sofia": 1}`, `{"first_name": "«NAME»", "text": "Sofiastraat, SofiaX", "Sofia": 1}`},
		{`{"username": "admin", "text": "admin rights"}`, `{"username": "«NAME»", "text": "admin rights"}`},
	} {
		out, _, err := r.JSON([]byte(tc.in))
		if err != nil {
			t.Fatal(err)
		}
		if shorten(string(out)) != tc.want {
			t.Errorf("JSON(%s)\n got %s\nwant %s", tc.in, shorten(string(out)), tc.want)
		}
	}
	const next = `{"text": "Dear Sofia Rossi"}`
	if out, _, err := r.JSON([]byte(next)); err != nil || string(out) != next {
		t.Errorf("the next document: %s, %v", out, err)
	}
}

func TestEntities(t *testing.T) {
	find := func(text string) ([]Entity, error) {
		if strings.Contains(text, "broken") {
			return nil, errors.New("the model is away")
		}
		if strings.Contains(text, "outside") {
			return []Entity{{0, len(text) + 1, Name}}, nil
		}
		if i := strings.Index(text, "Elm Street 5"); i >= 0 {
			return []Entity{{i, i + len("Elm Street 5"), Address}}, nil
		}
		return nil, nil
	}
	r, err := New(Options{Key: []byte("key"), Entities: find})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`{"a": "to Elm Street 5, ann@example.com"}`: `{"a": "to «ADDRESS», «EMAIL»"}`,
		`{"a": "broken", "b": "fine"}`:              `{"a": "«DROPPED»", "b": "fine"}`,
		`{"a": "outside", "b": "fine"}`:             `{"a": "«DROPPED»", "b": "fine"}`,
	} {
		out, _, err := r.JSON([]byte(in))
		if err != nil || shorten(string(out)) != want {
			t.Errorf("JSON(%s) = %s, %v, want %s", in, shorten(string(out)), err, want)
		}
	}
}

// Over its time limit a document keeps its shape and loses its content.
func TestTimeLimit(t *testing.T) {
	r, err := New(Options{Key: []byte("key"), TimeLimit: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Unix(0, 0)
	r.now = func() time.Time { clock = clock.Add(2 * time.Second); return clock }
	in := `{"first": "` + strings.Repeat("plain words ", 30_000) + `", "n": 4155550132, "k": 7, "last": ["ann@example.com", "words"]}`
	out, counts, err := r.JSON([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"first": "«DROPPED»", "n": "«DROPPED»", "k": 7, "last": ["«DROPPED»", "«DROPPED»"]}`; shorten(string(out)) != want || counts[Dropped] != 4 {
		t.Errorf("got %s %v, want %s", shorten(string(out)), counts, want)
	}
}

// The limit also ends work inside one long string.
func TestTimeLimitInOneString(t *testing.T) {
	r, err := New(Options{Key: []byte("key"), TimeLimit: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	r.now = func() time.Time { asked++; return time.Unix(int64(asked), 0) }
	out, counts, err := r.JSON([]byte(`{"note": "` + strings.Repeat("plain words ", 1<<20) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"note": "«DROPPED»"}`; shorten(string(out)) != want || counts[Dropped] == 0 {
		t.Errorf("got %.200s %v, want %s", shorten(string(out)), counts, want)
	}
	if asked > 5 {
		t.Errorf("the clock was read %d times: work went on after the time was over", asked)
	}
}
