package signal

import (
	"fmt"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

// An incident is one error in the trace.
type incident struct {
	step     int
	fail     trace.Failure
	onTool   bool
	explicit bool // marked as an error by the emitter, not only readable as one
	call     *trace.Invocation
	cause    cause
	form     form // how a result that is not marked tells of the error
}

// failures finds the errors that steps and tools recorded, and says which of them the
// run did not get over.
//
// The deepest erring step is the root; an ancestor that fails with the same cause, or
// without saying why, is an echo. An error that a later step recovered from is kept
// with weight 0.3. So is a tool's result that only reads like an error: results that
// begin with "Error:" occur in 21 % of successful runs of a public customer-service
// benchmark, and in 30 % of failed ones.
func failures(v *view) []Signal {
	var found []Signal
	seen := map[string]bool{}
	for _, in := range dropEchoes(v, incidents(v)) {
		s := v.judge(in)
		key := fmt.Sprint(in.cause, in.onTool, s.Weight >= Decisive)
		if seen[key] {
			continue // the same kind of error again says nothing new
		}
		seen[key] = true
		found = append(found, s)
	}
	return append(found, executions(v)...)
}

// incidents lists errors in step order.
func incidents(v *view) []incident {
	var list []incident
	covered := map[int]bool{}
	callOf := map[int]*trace.Invocation{}
	for i := range v.calls {
		if c := &v.calls[i]; callOf[c.Step] == nil {
			callOf[c.Step] = c
		}
	}
	for i := range v.t.Steps {
		s := &v.t.Steps[i]
		if s.Err == nil && s.Status != trace.Error {
			continue
		}
		in := incident{step: i, explicit: true, onTool: onTool(s), call: callOf[i]}
		if s.Err != nil {
			in.fail = *s.Err
		}
		if in.fail.Message == "" {
			in.fail.Message = errorText(s)
		}
		if isExecution(in.fail.Message) {
			continue
		}
		in.cause = classify(&in.fail)
		covered[i] = true
		list = append(list, in)
	}
	for i := range v.calls {
		c := &v.calls[i]
		if covered[c.Step] && v.t.Steps[c.Step].Kind == trace.KindTool || isExecution(c.Result) {
			continue
		}
		in := incident{step: c.Step, onTool: true, call: c, explicit: c.IsErr || c.Err != nil || c.Status == trace.Error}
		switch msg, form := readResult(c.Result); {
		case c.Err != nil:
			in.fail = *c.Err
		case in.explicit:
			in.fail.Message = c.Result
		case form != formNone:
			in.fail, in.form = msg, form
		default:
			continue
		}
		in.cause = classify(&in.fail)
		list = append(list, in)
	}
	return list
}

// onTool reports whether an error of s is a tool's or another dependency's, and not the
// model provider's.
func onTool(s *trace.Step) bool {
	return s.Kind == trace.KindTool || s.Kind == trace.KindRetrieval || s.Tool != nil ||
		s.Kind != trace.KindLLM && s.Model == "" && s.Err != nil && dependency.MatchString(s.Err.Message+" "+s.Err.Type)
}

// dependency matches what errors of applications call things that are not the model.
var dependency = compile(`(?i)\b(database|postgres\w*|mysql|redis|mongo\w*|sqlite|elasticsearch|opensearch|vector ?(store|db|index)|pinecone|weaviate|qdrant|message (queue|broker)|kafka|smtp|webhook|bucket|blob|disk|filesystem|tool)\b`)

// errorText returns what a failed step without an error message produced.
func errorText(s *trace.Step) string {
	if s.Tool != nil && s.Tool.Result != "" {
		return s.Tool.Result
	}
	if s.Kind == trace.KindTool {
		return s.Output
	}
	return ""
}

// dropEchoes leaves out incidents of steps above another incident's, when they repeat
// its cause or give none of their own.
func dropEchoes(v *view, list []incident) []incident {
	var kept []incident
	for _, a := range list {
		echo := false
		for _, b := range list {
			if a.step == b.step || !v.ancestor(a.step, b.step) {
				continue
			}
			if a.cause == b.cause || a.cause == causeUnknown || a.cause == causeCrash || a.fail.Message == b.fail.Message {
				echo = true
				break
			}
		}
		if !echo {
			kept = append(kept, a)
		}
	}
	return kept
}

// recovered is the weight of an error that the run got over, and of a result that may
// be an ordinary answer.
const recovered = 0.3

// judge turns an incident into a signal.
func (v *view) judge(in incident) Signal {
	m := modelMeanings[in.cause]
	what := "failed"
	if !in.onTool && httpStatus(&in.fail) == 0 && v.called(in.step) {
		// No provider answered: what the step reports is the call that it made.
		switch in.cause {
		case causeArgsMissing, causeArgsUnknown, causeArgsInvalid:
			m = toolMeanings[in.cause]
		}
	}
	if in.onTool {
		m = toolMeanings[in.cause].of(in, in.explicit || v.settled(in))
		what = "returned an error"
	}
	s := Signal{
		Name: "error", FailureType: m.failureType, Condition: m.condition, Weight: m.weight,
		Step: in.step, Cause: in.step, Quote: v.errorQuote(in),
	}
	reason := string(in.cause)
	if in.cause == causeUnknown {
		reason = "no known cause"
	}
	if in.fail.Message == "" && in.fail.Type == "" && in.fail.Code == "" {
		s.Weight, reason = min(s.Weight, 0.4), "no error text recorded"
	}
	if s.FailureType == evalforge.WrongTool {
		s.Cause = v.planner(in.step, in.call)
	}
	if v.recovers(in) {
		s.Name, s.Weight = "recovered_error", recovered
		reason += "; a later step succeeded"
	}
	s.Detail = fmt.Sprintf("%s %s (%s)", v.label(in.step), what, reason)
	return s
}

// called reports whether step i asked for a tool.
func (v *view) called(i int) bool {
	for _, c := range v.calls {
		if c.Caller == i || c.Step == i {
			return true
		}
	}
	return false
}

// of returns the meaning for an incident on a tool. A result that only reads like an
// error says less: the tool may be telling the agent something that it can act on. So it
// decides only when it settled the matter, and where the error is nobody's fault but
// that of a system or a right.
func (m meaning) of(in incident, settled bool) meaning {
	if in.explicit {
		return m
	}
	switch in.cause {
	case causeUnknown: // most often a refusal by the rules of the business
		return meaning{evalforge.WrongTool, CondArgsInvalid, recovered}
	case causeNotFound, causeInvalid:
		if httpStatus(&in.fail) == 0 {
			settled = false // things that do not exist are an ordinary answer
		}
		m.weight = 0.55
	case causeOutputFormat:
		m.weight = recovered
	case causeCrash, causeAuth:
		m.weight = 0.6
	default:
		m.weight *= 0.75
	}
	if !settled {
		m.weight = min(m.weight, recovered)
	}
	return m
}

// errorQuote quotes the message of an incident, or what else the step has.
func (v *view) errorQuote(in incident) string {
	for _, text := range []string{in.fail.Message, in.fail.Type, in.fail.Code, v.t.Steps[in.step].Output} {
		if q := head(text); q != "" {
			return q
		}
	}
	return ""
}

// planner returns the step that decided on a call: the one that asked for it, else the
// nearest step before it that is no tool, verifier or wrapper of other steps.
func (v *view) planner(step int, c *trace.Invocation) int {
	if c != nil && c.Caller >= 0 && c.Caller < len(v.t.Steps) {
		return c.Caller
	}
	for i := step - 1; i >= 0; i-- {
		switch v.t.Steps[i].Kind {
		case trace.KindLLM, trace.KindAgent, trace.KindChain:
			if v.wraps[i] && !v.ancestor(i, step) || v.verifier[i] {
				continue
			}
			if v.wraps[i] && v.t.Steps[i].Kind == trace.KindChain {
				continue
			}
			return i
		}
	}
	return step
}

// transient reports whether an incident is a recorded failure of a dependency. Only the
// same call makes up for that one; a fault in a call is made up for by a better call.
func (in incident) transient() bool {
	return in.explicit && toolMeanings[in.cause].failureType == evalforge.InfrastructureError
}

// recovers reports whether the run got over an incident: the same tool succeeded later,
// or a later model step with the same parent produced something while no step above
// recorded an error.
func (v *view) recovers(in incident) bool {
	for i := range v.t.Steps {
		if s := &v.t.Steps[i]; (s.Err != nil || s.Status == trace.Error) && v.ancestor(i, in.step) {
			return false
		}
	}
	if in.call != nil && in.call.Name != "" {
		for i := range v.calls {
			c := &v.calls[i]
			if c.Step > in.step && c.Name == in.call.Name && c.HasResult && !callFailed(c) &&
				(!in.transient() || c.Args == in.call.Args) {
				return true
			}
		}
		return false
	}
	s := &v.t.Steps[in.step]
	for i := in.step + 1; i < len(v.t.Steps); i++ {
		n := &v.t.Steps[i]
		if n.Kind != s.Kind || n.Status == trace.Error || n.Err != nil || n.Parent != s.Parent {
			continue
		}
		if s.Kind == trace.KindLLM && (len(n.Out) > 0 || n.Output != "") {
			return true
		}
		if s.Kind != trace.KindLLM && n.Name == s.Name && (len(n.Out) > 0 || n.Output != "") {
			return true
		}
	}
	return false
}

// exitStatus matches reports of commands that ended with an error.
var exitStatus = compile(`(?i)\bexit(?:ed)?(?: with)?[ _]?(?:status|code)?\W{1,3}[1-9]\d*\b|"(?:exit_?code|return_?code|returncode|exit_?status)"\s*:\s*[1-9]|\bmake: \*\*\*`)

// callFailed reports whether a call failed, by mark or by the look of its result.
func callFailed(c *trace.Invocation) bool {
	if c.IsErr || c.Err != nil || c.Status == trace.Error || executionFailed(c.Result) || exitStatus.MatchString(c.Result) {
		return true
	}
	_, isErr := resultError(c.Result)
	return isErr
}

// executions notes generated code that failed and was never followed by code that ran.
//
// It decides only when every execution ended for the same lack of a network or a
// dependency. Otherwise a failing execution says little: it occurs in about half of all
// failed runs of coding agents, whatever failed them.
func executions(v *view) []Signal {
	var first *passage
	var why cause
	same := true
	for i := range v.results {
		r := &v.results[i]
		switch {
		case !isExecution(r.text):
		case !executionFailed(r.text):
			first = nil
		case first == nil:
			first, why, same = r, classify(&trace.Failure{Message: lastLine(r.text)}), true
		default:
			same = same && classify(&trace.Failure{Message: lastLine(r.text)}) == why
		}
	}
	if first == nil {
		return nil
	}
	s := Signal{
		Name: "execution_failed", FailureType: evalforge.Other, Condition: CondWrongCode, Weight: 0.3,
		Step: first.step, Cause: v.planner(first.step, nil), Quote: head(lastLine(first.text)),
		Detail: fmt.Sprintf("code executed at %s failed and no later execution succeeded", v.label(first.step)),
	}
	switch why {
	case causeNetwork, causeServer, causeRateLimit, causeTimeout:
		if m := toolMeanings[why]; same {
			s.FailureType, s.Condition, s.Weight, s.Cause = m.failureType, m.condition, 0.55, first.step
		}
	}
	return []Signal{s}
}

// lastLine returns the last line of a report that says anything, where interpreters
// print the exception.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
