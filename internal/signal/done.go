package signal

import (
	"fmt"
	"strings"
)

var (
	// changing matches names of tools that change something.
	changing = compile(`(?i)book|reserv|order|purchas|buy|cancel|refund|return|send|mail|notif|messag|updat|modif|chang|edit|\bset|set_|patch|creat|open|submit|file|schedul|add|post|insert|regist|delet|remov|pay|transfer|charg|issue|certificate|exchange|write|save|upload|deploy|approv|assign|confirm|apply|enable|disable|reset|escalat|ticket|execute|run|exec|call|invoke|process|trigger|publish|complet|close|grant|revoke|rebook|upgrade|log`)
	// reading matches names of tools that only look.
	reading = compile(`(?i)^(?:\w+[._-])?(?:get|list|find|search|look_?up|read|fetch|check|query|show|describe|calc\w*|view|load|count|validate|verify|think|browse)(?:[_A-Z-]|$)`)
	// claimDone matches reports of something done for the user.
	claimDone = compile(`(?i)\b(?:i(?:'ve| have)|we(?:'ve| have)|has been|have been|(?:was|were|is|are) (?:now |successfully )+) ?(?:now |just |already |successfully |also )*(booked|reserved|ordered|purchased|cancell?ed|refunded|sent|emailed|e-mailed|notified|updated|modified|changed|scheduled|submitted|filed|created|deleted|removed|transferred|charged|issued|processed|placed|registered|rescheduled|upgraded|reset|escalated|deployed|published)\b`)
)

// changes reports whether a tool of that name may change something.
func changes(name string) bool { return changing.MatchString(name) && !reading.MatchString(name) }

// neverDone finds an answer that reports something as done when no call did it: none
// that changes anything, or only failed ones.
//
// Texts without any sign of tools prove nothing: what the application does around the
// model is not in the trace. A claim whose verb stands in a result or in what the user
// said may only repeat it.
func neverDone(v *view) (Signal, bool) {
	if len(v.calls) == 0 && len(v.t.Tools) == 0 {
		return Signal{}, false
	}
	for _, p := range v.addressed() {
		m := claimDone.FindStringSubmatchIndex(scanned(p.text))
		if m == nil || v.verifier[p.step] || quoted(p.text, m[0]) {
			continue
		}
		verb := strings.ToLower(p.text[m[2]:m[3]])
		stem := verb[:max(3, len(verb)-3)]
		if v.heard(stem) {
			continue
		}
		failed, done := false, false
		for i := range v.calls {
			c := &v.calls[i]
			if c.Step > p.step || !changes(c.Name) {
				continue
			}
			if callFailed(c) {
				failed = true
			} else {
				done = true
			}
		}
		if done {
			continue
		}
		s := Signal{
			Name: "never_done", Condition: CondNeverDone, Weight: 0.6, Step: p.step, Cause: p.step, Quote: quote(p.text, m[0], m[1]),
			Detail: fmt.Sprintf("%s reports something as done, and no call in the trace that could have done it succeeded", v.label(p.step)),
		}
		if failed {
			s.Weight = 0.7
		}
		return s, true
	}
	return Signal{}, false
}
