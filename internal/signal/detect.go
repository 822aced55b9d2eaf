package signal

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/trace"
)

// Detect returns the signals of t, and of hint, ingestion's free-text failure type, in
// order of precedence: the first for which [Signal.Decides] is true decides. It reads t
// and does not change it.
//
// The order is that of the detectors below; inside one detector, heavier signals come
// first and earlier steps before later ones. A verdict outranks everything, because it
// is about the outcome; a loop outranks the error that it repeats; an error that a step
// recorded outranks what is inferred from texts. Signals below [Decisive] follow all
// that decide.
func Detect(t *trace.Trace, hint string) []Signal {
	if t == nil {
		return nil
	}
	v := newView(t, hint)
	var all []Signal
	for _, detect := range []func(*view) []Signal{
		verdicts, loops, failures, endings, toolCalls, privacy, toxicity, stale, grounding, feedback, shape, ingestion,
	} {
		found := detect(v)
		slices.SortStableFunc(found, func(a, b Signal) int {
			return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Step, b.Step))
		})
		all = append(all, found...)
	}
	all = limit(all)
	corroborate(v, all)
	slices.SortStableFunc(all, func(a, b Signal) int { return cmp.Compare(rank(a), rank(b)) })
	return all
}

// maxPerName bounds how many signals of one name are kept: a trace with a thousand
// failing calls is described as well by its first ones.
const maxPerName = 5

func limit(all []Signal) []Signal {
	seen := map[string]int{}
	kept := all[:0]
	for _, s := range all {
		if seen[s.Name]++; seen[s.Name] <= maxPerName {
			kept = append(kept, s)
		}
	}
	return kept
}

// corroborated is the weight of a signal that ingestion's failure type agrees with: two
// independent observers, one of which saw the running system.
const corroborated = 0.75

// corroborate raises signals that say what ingestion says. Signals under 0.3 are left:
// they fire on most traces, so their agreement is no news.
func corroborate(v *view, all []Signal) {
	want := hintType(v.hint).failureType
	if want == "" {
		return
	}
	for i := range all {
		if all[i].FailureType == want && all[i].Name != ingestionName && all[i].Weight >= 0.3 {
			all[i].Weight = max(all[i].Weight, corroborated)
		}
	}
}

// rank groups signals: those that decide, weaker ones that name a type, and the rest.
func rank(s Signal) int {
	switch {
	case s.Decides():
		return 0
	case s.FailureType != "" && s.FailureType != evalforge.Other:
		return 1
	case s.FailureType == evalforge.Other:
		return 2
	}
	return 3
}

// Label names the step at position i for people, such as `step 4 "search_flights"`. It
// counts as the source does, and says "the trace" for a position that is none.
func Label(t *trace.Trace, i int) string {
	if i < 0 || i >= len(t.Steps) {
		return "the trace"
	}
	s := &t.Steps[i]
	name := s.Name
	if name == "" && s.Tool != nil {
		name = s.Tool.Name
	}
	if name == "" {
		name = s.Agent
	}
	if name == "" {
		return fmt.Sprintf("step %d (%s)", s.Index, s.Kind)
	}
	return fmt.Sprintf("step %d %q", s.Index, excerpt.Clip(excerpt.Line(name), 80))
}
