package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/rules"
	"github.com/evalforge/evalforge/internal/server"
	"github.com/evalforge/evalforge/internal/server/auth/authtest"
	"github.com/evalforge/evalforge/internal/server/route"
)

// Every route of the program, pages and metrics with them, asks for its role, as the
// settings give it. What a refused caller is called is in the log; tokens are not.
func TestEveryRouteOfTheProgramAsksForItsRole(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	vars := map[string]string{
		"EVALFORGE_STORE": "mem:", "EVALFORGE_AUTH": "oidc", "EVALFORGE_AUDIENCE": authtest.Audience,
		"EVALFORGE_ISSUER": authtest.IssuerURL, "EVALFORGE_JWKS_URL": issuer.KeysURL,
		"EVALFORGE_INVOKERS": authtest.Holder(route.Invoker), "EVALFORGE_VIEWERS": authtest.Holder(route.Viewer),
		"EVALFORGE_OPERATORS": authtest.Holder(route.Operator), "EVALFORGE_SENDERS": authtest.Holder(route.Sender),
	}
	var log logBuffer
	env := Env{Getenv: getenv(vars), Stdout: io.Discard, Stderr: &log, Now: time.Now}
	s := programServer(t, env, slog.NewJSONHandler(&log, nil), "0.0.0.0:8080")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	issuer.CheckRoutes("http://"+l.Addr().String(), s.Routes())
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	paths := map[string]bool{}
	for _, rt := range s.Routes() {
		paths[rt.Path] = true
		if rt.Role == route.Public && rt.Method != "GET" {
			t.Errorf("%s is public and no GET", rt.Pattern())
		}
	}
	if !paths["/metrics"] || !paths["/quarantine/retry"] || !paths["/extraction/run-once"] {
		t.Errorf("routes are missing: %v", paths)
	}
	if !strings.Contains(log.String(), `"principal":"`+authtest.Holder(route.Viewer)+`"`) {
		t.Error("the log does not say who was refused")
	}
	if strings.Contains(log.String(), "eyJ") {
		t.Error("a token is in the log")
	}
}

// programServer returns the server that "evalforge serve" makes of env, for an address.
func programServer(t *testing.T, env Env, logTo slog.Handler, address string) *server.Server {
	t.Helper()
	cfg, err := resolve(serveCommand().uses, nil, env.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	c := &call{Env: env, term: newTerminal(env), cfg: cfg, log: slog.New(logTo), logTo: logTo}
	guard, err := c.guard(address)
	if err != nil {
		t.Fatal(err)
	}
	tel, stop, err := c.startTelemetry(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	b, err := c.openBackend(context.Background(), rules.New())
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.newServer(b, guard, tel)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A logBuffer is written to by many goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
