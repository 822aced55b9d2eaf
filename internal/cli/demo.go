package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/rules"
)

// What demo imports of [evalforge.Samples].
const (
	sampleTraces    = "traces"
	sampleMalformed = "malformed"
	// expectedOutcomes is a file among the malformed samples that says how each must end.
	expectedOutcomes = "expected.jsonl"
)

// demoTimeout is the time budget of a trace here: no model is waited for, and a slow
// machine is no failure to show.
const demoTimeout = 2 * time.Minute

// A demoResult is what "demo -o json" prints.
type demoResult struct {
	Summary  evalforge.RunSummary `json:"summary"`
	Patterns []evalforge.Pattern  `json:"patterns"`
}

func demoCommand() command {
	var store string
	return command{
		name: "demo", maxArgs: 0,
		short: "see it work in seconds, without an account or a network",
		long: `Imports the bundled sample traces (synthetic, some of them malformed on purpose) into a temporary store, extracts failure patterns with the offline rules analyzer, and shows what happened. Nothing leaves this machine, and nothing stays on it unless -store says where.
The environment does not choose the store or the analyzer here.`,
		examples: []string{"evalforge demo", "evalforge demo -store sqlite:demo.db && evalforge patterns list -store sqlite:demo.db", "evalforge demo -o json | jq '.patterns[0]'"},
		formats:  anyFormat(),
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&store, "store", "", "Keep the results in this `STORE`, such as sqlite:demo.db, instead of a temporary one.")
		},
		run: func(ctx context.Context, c *call) error { return runDemo(ctx, c, store) },
	}
}

func runDemo(ctx context.Context, c *call, store string) (err error) {
	if c.cfg.logLevel >= slog.LevelWarn {
		c.logTo = slog.DiscardHandler // the malformed samples are expected, and shown below
	}
	dir, err := os.MkdirTemp("", "evalforge-demo-*")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	samples := filepath.Join(dir, "samples")
	if err := os.CopyFS(samples, evalforge.Samples()); err != nil {
		return fmt.Errorf("demo: copying the bundled samples: %w", err)
	}
	spec := storeSpec{"sqlite", filepath.Join(dir, "demo.db")}
	if store != "" {
		if spec, err = parseStore(store); err != nil {
			return c.badFlag("store", "%q %v", store, err)
		}
	}
	s, err := c.openSpec(ctx, spec, mayCreate)
	if err != nil {
		return err
	}
	defer func() { err = s.close(err) }()

	imported, err := c.importer(s).Import(ctx, filepath.Join(samples, sampleTraces))
	if err != nil {
		return withHint(err)
	}
	malformed, err := c.importMalformed(ctx, s, filepath.Join(samples, sampleMalformed))
	if err != nil {
		return withHint(err)
	}
	c.cfg.engine.BatchSize = extract.MaxBatchSize
	c.cfg.engine.TraceTimeout = demoTimeout
	rec, err := c.engine(s.store, c.pipeline(rules.New(), s.redactor)).Run(ctx, extract.RunRequest{})
	if err != nil {
		return withHint(err)
	}
	patterns := []evalforge.Pattern{}
	for p, err := range s.patterns(ctx, extract.PatternQuery{PageQuery: extract.PageQuery{Limit: extract.MaxPage}}) {
		if err != nil {
			return err
		}
		patterns = append(patterns, p)
	}
	rec = s.clean.Run(rec)
	if c.format != formatTable {
		return writeJSON(c.term.out, demoResult{rec.Summary(), patterns}, c.format)
	}
	d := demo{c.term}
	d.imported(imported)
	d.extracted(&rec, imported.Read-imported.Failed, malformed)
	d.malformed(malformed, &rec, patterns)
	d.patterns(patterns)
	d.next(store)
	return ctx.Err()
}

// A malformedSample is a bundled input that is wrong on purpose, and what its import
// made of it.
type malformedSample struct {
	file    string
	trace   string // id of the trace that was imported, or ""
	remarks []string
}

// importMalformed imports the malformed samples one by one, to tell what became of each.
func (c *call) importMalformed(ctx context.Context, s *session, dir string) ([]malformedSample, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	var out []malformedSample
	for _, e := range entries {
		if e.Name() == expectedOutcomes {
			continue
		}
		w := &putWatcher{Store: s.store}
		im := c.importer(s)
		im.Store = w
		name := filepath.Join(dir, e.Name())
		sum, err := im.Import(ctx, name)
		if err != nil {
			return nil, err
		}
		m := malformedSample{file: e.Name(), trace: w.last}
		for _, f := range sum.Failures {
			m.remarks = append(m.remarks, f.Reason)
		}
		for _, w := range sum.Warnings {
			if _, text, ok := strings.Cut(strings.TrimPrefix(w, name), ": "); ok && sum.Failed == 0 {
				m.remarks = append(m.remarks, text)
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// A putWatcher remembers the id of the trace that was put last.
type putWatcher struct {
	ingest.Store
	last string
}

func (w *putWatcher) PutTrace(ctx context.Context, t evalforge.RawTrace) (extract.PutResult, error) {
	w.last = t.TraceID
	return w.Store.PutTrace(ctx, t)
}

// A demo tells what happened.
type demo struct{ *terminal }

func (d demo) heading(s string) { fmt.Fprintf(d.out, "\n%s\n", d.bold("== "+s)) }

func (d demo) say(s string) { fmt.Fprint(d.out, wrap(s, "", d.width)) }

func (d demo) imported(sum ingest.Summary) {
	d.say(intro)
	fmt.Fprintln(d.out)
	d.say("This demo does it for bundled synthetic traces, offline, with the deterministic rules analyzer.")
	d.heading("1. Import")
	d.say(fmt.Sprintf("Read %s in several formats: %d imported, %d refused.", count(sum.Read, "trace", "traces"), sum.Read-sum.Failed, sum.Failed))
	d.say(fmt.Sprintf("Replaced before anything was stored: %s.", tally(sum.Redactions)))
}

func (d demo) malformed(list []malformedSample, r *evalforge.Run, patterns []evalforge.Pattern) {
	d.heading("3. What is wrong with an input stays with that input")
	d.say(fmt.Sprintf("%s malformed on purpose. None stopped the others, and each has a recorded outcome:", were(len(list), "more input", "more inputs")))
	for _, m := range list {
		outcome := "refused and recorded as an error"
		for _, o := range r.TraceOutcomes {
			if o.SourceTraceID != m.trace {
				continue
			}
			outcome = string(o.Status)
			if o.ErrorReason != nil {
				m.remarks = append(m.remarks, *o.ErrorReason)
			}
		}
		for _, p := range patterns {
			if v := p.Provenance; p.SourceTraceID == m.trace && v.BytesCut > 0 {
				m.remarks = append(m.remarks, fmt.Sprintf("%d bytes, of which the %d that say most were analyzed", v.BytesBefore, v.BytesAfter))
			}
		}
		if len(m.remarks) > 0 {
			outcome += ": " + strings.Join(m.remarks, "; ")
		}
		d.bullet(m.file + ": " + outcome)
	}
}

// extracted tells of the run over the well-formed traces and those of the malformed
// inputs that could be imported.
func (d demo) extracted(r *evalforge.Run, imported int, malformed []malformedSample) {
	d.heading("2. Extraction")
	picked, odd := pickedUp(r), 0
	for _, m := range malformed {
		if slices.Contains(picked, m.trace) {
			odd++
		}
	}
	if imported+odd == r.PickedUpCount { // not in a store that had some of them
		d.say(fmt.Sprintf("Waiting: %s + %d of the %s of step 3 = %d.", count(imported, "trace", "traces"), odd, count(len(malformed), "malformed input", "malformed inputs"), r.PickedUpCount))
	}
	writeRunTable(d.terminal, r)
}

// shownPerType bounds how many patterns of one failure type the demo lists.
const shownPerType = 2

func (d demo) patterns(all []evalforge.Pattern) {
	d.heading("4. Failure patterns")
	shown := choose(all)
	d.say(fmt.Sprintf("%d of %d, the surest of each failure type:", len(shown), len(all)))
	fmt.Fprintln(d.out)
	rows := make([][]string, len(shown))
	for i, p := range shown {
		rows[i] = patternRow(p)[1:]
	}
	d.table([]string{"TYPE", "SEVERITY", "CONF", "TITLE"}, rows)
	if p, ok := best(all); ok {
		d.heading("5. One pattern in full")
		writePattern(d.terminal, p)
	}
}

// choose returns up to shownPerType patterns of each failure type, the surest first.
func choose(all []evalforge.Pattern) []evalforge.Pattern {
	var out []evalforge.Pattern
	for _, typ := range evalforge.FailureTypes() {
		of := slices.DeleteFunc(slices.Clone(all), func(p evalforge.Pattern) bool { return p.FailureType != typ })
		slices.SortStableFunc(of, func(a, b evalforge.Pattern) int {
			return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(a.SourceTraceID, b.SourceTraceID))
		})
		out = append(out, of[:min(len(of), shownPerType)]...)
	}
	return out
}

// best returns the pattern that shows most: with a verified quote, a failing step and
// something redacted, and then the surest.
func best(all []evalforge.Pattern) (*evalforge.Pattern, bool) {
	score := func(p *evalforge.Pattern) float64 {
		s := p.Confidence
		if slices.ContainsFunc(p.Evidence.Refs, func(r evalforge.EvidenceRef) bool { return r.Verified }) {
			s += 4
		}
		if p.FailingStep != nil && p.FailingStep.Index > 0 {
			s += 2
		}
		if len(p.Provenance.Redactions) > 0 {
			s++
		}
		return s
	}
	var top *evalforge.Pattern
	for i := range all {
		p := &all[i]
		if top == nil || score(p) > score(top) || score(p) == score(top) && p.SourceTraceID < top.SourceTraceID {
			top = p
		}
	}
	return top, top != nil
}

func (d demo) next(store string) {
	d.heading("Next")
	first := [2]string{"evalforge demo -store sqlite:demo.db", "keep these results, to look around with: evalforge patterns list -store sqlite:demo.db"}
	look := [2]string{"evalforge serve -samples", "the same in the browser, at http://127.0.0.1:8080"}
	if store != "" && store != "mem:" {
		look = [2]string{"evalforge serve -store " + shellWord(store), "look at them in the browser, at http://127.0.0.1:8080"}
		first = [2]string{"evalforge patterns list -store " + shellWord(store), "look around in the results"}
	}
	for _, n := range [][2]string{
		first,
		look,
		{"evalforge import FILE && evalforge run", "your own traces"},
		{"GEMINI_API_KEY=… evalforge run -analyzer gemini", "the same, asking a model"},
	} {
		fmt.Fprintf(d.out, "  %s\n      %s\n", n[0], n[1])
	}
}
