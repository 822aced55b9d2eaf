package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What a service sends beyond its response is printed nowhere: it may quote a trace, and
// the HTTP client writes it to the standard log, which nothing redacts.
func TestStrayBytesAreNotPrinted(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(buf, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{} what the trace said")
		_ = buf.Flush() // the client hung up: nothing to send
	}))
	t.Cleanup(srv.Close)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := exec.Command(exe)
	c.Args = []string{"evalforge", "doctor", "-analyzer", "gemini"} // the name by which TestMain runs main
	c.Dir = dir
	c.Env = []string{"GEMINI_API_KEY=for-tests-only", "GOOGLE_GEMINI_BASE_URL=" + srv.URL, "HOME=" + dir}
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "counts no tokens") {
		t.Errorf("doctor: %v, want it to refuse the answer\n%s", err, out)
	}
	if strings.Contains(string(out), "the trace said") {
		t.Errorf("printed:\n%s", out)
	}
}
