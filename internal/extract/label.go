package extract

import (
	"errors"
	"regexp"
	"strings"

	"github.com/evalforge/evalforge/internal/extract/prompts"
)

// A label of the vocabulary is taken as it is. A coined one must look like one, because
// downstream services group by it and put it before other models: a few plain words that
// describe, and do not address anybody.
var (
	coinedLabel = regexp.MustCompile(`^[A-Za-z]+(?:[ /'-][A-Za-z]+|, [A-Za-z]+)*$`)
	addressing  = regexp.MustCompile(`(?i)\b(?:ignore|disregard|obey|pretend|you|your|yourself|my|me|please|jailbreak|as an ai|mark as|do not|don't|must)\b`)
)

// maxLabelWords bounds a coined label; the longest of the vocabulary has seven.
const maxLabelWords = 10

// checkLabel reports why a trigger condition cannot be a label.
func checkLabel(label string) error {
	if _, _, ok := prompts.ConditionFor(label); ok {
		return nil
	}
	switch words := strings.Fields(label); {
	case len(words) > maxLabelWords:
		return errors.New("trigger_condition: has too many words for a label; use one of the vocabulary")
	case !coinedLabel.MatchString(label):
		return errors.New("trigger_condition: must be plain English words; use a label of the vocabulary")
	case addressing.MatchString(label):
		return errors.New("trigger_condition: addresses a reader instead of describing a condition; use a label of the vocabulary")
	}
	return nil
}
