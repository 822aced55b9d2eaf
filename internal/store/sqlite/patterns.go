package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

const (
	sqlStats = `SELECT day, failure_type, severity, sum(n) FROM pattern_days WHERE day >= ?1 AND day <= ?2
		GROUP BY day, failure_type, severity ORDER BY day, failure_type, severity`

	// The groups' own figures are looked up for the few that are listed.
	sqlGroups = `SELECT g.fingerprint, g.n,
			(SELECT min(extracted_at) FROM failure_patterns f WHERE f.fingerprint = g.fingerprint), p.doc
		FROM (SELECT fingerprint, sum(n) AS n, max(day) AS day FROM pattern_days WHERE day >= ?1 AND day <= ?2
			GROUP BY fingerprint ORDER BY 2 DESC, 3 DESC, 1 LIMIT ?3) g
		JOIN failure_patterns p ON p.trace_id = (SELECT l.trace_id FROM failure_patterns l
			WHERE l.fingerprint = g.fingerprint ORDER BY l.extracted_at DESC, l.trace_id DESC LIMIT 1)
		ORDER BY g.n DESC, g.day DESC, g.fingerprint`

	sqlCountWords = `SELECT count(*) FROM (SELECT 1 FROM pattern_text WHERE pattern_text MATCH ?1 LIMIT ?2)`

	// fromFound makes the patterns that have the words the outer loop; CROSS JOIN keeps
	// the planner from turning it around.
	fromFound = `(SELECT rowid AS found FROM pattern_text WHERE pattern_text MATCH ? LIMIT ?) t CROSS JOIN failure_patterns p ON p.rowid = t.found`
)

const (
	// maxFound is how many patterns with the words of a search are sorted. When there are
	// more, the list is walked in its order instead: one in a few has the words.
	maxFound = 3000
	// maxLook is how many documents a walk looks into for words before it ends the page.
	maxLook = 500
)

// Patterns implements [extract.Archive].
func (db *DB) Patterns(ctx context.Context, q extract.PatternQuery) ([]evalforge.Pattern, string, error) {
	name, limit, at, err := store.PatternPage(q)
	if err != nil {
		return nil, "", fmt.Errorf("list %s: %w", name, err)
	}
	var after *store.Cursor
	if q.After != "" {
		after = &at
	}
	l := newPatternList(q)
	words := extract.Words(q.Text)
	if len(words) > 0 {
		if err := db.find(ctx, &l, words); err != nil {
			return nil, "", db.explain(ctx, "list "+name, err)
		}
	}
	fetch := limit + 1 // one more, to see whether there is a next page
	if len(words) > 0 && l.match == "" {
		fetch = max(fetch, maxLook)
	}
	query, args := l.page(fetch, after)
	rows, err := db.r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, "", db.explain(ctx, "list "+name, err)
	}
	defer rows.Close()
	page, seen := []evalforge.Pattern{}, 0
	for rows.Next() {
		var id string
		var doc []byte
		if err := rows.Scan(&id, &doc); err != nil {
			return nil, "", db.explain(ctx, "list "+name, err)
		}
		if len(page) == limit {
			return page, at.Encode(name), nil
		}
		p, err := store.Decode[evalforge.Pattern]("failure_patterns", id, doc)
		if err != nil {
			return nil, "", db.explain(ctx, "list "+name, err)
		}
		seen++
		at = store.PatternPlace(&p, q.Sort)
		if len(words) == 0 || q.Match(&p) {
			page = append(page, p)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, "", db.explain(ctx, "list "+name, err)
	}
	if seen == fetch {
		return page, at.Encode(name), nil // looked long enough
	}
	return page, "", nil
}

// find has the list drive from the patterns that have the words, if the index of words
// knows them and they are not on too many patterns.
func (db *DB) find(ctx context.Context, l *patternList, words []string) error {
	var terms []string
	for _, w := range words {
		if !strings.ContainsFunc(w, func(r rune) bool { return r >= 0x80 }) { // about others SQLite and Go may differ
			terms = append(terms, `"`+w+`"*`)
		}
	}
	if len(terms) == 0 {
		return nil
	}
	match := strings.Join(terms, " ")
	var n int
	if err := db.r.QueryRowContext(ctx, sqlCountWords, match, maxFound+1).Scan(&n); err != nil {
		return err
	}
	if n <= maxFound {
		l.match = match
	}
	return nil
}

// A patternList builds the statements of a list of patterns.
type patternList struct {
	match string // the words that the patterns have, or "" to walk all in order
	where []string
	args  []any
	order []string // columns, greatest first, or least first if asc
	asc   bool
	place func(store.Cursor) []any // values of the columns in order
}

func newPatternList(q extract.PatternQuery) patternList {
	l := patternList{order: []string{"p.extracted_at", "p.trace_id"}, place: func(c store.Cursor) []any { return []any{c.Time, c.ID} }}
	switch q.Sort {
	case extract.Oldest:
		l.asc = true
	case extract.ByConfidence:
		l.order = slices.Insert(l.order, 0, "p.confidence")
		l.place = func(c store.Cursor) []any { return []any{store.Confidence(c.Rank), c.Time, c.ID} }
	case extract.BySeverity:
		l.order = slices.Insert(l.order, 0, "p.severity_rank")
		l.place = func(c store.Cursor) []any { return []any{severityRank(c.Rank), c.Time, c.ID} }
	}
	l.filter(q)
	return l
}

func severityRank(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// filter adds the conditions of q. One of the equalities at most may choose the index: the
// most selective where the order is that of time, and type and severity, of which there
// are few, only alone. The others are checked on the way (+ hides them from the planner),
// in the index that holds them all, if no other was chosen.
func (l *patternList) filter(q extract.PatternQuery) {
	var equal []string
	for _, f := range []struct{ column, value string }{
		{"fingerprint", q.Fingerprint}, {"run_id", q.RunID}, {"trigger_label", evalforge.NormalizeLabel(q.TriggerCondition)},
		{"service_name", q.Service}, {"model", q.Model}, {"failure_type", string(q.FailureType)}, {"severity", string(q.Severity)},
	} {
		if f.value != "" {
			equal = append(equal, f.column)
			l.args = append(l.args, f.value)
		}
	}
	alone := len(equal) == 1 && q.MinConfidence == 0 && q.Verified == nil
	for i, column := range equal {
		selective := column == "fingerprint" || column == "run_id" || column == "trigger_label"
		if byTime := len(l.order) == 2; byTime && l.match == "" && i == 0 && (selective || alone) {
			l.where = append(l.where, "p."+column+" = ?")
		} else {
			l.where = append(l.where, "+p."+column+" = ?")
		}
	}
	add := func(on bool, condition string, value any) {
		if on {
			l.where = append(l.where, condition)
			l.args = append(l.args, value)
		}
	}
	time, confidence := "p.extracted_at", "+p.confidence"
	if len(l.order) > 2 {
		time = "+" + time
	}
	if q.Sort == extract.ByConfidence {
		confidence = "p.confidence"
	}
	add(q.MinConfidence > 0, confidence+" >= ?", q.MinConfidence)
	add(!q.Since.IsZero(), time+" >= ?", evalforge.At(q.Since).String())
	add(!q.Until.IsZero(), time+" < ?", evalforge.At(q.Until).String())
	add(q.Verified != nil, "+p.verified = ?", q.Verified != nil && *q.Verified)
}

// page returns the statement for at most limit patterns after a place.
func (l patternList) page(limit int, after *store.Cursor) (string, []any) {
	where, args := slices.Clone(l.where), slices.Clone(l.args)
	dir, cmp := " DESC", "<"
	if l.asc {
		dir, cmp = "", ">"
	}
	if after != nil {
		where = append(where, "("+strings.Join(l.order, ", ")+") "+cmp+" (?"+strings.Repeat(", ?", len(l.order)-1)+")")
		args = append(args, l.place(*after)...)
	}
	rest, args := "", append(args, limit)
	if len(where) > 0 {
		rest = " WHERE " + strings.Join(where, " AND ")
	}
	order := " ORDER BY " + strings.Join(l.order, dir+", ") + dir
	rest += order + " LIMIT ?"
	if l.match == "" {
		return "SELECT p.trace_id, p.doc FROM failure_patterns p" + rest, args
	}
	// Keys are sorted first, so that documents are read only of what is listed.
	return "SELECT p.trace_id, p.doc FROM (SELECT p.rowid AS k FROM " + fromFound + rest +
		") CROSS JOIN failure_patterns p ON p.rowid = k" + order, append([]any{l.match, maxFound}, args...)
}

// PatternStats implements [extract.Insights]. Its cost grows with the number of days and
// of fingerprints on them.
func (db *DB) PatternStats(ctx context.Context, q extract.StatsQuery) (extract.Stats, error) {
	first, last := store.Days(q)
	rows, err := db.r.QueryContext(ctx, sqlStats, first, last)
	if err != nil {
		return extract.Stats{}, db.explain(ctx, "pattern stats", err)
	}
	defer rows.Close()
	s := extract.Stats{Counts: []extract.Count{}, Complete: true}
	for rows.Next() {
		var c extract.Count
		if err := rows.Scan(&c.Day, &c.FailureType, &c.Severity, &c.Count); err != nil {
			return extract.Stats{}, db.explain(ctx, "pattern stats", err)
		}
		s.Counts = append(s.Counts, c)
	}
	return s, db.explain(ctx, "pattern stats", rows.Err())
}

// Groups implements [extract.Insights].
func (db *DB) Groups(ctx context.Context, q extract.GroupQuery) (extract.Groups, error) {
	limit, err := store.GroupLimit(q)
	if err != nil {
		return extract.Groups{}, fmt.Errorf("groups: %w", err)
	}
	first, last := store.Days(q.StatsQuery)
	rows, err := db.r.QueryContext(ctx, sqlGroups, first, last, limit)
	if err != nil {
		return extract.Groups{}, db.explain(ctx, "groups", err)
	}
	defer rows.Close()
	list := []extract.Group{}
	for rows.Next() {
		g, err := scanGroup(rows)
		if err != nil {
			return extract.Groups{}, db.explain(ctx, "groups", err)
		}
		list = append(list, g)
	}
	return extract.Groups{List: list, Complete: true}, db.explain(ctx, "groups", rows.Err())
}

func scanGroup(rows *sql.Rows) (extract.Group, error) {
	var g extract.Group
	var firstSeen string
	var doc []byte
	if err := rows.Scan(&g.Fingerprint, &g.Count, &firstSeen, &doc); err != nil {
		return g, err
	}
	p, err := store.Decode[evalforge.Pattern]("failure_patterns", g.Fingerprint, doc)
	if err != nil {
		return g, err
	}
	g.FirstSeen, err = evalforge.ParseTimestamp(firstSeen)
	g.LastSeen, g.FailureType, g.Severity = p.ExtractedAt, p.FailureType, p.Severity
	g.Confidence, g.TriggerCondition, g.Title, g.TraceID = p.Confidence, p.TriggerCondition, p.Title, p.SourceTraceID
	return g, err
}
