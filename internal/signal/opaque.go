package signal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/evalforge/evalforge/internal/trace"
)

// provider matches what errors of model providers speak of.
var provider = compile(`(?i)openai|anthropic|claude|gemini|vertex|azure|bedrock|mistral|cohere|ollama|vllm|gpt-|\bllms?\b|model|completions?\b|\btokens?\b`)

// maxOpaqueDepth bounds how deep in a payload an ending is looked for, and with it the
// work: each level is read once more.
const maxOpaqueDepth = 6

// Members in which logs put how bad an entry is and what it says.
var (
	levelMembers = []string{"level", "lvl", "severity", "log_level", "loglevel", "levelname", "severityText"}
	entryMembers = []string{"message", "msg", "text", "event", "body"}
	// givenMembers hold what the run was given, not what became of it.
	givenMembers = map[string]bool{"request": true, "input": true, "inputs": true, "prompt": true, "query": true,
		"params": true, "parameters": true, "arguments": true, "args": true, "config": true, "settings": true,
		"options": true, "schema": true, "expected": true, "examples": true}
)

// endings finds an error with which a payload of unknown form ends: one that an object of
// it records (a status, a member that says what went wrong, an entry of a log with a level
// of errors), where of each list only the last item counts. An error before that may have
// been got over; nobody can tell without knowing the form. For the same reason it does not
// decide where a text stands around the object: that may be the answer, and the error what
// it is about.
func endings(v *view) []Signal {
	if v.t.Format != trace.FormatOpaque || len(v.t.Steps) != 1 {
		return nil
	}
	e, ok := endsInError(json.RawMessage(strings.TrimSpace(v.t.Steps[0].Input)), maxOpaqueDepth)
	if !ok {
		return nil
	}
	fail := e.fail
	fail.Message = scanned(fail.Message)
	why := classify(&fail)
	m := modelMeanings[why]
	if fail.Message != "" && !provider.MatchString(fail.Message) {
		m = toolMeanings[why]
	}
	s := Signal{Name: "ends_in_error", FailureType: m.failureType, Condition: m.condition, Weight: min(m.weight, 0.6), Quote: head(fail.Message)}
	switch why {
	case causeRateLimit, causeTimeout, causeNetwork, causeServer, causeAuth, causeContext, causeFilter, causeStepLimit:
		s.Detail = fmt.Sprintf("the payload, of unknown form, ends with an error (%s)", why)
	default:
		s.Weight, s.Detail = min(s.Weight, 0.4), "the payload, of unknown form, ends with an error"
	}
	if e.within {
		s.Weight = min(s.Weight, 0.4)
	}
	return []Signal{s}
}

// An ending is the error with which a payload ends.
type ending struct {
	fail   trace.Failure
	within bool // a text of some words stands around the object that records it
}

// endsInError returns the error that a value, or the end of it, records.
func endsInError(raw json.RawMessage, depth int) (e ending, found bool) {
	if depth == 0 || len(raw) == 0 {
		return ending{}, false
	}
	switch raw[0] {
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil && len(list) > 0 {
			return endsInError(list[len(list)-1], depth-1)
		}
	case '{':
		var obj map[string]json.RawMessage
		if json.Unmarshal(raw, &obj) != nil {
			break
		}
		if f, ok := recorded(obj); ok {
			return ending{fail: f}, true
		}
		for _, key := range slices.Sorted(maps.Keys(obj)) {
			if givenMembers[strings.ToLower(key)] {
				continue
			}
			if e, ok := endsInError(obj[key], depth-1); ok {
				e.within = e.within || tells(obj)
				return e, true
			}
		}
	}
	return ending{}, false
}

// tells reports whether a member of an object is a text of three words or more.
func tells(obj map[string]json.RawMessage) bool {
	for key, raw := range obj {
		var text string
		if !givenMembers[strings.ToLower(key)] && json.Unmarshal(raw, &text) == nil && len(strings.Fields(text)) >= 3 {
			return true
		}
	}
	return false
}

// recorded returns the error that an object itself records, with what it says of it. The
// text of the whole object is no message: it has words about everything. Nor are texts that
// it holds: those of an answer may be about errors.
func recorded(obj map[string]json.RawMessage) (trace.Failure, bool) {
	switch strings.ToLower(stringMember(obj, levelMembers...)) {
	case "error", "err", "fatal", "critical", "panic", "severe", "emergency", "alert":
		if msg := stringMember(obj, entryMembers...); msg != "" {
			return trace.Failure{HTTP: statusMember(obj), Message: msg}, true
		}
	}
	const whole = "\x00"
	own := maps.Clone(obj)
	for _, key := range wrappers {
		delete(own, key)
	}
	f, form := readObject(own, whole)
	if form != formError || f.Message == whole && f.HTTP == 0 {
		return trace.Failure{}, false
	}
	if f.Message == whole {
		f.Message = ""
	}
	return f, true
}
