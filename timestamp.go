package evalforge

import (
	"fmt"
	"time"
)

// TimestampLayout is the one layout in which every stored timestamp is written:
// UTC, always six fraction digits, always the offset "+00:00". Stored documents
// are ordered by comparing these strings, so a second layout would break ordering;
// Python's datetime.fromisoformat reads it on every version since 3.7.
const TimestampLayout = "2006-01-02T15:04:05.000000-07:00"

// A Timestamp is a point in time as it stands in stored documents: an ISO-8601
// string in [TimestampLayout], never a native database timestamp. Precision is
// one microsecond; the zero value is written as "".
type Timestamp struct{ time.Time }

// At returns t as a Timestamp in UTC, cut to the microsecond.
func At(t time.Time) Timestamp {
	if t.IsZero() {
		return Timestamp{}
	}
	return Timestamp{t.UTC().Truncate(time.Microsecond)}
}

// String returns the stored form, or "" for the zero value.
func (t Timestamp) String() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(TimestampLayout)
}

// MarshalText implements [encoding.TextMarshaler] with the stored form.
func (t Timestamp) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalJSON writes the stored form as a JSON string. It hides the method that
// [time.Time] would otherwise contribute, whose layout differs.
func (t Timestamp) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalJSON accepts a JSON string in any layout [ParseTimestamp] reads, or null.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" {
		*t = Timestamp{}
		return nil
	}
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return fmt.Errorf("timestamp must be an ISO-8601 string, got %.40s", s)
	}
	return t.UnmarshalText(b[1 : len(b)-1])
}

// UnmarshalText accepts what [ParseTimestamp] reads.
func (t *Timestamp) UnmarshalText(b []byte) error {
	p, err := ParseTimestamp(string(b))
	if err != nil {
		return err
	}
	*t = p
	return nil
}

// timestampLayouts are what other writers of these documents are known to produce:
// RFC 3339 with any number of fraction digits, and Python's isoformat of a naive
// datetime (no zone; taken as UTC).
var timestampLayouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02",
}

// ParseTimestamp reads an ISO-8601 timestamp; one without a zone is taken as UTC.
// The empty string is the zero Timestamp.
func ParseTimestamp(s string) (Timestamp, error) {
	if s == "" {
		return Timestamp{}, nil
	}
	for _, layout := range timestampLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return At(t), nil
		}
	}
	return Timestamp{}, fmt.Errorf("timestamp %.40q is not ISO-8601 (want the form 2026-01-02T03:04:05.000006+00:00)", s)
}
