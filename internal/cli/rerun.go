package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
)

func rerunCommand() command {
	var where stringList
	var yes bool
	var limit int
	return command{
		name: "rerun", maxArgs: 0,
		short: "extract patterns anew that were made with another prompt, model, …",
		long: `Looks for patterns that were made with something else than what a run would use now, says how many there are and what extracting them anew would cost, and, with -yes, does it. The replaced patterns stay in the history, and what has changed is shown.
-where says which patterns. Several conditions, separated by commas or in several flags, must all hold:
prompt, schema, model, redaction, analyzer: made with another one than now; of several of these words one is enough.
any: all of these words.
type=T, severity=S, service=NAME, run=ID: as stored.
model=NAME: made with this model.
since=T, until=T: extracted at or after, or before; T is a day such as 2026-01-31, a time, or an age such as 12h or 7d.
trace=ID: of this trace; may be repeated.
A trace that fails keeps the pattern that it had, and is tried again by later runs. Budgets hold here as for any run.
Exit status 1: some were not extracted anew.`,
		examples: []string{
			"evalforge rerun -where prompt",
			"evalforge rerun -where model,type=other,since=7d -yes",
			"evalforge rerun -where trace=checkout-4711 -yes",
		},
		uses:    []group{groupStore, groupAnalyzer, groupPace, groupRun, groupRedaction},
		formats: []string{formatTable, formatJSON},
		flags: func(fs *flag.FlagSet) {
			fs.Var(&where, "where", "Which patterns: `CONDITIONS`, as above. By default: any.")
			fs.BoolVar(&yes, "yes", false, "Do it. Without this nothing is asked, paid for or written.")
			fs.IntVar(&limit, "limit", 0, "At most `N` patterns, the newest first; 0 is all.")
		},
		run: func(ctx context.Context, c *call) error {
			sel, err := parseSelection(where, c.Now())
			if err != nil {
				return c.badFlag("where", "%v", err)
			}
			if limit < 0 {
				return c.badFlag("limit", "%d is negative", limit)
			}
			sel.limit = limit
			return c.rerun(ctx, sel, yes)
		},
	}
}

// A selection says which patterns to extract anew.
type selection struct {
	parts  []string // one of them differs; none: all that the query finds
	query  extract.PatternQuery
	traces []string // empty: all
	limit  int
}

// parseSelection reads conditions.
func parseSelection(conditions []string, now time.Time) (selection, error) {
	var s selection
	s.query.Limit = extract.MaxPage
	for _, list := range conditions {
		for cond := range strings.SplitSeq(list, ",") {
			if err := s.add(strings.TrimSpace(cond), now); err != nil {
				return s, err
			}
		}
	}
	if len(conditions) == 0 {
		s.parts = extract.Parts()
	}
	return s, nil
}

func (s *selection) add(cond string, now time.Time) (err error) {
	name, value, given := strings.Cut(cond, "=")
	switch {
	case !given && name == "any":
		s.parts = extract.Parts()
		return nil
	case !given && slices.Contains(extract.Parts(), name):
		s.parts = append(s.parts, name)
		return nil
	case !given || value == "":
		return fmt.Errorf("%q is no condition; see \"evalforge help rerun\"", cond)
	}
	switch name {
	case "type":
		s.query.FailureType = evalforge.FailureType(value)
		err = s.query.FailureType.Validate()
	case "severity":
		s.query.Severity = evalforge.Severity(value)
		err = s.query.Severity.Validate()
	case "service":
		s.query.Service = value
	case "run":
		s.query.RunID = value
	case "model":
		s.query.Model = value
	case "since":
		s.query.Since, err = parseMoment(value, now)
	case "until":
		s.query.Until, err = parseMoment(value, now)
	case "trace":
		s.traces = append(s.traces, value)
		err = evalforge.ValidateTraceID(value)
	default:
		err = fmt.Errorf("%q is no condition; see \"evalforge help rerun\"", cond)
	}
	return err
}

// parseMoment reads a day, a time, or an age.
func parseMoment(v string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(v, "d"); ok {
		var n int
		if setInt(&n, days, 0, 36500) == nil {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, v); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a day (2026-01-31), a time (2026-01-31T12:00:00Z) nor an age (12h, 7d)", v)
}

// A rerunReport is what rerun prints.
type rerunReport struct {
	Now      extract.Making         `json:"now"`
	Patterns []rerunPattern         `json:"patterns"`
	Estimate *evalforge.RunEstimate `json:"estimate,omitempty"`
	Runs     []evalforge.RunSummary `json:"runs"` // empty without -yes
}

// A rerunPattern is a pattern to extract anew, and what became of it.
type rerunPattern struct {
	TraceID string            `json:"traceId"`
	Differs []string          `json:"differs"` // in what it was made with
	Outcome evalforge.Outcome `json:"outcome,omitempty"`
	Reason  string            `json:"reason,omitempty"` // of an outcome other than stored, or of none
	// Changes are the fields in which the new pattern differs; nil if there is no new one.
	Changes []extract.Change `json:"changes,omitempty"`
}

func (c *call) rerun(ctx context.Context, sel selection, yes bool) (err error) {
	analyzer, free, err := c.analyzerFor(ctx, !yes)
	if err != nil {
		return err
	}
	defer free()
	s, err := c.open(ctx, mustExist)
	if err != nil {
		return err
	}
	defer func() { err = s.close(err) }()
	c.term.note("store %s, analyzer %s", c.cfg.store, c.describeAnalyzer())
	began := c.Now() // answers that were kept before are of what is to be replaced
	engine := c.engine(s.store, c.pipeline(analyzer, s.redactor))
	rep := &rerunReport{Now: extract.MakesWith(analyzer, prompts.Version()), Patterns: []rerunPattern{}, Runs: []evalforge.RunSummary{}}
	if err := c.plan(ctx, s, engine.Pipeline, sel, began, rep); err != nil {
		return err
	}
	var undone error
	if yes && len(rep.Patterns) > 0 {
		undone = c.redo(ctx, s, engine, began, rep)
	}
	if c.format != formatTable {
		if err := writeJSON(c.term.out, rep, c.format); err != nil {
			return err
		}
		return undone
	}
	c.writeRerun(rep, yes)
	return undone
}

// plan finds the patterns, and estimates what they would take.
func (c *call) plan(ctx context.Context, s *session, p *extract.Pipeline, sel selection, since time.Time, rep *rerunReport) error {
	est := p.Estimating(since)
	for pat, err := range s.patterns(ctx, sel.query) {
		if err != nil {
			return err
		}
		if len(sel.traces) > 0 && !slices.Contains(sel.traces, pat.SourceTraceID) {
			continue
		}
		differs := extract.MadeWith(&pat).Differs(rep.Now)
		if len(sel.parts) > 0 && !slices.ContainsFunc(differs, func(d string) bool { return slices.Contains(sel.parts, d) }) {
			continue
		}
		t, err := s.store.Trace(ctx, pat.SourceTraceID)
		if errors.Is(err, evalforge.ErrNotFound) {
			c.term.note("%s: the trace is gone, so its pattern stays as it is", printable(pat.SourceTraceID))
			continue
		}
		if err != nil {
			return err
		}
		est.Add(ctx, t)
		rep.Patterns = append(rep.Patterns, rerunPattern{TraceID: pat.SourceTraceID, Differs: differs})
		if sel.limit > 0 && len(rep.Patterns) == sel.limit {
			break
		}
	}
	rep.Estimate = est.Sum()
	return nil
}

// redo extracts the planned patterns anew, a batch at a time.
func (c *call) redo(ctx context.Context, s *session, e *extract.Engine, since time.Time, rep *rerunReport) error {
	byID := map[string]*rerunPattern{}
	for i := range rep.Patterns {
		byID[rep.Patterns[i].TraceID] = &rep.Patterns[i]
	}
	bar := c.term.progress("extracting anew", len(rep.Patterns))
	defer bar.end()
	done := 0
	for batch := range slices.Chunk(rep.Patterns, extract.MaxBatchSize) {
		ids, err := c.reopen(ctx, s, batch, since)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			continue
		}
		run, err := e.Run(ctx, extract.RunRequest{BatchSize: len(ids), TraceIDs: ids, KeptSince: since,
			Progress: func(p extract.Progress) { bar.set(done + p.Done) }})
		done += len(ids)
		if run.RunID != "" {
			run = s.clean.Run(run)
			rep.Runs = append(rep.Runs, run.Summary())
		}
		if cerr := c.compare(ctx, s, &run, byID); err == nil {
			err = cerr
		}
		if terr := c.explainTaken(ctx, s, batch, since, &run); err == nil {
			err = terr
		}
		if err != nil {
			return withHint(err, c.doctorHint("the configuration, the store and the access to the model"))
		}
		if run.Throttled {
			return somef("the rest waits for the next run, or repeat the command", "it ended early: %s", run.ThrottleReason)
		}
	}
	failed := 0
	for _, p := range rep.Patterns {
		if p.Outcome != evalforge.Stored {
			failed++
		}
	}
	if failed > 0 {
		return somef("", "%d of %s not extracted anew; the reasons are above", failed, were(len(rep.Patterns), "pattern", "patterns"))
	}
	return nil
}

// reopen makes traces due, and returns those that are. Whichever run claims them uses no
// answers that were kept before since.
func (c *call) reopen(ctx context.Context, s *session, batch []rerunPattern, since time.Time) ([]string, error) {
	var ids []string
	for i := range batch {
		p := &batch[i]
		err := s.store.Reopen(ctx, p.TraceID, since)
		if errors.Is(err, extract.ErrNotProcessed) { // it waits for a run anyway, or is quarantined
			if p.Reason, err = c.quarantineOf(ctx, s, p.TraceID); p.Reason != "" {
				continue
			}
		}
		switch {
		case err == nil:
			ids = append(ids, p.TraceID)
		case errors.Is(err, evalforge.ErrNotFound):
			p.Reason = "the trace is gone"
		default:
			return nil, err
		}
	}
	return ids, nil
}

// compare notes what a run did to the patterns.
func (c *call) compare(ctx context.Context, s *session, run *evalforge.Run, byID map[string]*rerunPattern) error {
	for _, o := range run.TraceOutcomes {
		p := byID[o.SourceTraceID]
		p.Outcome = o.Status
		if o.ErrorReason != nil {
			p.Reason = *o.ErrorReason
		}
		if o.Status != evalforge.Stored {
			continue
		}
		after, err := s.store.Pattern(ctx, p.TraceID)
		if err != nil {
			return err
		}
		if err := p.diff(ctx, s, after); err != nil {
			return err
		}
	}
	return nil
}

// diff notes what a new pattern changes.
func (p *rerunPattern) diff(ctx context.Context, s *session, after evalforge.Pattern) error {
	history, err := s.store.History(ctx, p.TraceID, 1)
	if err != nil || len(history) == 0 { // equal to the last byte
		return err
	}
	before := history[0]
	for _, side := range []*evalforge.Pattern{&before, &after} {
		if *side, err = s.clean.Pattern(*side); err != nil {
			return err
		}
	}
	p.Changes = extract.Diff(&before, &after)
	return nil
}

// writeRerun says for people what would be, or was, extracted anew.
func (c *call) writeRerun(rep *rerunReport, done bool) {
	out := c.term.out
	n := count(len(rep.Patterns), "pattern", "patterns")
	if !done {
		fmt.Fprintf(out, "%s to extract anew.\n", n)
		reasons := map[string]int{}
		for _, p := range rep.Patterns {
			for _, d := range p.Differs {
				reasons[d]++
			}
		}
		if len(reasons) > 0 {
			fmt.Fprintf(out, "Made with another: %s.\n", tally(reasons))
		}
		if e := rep.Estimate; e != nil && len(rep.Patterns) > 0 {
			writeEstimate(out, e, rep.Now.Model)
		}
		if len(rep.Patterns) > 0 {
			c.term.note("nothing was done; to do it, add -yes")
		}
		return
	}
	var cost float64
	for _, r := range rep.Runs {
		cost += r.CostUSD
	}
	stored := 0
	for _, p := range rep.Patterns {
		if p.Outcome == evalforge.Stored {
			stored++
		}
	}
	if stored < len(rep.Patterns) {
		n = fmt.Sprintf("%d of %s", stored, n)
	}
	fmt.Fprintf(out, "%s extracted anew for $%.4f.\n", n, cost)
	var rows [][]string
	for _, p := range rep.Patterns {
		what := p.Reason
		if p.Outcome == evalforge.Stored {
			what = changesText(p.Changes)
		}
		rows = append(rows, []string{p.TraceID, cmp.Or(string(p.Outcome), "not started"), what})
	}
	if len(rows) > 0 {
		fmt.Fprintln(out)
		c.term.table([]string{"TRACE", "OUTCOME", "CHANGED"}, rows)
	}
}

// changesText says in a line what changed: short values with both sides, others by name.
func changesText(changes []extract.Change) string {
	var parts []string
	for _, ch := range changes {
		b, bok := brief(ch.Before)
		a, aok := brief(ch.After)
		if bok && aok {
			parts = append(parts, fmt.Sprintf("%s: %s → %s", ch.Field, b, a))
		} else {
			parts = append(parts, ch.Field)
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

// brief writes a value that fits into a line.
func brief(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "none", true
	case float64:
		return fmt.Sprintf("%.2f", v), true
	case string:
		return v, len(v) <= 40
	case map[string]any: // a failing step
		if i, ok := v["index"].(float64); ok {
			return fmt.Sprintf("step %.0f", i), true
		}
	}
	return "", false
}
