package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

func runsListCommand() command {
	var limit limitFlag
	return command{
		name: "runs list", maxArgs: 0,
		short:    "list the extraction runs, newest first",
		long:     `Lists the extraction runs, newest first.`,
		examples: []string{"evalforge runs list -limit 5"},
		uses:     []group{groupStore, groupRedaction}, formats: anyFormat(),
		flags: func(fs *flag.FlagSet) { limit.declare(fs, "runs") },
		run: func(ctx context.Context, c *call) (err error) {
			if err := limit.check(); err != nil {
				return err
			}
			s, err := c.open(ctx, mustExist)
			if err != nil {
				return err
			}
			defer func() { err = s.close(err) }()
			runs := pageByPage(extract.PageQuery{}, func(q extract.PageQuery) ([]evalforge.RunSummary, string, error) {
				list, next, err := s.store.Runs(ctx, q)
				out := make([]evalforge.RunSummary, len(list))
				for i, r := range list {
					r = s.clean.Run(r)
					out[i] = r.Summary()
				}
				return out, next, err
			})
			return writeList(c, limit, runs, "runs", []string{"RUN", "STARTED", "BY", "ANALYZER", "PICKED UP", "STORED", "FAILED", "COST"}, runRow)
		},
	}
}

func runRow(r evalforge.RunSummary) []string {
	analyzer := r.Analyzer
	if r.Model != "" {
		analyzer += " " + r.Model
	}
	return []string{
		r.RunID, r.StartedAt.UTC().Format("2006-01-02 15:04:05"), string(r.TriggeredBy), analyzer,
		fmt.Sprint(r.PickedUpCount), fmt.Sprint(r.StoredCount),
		fmt.Sprint(r.ValidationFailedCount + r.ErrorCount + r.TimedOutCount), fmt.Sprintf("$%.4f", r.CostUSD),
	}
}

func runsShowCommand() command {
	return command{
		name: "runs show", args: "RUN", minArgs: 1, maxArgs: 1,
		short:    "show one run with the outcome of each trace",
		long:     `Shows what one extraction run did, with the reason of every trace that has no pattern.`,
		examples: []string{"evalforge runs show run_20260102_030405_0a1b2c3d"},
		uses:     []group{groupStore, groupRedaction}, formats: anyFormat(),
		run: func(ctx context.Context, c *call) (err error) {
			s, err := c.open(ctx, mustExist)
			if err != nil {
				return err
			}
			defer func() { err = s.close(err) }()
			r, err := s.store.Run(ctx, c.args[0])
			if errors.Is(err, evalforge.ErrNotFound) {
				return withHint(fmt.Errorf("there is no run %q", c.args[0]), c.hint("", " shows which there are", "runs list"))
			}
			if err != nil {
				return err
			}
			r = s.clean.Run(r)
			return c.writeRun(&r)
		},
	}
}
