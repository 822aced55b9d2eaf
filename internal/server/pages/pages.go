// Package pages shows patterns, runs and what is stuck, to people with a browser.
//
// [New] returns the pages, [Pages.Routes] the routes that the server puts into its table. Each page
// is a function from a request to a view: a template and the struct it is executed with. Everything is
// rendered here, with html/template; the little script there is only adds to what works without.
//
// Text of traces is hostile. It is redacted before it gets here, escaped by the templates alone, made
// visible where it is invisible (visible.go), and a strict Content-Security-Policy stands
// behind that: nothing inline, nothing from elsewhere.
package pages

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/route"
	"github.com/evalforge/evalforge/internal/server/runner"
)

// Live knows the runs under way; [*runner.Runner] does.
type Live interface {
	Active() []runner.Active
	Watch(ctx context.Context) <-chan runner.Event
}

// A Store is what pages read, and retry in.
type Store interface {
	extract.Archive
	extract.Ledger
	// Peek is [extract.Queue]'s: what the next run takes.
	Peek(ctx context.Context, req extract.ClaimRequest) ([]extract.Claim, error)
	History(ctx context.Context, traceID string, limit int) ([]evalforge.Pattern, error)
}

// Options configure [Pages]. Store, View, Clean and Live are needed.
type Options struct {
	Store Store
	// View decodes, redacts and compacts a raw trace as extraction does:
	// [extract.Pipeline.View].
	View  func(evalforge.RawTrace) (*extract.Input, error)
	Clean clean.Cleaner
	Live  Live
	// Sources link patterns to the traces in the systems they come from.
	Sources Sources
	// Budget is what may be spent in a day (UTC); a zero in it is no limit.
	Budget  extract.Amount
	Now     func() time.Time // nil: the clock
	Log     *slog.Logger     // nil: none
	Version string           // shown at the foot
}

// Pages are the pages of the service.
type Pages struct {
	o         Options
	templates templates
	assets    assets
	views     chan struct{} // as many as traces are decoded at once
}

// maxViews is how many traces are decoded at once. One may have megabytes, and take some hundred
// megabytes while it is.
const maxViews = 2

// New returns the pages. It fails when an option is missing.
func New(o Options) (*Pages, error) {
	if o.Store == nil || o.View == nil || o.Live == nil {
		return nil, errors.New("pages: a store, a view of traces and the runs under way are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	p := &Pages{o: o, views: make(chan struct{}, maxViews)}
	var err error
	if p.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	p.templates, err = loadTemplates(p.assets)
	return p, err
}

// maxForm bounds the bodies of forms, in bytes.
const maxForm = 64 << 10

// Routes returns the routes of the pages.
func (p *Pages) Routes() []route.Route {
	get := func(path string, h http.Handler) route.Route {
		return route.Route{Method: http.MethodGet, Path: path, Role: route.Viewer, Handler: h}
	}
	file, stream := get("/export/{file}", http.HandlerFunc(p.export)), get("/live", http.HandlerFunc(p.live))
	file.File, stream.Stream = true, true
	return []route.Route{
		get("/{$}", p.page(p.overview)),
		get("/patterns", p.page(p.patterns)),
		get("/patterns/{id}", p.page(p.pattern)),
		get("/patterns/{id}/ticket", http.HandlerFunc(p.ticket)),
		file,
		get("/runs", p.page(p.runs)),
		get("/runs/{id}", p.page(p.run)),
		get("/waiting", p.page(p.waiting)),
		get("/quarantine", p.page(p.quarantine)),
		{Method: http.MethodPost, Path: "/quarantine/retry", Role: route.Operator, MaxBody: maxForm, Handler: http.HandlerFunc(p.retry)},
		stream,
		{Method: http.MethodGet, Path: "/assets/{name}", Role: route.Public, Handler: p.assets},
	}
}

// A view is what a page answers: a template, and the struct it is executed with.
type view struct {
	status   int // 0: 200
	template string
	title    string
	page     any
}

// A frame is what the layout is executed with.
type frame struct {
	Title    string
	Nav      string // the template's name
	Operator bool   // may change things
	Version  string
	Page     any
}

// page serves what f returns.
func (p *Pages) page(f func(*http.Request) (view, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err != nil {
			v = p.problem(r, err)
		}
		p.render(w, r, v)
	})
}

const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// render executes a view. The answer has an ETag: a page that has not changed is not sent again.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, v view) {
	var body bytes.Buffer
	err := p.templates[v.template].ExecuteTemplate(&body, "layout", frame{
		Title: v.title, Nav: v.template, Operator: route.PrincipalOf(r.Context()).May(route.Operator), Version: p.o.Version, Page: v.page,
	})
	h := w.Header()
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	if err != nil { // a template does not fit its struct, which a test rules out
		p.o.Log.ErrorContext(r.Context(), "a page could not be rendered; please report it", "template", v.template, "error", err)
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("This page could not be rendered. The log says why.\n"))
		return
	}
	h.Set("Cache-Control", "private, no-cache")
	if status := cmp.Or(v.status, http.StatusOK); status != http.StatusOK {
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write(body.Bytes()) // nobody is left to tell
		return
	}
	answer(w, r, body.Bytes())
}

// answer answers with body, or 304 to a client that has it.
func answer(w http.ResponseWriter, r *http.Request, body []byte) {
	sum := sha256.Sum256(body)
	tag := `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	w.Header().Set("Etag", tag)
	for _, have := range strings.Split(r.Header.Get("If-None-Match"), ",") {
		// A proxy that compresses may have added to the tag.
		if have = strings.TrimSpace(have); have == tag || strings.HasPrefix(have, strings.TrimSuffix(tag, `"`)) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // nobody is left to tell
}

// A problemPage says what went wrong, and what to do.
type problemPage struct {
	Detail string
	Hint   string
	Back   string // where to go, or ""
}

// Problem answers a browser whose request did not get as far as a page.
func (p *Pages) Problem(w http.ResponseWriter, r *http.Request, why *problem.Problem) {
	page := problemPage{Detail: sentence(why.Detail), Hint: sentence(why.Hint)}
	switch why.Status {
	case http.StatusUnauthorized:
		page.Hint = "A browser sends no token by itself: open the service through what signs you in, such as Identity-Aware Proxy or “gcloud run services proxy”."
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		page.Hint = "The link is wrong or incomplete. Look for it from the overview."
	}
	if why.Instance != "" {
		page.Hint = join(page.Hint, "The log has more under "+why.Instance+".")
	}
	p.render(w, r, view{status: why.Status, template: "problem", title: why.Title, page: page})
}

// sentence writes a text as a sentence.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + strings.TrimSuffix(s[size:], ".") + "."
}

// errBadRequest is a request that no page of ours makes.
var errBadRequest = errors.New("the request cannot be understood")

// problem returns the view of an error. What a store says is for the log alone.
func (p *Pages) problem(r *http.Request, err error) view {
	v := view{template: "problem", title: "This page cannot be shown"}
	var field *evalforge.FieldError
	switch {
	case errors.As(err, &field):
		v.status, v.title = http.StatusBadRequest, "A value is not allowed"
		v.page = problemPage{Detail: field.Error(), Hint: "Correct it in the address, or start without filters.", Back: r.URL.Path}
	case errors.Is(err, errBadRequest):
		v.status, v.title = http.StatusBadRequest, "The request cannot be understood"
		v.page = problemPage{Detail: err.Error(), Hint: "Go back and try again."}
	case errors.Is(err, evalforge.ErrNotFound):
		v.status, v.title = http.StatusNotFound, "There is nothing here"
		v.page = problemPage{Detail: "What this address names is not in the store.", Hint: "It may have been deleted, or the link is incomplete. Look for it in the lists."}
	case errors.Is(err, context.Canceled):
		v.status = http.StatusServiceUnavailable
		v.page = problemPage{Detail: "The request was canceled.", Hint: "Load the page again."}
	default:
		p.o.Log.WarnContext(r.Context(), "a page could not be shown", "route", r.Pattern, "error", err)
		v.status, v.title = http.StatusServiceUnavailable, "The store did not answer"
		v.page = problemPage{Detail: "The store could not be read. The service's log says why.",
			Hint: "Try again in a moment. If it stays so, run “evalforge doctor” with the service's settings: it says what is broken and how to fix it."}
	}
	return v
}
