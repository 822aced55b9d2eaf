package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A file that could not be written completely leaves the old one, and nothing beside it.
func TestWriteFileIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	if err := writeFile(name, func(w io.Writer) error { _, err := io.WriteString(w, "old"); return err }); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := writeFile(name, func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return broken })
	if !errors.Is(err, broken) {
		t.Fatalf("error %v, want %v", err, broken)
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != "old" {
		t.Errorf("content %q, %v; want the old one", got, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files left behind, want 1", len(files))
	}
}

func TestListWriter(t *testing.T) {
	for _, tc := range []struct {
		format string
		n      int
		want   string
	}{
		{formatJSON, 0, "[]\n"},
		{formatJSON, 2, "[\n0\n,\n1\n]\n"},
		{formatJSONL, 0, ""},
		{formatJSONL, 2, "0\n1\n"},
	} {
		var b bytes.Buffer
		l := &listWriter{w: &b, format: tc.format}
		for i := range tc.n {
			if err := l.add(i); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.end(); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != tc.want {
			t.Errorf("%s of %d: %q, want %q", tc.format, tc.n, got, tc.want)
		}
		if tc.format == formatJSON && !json.Valid(b.Bytes()) {
			t.Errorf("%s is not valid JSON", b.String())
		}
	}
}

// Errors and logs never hold the service's own keys, whatever library words them.
func TestScrubber(t *testing.T) {
	s := newScrubber(getenv(map[string]string{"GEMINI_API_KEY": "AIza-very-secret", "EVALFORGE_REDACTION_KEY": "short"}))
	var b bytes.Buffer
	writeProblem(&b, s, withHint(fmt.Errorf("config {APIKey: AIza-very-secret}\nsecond line"), "not AIza-very-secret"))
	want := "evalforge: error: config {APIKey: <secret>}\n    second line\nevalforge: hint: not <secret>\n"
	if got := b.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
