package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// A reader that cancels when it is first read.
type cancelingReader struct {
	io.Reader
	cancel context.CancelFunc
}

func (r cancelingReader) Read(p []byte) (int, error) {
	r.cancel()
	return r.Reader.Read(p)
}

func TestStoppedImportSaysHowToGoOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	status := Main(ctx, []string{"import", "-store", "mem:", "-"}, Env{
		Getenv: func(string) string { return "" },
		Stdin:  cancelingReader{strings.NewReader(`{"trace_id": "a", "trace_payload": {"messages": []}}`), cancel},
		Stdout: &out, Stderr: &errs, Now: time.Now,
	})
	want := "evalforge: error: import stopped at stdin, file 1 of 1, after 0 documents; run it again"
	if got := errs.String(); status != statusSome || !strings.Contains(got, want) || strings.Contains(got, "canceled") {
		t.Errorf("status %d, want %d; stderr has no %q, or the cause of a program:\n%s", status, statusSome, want, got)
	}
}

// An import that is stopped goes on behind the last trace it stored, in a file of traces
// as in one of pieces of traces.
func TestStoppedImportIsResumed(t *testing.T) {
	const traces = 40
	lines := map[string]func(i int) string{
		"traces.jsonl": func(i int) string {
			return fmt.Sprintf(`{"trace_id":"t-%d","messages":[{"role":"user","content":"hello %d"}]}`, i, i)
		},
		"pieces.jsonl": func(i int) string {
			return fmt.Sprintf(`{"traceId":"%032x","spanId":"%016x","name":"chat","attributes":{"n":%d}}`, i%traces+1, i+1, i)
		},
	}
	for name, line := range lines {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var file strings.Builder
			n := traces
			if name == "pieces.jsonl" {
				n = 3 * traces
			}
			for i := range n {
				file.WriteString(line(i) + "\n")
			}
			if err := os.WriteFile(name, []byte(file.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(stopAfter int) (status int, out string) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stored := 0
				now := func() time.Time {
					if stored++; stored == stopAfter {
						cancel()
					}
					return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
				}
				var stdout, stderr bytes.Buffer
				status = Main(ctx, []string{"import", "-store", "sqlite:x.db", "-resume", "checkpoint", name}, Env{
					Getenv: func(string) string { return "" }, Stdout: &stdout, Stderr: &stderr, Now: now,
				})
				return status, stdout.String() + stderr.String()
			}
			status, first := run(20)
			if status != statusSome || !strings.Contains(first, "run it again to import the rest") {
				t.Fatalf("the first import: status %d\n%s", status, first)
			}
			status, second := run(0)
			if status != statusDone {
				t.Fatalf("the second import: status %d\n%s", status, second)
			}
			read := func(out string) (documents, created int) {
				t.Helper()
				i := strings.Index(out, "Read ")
				if _, err := fmt.Sscanf(out[max(i, 0):], "Read %d documents from 1 file: %d new", &documents, &created); err != nil {
					t.Fatalf("%v in\n%s", err, out)
				}
				return documents, created
			}
			read1, new1 := read(first)
			read2, new2 := read(second)
			if read1+read2 != traces || new1+new2 != traces || new1 == 0 || new2 == 0 {
				t.Errorf("read %d and %d documents, %d and %d of them new, want %d in all", read1, read2, new1, new2, traces)
			}
			if _, err := os.Stat("checkpoint"); err == nil {
				t.Error("the checkpoint of a finished import is still there")
			}
		})
	}
}
