package store

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// PatternPage checks q and returns the name of its list for cursors, which are good for
// one order only, how many patterns to list, and after which.
func PatternPage(q extract.PatternQuery) (list string, limit int, after Cursor, err error) {
	list = "failure_patterns"
	if err := q.Check(); err != nil {
		return list, 0, Cursor{}, err
	}
	if q.Sort != "" && q.Sort != extract.Newest {
		list += " by " + string(q.Sort)
	}
	limit, after, err = Page(list, q.PageQuery)
	if err == nil && after != (Cursor{}) && (after.Rank != "") != ranked(q.Sort) {
		err = badCursor(list)
	}
	return list, limit, after, err
}

func ranked(s extract.Sort) bool { return s == extract.ByConfidence || s == extract.BySeverity }

// PatternPlace returns where p stands in the lists of the given order.
func PatternPlace(p *evalforge.Pattern, order extract.Sort) Cursor {
	c := Cursor{Time: p.ExtractedAt.String(), ID: p.SourceTraceID}
	switch order {
	case extract.ByConfidence:
		c.Rank = confidenceRank(p.Confidence)
	case extract.BySeverity:
		c.Rank = strconv.Itoa(SeverityRank(p.Severity))
	}
	return c
}

// confidenceRank returns a text that sorts as the confidence, which is 0 or more.
func confidenceRank(c float64) string { return fmt.Sprintf("%016x", math.Float64bits(c+0)) }

// Confidence is the inverse of [confidenceRank]; what is no rank is 0.
func Confidence(rank string) float64 {
	bits, err := strconv.ParseUint(rank, 16, 64)
	if c := math.Float64frombits(bits); err == nil && c >= 0 && c <= math.MaxFloat64 { // other writers may mean percent
		return c
	}
	return 0
}

// SeverityRank returns the place of s in [evalforge.Severities], or -1.
func SeverityRank(s evalforge.Severity) int { return slices.Index(evalforge.Severities(), s) }

// Days checks q and returns its first and last day; an open end is "" or "~", which
// sorts behind all days.
func Days(q extract.StatsQuery) (first, last string) {
	first, last = "", "~"
	if !q.Since.IsZero() {
		first = extract.Day(q.Since)
	}
	if !q.Until.IsZero() {
		last = extract.Day(q.Until)
	}
	return first, last
}

// GroupLimit checks the limit of a group query.
func GroupLimit(q extract.GroupQuery) (int, error) {
	if q.Limit < 0 || q.Limit > extract.MaxGroups {
		return 0, &evalforge.FieldError{Field: "limit", Problem: fmt.Sprintf("is %d; allowed are 1 to %d, and 0 for 10", q.Limit, extract.MaxGroups)}
	}
	return cmp.Or(q.Limit, 10), nil
}

// A Tally counts patterns one by one, for stores that cannot have them counted. The zero
// value is empty.
type Tally struct {
	counts map[extract.Count]int
	groups map[string]*tallied
}

type tallied struct {
	extract.Group
	lastDay string
	newest  Cursor
}

// Add counts p, if its day is one of those from first to last; the times first and last
// seen are those of all patterns that are added.
func (t *Tally) Add(p *evalforge.Pattern, first, last string) {
	if t.counts == nil {
		t.counts, t.groups = map[extract.Count]int{}, map[string]*tallied{}
	}
	g := t.groups[p.Fingerprint]
	if g == nil {
		g = &tallied{Group: extract.Group{Fingerprint: p.Fingerprint, FirstSeen: p.ExtractedAt}}
		t.groups[p.Fingerprint] = g
	}
	if place := PatternPlace(p, extract.Newest); g.newest == (Cursor{}) || place.Before(g.newest) {
		g.newest, g.LastSeen = place, p.ExtractedAt
		g.FailureType, g.Severity, g.Confidence, g.TriggerCondition = p.FailureType, p.Severity, p.Confidence, p.TriggerCondition
		g.Title, g.TraceID = p.Title, p.SourceTraceID
	}
	if p.ExtractedAt.Before(g.FirstSeen.Time) {
		g.FirstSeen = p.ExtractedAt
	}
	day := dayOf(p.ExtractedAt.Time)
	if day < first || day > last {
		return
	}
	t.counts[extract.Count{Day: day, FailureType: p.FailureType, Severity: p.Severity}]++
	g.Count++
	g.lastDay = max(g.lastDay, day)
}

func dayOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return extract.Day(t)
}

// Counts returns what was counted, in the order of [extract.Insights].
func (t *Tally) Counts() []extract.Count {
	list := make([]extract.Count, 0, len(t.counts))
	for c, n := range t.counts {
		c.Count = n
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b extract.Count) int {
		return cmp.Or(strings.Compare(a.Day, b.Day), cmp.Compare(a.FailureType, b.FailureType), cmp.Compare(a.Severity, b.Severity))
	})
	return list
}

// Groups returns the limit most frequent groups, in the order of [extract.Insights].
func (t *Tally) Groups(limit int) []extract.Group {
	var all []*tallied
	for _, g := range t.groups {
		if g.Count > 0 {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b *tallied) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(b.lastDay, a.lastDay), strings.Compare(a.Fingerprint, b.Fingerprint))
	})
	list := []extract.Group{}
	for _, g := range all[:min(limit, len(all))] {
		list = append(list, g.Group)
	}
	return list
}
