package signal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

// shape finds outputs that are missing, cut or refused.
func shape(v *view) []Signal {
	var found []Signal
	if s, ok := finish(v); ok {
		found = append(found, s)
	}
	if s, ok := brokenJSON(v); ok && len(found) == 0 {
		found = append(found, s)
	}
	if s, ok := refusal(v); ok {
		found = append(found, s)
	}
	if s, ok := empty(v); ok {
		found = append(found, s)
	}
	if s, ok := gaveUp(v); ok {
		found = append(found, s)
	}
	return found
}

// finish reads the finish reason of the last model step. A step before it that was cut
// was evidently continued.
func finish(v *view) (Signal, bool) {
	for i := len(v.t.Steps) - 1; i >= 0; i-- {
		s := &v.t.Steps[i]
		if s.Kind != trace.KindLLM || v.wraps[i] && s.Finish == "" {
			continue
		}
		sig := Signal{Step: i, Cause: i, FailureType: evalforge.ClientError}
		if texts := v.stepOutputs(i); len(texts) > 0 {
			last := texts[len(texts)-1]
			sig.Quote = quote(last, len(last), len(last))
		}
		switch strings.ToLower(strings.Trim(s.Finish, `[]"' `)) {
		case "length", "max_tokens", "max_output_tokens", "max-tokens", "model_length", "incomplete":
			sig.Name, sig.Condition, sig.Weight = "truncated", CondTruncated, 0.7
			sig.Detail = v.label(i) + " stopped at the output token limit"
		case "content_filter", "content-filter", "safety", "prohibited_content", "blocklist", "recitation", "spii", "guardrail_intervened":
			sig.Name, sig.Condition, sig.Weight = "filtered", CondFilter, 0.9
			sig.Detail = v.label(i) + " was stopped by the provider's content filter"
		case "refusal":
			sig.Name, sig.FailureType, sig.Condition, sig.Weight = "refused", evalforge.Other, CondRefused, 0.45
			sig.Detail = v.label(i) + " refused"
		default:
			return Signal{}, false
		}
		return sig, true
	}
	return Signal{}, false
}

// wantsJSON matches prompts that ask for JSON.
var wantsJSON = compile(`(?i)\bjson\b`)

// brokenJSON finds a final answer that begins as the JSON that was asked for and does
// not parse. One that ends in the middle was cut.
func brokenJSON(v *view) (Signal, bool) {
	a := v.answer()
	text := strings.TrimSpace(a.text)
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(text, codeFence+"json"), codeFence))
	if a.step < 0 || text == "" || text[0] != '{' && text[0] != '[' || placeholder.MatchString(text) && len(text) < 40 {
		return Signal{}, false
	}
	asked := false
	for _, p := range v.inputs {
		asked = asked || wantsJSON.MatchString(p.text)
	}
	if !asked {
		return Signal{}, false
	}
	d := json.NewDecoder(strings.NewReader(text))
	var doc any
	err := d.Decode(&doc)
	if err == nil {
		return Signal{}, false
	}
	s := Signal{
		Name: "broken_json", FailureType: evalforge.ClientError, Condition: CondOutputFormat, Weight: 0.6,
		Step: a.step, Cause: a.step, Quote: quote(a.text, len(a.text), len(a.text)),
		Detail: v.label(a.step) + " was asked for JSON and gave text that does not parse",
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		s.Condition, s.Weight = CondTruncated, 0.65
		s.Detail = v.label(a.step) + " was asked for JSON and stopped in the middle of it"
	}
	return s, true
}

var refusalText = compile(`(?i)^\W{0,3}(?:(?:i'?m|i am) (?:very |really )?sorry,? (?:but )?)?(?:i|we) (?:can(?:'|’)?t|cannot|can not|won(?:'|’)?t|will not|am (?:not able|unable) to|(?:'|’)?m (?:not able|unable) to|must decline|have to decline)(?: to)? (?:assist|help|comply|provide|do that|engage|fulfil|participate|create|generate|support|answer|discuss)`)

// refusal finds a model that declined. Whether it should have is not for a rule to say.
func refusal(v *view) (Signal, bool) {
	for i := range v.t.Steps {
		for _, id := range v.t.Steps[i].Out {
			if m := v.message(id); m != nil && m.Refusal != "" {
				return Signal{
					Name: "refused", FailureType: evalforge.Other, Condition: CondRefused, Weight: 0.45,
					Step: i, Cause: i, Quote: head(m.Refusal), Detail: v.label(i) + " refused the request",
				}, true
			}
		}
	}
	a := v.answer()
	if a.step < 0 {
		return Signal{}, false
	}
	if q, ok := match(refusalText, a.text); ok {
		return Signal{
			Name: "refused", FailureType: evalforge.Other, Condition: CondRefused, Weight: 0.4,
			Step: a.step, Cause: a.step, Quote: q, Detail: v.label(a.step) + " declined the request in its own words",
		}, true
	}
	return Signal{}, false
}

// empty finds a run whose last model step said nothing and called nothing. Where the
// emitter dropped attributes, or records no content at all, absence proves nothing.
func empty(v *view) (Signal, bool) {
	if v.t.Dropped > 0 || len(v.outputs) == 0 && len(v.t.Messages) == 0 {
		return Signal{}, false
	}
	for i := len(v.t.Steps) - 1; i >= 0; i-- {
		s := &v.t.Steps[i]
		if s.Kind != trace.KindLLM || v.wraps[i] {
			continue
		}
		if s.Err != nil || s.Status == trace.Error || s.Output != "" || len(v.stepOutputs(i)) > 0 {
			return Signal{}, false
		}
		for _, id := range s.Out {
			if m := v.message(id); m != nil && (len(m.Calls) > 0 || m.Refusal != "") {
				return Signal{}, false
			}
		}
		for _, c := range v.calls {
			if c.Caller == i || c.Step == i {
				return Signal{}, false
			}
		}
		return Signal{
			Name: "empty_output", FailureType: evalforge.Other, Condition: CondEmpty, Weight: 0.45, Step: i, Cause: i,
			Detail: fmt.Sprintf("%s, the last model step, produced no text and no call", v.label(i)),
		}, true
	}
	return Signal{}, false
}

var gaveUpText = compile(`(?i)\b(?:(?:the )?task (?:could|can) ?not be (?:completed|done|finished|solved)|(?:i|we) (?:was|were|am|are|have been) (?:not able|unable) to (?:complete|finish|find|solve|retrieve|determine|locate|access)|unable to (?:complete|fulfil|finish|solve) (?:the|this|your)|(?:i|we) (?:could|can) ?not (?:complete|finish|solve|determine|find)|gave up|giving up|cannot proceed|could not proceed|(?:i|we)(?:'ll| will) (?:stop|leave it|end) here|(?:the )?(?:first|only) \d+ (?:out )?of (?:the |all )?\d+ \w+|let me know if you (?:want|would like) me to (?:go on|continue|proceed|finish|do the rest))`)

// gaveUp finds an answer that says that the task was not done. That may be the right
// answer.
func gaveUp(v *view) (Signal, bool) {
	a := v.answer()
	if a.step < 0 {
		return Signal{}, false
	}
	q, ok := match(gaveUpText, a.text)
	if !ok {
		return Signal{}, false
	}
	return Signal{
		Name: "gave_up", FailureType: evalforge.Other, Condition: CondEndedEarly, Weight: 0.4,
		Step: a.step, Cause: a.step, Quote: q, Detail: v.label(a.step) + " ends without having done the task",
	}, true
}
