package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/route"
)

// gzipFrom is the size from which an answer is compressed, in bytes.
const gzipFrom = 1 << 10

// chain puts what holds for every route around the table:
//
//	panics → security headers → which route → observation → pace of the connection → compression → who → body and time → handler
func (s *Server) chain(routes []route.Route) (http.Handler, error) {
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(gzipFrom))
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	mux := http.NewServeMux()
	for _, rt := range routes {
		rt.Handler = s.limit(rt)
		h := s.o.Auth.Wrap(rt)
		if !rt.Stream {
			h = compress(h)
		}
		h = s.pace(rt, h)
		if s.o.Observe != nil {
			h = s.o.Observe(rt, h)
		}
		if err := handle(mux, rt.Pattern(), h); err != nil {
			return nil, err
		}
	}
	h := handlerFunc(func(w http.ResponseWriter, r *http.Request) error { return serveMux(mux, w, r) })
	return s.outermost(headers(h)), nil
}

// handle adds a route, and reports one that the mux refuses.
func handle(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil { // the mux's only way to report a bad or double pattern
			err = fmt.Errorf("server: route %s: %v", pattern, p)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// serveMux serves a request whose route is known, and answers others with a problem.
func serveMux(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) error {
	h, pattern := mux.Handler(r)
	if pattern != "" {
		mux.ServeHTTP(w, r) // not h: the mux sets the path's values
		return nil
	}
	// Nobody reads the body, and the server waits only so long for it.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadLimit))
	// The mux says which methods the path knows.
	said := &answer{header: http.Header{}}
	h.ServeHTTP(said, r)
	if said.status == http.StatusMethodNotAllowed {
		allow := said.header.Get("Allow")
		w.Header().Set("Allow", allow)
		return problem.New(problem.MethodNotAllowed, "use "+allow)
	}
	return problem.New(problem.NotFound, "there is no such path").WithHint("GET /api/v1/openapi.yaml lists what there is")
}

// An answer keeps the beginning of what a handler answers.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }

// headers sets what makes browsers careful. Handlers may set others.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// An env is what the handlers of one request share.
type env struct {
	log      *slog.Logger
	instance string // of the problem, if one arises
}

type envKey struct{}

func envOf(ctx context.Context) *env {
	if e, ok := ctx.Value(envKey{}).(*env); ok {
		return e
	}
	return &env{log: slog.New(slog.DiscardHandler)}
}

// forPeople reports whether a browser shows the answer to r to somebody. What programs use answers as it says,
// whoever asks.
func forPeople(r *http.Request) bool {
	for _, programs := range []string{"/api/", "/v1/", "/extraction/", "/health", "/ready", "/metrics"} {
		if strings.HasPrefix(r.URL.Path, programs) {
			return false
		}
	}
	return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/html")
}

// outermost logs requests and keeps a panic from ending more than its request.
func (s *Server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &env{log: s.o.Log, instance: "req_" + rand.Text()[:16]}
		ctx := context.WithValue(r.Context(), envKey{}, e)
		if s.o.ProblemPage != nil && forPeople(r) {
			ctx = problem.WithPage(ctx, s.o.ProblemPage)
		}
		r = r.WithContext(ctx)
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			// The value may hold content of a trace; the stack does not.
			s.o.Log.ErrorContext(r.Context(), "panic while serving; please report it", "instance", e.instance, "route", r.Pattern,
				"panic_type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			bug := problem.New(problem.Internal, "")
			bug.Instance = e.instance
			problem.Write(w, r, bug)
		}()
		next.ServeHTTP(w, r)
	})
}
