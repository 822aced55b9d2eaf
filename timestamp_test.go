package evalforge

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTimestampHasOneStoredForm(t *testing.T) {
	const want = `"2026-01-02T03:04:05.000006+00:00"`
	for _, in := range []string{
		`"2026-01-02T03:04:05.000006+00:00"`,
		`"2026-01-02T03:04:05.000006Z"`,
		`"2026-01-02T03:04:05.000006789Z"`,
		`"2026-01-02T05:04:05.000006+02:00"`,
		`"2026-01-02T03:04:05.000006"`, // naive, as Python's isoformat writes it
		`"2026-01-02 03:04:05.000006"`,
	} {
		var ts Timestamp
		if err := json.Unmarshal([]byte(in), &ts); err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		got, err := json.Marshal(ts)
		if err != nil || string(got) != want {
			t.Errorf("%s is stored as %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestTimestampRefusesWhatItCannotRead(t *testing.T) {
	for _, in := range []string{`"yesterday"`, `1767322800`, `{}`, `"2026-13-01T00:00:00Z"`} {
		var ts Timestamp
		if err := json.Unmarshal([]byte(in), &ts); err == nil {
			t.Errorf("%s was read as %v; want an error", in, ts)
		}
	}
}

func TestTimestampZeroIsEmpty(t *testing.T) {
	got, err := json.Marshal(Timestamp{})
	if err != nil || string(got) != `""` {
		t.Errorf("zero timestamp is stored as %s, %v", got, err)
	}
	for _, in := range []string{`""`, `null`} {
		ts := At(time.Unix(1, 0))
		if err := json.Unmarshal([]byte(in), &ts); err != nil || !ts.IsZero() {
			t.Errorf("%s was read as %v, %v; want zero", in, ts, err)
		}
	}
}

// Stored documents are ordered by comparing strings.
func TestTimestampStringsOrderAsTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Years 1970 to 9999; beyond them ISO-8601 itself has no agreed form.
		gen := rapid.Int64Range(0, 253402300799999999)
		a, b := At(time.UnixMicro(gen.Draw(t, "a"))), At(time.UnixMicro(gen.Draw(t, "b")))
		if a.Before(b.Time) != (a.String() < b.String()) {
			t.Fatalf("%v and %v order differently as strings", a, b)
		}
		back, err := ParseTimestamp(a.String())
		if err != nil || !back.Equal(a.Time) {
			t.Fatalf("%v reads back as %v, %v", a, back, err)
		}
	})
}
