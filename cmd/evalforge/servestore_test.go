package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/store/firestore/emulatortest"
)

// emulator is Firestore for the tests of this package.
var emulator emulatortest.Emulator

// withEmulator ends the emulator after the tests.
type withEmulator struct{ m *testing.M }

func (w withEmulator) Run() int { return emulator.Main(w.m) }

// A wire leads from an address to another, and can be cut.
type wire struct {
	t    *testing.T
	addr string
	to   string

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

// newWire returns a wire that is cut.
func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, addr: l.Addr().String(), to: to, l: l}
	w.cut()
	t.Cleanup(w.cut)
	return w
}

// cut breaks all connections, and refuses new ones.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.l.Close() // closed already, perhaps
	for _, c := range w.conns {
		_ = c.Close() // closed already, perhaps
	}
	w.conns = nil
}

// mend makes connections possible again.
func (w *wire) mend() {
	w.t.Helper()
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.l = l
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", w.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, in, out)
			w.mu.Unlock()
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
}

// A service whose Firestore cannot be reached starts, says that it is not ready, and works as soon as Firestore can be
// reached. When Firestore goes away in mid-run, the run is not reported as a success; afterwards the service recovers,
// and the traces are extracted by a later run.
func TestServeWhileFirestoreComesAndGoes(t *testing.T) {
	t.Parallel()
	w := newWire(t, emulator.Host(t))
	var once sync.Once
	well := geminitest.Well()
	srv := geminitest.NewServer(t, func(rw http.ResponseWriter, r *geminitest.Request) {
		once.Do(w.cut) // before the first answer
		well(rw, r)
	})
	s := serve(t, t.TempDir(), []string{
		"FIRESTORE_EMULATOR_HOST=" + w.addr, "GEMINI_API_KEY=for-tests-only", "GOOGLE_GEMINI_BASE_URL=" + srv.URL,
		"EVALFORGE_REQUEST_TIMEOUT=20s", "EVALFORGE_RETRY_BACKOFF=0",
	}, "-store", "firestore:"+emulator.Project(), "-analyzer", "gemini")
	var p struct{ Type, Hint string }
	s.ask(503, "GET", "/ready", "", &p)
	s.ask(200, "GET", "/health", "", nil)
	s.ask(503, "POST", "/extraction/run-once", "", &p)
	if !strings.HasSuffix(p.Type, "#store-unavailable") || !strings.Contains(p.Hint, "evalforge doctor") {
		t.Errorf("the problem is %+v", p)
	}
	w.mend()
	s.ready()
	s.ask(200, "POST", "/api/v1/traces", twoTraces, nil)

	var failed struct {
		Type string
		Run  *evalforge.RunSummary
	}
	s.ask(503, "POST", "/extraction/run-once", "", &failed)
	if !strings.HasSuffix(failed.Type, "#run-failed") || failed.Run == nil || failed.Run.StoredCount != 0 || !failed.Run.Throttled {
		t.Errorf("the run that lost its store is answered with %+v", failed)
	}
	w.mend()
	s.ready()
	var run evalforge.RunSummary
	s.ask(202, "POST", "/extraction/run-once", "", &run)
	if run.StoredCount == 0 {
		t.Errorf("with the store back, the run did %+v", run)
	}
	s.stop()
}
