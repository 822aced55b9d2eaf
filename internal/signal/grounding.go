package signal

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

// grounding compares what the run put out with what it had been told.
func grounding(v *view) []Signal {
	v = v.inProse()
	var found []Signal
	for _, detect := range []func(*view) (Signal, bool){
		afterNothing, neverDone, refusedDone, deniedState, absentIdentifier, otherValue, wrongExtreme, simulated, claimedRetrieval,
	} {
		if s, ok := detect(v); ok {
			s.FailureType = evalforge.Hallucination
			found = append(found, s)
		}
	}
	if s, ok := inventedArgument(v); ok {
		found = append(found, s)
	}
	return found
}

// proseMembers are members of structured outputs that hold what is said to somebody.
var proseMembers = []string{"answer", "final_answer", "response", "output", "content", "text", "message", "reply", "result"}

// inProse returns v with those outputs left out that are serialised data: a dump of a
// span has times and ids that nobody stated. Of an object that wraps an answer, the
// answer stays.
func (v *view) inProse() *view {
	p := *v
	p.outputs = make([]passage, 0, len(v.outputs))
	for _, o := range v.outputs {
		if !serialised(o.text) {
			p.outputs = append(p.outputs, o)
			continue
		}
		var obj map[string]json.RawMessage
		if json.Unmarshal([]byte(o.text), &obj) != nil {
			continue
		}
		// An answer with escapes does not stand in the trace as it reads.
		if s := stringMember(obj, proseMembers...); s != "" && !serialised(s) && strings.Contains(o.text, s) {
			p.outputs = append(p.outputs, passage{o.step, s})
		}
	}
	p.final = p.findAnswer()
	return &p
}

// serialised reports whether text is data written out: JSON, or the like of it as other
// languages print objects.
func serialised(text string) bool {
	t := strings.TrimSpace(text)
	if len(t) < 2 {
		return false
	}
	switch open, end := t[0], t[len(t)-1]; {
	case open == '{' && end == '}', open == '"' && end == '"' && json.Valid([]byte(t)):
		return true
	case open == '[' && end == ']':
		return json.Valid([]byte(t)) || strings.ContainsAny(t, "{=")
	}
	return objectPrinted.MatchString(t)
}

// objectPrinted matches objects printed as constructors: Name(field='value', …).
var objectPrinted = compile(`^[\w.]{1,60}\(\w+=|^\w+=['"\[{]`)

var (
	// nothingText matches short results that say that there is nothing.
	nothingText = compile(`(?i)\bno (?:\w+ ){0,3}(?:results?|matches|match|records?|documents?|data|entries|entry|items?|information|rows|hits|flights|articles?|content|passages?)\b|\bnot found\b|\bnothing (?:was )?found\b|\b0 (?:results|matches|rows|records|documents|hits)\b|\bcould not find\b|\bdoes not exist\b|\bno such\b|\bempty\b`)
	emptyList   = compile(`"(?:results?|items|documents?|data|matches|rows|records|hits|chunks|passages|entries|output)"\s*:\s*(?:\[\s*\]|\{\s*\}|null|"")|"(?:count|total|total_results|num_results|hits)"\s*:\s*0\b`)
	// admission matches answers that own up to not having something.
	admission = compile(`(?i)^\W{0,3}no\b|\b(?:could ?n[o']t|could not|unable|can(?:no|')t|can not|sorry|unfortunately|apolog\w+|no (?:\w+ ){0,3}(?:results?|information|records?|data|match(?:es|ing)?|documents?|entr(?:y|ies)|details|luck)|not (?:find|found|available|have|exist|able|locate|sure|certain)|found no|no (?:figures?|numbers?|sources?|mention|sign|trace|evidence)|don['’]?t (?:have|see|find|know)|doesn['’]?t|didn['’]?t|wasn['’]?t|isn['’]?t|does not|did not|do not have|there (?:is|are|was|were|['’]s)(?: \w+)? no\b|no such|no longer|no one|not (?:present|there|listed|included|on (?:file|record)|any|exist\w*|recorded|stored|yet)|isn't|aren['’]?t|weren['’]?t|hasn['’]?t|haven['’]?t|never|absent|unavailable|unlisted|none|nothing|without|missing|however|assum\w+|failed|error|unknown|empty)\b`)
)

// isNothing reports whether a result is empty or says that there is nothing.
func isNothing(text string) bool {
	t := strings.TrimSpace(text)
	switch strings.ToLower(strings.Trim(t, `"'`)) {
	case "", "[]", "{}", "null", "none", "nil", "n/a", "no results", "()", "undefined":
		return true
	}
	if isExecution(t) {
		_, out, _ := strings.Cut(t, "\n")
		return strings.HasPrefix(t, "exitcode: 0") && isNothing(strings.TrimPrefix(strings.TrimSpace(out), "Code output:")) && len(t) < 80
	}
	return len(t) < 400 && (emptyList.MatchString(t) || len(t) < 200 && nothingText.MatchString(t))
}

// afterNothing finds an output full of specifics although what was looked up for it was
// empty: every result of the run, or the last one before the output when the output has
// several figures that nobody gave.
func afterNothing(v *view) (Signal, bool) {
	for i, p := range v.outputs {
		if v.verifier[p.step] || admission.MatchString(p.text) || strings.HasSuffix(strings.TrimSpace(p.text), "?") {
			continue
		}
		last, all := v.emptyBefore(p.step)
		if !last || v.anyChange() {
			continue
		}
		fresh := v.newFigures(p)
		s := Signal{
			Name: "answer_after_nothing", Condition: CondAfterNothing, Step: p.step, Cause: p.step, Quote: head(p.text),
			Detail: fmt.Sprintf("what was looked up was empty or not found, and %s answers without saying so", v.label(p.step)),
		}
		switch {
		case all && fresh > 0:
			s.Weight = 0.65
		case fresh >= 2:
			s.Weight = 0.6
		case all && i == v.final && utf8.RuneCountInString(p.text) >= 40:
			s.Weight = 0.55
		default:
			continue
		}
		return s, true
	}
	return Signal{}, false
}

// emptyBefore reports whether the last result before a step, and whether all of them,
// say that there is nothing. Both are false when there is none.
func (v *view) emptyBefore(step int) (last, all bool) {
	all = true
	n := 0
	for _, r := range v.results {
		if r.step >= step {
			break
		}
		n++
		last = isNothing(r.text)
		all = all && last
	}
	return n > 0 && last, n > 0 && all
}

// anyChange reports whether a call may have changed something: such calls often return
// nothing when they succeed.
func (v *view) anyChange() bool {
	for _, c := range v.calls {
		if changes(c.Name) {
			return true
		}
	}
	return false
}

// newFigures counts the figures of p that occur in no input and in no result before it.
func (v *view) newFigures(p passage) int {
	known := map[string]bool{}
	for _, list := range [][]passage{v.inputs, v.results} {
		for _, in := range list {
			if in.step <= p.step {
				addFigures(known, in.text)
			}
		}
	}
	n := 0
	for f := range figures(withoutCode(p.text)) {
		if !known[f] {
			n++
		}
	}
	return n
}

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

// identifier matches tokens that name one thing: at least six characters with digits.
var identifier = compile(`#?\b[A-Za-z]{0,12}[-_]?\d[A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*\b`)

// dateLike matches tokens that look like identifiers and are dates, times, phone
// numbers, versions or ordinals.
var dateLike = compile(`(?i)^(?:(?:19|20)\d{2}(?:[-_/]?\d{2}){0,2}(?:t\d+)?|\d{1,4}(?:st|nd|rd|th|am|pm|px|kg|km|mb|gb|hz|ghz|mah|ml|mg|cm|mm|k|m|bn?)|\d{1,2}h\d{2}|v?\d+(?:[.]\d+)+|\d{3}-\d{3,4}(?:-\d{4})?)$`)

// identifiers returns the identifiers in text, lower-cased, with their place.
func identifiers(text string) map[string][2]int {
	found := map[string][2]int{}
	clean := placeholder.ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat(" ", len(s)) })
	for _, m := range identifier.FindAllStringIndex(clean, 300) {
		tok := strings.ToLower(strings.TrimPrefix(clean[m[0]:m[1]], "#"))
		digits := 0
		for _, r := range tok {
			if r >= '0' && r <= '9' {
				digits++
			}
		}
		if len(tok) < 6 || digits < 3 || dateLike.MatchString(tok) {
			continue
		}
		// A decimal number or one with thousands separators is a figure, and a part of an
		// address or a longer word is none of its own.
		if m[1] < len(clean)-1 && strings.IndexByte(".,/:@", clean[m[1]]) >= 0 && clean[m[1]+1] > ' ' ||
			m[0] > 0 && strings.IndexByte(".,/:@$€£-", clean[m[0]-1]) >= 0 {
			continue
		}
		if _, ok := found[tok]; !ok {
			found[tok] = [2]int{m[0], m[1]}
		}
	}
	return found
}

// told reports whether the run was told something, in lower case, up to a step: by an
// input, a result or the input of a span.
func (v *view) told(needle string, before int) bool {
	for _, p := range v.lower {
		if p.step <= before && strings.Contains(p.text, needle) {
			return true
		}
	}
	return false
}

// absentIdentifier finds an answer that names an identifier which occurs nowhere in what
// the run was told, although tools answered. Identifiers, unlike amounts, cannot be
// computed.
func absentIdentifier(v *view) (Signal, bool) {
	if len(v.results) == 0 || v.t.Dropped > 0 {
		return Signal{}, false
	}
	for _, p := range v.addressed() {
		if v.verifier[p.step] {
			continue
		}
		ids := identifiers(withoutCode(p.text))
		if len(ids) == 0 {
			continue
		}
		if !v.resultBefore(p.step) {
			continue
		}
		for _, id := range sortedKeys(ids) {
			if v.told(id, p.step) || v.told(strings.NewReplacer("-", "", "_", "").Replace(id), p.step) {
				continue
			}
			at := ids[id]
			return Signal{
				Name: "absent_identifier", Condition: CondAbsentFigure, Weight: 0.65, Step: p.step, Cause: p.step, Quote: quote(p.text, at[0], at[1]),
				Detail: fmt.Sprintf("%s names an identifier that occurs in no input and no result", v.label(p.step)),
			}, true
		}
	}
	return Signal{}, false
}

// said reports whether an output up to a step has the text, in lower case.
func (v *view) said(needle string, before int) bool {
	for _, p := range v.outputs {
		if p.step <= before && strings.Contains(strings.ToLower(p.text), needle) {
			return true
		}
	}
	return false
}

func (v *view) resultBefore(step int) bool {
	for _, r := range v.results {
		if r.step <= step && !isNothing(r.text) {
			return true
		}
	}
	return false
}

// inventedArgument finds a call with an identifier that nobody had given before.
func inventedArgument(v *view) (Signal, bool) {
	if v.t.Dropped > 0 || len(v.inputs) == 0 {
		return Signal{}, false
	}
	for i := range v.calls {
		c := &v.calls[i]
		ids := identifiers(c.Args)
		if len(ids) == 0 {
			continue
		}
		failed := callFailed(c)
		for _, id := range sortedKeys(ids) {
			if !failed && !doesNotExist(c.Result, id) {
				continue // an identifier that worked was known from somewhere
			}
			if v.told(id, c.Step-1) || v.said(id, c.Step-1) {
				continue
			}
			at := ids[id]
			s := Signal{
				Name: "invented_argument", FailureType: evalforge.WrongTool, Condition: CondArgsInvented, Weight: 0.55,
				Step: c.Step, Cause: v.planner(c.Step, c), Quote: quote(c.Args, at[0], at[1]),
				Detail: fmt.Sprintf("%s calls %q with an identifier that occurs nowhere before, and the call failed",
					v.label(v.planner(c.Step, c)), clipRunes(oneLine(c.Name), 60)),
			}
			if v.recovers(incident{step: c.Step, call: c}) {
				s.Weight = recovered
			}
			return s, true
		}
	}
	return Signal{}, false
}

// unknownThing matches statements that a thing does not exist.
var unknownThing = compile(`(?i)\b(?:(?:does|do|did)(?:n['’]t| not) exist|not (?:be )?found|no such|unknown|not (?:a )?valid|invalid|no (?:\w+ ){0,3}(?:with|for|found|matching|match))\b`)

// doesNotExist reports whether a short result says of an identifier, given in lower
// case, that nothing has it.
func doesNotExist(result, id string) bool {
	return len(result) <= maxReport && strings.Contains(strings.ToLower(result), id) && unknownThing.MatchString(result)
}

// figure matches numbers as people write them.
var figure = compile(`\d[\d,]*(?:\.\d+)?`)

// figures returns the numbers of at least two digits in text, without separators and
// trailing zeros of a fraction.
func figures(text string) map[string]bool {
	found := map[string]bool{}
	for _, s := range figure.FindAllString(text, 2000) {
		if n := normalFigure(s); len(n) > 1 {
			found[n] = true
		}
	}
	return found
}

func normalFigure(s string) string {
	s = strings.ReplaceAll(strings.Trim(s, ","), ",", "")
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if t := strings.TrimLeft(s, "0"); t != "" && t[0] != '.' {
		s = t
	}
	return s
}

// measured matches a number with the unit that it is given in.
var measured = compile(`(\d[\d,]*(?:\.\d+)?) ?(%|[a-zA-Zµ]{1,6}/[a-zA-Z]{1,4}|°[CF]|(?:mm|cm|km|kg|mg|kWh|MB|GB|ms|bpm|mmHg|mph)\b)`)

// otherValue finds a measured value in an answer that is in no source, although a
// result gives values in that unit. Amounts of money are too often computed to count.
func otherValue(v *view) (Signal, bool) {
	a := v.answer()
	if a.step < 0 || v.t.Dropped > 0 {
		return Signal{}, false
	}
	known := map[string]bool{}
	for _, p := range v.lower {
		if p.step <= a.step {
			addFigures(known, p.text)
		}
	}
	for _, m := range measured.FindAllStringSubmatchIndex(a.text, 50) {
		value, unit := normalFigure(a.text[m[2]:m[3]]), strings.ToLower(a.text[m[4]:m[5]])
		if known[value] || len(value) < 2 || v.told(value, a.step) || !v.resultHasUnit(unit, a.step) {
			continue
		}
		if derivable(value, known) {
			continue
		}
		return Signal{
			Name: "other_value", Condition: CondContradiction, Weight: 0.6, Step: a.step, Cause: a.step, Quote: quote(a.text, m[0], m[1]),
			Detail: fmt.Sprintf("%s gives a value in a unit in which the results have values, and none of them is it", v.label(a.step)),
		}, true
	}
	return Signal{}, false
}

// resultHasUnit reports whether a result before a step has the unit as a word of its own
// or as a JSON value.
func (v *view) resultHasUnit(unit string, step int) bool {
	for _, r := range v.results {
		if r.step <= step && strings.Contains(strings.ToLower(r.text), unit) {
			return true
		}
	}
	return false
}

// maxDerive bounds the numbers that derivable combines.
const maxDerive = 300

// derivable reports whether value is, to the digits that it is given with, a known
// figure rounded or scaled by a power of ten, or the sum or difference of two.
func derivable(value string, known map[string]bool) bool {
	want, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return true
	}
	_, frac, _ := strings.Cut(value, ".")
	tol := 0.51 * math.Pow(10, -float64(len(frac)))
	var nums []float64
	for _, k := range sortedKeys(known) {
		if f, err := strconv.ParseFloat(k, 64); err == nil && len(nums) < maxDerive {
			nums = append(nums, f)
		}
	}
	near := func(f float64) bool { return math.Abs(f-want) <= tol }
	for i, a := range nums {
		if near(a) || near(a*100) || near(a/100) || near(a/1000) || near(a*1000) {
			return true
		}
		for j, b := range nums {
			if near(a-b) || j <= i && near(a+b) {
				return true
			}
		}
	}
	return false
}

var (
	asksLeast = compile(`(?i)\b(?:cheapest|lowest(?:[- ]priced)?|least expensive|smallest|fewest|shortest|minimum|lightest)\b`)
	asksMost  = compile(`(?i)\b(?:most expensive|highest|largest|biggest|longest|maximum|heaviest|priciest)\b`)
	// offField matches flags that take an item out of the question when they are false.
	offField = compile(`(?i)avail|active|in_?stock|enabled|open|valid`)
)

// wrongExtreme finds an answer to a question for the cheapest, largest and so on that
// gives the figure of an item which is not the extreme one of the list that the tool
// returned.
func wrongExtreme(v *view) (Signal, bool) {
	q := v.question()
	least, most := asksLeast.MatchString(q), asksMost.MatchString(q)
	if least == most {
		return Signal{}, false
	}
	a := v.answer()
	if a.step < 0 {
		return Signal{}, false
	}
	said := figures(a.text)
	used := v.used()
	for i := len(used) - 1; i >= 0; i-- {
		field, extreme, ok := extremeOf(used[i].text, said, least)
		if !ok {
			continue
		}
		if extreme {
			return Signal{}, false
		}
		return Signal{
			Name: "wrong_extreme", Condition: CondContradiction, Weight: 0.6, Step: a.step, Cause: a.step, Quote: head(a.text),
			Detail: fmt.Sprintf("the question asks for an extreme, and %s gives a %q that is not the extreme one in the result of %s",
				v.label(a.step), clipRunes(oneLine(field), 40), v.label(used[i].step)),
		}, true
	}
	return Signal{}, false
}

// extremeOf looks for the one numeric field of the items in result whose values the
// answer mentions, and reports whether the extreme one is among them.
func extremeOf(result string, said map[string]bool, least bool) (field string, extreme, ok bool) {
	values := map[string][]float64{}
	for _, it := range objects(result) {
		off := false
		for k, e := range it {
			if b, isBool := e.(bool); isBool && !b && offField.MatchString(k) {
				off = true
			}
		}
		if off {
			continue
		}
		for k, e := range it {
			if f, isNum := e.(float64); isNum {
				values[k] = append(values[k], f)
			}
		}
	}
	for _, k := range sortedKeys(values) {
		list := values[k]
		slices.Sort(list)
		if len(list) < 3 || list[0] == list[len(list)-1] {
			continue
		}
		best := list[0]
		if !least {
			best = list[len(list)-1]
		}
		mentioned := 0
		for _, f := range slices.Compact(list) {
			if said[normalFigure(jsonNumber(f))] {
				mentioned++
			}
		}
		if mentioned > 0 {
			return k, mentioned > 1 || said[normalFigure(jsonNumber(best))], true
		}
	}
	return "", false, false
}

func jsonNumber(f float64) string {
	b, err := json.Marshal(f)
	if err != nil {
		return ""
	}
	return string(b)
}

// objects returns the objects in the first list of a JSON result.
func objects(text string) []map[string]any {
	var doc any
	if json.Unmarshal([]byte(text), &doc) != nil {
		return nil
	}
	list, _ := doc.([]any)
	if obj, ok := doc.(map[string]any); ok {
		for _, name := range sortedKeys(obj) {
			if l, ok := obj[name].([]any); ok && len(l) > 1 {
				list = l
				break
			}
		}
	}
	var items []map[string]any
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			items = append(items, m)
		}
	}
	return items
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// simulation matches words in which agents replace data that they could not get.
var simulation = compile(`(?i)\b(?:simulat(?:e|ed|ing) (?:the |a |an |some |this |these |our )?(?:\w+ )?(?:data\w*|values?|results?|responses?|outputs?|search\w*|numbers?|content|scenario|process|execution|information|list|table)|(?:let'?s|let us|we(?:'ll| will| can| could| must| may)?|i(?:'ll| will| can)?)(?: just| first| now| temporarily| hypothetically)? (?:assume|simulate|pretend|hypothesi[sz]e|make up|fabricate)\b|for (?:the sake of|purposes? of|this) (?:this )?(?:demonstration|illustration|example|simulation)|for (?:demonstration|illustrat(?:ion|ive)) purposes?|hypothetical(?:ly)? (?:data\w*|values?|results?|path|content|example|list|scenario|numbers?|consider|assume|that)|(?:placeholder|mock|dummy|fake|fictional|fictitious|made-?up|synthetic) (?:data\w*|values?|numbers?|results?|responses?|content|text|entries|list|information|ids?)|as (?:a )?placeholders?|assum(?:ing|e) (?:that )?(?:we|i) (?:have|had|found|obtained|retrieved|got)|(?:in|under) the (?:absence|lack) of (?:actual|real|the)|instead of (?:actual|real) data)\b`)

// simulated finds agents that put assumed or simulated data in the place of real data.
func simulated(v *view) (Signal, bool) {
	for _, p := range v.outputs {
		if v.firstTurn(p) {
			continue // a statement of the task may ask to assume something
		}
		m := simulation.FindStringIndex(scanned(p.text))
		if m == nil {
			continue
		}
		return Signal{
			Name: "simulated_data", Condition: CondSimulated, Weight: 0.45, Step: p.step, Cause: p.step, Quote: quote(p.text, m[0], m[1]),
			Detail: fmt.Sprintf("%s works with assumed or simulated data", v.label(p.step)),
		}, true
	}
	return Signal{}, false
}

// firstTurn reports whether p opens a conversation that has no separate input: there,
// the first turn states the task.
func (v *view) firstTurn(p passage) bool {
	return p.step == 0 && v.t.Steps[0].Kind == trace.KindAgent && len(v.outputs) > 1
}

// retrievalClaim matches statements of having looked something up.
var retrievalClaim = compile(`(?i)\b(?:i(?:'ve| have)?|we(?:'ve| have)?) (?:successfully |now |already |also )*(?:located|retrieved|accessed|gathered|looked up|obtained|collected|searched|consulted|visited)\b|\b(?:following|here) (?:is|are) (?:the )?(?:\w+ ){0,3}(?:retrieved|data|figures|results|information) (?:for|from|of|i)\b|\b(?:retrieved|obtained|sourced|taken) from (?:the )?(?:\w+\.(?:com|org|gov|net)|official|website|database|census|wikipedia)`)

// claimedRetrieval finds an agent that reports having looked something up when nothing
// had been called or executed until then.
func claimedRetrieval(v *view) (Signal, bool) {
	for _, p := range v.outputs {
		if v.firstTurn(p) {
			continue
		}
		if len(v.results) > 0 && v.results[0].step <= p.step {
			return Signal{}, false
		}
		m := retrievalClaim.FindStringIndex(scanned(p.text))
		if m == nil || v.newFigures(p) == 0 {
			continue
		}
		return Signal{
			Name: "claimed_retrieval", Condition: CondUngrounded, Weight: 0.45, Step: p.step, Cause: p.step, Quote: quote(p.text, m[0], m[1]),
			Detail: fmt.Sprintf("%s reports having looked something up, and nothing had been called until then", v.label(p.step)),
		}, true
	}
	return Signal{}, false
}
