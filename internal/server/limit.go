package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/route"
)

// Time limits of requests.
const (
	// requestLimit bounds what a handler does, importLimit an import, which reads as long as its
	// sender sends.
	requestLimit = 20 * time.Second
	importLimit  = 15 * time.Minute
	// fileLimit bounds an answer of any length, which takes as long as its reader does.
	fileLimit = 15 * time.Minute
	// pauseLimit is how long a body may pause. Any byte ends the pause; requestLimit or
	// importLimit bounds the whole.
	pauseLimit = 20 * time.Second
	// lastPause is pauseLimit once the service is stopping.
	lastPause = time.Second
	// unreadLimit is how long a body may still come that no handler has read: the server takes it before it sends
	// the answer. It is less than DrainTime.
	unreadLimit = 5 * time.Second
	// writeLimit is what a client gets to take its answer or, of one that is written as it is made, each part.
	writeLimit = 30 * time.Second
)

// How many answers that last are given at a time. Each of them holds a connection, and an export patterns besides.
const (
	maxFiles   = 4
	maxStreams = 100
)

// timeFor returns how long a request for rt may take until its answer; 0 is no bound.
func (s *Server) timeFor(rt route.Route) time.Duration {
	switch {
	case rt.Stream:
		return 0
	case rt.File:
		return fileLimit
	case rt.Path == runPath:
		return s.o.RunTimeout
	case rt.Path == importPath:
		return importLimit
	}
	return requestLimit
}

// pace bounds how slowly a client may send its body and take its answer, so that
// many slow ones do not hold connections for ever.
func (s *Server) pace(rt route.Route, next http.Handler) http.Handler {
	limit := s.timeFor(rt)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		now := time.Now() // the connection's clock
		var end time.Time
		if limit > 0 {
			end = now.Add(limit)
		}
		if rt.Stream || rt.File {
			paced := &pacedWriter{w, c}
			defer paced.extend() // for what the server still holds
			w = paced
		} else {
			_ = c.SetWriteDeadline(end.Add(writeLimit)) // an answer kept in memory, as in tests, has none
		}
		if r.Body != nil && r.Body != http.NoBody {
			body := &pacedBody{ReadCloser: r.Body, conn: c, ending: s.ending, end: end}
			r.Body = body
			defer body.leave()
			stop := context.AfterFunc(s.ending, body.setDeadline) // a pause under way is shortened
			defer stop()
		}
		next.ServeHTTP(w, r)
	})
}

// A pacedWriter fails when its reader does not take a part in time.
type pacedWriter struct {
	http.ResponseWriter
	conn *http.ResponseController
}

func (p *pacedWriter) extend() { _ = p.conn.SetWriteDeadline(time.Now().Add(writeLimit)) }

func (p *pacedWriter) Write(b []byte) (int, error) {
	p.extend()
	return p.ResponseWriter.Write(b)
}

func (p *pacedWriter) FlushError() error {
	p.extend()
	return p.conn.Flush()
}

func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// A pacedBody fails when nothing came for a while, or when its time is up.
type pacedBody struct {
	io.ReadCloser
	conn   *http.ResponseController
	ending context.Context
	end    time.Time // zero: never

	mu   sync.Mutex
	read bool // to its end
}

func (b *pacedBody) Read(p []byte) (int, error) {
	b.setDeadline()
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.read = true
		// At the end, the server goes on to wait for the client to hang up, which takes no deadline. A body that broke
		// off has no end, and before it sends the answer the server would wait for that.
		var by time.Time
		if !errors.Is(err, io.EOF) {
			by = time.Now()
		}
		_ = b.conn.SetReadDeadline(by)
	}
	return n, err
}

// leave bounds the wait for a body that the handler has not read to its end.
func (b *pacedBody) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.read {
		_ = b.conn.SetReadDeadline(time.Now().Add(unreadLimit))
	}
}

func (b *pacedBody) setDeadline() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read {
		return
	}
	pause := pauseLimit
	if b.ending.Err() != nil {
		pause = lastPause
	}
	by := time.Now().Add(pause)
	if !b.end.IsZero() && b.end.Before(by) {
		by = b.end
	}
	_ = b.conn.SetReadDeadline(by)
}

// limit bounds what a request may take of a route: its body, and its time. Runs bound their own.
func (s *Server) limit(rt route.Route) http.Handler {
	return handlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if rt.MaxBody == 0 && r.ContentLength > 0 {
			return problem.New(problem.TooLarge, "no body is expected here")
		}
		if r.ContentLength > rt.MaxBody {
			return &http.MaxBytesError{Limit: rt.MaxBody}
		}
		r.Body = http.MaxBytesReader(w, r.Body, rt.MaxBody)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		if rt.Stream || rt.File {
			stop := context.AfterFunc(s.ending, cancel)
			defer stop()
			leave, err := s.place(rt)
			if err != nil {
				return err
			}
			defer leave()
		}
		if !rt.Stream && rt.Path != runPath {
			ctx, cancel = context.WithTimeout(ctx, s.timeFor(rt))
			defer cancel()
		}
		if rt.Role == route.Viewer && !rt.Stream {
			turn := &turn{take: func() (func(), error) { return s.turns.take(ctx, s.o.Runner.Busy()) }}
			if err := turn.begin(); err != nil {
				return err
			}
			defer turn.end()
			if rt.File {
				w = &turnWriter{w, turn}
			}
		}
		rt.Handler.ServeHTTP(w, r.WithContext(ctx))
		return nil
	})
}

// place takes one of the places for answers that last, and returns a function that gives it back.
func (s *Server) place(rt route.Route) (leave func(), err error) {
	places, what := s.files, "too many exports are under way"
	if rt.Stream {
		places, what = s.streams, "too many others are watching"
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, problem.New(problem.Busy, what)
	}
}
