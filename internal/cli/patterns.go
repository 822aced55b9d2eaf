package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// patternFilter is the flags that choose patterns.
type patternFilter struct {
	failureType, severity string
}

func (f *patternFilter) declare(fs *flag.FlagSet) {
	fs.StringVar(&f.failureType, "type", "", "Only patterns of this failure `TYPE`: "+names(evalforge.FailureTypes())+".")
	fs.StringVar(&f.severity, "severity", "", "Only patterns of this `SEVERITY`: "+names(evalforge.Severities())+".")
}

func (f *patternFilter) query() (extract.PatternQuery, error) {
	q := extract.PatternQuery{FailureType: evalforge.FailureType(f.failureType), Severity: evalforge.Severity(f.severity)}
	if f.failureType != "" && q.FailureType.Validate() != nil {
		return q, usagef("", "-type: %q is none of %s", f.failureType, names(evalforge.FailureTypes()))
	}
	if f.severity != "" && q.Severity.Validate() != nil {
		return q, usagef("", "-severity: %q is none of %s", f.severity, names(evalforge.Severities()))
	}
	return q, nil
}

func names[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}

func patternsListCommand() command {
	var filter patternFilter
	var limit limitFlag
	return command{
		name: "patterns list", maxArgs: 0,
		short:    "list the failure patterns, newest first",
		long:     `Lists the stored failure patterns, newest first.`,
		examples: []string{"evalforge patterns list -type wrong_tool -severity high", "evalforge patterns list -o jsonl -limit 0"},
		uses:     []group{groupStore, groupRedaction}, formats: anyFormat(),
		flags: func(fs *flag.FlagSet) { filter.declare(fs); limit.declare(fs, "patterns") },
		run: func(ctx context.Context, c *call) (err error) {
			q, err := filter.query()
			if err != nil {
				return err
			}
			if err := limit.check(); err != nil {
				return err
			}
			s, err := c.open(ctx, mustExist)
			if err != nil {
				return err
			}
			defer func() { err = s.close(err) }()
			return writeList(c, limit, s.patterns(ctx, q), "patterns",
				[]string{"TRACE", "TYPE", "SEVERITY", "CONF", "TITLE"}, patternRow)
		},
	}
}

func patternRow(p evalforge.Pattern) []string {
	return []string{p.SourceTraceID, string(p.FailureType), string(p.Severity), fmt.Sprintf("%.2f", p.Confidence), p.Title}
}

// patterns yields the patterns of the store, redacted, page by page.
func (s *session) patterns(ctx context.Context, q extract.PatternQuery) iter.Seq2[evalforge.Pattern, error] {
	list := pageByPage(q.PageQuery, func(p extract.PageQuery) ([]evalforge.Pattern, string, error) {
		q.PageQuery = p
		return s.store.Patterns(ctx, q)
	})
	return func(yield func(evalforge.Pattern, error) bool) {
		for p, err := range list {
			if err == nil {
				p, err = s.clean.Pattern(p)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

func patternsExportCommand() command {
	var filter patternFilter
	var output string
	return command{
		name: "patterns export", maxArgs: 0,
		short: "write the stored documents of all patterns",
		long: `Writes every stored pattern document, newest first: as JSON Lines, or as one JSON array. Text is redacted once more on its way out.
With -output the file appears only when it is complete.`,
		examples: []string{"evalforge patterns export -output patterns.jsonl", "evalforge patterns export -severity critical | jq .title"},
		uses:     []group{groupStore, groupRedaction}, formats: []string{formatJSONL, formatJSON},
		flags: func(fs *flag.FlagSet) {
			filter.declare(fs)
			fs.StringVar(&output, "output", "", "Write to this `FILE` instead of standard output.")
		},
		run: func(ctx context.Context, c *call) (err error) {
			q, err := filter.query()
			if err != nil {
				return err
			}
			q.Limit = extract.MaxPage
			s, err := c.open(ctx, mustExist)
			if err != nil {
				return err
			}
			defer func() { err = s.close(err) }()
			n := 0
			write := func(w io.Writer) error {
				l := &listWriter{w: w, format: c.format}
				for p, err := range s.patterns(ctx, q) {
					if err != nil {
						return err
					}
					if err := l.add(p); err != nil {
						return err
					}
				}
				n = l.n
				return l.end()
			}
			if output == "" {
				return write(c.term.out)
			}
			if err := writeFile(output, write); err != nil {
				return err
			}
			c.term.note("wrote %s to %s", count(n, "pattern", "patterns"), output)
			return nil
		},
	}
}

func patternsShowCommand() command {
	var history bool
	return command{
		name: "patterns show", args: "ID", minArgs: 1, maxArgs: 1,
		short: "show one pattern in full",
		long: `Shows one failure pattern in full. ID is that of the pattern or of its trace.
With -history, the patterns that it replaced follow: as JSON in full, else with what each changed.`,
		examples: []string{"evalforge patterns show checkout-4711", "evalforge patterns show -history checkout-4711"},
		uses:     []group{groupStore, groupRedaction}, formats: anyFormat(),
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&history, "history", false, "Also show the patterns that it replaced, the last one first.")
		},
		run: func(ctx context.Context, c *call) (err error) {
			s, err := c.open(ctx, mustExist)
			if err != nil {
				return err
			}
			defer func() { err = s.close(err) }()
			p, err := c.findPattern(ctx, s.store, c.args[0])
			if err != nil {
				return err
			}
			if p, err = s.clean.Pattern(p); err != nil {
				return err
			}
			if history {
				return c.showHistory(ctx, s, p)
			}
			if c.format != formatTable {
				return writeJSON(c.term.out, p, c.format)
			}
			writePattern(c.term, &p)
			return nil
		},
	}
}

// showHistory shows a pattern and those that it replaced.
func (c *call) showHistory(ctx context.Context, s *session, p evalforge.Pattern) error {
	old, err := s.store.History(ctx, p.SourceTraceID, extract.MaxHistory)
	if err != nil {
		return err
	}
	for i := range old {
		if old[i], err = s.clean.Pattern(old[i]); err != nil {
			return err
		}
	}
	if c.format != formatTable {
		l := &listWriter{w: c.term.out, format: c.format}
		for _, p := range append([]evalforge.Pattern{p}, old...) {
			if err := l.add(p); err != nil {
				return err
			}
		}
		return l.end()
	}
	writePattern(c.term, &p)
	fmt.Fprintf(c.term.out, "\n%s\n", c.term.bold("What it replaced"))
	if len(old) == 0 {
		c.term.bullet("nothing")
	}
	after := &p
	for i := range old {
		v := &old[i].Provenance
		c.term.bullet(fmt.Sprintf("%s by %s: %s", old[i].ExtractedAt, cmp.Or(v.ModelVersion, v.Model, v.Analyzer), changesText(extract.Diff(&old[i], after))))
		after = &old[i]
	}
	return nil
}

// findPattern finds a pattern by the id of its trace, else by its own. When there is
// none, the error says what is known of the trace.
func (c *call) findPattern(ctx context.Context, store extract.Store, id string) (evalforge.Pattern, error) {
	ids := []string{id}
	if trace, ok := strings.CutPrefix(id, evalforge.PatternID("")); ok && trace != "" {
		ids = append(ids, trace)
	}
	for _, id := range ids {
		if p, err := store.Pattern(ctx, id); !errors.Is(err, evalforge.ErrNotFound) {
			return p, err
		}
	}
	err := fmt.Errorf("there is no pattern of trace %q", id)
	for _, id := range ids {
		if _, terr := store.Trace(ctx, id); terr == nil {
			return evalforge.Pattern{}, withHint(err, "the trace is there, but has no pattern: see "+c.command("errors list", "-trace", id)+", or start "+c.command("run", "-trace", id))
		}
	}
	return evalforge.Pattern{}, withHint(err, c.hint("", " shows which there are", "patterns list"))
}

// writePattern shows a pattern for people.
func writePattern(t *terminal, p *evalforge.Pattern) {
	const indent = "  "
	section := func(name, text string) {
		if strings.TrimSpace(text) != "" {
			fmt.Fprintf(t.out, "\n%s\n%s", t.bold(name), wrap(text, indent, t.width))
		}
	}
	bullets := func(name string, items []string) {
		if len(items) == 0 {
			return
		}
		fmt.Fprintf(t.out, "\n%s\n", t.bold(name))
		for _, s := range items {
			t.bullet(s)
		}
	}
	io.WriteString(t.out, t.bold(strings.TrimSuffix(wrap(p.Title, "", t.width), "\n"))+"\n")
	fmt.Fprintf(t.out, "%s, severity %s, confidence %.2f\n", p.FailureType, p.Severity, p.Confidence)
	fmt.Fprintf(t.out, "trigger: %s\n", printable(p.TriggerCondition))
	fmt.Fprintf(t.out, "trace %s", printable(p.SourceTraceID))
	if f := p.FailingStep; f != nil {
		fmt.Fprintf(t.out, ", failing step %d", f.Index)
		if name := cmp.Or(f.Name, f.Agent); name != "" {
			fmt.Fprintf(t.out, " (%s)", printable(name))
		}
	}
	fmt.Fprintln(t.out)
	section("What happened", p.Summary)
	section("Why (hypothesis)", p.RootCauseHypothesis)
	bullets("What to do", p.RecommendedActions)
	bullets("Evidence", evidence(&p.Evidence))
	section("How to reproduce", reproduction(&p.ReproductionContext))
	section(fmt.Sprintf("Why the confidence is %.2f", p.Confidence), p.ConfidenceRationale)
	section("Where this comes from", origin(p))
}

// evidence lists the signals, and the quotes with whether they were found in the trace.
func evidence(e *evalforge.Evidence) []string {
	items := slices.Clone(e.Signals)
	quoted := false
	for _, r := range e.Refs {
		where := "the trace"
		if r.Step != nil {
			where = fmt.Sprintf("step %d", *r.Step)
		}
		checked := "NOT found in the trace"
		if r.Verified {
			checked = "verified: found in the trace"
		}
		items = append(items, fmt.Sprintf("%s says: “%s” (%s)", where, r.Quote, checked))
		quoted = quoted || (e.Excerpt != nil && strings.Contains(r.Quote, *e.Excerpt))
	}
	if e.Excerpt != nil && !quoted {
		items = append(items, fmt.Sprintf("excerpt: “%s”", *e.Excerpt))
	}
	return items
}

func reproduction(r *evalforge.ReproductionContext) string {
	lines := []string{"Input: " + r.InputPattern}
	if r.RequiredState != nil {
		lines = append(lines, "State: "+*r.RequiredState)
	}
	if len(r.ToolsInvolved) > 0 {
		lines = append(lines, "Tools: "+strings.Join(r.ToolsInvolved, ", "))
	}
	return strings.Join(lines, "\n")
}

func origin(p *evalforge.Pattern) string {
	v := &p.Provenance
	who := v.Analyzer
	if m := cmp.Or(v.ModelVersion, v.Model); m != "" {
		who += " (" + m + ")"
	}
	text := fmt.Sprintf("Extracted by %s at %s in run %s from a trace in %s format: %d bytes after redaction, of which %d were analyzed.",
		who, p.ExtractedAt, v.RunID, v.Format, v.BytesBefore, v.BytesAfter)
	if len(v.Redactions) > 0 {
		text += " Redacted: " + tally(v.Redactions) + "."
	}
	if v.DerivedFrom != "" {
		text += fmt.Sprintf(" Trace %s shows the same failure: its answer was used again, at no cost.", printable(v.DerivedFrom))
	}
	if v.CostUSD > 0 {
		text += fmt.Sprintf(" It cost $%.5f.", v.CostUSD)
	}
	return text
}
