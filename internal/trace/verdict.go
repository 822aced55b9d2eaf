package trace

import (
	"slices"
	"strings"
)

// This file reads the verdicts of evaluators and guardrails.

// scoreSuffix ends the names of fields that are scores.
const scoreSuffix = "_score"

// readVerdicts reads the verdicts in a document or its metadata.
func readVerdicts(b *builder, m map[string]any, stepID string) {
	in := lookupIn(m)
	for _, k := range [...]string{"eval_flags", "evaluations", "evaluation", "scores", "annotations", "guardrails", "guardrail_results", "eval_results"} {
		if v := in.get(k); v != nil {
			readVerdict(b, v, k, stepID)
		}
	}
	var scores []string
	for k := range m {
		if strings.HasSuffix(k, scoreSuffix) && k != "quality_score" {
			scores = append(scores, k)
		}
	}
	slices.Sort(scores)
	for _, k := range scores {
		if f, ok := number(m[k]); ok {
			b.label(Label{Name: strings.TrimSuffix(k, scoreSuffix), Score: &f, Source: k, StepID: stepID})
		}
	}
	if f, ok := number(in.get("quality_score")); ok {
		b.label(Label{Name: "quality", Score: &f, Source: "quality_score", StepID: stepID})
	}
}

// readVerdict reads v, found under the name source: a flag, a verdict, a list of them,
// or an object by name.
func readVerdict(b *builder, v any, source, stepID string) {
	switch v := embedded(v).(type) {
	case string:
		if v != "" {
			b.label(Label{Name: v, Value: "flagged", Source: source, StepID: stepID})
		}
	case []any:
		for _, e := range v {
			switch e.(type) {
			case string, map[string]any:
				readVerdict(b, e, source, stepID)
			}
		}
	case map[string]any:
		if l, ok := verdictFrom(v); ok {
			l.Source, l.StepID = source, stepID
			b.label(l)
			return
		}
		for _, name := range sortedKeys(v) {
			l := Label{Name: name, Source: source, StepID: stepID}
			switch e := v[name].(type) {
			case map[string]any:
				if inner, ok := verdictFrom(e); ok || inner != (Label{}) {
					l.Value, l.Score, l.Explanation = inner.Value, inner.Score, inner.Explanation
				}
			default:
				l.setValue(e)
			}
			b.label(l)
		}
	}
}

// verdictFrom reads one verdict; ok tells whether it has a name.
func verdictFrom(m map[string]any) (l Label, ok bool) {
	l.Name = firstText(m, "name", "evaluator", "metric", "flag", "check", "rule", "guardrail", "gen_ai.evaluation.name", "annotation.name")
	l.Explanation = firstText(m, "explanation", "comment", "reason", "reasoning", "rationale", "description", "message", "details")
	l.setValue(first(m, "label", "value", "verdict", "result", "assessment", "status", "outcome", "passed", "triggered", "flagged"))
	if f, ok := number(m["score"]); ok {
		l.Score = &f
	}
	if a := scalar(m["assessment"]); a != "" { // Datadog: the value is what was measured, the assessment the verdict
		if l.Value = a; l.Score == nil {
			if f, ok := number(m["value"]); ok {
				l.Score = &f
			}
		}
	}
	return l, l.Name != ""
}

func (l *Label) setValue(v any) {
	if f, ok := number(v); ok {
		l.Score = &f
		return
	}
	l.Value = text(v)
}

// readSpanVerdicts reads the verdicts that a span carries.
func readSpanVerdicts(b *builder, sp *span, s *Step) {
	if name := sp.getText("gen_ai.evaluation.name"); name != "" {
		b.label(evaluation(sp.attrs, "gen_ai.evaluation.", sp.id))
	}
	if sp.has("evaluation.name", "evaluation.label", "evaluation.score", "evaluation.score.value", "evaluation.result", "evaluation.verdict") {
		b.label(evaluation(sp.attrs, "evaluation.", sp.id))
	}
	if sp.has("eval.name", "eval.label", "eval.score", "eval.score.value", "eval.result", "eval.verdict") {
		b.label(evaluation(sp.attrs, "eval.", sp.id))
	}
	for _, prefix := range [...]string{"annotations", "evaluations"} {
		for _, item := range sp.indexed(prefix) {
			m := make(map[string]any)
			for k, v := range item.(map[string]any) {
				k = strings.TrimPrefix(strings.TrimPrefix(k, "annotation."), "evaluation.")
				m[k] = v
			}
			if l, _ := verdictFrom(m); l != (Label{}) {
				l.Source, l.StepID = prefix, sp.id
				b.label(l)
			}
		}
	}
	for _, k := range [...]string{"annotations", "evaluations", "evaluation", "scores", "metadata.eval_flags", "eval_flags"} {
		readVerdict(b, sp.get(k), k, sp.id)
	}
	verdicts := 0
	for _, e := range sp.events {
		if l, ok := eventVerdict(e, s); ok {
			l.StepID = sp.id
			b.label(l)
			verdicts++
		}
	}
	if verdicts == 0 {
		if l, ok := spanVerdict(sp, s); ok {
			b.label(l)
		}
	}
}

// evaluation reads the attributes name, label, score and explanation under prefix.
func evaluation(m map[string]any, prefix, stepID string) Label {
	l := Label{
		Name:        firstText(m, prefix+"name", prefix+"metric", prefix+"type"),
		Value:       firstText(m, prefix+"score.label", prefix+"label", prefix+"verdict", prefix+"result", prefix+"status"),
		Explanation: firstText(m, prefix+"explanation", prefix+"comment", prefix+"reason"),
		Source:      strings.TrimSuffix(prefix, "."),
		StepID:      stepID,
	}
	if f, ok := number(first(m, prefix+"score.value", prefix+"score")); ok {
		l.Score = &f
	}
	return l
}

// eventVerdict reads the verdict that an event is: gen_ai.evaluation.result, or a name
// such as validation_failed.
func eventVerdict(e event, s *Step) (Label, bool) {
	if strings.HasPrefix(e.name, "gen_ai.evaluation") {
		m := e.attrs
		if body := object(e.body); body != nil {
			m = body
			for k, v := range e.attrs {
				m[k] = v
			}
		}
		return evaluation(m, "gen_ai.evaluation.", s.ID), true
	}
	i := strings.LastIndexAny(e.name, "_.- ")
	if i < 0 {
		return Label{}, false
	}
	what, verdict := strings.ToLower(e.name[:i]), strings.ToLower(e.name[i+1:])
	switch verdict {
	case "failed", "passed", "rejected", "accepted", "triggered", "blocked", "violated", "approved":
	default:
		return Label{}, false
	}
	switch what {
	case "validation", "evaluation", "guardrail", "check", "review", "verification", "assertion", "policy", "safety", "moderation", "critique", "judge", "quality":
		return Label{
			Name: what, Value: verdict, Source: "event " + e.name,
			Explanation: firstText(e.attrs, "reason", "explanation", "message", "criterion", "details", "description"),
		}, true
	}
	return Label{}, false
}

// spanVerdict reads the verdict of a guardrail's or evaluator's own span.
func spanVerdict(sp *span, s *Step) (Label, bool) {
	switch strings.ToLower(anyOf(sp.getText("openinference.span.kind", "traceloop.span.kind", "langfuse.observation.type", "gen_ai.operation.name"), sp.kind)) {
	case "guardrail", "evaluator", "evaluation", "evaluate":
	default:
		return Label{}, false
	}
	l := Label{Name: sp.name, Source: "span", StepID: sp.id}
	if m := object(s.Output); m != nil {
		if inner, _ := verdictFrom(m); inner != (Label{}) {
			if inner.Name != "" {
				l.Name = inner.Name
			}
			l.Value, l.Score, l.Explanation = inner.Value, inner.Score, inner.Explanation
			return l, true
		}
	}
	l.Value = s.Output
	if l.Value == "" && s.Status == Error {
		l.Value = "error"
	}
	return l, l.Value != ""
}
