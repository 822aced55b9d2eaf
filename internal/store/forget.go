package store

import (
	"maps"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// ForgetReasons replaces the reasons of a trace's outcomes in a run's record, and returns
// how many there were.
func ForgetReasons(r *evalforge.Run, traceID string) int {
	n := 0
	for i := range r.TraceOutcomes {
		o := &r.TraceOutcomes[i]
		if o.SourceTraceID == traceID && o.ErrorReason != nil && *o.ErrorReason != extract.ForgottenReason {
			reason := extract.ForgottenReason
			o.ErrorReason = &reason
			n++
		}
	}
	return n
}

// WorkedOn are the runs that are known to have worked on a trace, by id, and whether it is
// by a claim that they are known.
type WorkedOn map[string]bool

// Add notes a run. An id that cannot be one is left out: other services write such
// documents too.
func (w WorkedOn) Add(runID string, claimed bool) {
	if checkRunID(runID) == nil {
		w[runID] = w[runID] || claimed
	}
}

// IDs returns the ids in order.
func (w WorkedOn) IDs() []string { return slices.Sorted(maps.Keys(w)) }
