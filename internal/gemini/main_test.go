package gemini

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

func TestMain(m *testing.M) {
	if os.Getenv(liveVar) == "" {
		// The SDK reads these by itself; tests must not depend on the machine.
		for _, v := range os.Environ() {
			if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "GOOGLE_") || strings.HasPrefix(name, "GEMINI_") {
				os.Unsetenv(name)
			}
		}
	}
	goleak.VerifyTestMain(m,
		// Started by an init function of a library under the SDK, for the life of the process.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// canary stands in the test trace, testKey is the API key: neither may show up in an
// error or a log line.
const (
	canary  = "canary-7f3a the text of the trace"
	testKey = "AIzaTestKey-0123456789-not-a-real-one"
)

// A rig is an analyzer with a scripted server, recorded sleeps and recorded logs.
type rig struct {
	*Analyzer
	srv  *geminitest.Server
	logs *syncBuffer

	mu     sync.Mutex
	sleeps []time.Duration
}

// newRig returns an analyzer that waits without sleeping, with half of the jitter.
func newRig(t *testing.T, backend Backend, opt Options, script ...geminitest.Reply) *rig {
	t.Helper()
	if backend == Vertex {
		opt.Location = cmp.Or(opt.Location, "us-central1")
	}
	r := &rig{srv: geminitest.NewServer(t, script...), logs: new(syncBuffer)}
	opt.Backend, opt.BaseURL, opt.APIKey = backend, r.srv.URL, testKey
	if backend == Vertex { // the key is not used then, but still kept secret
		opt.Project = "test-project"
	}
	opt.Log = slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a, err := New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	a.jitter = func(d time.Duration) time.Duration { return d / 2 }
	a.sleep = func(ctx context.Context, d time.Duration) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sleeps = append(r.sleeps, d)
		return ctx.Err()
	}
	r.Analyzer = a
	return r
}

// analyze analyzes the test trace within 15 seconds, the default budget of a trace.
func (r *rig) analyze(t *testing.T) (*extract.Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	return r.Analyze(ctx, testInput())
}

func testInput() *extract.Input {
	return &extract.Input{
		TraceID:     "trace-1",
		FailureType: "llm_error",
		ServiceName: "checkout",
		Trace: &trace.Trace{Steps: []trace.Step{
			{Index: 0, Kind: trace.KindInput},
			{Index: 4, Kind: trace.KindTool, Name: "search"},
		}},
		Compacted: trace.Compacted{JSON: []byte(`{"steps":[{"i":0,"text":"please look it up"},{"i":4,"tool":"search","result":"` + canary + `"}]}`)},
		Signals: []signal.Signal{{
			Name: "tool_error", FailureType: "infrastructure_error", Condition: "tool or dependency server error",
			Weight: 0.8, Step: 1, Detail: "tool search failed",
		}},
	}
}

// A syncBuffer is a buffer that many goroutines write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// onBoth runs a test on both backends.
func onBoth(t *testing.T, f func(t *testing.T, b Backend)) {
	for _, b := range []Backend{Vertex, GeminiAPI} {
		t.Run(string(b), func(t *testing.T) { f(t, b) })
	}
}
