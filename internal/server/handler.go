package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/runner"
)

// A handlerFunc answers a request, or returns why not: a [*problem.Problem], or an error of a
// store or the runner, which problemOf knows.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

func (f handlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		writeError(w, r, err)
	}
}

// writeError answers with the problem that err is, and logs what the caller is not told.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		env := envOf(r.Context())
		p.Instance = env.instance
		env.log.LogAttrs(r.Context(), slog.LevelWarn, "request failed", slog.String("instance", env.instance),
			slog.String("route", r.Pattern), slog.Int("status", p.Status), slog.Any("error", err))
	}
	problem.Write(w, r, p)
}

// problemOf is the table from errors to problems. Text of a store's errors is not passed on: the log
// has it.
func problemOf(err error) *problem.Problem {
	var (
		p     *problem.Problem
		field *evalforge.FieldError
		large *http.MaxBytesError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &large):
		return problem.New(problem.TooLarge, fmt.Sprintf("the body is over %d bytes", large.Limit))
	case errors.As(err, &field):
		out := problem.New(problem.Invalid, "a value is not allowed: "+field.Error())
		out.Errors = []problem.FieldError{{Field: field.Field, Problem: field.Problem}}
		return out
	case errors.Is(err, evalforge.ErrNotFound):
		return problem.New(problem.NotFound, "")
	case errors.Is(err, runner.ErrBusy):
		return problem.New(problem.Busy, err.Error())
	case errors.Is(err, runner.ErrStopping):
		return problem.New(problem.Stopping, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.StoreSlow, "")
	case errors.Is(err, context.Canceled):
		return problem.New(problem.ClientGone, "")
	}
	return problem.New(problem.StoreUnavailable, "")
}

// stored lets a handler run only once the store can be used.
func (s *Server) stored(h handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !s.gate.pass(r.Context()) {
			return s.closed()
		}
		return h(w, r)
	}
}

// closed is the answer while the store cannot be used.
func (s *Server) closed() error {
	detail := errClosed.Error()
	if err := s.gate.reason(); err != nil {
		return &because{problem.New(problem.StoreUnavailable, detail), err}
	}
	return problem.New(problem.StoreUnavailable, detail)
}

// A because is a problem with the error behind it, for the log.
type because struct {
	p   *problem.Problem
	err error
}

func (b *because) Error() string   { return b.p.Error() + ": " + b.err.Error() }
func (b *because) Unwrap() []error { return []error{b.p, b.err} }

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // nobody is left to tell
	return nil
}
