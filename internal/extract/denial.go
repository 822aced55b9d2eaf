package extract

import (
	"regexp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/signal"
)

// Labels that say that nothing failed, however they are worded: nothing of the kind that
// fails ("no detectable error"), an end as it should be ("run completed as designed"), or
// praise ("all good"). What only has such words in it ("no error handling in the tool",
// "agent reported success without a result") is a failure.
var (
	noFault = regexp.MustCompile(`\b(?:no|without|zero|nothing|none|not any|free of|absence of)\b(?: \w+){0,3}? ` +
		`(?:errors?|failures?|faults?|issues?|problems?|defects?|anomal(?:y|ies)|bugs?|incidents?|mistakes?|wrong|failed|failing|broken?)` +
		`(?:$| (?:detected|detectable|found|in|at all|visible|observed|present|occurred|apparent|seen|evident|here|was|were|is|identified)\b)`)
	endedWell = regexp.MustCompile(`^(?:\w+ ){0,4}(?:completed|succeeded|finished|worked|works|ended|ran|runs|passed|performed|behaved|behaves|successful)` +
		`(?: (?:successfully|normally|correctly|properly|cleanly|fine|well|as (?:designed|expected|intended|planned)))*$`)
	asItShould = regexp.MustCompile(`^(?:all|everything|\w+ (?:is|was)|it is)(?: \w+){0,2} (?:good|fine|ok|okay|well|correct|normal|expected|intended|designed)$|` +
		`^(?:normal|correct|healthy|expected|intended|successful|good) (?:behaviou?r|operation|run|execution|outcome|completion|result|flow|trace)$|` +
		`^(?:all )?(?:good|fine|ok|okay|success|successful|normal|healthy|nothing|none|no failure|nothing failed|nothing wrong)$`)
	notWell = regexp.MustCompile(`\b(?:not|never|only|early|late|partially|falsely|incorrectly|wrongly|before|after|too|despite|but|although|though|reported|claimed|marked|declared|said|un\w+|without)\b`)
)

// deniesFailure reports whether a label of failure type other says that nothing failed.
func deniesFailure(label string) bool {
	l := evalforge.NormalizeLabel(label)
	return sameLabel(label, signal.CondNoError) || noFault.MatchString(l) || asItShould.MatchString(l) || endedWell.MatchString(l) && !notWell.MatchString(l)
}
