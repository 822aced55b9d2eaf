package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/problem"
)

// A query reads the parameters of a request, and collects what is wrong with them.
type query struct {
	values url.Values
	known  []string
	wrong  []problem.FieldError
}

// listParams are the parameters of a list: those of every page, and its filters.
func listParams(filters ...string) []string { return append([]string{"limit", "cursor"}, filters...) }

// queryOf returns r's parameters. One that is not known, or given twice, is wrong: a misspelled
// filter would answer with everything.
func queryOf(r *http.Request, known []string) (*query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem.New(problem.BadRequest, "the query of the address is not well-formed")
	}
	q := &query{values: values, known: known}
	for name, v := range values {
		switch {
		case !slices.Contains(q.known, name):
			q.refuse(name, "is not known here; known are %s", strings.Join(q.known, ", "))
		case len(v) > 1:
			q.refuse(name, "is given more than once")
		}
	}
	return q, nil
}

func (q *query) refuse(name, format string, args ...any) {
	q.wrong = append(q.wrong, problem.FieldError{Field: excerpt.Clip(strings.ToValidUTF8(name, "\uFFFD"), 80), Problem: fmt.Sprintf(format, args...)})
}

// page returns which page is asked for.
func (q *query) page() extract.PageQuery {
	p := extract.PageQuery{After: q.values.Get("cursor")}
	if v := q.values.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > extract.MaxPage {
			q.refuse("limit", "is not a whole number from 1 to %d", extract.MaxPage)
		}
		p.Limit = n
	}
	return p
}

// oneOf returns the parameter name, which is one of all, or "".
func oneOf[T ~string](q *query, name string, all []T) T {
	v := T(q.values.Get(name))
	if v != "" && !slices.Contains(all, v) {
		names := make([]string, len(all))
		for i, a := range all {
			names[i] = string(a)
		}
		q.refuse(name, "is none of %s", strings.Join(names, ", "))
	}
	return v
}

// maybe returns the parameter name, which is true or false, or nil if it is not there.
func (q *query) maybe(name string) *bool {
	v := q.values.Get(name)
	if v == "" {
		return nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		q.refuse(name, "is neither true nor false")
	}
	return &b
}

// boolean is maybe, with false for nothing.
func (q *query) boolean(name string) bool {
	b := q.maybe(name)
	return b != nil && *b
}

// fraction returns the parameter name, a number from 0 to 1.
func (q *query) fraction(name string) float64 {
	v := q.values.Get(name)
	if v == "" {
		return 0
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		q.refuse(name, "is not a number from 0 to 1")
	}
	return f
}

// time returns the parameter name, a day or a time of RFC 3339.
func (q *query) time(name string) time.Time {
	v := q.values.Get(name)
	if v == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		// In a query, + is a blank unless it is escaped, which is easily forgotten.
		if t, err := time.Parse(layout, strings.ReplaceAll(v, " ", "+")); err == nil {
			return t
		}
	}
	q.refuse(name, "is neither a day, such as 2026-01-31, nor a time, such as 2026-01-31T12:00:00Z")
	return time.Time{}
}

func (q *query) text(name string) string { return q.values.Get(name) }

// err is what is wrong with the parameters, or nil.
func (q *query) err() error {
	slices.SortFunc(q.wrong, func(a, b problem.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return invalid(q.wrong)
}
