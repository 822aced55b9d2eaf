package pages_test

import (
	"log/slog"
	"net/http"

	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/server/route"
)

var discard = slog.New(slog.DiscardHandler)

// roles serves a route to somebody who has some roles.
type roles struct {
	route route.Route
	has   []route.Role
}

func (s roles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := route.Principal{Name: "somebody", Roles: s.has}
	if !who.May(s.route.Role) {
		problem.Write(w, r, problem.New(problem.Forbidden, "This needs another role."))
		return
	}
	s.route.Handler.ServeHTTP(w, r.WithContext(route.WithPrincipal(r.Context(), who)))
}
