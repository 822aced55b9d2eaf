package pages

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

type overviewPage struct {
	Backlog extract.Backlog
	Ready   int           // waits for the next run
	Waiting time.Duration // of the oldest; 0 when nothing waits, or it is not known since when
	Last    *runRow
	Runs    []runRow
	Groups  []groupRow
	// Unsure are groups whose newest pattern is more likely wrong than right; traces without a
	// failure are among them.
	Unsure []groupRow
	// Complete is false when there were too many patterns to count them all.
	Complete bool
	Total    int // patterns of the window
	Since    string
	Charts   []chart
	Change   *change
	Live     livePart
	Spent    *spent // nil without a daily budget

	// compared are the newest runs that stored patterns: the last one and the one before.
	compared []runRow
}

// A groupRow is one kind of failure that recurs.
type groupRow struct {
	extract.Group
	Link  string // the newest pattern
	All   string // the patterns that are counted
	Share int    // of the most frequent one, in percent
	New   bool   // first seen in the last run that stored patterns, and there was one before
}

// A change is what the last run found that the one before had not.
type change struct {
	Last, Before runRow
	New          []patternRow // of failures that the run before did not have; what matters most first
	NewCount     int
	Cut          bool // the last run has more patterns than were looked at
	Types        []typeChange
}

type typeChange struct {
	Type        evalforge.FailureType
	Now, Before int
}

const (
	overviewRuns   = 5
	overviewGroups = 10
	overviewUnsure = 3
	// groupsRead is how many groups these are chosen from.
	groupsRead = 30
	// sure is the confidence from which a pattern claims a failure, as evaluation counts.
	sure = 0.5
	// comparedPatterns bounds how many patterns of a run are looked at to say what is new.
	comparedPatterns = 200
	shownNew         = 5
	// comparedRuns is how many older runs are looked at for two that stored patterns.
	comparedRuns = 50
)

func (p *Pages) overview(r *http.Request) (view, error) {
	ctx, now := r.Context(), p.o.Now()
	page := overviewPage{Live: p.livePart()}
	var err error
	if page.Backlog, err = p.o.Store.Backlog(ctx, now); err != nil {
		return view{}, err
	}
	b := page.Backlog
	page.Ready = ready(b)
	if !b.OldestDue.IsZero() && b.Pending > b.Quarantined {
		page.Waiting = max(0, now.Sub(b.OldestDue.Time)) // ingestion may say any time
	}
	if err := p.lastRuns(ctx, &page); err != nil {
		return view{}, err
	}
	if page.Spent, err = p.spent(ctx, now); err != nil {
		return view{}, err
	}
	if err := p.insights(ctx, now, &page); err != nil {
		return view{}, err
	}
	if len(page.compared) == 2 {
		if page.Change, err = p.change(ctx, page.compared[0], page.compared[1]); err != nil {
			return view{}, err
		}
	}
	return view{template: "overview", title: "Overview", page: page}, nil
}

// lastRuns adds the last runs, and those to compare. A run that found nothing due says nothing about
// what fails, and where runs are frequent most are such; so some more are looked at when needed.
func (p *Pages) lastRuns(ctx context.Context, page *overviewPage) error {
	q := extract.PageQuery{Limit: overviewRuns}
	for len(page.compared) < 2 {
		runs, next, err := p.o.Store.Runs(ctx, q)
		if err != nil {
			return err
		}
		for _, run := range runs {
			row := newRunRow(p.cleanRun(run))
			if q.After == "" {
				page.Runs = append(page.Runs, row)
			}
			if run.StoredCount > 0 && len(page.compared) < 2 {
				page.compared = append(page.compared, row)
			}
		}
		if next == "" || q.After != "" {
			break
		}
		q = extract.PageQuery{Limit: comparedRuns, After: next}
	}
	if len(page.Runs) > 0 {
		page.Last = &page.Runs[0]
	}
	return nil
}

// spent is what calls of models cost today, against the budget of the day.
type spent struct {
	Today, Budget, Reserved extract.Amount
	Full                    bool // most of it is gone
}

func (p *Pages) spent(ctx context.Context, now time.Time) (*spent, error) {
	limit := p.o.Budget
	if limit == (extract.Amount{}) {
		return nil, nil
	}
	s, err := p.o.Store.Spend(ctx, extract.DayWindow(now))
	if err != nil {
		return nil, err
	}
	// Over nine tenths: what is counted, and a ninth of it.
	most := extract.Amount{NanoUSD: s.Counted.NanoUSD + s.Counted.NanoUSD/9, Tokens: s.Counted.Tokens + s.Counted.Tokens/9}
	return &spent{Today: s.Counted, Budget: limit, Reserved: s.Open, Full: most.Over(limit)}, nil
}

// insights adds what recurs, and the charts, of the last thirty days.
func (p *Pages) insights(ctx context.Context, now time.Time, page *overviewPage) error {
	window := extract.StatsQuery{Since: now.UTC().AddDate(0, 0, 1-chartDays), Until: now}
	page.Since = extract.Day(window.Since)
	stats, err := p.o.Store.PatternStats(ctx, window)
	if err != nil {
		return err
	}
	groups, err := p.o.Store.Groups(ctx, extract.GroupQuery{StatsQuery: window, Limit: groupsRead})
	if err != nil {
		return err
	}
	page.Complete = stats.Complete && groups.Complete
	for _, g := range groups.List {
		row := groupRow{Group: g, Link: patternPath(g.TraceID), All: filter{Fingerprint: g.Fingerprint, Since: page.Since}.path()}
		row.Title, row.TriggerCondition = p.o.Clean.Text(row.Title), p.o.Clean.Text(row.TriggerCondition)
		row.New = len(page.compared) == 2 && !g.FirstSeen.Before(page.compared[0].StartedAt.Time)
		visibleAll(&row.Group)
		if g.Confidence < sure {
			page.Unsure = append(page.Unsure, row)
		} else {
			page.Groups = append(page.Groups, row)
		}
	}
	page.Groups, page.Unsure = foremost(page.Groups, overviewGroups), foremost(page.Unsure, overviewUnsure)
	var byType, bySeverity []counted
	for _, c := range stats.Counts {
		page.Total += c.Count
		byType = append(byType, counted{c.Day, string(c.FailureType), c.Count})
		bySeverity = append(bySeverity, counted{c.Day, string(c.Severity), c.Count})
	}
	page.Charts = []chart{
		newChart("by-type", "Patterns per day by failure type", now.UTC(), names(evalforge.FailureTypes()), byType, func(day, kind string) string {
			return chartFilter(page.Since, day, filter{Type: kind})
		}),
		newChart("by-severity", "Patterns per day by severity", now.UTC(), names(evalforge.Severities()), bySeverity, func(day, kind string) string {
			return chartFilter(page.Since, day, filter{Severity: kind})
		}),
	}
	return nil
}

// foremost returns the first n of groups in the order in which they matter: by count, then by severity.
func foremost(groups []groupRow, n int) []groupRow {
	slices.SortStableFunc(groups, func(a, b groupRow) int {
		return cmp.Or(b.Count-a.Count, slices.Index(evalforge.Severities(), b.Severity)-slices.Index(evalforge.Severities(), a.Severity))
	})
	groups = groups[:min(n, len(groups))]
	for i := range groups {
		groups[i].Share = 100 * groups[i].Count / groups[0].Count
	}
	return groups
}

// chartFilter returns the address of the patterns of one day, or of all since the window's first.
func chartFilter(since, day string, f filter) string {
	if f.Since = since; day != "" {
		f.Since, f.Until = day, day
	}
	return f.path()
}

func names[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// change compares the patterns of the last two runs.
func (p *Pages) change(ctx context.Context, last, before runRow) (*change, error) {
	c := &change{Last: last, Before: before}
	counts := map[evalforge.FailureType]*typeChange{}
	of := func(t evalforge.FailureType) *typeChange {
		if counts[t] == nil {
			counts[t] = &typeChange{Type: t}
		}
		return counts[t]
	}
	known := map[string]bool{}
	var fresh []evalforge.Pattern
	for _, run := range []runRow{before, last} {
		q := extract.PatternQuery{PageQuery: extract.PageQuery{Limit: comparedPatterns}, RunID: run.RunID}
		list, next, err := p.o.Store.Patterns(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, pat := range list {
			if run.RunID == before.RunID {
				of(pat.FailureType).Before++
				known[pat.Fingerprint] = true
				continue
			}
			of(pat.FailureType).Now++
			if known[pat.Fingerprint] {
				continue
			}
			known[pat.Fingerprint] = true
			fresh = append(fresh, pat)
		}
		c.Cut = c.Cut || next != ""
	}
	c.NewCount = len(fresh)
	slices.SortStableFunc(fresh, byWeight)
	var err error
	if c.New, err = p.rows(fresh[:min(shownNew, len(fresh))]); err != nil {
		return nil, err
	}
	for _, t := range evalforge.FailureTypes() {
		if n := counts[t]; n != nil && n.Now != n.Before {
			c.Types = append(c.Types, *n)
		}
	}
	return c, nil
}

// byWeight orders patterns by what matters: those that claim a failure first, then by severity.
func byWeight(a, b evalforge.Pattern) int {
	unsure := func(p evalforge.Pattern) int {
		if p.Confidence < sure {
			return 1
		}
		return 0
	}
	return cmp.Or(unsure(a)-unsure(b), slices.Index(evalforge.Severities(), b.Severity)-slices.Index(evalforge.Severities(), a.Severity))
}
