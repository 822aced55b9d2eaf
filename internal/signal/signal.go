// Package signal finds deterministic failure signals in a trace: facts that need no
// model. They are the input of the rules analyzer, hints to a model, and a check on
// what it answers.
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
	// given only this signal. Below 0.5 it never decides alone.
	Weight float64
	// Step is the position in trace.Trace.Steps that the signal is about, or -1 for the
	// whole trace.
	Step int
	// Detail says in one sentence what was seen, naming the step and tool, without trace
	// content beyond names.
	Detail string
	// Quote is text from the trace that shows it, verbatim, or "".
	Quote string
}
