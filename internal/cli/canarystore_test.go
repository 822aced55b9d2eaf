package cli

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact/redacttest"
	"github.com/evalforge/evalforge/internal/store/sqlite"
)

// A value of every kind that another service, or an older version of this one, left in
// any document of the store as it came is not in what the service answers and logs.
func TestCanariesOfOthers(t *testing.T) {
	text := redacttest.Text(0) + "\n" + ownKey
	path := filepath.Join(t.TempDir(), "c.db")
	plantStore(t, path, text)
	model := geminitest.NewServer(t, echo)
	c := &caught{t: t, seen: make(map[string][]byte), env: getenv(map[string]string{
		"GOOGLE_GEMINI_BASE_URL": model.URL, "GEMINI_API_KEY": ownKey, "EVALFORGE_RETRY_BACKOFF": "0",
		"EVALFORGE_SOURCE_URLS": `{"other": "https://example.com/{trace_id}/{span_id}"}`,
	})}
	s := c.serve("sqlite:" + path)
	s.readAll()
	s.changeSome()
	s.run()
	s.stop()
	for i, r := range model.Requests() {
		c.seen[fmt.Sprintf("request %d", i)] = r.Body
	}
	c.search()
}

// plantStore makes a store with documents of all sorts and text in each of their fields
// but for the ids of documents, which are shown as they are: the next question is asked
// with them.
func plantStore(t *testing.T, path, text string) {
	t.Helper()
	ctx := t.Context()
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	put := func(id string, s specimen, group int) {
		companies := s.companies(t)
		value := json.RawMessage(bytes.SplitAfter(s.plant(t, text, companies[group%len(companies)]...), []byte("\n"))[0])
		if value[0] != '{' {
			value = fmt.Appendf(nil, `{"messages": %s}`, value)
		}
		_, err := db.PutTrace(ctx, evalforge.RawTrace{TraceID: id, FetchedAt: evalforge.At(now), FailureType: text, Severity: text, ServiceName: text,
			Payload: value, RecurrenceCount: 1, StatusHistory: []evalforge.StatusChange{{Status: text, Actor: text, Destination: text}},
			ExportDestination: text, ExportReference: text})
		must(err)
	}
	claim := func(run string) []extract.Claim {
		claims, err := db.Claim(ctx, extract.ClaimRequest{RunID: run, Owner: "test", Limit: 500, Now: now, LeaseUntil: now.Add(time.Hour), NewToken: rand.Text})
		must(err)
		return claims
	}
	list := specimens(t)
	for i, s := range list {
		put(fmt.Sprintf("trace-%d", i), s, i)
	}
	for _, run := range []string{"run-1", "run-2"} { // the second time everything gets a history
		record := evalforge.Run{RunID: run, StartedAt: evalforge.At(now), FinishedAt: evalforge.At(now), TriggeredBy: evalforge.Manual, ThrottleReason: text}
		for i, c := range claim(run) {
			outcome := evalforge.TraceOutcome{SourceTraceID: c.TraceID, Status: evalforge.Errored, ErrorReason: &text}
			failure := evalforge.ExtractionError{RunID: run, SourceTraceID: c.TraceID, ErrorType: evalforge.InvalidJSON, ErrorMessage: text,
				RecordedAt: evalforge.At(now), ModelResponseExcerpt: text}
			switch {
			case i%3 == 0:
				must(db.Fail(ctx, c.Lease, extract.Failure{Error: failure, Quarantine: true}))
			default:
				p := plantedPattern(c.TraceID, run, text, now)
				must(db.Commit(ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: now}))
				must(db.Reopen(ctx, c.TraceID, now))
				outcome.Status = evalforge.Stored
			}
			record.PickedUpCount++
			record.TraceOutcomes = append(record.TraceOutcomes, outcome)
		}
		must(db.SaveRun(ctx, record))
		now = now.Add(time.Second)
	}
	for i, s := range list { // for the service to work on
		put(fmt.Sprintf("fresh-%d", i), s, i+1)
	}
}

// plantedPattern returns a pattern with text in each field that is not an id or a digest.
func plantedPattern(id, run, text string, at time.Time) evalforge.Pattern {
	step := 0
	few := redacttest.Canaries()[0].Text() + "\n" + redacttest.Canaries()[3].Text() + "\n" + ownKey
	return evalforge.Pattern{
		PatternID: evalforge.PatternID(id), SourceTraceID: id, ExtractedAt: evalforge.At(at), Fingerprint: "f1",
		Analysis: evalforge.Analysis{
			Title: few, FailureType: evalforge.FailureTypes()[0], TriggerCondition: "planted", Summary: text, RootCauseHypothesis: text,
			Evidence: evalforge.Evidence{Signals: []string{text}, Excerpt: &few, Refs: []evalforge.EvidenceRef{
				{Step: &step, Quote: text, Match: text, SpanID: text}, {Quote: few, Verified: true}}},
			RecommendedActions:  []string{text},
			ReproductionContext: evalforge.ReproductionContext{InputPattern: text, RequiredState: &text, ToolsInvolved: []string{text}},
			Severity:            evalforge.Severities()[0], Confidence: 0.9, ConfidenceRationale: text,
			FailingStep: &evalforge.FailingStep{SpanID: text, Name: text, Agent: text},
		},
		Provenance: evalforge.Provenance{
			RunID: run, ServiceName: text, Analyzer: "rules", ModelVersion: text, Warnings: []string{text}, Redactions: map[string]int{"EMAIL": 1},
			ConfidenceMoves: []evalforge.ConfidenceMove{{Name: "evidence", Reason: text}}, Repaired: text,
		},
	}
}
