package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// workerEnv makes the test binary a worker that is going to be killed: FILE and NAME.
const workerEnv = "EVALFORGE_TEST_STORE_WORKER"

func TestMain(m *testing.M) {
	if path, name, ok := strings.Cut(os.Getenv(workerEnv), "\n"); ok {
		fmt.Println("end", work(context.Background(), path, name))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// work puts, claims, commits and fails traces until it is killed or something goes
// wrong. What was acknowledged is on standard output.
func work(ctx context.Context, path, name string) error {
	db, err := Open(ctx, path)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		now := time.Now()
		id := fmt.Sprintf("%s-%06d", name, n)
		tr := evalforge.RawTrace{TraceID: id, FetchedAt: evalforge.At(now), Payload: fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, strings.Repeat("x", n*997%30_000))}
		if _, err := db.PutTrace(ctx, tr); err != nil {
			return err
		}
		fmt.Println("put", id)
		claims, err := db.Claim(ctx, extract.ClaimRequest{RunID: "run_" + id, Owner: name, Limit: 2, Now: now,
			LeaseUntil: now.Add(time.Hour), NewToken: func() string { return fmt.Sprint(rand.Uint64()) }})
		if err != nil {
			return err
		}
		for _, c := range claims {
			if n%5 == 4 {
				f := extract.Failure{Quarantine: true, Error: evalforge.ExtractionError{RunID: c.RunID, SourceTraceID: c.TraceID,
					ErrorType: evalforge.Timeout, ErrorMessage: "slow", RecordedAt: evalforge.At(now)}}
				if err := db.Fail(ctx, c.Lease, f); err != nil {
					return err
				}
				fmt.Println("failed", c.TraceID)
				continue
			}
			p := testPattern(c.TraceID, now)
			if err := db.Commit(ctx, c.Lease, extract.Result{Pattern: &p, Digest: c.Digest, At: now}); err != nil {
				return err
			}
			fmt.Println("committed", c.TraceID)
		}
	}
}

func testPattern(id string, at time.Time) evalforge.Pattern {
	return evalforge.Pattern{
		PatternID: evalforge.PatternID(id), SourceTraceID: id, ExtractedAt: evalforge.At(at),
		Analysis: evalforge.Analysis{
			Title: "t", FailureType: evalforge.Other, TriggerCondition: "unknown cause", Summary: "s", RootCauseHypothesis: "r",
			Evidence: evalforge.Evidence{Signals: []string{"s"}}, RecommendedActions: []string{"a"}, Severity: evalforge.Low,
			ReproductionContext: evalforge.ReproductionContext{InputPattern: "i", ToolsInvolved: []string{}}, ConfidenceRationale: "c",
		},
	}
}

// TestKill kills two processes that share a file, at random moments, again and again.
// Nothing that was acknowledged may be lost, and nothing may be half-written.
func TestKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.db")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	acknowledged := map[string]map[string]bool{"put": {}, "failed": {}, "committed": {}}
	for round := range 10 {
		var workers sync.WaitGroup
		var mu sync.Mutex
		for w := range 2 {
			name := fmt.Sprintf("w%d-%d", round, w)
			lines, then := 1+rng.IntN(30), time.Duration(rng.IntN(3000))*time.Microsecond
			workers.Go(func() {
				if err := runAndKill(self, path, name, lines, then, func(verb, id string) {
					mu.Lock()
					defer mu.Unlock()
					acknowledged[verb][id] = true
				}); err != nil {
					t.Errorf("worker %s: %v", name, err)
				}
			})
		}
		workers.Wait()
		checkAfterKill(t, path, acknowledged)
	}
	if len(acknowledged["committed"]) == 0 || len(acknowledged["failed"]) == 0 {
		t.Errorf("the workers got nowhere: %d committed, %d failed", len(acknowledged["committed"]), len(acknowledged["failed"]))
	}
}

// runAndKill starts a worker, and kills it a moment after it has said so many lines.
// The moment is what is random: a transaction takes about as long.
func runAndKill(self, path, name string, lines int, then time.Duration, ack func(verb, id string)) error {
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), workerEnv+"="+path+"\n"+name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait() // killed: the error says no more than that
	scanner := bufio.NewScanner(out)
	for n := 1; scanner.Scan(); n++ {
		verb, id, _ := strings.Cut(scanner.Text(), " ")
		if verb == "end" {
			return errors.New(id)
		}
		ack(verb, id)
		if n == lines {
			kill := time.AfterFunc(then, func() { cmd.Process.Kill() })
			defer kill.Stop()
		}
	}
	if err := scanner.Err(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return nil
}

func checkAfterKill(t *testing.T, path string, acknowledged map[string]map[string]bool) {
	t.Helper()
	ctx := t.Context()
	db, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, check := range []string{"PRAGMA integrity_check", "SELECT coalesce(max('broken foreign key'), 'ok') FROM pragma_foreign_key_check"} {
		var result string
		if err := db.w.QueryRow(check).Scan(&result); err != nil || result != "ok" {
			t.Errorf("%s: got %q and error %v", check, result, err)
		}
	}
	checkBacklogCounts(t, db)
	for verb, ids := range acknowledged {
		for id := range ids {
			tr, err := db.Trace(ctx, id)
			if err != nil {
				t.Errorf("%s was put, but: %v", id, err)
			}
			if verb == "committed" && !tr.Processed {
				t.Errorf("%s was committed, but is not processed", id)
			}
			st, err := db.State(ctx, id)
			if verb == "failed" && (err != nil || st.QuarantinedAt.IsZero()) {
				t.Errorf("%s was quarantined, but its state is %+v, error %v", id, st, err)
			}
		}
	}
	rows, err := db.r.Query(`SELECT r.trace_id, s.status,
			EXISTS (SELECT 1 FROM failure_patterns p WHERE p.trace_id = r.trace_id),
			EXISTS (SELECT 1 FROM extraction_errors e WHERE e.trace_id = r.trace_id)
		FROM raw_traces r LEFT JOIN extraction_state s ON s.trace_id = r.trace_id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, status string
		var hasPattern, hasError bool
		if err := rows.Scan(&id, &status, &hasPattern, &hasError); err != nil {
			t.Fatal(err)
		}
		tr, err := db.Trace(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if done := status == "processed"; hasPattern != done || tr.Processed != done || hasError != (status == "quarantined") {
			t.Errorf("%s is half-written: status %s, processed %v, pattern %v, error %v", id, status, tr.Processed, hasPattern, hasError)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
