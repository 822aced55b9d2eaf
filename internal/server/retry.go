package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/problem"
)

// A retryOrder is the body of the retry route.
type retryOrder struct {
	TraceIDs []string `json:"traceIds"`
}

// A retryResult says what became of one trace, as "evalforge retry -o json" does.
type retryResult struct {
	TraceID string `json:"traceId"`
	Result  string `json:"result"` // due, unknown, nothing_to_retry
	Reason  string `json:"reason,omitempty"`
}

// A retryAnswer has a result for each trace, in the order of the request.
type retryAnswer struct {
	Results []retryResult `json:"results"`
}

// retry makes quarantined or waiting traces due again. Each trace has its own result: one that has nothing to
// retry does not keep the others.
func (s *Server) retry(w http.ResponseWriter, r *http.Request) error {
	var order retryOrder
	if err := readJSON(r, &order); err != nil {
		return err
	}
	if n := len(order.TraceIDs); n == 0 || n > maxTraceIDs {
		return invalid([]problem.FieldError{{Field: "traceIds", Problem: fmt.Sprintf("has %d entries; 1 to %d are needed", n, maxTraceIDs)}})
	}
	answer := retryAnswer{Results: make([]retryResult, 0, len(order.TraceIDs))}
	for _, id := range order.TraceIDs {
		res := retryResult{TraceID: id, Result: "due"}
		err := s.o.Store.Retry(r.Context(), id, s.o.Now())
		switch {
		case err == nil:
		case isNotFound(err), evalforge.ValidateTraceID(id) != nil:
			res.Result, res.Reason = "unknown", "there is no such trace"
		case errors.Is(err, extract.ErrNotRetryable):
			res.Result, res.Reason = "nothing_to_retry", s.o.Clean.Text(retryReason(err))
		default:
			return fmt.Errorf("retry %s: %w", id, err)
		}
		answer.Results = append(answer.Results, res)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// retryReason says why a store has nothing to retry, without the id, which stands beside it.
func retryReason(err error) string {
	if _, why, ok := strings.Cut(err.Error(), extract.ErrNotRetryable.Error()+": "); ok {
		return extract.ErrNotRetryable.Error() + ": " + why
	}
	return err.Error()
}

func isNotFound(err error) bool { return errors.Is(err, evalforge.ErrNotFound) }
