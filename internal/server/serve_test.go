package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/server"
	"github.com/evalforge/evalforge/internal/server/problem"
)

// A service that is told to stop in mid-run answers the run's caller with what was done, gives back what was not,
// and takes less than the time that Cloud Run grants.
func TestStoppingInMidRun(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	well, never := geminitest.Well(), geminitest.Never()
	var n atomic.Int64
	s, stop := serve(t, withGemini(func(w http.ResponseWriter, r *geminitest.Request) {
		if n.Add(1) == 1 {
			well(w, r)
			return
		}
		asked <- struct{}{}
		never(w, r)
	}), func(s *service) { s.engine.Options.Grace = 50 * time.Millisecond })
	s.traces(5)
	answer := make(chan response, 1)
	go func() { answer <- s.do(http.MethodPost, "/extraction/run-once", "") }()
	<-asked
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if took := time.Since(began); took > server.DrainTime {
		t.Errorf("stopping took %s", took)
	}
	r := <-answer
	if r.StatusCode != http.StatusAccepted {
		t.Fatalf("the run's caller got %s\n%s", r.Status, r.body)
	}
	got := decode[evalforge.RunSummary](t, r.body)
	if got.StoredCount != 1 || got.NotStartedCount != 1 || got.PickedUpCount != 2 || got.ThrottleReason != "the run was stopped" {
		t.Errorf("got %+v, want one trace stored, one given back", got)
	}
	b, err := s.store.Backlog(t.Context(), time.Now())
	if err != nil || b.Leased != 0 || b.Pending != 4 {
		t.Errorf("got backlog %+v, %v, want 4 traces free", b, err)
	}
	if _, err := s.store.Run(t.Context(), got.RunID); err != nil {
		t.Errorf("the run has no record: %v", err)
	}
	if _, err := http.Get(s.url + "/health"); err == nil {
		t.Error("the service still answers")
	}
}

// A service that stops refuses new runs and tells the caller to come again.
func TestNoRunBeginsWhileStopping(t *testing.T) {
	s := start(t)
	<-s.runner.Stop()
	r := s.do(http.MethodPost, "/extraction/run-once", "")
	r.refused(t, problem.Stopping)
	if r.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
}

// A faultyStore is a store that can be made to fail.
type faultyStore struct {
	extract.Store
	down atomic.Bool
	hang atomic.Bool
}

var errDown = errors.New("connection refused by host secret-host-name")

func (f *faultyStore) fault(ctx context.Context) error {
	if f.hang.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.down.Load() {
		return errDown
	}
	return nil
}

func (f *faultyStore) Claim(ctx context.Context, r extract.ClaimRequest) ([]extract.Claim, error) {
	if err := f.fault(ctx); err != nil {
		return nil, err
	}
	return f.Store.Claim(ctx, r)
}

func (f *faultyStore) Commit(ctx context.Context, l extract.Lease, r extract.Result) error {
	if err := f.fault(ctx); err != nil {
		return err
	}
	return f.Store.Commit(ctx, l, r)
}

func (f *faultyStore) SaveRun(ctx context.Context, r evalforge.Run) error {
	if err := f.fault(ctx); err != nil {
		return err
	}
	return f.Store.SaveRun(ctx, r)
}

func (f *faultyStore) PutTrace(ctx context.Context, r evalforge.RawTrace) (extract.PutResult, error) {
	if err := f.fault(ctx); err != nil {
		return "", err
	}
	return f.Store.PutTrace(ctx, r)
}

func (f *faultyStore) Runs(ctx context.Context, q extract.PageQuery) ([]evalforge.Run, string, error) {
	if err := f.fault(ctx); err != nil {
		return nil, "", err
	}
	return f.Store.Runs(ctx, q)
}

func (f *faultyStore) Patterns(ctx context.Context, q extract.PatternQuery) ([]evalforge.Pattern, string, error) {
	if err := f.fault(ctx); err != nil {
		return nil, "", err
	}
	return f.Store.Patterns(ctx, q)
}

func (f *faultyStore) Backlog(ctx context.Context, now time.Time) (extract.Backlog, error) {
	if err := f.fault(ctx); err != nil {
		return extract.Backlog{}, err
	}
	return f.Store.Backlog(ctx, now)
}

// faulty puts a store that can fail under a service.
func faulty(f *faultyStore) func(*service) {
	return func(s *service) { f.Store = s.store; s.store = f }
}

// A service starts while its store is down, says so, and recovers by itself when it is back.
func TestStoreDownAtStart(t *testing.T) {
	t.Parallel()
	f := new(faultyStore)
	f.down.Store(true)
	s, _ := serve(t, faulty(f), func(s *service) {
		s.options.Open = func(ctx context.Context) error { return f.fault(ctx) }
	})
	for _, path := range []string{"/ready", "/api/v1/patterns", "/api/v1/runs"} {
		r := s.do(http.MethodGet, path, "")
		p := r.refused(t, problem.StoreUnavailable)
		if p.Hint == "" || p.Instance == "" || r.Header.Get("Retry-After") == "" || strings.Contains(string(r.body), "secret-host") {
			t.Errorf("GET %s: no help, or too much: %s", path, r.body)
		}
		if !strings.Contains(s.log.String(), p.Instance) {
			t.Errorf("the log has nothing of %s", p.Instance)
		}
	}
	s.do(http.MethodPost, "/extraction/run-once", "").refused(t, problem.StoreUnavailable)
	if h := get[map[string]any](s, "/health"); h["status"] != "ok" || h["ready"] != false || h["backlog"] != nil {
		t.Errorf("/health says %v", h)
	}
	f.down.Store(false)
	waitFor(t, func() bool { return s.do(http.MethodGet, "/ready", "").StatusCode == http.StatusOK })
	s.traces(1)
	if got := s.run(""); got.StoredCount != 1 {
		t.Errorf("after the store is back: %+v", got)
	}
}

// waitFor asks until the answer is yes.
func waitFor(t *testing.T, yes func() bool) {
	t.Helper()
	pause := time.NewTicker(10 * time.Millisecond) // what is waited for needs the processor more
	defer pause.Stop()
	for deadline := time.Now().Add(30 * time.Second); !yes(); <-pause.C {
		if time.Now().After(deadline) {
			t.Fatal("it never happened")
		}
	}
}

// A store that fails in mid-run ends the run, and its caller is not told that it succeeded.
func TestStoreDownInMidRun(t *testing.T) {
	t.Parallel()
	f := new(faultyStore)
	well := geminitest.Well()
	var n atomic.Int64
	s := start(t, faulty(f), withGemini(func(w http.ResponseWriter, r *geminitest.Request) {
		if n.Add(1) == 2 {
			f.down.Store(true)
		}
		well(w, r)
	}), func(s *service) { s.options.RunTimeout = 8 * time.Second; s.engine.Options.Grace = time.Second })
	s.traces(5)
	p := s.do(http.MethodPost, "/extraction/run-once", "").refused(t, problem.RunFailed)
	if p.Run == nil || p.Run.StoredCount != 1 || p.Run.RunID == "" || !p.Run.Throttled {
		t.Errorf("the problem says too little of the run: %+v", p.Run)
	}
	f.down.Store(false)
	if h := s.do(http.MethodGet, "/ready", ""); h.StatusCode != http.StatusOK {
		t.Errorf("the store is back, and /ready says %s", h.Status)
	}
}

// /health answers at once while the store hangs; /ready says that it does.
func TestHealthNeverWaitsForTheStore(t *testing.T) {
	t.Parallel()
	f := new(faultyStore)
	var ahead atomic.Int64
	s := start(t, faulty(f), func(s *service) {
		s.options.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	s.traces(3)
	if h := get[map[string]any](s, "/health"); h["backlog"].(map[string]any)["pending"] != 3.0 || h["ready"] != true {
		t.Errorf("the backlog is %v, ready %v, want 3 pending and true: the store was asked", h["backlog"], h["ready"])
	}
	f.hang.Store(true)
	ahead.Store(int64(time.Hour))
	began := time.Now()
	h := get[map[string]any](s, "/health")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("/health took %s", took)
	}
	if h["status"] != "ok" || h["backlog"].(map[string]any)["pending"] != 3.0 {
		t.Errorf("/health says %v, want what was known before", h)
	}
	s.do(http.MethodGet, "/ready", "").refused(t, problem.StoreUnavailable)
}

// Counts are asked of the store once in a while, however often /health is asked.
func TestHealthSparesTheStore(t *testing.T) {
	c := new(countingStore)
	s := start(t, func(s *service) { c.Store = s.store; s.store = c })
	for range 50 {
		s.do(http.MethodGet, "/health", "")
		s.do(http.MethodGet, "/ready", "")
	}
	if n := c.backlogs.Load(); n != 1 {
		t.Errorf("the backlog was counted %d times, want once", n)
	}
	if n := c.runs.Load(); n > 5 {
		t.Errorf("runs were read %d times", n)
	}
}

// A countingStore counts what it is asked.
type countingStore struct {
	extract.Store
	backlogs, runs atomic.Int64
}

func (c *countingStore) Backlog(ctx context.Context, now time.Time) (extract.Backlog, error) {
	c.backlogs.Add(1)
	return c.Store.Backlog(ctx, now)
}

func (c *countingStore) Runs(ctx context.Context, q extract.PageQuery) ([]evalforge.Run, string, error) {
	c.runs.Add(1)
	return c.Store.Runs(ctx, q)
}

// The schedule makes a run at once, and further ones until the service stops.
func TestScheduleMakesRuns(t *testing.T) {
	s, stop := serve(t, func(s *service) { s.options.Every = 20 * time.Millisecond })
	s.traces(2)
	waitFor(t, func() bool { return len(get[page[evalforge.RunSummary]](s, "/api/v1/runs").Items) >= 3 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	runs, _, err := s.store.Runs(t.Context(), extract.PageQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range runs {
		if r.TriggeredBy != evalforge.Scheduled {
			t.Errorf("run %s was triggered by %s", r.RunID, r.TriggeredBy)
		}
		if i > 0 && r.FinishedAt.After(runs[i-1].StartedAt.Time) {
			t.Errorf("run %s was not over when the next one began", r.RunID)
		}
	}
}

// A client that stops in the middle of its body is answered and let go, whether or not somebody reads the body.
func TestHalfABodyIsAnswered(t *testing.T) {
	t.Parallel()
	s, stop := serve(t)
	addr := strings.TrimPrefix(s.url, "http://")
	half := func(path, media string) net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "+media+"\r\nContent-Length: 1000\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	ends := func(conn net.Conn, want string) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(server.DrainTime))
		if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 "+want) {
			t.Errorf("got %.40q, %v, want %s and the end of the connection", got, err, want)
		}
	}
	ends(half("/extraction/run-once", "text/plain"), "415")
	ends(half("/nowhere", "application/json"), "404")
	conn := half("/extraction/run-once", "application/json")
	time.Sleep(100 * time.Millisecond) // until it is being read
	began := time.Now()
	if err := stop(); err != nil || time.Since(began) > server.DrainTime/2 {
		t.Errorf("stopping took %s: %v; want a second for the half body", time.Since(began), err)
	}
	ends(conn, "408")
}

// Clients that send nothing, too much, or too slowly do not hold the service up.
func TestHostileConnections(t *testing.T) {
	t.Parallel()
	s, stop := serve(t)
	addr := strings.TrimPrefix(s.url, "http://")
	for name, tt := range map[string]struct{ send, want string }{
		"no HTTP":        {"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "400"},
		"huge header":    {"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Huge: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431"},
		"many headers":   {"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + strings.Repeat("X-Many: 1\r\n", 8<<10) + "\r\n", "431"},
		"no host":        {"GET /health HTTP/1.1\r\n\r\n", "400"},
		"two lengths":    {"POST /extraction/run-once HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400"},
		"bad chunk":      {"POST /extraction/run-once HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", "400"},
		"body too large": {"POST /extraction/run-once HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\n\r\n{}", "413"},
		"absolute form":  {"GET http://127.0.0.1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", "200"},
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, tt.send); err != nil && name != "huge header" && name != "many headers" {
			t.Errorf("%s: %v", name, err)
		}
		buf := make([]byte, 12)
		if _, err := io.ReadFull(conn, buf); err != nil || !strings.HasSuffix(string(buf), tt.want) {
			t.Errorf("%s: got %q, %v, want status %s", name, buf, err, tt.want)
		}
		conn.Close()
	}
	// One that sends half a header, and one half a body, while the service stops.
	for _, half := range []string{"GET /health HTTP/1.1\r\nHost:", "POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, half); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	_ = stop() // the half body is cut off, which is an error
	if took := time.Since(began); took > server.DrainTime+time.Second {
		t.Errorf("stopping took %s", took)
	}
}
