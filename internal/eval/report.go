package eval

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/evalforge/evalforge"
)

// Bounds that the report's definitions rest on.
const (
	alarmConfidence = 0.5 // from this confidence on, a claim about a successful run is a false alarm
	sureConfidence  = 0.8 // from this confidence on, an answer counts for CorrectAt08
	nearSteps       = 3   // a step this close to an accepted one counts for Within3
	eceBins         = 10  // equally wide, over 0 to 1
)

// A Report is how well extraction did on a set of cases. Rates are between 0 and 1, and
// null where there is nothing to take a rate of. It does not depend on the order of the
// cases.
//
// A failure whose extraction gave no pattern, for whatever reason, counts as scored and
// wrong on every question its labels answer, and is listed in Errors.
type Report struct {
	Cases int `json:"cases"` // that were readable, labelled as failure or not

	FailureType      Score     `json:"failure_type"`
	TriggerCondition Score     `json:"trigger_condition"`
	FailingStep      StepScore `json:"failing_step"`
	Agent            Score     `json:"agent"`

	FalseAlarms FalseAlarms `json:"false_alarms"`
	Evidence    Evidence    `json:"evidence"`
	Calibration Calibration `json:"calibration"`
	// CalibrationGiven is the calibration of the analyzers' own numbers, before the engine
	// moved them, over the same patterns.
	CalibrationGiven Calibration `json:"calibration_given"`
	Trivial          Trivial     `json:"trivial"`

	Tokens  evalforge.Tokens `json:"tokens"`   // what the model took, failed attempts included
	CostUSD float64          `json:"cost_usd"` // likewise

	// Errors lists, by id, the extractions that gave no pattern and the lines that are no
	// usable case. The latter, of kind [KindInvalidCase], are not in Cases: they say
	// nothing about the analyzer.
	Errors []CaseFailure `json:"errors"`

	// Results has one entry per case in input order, if [Options.KeepCases] asks for it.
	Results []Result `json:"-"`
}

// A Score is how many answers to one question were among the accepted ones.
type Score struct {
	Scored   int      `json:"scored"` // failures whose labels answer the question
	Correct  int      `json:"correct"`
	Accuracy *float64 `json:"accuracy"` // Correct of Scored
	// CI95 is the Wilson score interval of Accuracy at 95 %, as [low, high].
	CI95 *[2]float64 `json:"ci95"`
}

// A StepScore is a [Score] with a second look at near misses.
type StepScore struct {
	Scored   int      `json:"scored"`
	Correct  int      `json:"correct"`
	Accuracy *float64 `json:"accuracy"`
	// Within3 is the share of Scored whose step is at most 3 away from an accepted one,
	// as the source counts its steps.
	Within3 *float64    `json:"within3"`
	CI95    *[2]float64 `json:"ci95"` // of Accuracy
}

// FalseAlarms counts failures claimed where there was none.
type FalseAlarms struct {
	Negatives int `json:"negatives"` // cases labelled as successful
	// Unanswered counts those of Negatives whose extraction gave no pattern. They claim
	// nothing, and are left out of Rate.
	Unanswered int      `json:"unanswered"`
	Alarms     int      `json:"alarms"` // patterns with a confidence of at least 0.5, whatever their type
	Rate       *float64 `json:"rate"`   // Alarms of Negatives that were answered
}

// Evidence counts the quotes in all patterns, and those of them that stand in the trace.
type Evidence struct {
	Quotes   int `json:"quotes"`
	Verified int `json:"verified"`
}

// Calibration says how far confidence can be taken at its word, over the patterns whose
// failure type was scored.
type Calibration struct {
	// ECE is the expected calibration error: the distance between confidence and accuracy
	// in each of 10 equally wide bins of confidence, averaged with the bins' sizes as
	// weights.
	ECE                     *float64 `json:"ece"`
	MeanConfidenceCorrect   *float64 `json:"mean_confidence_correct"`
	MeanConfidenceIncorrect *float64 `json:"mean_confidence_incorrect"`
	// CorrectAt08 is the accuracy of the AnswersAt08 patterns whose confidence is at
	// least 0.8.
	CorrectAt08 *float64 `json:"correct_at_0_8"`
	AnswersAt08 int      `json:"answers_at_0_8"`
	// Brier is the mean squared distance between confidence and being right: 0 is best, and
	// 0.25 is what a constant one half gets.
	Brier *float64 `json:"brier"`
	Bins  []Bin    `json:"bins,omitempty"` // that are not empty, in ascending order
}

// A Bin is the patterns whose confidence lies in one tenth.
type Bin struct {
	From       float64 `json:"from"` // to From + 0.1; the last includes 1
	Patterns   int     `json:"patterns"`
	Confidence float64 `json:"confidence"` // mean
	Accuracy   float64 `json:"accuracy"`
}

// Trivial is the accuracy, on the very same scored cases, of answers that take no
// looking at the trace.
type Trivial struct {
	AlwaysFirstStep *float64 `json:"always_first_step"` // index 0, or the span of the first step
	AlwaysLastStep  *float64 `json:"always_last_step"`
	// MajorityType always answers the type that most cases accept; MajorityAgent the
	// agent. Ties go to the first by name.
	MajorityType        *float64 `json:"majority_type"`
	MajorityTypeAnswer  string   `json:"majority_type_answer"`
	MajorityAgent       *float64 `json:"majority_agent"`
	MajorityAgentAnswer string   `json:"majority_agent_answer"`
}

// KindInvalidCase is the kind of a [CaseFailure] that is the case's own fault.
const KindInvalidCase = "invalid_case"

// A CaseFailure is a case without a pattern.
type CaseFailure struct {
	ID     string `json:"id"`
	Source string `json:"source"` // file:line
	Kind   string `json:"kind"`   // of extract.Kind, or KindInvalidCase
	Error  string `json:"error"`
}

// tally adds up results. What is a sum of floats it keeps as a list until the end, so
// that the report does not depend on the order of the cases to the last digit.
type tally struct {
	rep          Report
	within3      int
	first, last  int // steps that the trivial answers get right
	types        map[string]int
	agents       map[string]int
	calibrations []calibration
	given        []calibration // likewise, with the analyzers' own numbers
	costs        []float64
}

type calibration struct {
	confidence float64
	correct    bool
}

func newTally() *tally {
	return &tally{rep: Report{Errors: []CaseFailure{}}, types: map[string]int{}, agents: map[string]int{}}
}

func (t *tally) add(j judgement) {
	t.rep.Cases++
	r := j.Result
	t.question(&t.rep.FailureType, r.Correct.FailureType)
	t.question(&t.rep.TriggerCondition, r.Correct.TriggerCondition)
	t.question(&t.rep.Agent, r.Correct.Agent)
	if right := r.Correct.FailingStep; right != nil {
		t.rep.FailingStep.Scored++
		t.rep.FailingStep.Correct += count(*right)
		t.within3 += count(*r.Correct.Within3)
		t.first += count(j.firstStep)
		t.last += count(j.lastStep)
	}
	if r.Correct.FailureType != nil {
		countEach(t.types, r.Expected.FailureTypes, typeName)
	}
	if r.Correct.Agent != nil {
		countEach(t.agents, r.Expected.Agents, foldName)
	}
	if r.Expected.negative() {
		t.rep.FalseAlarms.Negatives++
		t.rep.FalseAlarms.Unanswered += count(r.Got == nil)
		t.rep.FalseAlarms.Alarms += count(r.FalseAlarm != nil && *r.FalseAlarm)
	}
	if g := r.Got; g != nil {
		t.rep.Evidence.Quotes += g.Quotes
		t.rep.Evidence.Verified += g.Verified
		if r.Correct.FailureType != nil {
			t.calibrations = append(t.calibrations, calibration{g.Confidence, *r.Correct.FailureType})
			t.given = append(t.given, calibration{g.Given, *r.Correct.FailureType})
		}
	} else {
		t.rep.Errors = append(t.rep.Errors, CaseFailure{ID: r.ID, Source: r.Source, Kind: r.Outcome, Error: r.Error})
	}
	t.rep.Tokens = t.rep.Tokens.Add(j.spent.Tokens)
	t.costs = append(t.costs, j.spent.CostUSD)
}

func (t *tally) question(s *Score, right *bool) {
	if right != nil {
		s.Scored++
		s.Correct += count(*right)
	}
}

func (t *tally) invalid(e CaseFailure) { t.rep.Errors = append(t.rep.Errors, e) }

// report computes the rates.
func (t *tally) report() Report {
	r := t.rep
	for _, s := range []*Score{&r.FailureType, &r.TriggerCondition, &r.Agent} {
		s.Accuracy, s.CI95 = rate(s.Correct, s.Scored), wilson(s.Correct, s.Scored)
	}
	s := &r.FailingStep
	s.Accuracy, s.CI95 = rate(s.Correct, s.Scored), wilson(s.Correct, s.Scored)
	s.Within3 = rate(t.within3, s.Scored)
	r.FalseAlarms.Rate = rate(r.FalseAlarms.Alarms, r.FalseAlarms.Negatives-r.FalseAlarms.Unanswered)
	r.Calibration, r.CalibrationGiven = calibrate(t.calibrations), calibrate(t.given)
	n := 0
	r.Trivial.AlwaysFirstStep, r.Trivial.AlwaysLastStep = rate(t.first, s.Scored), rate(t.last, s.Scored)
	r.Trivial.MajorityTypeAnswer, n = majority(t.types)
	r.Trivial.MajorityType = rate(n, r.FailureType.Scored)
	r.Trivial.MajorityAgentAnswer, n = majority(t.agents)
	r.Trivial.MajorityAgent = rate(n, r.Agent.Scored)
	slices.Sort(t.costs)
	for _, c := range t.costs {
		r.CostUSD += c
	}
	slices.SortFunc(r.Errors, func(a, b CaseFailure) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Error, b.Error))
	})
	return r
}

// countEach counts each distinct item of list once.
func countEach(counts map[string]int, list []string, normalize func(string) string) {
	seen := map[string]bool{}
	for _, s := range list {
		if s = normalize(s); !seen[s] {
			seen[s] = true
			counts[s]++
		}
	}
}

// typeName returns the failure type that s means, or s normalized.
func typeName(s string) string {
	for _, f := range evalforge.FailureTypes() {
		if sameLabel(string(f), s) {
			return string(f)
		}
	}
	return evalforge.NormalizeLabel(s)
}

// majority returns the item with the highest count, and that count.
func majority(counts map[string]int) (string, int) {
	best, most := "", 0
	for _, s := range slices.Sorted(maps.Keys(counts)) {
		if counts[s] > most {
			best, most = s, counts[s]
		}
	}
	return best, most
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rate returns n of total, or nil of nothing.
func rate(n, total int) *float64 {
	if total == 0 {
		return nil
	}
	p := float64(n) / float64(total)
	return &p
}

// wilson returns the Wilson score interval of n of total at 95 %, which unlike the
// normal approximation holds for small totals and for shares near 0 and 1. (E. B.
// Wilson, "Probable inference, the law of succession, and statistical inference", 1927.)
func wilson(n, total int) *[2]float64 {
	if total == 0 {
		return nil
	}
	const z = 1.959963984540054 // the 97.5 % quantile of the normal distribution
	p, m := float64(n)/float64(total), float64(total)
	center := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	// At shares of 0 and 1 an end is exactly p, which rounding may miss.
	return &[2]float64{max(0, min(center-half, p)), min(1, max(center+half, p))}
}

// calibrate compares confidence with accuracy.
func calibrate(list []calibration) Calibration {
	slices.SortFunc(list, func(a, b calibration) int {
		return cmp.Or(cmp.Compare(a.confidence, b.confidence), cmp.Compare(count(a.correct), count(b.correct)))
	})
	var c Calibration
	var bins [eceBins]struct {
		n, correct int
		confidence float64
	}
	var sum [2]float64 // of confidence, of wrong and of right answers
	var n [2]int
	sure := 0
	for _, a := range list {
		b := &bins[min(int(a.confidence*eceBins), eceBins-1)] // confidence is validated to be in 0 to 1
		b.n++
		b.correct += count(a.correct)
		b.confidence += a.confidence
		n[count(a.correct)]++
		sum[count(a.correct)] += a.confidence
		if a.confidence >= sureConfidence {
			c.AnswersAt08++
			sure += count(a.correct)
		}
	}
	if len(list) > 0 {
		ece, brier := 0.0, 0.0
		for i, b := range bins {
			ece += math.Abs(b.confidence-float64(b.correct)) / float64(len(list))
			if b.n > 0 {
				c.Bins = append(c.Bins, Bin{float64(i) / eceBins, b.n, b.confidence / float64(b.n), float64(b.correct) / float64(b.n)})
			}
		}
		for _, a := range list {
			off := a.confidence - float64(count(a.correct))
			brier += off * off / float64(len(list))
		}
		c.ECE, c.Brier = &ece, &brier
	}
	mean := func(i int) *float64 {
		if n[i] == 0 {
			return nil
		}
		m := sum[i] / float64(n[i])
		return &m
	}
	c.MeanConfidenceIncorrect, c.MeanConfidenceCorrect = mean(0), mean(1)
	c.CorrectAt08 = rate(sure, c.AnswersAt08)
	return c
}
