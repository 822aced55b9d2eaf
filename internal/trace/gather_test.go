package trace

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// pieces is a file of one span a line, of n traces of k spans each, all mixed up.
func pieces(n, k int) string {
	var sb strings.Builder
	for span := range k {
		for i := range n {
			fmt.Fprintf(&sb, `{"traceId":"%032x","spanId":"%016x","name":"step %d","startTimeUnixNano":"%d","attributes":[]}`+"\n", i+1, span+1, span, 1772600000000000000+span)
		}
	}
	return sb.String()
}

// splitAll returns the documents of a file, and fails on errors.
func splitAll(t tester, file string, opt SplitOptions) []Document {
	t.Helper()
	var out []Document
	for d, err := range Split("in", strings.NewReader(file), opt) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		out = append(out, d)
	}
	return out
}

func byTrace(a, b Document) int { return strings.Compare(a.TraceID, b.TraceID) }

// Whether pieces are held or on disk, and however often they are distributed, the traces
// are the same, in the same order each time, and nothing is left in the folder.
func TestPiecesOnDisk(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		file := pieces(rapid.IntRange(1, 60).Draw(rt, "traces"), rapid.IntRange(1, 5).Draw(rt, "spans"))
		want := splitAll(rt, file, SplitOptions{})
		opt := SplitOptions{MaxHeld: rapid.SampledFrom([]int{1, 5_000, 50_000}).Draw(rt, "held"), TempDir: dir}
		got := splitAll(rt, file, opt)
		if diff := cmp.Diff(got, splitAll(rt, file, opt)); diff != "" {
			rt.Fatalf("two passes differ:\n%s", diff)
		}
		for i, d := range got {
			if d.Gathered != i+1 {
				rt.Fatalf("document %d says it is the %dth", i+1, d.Gathered)
			}
		}
		rest := opt
		rest.Skip = rapid.IntRange(0, len(got)).Draw(rt, "skip")
		if diff := cmp.Diff(got[rest.Skip:], splitAll(rt, file, rest), cmp.Transformer("all", func(d []Document) []Document { return slices.Clip(d) })); diff != "" && rest.Skip < len(got) {
			rt.Fatalf("after skipping %d:\n%s", rest.Skip, diff)
		}
		slices.SortFunc(got, byTrace)
		slices.SortFunc(want, byTrace)
		for i := range want {
			want[i].Gathered = got[i].Gathered
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-in memory +on disk)\n%s", diff)
		}
	})
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%d files left, %v", len(left), err)
	}
}

// A consumer that stops leaves nothing behind either.
func TestPiecesOnDiskOfAStoppedPass(t *testing.T) {
	dir := t.TempDir()
	for range Split("in", strings.NewReader(pieces(100, 2)), SplitOptions{MaxHeld: 1, TempDir: dir}) {
		break
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files left, %v", len(left), err)
	}
}

// Where pieces cannot be kept, the file fails and none of its traces is cut short.
func TestPiecesThatCannotBeKept(t *testing.T) {
	var errs []string
	for d, err := range Split("in", strings.NewReader(pieces(100, 2)), SplitOptions{MaxHeld: 1000, TempDir: t.TempDir() + "/none"}) {
		if err == nil {
			t.Fatalf("trace %s came", d.TraceID)
		}
		errs = append(errs, err.Error())
	}
	if len(errs) != 1 || !strings.Contains(errs[0], "in: its traces come in pieces, which could not be kept until its end: no temporary file") {
		t.Errorf("errors %q", errs)
	}
}

func FuzzPieces(f *testing.F) {
	f.Add("otlp 1", "spans", "", 7, []byte(`{"a":1}`), "w")
	f.Add("", "", "s", 0, []byte{}, "")
	f.Fuzz(func(t *testing.T, key, list, session string, line int, element []byte, warning string) {
		want := piece{key: key, list: list, session: session, line: max(0, line), element: element, warnings: []string{warning, warning}}
		b := want.append([]byte("before"))
		got, n := readPiece(append(b[len("before"):], "after"...))
		if n != len(b)-len("before") {
			t.Fatalf("%d bytes read, want %d", n, len(b)-len("before"))
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(piece{}), cmp.Transformer("bytes", func(b []byte) string { return string(b) })); diff != "" {
			t.Errorf("(-written +read)\n%s", diff)
		}
		readPiece(element) // must not panic on anything
	})
}
