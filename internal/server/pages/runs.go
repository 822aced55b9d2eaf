package pages

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/extract"
)

type runsPage struct {
	Rows  []runRow
	Next  string
	First string
	Live  livePart
}

// A runRow is one run in a list.
type runRow struct {
	evalforge.Run
	Link     string
	Patterns string // address of its patterns
	Took     time.Duration
	Outcomes []outcomeBar
}

// An outcomeBar is how many of a run's traces ended in one way.
type outcomeBar struct {
	Name  string // for people
	Class string
	Count int
	Link  string
	// X and Width are where the bar lies, in thousandths of the run's traces.
	X, Width int
}

// notStarted stands beside the outcomes for traces that were given back.
const notStarted = "not_started"

func newRunRow(r evalforge.Run) runRow {
	row := runRow{Run: r, Link: runPath(r.RunID), Patterns: filter{Run: r.RunID}.path(), Took: r.FinishedAt.Sub(r.StartedAt.Time)}
	if r.FinishedAt.IsZero() {
		row.Took = -1
	}
	x := 0
	for _, o := range []struct {
		name string
		n    int
	}{
		{string(evalforge.Stored), r.StoredCount}, {string(evalforge.Skipped), r.SkippedCount}, {string(evalforge.ValidationFailed), r.ValidationFailedCount},
		{string(evalforge.Errored), r.ErrorCount}, {string(evalforge.TimedOut), r.TimedOutCount}, {notStarted, r.NotStartedCount},
	} {
		if o.n == 0 {
			continue
		}
		b := outcomeBar{Name: words(o.name), Class: "o-" + o.name, Count: o.n, Link: row.Link + "?outcome=" + o.name, X: x}
		if o.name == notStarted {
			b.Link = row.Link
		}
		b.Width = 1000 * o.n / max(r.PickedUpCount, o.n)
		x += b.Width
		row.Outcomes = append(row.Outcomes, b)
	}
	return row
}

// cleanRun redacts a run and makes it visible.
func (p *Pages) cleanRun(r evalforge.Run) evalforge.Run {
	r = p.o.Clean.Run(r)
	ids := make([]string, len(r.TraceOutcomes))
	for i, o := range r.TraceOutcomes {
		ids[i] = o.SourceTraceID
	}
	id := r.RunID
	visibleAll(&r)
	r.RunID = id
	for i := range ids {
		r.TraceOutcomes[i].SourceTraceID = ids[i]
	}
	return r
}

const runsPerPage = 25

func (p *Pages) runs(r *http.Request) (view, error) {
	after := r.URL.Query().Get("after")
	list, next, err := p.o.Store.Runs(r.Context(), extract.PageQuery{Limit: runsPerPage, After: after})
	if err != nil {
		return view{}, err
	}
	page := runsPage{Live: p.livePart()}
	for _, run := range list {
		page.Rows = append(page.Rows, newRunRow(p.cleanRun(run)))
	}
	if next != "" {
		page.Next = address("/runs", map[string][]string{"after": {next}})
	}
	if after != "" {
		page.First = "/runs"
	}
	return view{template: "runs", title: "Runs", page: page}, nil
}

type runPage struct {
	runRow
	Redacted []tally
	Outcome  string // shown alone, or ""
	Ignored  string // what was asked for and is no outcome, or ""
	Rows     []outcomeRow
	Hidden   int // traces of other outcomes
	// Whole is what the waterfall's width stands for; 0 when times are not known.
	Whole  time.Duration
	Stages []stage
	Live   livePart
}

// A stage is where time goes in the extraction of one trace.
type stage struct {
	Name, Class string
	Total       time.Duration
}

// An outcomeRow is one trace of a run.
type outcomeRow struct {
	evalforge.TraceOutcome
	ID      string // raw, for addresses
	Shown   string
	Reason  string
	Pattern string // address, or ""
	Took    time.Duration
	Bars    []waterBar
}

// A waterBar is a stage of a trace on the time of its run, in thousandths.
type waterBar struct {
	Class    string
	Name     string
	Took     time.Duration
	X, Width int
}

func (p *Pages) run(r *http.Request) (view, error) {
	id := r.PathValue("id")
	run, err := p.o.Store.Run(r.Context(), id)
	if err != nil {
		return view{}, err
	}
	only := typed(r.URL.RawQuery).Get("outcome")
	page := newRunPage(p.cleanRun(run), only)
	if only != page.Outcome {
		page.Ignored = visible(excerpt.Clip(strings.ToValidUTF8(only, "\uFFFD"), 80))
	}
	page.Live = p.livePart()
	return view{template: "run", title: "Run of " + run.StartedAt.UTC().Format("2006-01-02 15:04"), page: &page}, nil
}

func newRunPage(run evalforge.Run, only string) runPage {
	if evalforge.Outcome(only).Validate() != nil {
		only = ""
	}
	page := runPage{runRow: newRunRow(run), Outcome: only, Stages: []stage{
		{"prepare", "w-prepare", 0}, {"analyze", "w-analyze", 0}, {"finish", "w-finish", 0}, {"commit", "w-commit", 0},
		{"waiting", "w-wait", 0},
	}}
	for _, kind := range sortedKeys(run.Redactions) {
		page.Redacted = append(page.Redacted, tally{kind, run.Redactions[kind]})
	}
	end := run.FinishedAt.Time
	for _, o := range run.TraceOutcomes {
		if t := o.StartedAt.Add(time.Duration(o.ElapsedMS) * time.Millisecond); !o.StartedAt.IsZero() && t.After(end) {
			end = t
		}
	}
	page.Whole = max(0, end.Sub(run.StartedAt.Time))
	list := slices.Clone(run.TraceOutcomes)
	slices.SortStableFunc(list, func(a, b evalforge.TraceOutcome) int { return a.StartedAt.Compare(b.StartedAt.Time) })
	for _, o := range list {
		for i, d := range stageTimes(o) {
			page.Stages[i].Total += d
		}
		if only != "" && string(o.Status) != only {
			page.Hidden++
			continue
		}
		page.Rows = append(page.Rows, page.row(o))
	}
	return page
}

// Shown returns the stages of the legend: waiting only where there was some.
func (page *runPage) Shown() []stage {
	if page.Waited() {
		return page.Stages
	}
	return page.Stages[:min(waiting, len(page.Stages))]
}

// Waited reports whether a trace waited.
func (page *runPage) Waited() bool {
	return len(page.Stages) > waiting && page.Stages[waiting].Total > 0
}

// Positions of stages in [runPage.Stages].
const (
	prepare = iota
	analyze
	finish
	commit
	waiting
)

// minWait is what the recorded times of a trace may lack by rounding and bookkeeping, in milliseconds.
const minWait = 20

// stageTimes returns how long each stage of a trace took. What is in none of those that are recorded it waited: for
// its turn, after the model refused, between attempts.
func stageTimes(o evalforge.TraceOutcome) [5]time.Duration {
	s := o.Stages
	wait := o.ElapsedMS - s.Prepare - s.Analyze - s.Finish - s.Commit
	if wait < minWait {
		wait = 0
	}
	var d [5]time.Duration
	for i, ms := range []int64{s.Prepare, s.Analyze, s.Finish, s.Commit, wait} {
		d[i] = time.Duration(ms) * time.Millisecond
	}
	return d
}

func (page *runPage) row(o evalforge.TraceOutcome) outcomeRow {
	row := outcomeRow{TraceOutcome: o, ID: o.SourceTraceID, Shown: visible(o.SourceTraceID), Took: time.Duration(o.ElapsedMS) * time.Millisecond}
	if o.ErrorReason != nil {
		row.Reason = *o.ErrorReason
	}
	if o.PatternID != nil || o.Status == evalforge.Stored {
		row.Pattern = patternPath(o.SourceTraceID)
	}
	if page.Whole <= 0 || o.StartedAt.IsZero() {
		return row
	}
	at := o.StartedAt.Sub(page.StartedAt.Time)
	bar := func(class, name string, took, from, long time.Duration) {
		x := min(max(0, int(1000*from/page.Whole)), 998)
		row.Bars = append(row.Bars, waterBar{class, name, took, x, max(2, min(int(1000*long/page.Whole), 1000-x))})
	}
	times := stageTimes(o)
	if times[waiting] > 0 { // lies behind the others: where between them a trace waited is not recorded
		bar(page.Stages[waiting].Class, page.Stages[waiting].Name, times[waiting], at, row.Took)
	}
	for i, d := range times[:waiting] {
		if i == finish {
			at += times[waiting]
		}
		if d > 0 {
			bar(page.Stages[i].Class, page.Stages[i].Name, d, at, d)
		}
		at += d
	}
	if len(row.Bars) == 0 { // no stage took a whole millisecond
		bar("w-short", "all stages", row.Took, at, row.Took)
	}
	return row
}
