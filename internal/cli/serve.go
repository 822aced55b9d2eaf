package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gcp/telemetry"
	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/server"
	"github.com/evalforge/evalforge/internal/server/pages"
	"github.com/evalforge/evalforge/internal/server/runner"
)

func serveCommand() command {
	var samples bool
	return command{
		name: "serve", maxArgs: 0, serves: true,
		short: "serve pages and the HTTP API: runs on request or on a schedule, results, health",
		long: `Serves HTTP: / has pages for the browser, POST /extraction/run-once makes a run, /v1/traces takes spans over OTLP, /health and /ready say how the service is, /api/v1/ has patterns, runs, errors and traces, described by /api/v1/openapi.yaml; docs/api.md has an example of each. On this machine it is reached by nobody else unless -addr says so.
It starts even while a Firestore store cannot be reached, and is ready when it can. A file that -store names is made if it is not there.
Ctrl-C or SIGTERM stops it in an orderly way, within 9 seconds: runs take no more traces, finish or give back what they have, and are answered.`,
		examples: []string{
			"evalforge serve",
			"evalforge serve -every 30m -analyzer gemini",
			"evalforge serve -samples",
		},
		uses: []group{groupService, groupAccess, groupStore, groupAnalyzer, groupPace, groupRun, groupRedaction, groupTelemetry},
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&samples, "samples", false, "Import the bundled synthetic traces and extract their patterns first, to have something to look at. Without -store they are kept in memory.")
		},
		run: func(ctx context.Context, c *call) error { return serve(ctx, c, samples) },
	}
}

func serve(ctx context.Context, c *call, samples bool) (err error) {
	if samples {
		if err := c.storeForSamples(); err != nil {
			return err
		}
	}
	guard, err := c.guard(c.listenAddress())
	if err != nil {
		return err
	}
	tel, stop, err := c.startTelemetry(ctx)
	if err != nil {
		return err
	}
	defer stop()
	analyzer, free, err := c.analyzer(ctx)
	if err != nil {
		return err
	}
	defer free()
	b, err := c.openBackend(ctx, analyzer)
	if err != nil {
		return err
	}
	defer func() { err = b.close(err) }()
	if samples {
		if err := c.loadSamples(ctx, b); err != nil {
			return err
		}
	}
	l, err := c.listen(ctx)
	if err != nil {
		return err
	}
	srv, err := c.newServer(b, guard, tel)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	c.term.note("store %s, analyzer %s", c.cfg.store, c.describeAnalyzer())
	c.term.note("listening on %s", shownURL(l.Addr()))
	return srv.Serve(ctx, l)
}

// newServer returns the service with all its routes.
func (c *call) newServer(b *backend, guard server.Auth, tel *telemetry.Telemetry) (*server.Server, error) {
	o := c.serverOptions(b, guard)
	pages, err := c.pages(b)
	if err != nil {
		return nil, err
	}
	metrics, err := metricsRoute(tel, b.store, c.Now)
	if err != nil {
		return nil, err
	}
	o.Observe, o.Pages, o.ProblemPage = tel.Middleware, append(pages.Routes(), metrics), pages.Problem
	return server.New(o)
}

// A backend is what a service works with. Until open has returned nil, only its store's
// name is known: a store that cannot be reached yet has not said which redaction key to use.
type backend struct {
	store    extract.Store
	redactor *lateRedactor
	pipeline *extract.Pipeline
	engine   *extract.Engine
	runner   *runner.Runner
}

// openBackend opens the store without asking it anything.
func (c *call) openBackend(ctx context.Context, a extract.Analyzer) (*backend, error) {
	store, err := c.openStore(ctx, c.cfg.store, mayCreate)
	if err != nil {
		return nil, err
	}
	b := &backend{store: store, redactor: new(lateRedactor), pipeline: c.pipeline(a, nil)}
	b.engine = c.engine(store, b.pipeline)
	b.runner = runner.New(b.engine, runner.Options{})
	return b, nil
}

// open makes b usable: it asks the store for the redaction key, unless it is set.
func (b *backend) open(ctx context.Context, c *call) error {
	key := c.cfg.redactionKey
	if key == nil {
		var err error
		if key, err = b.store.InstallationKey(ctx); err != nil {
			return fmt.Errorf("store %s: reading the redaction key: %w", c.cfg.store, err)
		}
	}
	r, err := c.newRedactor(key)
	if err != nil {
		return err
	}
	b.pipeline.Redactor = r
	b.redactor.r.Store(r)
	return nil
}

// importer returns an importer into b's store.
func (b *backend) importer(c *call) *ingest.Importer {
	return &ingest.Importer{Store: b.store, Redactor: b.redactor, Now: c.Now, Log: c.log}
}

func (b *backend) close(err error) error {
	if cerr := b.store.Close(); cerr != nil {
		return errors.Join(err, fmt.Errorf("closing the store: %w", cerr))
	}
	return err
}

// A lateRedactor is a redactor whose key is not known from the start. Until it is, nothing passes.
type lateRedactor struct {
	r atomic.Pointer[redact.Redactor]
}

func (l *lateRedactor) Text(s string) (string, redact.Counts) {
	if r := l.r.Load(); r != nil {
		return r.Text(s)
	}
	return "", nil
}

func (l *lateRedactor) JSON(b []byte) ([]byte, redact.Counts, error) {
	if r := l.r.Load(); r != nil {
		return r.JSON(b)
	}
	return nil, nil, errors.New("the redaction key is not known yet")
}

func (c *call) serverOptions(b *backend, guard server.Auth) server.Options {
	open := func(ctx context.Context) error { return b.open(ctx, c) }
	return server.Options{
		Store: b.store, Runner: b.runner, Clean: clean.New(b.redactor), Open: open, Auth: guard,
		Importer: b.importer(c), KeepAll: c.cfg.service.otlpKeep == "all",
		Log: c.log, Now: c.Now, Every: c.cfg.service.every, RunTimeout: c.cfg.service.requestTimeout,
		TraceTimeout: c.cfg.engine.TraceTimeout, Grace: c.cfg.engine.Grace, Version: thisVersion().Version,
	}
}

// pages returns the pages.
func (c *call) pages(b *backend) (*pages.Pages, error) {
	return pages.New(pages.Options{
		Store: b.store, View: b.pipeline.View, Clean: clean.New(b.redactor), Live: b.runner, Sources: c.cfg.service.sources, Budget: c.cfg.engine.Budgets.Day,
		Now: c.Now, Log: c.log, Version: thisVersion().Version,
	})
}

// listen opens the address of the service.
func (c *call) listen(ctx context.Context) (net.Listener, error) {
	addr := c.listenAddress()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, withHint(fmt.Errorf("listening on %s: another program has this port, perhaps another evalforge serve", addr),
			"stop the other one, or take another port: -addr 127.0.0.1:8081, or -addr 127.0.0.1:0 for any that is free")
	case errors.Is(err, syscall.EACCES):
		return nil, withHint(fmt.Errorf("listening on %s: this user may not use the port", addr), "take one from 1024: -addr 127.0.0.1:8080")
	case err != nil:
		return nil, withHint(fmt.Errorf("listening on %s: %w", addr, err), "-addr HOST:PORT names an address of this machine")
	}
	return l, nil
}

// listenAddress is where the service listens.
func (c *call) listenAddress() string {
	s := &c.cfg.service
	if s.addr != "" {
		return s.addr
	}
	host := "127.0.0.1"
	if c.cfg.cloudRun {
		host = "" // all
	}
	return net.JoinHostPort(host, strconv.Itoa(s.port))
}

// shownURL is where people find the service that listens at a.
func shownURL(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d, on all addresses of this machine", tcp.Port)
	}
	return "http://" + a.String()
}
