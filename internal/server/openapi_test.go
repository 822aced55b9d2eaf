package server_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evalforge/evalforge/internal/server/route"
)

// A description is the document, ready to check answers. Objects in it may have
// no properties that it does not name, so that an answer cannot grow one unseen.
type description struct {
	doc    *openapi3.T
	router routers.Router
}

// describe reads the document.
var describe = sync.OnceValues(func() (*description, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	for _, s := range doc.Components.Schemas {
		seal(s.Value)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, resp := range op.Responses.Map() {
				for _, m := range resp.Value.Content {
					if m.Schema != nil && m.Schema.Ref == "" && len(m.Schema.Value.Properties) > 0 {
						seal(m.Schema.Value)
					}
				}
			}
		}
	}
	router, err := legacy.NewRouter(doc)
	return &description{doc, router}, err
})

// seal forbids properties that a schema does not name.
func seal(s *openapi3.Schema) {
	if len(s.Properties) > 0 {
		s.AdditionalProperties = openapi3.AdditionalProperties{Has: new(bool)}
	}
	for _, p := range s.Properties {
		if p.Ref == "" {
			seal(p.Value)
		}
	}
	if s.Items != nil && s.Items.Ref == "" {
		seal(s.Items.Value)
	}
}

// conforms checks an answer against the document.
func (s *service) conforms(r response) {
	s.t.Helper()
	d, err := describe()
	if err != nil {
		s.t.Fatal(err)
	}
	req := r.Request.Clone(context.Background())
	if req.Method == http.MethodHead || r.Header.Get("Content-Encoding") != "" {
		return
	}
	req.URL.Scheme, req.URL.Host = "", ""
	rt, params, err := d.router.FindRoute(req)
	if err != nil {
		if r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusMethodNotAllowed {
			s.t.Errorf("%s %s is answered with %s, and is not described", req.Method, req.URL.Path, r.Status)
		}
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: rt},
		Status:                 r.StatusCode, Header: r.Header, Body: io.NopCloser(bytes.NewReader(r.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		s.t.Errorf("%s %s: %s is not as described: %v\n%s", req.Method, req.URL.Path, r.Status, err, r.body)
	}
}

// promised checks that a request that was served is one that the document allows, as a generated client
// would make it.
func (s *service) promised(r response, body string) {
	s.t.Helper()
	d, err := describe()
	if err != nil {
		s.t.Fatal(err)
	}
	req := r.Request.Clone(context.Background())
	req.URL.Scheme, req.URL.Host = "", ""
	req.Body, req.ContentLength = http.NoBody, 0
	if body != "" {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	if req.Header.Get("Content-Type") == "application/octet-stream" {
		req.Header.Set("Content-Type", "application/json") // what Cloud Scheduler sends is taken, and not advertised
	}
	rt, params, err := d.router.FindRoute(req)
	if err != nil {
		return // HEAD, which the document leaves to GET
	}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: rt,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, ExcludeRequestBody: strings.HasPrefix(req.URL.Path, "/api/v1/traces")}}
	if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
		s.t.Errorf("%s %s is served with %s, and the document does not allow it: %v", req.Method, req.URL, r.Status, err)
	}
}

// The service hands the document out.
func TestDocumentIsServed(t *testing.T) {
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t).do(http.MethodGet, "/api/v1/openapi.yaml", "")
	if string(r.body) != string(want) || r.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("got %s, %d bytes of %s, want the file", r.Status, len(r.body), r.Header.Get("Content-Type"))
	}
}

// Every route of the API is described, and nothing else is.
func TestEveryRouteIsDescribed(t *testing.T) {
	d, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	var described, mounted []string
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for _, rt := range newService(t).server.Routes() {
		mounted = append(mounted, rt.Pattern())
	}
	if d := cmp.Diff(mounted, described, cmpopts.SortSlices(strings.Compare)); d != "" {
		t.Errorf("-mounted +described:\n%s", d)
	}
}

// Public routes say in the document that they need no token, and no others do.
func TestPublicRoutesAreDescribed(t *testing.T) {
	d, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range newService(t).server.Routes() {
		op := d.doc.Paths.Find(rt.Path).GetOperation(rt.Method)
		open := op.Security != nil && len(*op.Security) == 1 && len((*op.Security)[0]) == 0
		if open != (rt.Role == route.Public) {
			t.Errorf("%s: its role is %s, and the document says security %v", rt.Pattern(), rt.Role, op.Security)
		}
		_, unauthenticated := op.Responses.Map()["401"]
		if unauthenticated == open {
			t.Errorf("%s: described with 401: %t", rt.Pattern(), unauthenticated)
		}
	}
}

// Cloud Run keeps some paths for itself.
func TestNoRouteIsReserved(t *testing.T) {
	for _, rt := range newService(t).server.Routes() {
		if strings.HasSuffix(rt.Path, "z") || strings.HasPrefix(rt.Path, "/_ah/") || rt.Path == "/eventlog" {
			t.Errorf("%s never arrives on Cloud Run", rt.Pattern())
		}
	}
}

// The parameters that lists take are those that are described.
func TestParametersAreDescribed(t *testing.T) {
	d, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	for path, item := range d.doc.Paths.Map() {
		if item.Get == nil || item.Get.Parameters.GetByInAndName("query", "limit") == nil {
			continue
		}
		var described []string
		for _, p := range item.Get.Parameters {
			if p.Value.In == "query" {
				described = append(described, p.Value.Name)
			}
		}
		p := s.do(http.MethodGet, path+"?unheard-of=1", "")
		_, known, _ := strings.Cut(decode[map[string]any](t, p.body)["detail"].(string), "known are ")
		taken := strings.Split(known, ", ")
		if d := cmp.Diff(slices.Sorted(slices.Values(taken)), slices.Sorted(slices.Values(described))); d != "" {
			t.Errorf("GET %s (-taken +described):\n%s", path, d)
		}
	}
}

// Every answer that the document promises can be had.
func TestEveryDescribedAnswer(t *testing.T) {
	d, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	answers := answersOf(t)
	for path, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			want := slices.Sorted(maps.Keys(op.Responses.Map()))
			got := slices.Sorted(maps.Keys(answers[method+" "+path]))
			want = slices.DeleteFunc(want, func(s string) bool { return s == "500" }) // a bug, which cannot be ordered
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s %s (-described +seen):\n%s", method, path, d)
			}
		}
	}
}
