package cli

import (
	"bytes"
	"context"
	"io"
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
