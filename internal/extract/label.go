package extract

import (
	"errors"
	"regexp"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract/prompts"
)

// A label of the vocabulary is taken as it is. A coined one must look like one, because
// downstream services group by it and put it before other models. It names a condition: a
// few plain words, one of which says what goes wrong. It addresses nobody, names no people,
// asks for nothing, and is no text of the trace.
var (
	coinedLabel = regexp.MustCompile(`^[A-Za-z]+(?:[ /'-][A-Za-z]+|, [A-Za-z]+)*$`)
	addressing  = regexp.MustCompile(`(?i)\b(?:ignore|disregard|obey|pretend|you|your|yourself|my|me|us|please|jailbreak|as an ai|mark as|do not|don't|must|should|shall|ought|let|` +
		`engineers?|developers?|operators?|admins?|administrators?|maintainers?|reviewers?|readers?|attackers?|everyone|everybody|anyone|anybody|` +
		`curl|wget|sudo|bash|powershell|chmod)\b`)

	// asking is a verb in the form of an order, at the beginning or behind "and", unless it
	// belongs to a noun: "delete request rejected".
	asking = regexp.MustCompile(`(?i)(?:^|\b(?:and|then) |, )(?:add|allow|approve|bypass|click|confirm|contact|create|delete|deploy|destroy|disable|download|enable|erase|execute|forward|give|grant|` +
		`hide|inform|insert|install|kill|modify|notify|overwrite|pay|publish|put|remove|rename|replace|reply|reveal|run|say|send|show|shut|submit|tell|transfer|trust|turn|upload|visit|wipe|wire)\b` +
		`(?: ([A-Za-z]+))?`)
	belonging = wordSet("request requests call calls operation operations action actions command commands endpoint button tool tools step steps event job jobs query limit permission rights lost missing")

	// wrongness is what one word of a coined label must have: the stem of one that says what
	// goes wrong, or a negation.
	wrongness = regexp.MustCompile(`(?i)\b(?:(?:` +
		`fail|error|fault|wrong|invalid|incorrect|incons|incompl|incompat|inaccura|insuff|inadequa|inappropr|ineff|infinite|irrelevan|illegal|imposs|improper|imprecis|` +
		`miss(?:ing|ed|es)|mis[a-z]{3}|un(?:a[a-z]|b|c|d|ex|f|g|h|int|j|k|l|m|n|o|p|r|s|t[^i]|u|v|w)|dis(?:a[bgl]|c|con|r|o)|mal(?:form|ic|fun)|` +
		`lost|lose|loss|leak|loop|stale|outdat|old|expir|obsolet|deprecat|supersed|late|slow|delay|timed?[ -]?out|limit|exceed|over[a-z]|block|refus|reject|den(?:y|ie)|forbid|prohib|` +
		`conflict|contradict|duplicat|repeat|redundan|stuck|hang|hung|stall|deadlock|crash|abort|interrupt|cancel|terminat|truncat|cut|corrupt|garbl|brok|break|ignor|omit|omission|skip|forg[eo]t|neglect|` +
		`lack|absen|empty|blank|null|none|invent|fabricat|hallucinat|made[ -]up|assum|guess|confus|ambig|vague|contamin|toxic|insult|profan|hate|threat|harm|bias|abus|expos|disclos|` +
		`inject|manipul|spoof|exhaust|deplet|throttl|mismatch|diff|diverg|drift|deviat|violat|breach|degrad|regress|poor|bad|weak|low|excess|prematur|early|drop|discard|swallow|silent|hidden|` +
		`stop|lock|race|retr(?:y|i)|escalat|alter|stray|orphan|hard[ -]?cod|swap|revers|invert|insecur|vulnerab|problem|issue|defect|bug|anomal|` +
		`limit|quota|gap|hole|trap|risk|gave up|give up|gives up|too|beyond|outside|instead|despite|although|against|only|twice` +
		`)[a-z]*|not?|never|without|nothing|cannot|can't|isn't|doesn't|didn't|neither|nor)\b`)
)

// maxLabelWords bounds a coined label; the longest of the vocabulary has seven.
const maxLabelWords = 10

// checkLabel reports why a trigger condition cannot be a label.
func checkLabel(label string) error {
	if _, _, ok := prompts.ConditionFor(label); ok {
		return nil
	}
	problem := ""
	switch words := strings.Fields(label); {
	case len(words) > maxLabelWords:
		problem = "has too many words for a label"
	case !coinedLabel.MatchString(label):
		problem = "must be plain English words"
	case addressing.MatchString(label):
		problem = "addresses a reader or names people instead of describing a condition"
	case asks(label):
		problem = "asks for something instead of describing a condition"
	case !wrongness.MatchString(label) && !deniesFailure(label):
		problem = "does not say what goes wrong"
	default:
		return nil
	}
	return errors.New("trigger_condition: " + problem + "; use a label of the vocabulary")
}

// asks reports whether a part of a label is an order.
func asks(label string) bool {
	for _, m := range asking.FindAllStringSubmatch(label, -1) {
		if next := strings.ToLower(m[1]); !belonging[next] && !strings.HasSuffix(next, "ed") { // "run completed"
			return true
		}
	}
	return false
}

// maxCopiedWords is how many words a coined label may have in common with the trace in a
// row: "connection refused by host" is a label, a sentence of the trace is none.
const maxCopiedWords = 4

// copiedLabel reports a coined label that is text of the trace: such text is of this trace
// alone, and may be there to be copied.
func copiedLabel(label string, s *sent) error {
	l := evalforge.NormalizeLabel(label)
	if _, _, ok := prompts.ConditionFor(label); ok || strings.Count(l, " ") < maxCopiedWords {
		return nil
	}
	if strings.Contains(" "+evalforge.NormalizeLabel(s.text)+" ", " "+l+" ") {
		return errors.New("trigger_condition is text of the trace; use a label of the vocabulary, or name the condition in your own words")
	}
	return nil
}
