package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// A forgetResult is what became of one id.
type forgetResult struct {
	TraceID string `json:"traceId"`
	Result  string `json:"result"` // kept, forgotten, unknown

	Trace    bool     `json:"trace"`
	Pattern  bool     `json:"pattern"`
	State    bool     `json:"state"`
	History  int      `json:"history"`
	Errors   int      `json:"errors"`
	Answers  int      `json:"answers"`
	Reasons  int      `json:"reasons"`
	OpenRuns []string `json:"openRuns,omitempty"`
}

func newForgetResult(id, result string, f extract.Forgotten) forgetResult {
	return forgetResult{TraceID: id, Result: result, Trace: f.Trace, Pattern: f.Pattern, State: f.State,
		History: f.History, Errors: f.Errors, Answers: f.Answers, Reasons: f.Reasons, OpenRuns: f.OpenRuns}
}

// parts lists what there is, for people.
func (r forgetResult) parts() string {
	var parts []string
	for _, p := range []struct {
		n         int
		one, many string
	}{
		{one(r.Trace), "raw trace", ""}, {one(r.Pattern), "pattern", ""}, {r.History, "replaced pattern", "replaced patterns"},
		{one(r.State), "state", ""}, {r.Errors, "error", "errors"}, {r.Answers, "kept answer", "kept answers"},
		{r.Reasons, "reason in the record of a run", "reasons in records of runs"},
	} {
		if p.n > 0 {
			parts = append(parts, count(p.n, p.one, p.many))
		}
	}
	return strings.Join(parts, ", ")
}

// one is 1 for what is there.
func one(there bool) int {
	if there {
		return 1
	}
	return 0
}

func forgetCommand() command {
	var yes bool
	return command{
		name: "forget", args: "ID…", minArgs: 1, maxArgs: -1,
		short: "delete everything that is kept about traces",
		long: `Deletes everything that is kept about the traces with these ids: raw trace, pattern, replaced patterns, errors, state and the answers of models that were paid for them. In the records of runs the reasons of their outcomes are replaced by "forgotten"; ids and counts stay. Without -yes it only says what there is.
It does not reach copies elsewhere: logs, exports, and the service that the traces came from, which may write them anew.
Exit status 1: some of them are unknown.`,
		examples: []string{"evalforge forget checkout-4711", "evalforge forget -yes checkout-4711"},
		uses:     []group{groupStore, groupRedaction}, formats: anyFormat(),
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&yes, "yes", false, "Really delete; there is no way back.")
		},
		run: func(ctx context.Context, c *call) error { return forget(ctx, c, yes) },
	}
}

func forget(ctx context.Context, c *call, yes bool) (err error) {
	s, err := c.open(ctx, mustExist)
	if err != nil {
		return err
	}
	defer func() { err = s.close(err) }()
	l := &listWriter{w: c.term.out, format: c.format}
	unknown, kept := 0, 0
	for _, id := range c.args {
		look, result := s.store.Kept, "kept"
		if yes {
			look, result = s.store.Forget, "forgotten"
		}
		f, err := look(ctx, id)
		switch {
		case errors.Is(err, evalforge.ErrNotFound):
			result = "unknown"
			unknown++
		case err != nil:
			return fmt.Errorf("forget %s: %w", id, err)
		case !yes:
			kept++
		}
		if err := c.writeForget(l, newForgetResult(id, result, f)); err != nil {
			return err
		}
	}
	if c.format != formatTable {
		if err := l.end(); err != nil {
			return err
		}
	}
	if kept > 0 {
		c.term.note("nothing was deleted; to delete it: evalforge forget -yes ID")
	}
	if unknown > 0 {
		return somef("", "of %d of %s nothing is kept", unknown, count(len(c.args), "trace", "traces"))
	}
	return nil
}

func (c *call) writeForget(l *listWriter, r forgetResult) error {
	id := printable(r.TraceID)
	for _, run := range r.OpenRuns {
		c.term.note("%s: run %s has no record yet; if it is still at work, repeat this when it has ended: what it writes names the trace", id, printable(run))
	}
	switch {
	case c.format != formatTable:
		return l.add(r)
	case r.Result == "unknown":
		c.term.note("%s: nothing is kept about such a trace", id)
	case r.Result == "kept":
		fmt.Fprintf(c.term.out, "%s: %s\n", id, r.parts())
	default:
		fmt.Fprintf(c.term.out, "%s: forgotten: %s\n", id, r.parts())
	}
	return nil
}
