package signal

import "testing"

func TestSuspectNamesTheStepThatMadeDataUp(t *testing.T) {
	for _, tc := range []struct {
		name  string
		trace *conv
		want  int
	}{
		{"assumed data", new(conv).agent("lead", "Find out how many ships passed.").
			agent("coder", "We should look at the register first, then count.").
			agent("coder", "We cannot reach it. Let's assume 1204 and 1310 ships, as sample data.").
			agent("checker", "That looks right to me.").agent("lead", "TERMINATE"), 2},
		{"figures without a source", new(conv).agent("lead", "What did the houses sell for?").
			agent("estate", "Here are the prices: 850,000 and 950,000 at 2072 and 2017, sold in 2022 and 2023.").
			agent("checker", "Good.").agent("lead", "TERMINATE"), 1},
		{"code that failed", new(conv).agent("lead", "Sum the column.").agent("planner", "First we read the file.").
			agent("coder", "```python\nsum(x)\n```").run("exitcode: 1 (execution failed)\nCode output: NameError").
			agent("lead", "The sum cannot be given."), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, ok := Suspect(&tc.trace.t); !ok || got != tc.want {
				t.Errorf("suspects step %d (%v), want %d", got, ok, tc.want)
			}
		})
	}
}
