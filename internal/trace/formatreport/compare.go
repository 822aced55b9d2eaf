package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/evalforge/evalforge/internal/trace"
)

// compare prints where samples of the same name disagree with the majority.
func compare(samples []sample) {
	byName := map[string][]sample{}
	var names []string
	for _, s := range samples {
		if byName[s.name] == nil {
			names = append(names, s.name)
		}
		byName[s.name] = append(byName[s.name], s)
	}
	slices.Sort(names)
	for _, name := range names {
		group := byName[name]
		group = slices.CompactFunc(group, func(a, b sample) bool { return a.folder == b.folder })
		if len(group) < 2 {
			continue
		}
		var sizes []string
		for _, s := range group {
			sizes = append(sizes, fmt.Sprintf("%s %d", s.folder, s.sizes[0]))
		}
		fmt.Printf("%s: %d emitters; bytes uncut: %s\n", name, len(group), strings.Join(sizes, ", "))
		for _, aspect := range [...]struct {
			name string
			of   func(*trace.Trace) []string
		}{{"messages", messages}, {"calls", calls}, {"failing step", failing}} {
			votes := map[string]int{}
			for _, s := range group {
				for _, item := range aspect.of(s.t) {
					votes[item]++
				}
			}
			for _, s := range group {
				got, listed := aspect.of(s.t), 0
				for _, item := range slices.Sorted(maps.Keys(votes)) {
					n := votes[item]
					has := slices.Contains(got, item)
					if has && n*2 < len(group) || !has && n*2 > len(group) {
						sign := "lacks"
						if has {
							sign = "alone has"
						}
						if listed++; listed <= maxListed {
							fmt.Printf("  %s: %s %s %s (%d of %d)\n", aspect.name, s.folder, sign, shorten(item), n, len(group))
						}
					}
				}
				if listed > maxListed {
					fmt.Printf("  %s: %s: %d more differences\n", aspect.name, s.folder, listed-maxListed)
				}
			}
		}
	}
}

// maxListed bounds the differences that are listed of one emitter and aspect.
const maxListed = 4

func shorten(s string) string {
	if r := []rune(s); len(r) > 120 {
		s = string(r[:120]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// numbered tells equal items apart, so that a list compares as a multiset.
func numbered(items []string) []string {
	seen := map[string]int{}
	for i, s := range items {
		seen[s]++
		if n := seen[s]; n > 1 {
			items[i] = fmt.Sprintf("%s (%d)", s, n)
		}
	}
	return items
}

func messages(t *trace.Trace) []string {
	var out []string
	add := func(role, text string) {
		if text = strings.TrimSpace(text); text != "" && !slices.Contains(out, role+": "+text) {
			out = append(out, role+": "+text)
		}
	}
	for _, m := range t.Messages {
		if m.Role != "tool" { // results are compared as calls
			add(m.Role, m.Text)
			add(m.Role, m.Refusal)
		}
	}
	for _, s := range t.Steps { // where the failed model call was not exported
		if s.Kind == trace.KindAgent || s.Kind == trace.KindChain {
			add("user", s.Input)
			add("assistant", s.Output)
		}
	}
	return out
}

func calls(t *trace.Trace) []string {
	var out []string
	for _, inv := range t.Invocations() {
		out = append(out, fmt.Sprintf("%s(%s) → %s", inv.Name, inv.Args, inv.Result))
	}
	return numbered(out)
}

// httpPrefix matches the status that some SDKs put before the provider's message.
var httpPrefix = regexp.MustCompile(`^[45]\d\d `)

// failing says what failed, and after how many model turns and tool calls.
func failing(t *trace.Trace) []string {
	return []string{describeFailure(t)}
}

// describeFailure names the last error of t, or the last result that is marked as one.
func describeFailure(t *trace.Trace) string {
	for i := len(t.Steps) - 1; i >= 0; i-- {
		s := &t.Steps[i]
		if s.Err != nil {
			what := "error"
			if s.Kind == trace.KindTool {
				what = "tool " + s.Tool.Name + " error"
			}
			return what + " " + httpPrefix.ReplaceAllString(s.Err.Message, "")
		}
		if s.Tool != nil && s.Tool.IsErr {
			return "tool " + s.Tool.Name + " error " + s.Tool.Result
		}
	}
	return "none"
}
