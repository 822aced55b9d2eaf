// Command formatreport measures decoding and compaction over a folder of trace files.
//
//	go run ./internal/trace/formatreport [-v] [-marker TEXT] DIR [CASES.jsonl…]
//
// It prints, for each subfolder, the sum of bytes as an indented JSON document (what a
// program without compaction sends), the bytes that are left when nothing is cut and at
// the usual budgets, as shares of it, and the speed and allocation of decoding plus
// compacting as multiples of encoding/json's into any. A file NAME.logs.json is read
// together with NAME.json, as the log half of one OTLP export.
//
// Files of the same name in different subfolders are taken to be the same conversation
// under different instrumentation: their messages, tool calls and failing steps are
// compared, and differences listed. With -v each file gets a line of its own.
//
// Last it prints how often what decides a failure survives each budget: the labelled steps
// of files of evaluation cases, the traces into which TEXT was injected, and the steps with
// errors.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/evalforge/evalforge/internal/trace"
)

func main() {
	verbose := flag.Bool("v", false, "print a line for each file")
	marker := flag.String("marker", "", "a `TEXT` that marks an injected failure")
	flag.Parse()
	if flag.NArg() < 1 {
		fmt.Fprintln(os.Stderr, "usage: formatreport [-v] [-marker TEXT] DIR [CASES.jsonl…]")
		os.Exit(2)
	}
	if err := report(flag.Arg(0), *verbose, *marker, flag.Args()[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "formatreport:", err)
		os.Exit(1)
	}
}

// budgets are the byte budgets that are measured; the first cuts nothing.
var budgets = [...]int{1 << 30, trace.MaxBytes, 32 << 10, 16 << 10, 8 << 10}

// A sample is one trace of one input, decoded and compacted.
type sample struct {
	folder, name string
	doc          trace.Document
	t            *trace.Trace
	pretty       int
	sizes        [len(budgets)]int
}

func report(dir string, verbose bool, marker string, cases []string) error {
	files, err := inputs(dir)
	if err != nil {
		return err
	}
	var samples []sample
	for _, f := range files {
		found, err := read(f)
		if err != nil {
			fmt.Printf("not read: %v\n", err)
		}
		samples = append(samples, found...)
	}
	if len(samples) == 0 {
		return fmt.Errorf("%s: no trace in it", dir)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	if verbose {
		fmt.Fprintln(out, "file\tformat\tpretty\tuncut\tsteps\tmessages\tcalls\topaque\tfailing\twarnings")
		for _, s := range samples {
			fmt.Fprintf(out, "%s/%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", s.folder, s.name, s.t.Format, s.pretty, s.sizes[0], len(s.t.Steps), len(s.t.Messages),
				len(s.t.Invocations()), opaque(s.t), describeFailure(s.t), strings.Join(append(s.doc.Warnings, s.t.Warnings...), "; "))
		}
		fmt.Fprintln(out)
	}
	sizes(out, samples)
	speed(out, samples)
	if err := out.Flush(); err != nil {
		return err
	}
	compare(samples)
	fmt.Println()
	return survival(cases, samples, marker)
}

// An input is one file, or the two halves of an OTLP export.
type input struct{ folder, name, path, logs string }

func inputs(dir string) ([]input, error) {
	var out []input
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".logs.json") || strings.HasSuffix(path, ".md") {
			return err
		}
		in := input{folder: filepath.Base(filepath.Dir(path)), name: filepath.Base(path), path: path}
		in.name, _, _ = strings.Cut(in.name, ".")
		logs := strings.TrimSuffix(path, ".json") + ".logs.json"
		if _, err := os.Stat(logs); err == nil {
			in.logs = logs
		}
		out = append(out, in)
		return nil
	})
	return out, err
}

// read decodes and compacts the traces of in.
func read(in input) ([]sample, error) {
	byID := map[string]*sample{}
	var order []string
	var failed []error
	for _, path := range []string{in.path, in.logs} {
		if path == "" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		pretty := indented(content)
		for doc, err := range trace.Split(path, bytes.NewReader(content), trace.SplitOptions{}) {
			if err != nil {
				failed = append(failed, err)
				continue
			}
			id := doc.TraceID
			if old := byID[id]; old != nil {
				if whole, err := trace.Merge(old.doc.Payload, doc.Payload); err == nil {
					doc.Payload = whole
				} else {
					id = fmt.Sprintf("%s#%d", id, len(order))
				}
			}
			if byID[id] == nil {
				byID[id] = &sample{folder: in.folder, name: in.name}
				order = append(order, id)
			}
			byID[id].doc = doc
			byID[id].pretty += pretty
			pretty = 0
		}
	}
	var out []sample
	for _, id := range order {
		s := byID[id]
		t, err := trace.Decode(s.doc.Payload)
		if err != nil {
			return out, err
		}
		s.t = t
		for i, b := range budgets {
			c := trace.Compact(t, b)
			if len(c.JSON) > b || !json.Valid(c.JSON) {
				return out, fmt.Errorf("%s: %d bytes for a budget of %d, or no JSON", in.path, len(c.JSON), b)
			}
			s.sizes[i] = len(c.JSON)
		}
		out = append(out, *s)
	}
	return out, errors.Join(failed...)
}

// indented returns the length of content as indented JSON; lines that are no JSON count
// as they are.
func indented(content []byte) int {
	var b bytes.Buffer
	if json.Indent(&b, content, "", "  ") == nil {
		return b.Len()
	}
	n := 0
	for line := range bytes.Lines(content) {
		b.Reset()
		if json.Indent(&b, line, "", "  ") != nil {
			b.Write(line)
		}
		n += b.Len()
	}
	return n
}

func opaque(t *trace.Trace) (n int) {
	for _, s := range t.Steps {
		if s.Kind == trace.KindOpaque {
			n++
		}
	}
	return n
}

func sizes(out *tabwriter.Writer, samples []sample) {
	fmt.Fprintln(out, "folder\ttraces\tformats\topaque\tpretty kB\tuncut\t100 KB\t32 KB\t16 KB\t8 KB")
	var folders []string
	byFolder := map[string][]sample{}
	for _, s := range samples {
		if byFolder[s.folder] == nil {
			folders = append(folders, s.folder)
		}
		byFolder[s.folder] = append(byFolder[s.folder], s)
	}
	for _, f := range append(folders, "") {
		group, name := byFolder[f], f
		if f == "" {
			group, name = samples, "all"
		}
		var formats []string
		var pretty, unread int
		var sum [len(budgets)]int
		for _, s := range group {
			formats = append(formats, s.t.Format)
			unread += opaque(s.t)
			pretty += s.pretty
			for i, n := range s.sizes {
				sum[i] += n
			}
		}
		slices.Sort(formats)
		formats = slices.Compact(formats)
		if f == "" {
			formats = nil
		}
		fmt.Fprintf(out, "%s\t%d\t%s\t%d\t%d", name, len(group), strings.Join(formats, " "), unread, pretty/1000)
		for _, n := range sum {
			fmt.Fprintf(out, "\t%.1f%%", 100*float64(n)/float64(pretty))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
}

// speed compares decoding and compacting with encoding/json, over all samples of a
// folder and of at least 10 kB.
func speed(out *tabwriter.Writer, samples []sample) {
	fmt.Fprintln(out, "folder\tMB\tjson MB/s\tours MB/s\tratio\tjson alloc\tours alloc, as multiples of the input")
	for len(samples) > 0 {
		n := 1
		for n < len(samples) && samples[n].folder == samples[0].folder {
			n++
		}
		var payloads [][]byte
		size := 0
		for _, s := range samples[:n] {
			if len(s.doc.Payload) >= 10_000 {
				payloads = append(payloads, s.doc.Payload)
				size += len(s.doc.Payload)
			}
		}
		if size > 0 {
			base, ours := measure(payloads, func(p []byte) error {
				var v any
				return json.Unmarshal(p, &v)
			}), measure(payloads, func(p []byte) error {
				t, err := trace.Decode(p)
				if err == nil {
					trace.Compact(t, 32<<10)
				}
				return err
			})
			for range rounds {
				base.once()
				ours.once()
			}
			mb := float64(size) / 1e6
			fmt.Fprintf(out, "%s\t%.2f\t%.0f\t%.0f\t%.2f\t%.1f\t%.1f\n", samples[0].folder, mb, mb/base.best.Seconds(), mb/ours.best.Seconds(),
				base.best.Seconds()/ours.best.Seconds(), float64(base.alloc)/float64(size), float64(ours.alloc)/float64(size))
		}
		samples = samples[n:]
	}
	fmt.Fprintln(out)
}

// rounds is how often each way is timed, in turns, so that what else the machine does
// hits both.
const rounds = 15

// A cost is what doing something with all payloads once takes.
type cost struct {
	payloads [][]byte
	do       func([]byte) error
	best     time.Duration
	alloc    uint64 // bytes allocated
}

func measure(payloads [][]byte, do func([]byte) error) *cost {
	return &cost{payloads: payloads, do: do}
}

// once measures it once more.
func (c *cost) once() {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	for _, p := range c.payloads {
		if c.do(p) != nil {
			return
		}
	}
	d := time.Since(start)
	runtime.ReadMemStats(&after)
	if c.best == 0 || d < c.best {
		c.best = d
	}
	c.alloc = after.TotalAlloc - before.TotalAlloc
}
