package cli

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/sqlite"
)

// What another writer stored unredacted does not come out of any command unredacted.
func TestOutputIsRedacted(t *testing.T) {
	const mail = "ann.doe@corp.example"
	file := filepath.Join(t.TempDir(), "other.db")
	storeUnredacted(t, file, mail)
	for _, args := range [][]string{
		{"patterns", "list"}, {"patterns", "list", "-o", "json"}, {"patterns", "show", "t-1"}, {"patterns", "show", "-o", "json", "t-1"},
		{"patterns", "export"}, {"runs", "list", "-o", "json"}, {"runs", "show", "run_1"}, {"runs", "show", "-o", "jsonl", "run_1"},
		{"errors", "list"}, {"errors", "list", "-o", "jsonl"},
	} {
		name := strings.Join(args, " ")
		args = slices.Insert(slices.Clone(args), 2, "-store", "sqlite:"+file)
		var stdout, stderr bytes.Buffer
		status := Main(context.Background(), args, Env{Getenv: getenv(nil), Stdout: &stdout, Stderr: &stderr, Now: time.Now})
		if status != statusDone {
			t.Errorf("%s: exit status %d\n%s", name, status, stderr.String())
		}
		if all := stdout.String() + stderr.String(); strings.Contains(all, mail) {
			t.Errorf("%s prints the address:\n%s", name, all)
		}
		if stdout.Len() == 0 {
			t.Errorf("%s prints nothing", name)
		}
	}
}

// storeUnredacted makes a store with a pattern, a run and an error that hold text.
func storeUnredacted(t *testing.T, file, text string) {
	t.Helper()
	ctx := context.Background()
	db, err := sqlite.Open(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	raw := evalforge.RawTrace{TraceID: "t-1", FetchedAt: evalforge.At(now), FailureType: "unknown", RecurrenceCount: 1, Payload: []byte(`{"text": "hello"}`)}
	if _, err := db.PutTrace(ctx, raw); err != nil {
		t.Fatal(err)
	}
	claims, err := db.Claim(ctx, extract.ClaimRequest{
		RunID: "run_1", Owner: "test", Limit: 1, Now: now, LeaseUntil: now.Add(time.Minute), NewToken: func() string { return "token" },
	})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %d, %v; want 1", len(claims), err)
	}
	p := evalforge.Pattern{
		PatternID: "pattern_t-1", SourceTraceID: "t-1", ExtractedAt: evalforge.At(now), Fingerprint: "0123456789abcdef",
		Analysis: evalforge.Analysis{
			Title: "Mail to " + text, FailureType: evalforge.Other, TriggerCondition: "no detectable error in the trace",
			Summary: text, RootCauseHypothesis: text, RecommendedActions: []string{"Ask " + text},
			Evidence: evalforge.Evidence{
				Signals: []string{text}, Excerpt: &text,
				Refs: []evalforge.EvidenceRef{{Quote: "from " + text, Match: "exact", Verified: true}},
			},
			ReproductionContext: evalforge.ReproductionContext{InputPattern: text, RequiredState: &text, ToolsInvolved: []string{text}},
			Severity:            evalforge.Low, Confidence: 0.5, ConfidenceRationale: text,
			FailingStep: &evalforge.FailingStep{Index: 1, Name: text, Agent: text},
		},
		Provenance: evalforge.Provenance{RunID: "run_1", Analyzer: "rules", Redactions: map[string]int{}, Warnings: []string{text}},
	}
	if err := db.Commit(ctx, claims[0].Lease, extract.Result{Pattern: &p, Digest: raw.Digest(), At: now}); err != nil {
		t.Fatal(err)
	}
	run := evalforge.Run{
		RunID: "run_1", StartedAt: evalforge.At(now), FinishedAt: evalforge.At(now), TriggeredBy: evalforge.Manual, BatchSize: 1,
		PickedUpCount: 1, ErrorCount: 1, Throttled: true, ThrottleReason: text, Analyzer: "rules", Redactions: map[string]int{},
		TraceOutcomes: []evalforge.TraceOutcome{{SourceTraceID: "t-2", Status: evalforge.Errored, ErrorReason: &text}},
	}
	if err := db.SaveRun(ctx, run); err != nil {
		t.Fatal(err)
	}
	if err := db.RecordError(ctx, evalforge.ExtractionError{
		RunID: "run_1", SourceTraceID: "t-2", ErrorType: evalforge.Unknown, ErrorMessage: text, RecordedAt: evalforge.At(now),
		ModelResponseSHA256: strings.Repeat("0", 64), ModelResponseExcerpt: text,
	}); err != nil {
		t.Fatal(err)
	}
}
