package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge/internal/redact"
)

func runFilter(t interface{ Fatal(...any) }, in io.Reader, format string) string {
	r, err := redact.New(redact.Options{Key: []byte("a key that is for tests only")})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	out := bufio.NewWriter(&b)
	f := &filter{r: r, in: bufio.NewReader(in), out: out, name: "in", counts: redact.Counts{}}
	if err := f.run(format); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Text without anything to redact comes out byte for byte, whatever its line ends.
func TestFilterKeepsEverythingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.SampledFrom([]string{"plain", "words", "\n", "\r\n", "\n\n", " ", "\t", "{", "[note]", "}"})).Draw(t, "words")
		text := strings.Join(words, " ")
		if got := runFilter(t, strings.NewReader(text), "text"); got != text {
			t.Fatalf("got %q, want %q", got, text)
		}
	})
}

// What comes out does not depend on the pieces in which the input arrives.
func TestFilterDoesNotDependOnReads(t *testing.T) {
	const text = "to ann.doe@corp.example\n-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9Oi\n-----END PRIVATE KEY-----\n{\"mail\": \"ann.doe@corp.example\"}\nlast line"
	whole := runFilter(t, strings.NewReader(text), "auto")
	pieces := runFilter(t, iotest.OneByteReader(strings.NewReader(text)), "auto")
	if whole != pieces {
		t.Errorf("in one piece:\n%s\nbyte by byte:\n%s", whole, pieces)
	}
	for _, secret := range []string{"ann.doe", "MIIEpAIB"} {
		if strings.Contains(whole, secret) {
			t.Errorf("%s is still there:\n%s", secret, whole)
		}
	}
	if !strings.HasSuffix(whole, "\nlast line") {
		t.Errorf("the last line is changed:\n%s", whole)
	}
}

// A key block that never ends is redacted as far as it goes, and does not hang.
func TestFilterUnfinishedKeyBlock(t *testing.T) {
	got := runFilter(t, strings.NewReader("-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9Oi"), "text")
	if strings.Contains(got, "MIIEpAIB") {
		t.Errorf("the key is still there: %s", got)
	}
}

func TestBeginsDocument(t *testing.T) {
	for text, want := range map[string]bool{
		"{": true, "[": true, `{"a": 1,`: true, `[{"a": [`: true,
		`{"a": 1}`: false, "[]": false, "[2026-01-02] started": false, "{name} logged in": false, "plain": false, "": false, `"text`: false,
	} {
		if got := beginsDocument([]byte(text + "\n")); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// JSON stays JSON, however it is laid out.
func TestFilterKeepsJSONValid(t *testing.T) {
	doc := map[string]any{"mail": "ann.doe@corp.example", "nested": []any{map[string]any{"n": 1.5, "s": "a\nb"}}}
	indented, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compact, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{string(indented), string(compact), string(indented) + "\n" + string(indented)} {
		got := runFilter(t, strings.NewReader(in), "auto")
		d := json.NewDecoder(strings.NewReader(got))
		for {
			var v map[string]any
			if err := d.Decode(&v); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v:\n%s", err, got)
			}
			if s, _ := v["mail"].(string); !strings.HasPrefix(s, "[REDACTED:EMAIL:") {
				t.Errorf("mail is %v", v["mail"])
			}
		}
	}
}

func FuzzBeginsDocument(f *testing.F) {
	f.Add([]byte(`{"a": [`))
	f.Add([]byte("[2026-01-02] started"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if beginsDocument(line) && json.Valid(bytes.TrimSpace(line)) {
			t.Errorf("%q is complete by itself", line)
		}
	})
}
