package firestore

import (
	"fmt"
	"slices"
	"testing"

	"cloud.google.com/go/firestore"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// pages returns what the pages of a list have together.
func pages[T any](t *testing.T, limit int, name func(T) string, page func(extract.PageQuery) ([]T, string, error)) []string {
	t.Helper()
	var names []string
	for q := (extract.PageQuery{Limit: limit}); ; {
		list, next, err := page(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			names = append(names, name(v))
		}
		if q.After = next; next == "" {
			return names
		}
		if len(names) > 100 {
			t.Fatalf("the list has no end: %q", names)
		}
	}
}

// TestListsWithOddDocuments: documents of other writers, with native timestamps or of wrong
// types, are on the pages of every list once, and hide no other.
func TestListsWithOddDocuments(t *testing.T) {
	db := open(t, emulator.Project())
	odd := []struct {
		id    string
		field string
		value any
	}{
		{"a", "extracted_at", text(minute(1))}, {"b", "extracted_at", minute(2)}, {"c", "extracted_at", minute(3)}, {"d", "extracted_at", minute(4)},
		{"e", "title", 17}, {"f", "evidence", "none"}, {"g", "confidence", 85}, {"h", "confidence", "high"}, {"i", "source_trace_id", true},
		{"j", "extracted_at", 17}, {"k", "extracted_at", map[string]any{}}, {"l", "extracted_at", nil}, {"m", "extracted_at", firestore.Delete},
	}
	for i, o := range odd {
		p := evalforge.Pattern{PatternID: evalforge.PatternID(o.id), SourceTraceID: o.id, Analysis: analysis(), ExtractedAt: evalforge.At(minute(10 + i))}
		fields, err := patternDocument(&p)
		if err != nil {
			t.Fatal(err)
		}
		if fields[o.field] = o.value; o.value == firestore.Delete {
			delete(fields, o.field)
		}
		if _, err := db.collection(patterns).Doc(o.id).Set(t.Context(), fields); err != nil {
			t.Fatal(err)
		}
		// The same in the other lists.
		at, wrong := o.value, "no number"
		if o.field != "extracted_at" {
			at = text(minute(10 + i))
		}
		for ref, fields := range map[*firestore.DocumentRef]map[string]any{
			db.collection(runs).Doc(o.id):      {"started_at": at, "batch_size": wrong, "trace_outcomes": wrong},
			db.collection(errorDocs).Doc(o.id): {"recorded_at": at, "run_id": o.id, "error_message": []any{wrong}},
			db.state(o.id):                     {"updated_at": at, "attempts": wrong, "queue": quarantined},
		} {
			if at == firestore.Delete {
				continue
			}
			if _, err := ref.Set(t.Context(), fields); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, limit := range []int{1, 2, 50} {
		for sort, want := range map[extract.Sort][]string{
			extract.Newest: {"i", "h", "g", "f", "e", "a", "d", "c", "b"}, extract.Oldest: {"b", "c", "d", "a", "e", "f", "g", "h", "i"},
			extract.BySeverity: {"i", "h", "g", "f", "e", "a", "d", "c", "b"},
			// Where the time comes second, a page that ends with an odd one passes over others.
			extract.ByConfidence: {"g", "k", "i", "f", "e", "a", "d", "c", "b", "j", "l"},
		} {
			got := pages(t, limit, func(p evalforge.Pattern) string { return p.SourceTraceID }, func(q extract.PageQuery) ([]evalforge.Pattern, string, error) {
				return db.Patterns(t.Context(), extract.PatternQuery{PageQuery: q, Sort: sort})
			})
			if sort == extract.ByConfidence && limit < 50 {
				got, want = slices.DeleteFunc(got, isOdd), slices.DeleteFunc(want, isOdd)
			}
			if d := gocmp.Diff(want, got); d != "" {
				t.Errorf("patterns by %s, %d a page (-want +got):\n%s", sort, limit, d)
			}
		}
		want := []string{"i", "h", "g", "f", "e", "a", "d", "c", "b"}
		for what, got := range map[string][]string{
			"runs": pages(t, limit, func(r evalforge.Run) string { return r.RunID }, func(q extract.PageQuery) ([]evalforge.Run, string, error) { return db.Runs(t.Context(), q) }),
			"errors": pages(t, limit, func(e evalforge.ExtractionError) string { return e.RunID }, func(q extract.PageQuery) ([]evalforge.ExtractionError, string, error) {
				return db.Errors(t.Context(), extract.ErrorQuery{PageQuery: q})
			}),
			"quarantined": pages(t, limit, func(s extract.State) string { return s.TraceID }, func(q extract.PageQuery) ([]extract.State, string, error) {
				return db.States(t.Context(), extract.StateQuery{PageQuery: q, Quarantined: true})
			}),
		} {
			if d := gocmp.Diff(want, got); d != "" {
				t.Errorf("%s, %d a page (-want +got):\n%s", what, limit, d)
			}
		}
	}
	list, _, err := db.Patterns(t.Context(), extract.PatternQuery{PageQuery: extract.PageQuery{Limit: 5}})
	if err != nil || list[4].Title != "" || list[4].Summary != analysis().Summary {
		t.Errorf("of a pattern whose title is none, the list has %+v and error %v", list[4], err)
	}
	if _, err := db.Pattern(t.Context(), "e"); err == nil {
		t.Error("whoever asks for a pattern of wrong types is not told")
	}
	for name, call := range map[string]func() error{
		"stats":   func() error { _, err := db.PatternStats(t.Context(), extract.StatsQuery{}); return err },
		"groups":  func() error { _, err := db.Groups(t.Context(), extract.GroupQuery{}); return err },
		"backlog": func() error { _, err := db.Backlog(t.Context(), minute(1)); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// isOdd tells the documents without a time from those that hide nothing.
func isOdd(id string) bool { return id >= "j" }

func TestPlaceOfAnyTime(t *testing.T) {
	for _, v := range []any{"", "2026-01-02T03:04:05.000006+00:00", minute(1), firstTime(), nil} {
		if got := placeValue(placeText(v)); got != v {
			t.Errorf("%v became %v", v, got)
		}
	}
	for _, v := range []any{true, int64(1), 1.5} {
		if got := placeValue(placeText(v)); got != nil {
			t.Errorf("%v became %v, want null", v, got)
		}
	}
	for _, v := range []any{[]byte("x"), []any{}, map[string]any{}} {
		if got := fmt.Sprintf("%T", placeValue(placeText(v))); got != "[]uint8" {
			t.Errorf("%v became a %s, want bytes", v, got)
		}
	}
}
