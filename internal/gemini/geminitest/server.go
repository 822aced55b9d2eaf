// Package geminitest is a Gemini service for tests: an HTTP server that speaks the wire
// protocol of both backends and answers as its script says, well or in any of the ways
// in which the real one fails. Point the analyzer's BaseURL at [Server.URL].
//
// What it answers is made up. It knows nothing of how a model judges a trace.
package geminitest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Request is what the server was asked.
type Request struct {
	Method string
	Path   string
	Vertex bool // the path names a project or a publisher
	Model  string
	Verb   string // generateContent, countTokens, or "" for reading the model
	Header http.Header
	Body   []byte
	// Instruction and Message are the texts of the system instruction and of the last
	// content.
	Instruction string
	Message     string
	// Config is the generationConfig, as JSON values.
	Config map[string]any

	ctx context.Context // done when the client hangs up or the server closes
}

// Trace returns the trace that the message carries, or nil.
func (r *Request) Trace() []byte { return r.section("TRACE") }

// Hints returns the hints that the message carries, or nil.
func (r *Request) Hints() []byte { return r.section("HINTS") }

// Refused returns the refused answer that the message of a repair carries, or nil.
func (r *Request) Refused() []byte { return r.section("REFUSED") }

// Problems returns the reasons that the message of a repair carries, or nil.
func (r *Request) Problems() []byte { return r.section("PROBLEMS") }

// section returns what stands between the first line that begins a section and the line
// that ends it with the same marker.
func (r *Request) section(name string) []byte {
	m := regexp.MustCompile(`(?m)^BEGIN ` + name + ` (\w+)\n`).FindStringSubmatchIndex(r.Message)
	if m == nil {
		return nil
	}
	marker, rest := r.Message[m[2]:m[3]], r.Message[m[1]:]
	end := strings.Index(rest, "\nEND "+name+" "+marker+"\n")
	if end < 0 {
		return nil
	}
	return []byte(rest[:end])
}

// A Reply answers one request. The request was read completely.
type Reply func(w http.ResponseWriter, r *Request)

// A Server is a Gemini service.
type Server struct {
	URL string

	srv  *httptest.Server
	done chan struct{}

	mu       sync.Mutex
	script   []Reply
	at       int
	probe    Reply
	gone     []string
	requests []Request
	flying   int
	peak     int
}

// NewServer starts a server, and closes it when the test ends. Each generateContent
// request gets the next reply of the script; after the last one, the last one again.
// Without a script every answer is [Well]. Requests that count tokens or read a model
// are answered without touching the script.
func NewServer(tb testing.TB, script ...Reply) *Server {
	tb.Helper()
	if len(script) == 0 {
		script = []Reply{Well()}
	}
	s := &Server{
		script: script,
		probe:  JSON(http.StatusOK, map[string]any{"totalTokens": 1}),
		done:   make(chan struct{}),
	}
	s.srv = httptest.NewServer(s)
	s.URL = s.srv.URL
	tb.Cleanup(func() {
		close(s.done) // lets replies that wait return, which Close waits for
		s.srv.Close()
	})
	return s
}

// Gone makes the server answer 404 for these models from now on, as the service does
// for models that are closed to new users.
func (s *Server) Gone(models ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = append(s.gone, models...)
}

// OnProbe sets the reply to requests that count tokens.
func (s *Server) OnProbe(reply Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probe = reply
}

// Requests returns the generateContent requests so far, in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Peak returns how many generateContent requests were being answered at once.
func (s *Server) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

var pathForm = regexp.MustCompile(`^/v1(?:beta1?)?/(?:(projects/[^/]+/locations/[^/]+/|)publishers/google/)?models/([^/:]+)(?::(\w+))?$`)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	// Only after the body was read does the server notice that a client hung up.
	body, err := io.ReadAll(hr.Body)
	if err != nil {
		return
	}
	m := pathForm.FindStringSubmatch(hr.URL.Path)
	if m == nil {
		HTML(http.StatusNotFound)(w, nil)
		return
	}
	ctx, cancel := context.WithCancel(hr.Context())
	defer cancel()
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	r := Request{
		Method: hr.Method, Path: hr.URL.Path, Vertex: strings.Contains(hr.URL.Path, "publishers/"),
		Model: m[2], Verb: m[3], Header: hr.Header.Clone(), Body: body, ctx: ctx,
	}
	if len(body) > 0 {
		if err := r.decode(); err != nil {
			Status(http.StatusBadRequest, "INVALID_ARGUMENT", "Invalid JSON payload received: "+err.Error())(w, &r)
			return
		}
	}
	reply := s.next(&r)
	if r.Verb == "generateContent" {
		defer func() { // also when the reply cuts the connection
			s.mu.Lock()
			s.flying--
			s.mu.Unlock()
		}()
	}
	reply(w, &r)
}

// decode fills in the decoded fields from the body.
func (r *Request) decode() error {
	type content struct {
		Parts []struct {
			Text string `json:"text"`
		} `json:"parts"`
	}
	var b struct {
		Contents          []content      `json:"contents"`
		SystemInstruction *content       `json:"systemInstruction"`
		GenerationConfig  map[string]any `json:"generationConfig"`
	}
	if err := json.Unmarshal(r.Body, &b); err != nil {
		return err
	}
	text := func(c content) string {
		var t strings.Builder
		for _, p := range c.Parts {
			t.WriteString(p.Text)
		}
		return t.String()
	}
	if b.SystemInstruction != nil {
		r.Instruction = text(*b.SystemInstruction)
	}
	if n := len(b.Contents); n > 0 {
		r.Message = text(b.Contents[n-1])
	}
	r.Config = b.GenerationConfig
	return nil
}

// next records a request and returns the reply to it.
func (s *Server) next(r *Request) Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	generate := r.Verb == "generateContent"
	if generate {
		s.requests = append(s.requests, *r)
		s.flying++
		s.peak = max(s.peak, s.flying)
	}
	if slices.Contains(s.gone, r.Model) {
		return ModelGone()
	}
	switch r.Verb {
	case "countTokens":
		return s.probe
	case "":
		return JSON(http.StatusOK, map[string]any{"name": "models/" + r.Model})
	case "generateContent":
		reply := s.script[min(s.at, len(s.script)-1)]
		s.at++
		return reply
	}
	return Status(http.StatusNotFound, "NOT_FOUND", fmt.Sprintf("Method %s not found.", r.Verb))
}
