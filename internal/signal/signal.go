// Package signal finds deterministic failure signals in a trace: facts that need no
// model. They are the input of the rules analyzer, hints to a model, and a check on
// what it answers.
//
// [Detect] runs every detector over a [view] of the trace; each has a file or some:
//
//	verdict.go    what evaluators, guardrails and ingestion say
//	loop.go       repetition without progress
//	failure.go    errors that steps recorded (failclass.go says what an error means)
//	tool.go       calls of tools that do not exist, or with arguments that do not fit
//	privacy.go    personal data and secrets in outputs
//	toxic.go      abuse in outputs
//	stale.go      information out of date for the question
//	grounding.go  outputs that the trace does not support: answers after nothing was found
//	              (nothing.go), things said to be done (done.go, claim.go), identifiers and
//	              figures from nowhere (identifier.go, figure.go, extreme.go), data that was
//	              made up (simulated.go)
//	feedback.go   what users say about an answer
//	shape.go      empty, cut and refused outputs
//
// Weights are estimates of precision. Where a rule could be measured, its comment says
// on what; the others carry what the mechanism suggests and stay below the mechanical
// ones.
package signal

import "github.com/evalforge/evalforge"

// A Signal is one observation in a trace.
type Signal struct {
	Name string // stable identifier, such as "tool_loop"
	// FailureType is what the signal speaks for, or "" when it decides nothing.
	FailureType evalforge.FailureType
	// Condition is the trigger condition that fits, from the vocabulary of package
	// prompts, or "".
	Condition string
	// Weight is how much the signal says, 0 to 1: the estimated precision of FailureType
	// given only this signal. Below [Decisive] it never decides alone.
	Weight float64
	// Step is the position in trace.Trace.Steps that the signal is about, or -1 for the
	// whole trace.
	Step int
	// Cause is the position of the earliest step that made the failure inevitable, where
	// it is another than Step: for a call with bad arguments the step that planned the
	// call, not the tool that refused it. Otherwise it equals Step.
	Cause int
	// Detail says in one sentence what was seen, naming the step and tool, without trace
	// content beyond names.
	Detail string
	// Quote is text from the trace that shows it, verbatim, or "". It stands in Step.
	Quote string
}

// Decisive is the weight from which a signal decides a failure type.
const Decisive = 0.5

// Decides reports whether s alone settles the failure type.
func (s Signal) Decides() bool {
	return s.FailureType != "" && s.FailureType != evalforge.Other && s.Weight >= Decisive
}
