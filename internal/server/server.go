// Package server is the HTTP service: the run trigger, health, the JSON API under /api/v1/, the OTLP
// receiver, and the pages that are handed to it.
//
// Everything it answers is one table of [route.Route], in [Server.Routes]; what holds for all routes
// (authentication, limits, compression, problem answers) is applied to the table in chain.go.
// [Server.Handler] answers; [Server.Serve] does so on a listener until its context ends, and
// then lets what is under way finish. openapi.yaml describes the API, and a test holds both
// to each other.
package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/route"
	"github.com/evalforge/evalforge/internal/server/runner"
)

// Auth decides who may use a route. Wrap returns the route's handler behind that decision;
// it puts the caller into the request's context.
type Auth interface {
	Wrap(route.Route) http.Handler
}

// A Store is what the API shows and changes.
type Store interface {
	extract.Archive
	extract.Reviser
}

// Options configure a [Server]. Store, Runner, Clean, Importer and Auth are needed.
type Options struct {
	Store  Store
	Runner *runner.Runner
	Clean  clean.Cleaner
	// Importer is how traces come into the store, over importPath and OTLP.
	Importer *ingest.Importer
	// KeepAll stores every trace that is received over OTLP, not only those that failed.
	KeepAll bool
	// Open, if not nil, makes the store usable; until it has returned nil, requests that need the
	// store are answered with 503. It is tried again and again, never concurrently.
	Open func(context.Context) error
	// Auth decides who may do what. Without it everybody may do everything: the caller then has
	// to see to it that only this machine can connect, and must set LocalOnly.
	Auth Auth
	// LocalOnly refuses requests under a name that is not this machine's, which a browser
	// sends when a page of another site has had its name point here.
	LocalOnly bool
	// Observe, if not nil, is put around each route, outside of Auth: spans, metrics, access log.
	Observe func(route.Route, http.Handler) http.Handler
	// Pages are further routes.
	Pages []route.Route
	// ProblemPage, if not nil, says to people with a browser why a page is not served.
	ProblemPage problem.Page
	Log         *slog.Logger // nil: none
	Now         func() time.Time
	// RunTimeout bounds a request that makes a run, from its arrival to its answer; default
	// [DefaultRunTimeout].
	RunTimeout time.Duration
	// TraceTimeout is the time budget of one trace, and Grace what a stopped run gives the
	// traces in flight, as the engine has them.
	TraceTimeout, Grace time.Duration
	// Every, if positive, has the service make a run at once and then one each time this has passed,
	// as a scheduler would.
	Every time.Duration
	// Version is what /health says.
	Version string
}

// DefaultRunTimeout is Cloud Run's default for a request.
const DefaultRunTimeout = 5 * time.Minute

// A Server is the service. It serves once.
type Server struct {
	o       Options
	gate    *gate
	health  *health
	receive *receiving
	imports chan struct{} // a place for each import under way
	turns   *turns
	// files and streams have a place for each answer that lasts.
	files, streams chan struct{}
	replays        *replays
	started        time.Time
	routes         []route.Route
	handler        http.Handler
	// ending is done when the service begins to stop: streams end, for they would not by themselves.
	ending context.Context
	end    context.CancelFunc
}

// New returns a server. It does nothing until [Server.Serve], or its handler, is used.
func New(o Options) (*Server, error) {
	if o.Store == nil || o.Runner == nil || o.Importer == nil || o.Auth == nil {
		return nil, errors.New("server: a store, a runner, an importer and a guard are needed")
	}
	o.Now = cmpFunc(o.Now, time.Now)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.RunTimeout = cmp.Or(o.RunTimeout, DefaultRunTimeout)
	o.TraceTimeout = cmp.Or(o.TraceTimeout, extract.DefaultTraceTimeout)
	o.Grace = cmp.Or(o.Grace, extract.DefaultGrace)
	if o.Importer.Room == nil {
		im := *o.Importer
		im.Room = ingest.NewRoom(maxDocument)
		o.Importer = &im
	}
	s := &Server{o: o, gate: newGate(o.Open, o.Log), started: o.Now(), replays: newReplays(o.Now)}
	s.ending, s.end = context.WithCancel(context.Background())
	s.health, s.receive, s.imports = newHealth(s), newReceiving(s), make(chan struct{}, maxImports)
	s.turns, s.files, s.streams = newTurns(), make(chan struct{}, maxFiles), make(chan struct{}, maxStreams)
	s.routes = append(s.apiRoutes(), s.pageRoutes()...)
	handler, err := s.chain(s.routes)
	if err != nil {
		return nil, err
	}
	s.handler = handler
	return s, nil
}

func cmpFunc(f, def func() time.Time) func() time.Time {
	if f == nil {
		return def
	}
	return f
}

// Routes returns every route that is answered.
func (s *Server) Routes() []route.Route { return s.routes }

// pageRoutes are the routes that were handed in. Those that anybody may use need no store.
func (s *Server) pageRoutes() []route.Route {
	routes := slices.Clone(s.o.Pages)
	for i, rt := range routes {
		if rt.Role == route.Public {
			continue
		}
		routes[i].Handler = s.stored(func(w http.ResponseWriter, r *http.Request) error {
			rt.Handler.ServeHTTP(w, r)
			return nil
		})
	}
	return routes
}

// Handler answers requests.
func (s *Server) Handler() http.Handler { return s.handler }

// maxOrderBody bounds the bodies that name traces, in bytes: as many ids as are allowed, as long as they may be,
// fit in. It bounds what is read before anything is known of the body.
const maxOrderBody = maxTraceIDs * (evalforge.MaxTraceIDBytes + 8)

// apiRoutes is the table of the API.
func (s *Server) apiRoutes() []route.Route {
	post := func(path string, role route.Role, maxBody int64, h handlerFunc) route.Route {
		return route.Route{Method: http.MethodPost, Path: path, Role: role, MaxBody: maxBody, Handler: h}
	}
	get := func(path string, role route.Role, h handlerFunc) route.Route {
		return route.Route{Method: http.MethodGet, Path: path, Role: role, Handler: h}
	}
	return []route.Route{
		post(runPath, route.Invoker, maxOrderBody, s.stored(s.runOnce)),
		get("/health", route.Public, s.getHealth),
		get("/ready", route.Public, s.getReady),
		get("/api/v1/openapi.yaml", route.Public, s.getOpenAPI),
		get("/api/v1/patterns", route.Viewer, s.stored(s.listPatterns)),
		get("/api/v1/patterns/{id}", route.Viewer, s.stored(s.getPattern)),
		get("/api/v1/patterns/{id}/history", route.Viewer, s.stored(s.listHistory)),
		get("/api/v1/runs", route.Viewer, s.stored(s.listRuns)),
		get("/api/v1/runs/{id}", route.Viewer, s.stored(s.getRun)),
		get("/api/v1/errors", route.Viewer, s.stored(s.listErrors)),
		get("/api/v1/state", route.Viewer, s.stored(s.listStates)),
		get("/api/v1/state/{id}", route.Viewer, s.stored(s.getState)),
		post("/api/v1/retry", route.Operator, maxOrderBody, s.stored(s.retry)),
		post("/api/v1/rerun", route.Operator, maxOrderBody, s.stored(s.rerun)),
		post(importPath, route.Operator, maxImportBody, s.stored(s.importTraces)),
		post("/v1/traces", route.Sender, ownBound, s.receive.serve),
		post("/v1/logs", route.Sender, ownBound, s.receive.serve),
	}
}
