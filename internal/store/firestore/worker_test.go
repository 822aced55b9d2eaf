package firestore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
)

// workerEnv makes the test binary a worker: HOST, PROJECT and number.
const workerEnv = "EVALFORGE_TEST_FIRESTORE_WORKER"

const (
	workers           = 8
	workerConcurrency = 2
	workerLease       = 4 * time.Second
)

// worker is the worker's main, if this process is one.
func worker() bool {
	args := strings.Fields(os.Getenv(workerEnv))
	if len(args) != 3 {
		return false
	}
	if err := work(context.Background(), args[0], args[1], args[2]); err != nil {
		fmt.Println("end", err)
	}
	return true
}

// aloud is an analyzer that says on standard output what it is asked, and takes a moment.
type aloud struct{ *script }

func (a aloud) Analyze(ctx context.Context, in *extract.Input) (*extract.Answer, error) {
	fmt.Println("call", in.TraceID)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(rand.N(20 * time.Millisecond)): // a model's answer takes time
	}
	return a.script.Analyze(ctx, in)
}

// work makes runs until the backlog is empty.
func work(ctx context.Context, host, project, number string) error {
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	o := Options{Project: project, Tasks: workers, Client: []option.ClientOption{option.WithGRPCConn(conn)}}
	if _, err := fmt.Sscan(number, &o.Task); err != nil {
		return err
	}
	db, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer db.Close()
	key, err := db.InstallationKey(ctx)
	if err != nil {
		return err
	}
	r, err := redact.New(redact.Options{Key: key})
	if err != nil {
		return err
	}
	e := &extract.Engine{Queue: db, Owner: "worker " + number, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Options:  extract.Options{Concurrency: workerConcurrency, Lease: workerLease, BatchSize: 40},
		Pipeline: &extract.Pipeline{Analyzer: aloud{&script{}}, Redactor: r, Now: time.Now}}
	for tick := time.Tick(200 * time.Millisecond); ; <-tick {
		run, err := e.Run(ctx, extract.RunRequest{})
		if err != nil {
			return err
		}
		if n := run.FailedCount() + run.NotStartedCount; n > 0 {
			return fmt.Errorf("%d traces failed in a run: %+v", n, run.TraceOutcomes)
		}
		b, err := db.Backlog(ctx, time.Now())
		if err != nil || b.Pending == 0 {
			return err
		}
	}
}

// TestKilledWorkers lets eight processes work off one backlog, and kills two of them in
// the middle of it. Every trace is processed once: the model is asked again only about
// those that were being worked on at a kill.
func TestKilledWorkers(t *testing.T) {
	host := emulator.Host(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	traces := 400
	if testing.Short() {
		traces = 100
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	db := open(t, emulator.Project())
	all := make([]evalforge.RawTrace, traces)
	for i := range all {
		all[i] = raw(fmt.Sprintf("trace-%03d", i), i/7)
	}
	ingestMany(t, db, all)

	var mu sync.Mutex
	calls := map[string]int{}
	var killed atomic.Int64
	// The others start when the two have got as far as they shall: on a busy machine
	// they could be done before.
	var wg, reached sync.WaitGroup
	reached.Add(2)
	for w := range workers {
		after := -1 // calls of the model after which it is killed, and how long after that
		if w < 2 {
			after = 1 + rng.IntN(traces/workers/2)
		}
		then := time.Duration(rng.IntN(30_000)) * time.Microsecond
		if w == 2 {
			reached.Wait()
		}
		wg.Go(func() {
			there := sync.OnceFunc(reached.Done)
			if w < 2 {
				defer there()
			}
			n := 0
			dead, err := runWorker(self, fmt.Sprint(host, " ", db.project, " ", w), after, then, func(id string) {
				if n++; n == after {
					there()
				}
				mu.Lock()
				defer mu.Unlock()
				calls[id]++
			})
			if err != nil {
				t.Errorf("seed %d: worker %d: %v", seed, w, err)
			}
			if dead {
				killed.Add(1)
			}
		})
	}
	start := time.Now()
	wg.Wait()
	total, twice := 0, 0
	for _, n := range calls {
		total += n
		twice += n - 1
	}
	t.Logf("seed %d: %d calls for %d traces, %d repeated, %d workers killed, %v", seed, total, traces, twice, killed.Load(), time.Since(start).Round(time.Millisecond))
	if killed.Load() != 2 {
		t.Errorf("seed %d: %d workers were killed, want 2", seed, killed.Load())
	}
	if limit := traces + 2*workerConcurrency; total > limit || len(calls) != traces {
		t.Errorf("seed %d: the model was called %d times about %d traces, want at most %d about %d", seed, total, len(calls), limit, traces)
	}
	wantAllProcessed(t, db, traces)
}

// runWorker runs a worker to its end, or kills it a moment after so many calls of the model.
func runWorker(self, args string, after int, then time.Duration, call func(id string)) (killed bool, err error) {
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), workerEnv+"="+args)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	scanner := bufio.NewScanner(out)
	for n := 1; scanner.Scan(); n++ {
		verb, rest, _ := strings.Cut(scanner.Text(), " ")
		if verb == "end" {
			err = errors.Join(err, errors.New(rest))
			continue
		}
		call(rest)
		if n == after {
			kill := time.AfterFunc(then, func() { cmd.Process.Kill() })
			defer kill.Stop()
		}
	}
	var exit *exec.ExitError
	if werr := cmd.Wait(); errors.As(werr, &exit) && exit.ExitCode() == -1 && after >= 0 {
		return true, err
	} else if werr != nil {
		err = errors.Join(err, werr)
	}
	return false, err
}
