package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// Bounds of connections. Time limits of bodies and answers belong to routes.
const (
	headerLimit    = 10 * time.Second // for a request's header to come
	idleLimit      = 2 * time.Minute
	maxHeaderBytes = 32 << 10
	// DrainTime is how long [Server.Serve] takes at most to end: Cloud Run kills an instance ten seconds after
	// it was told to stop.
	DrainTime = 9 * time.Second
)

// Serve answers on l until ctx is done. Then nothing new is accepted, runs claim no more traces and finish what they
// have in flight, their callers get their answers, and Serve returns, after at most [DrainTime]. It returns an
// error if it could not serve, or if something had to be cut off at the end.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	idlers := &newcomers{conns: map[net.Conn]struct{}{}}
	hs := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerLimit,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         idlers.note,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	background, endBackground := context.WithCancel(ctx)
	defer endBackground()
	var wg sync.WaitGroup
	wg.Go(func() { s.gate.run(background) })
	wg.Go(s.receive.run)
	if s.o.Every > 0 {
		wg.Go(func() { s.schedule(background) })
	}
	failed := make(chan error, 1)
	wg.Go(func() {
		if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serving on %s: %w", l.Addr(), err)
		}
	})
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	endBackground()
	dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), DrainTime)
	defer cancel()
	s.end()
	idle := s.o.Runner.Stop()
	idlers.close()
	if serr := hs.Shutdown(dctx); serr != nil {
		err = errors.Join(err, fmt.Errorf("shutting down: requests were cut off: %w", serr), hs.Close())
	}
	ended := make(chan struct{})
	go func() {
		<-idle
		wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-dctx.Done():
		err = errors.Join(err, errors.New("shutting down: a run was cut off; its traces are due again when their leases expire"))
	}
	return err
}

// schedule makes a run at once, and then one every [Options.Every]. A run that takes longer delays the next one: runs
// of the schedule never overlap.
func (s *Server) schedule(ctx context.Context) {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-s.gate.done:
			s.scheduled(ctx)
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// scheduled makes one run of the schedule.
func (s *Server) scheduled(ctx context.Context) {
	rec, err := s.o.Runner.Run(ctx, extract.RunRequest{Trigger: evalforge.Scheduled})
	switch {
	case err != nil && ctx.Err() == nil:
		s.o.Log.ErrorContext(ctx, "the scheduled run failed; the next one tries again", "run_id", rec.RunID, "error", s.o.Clean.Text(err.Error()))
	case err == nil:
		s.o.Log.InfoContext(ctx, "scheduled run ended", "run_id", rec.RunID, "picked_up", rec.PickedUpCount,
			"stored", rec.StoredCount, "failed", rec.FailedCount(), "next", s.o.Every)
	}
}

// newcomers are connections on which nothing was ever asked, as browsers open in advance. Shutdown would wait
// for them to say something.
type newcomers struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func (n *newcomers) note(c net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if state != http.StateNew {
		delete(n.conns, c)
		return
	}
	if n.closed {
		_ = c.Close() // accepted just before the listener was closed; nothing was said
		return
	}
	n.conns[c] = struct{}{}
}

func (n *newcomers) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for c := range n.conns {
		_ = c.Close() // nothing was said
	}
}
