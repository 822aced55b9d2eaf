package extract

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// A Repair makes an [Input] the second question about a trace, whose first answer was
// refused. It is untrusted like the trace itself: a trace may have dictated it.
type Repair struct {
	// Previous is the answer that was refused, redacted, at most [MaxPrevious] bytes.
	Previous []byte
	// Problems are the reasons, one clause each.
	Problems []string
}

// MaxPrevious bounds [Repair.Previous]: an answer of the usual length is about 3 KB,
// and one that is far longer is better written anew than corrected.
const MaxPrevious = 12 << 10

// maxProblems bounds how many reasons an analyzer is told.
const maxProblems = 8

// repairable reports whether asking again with the reason can help: an answer came, and
// it is the answer that is wrong. An answer that was cut at the output limit is not among
// them: the analyzer has already asked for it with more room.
func repairable(e *Error) bool {
	switch e.Kind {
	case KindSchema, KindEvidence, KindInvalidJSON:
		return len(e.Response) > 0
	}
	return false
}

// answer asks the analyzer, and once more with the reasons if the answer is refused or
// doubtful. What both took is in the result, or in the error.
//
// A second answer that is refused too is final: the trace is not paid for again by itself.
// If the second question brings no answer, its error counts, because that is what keeps
// the trace from being analyzed now: no quota, no time, no budget. A doubtful answer is
// stored as it is if the second question brings nothing better.
func (p *Pipeline) answer(ctx context.Context, in *Input) (*finished, error) {
	first, refused := p.ask(ctx, in, "")
	if refused == nil {
		if len(first.doubts) == 0 || len(first.answer.Raw) == 0 {
			return first, nil
		}
		refused = &Error{Kind: KindEvidence, Err: inOneLine(errors.Join(first.doubts...)), Response: first.answer.Raw, Spent: first.spent}
	}
	if !repairable(refused) || !timeFor(ctx, minRepair) {
		if first != nil {
			return first, nil
		}
		return nil, refused
	}
	again := *in
	again.Repair = p.repair(refused)
	second, e := p.ask(ctx, &again, refused.Kind)
	switch {
	case e == nil && (first == nil || len(second.doubts) <= len(first.doubts)):
		second.add(refused.Spent)
		return second, nil
	case e == nil:
		first.add(second.spent)
		return first, nil
	case first != nil:
		first.add(e.Spent)
		return first, nil
	}
	both := &Error{
		Kind: e.Kind, Response: e.Response, Spent: refused.Spent.Add(e.Spent), Final: repairable(e) || e.Final,
		Err: fmt.Errorf("asked again because %w; then: %w", refused.Err, e.Err),
	}
	if len(both.Response) == 0 {
		both.Response = refused.Response
	}
	return nil, both
}

// add counts what another call for the same pattern took.
func (f *finished) add(other Spent) {
	f.spent = other.Add(f.spent)
	pv := &f.pattern.Provenance
	pv.Tokens, pv.CostUSD, pv.Attempts = f.spent.Tokens, f.spent.CostUSD, f.spent.Attempts
	pv.LatencyMS = f.spent.Latency.Milliseconds()
}

// minRepair is the least time worth asking again in: a usual answer takes two seconds,
// and one that comes too late is paid for all the same.
const minRepair = 2 * time.Second

// timeFor reports whether ctx leaves at least d.
func timeFor(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) >= d)
}

// ask asks the analyzer once, and checks its answer. Refusals carry what it cost.
func (p *Pipeline) ask(ctx context.Context, in *Input, repaired Kind) (*finished, *Error) {
	start := p.Now()
	ans, err := p.Analyzer.Analyze(ctx, in)
	in.stages.Analyze += p.since(start)
	if err != nil {
		return nil, asError(ctx, err)
	}
	start = p.Now()
	f, refused := p.finish(in, ans, repaired)
	in.stages.Finish += p.since(start)
	if refused != nil {
		refused.Spent, refused.Response = ans.spent(), ans.Raw
	}
	return f, refused
}

// repair says what was wrong with an answer.
func (p *Pipeline) repair(refused *Error) *Repair {
	previous, _ := p.Redactor.Text(strings.ToValidUTF8(string(refused.Response), "\uFFFD"))
	if len(previous) > MaxPrevious {
		n := MaxPrevious
		for !utf8.RuneStart(previous[n]) {
			n--
		}
		previous = previous[:n]
	}
	text, _ := p.Redactor.Text(refused.Err.Error())
	problems := strings.Split(text, "; ")
	if len(problems) > maxProblems {
		problems = append(problems[:maxProblems], "and more")
	}
	return &Repair{Previous: []byte(previous), Problems: problems}
}
