package signal

import (
	"github.com/evalforge/evalforge"
)

// A complaint is a kind of reaction to an answer, as users word it.
type complaint struct {
	failureType evalforge.FailureType
	condition   string
	weight      float64
	re          *wording
}

// complaints are tried in order; the first that matches counts. Weights of kinds that
// name a failure type are at 0.6: users are right about what they see, and seldom say
// it in words that mean only one thing.
var complaints = []complaint{
	{evalforge.Toxicity, CondInsult, 0.65, compile(`(?i)\b(?:(?:did you|you) (?:just )?(?:insult|offend|threaten|call(?:ed)? me)|(?:so|very|really|incredibly|how) (?:rude|offensive|disrespectful|insulting|abusive)|(?:talk|speak|spoke) to (?:me|people|customers?|users?) like (?:this|that)|how dare you|that(?:'s| is| was) (?:rude|offensive|racist|sexist|abusive|hurtful|insulting))\b`)},
	{evalforge.PIILeak, CondPIIOther, 0.6, compile(`(?i)\b(?:(?:that|this|those|these)(?:'s| is| are| were) (?:someone|somebody|another (?:customer|patient|person|user|member)) ?(?:else)?'?s? (?:\w+ )?(?:data|details|account|address|name|record|file|e-?mail|information|number)|(?:personal|private|confidential) (?:data|information|details) (?:of|about|from) (?:someone|somebody|another|other)|(?:why|how) (?:do|can|did|would) you (?:have|know|show|give|tell) (?:me |us )?(?:his|her|their|someone))`)},
	{evalforge.StaleData, CondOldDocument, 0.6, compile(`(?i)(?:\b(?:that(?:'s| is| was)?|this is|these are|those (?:are|were)|it'?s|your (?:answer|data|numbers?|figures?|prices?|info\w*)) [^.?!\n]{0,40}\b(?:from|of|since) (?:\w+ ){0,3}(?:years?|months?|versions?) ago|\bout of date\b|\boutdated\b|\blast (?:year|season|month)'s (?:prices?|rates?|figures?|numbers?|data|rules?|policy|version|count)|\b(?:that(?:'s| is| was)|it's|those (?:are|were)) (?:the |an? )?(?:very )?(?:old|previous|former|superseded|obsolete) (?:prices?|numbers?|figures?|rates?|versions?|policy|documents?|count|data|values?|rules?|limits?|fee)|\b(?:that|this|it)(?:'s| is| has been| hasn'?t been| isn'?t)? (?:no longer|not|any more)? ?(?:valid|true|current|correct|right|in effect|the case) (?:any ?more|any longer|for (?:\w+ )?(?:years|months)|since)|\b(?:that|this|it)(?:'s| is) no longer (?:valid|true|current|correct|in effect|the case)|\b(?:prices?|rates?|policy|rules?|versions?|law|api|fees?|limits?|figures?|tariff)\b[^.?!\n]{0,20} (?:has|have|was|were) (?:since )?(?:changed|been (?:replaced|updated|superseded|raised|lowered|deprecated)|replaced|superseded|raised|lowered)\b|\bnot (?:the )?(?:current|latest|up to date) (?:one|version|price|rate|number|figure|policy|data))`)},
	{evalforge.Hallucination, CondUngrounded, 0.6, compile(`(?i)\b(?:(?:made|making|makes) (?:it|that|this|things|them|those|stuff) up|made-?up|invented|hallucinat\w+|fabricated|(?:does|do|did)(?:n'?t| not) (?:even )?exist|there (?:is|are|was|were) no such|where (?:did|do) you (?:get|take|have|find) (?:that|this|it|those|the)|(?:is|are|was|were) (?:nowhere|not) (?:in|on|part of) (?:the|my|our|any) (?:\w+ ){0,3}(?:document|page|list|contract|report|file|record|system|source|result|article|paper|policy|manual)s?|not what (?:it|the|my|that|they) (?:\w+ )?(?:says?|said|shows?|states?|reads?)|(?:document|page|contract|report|record|system|article|policy|it) (?:says|states|shows) (?:something|the opposite|otherwise|else)|never (?:said|wrote) (?:that|this|so|any))\b`)},
	{evalforge.WrongTool, CondUnsuitable, 0.6, compile(`(?i)\b(?:(?:asked|told|wanted|said)\b.{1,60}[,.;!?]+ ?(?:but |and |instead )?(?:you|it)(?:'ve| have| had| just| already| went and){0,2} (?:cancell?ed|deleted|removed|refunded|booked|closed|created|changed|dropped|overwrote|moved|transferred)\b|(?:you|it) (?:just )?(?:cancell?ed|deleted|removed|refunded|closed|dropped|overwrote|moved|transferred) .{1,40}(?:instead|by mistake|but i (?:asked|wanted|said)))`)},
	{evalforge.Other, CondPolicy, 0.45, compile(`(?i)\b(?:(?:limit|maximum|cap|budget|rule|policy) (?:is|was|says|are)|(?:over|above|beyond|against) (?:the|our|my|company) (?:limit|budget|cap|rules?|policy|guidelines?)|not (?:allowed|permitted)|nobody (?:asked|approved)|without (?:asking|approval|permission|confirm\w+)|i (?:said|asked|told you) (?:no|not|never|only|in|at most|under)\b|you were (?:told|asked|instructed|supposed)|ignored? (?:the|my|our))\b`)},
	{evalforge.Other, CondLostContext, 0.45, compile(`(?i)(?:\b(?:summary|hand-?over|hand-?off|brief(?:ing)?|message|context)\b.{0,80}\b(?:only|did ?n[o']t|was ?n[o']t|were ?n[o']t|missing|left out|dropped|lost|without)\b|\b(?:was|were|got|has been) (?:lost|dropped|left out|forgotten|not passed|not in (?:it|the (?:summary|hand))|never passed)\b|\b(?:already|earlier) (?:told|said|gave|mentioned|wrote|sent)\b|\bforgot (?:that|what|the|my)\b)`)},
	{evalforge.Other, CondRejected, 0.45, compile(`(?i)(?:\b(?:that|this|it|which|answer|result|number|total|price)(?:'s| is| was| isn'?t| is not|'s not)? (?:still )?(?:all |just |plain |completely |totally |simply )?(?:wrong|incorrect|not (?:right|correct|true|what i)|false|nonsense|a mistake)|\byou(?:'re| are) wrong|\b(?:wrong|incorrect) (?:answer|result|number|one|person|file|date|amount)|\bnot what i (?:asked|wanted|meant|said|ordered)|\b(?:doesn'?t|does not|didn'?t|did not|still not|not) (?:work|working|help|match|add up)\b|\bthat makes no sense|\bresult\s*[:=]\s*(?:incorrect|wrong|fail\w*)|\bthumbs.?down|\bcalled this out)`)},
}

// feedback reads what users, and agents that judge others, say after an answer. It is
// the word of somebody who knows, and blames the output before it.
//
// Users of 84 successful runs of a public customer-service benchmark complain in no
// words that these patterns take for a decision.
func feedback(v *view) []Signal {
	var found []Signal
	seen := map[string]bool{}
	for _, p := range v.reactions() {
		for _, c := range complaints {
			m := c.re.FindStringIndex(p.text)
			if m == nil {
				continue
			}
			if seen[c.condition] {
				break
			}
			seen[c.condition] = true
			s := Signal{
				Name: "feedback", FailureType: c.failureType, Condition: c.condition, Weight: c.weight,
				Step: p.step, Cause: v.blamedBy(p.step, c), Quote: quote(p.text, m[0], m[1]),
				Detail: v.label(p.step) + " objects to what was said or done before it",
			}
			found = append(found, s)
			break
		}
	}
	return found
}

// reactions returns the texts of users after the first output, and of verifiers that
// are no part of a fixed pipeline of spans.
func (v *view) reactions() []passage {
	if len(v.outputs) == 0 {
		return nil
	}
	first := v.outputs[0].step
	var list []passage
	for i, p := range v.inputs {
		if !v.system[i] && p.step > first && len(p.text) < maxReaction {
			list = append(list, p)
		}
	}
	for _, p := range v.outputs[1:] {
		if v.verifier[p.step] && len(p.text) < maxReaction {
			list = append(list, p)
		}
	}
	return list
}

// maxReaction is the length in bytes over which a text is a new task or a document, and
// no reaction.
const maxReaction = 600

// blamedBy returns the step that a reaction is about: the nearest output before it, or,
// when the complaint is about something done, the nearest step that changed something.
func (v *view) blamedBy(step int, c complaint) int {
	if c.failureType == evalforge.WrongTool || c.condition == CondPolicy {
		first := -1
		for i := range v.calls {
			call := &v.calls[i]
			if call.Step < step && changes(call.Name) && !callFailed(call) {
				first = v.planner(call.Step, call)
			}
		}
		if first >= 0 {
			return first
		}
	}
	best := step
	for _, p := range v.outputs {
		if p.step >= step {
			break
		}
		if !v.verifier[p.step] {
			best = p.step
		}
	}
	return best
}
