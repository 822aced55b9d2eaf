package rules

import (
	"math"
	"slices"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/extract/prompts"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

// A finding is what was decided about one trace, before it is put into words.
type finding struct {
	in          *extract.Input
	t           *trace.Trace
	signals     []signal.Signal
	lead        *signal.Signal // the signal that decided, or nil
	failureType evalforge.FailureType
	condition   prompts.Condition
	confidence  float64
	cause       int // position of the step that made the failure inevitable, or -1
	guessed     bool
	// seen is the heaviest signal of an error, where it is too weak to give the type.
	seen *signal.Signal
}

// Confidence bounds. Nothing that rules see is certain; and what no signal decides must
// stay under one half, the limit from which a failure counts as claimed.
const (
	maxConfidence   = 0.97
	undecidedMax    = 0.45
	undecidedNormal = 0.2
	nothingSeen     = 0.1
)

// weakType is the weight from which a single undecided signal gives the failure type,
// with its weight as the confidence. Under it, other is more likely.
const weakType = 0.4

// decide picks the signal that decides and what follows from it.
func decide(in *extract.Input, signals []signal.Signal) *finding {
	f := &finding{in: in, t: in.Trace, signals: signals, cause: -1}
	if f.t == nil {
		f.t = &trace.Trace{}
	}
	for i := range signals {
		if signals[i].Decides() {
			f.lead = &signals[i]
			break
		}
	}
	switch {
	case f.lead != nil:
		f.failureType = f.lead.FailureType
		f.confidence = f.combined()
	case f.weakest() != nil:
		f.lead = f.weakest()
		f.failureType = f.lead.FailureType
		f.confidence = min(undecidedMax, f.lead.Weight)
	default:
		f.undecided()
	}
	f.locate()
	label := signal.CondNoError
	if f.lead != nil && f.lead.Condition != "" {
		label = f.lead.Condition
	} else if opaque(f.t) {
		label = signal.CondOpaque
	}
	f.condition = condition(label, f.failureType)
	return f
}

// condition returns the vocabulary's entry. A label that is not in it, which only
// signals of another origin can carry, is replaced by the first of the type.
func condition(label string, ft evalforge.FailureType) prompts.Condition {
	if c, _, ok := prompts.ConditionFor(label); ok {
		return c
	}
	for _, c := range prompts.Categories() {
		if c.FailureType == ft {
			return c.Conditions[0]
		}
	}
	c, _, _ := prompts.ConditionFor(signal.CondNoError)
	return c
}

// weakest returns the heaviest signal that names a type without deciding it, from
// weakType on.
func (f *finding) weakest() *signal.Signal {
	var best *signal.Signal
	for i := range f.signals {
		s := &f.signals[i]
		if s.FailureType != "" && s.FailureType != evalforge.Other && s.Weight >= weakType && (best == nil || s.Weight > best.Weight) {
			best = s
		}
	}
	return best
}

// undecided fills in other.
func (f *finding) undecided() {
	f.failureType = evalforge.Other
	for i := range f.signals {
		s := &f.signals[i]
		if s.FailureType == evalforge.Other && (f.lead == nil || s.Weight > f.lead.Weight) {
			f.lead = s
		}
	}
	for i := range f.signals {
		if s := &f.signals[i]; f.lead == nil && s.Condition != "" && (f.seen == nil || s.Weight > f.seen.Weight) {
			f.seen = s
		}
	}
	switch {
	case f.lead != nil:
		f.confidence = min(undecidedMax, f.lead.Weight)
	case len(f.signals) > 0:
		f.confidence = undecidedNormal
	default:
		f.confidence = nothingSeen
	}
}

// combined is the confidence when a signal decides: the signals of its type taken as
// independent observers (1 - Π(1-w)), each name counted once, less a fifth of the
// heaviest signal that decides for another type.
func (f *finding) combined() float64 {
	miss := 1.0
	against := 0.0
	seen := map[string]bool{}
	for _, s := range f.signals {
		switch {
		case s.FailureType == f.failureType && !seen[s.Name]:
			seen[s.Name] = true
			w := s.Weight
			if s.Name != f.lead.Name {
				w /= 2 // observers of one trace are not independent
			}
			miss *= 1 - w
		case s.Decides() && s.FailureType != f.failureType:
			against = max(against, s.Weight)
		}
	}
	c := 1 - miss - against/5
	return round(min(maxConfidence, max(signal.Decisive, c)))
}

func round(c float64) float64 { return math.Round(c*100) / 100 }

// locate names the step that made the failure inevitable.
func (f *finding) locate() {
	if f.lead != nil && f.lead.Decides() {
		f.cause = f.lead.Cause
		if f.valid(f.cause) {
			return
		}
	}
	if i, ok := signal.Suspect(f.t); ok {
		f.cause, f.guessed = i, true
		return
	}
	if f.lead != nil && f.valid(f.lead.Cause) {
		f.cause, f.guessed = f.lead.Cause, true
		return
	}
	f.cause = -1
}

func (f *finding) valid(i int) bool { return i >= 0 && i < len(f.t.Steps) }

func (f *finding) failingStep() *evalforge.FailingStep {
	if !f.valid(f.cause) {
		return nil
	}
	s := &f.t.Steps[f.cause]
	return &evalforge.FailingStep{Index: max(0, s.Index), SpanID: s.ID, Name: s.Name, Agent: agentOf(f.t, f.cause)}
}

// agentOf returns the agent that acted in step i: its own, else that of the nearest
// step above it that has one.
func agentOf(t *trace.Trace, i int) string {
	for range len(t.Steps) { // a malformed tree may have a cycle
		s := &t.Steps[i]
		if s.Agent != "" {
			return s.Agent
		}
		up := slices.IndexFunc(t.Steps, func(p trace.Step) bool { return p.ID != "" && p.ID == s.Parent })
		if up < 0 || up == i {
			break
		}
		i = up
	}
	return ""
}

// opaque reports whether a trace has nothing that was understood.
func opaque(t *trace.Trace) bool {
	for i := range t.Steps {
		if t.Steps[i].Kind != trace.KindOpaque {
			return false
		}
	}
	return true
}

// severity starts from what failures of the type usually cost the users of the
// application, takes ingestion's word where that is higher, and is at most medium where
// nothing was decided.
func (f *finding) severity() evalforge.Severity {
	own := map[evalforge.FailureType]evalforge.Severity{
		evalforge.PIILeak: evalforge.Critical, evalforge.Toxicity: evalforge.High, evalforge.Hallucination: evalforge.High,
		evalforge.RunawayLoop: evalforge.High, evalforge.InfrastructureError: evalforge.High, evalforge.WrongTool: evalforge.Medium,
		evalforge.StaleData: evalforge.Medium, evalforge.ClientError: evalforge.Medium, evalforge.Other: evalforge.Low,
	}[f.failureType]
	if f.confidence < signal.Decisive && rank(own) > rank(evalforge.Medium) {
		own = evalforge.Medium
	}
	hint := evalforge.Severity(strings.ToLower(strings.TrimSpace(f.in.Severity)))
	if hint.Validate() == nil && (rank(hint) > rank(own) || f.confidence < signal.Decisive) {
		return hint
	}
	return own
}

func rank(s evalforge.Severity) int { return slices.Index(evalforge.Severities(), s) }
