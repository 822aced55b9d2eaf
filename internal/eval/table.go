package eval

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// maxListed bounds the errors that [WriteTable] lists; the JSON report has them all.
const maxListed = 20

// WriteTable writes r for people who have read neither the code nor the labels.
func WriteTable(w io.Writer, r *Report) error {
	var b strings.Builder
	fa := &r.FalseAlarms
	fmt.Fprintf(&b, "Scored %s: %s, %s.\n\n", plural(r.Cases, "case"),
		plural(r.Cases-fa.Negatives, "failed run"), plural(fa.Negatives, "successful run"))

	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "QUESTION\tRIGHT\tOF\tACCURACY\t95% INTERVAL\tANSWERING WITHOUT LOOKING")
	row := func(question string, right, of int, acc *float64, ci *[2]float64, trivial string) {
		if of == 0 {
			fmt.Fprintf(tw, "%s\t-\t0\tnot scored\t\t\n", question)
			return
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\t%s\n", question, right, of, share(acc), interval(ci), trivial)
	}
	t := &r.Trivial
	ft, tc, fs, ag := &r.FailureType, &r.TriggerCondition, &r.FailingStep, &r.Agent
	row("failure type", ft.Correct, ft.Scored, ft.Accuracy, ft.CI95, always(t.MajorityTypeAnswer, t.MajorityType))
	row("trigger condition", tc.Correct, tc.Scored, tc.Accuracy, tc.CI95, "")
	row("failing step", fs.Correct, fs.Scored, fs.Accuracy, fs.CI95,
		fmt.Sprintf("always the first: %s, always the last: %s", share(t.AlwaysFirstStep), share(t.AlwaysLastStep)))
	if fs.Scored > 0 {
		fmt.Fprintf(tw, "  at most %d steps off\t%.0f\t%d\t%s\t\t\n", nearSteps, *fs.Within3*float64(fs.Scored), fs.Scored, share(fs.Within3))
	}
	row("agent", ag.Correct, ag.Scored, ag.Accuracy, ag.CI95, always(t.MajorityAgentAnswer, t.MajorityAgent))
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n") // cells are padded, the last ones too
	}

	b.WriteByte('\n')
	if fa.Negatives > 0 {
		fmt.Fprintf(&b, "False alarms: %d of %s (%s) taken for a failure with a confidence of 0.5 or more.\n",
			fa.Alarms, plural(fa.Negatives-fa.Unanswered, "successful run"), share(fa.Rate))
	}
	if e := &r.Evidence; e.Quotes > 0 {
		fmt.Fprintf(&b, "Evidence: %d of %s (%s) found in the trace.\n", e.Verified, plural(e.Quotes, "quote"), share(rate(e.Verified, e.Quotes)))
	}
	writeCalibration(&b, &r.Calibration, &r.CalibrationGiven)
	if r.Tokens.Prompt+r.Tokens.Output > 0 {
		fmt.Fprintf(&b, "Cost: $%.4f for %d tokens in and %d out.\n", r.CostUSD, r.Tokens.Prompt, r.Tokens.Output)
	}
	writeErrors(&b, r.Errors)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeCalibration(b *strings.Builder, c, given *Calibration) {
	if c.ECE == nil {
		return
	}
	fmt.Fprintf(b, "Confidence: %s on average where the failure type is right, %s where it is wrong; off by %.2f from the real accuracy.\n",
		mean(c.MeanConfidenceCorrect), mean(c.MeanConfidenceIncorrect), *c.ECE)
	if c.AnswersAt08 > 0 {
		fmt.Fprintf(b, "            %s of the %s with a confidence of 0.8 or more right.\n",
			share(c.CorrectAt08), plural(c.AnswersAt08, "answer"))
	}
	if given.ECE != nil && (*given.ECE != *c.ECE || *given.Brier != *c.Brier) {
		fmt.Fprintf(b, "            As the analyzer gave it, it was off by %.2f; the mean squared error went from %.3f to %.3f.\n", *given.ECE, *given.Brier, *c.Brier)
	}
}

func writeErrors(b *strings.Builder, errs []CaseFailure) {
	if len(errs) == 0 {
		return
	}
	invalid := 0
	for _, e := range errs {
		invalid += count(e.Kind == KindInvalidCase)
	}
	b.WriteByte('\n')
	if n := len(errs) - invalid; n > 0 {
		fmt.Fprintf(b, "No pattern came of %s; failed runs among them count as wrong.\n", plural(n, "case"))
	}
	if invalid > 0 {
		fmt.Fprintf(b, "Left out because no case could be made of them: %s.\n", plural(invalid, "line"))
	}
	for i, e := range errs {
		if i == maxListed {
			fmt.Fprintf(b, "  … and %d more\n", len(errs)-i)
			break
		}
		if e.Kind == KindInvalidCase {
			fmt.Fprintf(b, "  %s\n", e.Error) // begins with file:line
			continue
		}
		fmt.Fprintf(b, "  %s (%s): %s: %s\n", e.ID, e.Source, e.Kind, e.Error)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func always(answer string, p *float64) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("always %q: %s", answer, share(p))
}

// share writes a rate in percent, or "-" for none.
func share(p *float64) string {
	if p == nil {
		return "-"
	}
	return percent(*p)
}

func percent(p float64) string { return fmt.Sprintf("%.1f%%", 100*p) }

func interval(ci *[2]float64) string {
	if ci == nil {
		return ""
	}
	return fmt.Sprintf("%.1f to %.1f%%", 100*ci[0], 100*ci[1])
}

func mean(m *float64) string {
	if m == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *m)
}
