package cli

import (
	"context"
	"flag"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

func errorsListCommand() command {
	var limit limitFlag
	var q extract.ErrorQuery
	return command{
		name: "errors list", maxArgs: 0,
		short: "list why traces did not become patterns, newest first",
		long: `Lists the error documents, newest first: one for each trace and run that did not end in a pattern, and for each input that could not be imported.
Traces that failed too often are quarantined until "evalforge retry ID" or a corrected import.`,
		examples: []string{"evalforge errors list -trace checkout-4711", "evalforge errors list -o jsonl -limit 0 | jq -r .source_trace_id | sort -u"},
		uses:     []group{groupStore, groupRedaction}, formats: anyFormat(),
		flags: func(fs *flag.FlagSet) {
			limit.declare(fs, "errors")
			fs.StringVar(&q.RunID, "run", "", "Only errors of the run or import with this `ID`.")
			fs.StringVar(&q.TraceID, "trace", "", "Only errors of the trace with this `ID`.")
		},
		run: func(ctx context.Context, c *call) (err error) {
			if err := limit.check(); err != nil {
				return err
			}
			s, err := c.open(ctx, mustExist)
			if err != nil {
				return err
			}
			defer func() { err = s.close(err) }()
			errs := pageByPage(q.PageQuery, func(p extract.PageQuery) ([]evalforge.ExtractionError, string, error) {
				q.PageQuery = p
				list, next, err := s.store.Errors(ctx, q)
				for i, e := range list {
					list[i] = s.clean.Error(e)
				}
				return list, next, err
			})
			return writeList(c, limit, errs, "errors", []string{"RECORDED", "TRACE", "TYPE", "MESSAGE"},
				func(e evalforge.ExtractionError) []string {
					return []string{e.RecordedAt.UTC().Format("2006-01-02 15:04:05"), e.SourceTraceID, string(e.ErrorType), e.ErrorMessage}
				})
		},
	}
}
