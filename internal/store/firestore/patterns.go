package firestore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

const (
	// maxLook is how many documents a page of patterns reads at most when some of its
	// filters have no index and are checked here, unless the page itself is larger.
	maxLook = 300
	// maxTally is how many patterns are read to be counted, without their long fields:
	// Firestore counts what a query returns, but not by the values of fields.
	maxTally = 1000
)

// Patterns implements [extract.Archive]. It reads as many documents as it returns, and
// one, or [maxLook] where Firestore cannot check all filters.
func (db *DB) Patterns(ctx context.Context, q extract.PatternQuery) ([]evalforge.Pattern, string, error) {
	name, limit, at, err := store.PatternPage(q)
	op := "list " + name
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", op, err)
	}
	look := limit + 1 // one more, to see whether there is a next page
	if !served(q) {
		look = max(look, maxLook)
	}
	var after *store.Cursor
	if q.After != "" {
		after = &at
	}
	page := []evalforge.Pattern{}
	for _, part := range db.patternParts(q, after) {
		var snaps []*firestore.DocumentSnapshot
		err := db.retry(ctx, op, func(ctx context.Context) error {
			var err error
			snaps, err = query(ctx, part.Limit(look))
			return err
		})
		if err != nil {
			return nil, "", err
		}
		look -= len(snaps)
		for _, snap := range snaps {
			if len(page) == limit {
				return page, at.Encode(name), nil
			}
			p := legible[evalforge.Pattern](snap)
			p.SourceTraceID = snap.Ref.ID
			at = patternPlace(snap, &p, q.Sort)
			if q.Match(&p) {
				page = append(page, p)
			}
		}
		if look == 0 {
			return page, at.Encode(name), nil
		}
	}
	return page, "", nil
}

// patternPlace returns where a document stands in its list: by its time as it is written,
// which may not be as we write it.
func patternPlace(snap *firestore.DocumentSnapshot, p *evalforge.Pattern, order extract.Sort) store.Cursor {
	c := store.PatternPlace(p, order)
	c.Time = placeText(snap.Data()["extracted_at"])
	return c
}

// served reports whether Firestore checks all filters of q.
func served(q extract.PatternQuery) bool {
	if q.TriggerCondition != "" || q.Verified != nil || len(extract.Words(q.Text)) > 0 {
		return false
	}
	other := q.FailureType != "" || q.Severity != "" || q.Fingerprint != "" || q.Service != "" || q.Model != "" || q.RunID != ""
	switch q.Sort {
	case extract.ByConfidence:
		return !other && q.Since.IsZero() && q.Until.IsZero()
	case extract.Oldest:
		return !other && q.MinConfidence == 0
	}
	return q.MinConfidence == 0
}

// patternParts returns the queries whose results, one after the other, are the list after
// a place.
func (db *DB) patternParts(q extract.PatternQuery, after *store.Cursor) []firestore.Query {
	all := db.collection(patterns).Query
	switch q.Sort {
	case extract.ByConfidence:
		if q.MinConfidence > 0 {
			all = all.Where("confidence", ">=", q.MinConfidence)
		}
		// A confidence that is none is in no list by it.
		all = all.OrderBy("confidence", firestore.Desc).OrderBy("extracted_at", firestore.Desc).OrderBy(firestore.DocumentID, firestore.Desc).EndAt(0.0, nil, someID)
		if after != nil {
			return []firestore.Query{all.StartAfter(store.Confidence(after.Rank), placeValue(after.Time), after.ID)}
		}
		return []firestore.Query{all.StartAt(math.MaxFloat64, beyondTimes(), someID)}
	case extract.Oldest:
		all = between(all, q).OrderBy("extracted_at", firestore.Asc).OrderBy(firestore.DocumentID, firestore.Asc).EndBefore(beyondTimes(), someID)
		if after != nil {
			return []firestore.Query{all.StartAfter(placeValue(after.Time), after.ID)}
		}
		return []firestore.Query{all.StartAt(firstTime(), someID)}
	case extract.BySeverity:
		return db.patternsBySeverity(q, after)
	}
	return []firestore.Query{db.newestPatterns(q, after)}
}

// patternsBySeverity is one list of the newest per severity: as text, severities are not
// in their order.
func (db *DB) patternsBySeverity(q extract.PatternQuery, after *store.Cursor) []firestore.Query {
	var parts []firestore.Query
	for _, s := range slices.Backward(evalforge.Severities()) {
		if q.Severity != "" && q.Severity != s {
			continue
		}
		part, rank := q, strconv.Itoa(store.SeverityRank(s))
		part.Severity = s
		switch {
		case after == nil || rank < after.Rank:
			parts = append(parts, db.newestPatterns(part, nil))
		case rank == after.Rank:
			parts = append(parts, db.newestPatterns(part, after))
		}
	}
	return parts
}

// newestPatterns lists newest first what passes the filters that have an index.
func (db *DB) newestPatterns(q extract.PatternQuery, after *store.Cursor) firestore.Query {
	all := db.collection(patterns).Query
	for _, f := range []struct{ path, value string }{
		{"failure_type", string(q.FailureType)}, {"severity", string(q.Severity)}, {"fingerprint", q.Fingerprint},
		{"provenance.run_id", q.RunID}, {"provenance.service_name", q.Service}, {"provenance.model", q.Model},
	} {
		if f.value != "" {
			all = all.Where(f.path, "==", f.value)
		}
	}
	all = between(all, q).OrderBy("extracted_at", firestore.Desc).OrderBy(firestore.DocumentID, firestore.Desc).EndAt(firstTime(), someID)
	if after != nil {
		return all.StartAfter(placeValue(after.Time), after.ID)
	}
	return all.StartAfter(beyondTimes(), someID)
}

func between(all firestore.Query, q extract.PatternQuery) firestore.Query {
	if !q.Since.IsZero() {
		all = all.Where("extracted_at", ">=", text(q.Since))
	}
	if !q.Until.IsZero() {
		all = all.Where("extracted_at", "<", text(q.Until))
	}
	return all
}

// tallied lists the newest patterns of some days, without their long fields.
func (db *DB) tallied(q extract.StatsQuery) firestore.Query {
	first, last := store.Days(q)
	all := db.collection(patterns).Select("extracted_at", "failure_type", "severity", "fingerprint", "confidence", "trigger_condition", "title").
		Where("extracted_at", "<", last+"~") // behind all times of the day
	if first != "" {
		all = all.Where("extracted_at", ">=", first)
	}
	return all.OrderBy("extracted_at", firestore.Desc).OrderBy(firestore.DocumentID, firestore.Desc).Limit(maxTally + 1)
}

// endOfGroup lists the first or the last pattern with a fingerprint.
func (db *DB) endOfGroup(fingerprint string, dir firestore.Direction) firestore.Query {
	return db.collection(patterns).Select("extracted_at", "failure_type", "severity", "fingerprint", "confidence", "trigger_condition", "title").
		Where("fingerprint", "==", fingerprint).OrderBy("extracted_at", dir).OrderBy(firestore.DocumentID, dir).Limit(1)
}

// PatternStats implements [extract.Insights]. It reads at most [maxTally] documents and
// one, without their long fields.
func (db *DB) PatternStats(ctx context.Context, q extract.StatsQuery) (extract.Stats, error) {
	t, complete, err := db.tally(ctx, "pattern stats", q)
	if err != nil {
		return extract.Stats{}, err
	}
	return extract.Stats{Counts: t.Counts(), Complete: complete}, nil
}

// Groups implements [extract.Insights]. It reads as [DB.PatternStats] does, and two
// documents per group.
func (db *DB) Groups(ctx context.Context, q extract.GroupQuery) (extract.Groups, error) {
	limit, err := store.GroupLimit(q)
	if err != nil {
		return extract.Groups{}, fmt.Errorf("groups: %w", err)
	}
	t, complete, err := db.tally(ctx, "groups", q.StatsQuery)
	if err != nil {
		return extract.Groups{}, err
	}
	list := t.Groups(limit)
	places := make([]int, len(list))
	for i := range places {
		places[i] = i
	}
	err = db.retry(ctx, "groups", func(ctx context.Context) error {
		return each(places, func(i int) error { return db.seen(ctx, &list[i]) })
	})
	if err != nil {
		return extract.Groups{}, err
	}
	return extract.Groups{List: list, Complete: complete}, nil
}

// seen completes a group with its first and its newest pattern, whatever their day.
func (db *DB) seen(ctx context.Context, g *extract.Group) error {
	var t store.Tally
	for _, dir := range []firestore.Direction{firestore.Asc, firestore.Desc} {
		snaps, err := query(ctx, db.endOfGroup(g.Fingerprint, dir))
		if err != nil {
			return err
		}
		for _, snap := range snaps {
			p := legible[evalforge.Pattern](snap)
			p.SourceTraceID = snap.Ref.ID
			t.Add(&p, "", "~")
		}
	}
	for _, full := range t.Groups(1) {
		full.Count = g.Count
		*g = full
	}
	return nil
}

func (db *DB) tally(ctx context.Context, op string, q extract.StatsQuery) (t *store.Tally, complete bool, err error) {
	var snaps []*firestore.DocumentSnapshot
	err = db.retry(ctx, op, func(ctx context.Context) error {
		var err error
		snaps, err = query(ctx, db.tallied(q))
		return err
	})
	if err != nil {
		return nil, false, err
	}
	t, complete = new(store.Tally), len(snaps) <= maxTally
	for _, snap := range snaps[:min(len(snaps), maxTally)] {
		p := legible[evalforge.Pattern](snap)
		p.SourceTraceID = snap.Ref.ID
		t.Add(&p, "", "~") // the query has chosen the days
	}
	return t, complete, nil
}
