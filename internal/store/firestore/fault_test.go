package firestore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// A fault is what can happen to a call. A read that is answered by a stream is lost in
// the middle: one answer comes, and then no more.
type fault int

const (
	none        fault = iota
	lostAck           // done, but the answer is lost, or all of a stream but the first
	unavailable       // not done
	aborted
	deadline
	exhausted
	hang    // not done, and no answer
	hangAck // done, and no answer, or only the first of a stream
)

func (f fault) String() string {
	return [...]string{"none", "lost acknowledgement", "Unavailable", "Aborted", "DeadlineExceeded", "ResourceExhausted", "hang", "hang after it was done"}[f]
}

func (f fault) err() error {
	code := map[fault]codes.Code{lostAck: codes.Unavailable, unavailable: codes.Unavailable, aborted: codes.Aborted,
		deadline: codes.DeadlineExceeded, exhausted: codes.ResourceExhausted}[f]
	return status.Error(code, "injected: "+f.String())
}

// end is how a call with the fault ends.
func (f fault) end(ctx context.Context) error {
	if f == hang || f == hangAck {
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	return f.err()
}

// injecting returns a connection's options with which pick says what happens to each call.
func injecting(pick func(method string) fault) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			f := pick(method)
			if f == none || f == lostAck || f == hangAck {
				if err := invoke(ctx, method, req, reply, cc, o...); err != nil || f == none {
					return err
				}
			}
			return f.end(ctx)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			f := pick(method)
			if f == none {
				return stream(ctx, d, cc, method, o...)
			}
			if f != lostAck && f != hangAck {
				return nil, f.end(ctx)
			}
			s, err := stream(ctx, d, cc, method, o...)
			return &brokenStream{ClientStream: s, f: f}, err
		}),
	}
}

// A brokenStream breaks off after the first answer.
type brokenStream struct {
	grpc.ClientStream
	f    fault
	seen bool
}

func (s *brokenStream) RecvMsg(msg any) error {
	if s.seen {
		return s.f.end(s.Context())
	}
	s.seen = true
	return s.ClientStream.RecvMsg(msg)
}

// tell plays a story in which every method of the store is called, and fails if one says
// anything else than it would without faults.
func tell(ctx context.Context, db *DB) error {
	var errs []error
	check := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	for i, id := range []string{"a", "b", "c"} {
		res, err := db.PutTrace(ctx, raw(id, i))
		check("put", err)
		if res != extract.Created {
			check("put", fmt.Errorf("got %q", res))
		}
	}
	changed := raw("c", 2)
	changed.Severity = "low"
	res, err := db.PutTrace(ctx, changed)
	check("put again", err)
	if res != extract.Replaced {
		check("put again", fmt.Errorf("got %q", res))
	}
	tokens := 0
	claim := func(run string, at int, want ...string) []extract.Claim {
		claims, err := db.Claim(ctx, extract.ClaimRequest{RunID: run, Owner: "w", Limit: 3, Now: minute(at), LeaseUntil: minute(at + 5),
			NewToken: func() string { tokens++; return fmt.Sprint(run, tokens) }})
		check("claim", err)
		got := []string{}
		for _, c := range claims {
			got = append(got, fmt.Sprintf("%s:%d", c.TraceID, c.Attempt))
		}
		if !slices.Equal(got, want) {
			check("claim", fmt.Errorf("got %q, want %q", got, want))
		}
		return claims
	}
	claims := claim("run_1", 1, "a:1", "b:1", "c:1")
	if len(claims) != 3 {
		return errors.Join(errs...)
	}
	check("renew", db.Renew(ctx, claims[0].Lease, minute(20)))
	p := evalforge.Pattern{PatternID: evalforge.PatternID("a"), SourceTraceID: "a", Analysis: analysis(), ExtractedAt: evalforge.At(minute(2))}
	check("commit", db.Commit(ctx, claims[0].Lease, extract.Result{Pattern: &p, Digest: claims[0].Digest, At: minute(2)}))
	f := extract.Failure{Quarantine: true, Error: evalforge.ExtractionError{RunID: "run_1", SourceTraceID: "b",
		ErrorType: evalforge.Timeout, ErrorMessage: "slow", RecordedAt: evalforge.At(minute(2))}}
	check("fail", db.Fail(ctx, claims[1].Lease, f))
	check("release", db.Release(ctx, claims[2].Lease))
	check("retry", db.Retry(ctx, "b", minute(3)))
	again := claim("run_2", 4, "b:1", "c:1")
	if len(again) == 2 {
		check("commit", db.Commit(ctx, again[1].Lease, extract.Result{Digest: again[1].Digest, At: minute(5)}))
	}
	check("record error", db.RecordError(ctx, f.Error))
	check("save run", db.SaveRun(ctx, evalforge.Run{RunID: "run_1", StartedAt: evalforge.At(minute(1)), TriggeredBy: evalforge.Manual,
		TraceOutcomes: []evalforge.TraceOutcome{{SourceTraceID: "b", Status: evalforge.TimedOut, ErrorReason: &f.Error.ErrorMessage}}}))
	tellMoney(ctx, db, check)
	key, err := db.InstallationKey(ctx)
	check("key", err)
	if len(key) != 32 {
		check("key", fmt.Errorf("got %d bytes", len(key)))
	}
	b, err := db.Backlog(ctx, minute(5))
	check("backlog", err)
	if want := (extract.Backlog{Pending: 1, Leased: 1, Processed: 2, OldestDue: evalforge.At(raw("b", 1).FetchedAt.Time)}); b != want {
		check("backlog", fmt.Errorf("got %+v, want %+v", b, want))
	}
	list, _, err := db.Patterns(ctx, extract.PatternQuery{})
	check("list", err)
	if len(list) != 1 {
		check("list", fmt.Errorf("got %d patterns", len(list)))
	}
	_, err = db.Trace(ctx, "a")
	check("trace", err)
	for n, look := range []func(context.Context, string) (extract.Forgotten, error){db.Kept, db.Forget} {
		got, err := look(ctx, "b")
		check("forget", err)
		want := extract.Forgotten{Trace: true, State: true, Errors: 1, Reasons: 1, Owner: "w", OpenRuns: []string{"run_2"}}
		if d := gocmp.Diff(want, got); d != "" {
			check("forget", fmt.Errorf("call %d (-want +got):\n%s", n, d))
		}
	}
	return errors.Join(errs...)
}

// dump returns every document.
func dump(t *testing.T, db *DB) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, name := range []string{rawTraces, patterns, runs, errorDocs, states} {
		snaps, err := query(t.Context(), db.collection(name).Query)
		if err != nil {
			t.Fatal(err)
		}
		for _, snap := range snaps {
			all[name+"/"+snap.Ref.ID] = snap.Data()
		}
	}
	return all
}

// without returns the documents without some of their fields.
func without(docs map[string]any, names ...string) map[string]any {
	for _, doc := range docs {
		for _, name := range names {
			delete(doc.(map[string]any), name)
		}
	}
	return docs
}

// result is what is the same in every telling of the story.
func result(t *testing.T, db *DB) map[string]any {
	t.Helper()
	return without(dump(t, db), "mark", "raw_version", "lease_token", "ended")
}

// TestFaultsInTurn lets every single call of the story fail in every way, and every third
// hang. The callers notice nothing, and the documents are the same in the end.
func TestFaultsInTurn(t *testing.T) {
	var calls atomic.Int64
	clean := open(t, emulator.Project(), injecting(func(string) fault { calls.Add(1); return none })...)
	if err := tell(t.Context(), clean); err != nil {
		t.Fatal(err)
	}
	want := result(t, clean)
	step := int64(1)
	if testing.Short() {
		step = 6
	}
	t.Logf("%d calls", calls.Load())
	type job struct {
		call int64
		f    fault
	}
	var jobs []job
	for _, f := range []fault{lostAck, unavailable, aborted, deadline, hang, hangAck} {
		first, step := int64(1), step
		if f == hang || f == hangAck { // which take their time: others in each test run
			step *= 3
			first += rand.Int64N(step)
		}
		for n := first; n <= calls.Load(); n += step {
			jobs = append(jobs, job{n, f})
		}
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < len(jobs); i += 8 {
				j := jobs[i]
				var n atomic.Int64
				var hit atomic.Value
				db := open(t, emulator.Project(), injecting(func(method string) fault {
					if n.Add(1) == j.call {
						hit.Store(method)
						return j.f
					}
					return none
				})...)
				if j.f == hang || j.f == hangAck {
					db.patience = time.Second // rather than three, eight stories at once
				}
				if err := tell(t.Context(), db); err != nil {
					t.Errorf("%v at call %d, %v: %v", j.f, j.call, hit.Load(), err)
					continue
				}
				if d := gocmp.Diff(want, result(t, open(t, db.project))); d != "" {
					t.Errorf("%v at call %d, %v: other documents (-want +got):\n%s", j.f, j.call, hit.Load(), d)
				}
			}
		})
	}
	wg.Wait()
}

// TestFaultsAtRandom makes runs over a connection on which every tenth call fails.
func TestFaultsAtRandom(t *testing.T) {
	seeds := 3
	if testing.Short() {
		seeds = 1
	}
	for range seeds {
		seed := rand.Uint64()
		var mu sync.Mutex
		rng := rand.New(rand.NewPCG(seed, 0))
		project := emulator.Project()
		faulty := injecting(func(string) fault {
			mu.Lock()
			defer mu.Unlock()
			if rng.IntN(10) > 0 {
				return none
			}
			return fault(1 + rng.IntN(5))
		})
		quiet := open(t, project)
		const traces = 40
		for i := range traces {
			if i%2 == 0 {
				ingest(t, quiet, raw(fmt.Sprintf("t%02d", i), i))
			} else if _, err := quiet.PutTrace(t.Context(), raw(fmt.Sprintf("t%02d", i), i)); err != nil {
				t.Fatal(err)
			}
		}
		analyzer := &script{}
		var stored atomic.Int64
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				e := engine(t, open(t, project, faulty...), analyzer, extract.Options{Concurrency: 3, Lease: time.Minute})
				stored.Add(int64(run(t, e, traces).StoredCount))
			})
		}
		wg.Wait()
		if stored.Load() != traces || analyzer.calls.Load() != traces {
			t.Errorf("seed %d: %d stored with %d calls of the model, want %d of each", seed, stored.Load(), analyzer.calls.Load(), traces)
		}
		wantAllProcessed(t, quiet, traces)
		if t.Failed() {
			return
		}
	}
}

// wantAllProcessed checks that every trace is processed, with one pattern, and that
// nothing is left of the work.
func wantAllProcessed(t *testing.T, db *DB, traces int) {
	t.Helper()
	all := dump(t, db)
	n := map[string]int{}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		fields := all[path].(map[string]any)
		collection, id, _ := strings.Cut(path, "/")
		n[collection]++
		switch collection {
		case rawTraces:
			if fields["processed"] != true || fields["processed_at"] == nil {
				t.Errorf("%s is not processed", id)
			}
		case patterns:
			if fields["pattern_id"] != "pattern_"+id {
				t.Errorf("pattern %s calls itself %v", id, fields["pattern_id"])
			}
		case states:
			if fields["queue"] != done || fields["lease_until"] != "" || fields["pending"] != nil || fields["due_at"] != nil || fields["ready_at"] != nil {
				t.Errorf("state of %s: %v", id, fields)
			}
		case errorDocs:
			t.Errorf("error document %s", id)
		}
	}
	for _, c := range []string{rawTraces, patterns, states} {
		if n[c] != traces {
			t.Errorf("%d documents in %s, want %d", n[c], c, traces)
		}
	}
}

// TestHungAcknowledgement: the write that ends a lease is made, its answer never comes, and
// the caller gives up. Asking for the same again is a success in any process, as often as
// one likes, and for another end it is not.
func TestHungAcknowledgement(t *testing.T) {
	p := evalforge.Pattern{PatternID: evalforge.PatternID("a"), SourceTraceID: "a", Analysis: analysis(), ExtractedAt: evalforge.At(minute(2))}
	type ending = func(ctx context.Context, db *DB, l extract.Lease, n int) error
	ends := map[string]ending{
		"commit": func(ctx context.Context, db *DB, l extract.Lease, n int) error {
			return db.Commit(ctx, l, extract.Result{Pattern: &p, Digest: l.Digest, At: minute(2 + n)})
		},
		"fail": func(ctx context.Context, db *DB, l extract.Lease, n int) error {
			return db.Fail(ctx, l, extract.Failure{Quarantine: true, Error: evalforge.ExtractionError{RunID: l.RunID, SourceTraceID: "a",
				ErrorType: evalforge.Timeout, ErrorMessage: "slow", RecordedAt: evalforge.At(minute(2))}})
		},
	}
	others := map[string]ending{"commit": ends["fail"], "fail": ends["commit"]}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			project := emulator.Project()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var armed atomic.Bool
			db := open(t, project, injecting(func(method string) fault {
				if armed.Load() && strings.HasSuffix(method, "/Commit") {
					time.AfterFunc(100*time.Millisecond, cancel) // the caller's patience ends
					return hangAck
				}
				return none
			})...)
			ingest(t, db, raw("a", 0))
			claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "run_1", Owner: "w", Limit: 1, Now: minute(1), LeaseUntil: minute(6),
				NewToken: func() string { return "token" }})
			if err != nil || len(claims) != 1 {
				t.Fatalf("claimed %v, error %v", claims, err)
			}
			l := claims[0].Lease
			armed.Store(true)
			if err := end(ctx, db, l, 0); !errors.Is(err, context.Canceled) {
				t.Fatalf("the first call ended with %v", err)
			}
			armed.Store(false)
			before := dump(t, db)
			for n, handle := range []*DB{open(t, project), db, db} { // a restart, and the same process
				if err := end(t.Context(), handle, l, n); err != nil {
					t.Errorf("the same again: %v", err)
				}
			}
			if other := others[name]; !errors.Is(other(t.Context(), db, l, 0), extract.ErrLeaseLost) {
				t.Error("another end than the first was no lost lease")
			}
			if d := gocmp.Diff(before, dump(t, db)); d != "" {
				t.Errorf("asking again wrote (-want +got):\n%s", d)
			}
		})
	}
}
