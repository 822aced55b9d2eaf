package extract

import "context"

// A Forgetter deletes what is kept about a trace, as when a person asks for it.
//
// That is its raw trace, its pattern, the patterns that were replaced, its error documents,
// its state, and the answers of models that were paid for it. In the records of the runs
// that worked on it the reason of its outcome is replaced by [ForgottenReason]; its id and
// its outcome stay there, so that the record still adds up. Runs are known by the
// state (the last 16 that claimed it), by its errors and by its patterns.
//
// What is forgotten can come back: ingestion may write the trace anew, and a run that is
// at work on it still ends with a record that names it, and may keep an answer. See
// [Forgotten.Owner] and [Forgotten.OpenRuns].
type Forgetter interface {
	// Forget deletes what is kept about a trace and says what that was. Repeating it after
	// a fault is safe, and deletes what was left. It fails with an error that matches
	// [evalforge.ErrNotFound] if there is nothing.
	Forget(ctx context.Context, traceID string) (Forgotten, error)
	// Kept says what Forget would delete, and deletes nothing.
	Kept(ctx context.Context, traceID string) (Forgotten, error)
}

// ForgottenReason stands in a run's record for the reason of a trace that was forgotten.
const ForgottenReason = "forgotten"

// Forgotten is what was kept about a trace.
type Forgotten struct {
	Trace   bool `json:"trace"`
	Pattern bool `json:"pattern"`
	State   bool `json:"state"`
	History int  `json:"history"` // replaced patterns
	Errors  int  `json:"errors"`  // error documents
	Answers int  `json:"answers"` // kept answers of models
	Reasons int  `json:"reasons"` // of its outcomes, in the records of runs

	// Owner is who held a lease on the trace, or "". If they are alive, they lose it.
	Owner string `json:"owner,omitempty"`
	// OpenRuns are the runs that claimed the trace and have no record: they are still at
	// work, or died.
	OpenRuns []string `json:"open_runs,omitempty"`
}

// None reports whether nothing was kept.
func (f Forgotten) None() bool {
	return !f.Trace && !f.Pattern && !f.State && f.History+f.Errors+f.Answers == 0
}
