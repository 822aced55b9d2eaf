package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

const defaultPage = 100

// A Cursor is a place in a list that is ordered by time and id, newest first and with
// the greater id first among equals: exactly the reverse of (time, id). The zero value
// is the place before the first document.
type Cursor struct {
	Rank string // what the list is ordered by before the time, greatest first; mostly ""
	Time string // in [evalforge.TimestampLayout]
	ID   string
}

// Page checks q and returns how many documents to list, and after which.
func Page(list string, q extract.PageQuery) (limit int, after Cursor, err error) {
	if q.Limit < 0 || q.Limit > extract.MaxPage {
		return 0, Cursor{}, &evalforge.FieldError{Field: "limit", Problem: fmt.Sprintf("is %d; allowed are 1 to %d, and 0 for %d", q.Limit, extract.MaxPage, defaultPage)}
	}
	limit = q.Limit
	if limit == 0 {
		limit = defaultPage
	}
	if q.After == "" {
		return limit, Cursor{}, nil
	}
	after, err = parseCursor(list, q.After)
	return limit, after, err
}

// Encode returns c as the opaque text that callers pass back to get the page after it.
// It is valid for the named list only.
func (c Cursor) Encode(list string) string {
	parts := []string{list, c.Time, c.ID}
	if c.Rank != "" {
		parts = append(parts, c.Rank)
	}
	b, err := json.Marshal(parts)
	if err != nil {
		return "" // strings always encode
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// Before reports whether c comes before d in the list.
func (c Cursor) Before(d Cursor) bool {
	if c.Rank != d.Rank {
		return c.Rank > d.Rank
	}
	if c.Time != d.Time {
		return c.Time > d.Time
	}
	return c.ID > d.ID
}

func parseCursor(list, s string) (Cursor, error) {
	bad := badCursor(list)
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return Cursor{}, bad
	}
	var parts []string
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) != 3 && len(parts) != 4 || parts[0] != list {
		return Cursor{}, bad
	}
	// The ids of errors may be longer than those of traces.
	if evalforge.ValidateTraceID(parts[2][:min(len(parts[2]), evalforge.MaxTraceIDBytes)]) != nil {
		return Cursor{}, bad
	}
	c := Cursor{Time: parts[1], ID: parts[2]}
	if len(parts) == 4 {
		c.Rank = parts[3]
	}
	return c, nil
}

func badCursor(list string) error {
	return &evalforge.FieldError{Field: "after", Problem: "is not a cursor of the list of " + list + "; pass the cursor of the previous page as it was given, or none for the first page"}
}
