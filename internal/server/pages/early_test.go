package pages_test

import (
	"strings"
	"testing"

	"github.com/evalforge/evalforge"
)

// Who is on call sees on the first page that the last run ended early, and why; no page says of such a run that
// nothing was due.
func TestRunThatEndedEarlyIsSeen(t *testing.T) {
	const reason = "the model does not answer: <b>503</b>"
	for name, picked := range map[string]int{"in the middle": 2, "before it took a trace": 0} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			run := evalforge.Run{RunID: "run_early", StartedAt: evalforge.At(today), FinishedAt: evalforge.At(today), TriggeredBy: evalforge.Scheduled, BatchSize: 50,
				PickedUpCount: picked, NotStartedCount: picked, Throttled: true, ThrottleReason: reason, Analyzer: "rules"}
			if err := w.store.SaveRun(t.Context(), run); err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]string{
				"/":               "<strong>Ended early:</strong> the model does not answer: &lt;b&gt;503&lt;/b&gt;",
				"/runs":           "ended early: the model does not answer",
				"/runs/run_early": "The run ended early: the model does not answer",
			} {
				_, page := w.get(path)
				if !strings.Contains(page, want) {
					t.Errorf("%s does not say %q: %s", path, want, page)
				}
				if strings.Contains(strings.ToLower(page), "was due") || strings.Contains(page, "were due") {
					t.Errorf("%s says that nothing was due", path)
				}
			}
		})
	}
}
