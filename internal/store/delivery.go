package store

import (
	"time"

	"github.com/evalforge/evalforge"
)

// Delivered returns what [extract.Archive.Delivered] does, of all runs that may be it.
func Delivered(all []evalforge.Run, key string, since time.Time) (evalforge.Run, error) {
	since = evalforge.At(since).Time
	var last evalforge.Run
	for _, r := range all {
		if key != "" && r.Delivery.Key == key && !r.StartedAt.Before(since) && later(r, last) {
			last = r
		}
	}
	if last.RunID == "" {
		return last, NotFound("extraction_runs of a delivery", key)
	}
	return last, nil
}

// later reports whether a run was started after another; of two at once, which has the
// greater id.
func later(r, than evalforge.Run) bool {
	if c := r.StartedAt.Compare(than.StartedAt.Time); c != 0 {
		return c > 0
	}
	return r.RunID > than.RunID
}
