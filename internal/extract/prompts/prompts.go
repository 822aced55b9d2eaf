// Package prompts holds, as files, what analyzers are told: the instruction, the
// failure categories with their vocabulary of trigger conditions, and the few-shot
// examples. Both analyzers use the vocabulary.
package prompts

import "github.com/evalforge/evalforge"

// A Category is a failure type with its definition and its trigger conditions.
type Category struct {
	FailureType evalforge.FailureType `json:"failure_type"`
	Definition  string                `json:"definition"`
	Conditions  []Condition           `json:"trigger_conditions"`
}

// A Condition is one label of the vocabulary.
type Condition struct {
	Label string `json:"label"` // the trigger_condition as stored
	When  string `json:"when"`  // when it applies
	// Actions are what engineers usually do about it; the rules analyzer recommends them.
	Actions []string `json:"actions"`
}
