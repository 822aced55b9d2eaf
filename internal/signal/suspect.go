package signal

import (
	"strings"
	"unicode/utf8"

	"github.com/evalforge/evalforge/internal/trace"
)

// Suspect guesses which step of t went wrong when no signal decides, and reports false
// when t has no step of a model or agent. It returns a position in t.Steps.
//
// Every turn of a model or agent gets points for what turns that people blamed have in
// common, and the earliest turn with the most points is returned. The points are rounded
// from a fit to 126 human-labelled runs of code-writing agents (Who&When, the part made
// by algorithm). In six-fold cross-validation a fit names the blamed step in 46 % of
// these runs and the blamed agent in 65 %; the rounded points name 46 % and 61 %, where
// always naming the second step gives 27 % and 43 %, and the first turn after the task
// 29 % and 52 %. Two teams of people agree on the step in 36 %. It remains a guess.
func Suspect(t *trace.Trace) (step int, ok bool) {
	if t == nil {
		return -1, false
	}
	v := newView(t, "")
	turns := v.turns()
	best, most := -1, 0.0
	for i, tn := range turns {
		if p := v.points(turns, i); best < 0 || p > most {
			best, most = tn.step, p
		}
	}
	return best, best >= 0
}

// A turn is what one step of a model or agent said and called.
type turn struct {
	step       int
	text       string
	calls      []*trace.Invocation
	task       bool // states the task
	firstCode  bool // has the first code of the run
	newFigures int  // figures of its prose that nobody gave before
	informed   bool // a result came before it
	// ran is the report of the execution that follows immediately, or "".
	ran string
}

// codeFence marks code in a turn.
const codeFence = "```"

// turns lists the turns of models and agents. Speakers that execute code for others, and
// verifiers that only judge a pipeline of spans, are none.
func (v *view) turns() []turn {
	executors := map[string]bool{}
	for i := range v.t.Steps {
		if s := &v.t.Steps[i]; s.Kind == trace.KindTool && s.Agent != "" {
			executors[s.Agent] = true
		}
	}
	reports := map[int]string{}
	for _, r := range v.results {
		reports[r.step] = r.text
	}
	callers := map[int][]*trace.Invocation{}
	for i := range v.calls {
		if c := &v.calls[i]; c.Caller >= 0 {
			callers[c.Caller] = append(callers[c.Caller], c)
		}
	}
	texts := map[int]string{}
	for _, p := range v.outputs {
		texts[p.step] += p.text + "\n"
	}
	told := map[string]bool{}
	inputs := map[int][]string{}
	for _, p := range v.inputs {
		inputs[p.step] = append(inputs[p.step], p.text)
	}
	var list []turn
	coded, informed := false, false
	for i := range v.t.Steps {
		for _, text := range inputs[i] {
			addFigures(told, text)
		}
		if r, ok := reports[i]; ok && (v.t.Steps[i].Kind == trace.KindTool || v.t.Steps[i].Kind == trace.KindRetrieval || isExecution(r)) {
			informed = informed || !isNothing(r) && !executionFailed(r)
			addFigures(told, r)
			continue
		}
		text, calls := texts[i], callers[i]
		if text == "" && len(calls) == 0 || executors[v.t.Steps[i].Agent] {
			addFigures(told, text)
			continue
		}
		tn := turn{step: i, text: text, calls: calls, informed: informed, task: v.firstTurn(passage{step: i})}
		hasCode := strings.Contains(text, codeFence)
		if hasCode && i+1 < len(v.t.Steps) && isExecution(reports[i+1]) {
			tn.ran = reports[i+1]
		}
		if !tn.task {
			tn.firstCode = hasCode && !coded
			for f := range figures(withoutCode(text)) {
				if !told[f] {
					tn.newFigures++
				}
			}
		}
		coded = coded || hasCode
		addFigures(told, text)
		list = append(list, tn)
	}
	return list
}

func addFigures(set map[string]bool, text string) {
	for f := range figures(text) {
		set[f] = true
	}
}

// Words of turns that people blamed.
var (
	// assumes is wider than simulation: it also takes assumptions that may be legitimate.
	assumes = compile(`(?i)\b(?:simulat(?:e|ed|ing)|assum(?:e|ing|ption)|hypothetical|placeholder|mock|dummy|fictional|made-?up|sample data|example data)\b`)
	claims  = compile(`(?i)\b(?:i(?:'ve| have)?|we(?:'ve| have)?) (?:successfully |now |already |also )*(?:located|retrieved|accessed|reviewed|gathered|looked up|obtained|collected|searched|checked|consulted|visited|found)\b|here (?:is|are)|according to|based on (?:the|my)`)
)

// points scores turn i.
func (v *view) points(turns []turn, i int) float64 {
	tn := &turns[i]
	p := 0.0
	if tn.task {
		// The statement of a task is blamed for the code that it brings along.
		if tn.ran != "" {
			p += 2
		}
		return p + ranPoints(tn.ran)
	}
	if assumes.MatchString(tn.text) {
		p++
	}
	p += float64(min(tn.newFigures, 6)) / 6
	if tn.newFigures >= 2 && !tn.informed {
		p += 0.5
	}
	if tn.firstCode {
		p++
	}
	p += ranPoints(tn.ran)
	if claims.MatchString(tn.text) {
		p += 0.5
	}
	p += 0.5 * float64(min(utf8.RuneCountInString(tn.text), 3000)) / 3000
	if utf8.RuneCountInString(strings.TrimSpace(tn.text)) < 30 && len(tn.calls) == 0 {
		p--
	}
	if i == len(turns)-1 && len(turns) > 1 {
		p--
	}
	if i == 0 && v.dropsFigure() {
		p += 1.5 // not part of the fit: that data has no pipelines
	}
	return p + callPoints(tn.calls)
}

// dropsFigure reports whether the question of a pipeline of agents has a figure that no
// call of a tool has: whoever planned the calls lost it. Conversations, in which a
// figure may come up later or be meant for the answer, do not count.
func (v *view) dropsFigure() bool {
	if len(v.inputs) == 0 || len(v.calls) == 0 {
		return false
	}
	passed := map[string]bool{}
	for _, c := range v.calls {
		if isExecution(c.Result) {
			return false
		}
		addFigures(passed, c.Args)
	}
	for _, s := range v.t.Steps {
		if s.Kind == trace.KindInput {
			return false
		}
	}
	for f := range figures(v.inputs[0].text) {
		if !passed[f] {
			return true
		}
	}
	return false
}

// ranPoints scores what the code of a turn did.
func ranPoints(report string) float64 {
	if executionFailed(report) || report != "" && isNothing(report) {
		return 0.5
	}
	return 0
}

// callPoints scores the calls of a turn: what changes something cannot be taken back,
// and what fails was wrong.
func callPoints(calls []*trace.Invocation) float64 {
	p := 0.0
	for _, c := range calls {
		if changes(c.Name) {
			p = max(p, 1)
		}
		if callFailed(c) {
			p = max(p, 1.5)
		}
	}
	return p
}
