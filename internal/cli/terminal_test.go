package cli

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func testTerminal(vars map[string]string) (*terminal, *bytes.Buffer, *bytes.Buffer) {
	var out, err bytes.Buffer
	return newTerminal(Env{Getenv: getenv(vars), Stdout: &out, Stderr: &err}), &out, &err
}

func TestTable(t *testing.T) {
	header, rows := []string{"ID", "TITLE"}, [][]string{
		{"a", "short"}, {"long-id", "a title that\nis quite a bit longer than the forty columns there are"}, {"ö", ""},
	}
	for _, tc := range []struct {
		name string
		vars map[string]string
		want string
	}{
		{"not a terminal: nothing is cut", nil, `ID       TITLE
a        short
long-id  a title that is quite a bit longer than the forty columns there are
ö
`},
		{"cut at the width", map[string]string{"COLUMNS": "40"}, `ID       TITLE
a        short
long-id  a title that is quite a bit lo…
ö
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			term, out, _ := testTerminal(tc.vars)
			term.table(header, rows)
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

// Wrapped text loses no word, and no line is over the width unless a single word is.
func TestWrapBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		width := rapid.IntRange(minWidth, maxWidth).Draw(t, "width")
		got := wrap(text, "  ", width)
		for _, line := range strings.Split(got, "\n") {
			if n := utf8.RuneCountInString(line); n > width && len(strings.Fields(line)) > 1 {
				t.Fatalf("line of %d columns, want at most %d: %q", n, width, line)
			}
		}
		want := strings.Join(strings.Fields(printable(strings.TrimSpace(text))), " ")
		if got := strings.Join(strings.Fields(got), " "); got != want {
			t.Fatalf("words %q, want %q", got, want)
		}
	})
}

// Text of strangers cannot steer the terminal.
func TestPrintableHasNoControlCharacters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := printable(rapid.String().Draw(t, "text"))
		if strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("%q holds a control character", got)
		}
	})
	if got, want := printable("a\x1b[31mred\x07\u202Eb"), "a\uFFFD[31mred\uFFFD\uFFFDb"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Without a terminal a known total takes at most ten lines, and few items none at all.
func TestPlainProgressIsBounded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		total := rapid.IntRange(1, 2000).Draw(rt, "total")
		term, _, stderr := testTerminal(nil)
		b := term.progress("extracting", total)
		for i := range total {
			b.set(i + 1)
		}
		b.end()
		lines := strings.Count(stderr.String(), "\n")
		if lines > plainLines {
			rt.Fatalf("%d lines for %d items, want at most %d", lines, total, plainLines)
		}
		if total < plainLines && lines > 0 {
			rt.Fatalf("%d lines for %d items, want none", lines, total)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"demo", "import", "run", "patterns", "runs", "errors", "retry", "eval", "redact", "doctor", "version", "help"}
	for got, want := range map[string]string{
		"patern": "patterns", "improt": "import", "rn": "run", "doc": "doctor", "evaluate": "eval", "zzzzzzzz": "", "retyr": "retry", "ver": "version",
	} {
		if n := nearest(got, known); n != want {
			t.Errorf("nearest to %q is %q, want %q", got, n, want)
		}
	}
}
