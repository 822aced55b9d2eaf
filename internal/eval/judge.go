package eval

import (
	"errors"
	"slices"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/trace"
)

// OutcomeAnswered is the outcome of a case whose extraction gave a pattern.
const OutcomeAnswered = "answered"

// A Result is one case with the answer to it.
type Result struct {
	ID       string   `json:"id"`
	Source   string   `json:"source"` // file:line
	Expected Expected `json:"expected"`
	Got      *Got     `json:"got"` // null without a pattern
	Correct  Correct  `json:"correct"`
	// FalseAlarm is null unless the case is labelled as successful and was answered.
	FalseAlarm *bool `json:"false_alarm"`
	// Outcome is [OutcomeAnswered], or the extract.Kind of Error.
	Outcome string `json:"outcome"`
	Error   string `json:"error,omitempty"`
}

// Got is what of a pattern is scored.
type Got struct {
	FailureType      evalforge.FailureType  `json:"failure_type"`
	TriggerCondition string                 `json:"trigger_condition"`
	FailingStep      *evalforge.FailingStep `json:"failing_step"`
	Confidence       float64                `json:"confidence"`
	Given            float64                `json:"given_confidence"` // by the analyzer, before the engine moved it
	Quotes           int                    `json:"quotes"`
	Verified         int                    `json:"verified"` // of Quotes
}

// Correct says which questions were answered rightly; null ones are not scored.
type Correct struct {
	FailureType      *bool `json:"failure_type"`
	TriggerCondition *bool `json:"trigger_condition"`
	FailingStep      *bool `json:"failing_step"`
	Within3          *bool `json:"failing_step_within3"`
	Agent            *bool `json:"agent"`
}

// A judgement is a result with what the report needs beside it.
type judgement struct {
	Result
	spent               extract.Spent
	firstStep, lastStep bool // whether the trivial answers are accepted
}

// maxErrorRunes bounds the text of an error in a report.
const maxErrorRunes = 500

// judge compares what extraction made of a case with its labels.
func judge(c Case, ext extract.Extraction, err error) judgement {
	j := judgement{Result: Result{ID: c.ID, Source: c.Source, Expected: c.Expected, Outcome: OutcomeAnswered}, spent: ext.Spent}
	var p *evalforge.Pattern
	if err != nil {
		j.Outcome, j.Error = string(extract.KindOf(err)), excerpt.Clip(excerpt.Line(err.Error()), maxErrorRunes)
		if ee := (*extract.Error)(nil); errors.As(err, &ee) {
			j.spent = ee.Spent
		}
	} else {
		p = &ext.Pattern
		j.Got = got(p)
	}
	e := &c.Expected
	if e.negative() {
		if p != nil {
			alarm := p.Confidence >= alarmConfidence
			j.FalseAlarm = &alarm
		}
		return j
	}
	if len(e.FailureTypes) > 0 {
		j.Correct.FailureType = verdict(p != nil && accepts(e.FailureTypes, string(p.FailureType), evalforge.NormalizeLabel))
	}
	if len(e.TriggerConditions) > 0 {
		j.Correct.TriggerCondition = verdict(p != nil && accepts(e.TriggerConditions, p.TriggerCondition, evalforge.NormalizeLabel))
	}
	if len(e.Agents) > 0 {
		j.Correct.Agent = verdict(p != nil && p.FailingStep != nil && accepts(e.Agents, p.FailingStep.Agent, foldName))
	}
	if len(e.FailingSteps)+len(e.FailingSpans) > 0 {
		l := labelledSteps(e, c.Trace.Payload)
		var step *evalforge.FailingStep
		if p != nil {
			step = p.FailingStep
		}
		j.Correct.FailingStep, j.Correct.Within3 = verdict(l.right(step)), verdict(l.near(step))
		j.firstStep, j.lastStep = l.first(), l.last()
	}
	return j
}

func got(p *evalforge.Pattern) *Got {
	g := &Got{
		FailureType: p.FailureType, TriggerCondition: p.TriggerCondition, FailingStep: p.FailingStep,
		Confidence: p.Confidence, Given: p.Confidence, Quotes: len(p.Evidence.Refs) + p.Provenance.QuotesDropped,
	}
	if c := p.Provenance.ModelConfidence; c != nil {
		g.Given = *c
	}
	for _, r := range p.Evidence.Refs {
		g.Verified += count(r.Verified)
	}
	return g
}

func verdict(b bool) *bool { return &b }

// accepts reports whether answer is one of list after both are normalized.
func accepts(list []string, answer string, normalize func(string) string) bool {
	a := normalize(answer)
	return slices.ContainsFunc(list, func(s string) bool { return normalize(s) == a })
}

func sameLabel(a, b string) bool { return evalforge.NormalizeLabel(a) == evalforge.NormalizeLabel(b) }

// foldName returns the form in which agents and span ids are compared.
func foldName(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// stepLabels are the accepted steps of a case, and the steps of its trace, if it could
// be decoded. Labelled span ids are never blank.
type stepLabels struct {
	indices []int
	spans   []string
	steps   []trace.Step
}

func labelledSteps(e *Expected, payload []byte) stepLabels {
	l := stepLabels{indices: e.FailingSteps, spans: e.FailingSpans}
	if t, err := trace.Decode(payload); err == nil {
		l.steps = t.Steps
	}
	return l
}

func (l *stepLabels) accepts(index int, spanID string) bool {
	return slices.Contains(l.indices, index) || accepts(l.spans, spanID, foldName)
}

// right reports whether step is an accepted one: by its index, by its span id, or by
// the span id that its index has in the trace.
func (l *stepLabels) right(step *evalforge.FailingStep) bool {
	return step != nil && (l.accepts(step.Index, step.SpanID) || l.accepts(step.Index, l.spanAt(step.Index)))
}

func (l *stepLabels) spanAt(index int) string {
	for i := range l.steps {
		if l.steps[i].Index == index {
			return l.steps[i].ID
		}
	}
	return ""
}

// near reports whether step is accepted or at most nearSteps away from one that is. A
// labelled span counts where it stands in the trace.
func (l *stepLabels) near(step *evalforge.FailingStep) bool {
	if step == nil {
		return false
	}
	isNear := func(i int) bool { return max(i-step.Index, step.Index-i) <= nearSteps }
	return l.right(step) || slices.ContainsFunc(l.indices, isNear) ||
		slices.ContainsFunc(l.steps, func(s trace.Step) bool { return isNear(s.Index) && l.accepts(s.Index, s.ID) })
}

// first reports whether the trivial answer "the first step" is accepted.
func (l *stepLabels) first() bool {
	if len(l.steps) == 0 {
		return l.accepts(0, "")
	}
	return l.accepts(0, l.steps[0].ID)
}

// last reports whether the trivial answer "the last step" is accepted. Of a trace that
// cannot be decoded the last step is unknown.
func (l *stepLabels) last() bool {
	if len(l.steps) == 0 {
		return false
	}
	s := &l.steps[len(l.steps)-1]
	return l.accepts(s.Index, s.ID)
}
