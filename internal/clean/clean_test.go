package clean_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/redact"
)

// Records of older versions and other writers are shown without what a terminal acts on,
// and what that hid from the redactor is redacted.
func TestErrorsAreVisible(t *testing.T) {
	r, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
	if err != nil {
		t.Fatal(err)
	}
	c := clean.New(r)
	reason := "it \x1b[31mfailed\x1b[0m\u202e"
	got := c.Error(evalforge.ExtractionError{ErrorMessage: reason, ModelResponseExcerpt: "mail jo.doe@exa\u200bmple.com"})
	plain, _ := r.Text("mail jo.doe@example.com")
	if diff := cmp.Diff(evalforge.ExtractionError{ErrorMessage: "it failed", ModelResponseExcerpt: plain}, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	run := c.Run(evalforge.Run{ThrottleReason: reason, TraceOutcomes: []evalforge.TraceOutcome{{ErrorReason: &reason}}})
	if run.ThrottleReason != "it failed" || *run.TraceOutcomes[0].ErrorReason != "it failed" {
		t.Errorf("run: %q, %q", run.ThrottleReason, *run.TraceOutcomes[0].ErrorReason)
	}
}
