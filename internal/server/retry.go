package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/problem"
)

// A traceOrder is the body of a route that does something to some traces.
type traceOrder struct {
	TraceIDs []string `json:"traceIds"`
}

// A traceResult says what became of one trace.
type traceResult struct {
	TraceID string `json:"traceId"`
	Result  string `json:"result"` // due, unknown, or why it was left alone
	Reason  string `json:"reason,omitempty"`
}

// A traceAnswer has a result for each trace, in the order of the request.
type traceAnswer struct {
	Results []traceResult `json:"results"`
}

// retry makes quarantined or waiting traces due again.
func (s *Server) retry(w http.ResponseWriter, r *http.Request) error {
	return s.eachTrace(w, r, "nothing_to_retry", extract.ErrNotRetryable, func(ctx context.Context, id string) error {
		return s.o.Store.Retry(ctx, id, s.o.Now())
	})
}

// rerun makes processed traces due again, so that the next run extracts them anew.
func (s *Server) rerun(w http.ResponseWriter, r *http.Request) error {
	return s.eachTrace(w, r, "not_processed", extract.ErrNotProcessed, func(ctx context.Context, id string) error {
		return s.o.Store.Reopen(ctx, id, s.o.Now())
	})
}

// eachTrace does something to each trace of the body. Each has its own result: one that is left alone, with an error
// that matches no, does not keep the others.
func (s *Server) eachTrace(w http.ResponseWriter, r *http.Request, left string, no error, do func(context.Context, string) error) error {
	var order traceOrder
	if err := readJSON(r, &order); err != nil {
		return err
	}
	if n := len(order.TraceIDs); n == 0 || n > maxTraceIDs {
		return invalid([]problem.FieldError{{Field: "traceIds", Problem: fmt.Sprintf("has %d entries; 1 to %d are needed", n, maxTraceIDs)}})
	}
	if err := invalid(wrongTraceID(order.TraceIDs)); err != nil {
		return err
	}
	answer := traceAnswer{Results: make([]traceResult, 0, len(order.TraceIDs))}
	for _, id := range order.TraceIDs {
		res := traceResult{TraceID: id, Result: "due"}
		err := do(r.Context(), id)
		switch {
		case err == nil:
		case isNotFound(err):
			res.Result, res.Reason = "unknown", "there is no such trace"
		case errors.Is(err, no):
			res.Result, res.Reason = left, s.o.Clean.Text(reasonOf(err, no))
		default:
			return fmt.Errorf("trace %s: %w", id, err)
		}
		answer.Results = append(answer.Results, res)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// reasonOf returns what err says from no on, without the id, which stands beside it.
func reasonOf(err, no error) string {
	if at := strings.Index(err.Error(), no.Error()); at >= 0 {
		return err.Error()[at:]
	}
	return err.Error()
}

func isNotFound(err error) bool { return errors.Is(err, evalforge.ErrNotFound) }
