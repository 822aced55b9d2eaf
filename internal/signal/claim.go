package signal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/trace"
)

// A standing is what a tool says about the thing that it was asked to do.
type standing int

const (
	standingUnknown standing = iota // includes success
	standingRefused                 // not done, and nothing will be
	standingPending                 // not done yet
)

var (
	refusedState = compile(`(?i)^(?:failed|failure|error|rejected|declined|denied|refused|unsuccessful|aborted|blocked|invalid|insufficient\w*|not[_ -]\w+)$`)
	pendingState = compile(`(?i)^(?:pending\w*|await\w*|waiting\w*|queued|requires?[_ -]\w+|needs?[_ -]\w+|on[_ -]?hold|in[_ -]review|under[_ -]review|unconfirmed|incomplete|draft|not[_ -]yet\w*)(?:[_ -]\w+)*$`)
)

// standingOf reads the result of a tool that changes something.
func standingOf(c *trace.Invocation) standing {
	if callFailed(c) {
		return standingRefused
	}
	var obj map[string]json.RawMessage
	if json.Unmarshal([]byte(c.Result), &obj) != nil {
		return standingUnknown
	}
	for range 2 {
		for _, key := range []string{"ok", "success", "succeeded", "successful", "confirmed", "completed", "approved", "applied", "accepted"} {
			if string(obj[key]) == "false" {
				return standingRefused
			}
		}
		for _, key := range []string{"status", "state", "outcome", "result"} {
			switch s := strings.TrimSpace(stringMember(obj, key)); {
			case s == "":
			case pendingState.MatchString(s):
				return standingPending
			case refusedState.MatchString(s):
				return standingRefused
			}
		}
		inner := map[string]json.RawMessage(nil)
		for _, key := range []string{"data", "result", "response", "output"} {
			if json.Unmarshal(obj[key], &inner) == nil && len(inner) > 0 {
				break
			}
		}
		if len(inner) == 0 {
			break
		}
		obj = inner
	}
	return standingUnknown
}

var (
	// doneStart matches answers that begin by reporting success.
	doneStart = compile(`(?i)^\W{0,4}(?:all )?(?:done|all set|success|completed|it(?:'s| is) done|that(?:'s| is) done|perfect|great news|good news)\b`)
	// handedIn matches what is true of a thing that is still pending.
	handedIn = compile(`(?i)^(?:submitted|requested|created|sent|filed|registered|placed|escalated|notified|scheduled|ordered|emailed|e-mailed|processed)$`)
	// anyAct matches what is said of anything that was asked for.
	anyAct = compile(`(?i)^(?:processed|updated|placed|issued)$`)
	// notDone matches answers that say that something is open or did not work.
	notDone = compile(`(?i)\b(?:unfortunately|unable|could ?n['’o]?t|can ?not|can['’]t|fail(?:ed|s|ure)|errors?|declined|rejected|refused|denied|pending|await\w*|waiting|queued|approval|under review|in review|being (?:processed|reviewed)|in progress|once|until|as soon as|after (?:it|you|we|they)|not (?:yet|been|be|go|gone|possible|allowed|complete\w*)|(?:has|have|was|were|is|did|does)n['’]t|on hold|still|however)\b`)
)

// refusedDone finds an answer that reports as done what the tool for it had refused or
// left pending, with no success after that.
//
// Unlike [neverDone] it needs no silence about the action elsewhere: the user asked for
// it by its name. The call that was refused must be the one that the claim is about.
func refusedDone(v *view) (Signal, bool) {
	a := v.answer()
	if a.step < 0 || v.verifier[a.step] {
		return Signal{}, false
	}
	text := scanned(a.text)
	if notDone.MatchString(text) {
		return Signal{}, false
	}
	for i := range v.calls {
		c := &v.calls[i]
		if c.Step > a.step || !c.HasResult || !changes(c.Name) {
			continue
		}
		st := standingOf(c)
		if st == standingUnknown || v.doneAfter(c, a.step) {
			continue
		}
		at := claimOf(text, c, st)
		if at == nil {
			continue
		}
		how := "refused"
		if st == standingPending {
			how = "left pending"
		}
		return Signal{
			Name: "refused_done", Condition: CondNeverDone, Weight: 0.7, Step: a.step, Cause: a.step, Quote: quote(a.text, at[0], at[1]),
			Detail: fmt.Sprintf("%s reports as done what %q had %s, and no later call succeeded", v.label(a.step), excerpt.Clip(excerpt.Line(c.Name), 60), how),
		}, true
	}
	return Signal{}, false
}

// doneAfter reports whether a call after c and up to a step may have done what c did not.
func (v *view) doneAfter(c *trace.Invocation, step int) bool {
	for i := range v.calls {
		n := &v.calls[i]
		if n.Step > c.Step && n.Step <= step && n.HasResult && standingOf(n) == standingUnknown && (changes(n.Name) || probing.MatchString(n.Name) || strings.Contains(strings.ToLower(n.Name), "status")) {
			return true
		}
	}
	return false
}

// claimOf finds the place in text that reports what c should have done as done, or nil.
func claimOf(text string, c *trace.Invocation, st standing) []int {
	name := strings.ToLower(c.Name)
	for _, m := range claimDone.FindAllStringSubmatchIndex(text, 20) {
		verb := strings.ToLower(text[m[2]:m[3]])
		if quoted(text, m[0]) || st == standingPending && handedIn.MatchString(verb) {
			continue
		}
		if anyAct.MatchString(verb) || strings.Contains(name, verb[:max(3, len(verb)-3)]) {
			return m[:2]
		}
	}
	return doneStart.FindStringIndex(text)
}

var (
	// hedge matches what, before a participle, makes it no statement that the thing has
	// happened; condition matches what does so after it.
	hedge     = compile(`(?i)\b(?:not|never|yet|no|will|would|should|could|can|may|might|must|once|when|if|until|before|unless|soon|to be|being|expected|estimated|await\w*|pending|cannot)\b|n['’]t\b`)
	condition = compile(`(?i)\b(?:once|when|if|until|unless|soon|yet)\b|\?`)
	// auxiliary before a participle, or adverbial after it, tells an event from a quality
	// such as that of closed accounts.
	auxiliary = compile(`(?i)(?:\b(?:was|were|is|are|been|has|have|had|got|be)|['’](?:s|ve|re))(?: \w+ly| already| just| now| all)? $`)
	adverbial = compile(`(?i)^(?:$|[.!,;)]| (?:yesterday|today|on|at|in|by|from|to|this|last|earlier|already|successfully|and|via|with|two|three|\w+ days?)\b)`)
)

// deniedState finds an answer that states an event which the record that it speaks of
// says has not happened: "shipped" where shipped_at is null or shipped is false.
func deniedState(v *view) (Signal, bool) {
	a := v.answer()
	if a.step < 0 || v.verifier[a.step] || v.anyChange() {
		return Signal{}, false // a change may have made it true
	}
	open := map[string]string{} // participle to the member that denies it
	for _, r := range v.used() {
		var obj map[string]json.RawMessage
		if json.Unmarshal([]byte(r.text), &obj) != nil {
			continue
		}
		for key, raw := range obj {
			word := participle(key)
			switch s := string(raw); {
			case word == "":
			case s == "null", s == "false":
				open[word] = key
			default:
				delete(open, word)
			}
		}
	}
	text := scanned(a.text)
	low := lower(text)
	if len(low) != len(text) {
		return Signal{}, false // positions would not agree
	}
	for _, word := range sortedKeys(open) {
		at := wordAt(low, word)
		if at < 0 || quoted(text, at) || hedged(text, at, len(word)) {
			continue
		}
		return Signal{
			Name: "denied_state", Condition: CondContradiction, Weight: 0.6, Step: a.step, Cause: a.step, Quote: quote(a.text, at, at+len(word)),
			Detail: fmt.Sprintf("%s states as happened what the member %q of a result says has not", v.label(a.step), excerpt.Clip(excerpt.Line(open[word]), 40)),
		}, true
	}
	return Signal{}, false
}

// participle returns the event that a member of a record is about, such as "shipped" of
// shipped_at, shippedAt and is_shipped, or "".
func participle(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	parts := slices.DeleteFunc(strings.FieldsFunc(b.String(), func(r rune) bool { return r == '_' || r == '-' }), func(s string) bool {
		return slices.Contains([]string{"at", "on", "date", "time", "is", "was", "has", "been", "timestamp"}, s)
	})
	if len(parts) != 1 {
		return ""
	}
	word := parts[0]
	irregular := []string{"sent", "paid", "sold", "built"}
	states := []string{"enabled", "disabled", "required", "needed", "expired", "blocked", "limited", "reserved", "verified"} // say what holds, not what happened
	if len(word) >= 5 && strings.HasSuffix(word, "ed") && !slices.Contains(states, word) || slices.Contains(irregular, word) {
		return word
	}
	return ""
}

// wordAt returns the place of word in text, where it stands as a word of its own, or -1.
func wordAt(text, word string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return -1
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(word):])
		if !unicode.IsLetter(before) && before != '-' && before != '_' && !unicode.IsLetter(after) && after != '_' {
			return i
		}
		from = i + len(word)
	}
}

// hedged reports whether the sentence around text[i:i+n] does not state what stands
// there as a fact.
func hedged(text string, i, n int) bool {
	lo := strings.LastIndexAny(text[:i], ".!?\n") + 1
	hi := len(text)
	if end := strings.IndexAny(text[i:], ".!?\n"); end >= 0 {
		hi = i + end + 1
	}
	if !auxiliary.MatchString(text[lo:i]) && !adverbial.MatchString(text[i+n:]) {
		return true
	}
	return hedge.MatchString(text[lo:i]) || condition.MatchString(text[i+n:hi])
}
