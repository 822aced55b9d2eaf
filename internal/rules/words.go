package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

// typeNames are the failure types in running text.
var typeNames = map[evalforge.FailureType]string{
	evalforge.Hallucination: "hallucination", evalforge.Toxicity: "toxic output", evalforge.WrongTool: "wrong tool use",
	evalforge.RunawayLoop: "runaway loop", evalforge.PIILeak: "leak of personal data or secrets", evalforge.StaleData: "stale data",
	evalforge.InfrastructureError: "infrastructure error", evalforge.ClientError: "client error", evalforge.Other: "unclassified failure",
}

func (f *finding) decided() bool { return f.lead != nil && f.lead.Decides() }

// title is one line: what failed, at which step.
func (f *finding) title() string {
	where := ""
	if f.valid(f.cause) {
		where = " at " + signal.Label(f.t, f.cause)
	}
	switch {
	case f.decided():
		return excerpt.Clip(capital(f.condition.Label)+where, evalforge.MaxTitleRunes)
	case f.failureType != evalforge.Other:
		return excerpt.Clip("Possible "+typeNames[f.failureType]+": "+f.condition.Label+where, evalforge.MaxTitleRunes)
	case f.lead != nil:
		return excerpt.Clip(capital(f.condition.Label)+" at "+signal.Label(f.t, f.lead.Step), evalforge.MaxTitleRunes)
	}
	if f.seen != nil { // a title must not deny what stands in the summary
		return excerpt.Clip("Undecided: "+f.seen.Condition+" seen at "+signal.Label(f.t, f.seen.Step), evalforge.MaxTitleRunes)
	}
	return excerpt.Clip(capital(f.condition.Label)+service(f.in.ServiceName), evalforge.MaxTitleRunes)
}

func service(name string) string {
	if name = excerpt.Line(name); name == "" {
		return ""
	}
	return " of " + name
}

// summary says what happened, in order.
func (f *finding) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "The trace has %s.", f.composition())
	switch {
	case f.decided():
		fmt.Fprintf(&b, " %s.", capital(f.lead.Detail))
		if f.valid(f.cause) && f.cause != f.lead.Step {
			fmt.Fprintf(&b, " It goes back to %s, the step that decided on it.", signal.Label(f.t, f.cause))
		}
	case f.lead != nil:
		fmt.Fprintf(&b, " No signal decides what failed. The strongest observation: %s.", f.lead.Detail)
	case f.seen != nil:
		fmt.Fprintf(&b, " No signal decides what failed. Observed: %s.", f.seen.Detail)
	default:
		b.WriteString(" No step recorded an error, no call repeats, and no output shows a known sign of failure.")
	}
	if others := f.others(3); len(others) > 0 {
		fmt.Fprintf(&b, " Also seen: %s.", strings.Join(others, "; "))
	}
	return excerpt.Clip(b.String(), evalforge.MaxTextRunes)
}

// composition counts the steps by kind.
func (f *finding) composition() string {
	n := len(f.t.Steps)
	if n == 0 {
		return "no steps that could be read"
	}
	counts := map[trace.Kind]int{}
	for i := range f.t.Steps {
		counts[f.t.Steps[i].Kind]++
	}
	var parts []string
	for _, k := range []trace.Kind{trace.KindInput, trace.KindLLM, trace.KindAgent, trace.KindTool, trace.KindRetrieval, trace.KindChain, trace.KindOpaque} {
		if counts[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[k], k))
		}
	}
	if n == 1 {
		return "one step (" + string(f.t.Steps[0].Kind) + ")"
	}
	return fmt.Sprintf("%d steps (%s)", n, strings.Join(parts, ", "))
}

// others returns the details of up to n signals beside the lead.
func (f *finding) others(n int) []string {
	var list []string
	for i := range f.signals {
		s := &f.signals[i]
		if s == f.lead || s == f.seen || s.Detail == "" || len(list) == n || f.lead != nil && s.Detail == f.lead.Detail {
			continue
		}
		list = append(list, excerpt.Clip(excerpt.Line(s.Detail), 400))
	}
	return list
}

// hypothesis says why it happened, as far as the rules know.
func (f *finding) hypothesis() string {
	if !f.decided() {
		text := "The deterministic signals do not show a cause."
		if f.lead != nil {
			text = fmt.Sprintf("Not proven by the trace; the observation fits the condition %q.", f.condition.Label)
		}
		if f.guessed && f.valid(f.cause) {
			text += fmt.Sprintf(" If the fault is one of judgement, %s is the first place to look.", signal.Label(f.t, f.cause))
		}
		return excerpt.Clip(text, evalforge.MaxTextRunes)
	}
	why := map[evalforge.FailureType]string{
		evalforge.Hallucination:       "The step stated something that nothing in the trace supports, probably because it was not made to check its statements against the results.",
		evalforge.Toxicity:            "The output was not moderated before it was shown, or the model followed the tone of its input.",
		evalforge.WrongTool:           "The step that planned the call chose a tool or arguments that do not fit the declaration or what the tool accepts.",
		evalforge.RunawayLoop:         "Nothing stopped the run when its steps brought no new result; the model most likely got no information that would change its next step.",
		evalforge.PIILeak:             "The value was reachable for the model, and no filter checked the output for whom it may be shown to.",
		evalforge.StaleData:           "The source that was used is older than the question allows, and nothing compared its age with the question.",
		evalforge.InfrastructureError: "The provider, dependency or network that the step needs failed; the request itself shows no fault.",
		evalforge.ClientError:         "The request that the application sent was refused for its size, form, rights or content; sent again unchanged it would be refused again.",
	}[f.failureType]
	return excerpt.Clip(fmt.Sprintf("Condition: %s. %s", f.condition.Label, why), evalforge.MaxTextRunes)
}

// rationale says what the confidence rests on and what speaks against it.
func (f *finding) rationale() string {
	var b strings.Builder
	switch {
	case f.decided():
		fmt.Fprintf(&b, "Rests on the deterministic signal %q with weight %.2f", f.lead.Name, f.lead.Weight)
		var same, other []string
		for i := range f.signals {
			s := &f.signals[i]
			if s == f.lead {
				continue
			}
			if s.FailureType == f.failureType && s.Name != f.lead.Name {
				same = appendNew(same, s.Name)
			} else if s.Decides() && s.FailureType != f.failureType {
				other = appendNew(other, s.Name+" ("+typeNames[s.FailureType]+")")
			}
		}
		if len(same) > 0 {
			fmt.Fprintf(&b, ", supported by %s", strings.Join(same, ", "))
		}
		b.WriteString(".")
		if len(other) > 0 {
			fmt.Fprintf(&b, " Against it: %s.", strings.Join(other, ", "))
		}
	case f.lead != nil:
		fmt.Fprintf(&b, "No signal is strong enough to decide; the signal %q has weight %.2f.", f.lead.Name, f.lead.Weight)
	case len(f.signals) > 0:
		b.WriteString("The signals of the trace are too weak to name a failure type.")
	default:
		b.WriteString("No signal was found. Rules see mechanical failures only; faults of judgement need a model or a person.")
	}
	if f.guessed {
		b.WriteString(" The failing step is a guess from the shape of the run.")
	}
	if f.t.Dropped > 0 {
		fmt.Fprintf(&b, " The emitter dropped %d attributes, so something may be missing.", f.t.Dropped)
	}
	if f.in.Compacted.StepsOmitted > 0 {
		fmt.Fprintf(&b, " %d steps are left out of the compacted trace.", f.in.Compacted.StepsOmitted)
	}
	return excerpt.Clip(b.String(), evalforge.MaxTextRunes)
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// inputPatterns say, per failure type, what kind of input leads to the failure. They
// are general on purpose: an input of the trace may be personal.
var inputPatterns = map[evalforge.FailureType]string{
	evalforge.Hallucination:       "A request whose answer must come from tool or retrieval results, where these are missing, empty or easily misread",
	evalforge.Toxicity:            "A conversation whose tone or subject can draw an abusive answer",
	evalforge.WrongTool:           "A request that needs a tool call with specific arguments",
	evalforge.RunawayLoop:         "A request that the agent cannot finish with the results it gets, so that it tries the same again",
	evalforge.PIILeak:             "A request that leads to records or text with personal data or secrets of others",
	evalforge.StaleData:           "A question about the present state of something that changes over time",
	evalforge.InfrastructureError: "Any request that reaches the failing provider or dependency while it is unavailable or over its limit",
	evalforge.ClientError:         "A request of the same size, form, credentials or content as the refused one",
	evalforge.Other:               "A request like that of the source trace; what matters in it is not known yet",
}

// reproduction says what it takes to make the failure happen again.
func (f *finding) reproduction() evalforge.ReproductionContext {
	r := evalforge.ReproductionContext{
		InputPattern:  fmt.Sprintf("%s (condition: %s).", inputPatterns[f.failureType], f.condition.Label),
		ToolsInvolved: f.tools(),
	}
	var state []string
	if f.failureType == evalforge.InfrastructureError {
		state = append(state, "the failing provider or dependency is in the state that the error names")
	}
	if f.valid(f.cause) {
		if m := excerpt.Line(f.t.Steps[f.cause].Model); m != "" {
			state = append(state, "model "+excerpt.Clip(m, 100))
		}
	}
	if len(f.t.Tools) > 0 {
		state = append(state, fmt.Sprintf("%d declared tools", len(f.t.Tools)))
	}
	if len(state) > 0 {
		s := capital(strings.Join(state, "; "))
		r.RequiredState = &s
	}
	return r
}

// maxTools bounds the tools listed.
const maxTools = 10

// tools lists the tools that take part: of the steps that signals name first, then, if
// those name none, all that were called.
func (f *finding) tools() []string {
	names := []string{}
	add := func(name string) {
		if name = excerpt.Clip(excerpt.Line(name), 100); name != "" && len(names) < maxTools {
			names = appendNew(names, name)
		}
	}
	calls := f.t.Invocations()
	if f.lead != nil {
		for _, c := range calls {
			if c.Step == f.lead.Step || c.Caller >= 0 && c.Caller == f.lead.Cause {
				add(c.Name)
			}
		}
	}
	if len(names) == 0 && f.failureType != evalforge.Toxicity {
		for _, c := range calls {
			add(c.Name)
		}
	}
	return names
}

func capital(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return strings.ToUpper(string(r)) + s[size:]
}
