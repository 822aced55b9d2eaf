package pages

import (
	"net/http"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// maxIgnored is how much a page says of what it ignores.
const maxIgnored = 5

// perPage is how many patterns a page of the list shows.
const perPage = 50

type patternsPage struct {
	Filter filter
	Chips  []chip
	Rows   []patternRow
	// Next is the address of the next page, or "". There may be one even if this one is
	// short: stores look at a bounded number of patterns per page.
	Next, First string
	JSONL, CSV  string
	Sorts       []extract.Sort
	Ignored     []string // what of the address chooses nothing
	// Any reports whether the store has any pattern, for what an empty list says.
	Any bool
}

// A patternRow is one pattern in a list. Its text is visible.
type patternRow struct {
	ID       string // raw, for addresses
	Pattern  evalforge.Pattern
	Verified int
	Quoted   int
}

func (p *Pages) patterns(r *http.Request) (view, error) {
	v := typed(r.URL.RawQuery)
	f, err := parseFilter(v)
	if err != nil {
		return view{}, err
	}
	q, err := f.query()
	if err != nil {
		return view{}, err
	}
	q.Limit, q.After = perPage, v.Get("after")
	list, next, err := p.o.Store.Patterns(r.Context(), q)
	if err != nil {
		return view{}, err
	}
	visibleFilter := f
	visibleAll(&visibleFilter)
	page := patternsPage{Filter: visibleFilter, Chips: f.chips(), Sorts: extract.Sorts(), Any: len(list) > 0,
		JSONL: address("/export/patterns.jsonl", f.values()), CSV: address("/export/patterns.csv", f.values())}
	ignored := f.ignored(v)
	for _, no := range ignored[:min(maxIgnored, len(ignored))] {
		page.Ignored = append(page.Ignored, visible("“"+f.label(no.Field)+"” "+no.Problem))
	}
	if page.Rows, err = p.rows(list); err != nil {
		return view{}, err
	}
	if next != "" {
		with := f.values()
		with.Set("after", next)
		page.Next = address("/patterns", with)
	}
	if q.After != "" {
		page.First = f.path()
	}
	if !page.Any {
		any, _, err := p.o.Store.Patterns(r.Context(), extract.PatternQuery{PageQuery: extract.PageQuery{Limit: 1}})
		if err != nil {
			return view{}, err
		}
		page.Any = len(any) > 0
	}
	return view{template: "patterns", title: "Patterns", page: page}, nil
}

// rows redacts patterns and makes them visible.
func (p *Pages) rows(list []evalforge.Pattern) ([]patternRow, error) {
	rows := make([]patternRow, len(list))
	for i, pat := range list {
		var err error
		if rows[i], err = p.row(pat); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (p *Pages) row(pat evalforge.Pattern) (patternRow, error) {
	id := pat.SourceTraceID
	pat, err := p.o.Clean.Pattern(pat)
	if err != nil {
		return patternRow{}, err
	}
	row := patternRow{ID: id, Pattern: pat, Quoted: len(pat.Evidence.Refs)}
	visibleAll(&row.Pattern)
	for _, ref := range pat.Evidence.Refs {
		if ref.Verified {
			row.Verified++
		}
	}
	return row, nil
}

// recommended is the first recommended action of a pattern, or "".
func (r patternRow) Recommended() string {
	if i := slices.IndexFunc(r.Pattern.RecommendedActions, func(s string) bool { return s != "" }); i >= 0 {
		return r.Pattern.RecommendedActions[i]
	}
	return ""
}
