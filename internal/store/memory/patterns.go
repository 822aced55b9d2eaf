package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

func newPattern(p *evalforge.Pattern) (pattern, error) {
	doc, err := store.Encode(p)
	if err != nil {
		return pattern{}, err
	}
	value, err := store.Decode[evalforge.Pattern]("failure_patterns", p.SourceTraceID, doc)
	return pattern{document{p.ExtractedAt.String(), doc}, value}, err
}

// Patterns implements [extract.Archive].
func (s *Store) Patterns(ctx context.Context, q extract.PatternQuery) ([]evalforge.Pattern, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	name, limit, after, err := store.PatternPage(q)
	if err != nil {
		return nil, "", fmt.Errorf("list %s: %w", name, err)
	}
	before := store.Cursor.Before
	if q.Sort == extract.Oldest {
		before = func(a, b store.Cursor) bool { return b.Before(a) }
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var places []store.Cursor
	for _, p := range s.patterns {
		place := store.PatternPlace(&p.value, q.Sort)
		if (q.After == "" || before(after, place)) && q.Match(&p.value) {
			places = append(places, place)
		}
	}
	slices.SortFunc(places, func(a, b store.Cursor) int {
		if before(a, b) {
			return -1
		}
		return 1 // two places are never the same
	})
	next := ""
	if len(places) > limit {
		places = places[:limit]
		next = places[limit-1].Encode(name)
	}
	page := make([]evalforge.Pattern, 0, len(places))
	for _, place := range places {
		p, err := store.Decode[evalforge.Pattern]("failure_patterns", place.ID, s.patterns[place.ID].doc)
		if err != nil {
			return nil, "", err
		}
		page = append(page, p)
	}
	return page, next, nil
}

// PatternStats implements [extract.Insights].
func (s *Store) PatternStats(ctx context.Context, q extract.StatsQuery) (extract.Stats, error) {
	t, err := s.tally(ctx, q)
	if err != nil {
		return extract.Stats{}, err
	}
	return extract.Stats{Counts: t.Counts(), Complete: true}, nil
}

// Groups implements [extract.Insights].
func (s *Store) Groups(ctx context.Context, q extract.GroupQuery) (extract.Groups, error) {
	limit, err := store.GroupLimit(q)
	if err != nil {
		return extract.Groups{}, fmt.Errorf("groups: %w", err)
	}
	t, err := s.tally(ctx, q.StatsQuery)
	if err != nil {
		return extract.Groups{}, err
	}
	return extract.Groups{List: t.Groups(limit), Complete: true}, nil
}

func (s *Store) tally(ctx context.Context, q extract.StatsQuery) (*store.Tally, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	first, last := store.Days(q)
	t := new(store.Tally)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.patterns {
		t.Add(&p.value, first, last)
	}
	return t, nil
}
