package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/evalforge/evalforge/internal/trace"
)

// survival prints how often what decides a failure is still there at each budget: the
// steps that people labelled, in files of evaluation cases, and the texts that were
// injected.
func survival(cases []string, samples []sample, marker string) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(out, "kept\tof\t")
	for _, b := range budgets[1:] {
		fmt.Fprintf(out, "%d kB\t", b>>10)
	}
	fmt.Fprintln(out)
	for _, path := range cases {
		total, kept, err := labelled(path)
		if err != nil {
			return err
		}
		row(out, "labelled steps, "+path, total, kept)
	}
	if marker != "" {
		total, kept := injected(samples, marker)
		row(out, "texts with "+marker, total, kept)
	}
	total, kept := errorsKept(samples)
	row(out, "steps with an error", total, kept)
	return out.Flush()
}

func row(out *tabwriter.Writer, what string, total int, kept [len(budgets)]int) {
	fmt.Fprintf(out, "%s\t%d\t", what, total)
	for _, k := range kept[1:] {
		fmt.Fprintf(out, "%d\t", k)
	}
	fmt.Fprintln(out)
}

// labelled counts the labelled steps of a file of evaluation cases that are written out,
// by budget.
func labelled(path string) (total int, kept [len(budgets)]int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, kept, err
	}
	defer f.Close() // opened for reading
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		var c struct {
			Trace    json.RawMessage `json:"trace"`
			Expected struct {
				Steps []int `json:"failing_steps"`
			} `json:"expected"`
		}
		if len(bytes.TrimSpace(line)) > 0 && json.Unmarshal(line, &c) == nil && len(c.Expected.Steps) > 0 {
			t, derr := trace.Decode(c.Trace)
			if derr != nil {
				return total, kept, derr
			}
			total++
			for i, b := range budgets {
				if hasStep(trace.Compact(t, b).JSON, c.Expected.Steps[0]) {
					kept[i]++
				}
			}
		}
		if err != nil {
			return total, kept, nil
		}
	}
}

// hasStep reports whether a rendered trace has step i with some content.
func hasStep(rendered []byte, i int) bool {
	var r struct {
		Steps []map[string]json.RawMessage `json:"steps"`
	}
	if json.Unmarshal(rendered, &r) != nil {
		return false
	}
	for _, s := range r.Steps {
		if string(s["i"]) == fmt.Sprint(i) {
			return s["out"] != nil || s["input"] != nil || s["output"] != nil || s["tool"] != nil || s["in"] != nil
		}
	}
	return false
}

func injected(samples []sample, marker string) (total int, kept [len(budgets)]int) {
	for _, s := range samples {
		if !bytes.Contains(s.doc.Payload, []byte(marker)) {
			continue
		}
		total++
		for i, b := range budgets {
			if bytes.Contains(trace.Compact(s.t, b).JSON, []byte(marker)) {
				kept[i]++
			}
		}
	}
	return total, kept
}

// errorsKept counts the steps with an error of their own that are rendered.
func errorsKept(samples []sample) (total int, kept [len(budgets)]int) {
	for _, s := range samples {
		var failed []int
		for _, step := range s.t.Steps {
			if step.Err != nil {
				failed = append(failed, step.Index)
			}
		}
		total += len(failed)
		for i, b := range budgets {
			var r struct {
				Steps []map[string]json.RawMessage `json:"steps"`
			}
			if json.Unmarshal(trace.Compact(s.t, b).JSON, &r) != nil {
				continue
			}
			for _, f := range failed {
				for _, step := range r.Steps {
					if string(step["i"]) == fmt.Sprint(f) && step["error"] != nil {
						kept[i]++
					}
				}
			}
		}
	}
	return total, kept
}
