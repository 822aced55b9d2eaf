package server

import (
	"context"
	"errors"
	"net/http"
	"runtime"

	"golang.org/x/sync/semaphore"

	"github.com/evalforge/evalforge/internal/server/problem"
)

// turns bounds how many requests read at the same time, first come, first served. More at once would
// not be served sooner, and a run that is under way would queue behind all of them for each of its steps. While there
// is a run, one processor is left to it.
type turns struct {
	all *semaphore.Weighted
	// size is how many may read; during a run each reader takes the room of several.
	size, weight int64
}

func newTurns() *turns {
	processors := int64(runtime.GOMAXPROCS(0))
	size := 2 * processors
	beside := max(1, processors-1) // readers beside a run
	return &turns{semaphore.NewWeighted(size), size, (size + beside - 1) / beside}
}

// take waits for a turn, and returns a function that ends it.
func (t *turns) take(ctx context.Context, running bool) (leave func(), err error) {
	n := int64(1)
	if running {
		n = t.weight
	}
	switch err := t.all.Acquire(ctx, n); {
	case err == nil:
		return func() { t.all.Release(n) }, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, problem.New(problem.Busy, "too many others are reading")
	default:
		return nil, err
	}
}

// A turn is one request's, from begin to end.
type turn struct {
	take  func() (leave func(), err error)
	leave func()
}

func (t *turn) begin() (err error) {
	t.leave, err = t.take()
	return err
}

func (t *turn) end() {
	if t.leave != nil {
		t.leave()
		t.leave = nil
	}
}

// A turnWriter lets others read while it waits for whoever takes the answer.
type turnWriter struct {
	http.ResponseWriter
	turn *turn
}

func (w *turnWriter) Write(p []byte) (int, error) {
	w.turn.end()
	n, err := w.ResponseWriter.Write(p)
	if err != nil {
		return n, err
	}
	return n, w.turn.begin()
}

func (w *turnWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
