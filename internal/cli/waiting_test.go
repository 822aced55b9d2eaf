package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// waitingCall is a call on a memory store with the given unprocessed traces, and what it
// says on stderr.
func waitingCall(t *testing.T, now time.Time, ids ...string) (*call, *session, *bytes.Buffer) {
	t.Helper()
	store := memory.New()
	for _, id := range ids {
		_, err := store.PutTrace(t.Context(), evalforge.RawTrace{
			TraceID: id, FetchedAt: evalforge.At(now), FailureType: "unknown", RecurrenceCount: 1,
			Payload: json.RawMessage(`{"id": "` + id + `"}`),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := redact.New(redact.Options{Key: []byte("the key of this test")})
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	env := Env{Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &errs, Now: func() time.Time { return now }}
	cfg := &config{store: storeSpec{"sqlite", "a.db"}, given: []givenSetting{{"-store", "sqlite:a.db"}}}
	return &call{Env: env, term: newTerminal(env), cfg: cfg}, &session{store, r, clean.New(r)}, &errs
}

func claim(t *testing.T, s *session, now time.Time, id string) extract.Lease {
	t.Helper()
	got, err := s.store.Claim(t.Context(), extract.ClaimRequest{
		RunID: "run-" + id, Owner: "host, process 7", Limit: 1, TraceIDs: []string{id},
		Now: now, LeaseUntil: now.Add(5 * time.Minute), NewToken: func() string { return "token-" + id },
	})
	if err != nil || len(got) != 1 {
		t.Fatalf("claim %s: %d claims, error %v", id, len(got), err)
	}
	return got[0].Lease
}

func fail(t *testing.T, s *session, now time.Time, id string, retryAt time.Time) {
	t.Helper()
	l := claim(t, s, now, id)
	err := s.store.Fail(t.Context(), l, extract.Failure{RetryAt: retryAt, Quarantine: retryAt.IsZero(), Error: evalforge.ExtractionError{
		RunID: l.RunID, SourceTraceID: id, ErrorType: evalforge.Timeout, ErrorMessage: "took too long", RecordedAt: evalforge.At(now),
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunThatFindsNothingSaysWhatIsWaitedFor(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	c, s, errs := waitingCall(t, now, "leased", "soon", "later", "poison")
	claim(t, s, now, "leased")
	fail(t, s, now, "later", now.Add(time.Hour))
	fail(t, s, now, "soon", now.Add(time.Minute))
	fail(t, s, now, "poison", time.Time{})
	c.noteWaiting(t.Context(), s, &evalforge.Run{BatchSize: 50}, false)
	want := `2 traces are backing off after a failure, the next is due at 2026-03-04 05:07:07 UTC; evalforge run -store sqlite:a.db -trace ID takes one at once
1 trace is being worked on by another run; the first is free again by 2026-03-04 05:11:07 UTC
1 trace is quarantined after too many failures: evalforge errors list -store sqlite:a.db says why, evalforge retry -store sqlite:a.db ID brings one back
`
	if got := errs.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestNamedTracesThatWereMissedAreExplained(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	c, s, errs := waitingCall(t, now, "leased", "poison", "free", "done")
	claim(t, s, now, "leased")
	fail(t, s, now, "poison", time.Time{})
	rec := &evalforge.Run{TraceOutcomes: []evalforge.TraceOutcome{{SourceTraceID: "done", Status: evalforge.Stored}}}
	n, err := c.noteMissed(t.Context(), s, rec, []string{"done", "free", "leased", "nosuch", "poison"})
	if err != nil || n != 4 {
		t.Errorf("%d missed, error %v; want 4", n, err)
	}
	for _, want := range []string{
		"trace free: still waiting: ",
		"trace leased: leased by host, process 7 until 2026-03-04T05:11:07",
		"trace nosuch: unknown: the store sqlite:a.db has no such trace\n",
		"trace poison: quarantined: took too long; bring it back with evalforge retry -store sqlite:a.db poison\n",
	} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("no %q in\n%s", want, errs)
		}
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"sqlite:a.db":        "sqlite:a.db",
		"FILE":               "FILE",
		"firestore:p/d":      "firestore:p/d",
		"sqlite:with sp.db":  "'sqlite:with sp.db'",
		"it's":               `'it'\''s'`,
		"$(rm)":              "'$(rm)'",
		"":                   "''",
		"firestore:p/(deflt": "'firestore:p/(deflt'",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", in, got, want)
		}
	}
}
