package server_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/store/sqlite"
)

// A message is a request in its parts.
type message struct{ line, header, body string }

func (m message) String() string {
	return fmt.Sprintf("%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s", m.line, m.header, len(m.body), m.body)
}

// wellFormed are requests to begin with.
func wellFormed() []message {
	const asJSON = "Content-Type: application/json\r\n"
	return []message{
		{"POST /extraction/run-once", asJSON, `{"batchSize":50,"dryRun":true,"traceIds":["a","b"],"triggeredBy":"cloud-scheduler"}`},
		{"POST /extraction/run-once", asJSON + "Idempotency-Key: \"k\"\r\n", `{"batchSize":1}`},
		{"GET /health", "", ""},
		{"GET /ready", "Accept-Encoding: gzip\r\n", ""},
		{"GET /api/v1/patterns?failure_type=wrong_tool&limit=10&since=2026-01-02&text=a+b&verified=true&sort=severity", "", ""},
		{"GET /api/v1/patterns?cursor=WyJleHRyYWN0aW9uX2Vycm9ycyIsIiIsIiJd", "If-None-Match: W/\"x\"\r\n", ""},
		{"GET /api/v1/patterns/t-1", "", ""},
		{"HEAD /api/v1/runs/run_20260102_030405_0a1b2c3d", "", ""},
		{"GET /api/v1/errors?run_id=r&trace_id=t", "", ""},
		{"GET /api/v1/state?quarantined=true", "", ""},
		{"POST /api/v1/retry", asJSON, `{"traceIds":["t-1"]}`},
		{"POST /api/v1/traces?format=auto", asJSON, `{"messages":[{"role":"user","content":"hello"}]}` + "\n" + `{"trace_id":"t","trace_payload":{"text":"x"}}`},
		{"POST /v1/traces", asJSON, otlpTrace},
		{"POST /v1/logs", "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"GET /api/v1/openapi.yaml", "Range: bytes=0-10\r\n", ""},
	}
}

// malformed returns a request with a mistake in one of its parts, or anywhere.
func malformed(r *rand.Rand, m message) string {
	switch part := r.IntN(5); {
	case part < 2 && m.body != "":
		m.body = mutate(r, m.body)
	case part < 4:
		method, target, _ := strings.Cut(m.line, " ")
		m.line = method + " " + mutate(r, target)
	default:
		return mutate(r, m.String())
	}
	return m.String()
}

// mutate returns text with some of its bytes gone, doubled, changed, or replaced by others that mean something.
func mutate(r *rand.Rand, s string) string {
	tokens := []string{"\x00", "\r\n", "\r\n\r\n", "%", "%zz", "%00", "../", "//", "{", "[", "\"", "\\u0000", "\\ud800", "9999999999999999999999", "-1", "1e999",
		"null", "NaN", "Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n", "Content-Encoding: gzip\r\n", "Expect: 100-continue\r\n", "Upgrade: h2c\r\n", "?", "&", "=", ";", "\xff\xfe", "é", "HTTP/2.0",
		strings.Repeat("[", 5000), strings.Repeat("a", 3000), "limit=", "cursor=", "traceIds", "Host: evil.example\r\n", "Origin: https://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"}
	b := []byte(s)
	for range 1 + r.IntN(4) {
		at := r.IntN(len(b) + 1)
		end := min(len(b), at+r.IntN(20))
		switch r.IntN(6) {
		case 0:
			b = append(b[:at:at], b[end:]...)
		case 1:
			b = append(b[:end:end], b[at:]...)
		case 2:
			if at < len(b) {
				b[at] = byte(r.Uint32())
			}
		case 3:
			b = b[:at]
		default:
			b = append(b[:at:at], append([]byte(tokens[r.IntN(len(tokens))]), b[at:]...)...)
		}
	}
	return string(b)
}

var statusLine = regexp.MustCompile(`^HTTP/1\.1 (\d\d\d)`)

// Ten thousand malformed requests: nothing breaks, none is answered as if the service were at fault, and
// nothing is left in memory.
func TestMalformedRequests(t *testing.T) {
	s, _ := serve(t, func(s *service) {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		s.store = db
	})
	addr := strings.TrimPrefix(s.url, "http://")
	seeds := wellFormed()
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]int{}
	send := func(n int) {
		for range n {
			text := malformed(r, seeds[r.IntN(len(seeds))])
			answer, err := exchange(addr, text)
			if err != nil {
				t.Fatalf("%v, after\n%q", err, text)
			}
			status := "none"
			if m := statusLine.FindStringSubmatch(answer); m != nil {
				status = m[1]
			}
			seen[status]++
			if status[0] == '5' && status != "505" { // 505: the version of HTTP is not spoken
				t.Errorf("answered with\n%s\nafter\n%q", answer, text)
			}
		}
	}
	send(5000)
	heap, routines := settled()
	send(5000)
	heapAfter, routinesAfter := settled()
	t.Logf("statuses %v; heap %d KiB, then %d KiB; goroutines %d, then %d", seen, heap>>10, heapAfter>>10, routines, routinesAfter)
	if heapAfter > heap+4<<20 {
		t.Errorf("the heap grew from %d to %d KiB in 5,000 requests", heap>>10, heapAfter>>10)
	}
	if routinesAfter > routines+20 {
		t.Errorf("goroutines grew from %d to %d", routines, routinesAfter)
	}
	if log := s.log.String(); strings.Contains(log, "panic") {
		t.Errorf("something panicked:\n%s", log[strings.Index(log, "panic"):])
	}
	if seen["200"] == 0 || seen["400"] == 0 || seen["422"] == 0 {
		t.Errorf("the requests are not as mixed as they should be: %v", seen)
	}
}

// exchange sends text, says that nothing more comes, and returns what is answered.
func exchange(addr, text string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(conn, text) // the service may have heard enough
	_ = conn.(*net.TCPConn).CloseWrite()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(conn); err != nil && !strings.Contains(err.Error(), "reset") {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	return answer.String(), nil
}

// settled returns what is live on the heap, and how many goroutines there are.
func settled() (heap uint64, goroutines int) {
	http.DefaultClient.CloseIdleConnections()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

// Whatever comes, the answer is no 5xx, and refusals are problems.
func FuzzHandler(f *testing.F) {
	s := newService(f)
	for _, seed := range []struct{ method, target, contentType, encoding, body string }{
		{"POST", "/extraction/run-once", "application/json", "", `{"batchSize":1,"traceIds":["x"],"dryRun":true}`},
		{"GET", "/api/v1/patterns?failure_type=other&limit=3&min_confidence=0.5&since=2026-01-01&cursor=x", "", "", ""},
		{"GET", "/api/v1/patterns/pattern_x", "", "", ""},
		{"GET", "/api/v1/state?quarantined=1", "", "", ""},
		{"POST", "/api/v1/retry", "application/json", "", `{"traceIds":["x","y"]}`},
		{"POST", "/api/v1/traces?format=openai", "application/json", "gzip", `{"messages":[]}`},
		{"POST", "/v1/traces", "application/json", "", otlpTrace},
		{"POST", "/v1/logs", "application/x-protobuf", "", "\x0a\x00"},
		{"DELETE", "/health", "", "", ""},
	} {
		f.Add(seed.method, seed.target, seed.contentType, seed.encoding, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, encoding string, body []byte) {
		req, err := http.NewRequest(method, "http://127.0.0.1"+target, bytes.NewReader(body))
		if err != nil || req.URL.Host != "127.0.0.1" {
			t.Skip("no client would send it")
		}
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Content-Encoding", encoding)
		req.RequestURI = req.URL.RequestURI()
		w := httptest.NewRecorder()
		s.server.Handler().ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Fatalf("%s %q: %d\n%s\n%s", method, target, w.Code, w.Body, s.log)
		}
		if w.Code >= 400 && !strings.Contains(w.Header().Get("Content-Type"), "json") && !strings.Contains(w.Header().Get("Content-Type"), "protobuf") {
			t.Errorf("%s %q: %d is no problem: %s", method, target, w.Code, w.Header().Get("Content-Type"))
		}
	})
}
