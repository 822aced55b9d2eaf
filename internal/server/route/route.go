// Package route is the vocabulary that the parts of the HTTP service share: what a route
// is, who may use it, and on whose behalf a request runs.
//
// Every handler of the service is a [Route] in one table, so that authentication, limits
// and documentation can be applied to all of them, and a test can enumerate them.
package route

import (
	"context"
	"net/http"
	"slices"
)

// A Role is the right to use a group of routes.
type Role string

// The roles. They do not contain one another, with one exception: an operator may do
// what a viewer may.
const (
	// Public routes answer anybody: liveness and readiness, which carry no content.
	Public Role = "public"
	// Invoker is the scheduler's: it starts runs.
	Invoker Role = "invoker"
	// Viewer reads patterns, runs and errors: ML engineers and people on call.
	Viewer Role = "viewer"
	// Operator changes what will be extracted: retries, extracts again, imports.
	Operator Role = "operator"
	// Sender delivers traces: an OpenTelemetry exporter or collector.
	Sender Role = "sender"
)

// Roles lists the roles that can be given to somebody.
func Roles() []Role { return []Role{Invoker, Viewer, Operator, Sender} }

// A Route is one entry of the service's table of routes.
type Route struct {
	Method  string // such as GET; a GET route answers HEAD too
	Path    string // as [http.ServeMux] takes it, such as /api/v1/patterns/{id}
	Role    Role
	Handler http.Handler
	// MaxBody bounds the request's body in bytes; 0 means that none is allowed.
	MaxBody int64
	// Stream marks an answer without end, such as server-sent events: it is not compressed, and it is what its
	// reader takes that is limited, not the whole. Only so many are given at a time.
	Stream bool
	// File marks an answer of any length, such as an export: it is written as its reader takes it. Only a few are
	// given at a time.
	File bool
}

// Pattern returns the route as [http.ServeMux] takes it.
func (r Route) Pattern() string { return r.Method + " " + r.Path }

// A Principal is who makes a request.
type Principal struct {
	// Name is for people and logs: an e-mail address, a subject, or "anonymous".
	Name  string
	Roles []Role
}

// May reports whether p may use a route for role.
func (p Principal) May(role Role) bool {
	return role == Public || slices.Contains(p.Roles, role) ||
		role == Viewer && slices.Contains(p.Roles, Operator)
}

type principalKey struct{}

// WithPrincipal returns a context that carries p.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns who makes the request that ctx belongs to. Without one, nobody may
// do anything.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}
