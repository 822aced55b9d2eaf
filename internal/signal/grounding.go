package signal

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/evalforge/evalforge"
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

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
