// Command redactbench measures the redactor on labelled cases and on real traces, all
// in one run, and prints a table.
//
//	go run ./internal/redact/redactbench [flags] CORPUS_DIR
//
// CORPUS_DIR/redaction holds sets of cases, *.jsonl or *.jsonl.gz, one case a line:
//
//	{"id": …, "entity": …, "text": …, "label": "pos"|"neg", "spans": [[start, end], …]}
//
// with spans in code points (null: unknown), and optionally "origin", "region" and
// "score", which split a set in the report; or {"trap": …, "doc": {…}}, a document in
// which nothing may change. Every other .json and .jsonl file below CORPUS_DIR is taken
// for traces: for speed, memory, idempotence and the list of what was hidden.
//
// A value counts as caught when no half of it, or more, is left. The command exits with
// 1 when a threshold is missed, so that a change of the policy cannot pass unmeasured.
// Corpora stay outside the repository: public test secrets alarm every scanner.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/evalforge/evalforge/internal/redact"
)

func main() {
	code, err := run(os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "redactbench:", err)
	}
	os.Exit(code)
}

// A bench is one run of the command.
type bench struct {
	out    io.Writer
	wrong  string    // the set whose misses and false alarms are listed
	hits   io.Writer // where what was hidden in traces is listed, or nil
	missed int       // thresholds
}

func run(out io.Writer, args []string) (code int, err error) {
	fs := flag.NewFlagSet("redactbench", flag.ContinueOnError)
	wrong := fs.String("wrong", "", "list misses and false alarms of the `SET` with this name in the report")
	hits := fs.String("hits", "", "write every distinct value that was hidden in the traces to `FILE`, for a person to read")
	fast := fs.Bool("cases", false, "only the labelled cases, no speed or memory")
	if err := fs.Parse(args); err != nil {
		return 2, nil // the flag package has said why
	}
	if fs.NArg() != 1 {
		return 2, fmt.Errorf("usage: redactbench [flags] CORPUS_DIR")
	}
	dir := fs.Arg(0)
	b := &bench{out: out, wrong: *wrong}
	if *hits != "" {
		f, err := os.Create(*hits)
		if err != nil {
			return 2, err
		}
		defer func() {
			if cerr := f.Close(); err == nil && cerr != nil {
				code, err = 2, cerr
			}
		}()
		b.hits = f
	}
	sets, err := readSets(filepath.Join(dir, "redaction"))
	if err != nil {
		return 2, err
	}
	if err := b.cases(sets); err != nil {
		return 2, err
	}
	if !*fast {
		docs, err := readTraces(dir)
		if err != nil {
			return 2, err
		}
		if err := b.traces(docs); err != nil {
			return 2, err
		}
	}
	if b.missed > 0 {
		return 1, fmt.Errorf("%d thresholds were missed", b.missed)
	}
	return 0, nil
}

// row prints a line of the report. A threshold that was missed is counted and marked.
func (b *bench) row(name, figures, want string, ok bool) {
	mark := ""
	if want != "" {
		mark = "ok"
		if !ok {
			mark = "MISSED"
			b.missed++
		}
	}
	fmt.Fprintf(b.out, "%-34s %-56s %-14s %s\n", name, figures, want, mark)
}

func newRedactor(regions ...string) (*redact.Redactor, error) {
	return redact.New(redact.Options{Key: []byte("a key that is for measuring only"), PhoneRegions: regions})
}
