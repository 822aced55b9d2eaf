package redact

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newRedactor(t testing.TB, secrets ...string) *Redactor {
	t.Helper()
	r, err := New(Options{Key: []byte("an installation's key"), Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shorten leaves the digest out of placeholders, so that tables are readable:
// [REDACTED:EMAIL:12ab] is «EMAIL».
func shorten(s string) string {
	return regexp.MustCompile(`\[REDACTED:([A-Z_]+):[0-9a-f]{4}\]`).ReplaceAllString(s, "«$1»")
}

func TestNewNeedsAKey(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Fatal("New without a key: no error")
	}
}

func TestPlaceholdersJoinEqualValues(t *testing.T) {
	r := newRedactor(t)
	got, counts := r.Text("from ann@example.com to bob@example.com and ann@example.com")
	digests := regexp.MustCompile(`:([0-9a-f]{4})\]`).FindAllString(got, -1)
	if len(digests) != 3 || digests[0] != digests[2] || digests[0] == digests[1] {
		t.Errorf("equal values must share a digest, others must not: %s", got)
	}
	if diff := cmp.Diff(Counts{Email: 3}, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}

	other, err := New(Options{Key: []byte("another installation's key")})
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := other.Text("from ann@example.com to bob@example.com and ann@example.com"); again == got {
		t.Error("another key gave the same placeholders")
	}
}

func TestCounts(t *testing.T) {
	c := Counts{Email: 1}
	c.Add(Counts{Email: 2, IP: 3})
	if diff := cmp.Diff(map[string]int{"EMAIL": 3, "IP": 3}, c.Strings()); diff != "" {
		t.Errorf("Strings (-want +got):\n%s", diff)
	}
	if got := c.Total(); got != 6 {
		t.Errorf("Total = %d, want 6", got)
	}
}

func TestKindsHavePlaceholders(t *testing.T) {
	seen := make(map[Kind]bool)
	for _, k := range Kinds() {
		if seen[k] {
			t.Errorf("%s is listed twice", k)
		}
		seen[k] = true
		if p := placeholder(newState(newRedactor(t)).mac, k, "value"); !isPlaceholder(p) {
			t.Errorf("%q is not recognised as a placeholder", p)
		}
	}
}

func TestOwnSecrets(t *testing.T) {
	const secret = "just-three-words: & more"
	r := newRedactor(t, secret, "short", "just-three-words: & more, and longer")
	for _, tc := range []struct{ in, want string }{
		{"before " + secret + " after", "before «OWN_SECRET» after"},
		{"before " + secret + ", and longer", "before «OWN_SECRET»"},
		{"x=" + url.QueryEscape(secret) + "&y=1", "x=«OWN_SECRET»&y=1"},
		{"b64 " + base64.RawStdEncoding.EncodeToString([]byte(secret)), "b64 «OWN_SECRET»"},
		{"a short one stays", "a short one stays"},
		{secret + " and ann@example.com", "«OWN_SECRET» and «EMAIL»"},
	} {
		got, _ := r.Text(tc.in)
		if shorten(got) != tc.want {
			t.Errorf("Text(%q) = %q, want %q", tc.in, shorten(got), tc.want)
		}
	}
	// Escapes do not hide it, nor does a place that is a key or a number.
	digits := newRedactor(t, "1234567890123", "key with \"quotes\"")
	got, _, err := digits.JSON([]byte(`{"a": 1234567890123, "key with \u0022quotes\u0022": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"a": "«OWN_SECRET»", "«OWN_SECRET»": 1}`; shorten(string(got)) != want {
		t.Errorf("got %s, want %s", shorten(string(got)), want)
	}
}

// A text that makes the redactor itself fail is dropped, and the document with it.
func TestFailsClosed(t *testing.T) {
	r := newRedactor(t)
	r.states.New = func() any {
		st := newState(r)
		st.keys = nil // writing to it panics
		return st
	}
	const in = `{"note": "call ann@example.com"}`
	got, counts := r.Text(in)
	if strings.Contains(got, "ann") || !isPlaceholder(got) || counts[Dropped] != 1 {
		t.Errorf("Text after a failure = %q %v, want one placeholder", got, counts)
	}
	doc, _, err := r.JSON([]byte(in))
	if doc != nil || err == nil || strings.Contains(err.Error(), "ann") {
		t.Errorf("JSON after a failure = %q, %v, want an error without content", doc, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	r := newRedactor(t)
	const in = `{"email": "ann@example.com", "n": [1, 2, "10.20.30.40:80"]}`
	want, _, err := r.JSON([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if got, _, err := r.JSON([]byte(in)); err != nil || string(got) != string(want) {
					t.Errorf("got %s, %v, want %s", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func ExampleRedactor_Text() {
	r, err := New(Options{Key: []byte("secret")})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, counts := r.Text("write to ann@example.com or call +1 415 555 0132")
	fmt.Println(counts.Total(), counts[Email], counts[Phone])
	// Output: 2 1 1
}
