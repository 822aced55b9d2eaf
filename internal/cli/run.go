package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

func runCommand() command {
	var dry bool
	var trigger string
	var ids stringList
	return command{
		name: "run", maxArgs: 0,
		short: "extract failure patterns from the traces that are waiting",
		long: `Makes one extraction run: takes unprocessed traces, fresh ones before those that failed and the oldest first, extracts a failure pattern from each, and prints what became of them. A trace that fails is tried again by later runs, with growing waits, and quarantined after the last attempt; "evalforge retry" brings it back.
Exit status 1: some traces failed, or one that -trace names was not worked on; stderr says why.
Ctrl-C stops the run in an orderly way: what is under way is finished or given back, and the summary is printed.`,
		examples: []string{
			"evalforge run",
			"evalforge run -dry-run",
			"evalforge run -analyzer gemini -batch 10",
			"evalforge run -trace checkout-4711 -trace checkout-4712",
		},
		uses:    []group{groupStore, groupAnalyzer, groupPace, groupRun, groupRedaction, groupTelemetry},
		formats: anyFormat(),
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&dry, "dry-run", false, "Say which traces would be picked up. Nothing is analyzed, paid for or written.")
			fs.StringVar(&trigger, "trigger", "manual", "What started the run, for its record: manual or scheduled (`WHAT`).")
			fs.Var(&ids, "trace", "Only the trace with this `ID`; may be repeated.")
		},
		run: func(ctx context.Context, c *call) error {
			t, err := evalforge.ParseTrigger(trigger)
			if err != nil {
				return c.badFlag("trigger", "%q is none of manual, scheduled", trigger)
			}
			for _, id := range ids {
				if err := evalforge.ValidateTraceID(id); err != nil {
					return c.badFlag("trace", "%q: %v", id, err)
				}
			}
			slices.Sort(ids)
			return runExtraction(ctx, c, extract.RunRequest{DryRun: dry, Trigger: t, TraceIDs: slices.Compact(ids)})
		},
	}
}

func runExtraction(ctx context.Context, c *call, req extract.RunRequest) (err error) {
	analyzer, free, err := c.analyzerFor(ctx, req.DryRun)
	if err != nil {
		return err
	}
	defer free()
	if c.cfg.telemetry.endpoint != "" {
		_, stop, err := c.startTelemetry(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	s, err := c.open(ctx, mustExist)
	if err != nil {
		return err
	}
	defer func() { err = s.close(err) }()
	c.term.note("store %s, analyzer %s", c.cfg.store, c.describeAnalyzer())
	rec, runErr := c.extract(ctx, s, c.pipeline(analyzer, s.redactor), req)
	if rec.RunID != "" {
		rec = s.clean.Run(rec)
		if err := c.writeRun(&rec); err != nil {
			return err
		}
	}
	if runErr != nil {
		return withHint(runErr, c.doctorHint("the configuration, the store and the access to the model"))
	}
	c.noteWaiting(ctx, s, &rec, len(req.TraceIDs) > 0)
	missed, err := c.noteMissed(ctx, s, &rec, req.TraceIDs)
	if err != nil {
		return err
	}
	if err := c.verdict(&rec); err != nil || missed == 0 {
		return err
	}
	if req.DryRun {
		return somef("", "%s would not be picked up; the reasons are above", count(missed, "named trace", "named traces"))
	}
	return somef("", "%s not worked on; the reasons are above", were(missed, "named trace", "named traces"))
}

// analyzerFor returns the analyzer of a run, or a stand-in for that of a dry run.
func (c *call) analyzerFor(ctx context.Context, dry bool) (extract.Analyzer, func(), error) {
	if !dry {
		return c.analyzer(ctx)
	}
	a, err := c.unaskedAnalyzer()
	return a, func() {}, err
}

// extract makes one run with a progress bar.
func (c *call) extract(ctx context.Context, s *session, p *extract.Pipeline, req extract.RunRequest) (evalforge.Run, error) {
	size := c.cfg.engine.BatchSize
	if b, err := s.store.Backlog(ctx, c.Now()); err == nil { // an estimate for the bar only
		size = min(size, b.Pending)
	}
	if n := len(req.TraceIDs); n > 0 {
		size = min(size, n)
	}
	if !req.DryRun {
		bar := c.term.progress("extracting", size)
		defer bar.end()
		req.Progress = func(p extract.Progress) { bar.set(p.Done) }
	}
	return c.engine(s.store, p).Run(ctx, req)
}

// verdict turns the outcomes of a run into the command's exit status.
func (c *call) verdict(r *evalforge.Run) error {
	switch failed := r.FailedCount(); {
	case failed > 0:
		return somef(c.hint("", "", "errors list", "-run", r.RunID), "%d of %s failed", failed, count(r.PickedUpCount, "trace", "traces"))
	case r.Throttled:
		return somef("run it again to go on", "the run ended before its batch was done: %s", r.ThrottleReason)
	}
	return nil
}

func (c *call) writeRun(r *evalforge.Run) error {
	if c.format != formatTable {
		return writeJSON(c.term.out, r.Summary(), c.format)
	}
	writeRunTable(c.term, r)
	return nil
}

// writeRunTable says for people what a run did.
func writeRunTable(t *terminal, r *evalforge.Run) {
	if r.DryRun {
		fmt.Fprintf(t.out, "A run would pick up %s. Nothing was analyzed or written.\n", count(len(r.WouldProcess), "trace", "traces"))
		if e := r.Estimate; e != nil {
			writeEstimate(t.out, e, r.Model)
		}
		for _, id := range r.WouldProcess {
			fmt.Fprintf(t.out, "  %s\n", printable(id))
		}
		return
	}
	fmt.Fprintf(t.out, "Run %s took %.1f s.\n", r.RunID, r.FinishedAt.Sub(r.StartedAt.Time).Seconds())
	fmt.Fprintf(t.out, "Picked up %d = %s.\n", r.PickedUpCount, sum(r))
	derived := 0
	for _, o := range r.TraceOutcomes {
		if o.DerivedFrom != "" {
			derived++
		}
	}
	if derived > 0 {
		fmt.Fprintf(t.out, "Copies of a known failure, at no cost: %d.\n", derived)
	}
	if r.Throttled {
		fmt.Fprintf(t.out, "Ended early: %s.\n", printable(r.ThrottleReason))
	}
	if r.Tokens != (evalforge.Tokens{}) {
		fmt.Fprintf(t.out, "Cost: $%.4f for %d tokens in (%d of them cached) and %d out.\n", r.CostUSD, r.Tokens.Prompt, r.Tokens.Cached, r.Tokens.Output)
	}
	if r.UnsureCostUSD > 0 {
		fmt.Fprintf(t.out, "Up to $%.4f more for calls that ended without saying what they took.\n", r.UnsureCostUSD)
	}
	if len(r.Redactions) > 0 {
		fmt.Fprintf(t.out, "Redacted: %s.\n", tally(r.Redactions))
	}
	var rows [][]string
	for _, o := range r.TraceOutcomes {
		if o.Status != evalforge.Stored && o.ErrorReason != nil {
			rows = append(rows, []string{o.SourceTraceID, string(o.Status), *o.ErrorReason})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(t.out)
		t.table([]string{"TRACE", "OUTCOME", "REASON"}, rows)
	}
}

// writeEstimate says what calls would take. What it calls the most holds for calls that are
// answered as they should be: a second question, or a second try with more room, is another
// call.
func writeEstimate(w io.Writer, e *evalforge.RunEstimate, model string) {
	fmt.Fprintf(w, "It would take about $%.4f and %d tokens in %s of %s; at most $%.4f if each is answered at once. Only a budget is a limit.\n",
		e.CostUSD, e.Tokens, count(e.Calls, "call", "calls"), model, e.MostCostUSD)
}

// sum writes the outcomes of a run as a sum. Outcomes that are usually zero are left
// out when they are.
func sum(r *evalforge.Run) string {
	parts := []string{fmt.Sprintf("%d stored", r.StoredCount)}
	for _, o := range []struct {
		n    int
		name string
	}{
		{r.SkippedCount, "skipped"},
		{r.ValidationFailedCount, "validation failed"},
		{r.ErrorCount, "failed"},
		{r.TimedOutCount, "timed out"},
		{r.NotStartedCount, "not started"},
	} {
		if o.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", o.n, o.name))
		}
	}
	return strings.Join(parts, " + ")
}

// A stringList is a flag that may be repeated.
type stringList []string

func (l *stringList) String() string     { return strings.Join(*l, ", ") }
func (l *stringList) Set(v string) error { *l = append(*l, v); return nil }
