package signal

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
)

// minRepeats is how often a cycle must stand in a row to be a loop. Two is an ordinary
// retry.
const minRepeats = 3

// loops finds repetition without progress.
//
// Only consecutive repetition counts: "the same output at least four times anywhere"
// fired on 40 of 58 runs of a public multi-agent benchmark, whose orchestrator repeats
// boilerplate. Results must be equal too, so that polling until something changes is no
// loop.
func loops(v *view) []Signal {
	var found []Signal
	if s, ok := callLoop(v); ok {
		found = append(found, s)
	}
	if s, ok := outputLoop(v); ok {
		found = append(found, s)
	}
	if s, ok := passedAround(v); ok && len(found) == 0 {
		found = append(found, s)
	}
	if s, ok := sameArgs(v); ok && len(found) == 0 {
		found = append(found, s)
	}
	return found
}

// cycle finds the longest run of a repeated cycle of 1 to 3 keys, and returns where it
// starts, its width and its number of repeats; 0 repeats when there is none. Empty keys
// break runs.
func cycle(keys []string) (start, width, repeats int) {
	covered := 0
	for w := 1; w <= 3; w++ {
		for i := 0; i+w*minRepeats <= len(keys); {
			n := w
			for i+n < len(keys) && keys[i+n] == keys[i+n-w] && keys[i+n] != "" {
				n++
			}
			if r := n / w; keys[i] != "" && r >= minRepeats && n > covered && distinct(keys[i:i+w]) {
				start, width, repeats, covered = i, w, r, n
			}
			i += max(1, n-w+1)
		}
	}
	return start, width, repeats
}

// distinct reports whether keys are pairwise different, so that a cycle of width 2 is
// not one of width 1 counted twice.
func distinct(keys []string) bool {
	for i := range keys {
		for j := range i {
			if keys[i] == keys[j] {
				return false
			}
		}
	}
	return true
}

func callLoop(v *view) (Signal, bool) {
	keys := make([]string, len(v.calls))
	for i, c := range v.calls {
		if c.Name != "" {
			keys[i] = c.Name + "\x00" + c.Args + "\x00" + c.Result
		}
	}
	start, width, repeats := cycle(keys)
	for repeats > 0 && v.changed(keys, start, width) {
		for i := start; i < start+width*repeats; i++ {
			keys[i] = ""
		}
		start, width, repeats = cycle(keys)
	}
	if repeats == 0 {
		return Signal{}, false
	}
	first := v.calls[start]
	s := Signal{
		Name: "tool_loop", FailureType: evalforge.RunawayLoop, Weight: 0.9,
		Step: first.Step, Cause: v.planner(first.Step, &v.calls[start]),
	}
	failed := true
	var names []string
	for i := start; i < start+width; i++ {
		failed = failed && callFailed(&v.calls[i])
		names = append(names, fmt.Sprintf("%q", excerpt.Clip(excerpt.Line(v.calls[i].Name), 60)))
	}
	s.Detail = fmt.Sprintf("the call of %s is repeated %d times in a row with equal arguments and results, from %s on",
		strings.Join(names, ", then "), repeats, v.label(first.Step))
	switch {
	case width > 1 && handOvers(v, start, width):
		s.Condition = CondHandOver
	case width > 1:
		s.Condition = CondCycle
	case failed:
		s.Condition = CondSameFailure
	default:
		s.Condition = CondSameCall
	}
	for _, text := range []string{first.Args, first.Result} {
		if s.Quote = head(text); s.Quote != "" {
			break
		}
	}
	return s, true
}

// changed reports whether a cycle of calls ended because the same call at last had
// another result, and no error: it waited for something, and that came.
func (v *view) changed(keys []string, start, width int) bool {
	next := start + width
	for next < len(keys) && keys[next] == keys[next-width] {
		next++
	}
	if next == len(keys) {
		return false
	}
	before, after := &v.calls[next-width], &v.calls[next]
	return after.Name == before.Name && after.Args == before.Args && after.HasResult && !callFailed(after)
}

// handOver matches tools that pass control to another agent, as agent frameworks name
// them.
var handOver = compile(`(?i)transfer_?(?:back_?)?to|hand_?off|hand_?over|delegate`)

// handOvers reports whether every call of a cycle passes control to another agent.
func handOvers(v *view, start, width int) bool {
	for _, c := range v.calls[start : start+width] {
		if !handOver.MatchString(c.Name) {
			return false
		}
	}
	return true
}

// passedAround finds a task handed over at least six times in a row with no other call
// between: three times there and back. Arguments may differ, since agents word each
// hand-over anew.
func passedAround(v *view) (Signal, bool) {
	const times = 6
	run := 0
	for i := range v.calls {
		if !handOver.MatchString(v.calls[i].Name) {
			run = 0
			continue
		}
		if run++; run < times {
			continue
		}
		first := &v.calls[i-run+1]
		return Signal{
			Name: "passed_around", FailureType: evalforge.RunawayLoop, Condition: CondHandOver, Weight: 0.8,
			Step: first.Step, Cause: v.planner(first.Step, first), Quote: head(first.Args),
			Detail: fmt.Sprintf("agents hand the task over at least %d times in a row without any other call, from %s on", times, v.label(first.Step)),
		}, true
	}
	return Signal{}, false
}

// outputLoop finds the same text, or an exchange of the same two or three texts, said
// at least three times in a row. Single short texts such as "OK" do not count.
func outputLoop(v *view) (Signal, bool) {
	keys := make([]string, 0, len(v.outputs))
	at := make([]int, 0, len(v.outputs))
	for i, p := range v.outputs {
		if isTermination(p.text) {
			continue
		}
		keys = append(keys, strings.ToLower(strings.Join(strings.Fields(p.text), " ")))
		at = append(at, i)
	}
	start, width, repeats := cycle(keys)
	if repeats == 0 {
		return Signal{}, false
	}
	const enough = 120 // characters in all repeats
	n := 0
	agents := map[string]bool{}
	for i := start; i < start+width*repeats; i++ {
		n += utf8.RuneCountInString(keys[i])
		agents[v.t.Steps[v.outputs[at[i]].step].Agent] = true
	}
	if n < enough {
		return Signal{}, false
	}
	p := v.outputs[at[start]]
	s := Signal{
		Name: "output_loop", FailureType: evalforge.RunawayLoop, Condition: CondSameOutput, Weight: 0.85,
		Step: p.step, Cause: p.step, Quote: head(p.text),
		Detail: fmt.Sprintf("the same %s repeated %d times in a row, from %s on", plural(width, "output is", "outputs are"), repeats, v.label(p.step)),
	}
	if len(agents) > 1 {
		s.Condition = CondHandOver
	}
	return s, true
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// sameArgs finds one call repeated at least five times in a row with equal arguments
// whose results differ. It may be polling, so it decides only when the run stopped in
// the middle of it.
func sameArgs(v *view) (Signal, bool) {
	const repeats = 5
	run := 1
	for i := 1; i < len(v.calls); i++ {
		a, b := v.calls[i-1], v.calls[i]
		if a.Name == "" || a.Name != b.Name || a.Args != b.Args {
			run = 1
			continue
		}
		if run++; run < repeats {
			continue
		}
		first := v.calls[i-run+1]
		s := Signal{
			Name: "same_arguments", FailureType: evalforge.RunawayLoop, Condition: CondSameCall, Weight: 0.4,
			Step: first.Step, Cause: v.planner(first.Step, &v.calls[i-run+1]), Quote: head(b.Args),
			Detail: fmt.Sprintf("%q is called at least %d times in a row with equal arguments, from %s on",
				excerpt.Clip(excerpt.Line(b.Name), 60), repeats, v.label(first.Step)),
		}
		if i == len(v.calls)-1 && v.answer().step <= b.Step {
			s.Weight = 0.6
		}
		return s, true
	}
	return Signal{}, false
}
