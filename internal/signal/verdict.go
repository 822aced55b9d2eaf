package signal

import (
	"fmt"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/trace"
)

// A judgement is what evaluators of one name speak about.
type judgement struct {
	re          *wording
	failureType evalforge.FailureType
	condition   string
	// inverse says that a high score or "true" is bad, as for toxicity; otherwise it is
	// good, as for groundedness.
	inverse *wording
}

// judgements are tried in order on the name of a label, then on its value. The names
// are those of the common evaluator suites (Phoenix, Langfuse, Ragas, DeepEval, Azure
// and Vertex evaluation, Llama Guard).
var judgements = []judgement{
	{compile(`(?i)toxic|\bhate|harass|profan|insult|offensive|abus|violence|self.?harm|sexual|safety|unsafe|harmful`), evalforge.Toxicity, CondToxicFlag, compile(`(?i)toxic|hate|harass|profan|insult|offens|abus|violence|harm|sexual|unsafe`)},
	{compile(`(?i)\bpii\b|pii[_ -]|[_ -]pii|personal.?(data|info)|leak|privacy|secret|credential|data.?exfil`), evalforge.PIILeak, CondPIIFlag, compile(`(?i)pii|personal|leak|secret|credential|exfil`)},
	{compile(`(?i)\bstale|staleness|fresh|outdated|out.of.date|recency|up.to.date`), evalforge.StaleData, CondOldDocument, compile(`(?i)stale|outdated|out.of.date`)},
	{compile(`(?i)hallucinat|faithful|ground(ed|ing)|factual|fabricat|confabul`), evalforge.Hallucination, CondUngrounded, compile(`(?i)hallucinat|fabricat|confabul|unground|ungrounded`)},
	{compile(`(?i)tool.?(call|choice|select|use|usage|correct|accura)|function.?(call|select)|wrong.?tool`), evalforge.WrongTool, CondUnsuitable, compile(`(?i)wrong|incorrect|error`)},
	{compile(`(?i)loop|repetit|runaway`), evalforge.RunawayLoop, CondSameOutput, compile(`.`)},
	{compile(`(?i)injection|jailbreak|guardrail`), evalforge.ClientError, CondGuardrail, compile(`.`)},
	{compile(`(?i)content.?filter`), evalforge.ClientError, CondFilter, compile(`.`)},
	{compile(`(?i)correct|accura|quality|helpful|relevan|complete|success|resolved|satisf|coheren|adherence|score|eval|feedback|thumb|pass|verdict|assessment|valid|result|outcome`), evalforge.Other, CondRejected, compile(`(?i)incorrect|irrelevan|incomplete|error|fail`)},
}

var (
	badValue  = compile(`(?i)^(fail(ed|ure|s|ing)?|bad|incorrect|wrong|reject(ed)?|unsafe|unfaithful|ungrounded|not[_ -](grounded|factual|faithful|relevant|correct|safe)|hallucinat\w*|fabricated|contradict\w*|unsupported|toxic|hate\w*|harass\w*|offensive|insult\w*|profan\w*|violat\w*|flagged|blocked|block|leak\w*|stale|outdated|thumbs[_ -]?down|negative|detected|denied|poor|irrelevant|incomplete|pii\w*|high|critical|severe|personal\w*)$`)
	goodValue = compile(`(?i)^(pass(ed|es)?|ok|good|correct|right|accept(ed)?|approved?|safe|faithful|grounded|factual|non[_ -]?toxic|not[_ -](toxic|hallucinated|flagged|detected|harmful)|clean|none|no|relevant|thumbs[_ -]?up|positive|allowed?|fresh|complete|success(ful)?|low|fine|n/?a|unknown|skipped)$`)
)

// Limits on scores between 0 and 1. Above toxicLimit a score of an inverse evaluator is
// bad, the limit that moderation products ship with; below halfway a score of the
// others.
const (
	toxicLimit = 0.7
	halfway    = 0.5
)

// verdicts reads what evaluators and guardrails said about the trace.
func verdicts(v *view) []Signal {
	var found []Signal
	byID := make(map[string]int, len(v.t.Steps))
	for i, s := range v.t.Steps {
		if _, ok := byID[s.ID]; !ok && s.ID != "" {
			byID[s.ID] = i
		}
	}
	for _, l := range v.t.Labels {
		j, ok := judgementOf(l)
		if !ok || !isBad(l, j) {
			continue
		}
		s := Signal{
			Name: "verdict", FailureType: j.failureType, Condition: j.condition, Weight: 0.85,
			Step: -1, Detail: fmt.Sprintf("evaluator or guardrail %q judged the run bad", excerpt.Clip(excerpt.Line(l.Name), 60)),
		}
		if i, ok := byID[l.StepID]; ok {
			s.Step = i
		}
		if j.failureType == evalforge.Other {
			s.Weight = 0.45 // says that something is wrong, not what
		}
		for _, text := range []string{l.Explanation, l.Value} {
			if s.Quote = head(text); s.Quote != "" {
				break
			}
		}
		v.refine(&s, l)
		s.Cause = v.blamed(s)
		found = append(found, s)
	}
	return append(found, v.rejections()...)
}

func judgementOf(l trace.Label) (judgement, bool) {
	for _, text := range []string{l.Name, l.Value} {
		for _, j := range judgements {
			if j.re.MatchString(text) {
				return j, true
			}
		}
	}
	return judgement{}, false
}

// isBad reports whether a label is a bad verdict: by its value, else by its score.
func isBad(l trace.Label, j judgement) bool {
	value := strings.TrimSpace(l.Value)
	inverse := j.inverse.MatchString(l.Name)
	switch {
	case badValue.MatchString(value):
		return true
	case goodValue.MatchString(value):
		return false
	case strings.EqualFold(value, "true") || strings.EqualFold(value, "yes"):
		return inverse
	case strings.EqualFold(value, "false"):
		return !inverse
	}
	if l.Score != nil && *l.Score >= 0 && *l.Score <= 1 {
		if inverse {
			return *l.Score >= toxicLimit
		}
		return *l.Score < halfway
	}
	// A tag is its own verdict: it stands there only when the monitor fired.
	return l.Score == nil && inverse && (value == "" || j.re.MatchString(value)) && !j.re.MatchString("no "+value+" ") ||
		l.Score == nil && value != "" && !j.re.MatchString(l.Name) && j.inverse.MatchString(value)
}

var (
	hateWords   = compile(`(?i)\bhate|racis|xenophob|slur|discriminat|antisemit|sexis|protected (group|class)`)
	threatWords = compile(`(?i)violen|threat|self.?harm|suicid`)
	insultWords = compile(`(?i)insult|harass|bully|belittl|demean|abus`)
	profaneWord = compile(`(?i)profan|swear|obscen|vulgar`)
)

// refine replaces a verdict's general condition by a more specific one where the
// verdict's own words, or a detector that looks at the text, tell more.
func (v *view) refine(s *Signal, l trace.Label) {
	text := l.Name + " " + l.Value + " " + l.Explanation
	switch s.FailureType {
	case evalforge.Toxicity:
		s.Weight -= 0.02 // gives way to a verdict that says more
		for _, r := range []struct {
			re   *wording
			cond string
		}{{hateWords, CondHate}, {threatWords, CondThreat}, {insultWords, CondInsult}, {profaneWord, CondProfanity}} {
			if r.re.MatchString(text) {
				s.Condition, s.Weight = r.cond, s.Weight+0.02
				break
			}
		}
		v.adopt(s, toxicity(v))
	case evalforge.PIILeak:
		v.adopt(s, privacy(v))
	case evalforge.StaleData:
		v.adopt(s, stale(v))
	case evalforge.Hallucination:
		v.adopt(s, grounding(v))
	case evalforge.WrongTool:
		v.adopt(s, append(toolCalls(v), failures(v)...))
	case evalforge.RunawayLoop:
		v.adopt(s, loops(v))
	}
}

// adopt takes condition, place and quote from the heaviest signal of the same type.
func (v *view) adopt(s *Signal, from []Signal) {
	best := -1
	for i, f := range from {
		if f.FailureType == s.FailureType && f.Condition != "" && (best < 0 || f.Weight > from[best].Weight) {
			best = i
		}
	}
	if best < 0 {
		return
	}
	f := from[best]
	s.Condition, s.Weight = f.Condition, max(s.Weight, 0.9) // two observers agree
	if s.Step < 0 {
		s.Step = f.Step
	}
	if s.Quote == "" && s.Step == f.Step {
		s.Quote = f.Quote
	}
}

// blamed returns the step that a verdict is about: the one it was attached to, else the
// final answer.
func (v *view) blamed(s Signal) int {
	if s.Step >= 0 && !v.verifier[s.Step] {
		return s.Step
	}
	if a := v.answer(); a.step >= 0 {
		return a.step
	}
	return s.Step
}

// rejection matches the verdict of an agent that judges others: at the start of what it
// says, or where it names it.
var rejection = compile(`(?i)^\W{0,4}(?:(?:verdict|result|decision|status|evaluation|assessment)\W{1,4})?(rejected|fail(?:ed)?|incorrect|not approved|invalid)\b|\b(?:verdict|result|decision|grade|outcome|evaluation)\s*[:=]\W{0,4}(?:rejected|fail(?:ed)?|incorrect|wrong)\b`)

// rejections reads verdicts that agents gave in words. They say that something is
// wrong, not what.
func (v *view) rejections() []Signal {
	for _, p := range v.outputs {
		if !v.verifier[p.step] || !rejection.MatchString(p.text) {
			continue
		}
		s := Signal{
			Name: "rejected", FailureType: evalforge.Other, Condition: CondRejected, Weight: 0.45,
			Step: p.step, Quote: head(p.text), Detail: v.label(p.step) + " rejected the result",
		}
		s.Cause = v.blamed(s)
		return []Signal{s}
	}
	return nil
}

const ingestionName = "ingestion"

// A hinted type is what ingestion's failure type means.
type hinted struct {
	failureType evalforge.FailureType
	condition   string
}

// hints maps ingestion's free text. Values that only say that a guardrail or a monitor
// fired (guardrail_failure, prompt_injection, quality_degradation, llm_error, unknown)
// say nothing about the type.
var hints = map[string]hinted{
	"hallucination":        {evalforge.Hallucination, CondUngrounded},
	"toxicity":             {evalforge.Toxicity, CondToxicFlag},
	"wrong_tool":           {evalforge.WrongTool, CondUnsuitable},
	"tool_error":           {evalforge.WrongTool, CondArgsInvalid},
	"runaway_loop":         {evalforge.RunawayLoop, CondStepLimit},
	"pii_leak":             {evalforge.PIILeak, CondPIIFlag},
	"pii_leakage":          {evalforge.PIILeak, CondPIIFlag},
	"stale_data":           {evalforge.StaleData, CondOldDocument},
	"infrastructure_error": {evalforge.InfrastructureError, CondToolCrash},
	"latency":              {evalforge.InfrastructureError, CondLatency},
	"rate_limit":           {evalforge.InfrastructureError, CondModelRate},
	"client_error":         {evalforge.ClientError, CondInvalid},
	"auth_failure":         {evalforge.ClientError, CondAuth},
	"context_overflow":     {evalforge.ClientError, CondContext},
	"malformed_json":       {evalforge.ClientError, CondOutputFormat},
	"out_of_distribution":  {evalforge.ClientError, CondUserInput},
}

func hintType(hint string) hinted {
	return hints[strings.ReplaceAll(evalforge.NormalizeLabel(hint), " ", "_")]
}

// ingestion reads the failure type that ingestion gave. It comes last: it decides where
// the trace itself shows nothing, because the monitor that gave it saw something.
func ingestion(v *view) []Signal {
	h := hintType(v.hint)
	if h.failureType == "" {
		return nil
	}
	s := Signal{
		Name: ingestionName, FailureType: h.failureType, Condition: h.condition, Weight: 0.55, Step: -1, Cause: -1,
		Detail: fmt.Sprintf("ingestion reported the trace as %q", excerpt.Clip(excerpt.Line(v.hint), 60)),
	}
	if a := v.answer(); a.step >= 0 {
		s.Step, s.Cause, s.Quote = a.step, a.step, head(a.text)
	}
	return []Signal{s}
}
