package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/eval"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/pace"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// bundledCases is the file of labelled cases in [evalforge.Samples].
const bundledCases = "labels.jsonl"

// A threshold is a bound that a score must keep, given by a flag; unset it bounds
// nothing.
type threshold struct {
	flag  string
	what  string
	max   bool // an upper bound
	value *float64
	score func(*eval.Report) *float64
}

func thresholds() []threshold {
	return []threshold{
		{flag: "min-accuracy", what: "failure type accuracy", score: func(r *eval.Report) *float64 { return r.FailureType.Accuracy }},
		{flag: "min-trigger", what: "trigger condition accuracy", score: func(r *eval.Report) *float64 { return r.TriggerCondition.Accuracy }},
		{flag: "min-step", what: "failing step accuracy", score: func(r *eval.Report) *float64 { return r.FailingStep.Accuracy }},
		{flag: "min-agent", what: "agent accuracy", score: func(r *eval.Report) *float64 { return r.Agent.Accuracy }},
		{flag: "max-false-alarms", what: "false alarm rate", max: true, score: func(r *eval.Report) *float64 { return r.FalseAlarms.Rate }},
	}
}

func (t *threshold) declare(fs *flag.FlagSet) {
	bound := "under"
	if t.max {
		bound = "over"
	}
	fs.Func(t.flag, fmt.Sprintf("Exit with status 1 when the %s is %s this `SHARE`, 0 to 1.", t.what, bound), func(v string) error {
		f, err := parseFloat(v, 0, 1)
		t.value = &f
		return err
	})
}

// check reports a score that misses the threshold, or that there is none to hold
// against it.
func (t *threshold) check(r *eval.Report) error {
	if t.value == nil {
		return nil
	}
	score := t.score(r)
	switch {
	case score == nil:
		return fmt.Errorf("-%s: the %s is unknown: no case has a label for it", t.flag, t.what)
	case t.max && *score > *t.value:
		return fmt.Errorf("-%s: the %s is %.3f, over %v", t.flag, t.what, *score, *t.value)
	case !t.max && *score < *t.value:
		return fmt.Errorf("-%s: the %s is %.3f, under %v", t.flag, t.what, *score, *t.value)
	}
	return nil
}

func evalCommand() command {
	bounds := thresholds()
	var details string
	return command{
		name: "eval", args: "[CASES.jsonl]", maxArgs: 1,
		short: "score extraction on labelled cases",
		long: `Extracts a pattern from each labelled case and compares it with the labels; no pattern is stored. Calls of a model keep the pace and the budgets of a run, and a budget of the day is counted in the store; when one is used up, what was scored is reported, with exit status 1. Without a file the bundled synthetic cases are scored; "-" reads standard input.
Each line of a file is one case: {"id": …, "trace": …, "expected": {"is_failure": …, "failure_types": […], "trigger_conditions": […], "failing_steps": […], "agents": […]}}. The trace is in any format that import reads; "trace_file" names a file instead.`,
		examples: []string{"evalforge eval", "evalforge eval -min-accuracy 0.9 -max-false-alarms 0.05 cases.jsonl", "evalforge eval -analyzer gemini -concurrency 4 -details answers.jsonl cases.jsonl"},
		uses:     []group{groupStore, groupAnalyzer, groupPace, groupRedaction}, formats: anyFormat(),
		flags: func(fs *flag.FlagSet) {
			for i := range bounds {
				bounds[i].declare(fs)
			}
			fs.StringVar(&details, "details", "", "Write each case with its answer to this `FILE`, as JSON Lines.")
		},
		run: func(ctx context.Context, c *call) error { return runEval(ctx, c, bounds, details) },
	}
}

func runEval(ctx context.Context, c *call, bounds []threshold, details string) (err error) {
	cases, free, err := c.cases()
	if err != nil {
		return err
	}
	defer free()
	analyzer, freeAnalyzer, err := c.analyzer(ctx)
	if err != nil {
		return err
	}
	defer freeAnalyzer()
	redactor, err := c.looseRedactor()
	if err != nil {
		return err
	}
	ledger, closeLedger, err := c.ledger(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLedger()) }()
	var answers *newFile
	if details != "" { // that it cannot be written must not be found out when the answers are paid for
		if answers, err = createFile(details); err != nil {
			return err
		}
		defer answers.discard()
	}
	c.term.note("analyzer %s", c.describeAnalyzer())
	bar := c.term.progress("scoring", 0)
	defer bar.end()
	trial, ctx, err := c.trial(ctx, ledger, c.pipeline(analyzer, redactor))
	if err != nil {
		return err
	}
	rep, runErr := eval.Run(ctx, cases, trial, eval.Options{
		Concurrency: c.cfg.engine.Concurrency,
		Progress:    bar.set,
		KeepCases:   answers != nil,
	})
	bar.end()
	if rep.Cases == 0 && runErr == nil {
		return noCases(&rep)
	}
	if err := c.writeReport(&rep, answers); err != nil {
		return err
	}
	if runErr != nil {
		return somef("", "stopped after %s: %v", count(rep.Cases, "case", "cases"), runErr)
	}
	return judgeReport(&rep, bounds)
}

// ledger opens what the budgets of an evaluation are counted in: the store, where a budget
// of the day is shared with all that work on it, else memory.
func (c *call) ledger(ctx context.Context) (extract.Ledger, func() error, error) {
	if c.cfg.analyzer != "gemini" || c.cfg.engine.Budgets.Day == (extract.Amount{}) {
		m := memory.New()
		return m, m.Close, nil
	}
	s, err := c.openStore(ctx, c.cfg.store, mayCreate)
	if err != nil {
		return nil, nil, err
	}
	c.term.note("the budget of the day is counted in store %s", c.cfg.store)
	return s, s.Close, nil
}

// trial begins what an evaluation extracts with.
func (c *call) trial(ctx context.Context, ledger extract.Ledger, p *extract.Pipeline) (*extract.Trial, context.Context, error) {
	limits := c.cfg.pace
	limits.Concurrency = c.cfg.engine.Concurrency
	e := &extract.Engine{Ledger: ledger, Pipeline: p, Pace: pace.NewLimiter(limits), Log: c.log, Options: c.cfg.engine}
	return e.Trial(ctx)
}

// cases opens the labelled cases that the call names.
func (c *call) cases() (seq iter.Seq2[eval.Case, error], free func(), err error) {
	none := func() {}
	switch {
	case len(c.args) == 0:
		samples := evalforge.Samples()
		f, err := samples.Open(bundledCases)
		if err != nil {
			return nil, nil, fmt.Errorf("bundled cases: %w", err)
		}
		return eval.ReadCases(bundledCases, f, samples), func() { _ = f.Close() }, nil
	case c.args[0] == "-":
		return eval.ReadCases("stdin", c.Stdin, nil), none, nil
	}
	name := c.args[0]
	f, err := openInput("cases", name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, withHint(err, "without a file, the bundled cases are scored: evalforge eval")
	}
	if err != nil {
		return nil, nil, err
	}
	return eval.ReadCases(name, f, os.DirFS(filepath.Dir(name))), func() { _ = f.Close() }, nil
}

// noCases reports a file without a single usable case.
func noCases(rep *eval.Report) error {
	var b strings.Builder
	b.WriteString("there is no usable case")
	for i, e := range rep.Errors {
		if i == maxListed {
			fmt.Fprintf(&b, "\n… and %d more", len(rep.Errors)-i)
			break
		}
		b.WriteString("\n" + e.Error)
	}
	return withHint(errors.New(b.String()), "evalforge help eval shows what a case looks like")
}

// writeReport prints the report, and writes each case with its answer to answers, if that
// is not nil.
func (c *call) writeReport(rep *eval.Report, answers *newFile) error {
	if answers != nil {
		for _, r := range rep.Results {
			if err := writeJSON(answers.tmp, r, formatJSONL); err != nil {
				return answers.failed(err)
			}
		}
		if err := answers.keep(); err != nil {
			return err
		}
		c.term.note("wrote %s to %s", count(len(rep.Results), "case", "cases"), answers.name)
	}
	if c.format != formatTable {
		return writeJSON(c.term.out, rep, c.format)
	}
	return eval.WriteTable(c.term.out, rep)
}

func judgeReport(rep *eval.Report, bounds []threshold) error {
	var missed []error
	for _, b := range bounds {
		if err := b.check(rep); err != nil {
			missed = append(missed, err)
		}
	}
	if len(missed) > 0 {
		return somef("", "%w", errors.Join(missed...))
	}
	if n := len(rep.Errors); n > 0 {
		return somef("", "%s no pattern or could not be read; they are listed in the report", have(n, "case", "cases"))
	}
	return nil
}
