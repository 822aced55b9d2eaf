package server_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evalforge/evalforge/internal/server/route"
)

// pipes are connections in memory, without buffers: what is not read is not written.
type pipes struct {
	net.Listener
	accepted chan net.Conn
	ctx      context.Context
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.ctx.Done():
		return nil, http.ErrServerClosed
	}
}

func (p *pipes) Close() error { return nil }

// ask opens a connection and sends a request.
func (p *pipes) ask(t *testing.T, path string) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	p.accepted <- theirs
	if _, err := fmt.Fprintf(ours, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	return ours
}

// endless serves an answer without end at /file and /stream, and says when and why each ended.
func endless(t *testing.T) (*pipes, chan error) {
	t.Helper()
	ended := make(chan error, 1000)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 32<<10)
		for {
			_, err := w.Write(part)
			if err = cmp.Or(err, r.Context().Err()); err != nil {
				ended <- err
				panic(http.ErrAbortHandler)
			}
		}
	})
	s := newService(t, func(s *service) {
		s.options.Pages = []route.Route{{Method: http.MethodGet, Path: "/file", Role: route.Viewer, Handler: h, File: true},
			{Method: http.MethodGet, Path: "/stream", Role: route.Viewer, Handler: h, Stream: true}}
	})
	p := &pipes{accepted: make(chan net.Conn), ctx: t.Context()}
	hs := &http.Server{Handler: s.server.Handler()}
	go func() { _ = hs.Serve(p) }() // until the test ends
	t.Cleanup(func() { _ = hs.Close() })
	return p, ended
}

// A reader that takes nothing is cut off after its time for a part, one that takes something for as long as it does;
// but no file takes longer than files may.
func TestSlowReadersAreCutOff(t *testing.T) {
	for path, most := range map[string]time.Duration{"/file": 15*time.Minute + 30*time.Second, "/stream": 0} {
		synctest.Test(t, func(t *testing.T) {
			p, ended := endless(t)
			began := time.Now()
			p.ask(t, path)
			if err := <-ended; time.Since(began) != 30*time.Second {
				t.Errorf("%s: a reader that takes nothing is cut off after %v: %v", path, time.Since(began), err)
			}
			began = time.Now()
			c := p.ask(t, path)
			for time.Since(began) < time.Hour {
				if _, err := io.CopyN(io.Discard, c, 64<<10); err != nil {
					break
				}
				time.Sleep(20 * time.Second)
			}
			if took := time.Since(began); most == 0 && took < time.Hour || most > 0 && (took > most || took < most-time.Minute) {
				t.Errorf("%s: a reader that takes little is cut off after %v", path, took)
			}
		})
	}
}

// However many read slowly, only some are served, and others read beside them.
func TestSlowReadersLeaveRoom(t *testing.T) {
	for path, most := range map[string]int{"/file": 4, "/stream": 100} {
		synctest.Test(t, func(t *testing.T) {
			p, _ := endless(t)
			for range most {
				p.ask(t, path)
			}
			synctest.Wait()
			for other, want := range map[string]int{path: http.StatusServiceUnavailable, "/api/v1/patterns": http.StatusOK} {
				res, err := http.ReadResponse(bufio.NewReader(p.ask(t, other)), nil)
				if err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != want || want == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
					t.Errorf("%s beside %d of %s: got %s, want %d", other, most, path, res.Status, want)
				}
			}
		})
	}
}
