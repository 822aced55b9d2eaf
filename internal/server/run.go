package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/runner"
)

// runPath is the run trigger, as deployed schedulers call it.
const runPath = "/extraction/run-once"

// maxTraceIDs bounds the traces that one request may name.
const maxTraceIDs = extract.MaxBatchSize

// A runOrder is the body of the run trigger. Every field may be absent or null, and so may
// the body.
type runOrder struct {
	BatchSize   *whole   `json:"batchSize"`
	DryRun      bool     `json:"dryRun"`
	TraceIDs    []string `json:"traceIds"`
	TriggeredBy string   `json:"triggeredBy"`
}

// request checks the order and returns what the engine is asked for.
func (o *runOrder) request() (extract.RunRequest, error) {
	req := extract.RunRequest{DryRun: o.DryRun, TraceIDs: slices.Clone(o.TraceIDs)}
	var wrong []problem.FieldError
	refuse := func(field, format string, args ...any) {
		wrong = append(wrong, problem.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if n := o.BatchSize; n != nil {
		if req.BatchSize = int(*n); *n < 1 || *n > extract.MaxBatchSize {
			refuse("batchSize", "is %d; allowed are 1 to %d", *n, extract.MaxBatchSize)
		}
	}
	if len(o.TraceIDs) > maxTraceIDs {
		refuse("traceIds", "has %d entries; at most %d are allowed", len(o.TraceIDs), maxTraceIDs)
	}
	wrong = append(wrong, wrongTraceID(o.TraceIDs)...)
	trigger, err := evalforge.ParseTrigger(o.TriggeredBy)
	if err != nil {
		refuse("triggeredBy", "%.60q is none of scheduled, manual, cloud-scheduler", o.TriggeredBy)
	}
	req.Trigger = trigger
	slices.Sort(req.TraceIDs)
	req.TraceIDs = slices.Compact(req.TraceIDs)
	return req, invalid(wrong)
}

// wrongTraceID says what is wrong with the first of the ids that no trace can have: one says it for all.
func wrongTraceID(ids []string) []problem.FieldError {
	for i, id := range ids {
		if field := (*evalforge.FieldError)(nil); errors.As(evalforge.ValidateTraceID(id), &field) {
			return []problem.FieldError{{Field: fmt.Sprintf("traceIds[%d]", i), Problem: field.Problem}}
		}
	}
	return nil
}

// runOnce makes a run, and answers when it has ended.
func (s *Server) runOnce(w http.ResponseWriter, r *http.Request) error {
	arrived := s.o.Now()
	var order runOrder
	if err := readJSON(r, &order); err != nil {
		return err
	}
	req, err := order.request()
	if err != nil {
		return err
	}
	if req.Delivery, err = deliveryOf(r, req); err != nil {
		return err
	}
	a, err := s.replays.do(r.Context(), req.Delivery, func(ctx context.Context) (runAnswer, error) {
		kept, err := s.kept(ctx, req.Delivery)
		if err != nil {
			return runAnswer{}, err
		}
		if kept != nil {
			return *kept, nil
		}
		out, err := s.run(ctx, req, arrived)
		return runAnswer{run: out}, err
	})
	if err != nil {
		return err
	}
	if a.replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	out := a.run
	if !out.DryRun {
		w.Header().Set("Location", "/api/v1/runs/"+out.RunID)
	}
	return writeJSON(w, http.StatusAccepted, out)
}

// run makes a run that ends early enough to be answered within the time for the request. A run that failed as
// a whole is an error.
func (s *Server) run(ctx context.Context, req extract.RunRequest, arrived time.Time) (evalforge.RunSummary, error) {
	claim, stop := s.runLimits()
	req.ClaimUntil = arrived.Add(claim)
	rctx, cancel := context.WithTimeout(ctx, stop-s.o.Now().Sub(arrived))
	defer cancel()
	rec, err := s.o.Runner.Run(rctx, req)
	rec = s.o.Clean.Run(rec)
	sum := rec.Summary()
	switch {
	case err == nil:
		return sum, nil
	case errors.Is(err, runner.ErrBusy), errors.Is(err, runner.ErrStopping):
		return sum, err
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return sum, ctx.Err() // the caller's doing
	}
	p := problem.New(problem.RunFailed, s.o.Clean.Text(err.Error()))
	if sum.RunID != "" {
		p.Run = &sum
	}
	return sum, &because{p, err}
}

// answerTime is kept for writing the record of a run that was stopped, and for the answer.
const answerTime = 3 * time.Second

// runLimits returns how long after its request's arrival a run claims traces, and when it is stopped if it still
// has some in flight. A trace claimed at the last moment has its whole time budget.
func (s *Server) runLimits() (claim, stop time.Duration) {
	t := s.o.RunTimeout
	stop = max(t-s.o.Grace-answerTime, t/2)
	return max(t-s.o.TraceTimeout-answerTime, t/4), stop
}
