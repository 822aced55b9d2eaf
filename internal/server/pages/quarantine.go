package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/extract"
)

type quarantinePage struct {
	Rows   []stuckRow
	Next   string
	First  string
	Notice string // what a retry did, or ""
	Failed bool   // it did nothing
}

// A stuckRow is one trace that a run took and did not finish.
type stuckRow struct {
	extract.State
	ID     string // raw, for the form
	Answer string // the refused answer's redacted beginning, or ""
	// Pattern is the address of the pattern of an earlier extraction, or "".
	Pattern string
}

const stuckPerPage = 25

func (p *Pages) quarantine(r *http.Request) (view, error) {
	v := r.URL.Query()
	q := extract.StateQuery{PageQuery: extract.PageQuery{Limit: stuckPerPage, After: v.Get("after")}, Quarantined: true}
	list, next, err := p.o.Store.States(r.Context(), q)
	if err != nil {
		return view{}, err
	}
	page := quarantinePage{}
	if page.Notice, page.Failed, err = p.retried(r.Context(), v); err != nil {
		return view{}, err
	}
	for _, s := range list {
		row := p.stuckRow(s)
		errs, _, err := p.o.Store.Errors(r.Context(), extract.ErrorQuery{PageQuery: extract.PageQuery{Limit: 1}, TraceID: s.TraceID})
		if err != nil {
			return view{}, err
		}
		if len(errs) > 0 {
			row.Answer = p.o.Clean.Error(errs[0]).ModelResponseExcerpt
		}
		row.Answer = visible(row.Answer)
		page.Rows = append(page.Rows, row)
	}
	if next != "" {
		page.Next = address("/quarantine", map[string][]string{"after": {next}})
	}
	if q.After != "" {
		page.First = "/quarantine"
	}
	return view{template: "quarantine", title: "Quarantine", page: page}, nil
}

// retried says what a retry did. Anybody can make an address: that a trace left the quarantine is said only when it
// is not there.
func (p *Pages) retried(ctx context.Context, v url.Values) (notice string, failed bool, err error) {
	name := func(key string) string { return visible(p.o.Clean.Text(excerpt.Clip(v.Get(key), maxNameRunes))) }
	switch {
	case v.Has("retried"):
		s, err := p.o.Store.State(ctx, v.Get("retried"))
		if errors.Is(err, evalforge.ErrNotFound) || err == nil && !s.QuarantinedAt.IsZero() {
			return "", false, nil
		}
		return fmt.Sprintf("Trace %s is due again: the next run takes it.", name("retried")), false, err
	case v.Has("not"):
		return fmt.Sprintf("Trace %s was not retried: it is gone, already processed, or due anyway.", name("not")), true, nil
	}
	return "", false, nil
}

// stuckRow redacts a state and makes it visible.
func (p *Pages) stuckRow(s extract.State) stuckRow {
	row := stuckRow{State: s, ID: s.TraceID}
	row.LastError = p.o.Clean.Text(s.LastError)
	if s.ExtractedDigest != "" {
		row.Pattern = patternPath(s.TraceID)
	}
	visibleAll(&row.State)
	row.RunID = s.RunID // for addresses
	return row
}

// retry makes a quarantined trace due again. That the form is ours and the caller an operator was
// checked in front of the route.
func (p *Pages) retry(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.render(w, r, p.problem(r, errBadRequest))
		return
	}
	id := r.PostForm.Get("trace")
	err := p.o.Store.Retry(r.Context(), id, p.o.Now())
	said := "retried"
	switch {
	case errors.Is(err, evalforge.ErrNotFound), errors.Is(err, extract.ErrNotRetryable):
		said = "not"
	case err != nil:
		p.render(w, r, p.problem(r, err))
		return
	}
	http.Redirect(w, r, address("/quarantine", map[string][]string{said: {id}}), http.StatusSeeOther)
}
