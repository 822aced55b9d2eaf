package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/route"
)

// A sighting collects which statuses each operation was answered with.
type sighting struct {
	mu   sync.Mutex
	seen map[string]map[string]bool
}

func (a *sighting) note(pattern string, r response) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen[pattern] == nil {
		a.seen[pattern] = map[string]bool{}
	}
	a.seen[pattern][strconv.Itoa(r.StatusCode)] = true
}

// An attempt is a request to an operation, whose path has its parameters filled in.
type attempt struct {
	pattern, method, path, body string
	header                      []string
}

const otlpTrace = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"chat","startTimeUnixNano":"1","endTimeUnixNano":"2","status":{"code":2}}]}]}]}`

// answersOf asks every operation in every way that the document speaks of, and returns what it was answered. Each
// answer is held to the document on the way.
func answersOf(t *testing.T) map[string]map[string]bool {
	a := &sighting{seen: map[string]map[string]bool{}}
	s := start(t)
	ids := s.traces(3)
	run := s.run("")
	if err := s.store.RecordError(t.Context(), evalforge.ExtractionError{RunID: run.RunID, SourceTraceID: ids[0], ErrorType: evalforge.Timeout, RecordedAt: evalforge.At(time.Now())}); err != nil {
		t.Fatal(err)
	}
	fill := func(pattern, id string) attempt {
		method, path, _ := strings.Cut(pattern, " ")
		return attempt{pattern: pattern, method: method, path: strings.ReplaceAll(path, "{id}", id)}
	}
	good := func(pattern string) attempt {
		x := fill(pattern, ids[0])
		switch pattern {
		case "GET /api/v1/runs/{id}":
			x = fill(pattern, run.RunID)
		case "POST /extraction/run-once":
			x.body = "{}"
		case "POST /api/v1/retry", "POST /api/v1/rerun":
			x.body = `{"traceIds":["` + ids[0] + `","unknown"]}`
		case "POST /api/v1/traces":
			x.body = `{"messages":[{"role":"user","content":"Is anybody there?"}]}`
		case "POST /v1/traces", "POST /v1/logs":
			x.body = otlpTrace
		}
		return x
	}
	ask := func(s *service, x attempt) {
		a.note(x.pattern, s.do(x.method, x.path, x.body, x.header...))
	}
	var patterns []string
	for _, rt := range s.server.Routes() {
		patterns = append(patterns, rt.Pattern())
	}
	for _, p := range patterns {
		x := good(p)
		ask(s, x)
		if x.method == http.MethodGet {
			x.header = []string{"If-None-Match", "*"}
			ask(s, x) // 304, where there is a tag
			x.header, x.body = nil, "a body"
			ask(s, x)                 // 413
			ask(s, fill(p, "nobody")) // 404
			ask(s, fill(p, "__x__"))  // 422
			for _, query := range []string{"?limit=%zz", "?limit=0"} {
				x = good(p)
				x.path += query
				ask(s, x) // 400, 422
			}
			continue
		}
		x.header = []string{"Content-Type", "text/html", "Content-Encoding", "br"}
		ask(s, x) // 415
		for _, body := range []string{"{", `{"unknown":1}`, `{"batchSize":0}`} {
			x = good(p)
			x.body = body
			ask(s, x) // 400, 422
		}
		x = good(p)
		x.path += "?format=%zz"
		ask(s, x)                                                                                                                                    // 400
		a.note(p, s.raw(x.method+" "+x.path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9999999999\r\n\r\n")) // 413
	}
	for _, p := range patterns {
		askGuarded(t, a, good(p))
	}
	askUnopened(t, a, patterns, good)
	askStopping(t, a, good)
	return a.seen
}

// askGuarded asks a service that wants to know who asks, with no token and with one of somebody without a role.
func askGuarded(t *testing.T, a *sighting, x attempt) {
	allow, err := auth.ParseList("somebody@example.com")
	if err != nil {
		t.Fatal(err)
	}
	guard, err := auth.New(auth.Options{Mode: auth.IAM, CloudRun: true, Listen: ":8080", Now: time.Now,
		Log: newService(t).options.Log, Allow: map[route.Role]auth.List{route.Viewer: allow}})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, func(s *service) { s.options.Auth = guard })
	a.note(x.pattern, s.do(x.method, x.path, x.body))
	claims, err := json.Marshal(map[string]any{"email": "other@example.com", "email_verified": true, "iss": "https://accounts.google.com",
		"sub": "1", "aud": "x", "iat": time.Now().Unix() - 5, "exp": time.Now().Unix() + 600})
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	token := enc([]byte(`{"alg":"RS256","typ":"JWT","kid":"1"}`)) + "." + enc(claims) + ".SIGNATURE_REMOVED_BY_GOOGLE"
	a.note(x.pattern, s.do(x.method, x.path, x.body, "Authorization", "Bearer "+token))
}

// askUnopened asks a service whose store was never reached.
func askUnopened(t *testing.T, a *sighting, patterns []string, good func(string) attempt) {
	s := start(t, func(s *service) { s.options.Open = func(context.Context) error { return errors.New("down") } })
	var wg sync.WaitGroup // each waits a moment for the store
	for _, p := range patterns {
		wg.Go(func() {
			x := good(p)
			a.note(p, s.do(x.method, x.path, x.body))
		})
	}
	wg.Wait()
}

// askStopping sends half a body to a service that then stops, and asks it again when it has stopped.
func askStopping(t *testing.T, a *sighting, good func(string) attempt) {
	s, stop := serve(t)
	var wg, reading sync.WaitGroup
	for _, p := range []string{"POST /extraction/run-once", "POST /api/v1/retry", "POST /api/v1/rerun", "POST /api/v1/traces"} {
		reading.Add(1)
		wg.Go(func() { a.note(p, s.raw(p+halfRequest, reading.Done)) })
	}
	reading.Wait()
	if err := stop(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for _, p := range []string{"POST /v1/traces", "POST /v1/logs"} {
		x := good(p)
		req := httptest.NewRequest(x.method, "http://127.0.0.1"+x.path, strings.NewReader(x.body))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.server.Handler().ServeHTTP(w, req)
		r := response{w.Result(), w.Body.Bytes()}
		r.Request = req
		s.conforms(r)
		a.note(p, r)
	}
}

// halfRequest is a request after its path whose body never comes in full. The service says 100 when it begins to
// read it.
const halfRequest = " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n{"

// raw sends text over a connection of its own, and returns the answer. It calls reading when the body is being
// read.
func (s *service) raw(text string, reading ...func()) response {
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Error(err)
		return response{Response: new(http.Response)}
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Error(err)
	}
	line, _, _ := strings.Cut(text, "\r\n")
	var method, path string
	if _, err := fmt.Sscan(line, &method, &path); err != nil {
		s.t.Error(err)
	}
	req := httptest.NewRequest(method, "http://127.0.0.1"+path, nil)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, req)
	if err == nil && resp.StatusCode == http.StatusContinue {
		for _, f := range reading {
			f()
		}
		resp, err = http.ReadResponse(in, req)
	}
	if err != nil {
		s.t.Errorf("%s: %v", line, err)
		return response{Response: new(http.Response)}
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		s.t.Errorf("%s: %v", line, err)
	}
	r := response{resp, body.Bytes()}
	s.conforms(r)
	return r
}
