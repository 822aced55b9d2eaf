package firestore

import (
	"strings"
	"time"
)

// Lists are ordered by a time, which we write as a string and other writers may have
// stored as a native timestamp. Firestore orders values by type first: null, booleans and
// numbers, then timestamps, then strings, then all others. Only what lies from firstTime
// to beyondTimes is listed.
func firstTime() any   { return time.Time{} }
func beyondTimes() any { return []byte{} }

// someID completes a cursor of these values, which no document has.
const someID = "-"

// What stands in a cursor in the place of a time that is no string. No time begins so.
const (
	nativeMark = "\x00native " // and the timestamp
	underMark  = "\x00under"   // of a type before timestamps
	overMark   = "\x00over"    // of a type behind strings
)

// placeText returns the text of a cursor for the time of a document, as it is stored.
func placeText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case time.Time:
		return nativeMark + v.UTC().Format(time.RFC3339Nano)
	case nil, bool, int64, float64:
		return underMark
	}
	return overMark
}

// placeValue is the inverse of [placeText]. Of values that are no times, which are only met
// where a list has another order before the time, it returns the last in descending
// order: a page that ends among them ends with all of them.
func placeValue(s string) any {
	if native, ok := strings.CutPrefix(s, nativeMark); ok {
		if at, err := time.Parse(time.RFC3339Nano, native); err == nil {
			return at
		}
	}
	switch s {
	case underMark:
		return nil
	case overMark:
		return beyondTimes()
	}
	return s
}
