package extract

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract/prompts"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

// The formula of confidence. A model's own number says how the answer sounds to it; these
// are the facts that it does not know or has no reason to admit. Each factor states its
// reason; none was fitted to answers of a live model, because none were at hand: evaluation
// reports calibration before and after, so that they can be.
const (
	// Signals are right as often as their weight says, and were shown to the model, so
	// that agreement is no independent confirmation: it closes a quarter of what is missing
	// to certainty, times the weight. Contradiction was made with open eyes: it takes away a
	// third of the weight.
	// A number under one half is no claim, and agreement with what is not claimed counts
	// less in proportion: a model that says 0 is believed.
	agreementShare     = 0.25
	agreementFrom      = 0.5
	contradictionShare = 1.0 / 3
	// What was not sent may hold the cause; if everything but a trace of it is missing, a
	// fifth of the confidence goes.
	cutShare = 0.2
	// An opaque trace was sent as it came: steps, errors and calls were not told apart.
	opaqueFactor = 0.9
	// An answer that the service ended early is complete as JSON, not as a thought.
	finishFactor = 0.9
	// An answer that needed a second try was wrong in something once.
	repairFactor = 0.9
	// Naming a step that does not exist is a mistake about the trace.
	noStepFactor = 0.75
	// If a part of the quotes is invented, up to a quarter goes, in proportion.
	quotesShare = 0.25
	// Without any quote nothing ties the finding to the trace: half, and never a claim.
	// Where all quotes together weigh less than one of full weight, the part that is
	// missing goes of that half.
	unquotedFactor, unquotedMax = 0.5, 0.4
	// "No detectable error" is no failure claimed, however sure the model is of it.
	noFailureMax = 0.4
	// Nothing that reads one trace is certain.
	confidenceMax = 0.97
)

// A weighing is what the confidence of an analysis is made of.
type weighing struct {
	given       float64 // the analyzer's own number, 0 to 1
	computed    bool    // from the signals of the whole trace: they are not weighed again
	failureType evalforge.FailureType
	label       string
	finding     finding
	signals     []signal.Signal
	missing     float64 // share of the trace that was not sent, 0 to 1
	opaque      bool
	finish      string
	repaired    Kind
}

// weigh returns the weighing of an answer's analysis after verification.
func weigh(in *Input, ans *Answer, a *evalforge.Analysis, f finding, repaired Kind) weighing {
	w := weighing{
		given: a.Confidence, computed: ans.Computed, failureType: a.FailureType, label: a.TriggerCondition,
		finding: f, signals: in.Signals, opaque: in.Trace.Format == trace.FormatOpaque, finish: ans.Finish, repaired: repaired,
	}
	if n := in.Compacted.BytesCut; n > 0 {
		w.missing = float64(n) / float64(n+len(in.Compacted.JSON))
	}
	if n := len(in.Trace.Steps); n > 0 {
		w.missing = max(w.missing, float64(in.Compacted.StepsOmitted)/float64(n))
	}
	return w
}

// confidence returns the confidence to store, between 0 and 1, and what moved it there
// from the given number, in the order of the formula.
func confidence(w weighing) (float64, []evalforge.ConfidenceMove) {
	c := w.given
	var moves []evalforge.ConfidenceMove
	to := func(name string, next float64, format string, args ...any) {
		if by := round4(next) - round4(c); by != 0 {
			moves = append(moves, evalforge.ConfidenceMove{Name: name, By: round4(by), Reason: fmt.Sprintf(format, args...)})
		}
		c = next
	}
	if !w.computed {
		speaksFor, against := agreement(w.signals, w.failureType)
		switch {
		case speaksFor >= against && speaksFor > 0:
			to("signals", c+(1-c)*min(1, c/agreementFrom)*agreementShare*(speaksFor-against), "signals found without a model agree")
		case against > 0:
			to("signals", c*(1-contradictionShare*(against-speaksFor)), "signals found without a model speak for another failure type")
		}
		if w.missing > 0 {
			to("cut", c*(1-cutShare*w.missing), "%.0f%% of the trace was not sent", 100*w.missing)
		}
		if w.opaque {
			to("cut", c*opaqueFactor, "the trace's format is not known")
		}
		if w.finish != "" {
			to("finish", c*finishFactor, "the service ended the answer early")
		}
		if w.repaired != "" {
			to("repair", c*repairFactor, "a first answer was refused")
		}
	}
	if w.finding.noStep {
		to("step", c*noStepFactor, "the step that was named as failing does not exist")
	}
	q, v := w.finding.quotes, w.finding.verified
	switch {
	case v == 0:
		to("evidence", min(c*unquotedFactor, unquotedMax), "no passage of the trace was quoted")
	case !w.computed && w.finding.proof < 1:
		to("evidence", c*(1-(1-unquotedFactor)*(1-w.finding.proof)), "what was quoted is too short to show much")
	}
	if v < q {
		to("evidence", c*(1-quotesShare*float64(q-v)/float64(q)), "%d of %d quotes do not occur in the trace", q-v, q)
	}
	if w.failureType == evalforge.Other && deniesFailure(w.label) {
		to("no_failure", min(c, noFailureMax), "no failure is claimed")
	}
	if !w.computed {
		to("bound", min(c, confidenceMax), "one trace proves nothing for certain")
	}
	return round4(c), moves
}

// agreement returns how much the signals speak for a failure type, taken as observers of
// which the first counts in full and the others half, and the weight of the heaviest one
// that decides for another.
func agreement(signals []signal.Signal, ft evalforge.FailureType) (speaksFor, against float64) {
	miss, seen := 1.0, map[string]bool{}
	for _, s := range signals {
		switch {
		case s.FailureType == ft && !seen[s.Name] && ft != evalforge.Other:
			w := s.Weight
			if len(seen) > 0 {
				w /= 2
			}
			seen[s.Name] = true
			miss *= 1 - w
		case s.Decides() && s.FailureType != ft:
			against = max(against, s.Weight)
		}
	}
	return 1 - miss, against
}

// explain appends to a rationale what moved the confidence, and keeps its bound.
func explain(rationale string, given, stored float64, moves []evalforge.ConfidenceMove) string {
	if len(moves) == 0 {
		return rationale
	}
	var clauses []string
	for _, m := range moves {
		clauses = append(clauses, fmt.Sprintf("%s (%+.2f)", m.Reason, m.By))
	}
	text := fmt.Sprintf(" Stored as %.2f instead of %.2f: %s.", stored, given, strings.Join(clauses, "; "))
	return cutRunes(rationale, evalforge.MaxTextRunes-utf8.RuneCountInString(text)) + text
}

func sameLabel(a, b string) bool {
	ca, _, ok := prompts.ConditionFor(a)
	return ok && ca.Label == b
}

func round4(x float64) float64 { return math.Round(x*1e4) / 1e4 }
