package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/redact/redacttest"
)

// startService runs "evalforge serve" with args, and returns its address. What it logs has
// been written to log when stop returns.
func startService(t *testing.T, env func(string) string, log io.Writer, args ...string) (base string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	stderr, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		args := append([]string{"serve", "-addr", "127.0.0.1:0"}, args...)
		ended <- Main(ctx, args, Env{Getenv: env, Stdout: io.Discard, Stderr: w, Now: time.Now})
		_ = w.Close() // never fails
	}()
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(address)
		listening := regexp.MustCompile(`listening on (http://[^ ,"\s]+)`)
		for in := bufio.NewReader(stderr); ; {
			line, err := in.ReadString('\n')
			fmt.Fprint(log, line)
			if m := listening.FindStringSubmatch(line); m != nil {
				address <- m[1]
			}
			if err != nil {
				return
			}
		}
	}()
	base, ok := <-address
	if !ok {
		t.Fatal("the service did not start")
	}
	return base, func() {
		t.Helper()
		cancel()
		if status := <-ended; status != statusDone {
			t.Errorf("serve: exit status %d", status)
		}
		<-read
	}
}

// A service is the program as it serves. Whatever it answers and logs is kept.
type service struct {
	c    *caught
	base string
	stop func()
}

// serve starts the service on a store.
func (c *caught) serve(store string) *service {
	c.t.Helper()
	log := new(bytes.Buffer)
	name := fmt.Sprintf("log %d: serve", len(c.seen))
	base, stop := startService(c.t, c.env, log, "-store", store, "-log-level", "debug", "-analyzer", "gemini", "-concurrency", "8")
	return &service{c, base, func() {
		stop()
		c.seen[name] = log.Bytes()
		if !bytes.Contains(log.Bytes(), []byte("httpRequest")) {
			c.t.Errorf("%s has no access log", name)
		}
	}}
}

// ask makes a request, and keeps header and body of the answer.
func (s *service) ask(method, path, media string, body []byte) (*http.Response, []byte) {
	s.c.t.Helper()
	resp := s.open(context.Background(), method, path, media, body)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.c.t.Fatal(err)
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		s.c.t.Errorf("%s %s: %s\n%s", method, path, resp.Status, answer)
	}
	s.keep(method, path, resp, answer)
	return resp, answer
}

func (s *service) open(ctx context.Context, method, path, media string, body []byte) *http.Response {
	s.c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		s.c.t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // which follows no redirect
	if err != nil {
		s.c.t.Fatal(err)
	}
	return resp
}

func (s *service) keep(method, path string, resp *http.Response, answer []byte) {
	var all bytes.Buffer
	if err := resp.Header.Write(&all); err != nil {
		s.c.t.Fatal(err)
	}
	all.Write(answer)
	all.Write(unescaped(answer))
	s.c.seen[fmt.Sprintf("answer %d: %s %s", len(s.c.seen), method, path)] = all.Bytes()
}

// unescaped returns text without what HTML, addresses and Markdown escape it with.
func unescaped(text []byte) []byte {
	in := html.UnescapeString(string(text))
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		if in[i] == '%' && i+2 < len(in) {
			if b, err := hex.DecodeString(in[i+1 : i+3]); err == nil {
				out = append(out, b[0])
				i += 2
				continue
			}
		}
		if in[i] != '\\' {
			out = append(out, in[i])
		}
	}
	return out
}

// run makes runs until nothing is left to do, while /live is watched.
func (s *service) run() {
	s.c.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	stream := s.open(ctx, "GET", "/live", "", nil)
	var events bytes.Buffer
	shown, ended := make(chan struct{}), make(chan struct{})
	go func() { // until it is left
		defer close(ended)
		first := sync.OnceFunc(func() { close(shown) })
		defer first()
		in := bufio.NewReader(stream.Body)
		for {
			line, err := in.ReadString('\n')
			events.WriteString(line)
			if err != nil {
				return
			}
			if line == "\n" {
				first() // a whole event
			}
		}
	}()
	for {
		var run evalforge.RunSummary
		_, answer := s.ask("POST", "/extraction/run-once", "application/json", []byte(`{"batchSize": 500}`))
		if err := json.Unmarshal(answer, &run); err != nil {
			s.c.t.Fatalf("%v\n%s", err, answer)
		}
		if run.PickedUpCount == 0 {
			break
		}
	}
	<-shown
	leave()
	<-ended
	if !bytes.Contains(events.Bytes(), []byte("event: live")) {
		s.c.t.Errorf("/live showed nothing: %q", events.Bytes())
	}
	s.keep("GET", "/live", stream, events.Bytes())
}

// takeIn sends planted documents to the service, and returns the ids of the traces that
// came as OTLP.
func (s *service) takeIn(specimens []specimen, text string) (received map[string]bool) {
	s.c.t.Helper()
	received = make(map[string]bool)
	id := regexp.MustCompile(`"traceId":"([0-9a-f]{28})[0-9a-f]{4}"`)
	for _, sp := range specimens {
		for i, places := range sp.companies(s.c.t) {
			doc := sp.plant(s.c.t, text, places...)
			if i%4 == 0 {
				s.ask("POST", "/api/v1/traces", "application/json", doc)
			}
			for line := range bytes.Lines(doc) {
				line = id.ReplaceAll(line, fmt.Appendf(nil, `"traceId":"${1}%04x"`, i)) // a trace of its own
				switch {
				case bytes.Contains(line, []byte(`"resourceSpans":`)):
					s.ask("POST", "/v1/traces", "application/json", line)
				case bytes.Contains(line, []byte(`"resourceLogs":`)):
					s.ask("POST", "/v1/logs", "application/json", line)
				default:
					continue
				}
				for _, m := range id.FindAllSubmatch(line, -1) {
					received[string(m[0][len(`"traceId":"`):len(m[0])-1])] = true
				}
			}
		}
	}
	for _, media := range []string{"application/json", "application/x-ndjson", "application/x-protobuf", "text/plain"} {
		for _, broken := range []string{text, fmt.Sprintf("{%q: [", text), fmt.Sprintf(`{"resourceSpans": %q, "messages": %q}`, text, text)} {
			for _, path := range []string{"/api/v1/traces", "/v1/traces", "/v1/logs", "/extraction/run-once", "/api/v1/retry", "/api/v1/rerun"} {
				s.ask("POST", path, media, []byte(broken))
			}
		}
	}
	return received
}

// askRudely makes requests that themselves hold what must not be logged. The answers may
// repeat it to whoever sent it, and are not searched.
func (s *service) askRudely(text string) {
	s.c.t.Helper()
	ask := func(path string) {
		resp := s.open(context.Background(), http.MethodGet, path, "", nil)
		_ = resp.Body.Close() // only the log counts
	}
	for _, path := range []string{"/api/v1/patterns", "/patterns", "/export/patterns.csv", "/api/v1/errors", "/quarantine", "/nothing"} {
		for _, name := range []string{"text", "service", "after", "cursor", "retried", text} {
			ask(path + "?" + url.Values{name: {text}}.Encode())
		}
	}
	for _, c := range redacttest.Canaries() {
		for _, path := range []string{"/patterns/", "/api/v1/state/", "/runs/", "/nothing/"} {
			ask(path + url.PathEscape(c.Text()))
		}
	}
}

// serveAndRead has the service take traces in over HTTP and OTLP, work on them, and show
// all that is in the store.
func (c *caught) serveAndRead(store string, specimens []specimen, text string) {
	c.t.Helper()
	s := c.serve(store)
	received := s.takeIn(specimens, text)
	s.stop() // which closes and stores the traces that are open
	s = c.serve(store)
	s.run()
	s.readAll()
	stored := 0
	for _, id := range s.ids("/api/v1/state", "trace_id") {
		if received[id] {
			stored++
		}
	}
	if stored < len(received)/4 {
		c.t.Errorf("of %d traces that came as OTLP %d are stored", len(received), stored)
	}
	s.changeSome()
	s.askRudely(text)
	s.stop()
}
