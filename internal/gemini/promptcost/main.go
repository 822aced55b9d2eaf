// Command promptcost measures what asking about traces takes, over folders of trace
// files in any format that import reads.
//
//	go run ./internal/gemini/promptcost [-budget BYTES] DIR…
//
// It prints, for each folder, the input of a request (instruction, schema, hints and trace)
// as a share of what sending the same files as indented JSON takes without any
// instruction: in bytes, and in tokens as [gemini.EstimateTokens] estimates them; and the
// median cost of a request at the price of the default model.
//
// A file NAME.logs.json is read together with NAME.json, as the log half of one OTLP
// export. The texts are written to the folder of -dump, for counting with a tokenizer.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/trace"
)

func main() {
	budget := flag.Int("budget", extract.DefaultBudget, "the most `BYTES` of a trace that are sent")
	dump := flag.String("dump", "", "write what is compared to this `DIR`, as raw.txt and prompt.txt")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: promptcost [-budget BYTES] [-dump DIR] DIR…")
		os.Exit(2)
	}
	if err := report(flag.Args(), *budget, *dump); err != nil {
		fmt.Fprintln(os.Stderr, "promptcost:", err)
		os.Exit(1)
	}
}

// A sum is what a group of traces takes.
type sum struct {
	traces                             int
	rawBytes, rawTokens, bytes, tokens int
	costs                              []float64 // USD, each
}

func (s *sum) add(t sum) {
	s.traces += t.traces
	s.rawBytes += t.rawBytes
	s.rawTokens += t.rawTokens
	s.bytes += t.bytes
	s.tokens += t.tokens
	s.costs = append(s.costs, t.costs...)
}

func report(dirs []string, budget int, dump string) error {
	r, err := redact.New(redact.Options{Key: []byte("promptcost: values are joined, not kept")})
	if err != nil {
		return err
	}
	m := meter{pipeline: &extract.Pipeline{Redactor: r, Budget: budget, Now: time.Now}, dump: dump}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "folder\ttraces\tindented kB\tprompts kB\tshare\tindented kTok\tprompts kTok\tshare\tmedian input USD")
	var all sum
	for _, dir := range dirs {
		groups, err := m.folder(dir)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(groups)) {
			line(out, name, groups[name])
			all.add(groups[name])
		}
	}
	line(out, "all", all)
	return out.Flush()
}

func line(out *tabwriter.Writer, name string, s sum) {
	if s.traces == 0 {
		return
	}
	slices.Sort(s.costs)
	fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%.2f%%\t%d\t%d\t%.2f%%\t%.5f\n", name, s.traces, s.rawBytes/1000, s.bytes/1000, 100*float64(s.bytes)/float64(s.rawBytes),
		s.rawTokens/1000, s.tokens/1000, 100*float64(s.tokens)/float64(s.rawTokens), s.costs[len(s.costs)/2])
}

// A meter measures files.
type meter struct {
	pipeline *extract.Pipeline
	dump     string
}

// folder measures the files below dir, by the folder they stand in.
func (m *meter) folder(dir string) (map[string]sum, error) {
	groups := map[string]sum{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".logs.json") || strings.HasSuffix(path, ".md") {
			return err
		}
		s, err := m.file(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
		}
		group := filepath.Base(filepath.Dir(path))
		g := groups[group]
		g.add(s)
		groups[group] = g
		return nil
	})
	return groups, err
}

// file measures the traces of one file, with the log half of it where there is one.
func (m *meter) file(path string) (s sum, err error) {
	payloads := map[string]json.RawMessage{}
	var order []string
	for _, name := range []string{path, strings.TrimSuffix(path, ".json") + ".logs.json"} {
		content, rerr := os.ReadFile(name)
		if rerr != nil && name != path {
			break
		}
		if rerr != nil {
			return s, rerr
		}
		raw := indented(content)
		s.rawBytes += len(raw)
		s.rawTokens += gemini.EstimateTokens(string(raw))
		if err := m.write("raw.txt", raw); err != nil {
			return s, err
		}
		for doc, derr := range trace.Split(name, bytes.NewReader(content), trace.SplitOptions{}) {
			if derr != nil {
				err = errors.Join(err, derr)
				continue
			}
			if old := payloads[doc.TraceID]; old != nil {
				if whole, merr := trace.Merge(old, doc.Payload); merr == nil {
					payloads[doc.TraceID] = whole
					continue
				}
			}
			id := fmt.Sprintf("%s#%d", doc.TraceID, len(order))
			if payloads[doc.TraceID] == nil {
				id = doc.TraceID
			}
			payloads[id] = doc.Payload
			order = append(order, id)
		}
	}
	for _, id := range order {
		if perr := m.trace(payloads[id], &s); perr != nil {
			err = errors.Join(err, perr)
		}
	}
	return s, err
}

func (m *meter) trace(payload json.RawMessage, s *sum) error {
	in, err := m.pipeline.Prepare(evalforge.RawTrace{TraceID: "t", FetchedAt: evalforge.At(time.Now()), Payload: payload})
	if err != nil {
		return err
	}
	p, err := gemini.PromptOf(in)
	if err != nil {
		return err
	}
	tokens := p.Tokens()
	price, _ := gemini.PriceOf(gemini.DefaultModel, time.Now())
	s.traces++
	s.bytes += len(p.Instruction) + len(p.Schema) + len(p.Message)
	s.tokens += tokens
	s.costs = append(s.costs, price.Cost(int64(tokens), 0, 0))
	return m.write("prompt.txt", []byte(p.Instruction+"\n"+p.Schema+"\n"+p.Message))
}

// write appends to a file of the dump.
func (m *meter) write(name string, text []byte) error {
	if m.dump == "" {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(m.dump, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Close())
}

// indented returns content as indented JSON; lines that are no JSON stay as they are.
func indented(content []byte) []byte {
	var b bytes.Buffer
	if json.Indent(&b, content, "", "  ") == nil {
		return b.Bytes()
	}
	b.Reset()
	for l := range bytes.Lines(content) {
		var one bytes.Buffer
		if json.Indent(&one, l, "", "  ") != nil {
			one.Reset()
			one.Write(l)
		}
		b.Write(one.Bytes())
	}
	return b.Bytes()
}
