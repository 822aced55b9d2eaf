package pages

import (
	"net/http"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// A waitingPage is the backlog, trace by trace: what the next runs take, what one works on, and what
// is to be tried again.
type waitingPage struct {
	Due   []dueRow
	Ready int // how many are due, Due included

	Working, Later           []stuckRow
	WorkingCount, LaterCount int // all of them; the lists may be shorter
	Live                     livePart
}

// A dueRow is a trace that the next run may take.
type dueRow struct {
	ID        string
	Service   string
	FetchedAt evalforge.Timestamp
	Attempts  int // so far
}

const (
	// shownDue is how many traces that are due are listed. Each comes with its payload.
	shownDue = 20
	// statesRead is how many states are read for those in work and to be tried again: the
	// ones that changed last.
	statesRead = 200
)

func (p *Pages) waiting(r *http.Request) (view, error) {
	ctx, now := r.Context(), p.o.Now()
	b, err := p.o.Store.Backlog(ctx, now)
	if err != nil {
		return view{}, err
	}
	page := waitingPage{Ready: ready(b), WorkingCount: b.Leased, LaterCount: b.BackingOff, Live: p.livePart()}
	if page.Ready > 0 {
		claims, err := p.o.Store.Peek(ctx, extract.ClaimRequest{RunID: "run_peek", Limit: shownDue, Now: now})
		if err != nil {
			return view{}, err
		}
		for _, c := range claims {
			page.Due = append(page.Due, dueRow{c.TraceID, p.o.Clean.Text(c.Trace.ServiceName), c.Trace.FetchedAt, c.Attempt - 1})
		}
		visibleAll(&page.Due)
	}
	if b.Leased+b.BackingOff > 0 {
		states, _, err := p.o.Store.States(ctx, extract.StateQuery{PageQuery: extract.PageQuery{Limit: statesRead}})
		if err != nil {
			return view{}, err
		}
		for _, s := range states {
			page.add(p.stuckRow(s), now)
		}
	}
	return view{template: "waiting", title: "Waiting", page: page}, nil
}

// ready is how many traces are due.
func ready(b extract.Backlog) int { return b.Pending - b.Leased - b.BackingOff - b.Quarantined }

// add lists a trace that is in work or to be tried again.
func (page *waitingPage) add(row stuckRow, now time.Time) {
	switch {
	case !row.QuarantinedAt.IsZero():
	case row.LeaseToken != "" && now.Before(row.LeaseUntil.Time):
		page.Working = append(page.Working, row)
	case now.Before(row.RetryAt.Time):
		page.Later = append(page.Later, row)
	}
}
