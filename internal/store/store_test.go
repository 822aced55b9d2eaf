package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

func TestCursorSurvivesItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.String().Filter(func(id string) bool { return evalforge.ValidateTraceID(id) == nil }).Draw(t, "id")
		want := Cursor{Rank: rapid.String().Draw(t, "rank"), Time: rapid.String().Draw(t, "time"), ID: id}
		limit, got, err := Page("runs", extract.PageQuery{After: want.Encode("runs")})
		if err != nil || got != want || limit != 100 {
			t.Errorf("got limit %d, cursor %+v and error %v, want 100 and %+v", limit, got, err, want)
		}
		if _, _, err := Page("errors", extract.PageQuery{After: want.Encode("runs")}); err == nil {
			t.Error("a cursor of another list is taken")
		}
	})
}

func TestCursorOrder(t *testing.T) {
	list := []Cursor{{"2", "2025", "a"}, {"1", "2026", "b"}, {"", "2026", "b"}, {"", "2026", "a"}, {"", "2025", "z"}, {"", "", "a"}, {"", "", ""}}
	for i, a := range list {
		for j, b := range list {
			if got, want := a.Before(b), i < j; got != want {
				t.Errorf("%+v before %+v: got %v, want %v", a, b, got, want)
			}
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add(Cursor{Time: "2026", ID: "a"}.Encode("runs"))
	f.Add("bnVsbA")
	f.Add("W10")
	f.Fuzz(func(t *testing.T, after string) {
		_, _, err := Page("runs", extract.PageQuery{After: after})
		var fe *evalforge.FieldError
		if err != nil && !errors.As(err, &fe) {
			t.Errorf("after %q: got error %v, want a field error", after, err)
		}
	})
}

// A payload that is not UTF-8 is stored as what encoding/json reads from it.
func TestIncomingTraceIsReadTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOf(rapid.ByteRange(0x80, 0xff)).Draw(t, "bytes")
		payload := slices.Concat([]byte(`{"a":"x`), text, []byte(`y"}`))
		var want any
		if err := json.Unmarshal(payload, &want); err != nil {
			t.Skip("not JSON")
		}
		tr, err := IncomingTrace(evalforge.RawTrace{TraceID: "a", Payload: payload})
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal(tr.Payload, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("payload %q (-want +got):\n%s", payload, d)
		}
	})
}

func TestEncodeLeavesTextReadable(t *testing.T) {
	got, err := Encode(map[string]any{"a": "<b> & c", "raw": json.RawMessage(`{"x":"<y>"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"a":"<b> & c","raw":{"x":"<y>"}}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAddRun(t *testing.T) {
	var runs []string
	for i := range 40 {
		runs = AddRun(runs, fmt.Sprintf("run_%d", i))
	}
	if len(runs) != maxRecentRuns || runs[len(runs)-1] != "run_39" {
		t.Errorf("got %q, want the last %d", runs, maxRecentRuns)
	}
	old := []string{"a", "b", "c"}
	if got, want := AddRun(old, "a"), []string{"b", "c", "a"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.Equal(old, []string{"a", "b", "c"}) {
		t.Errorf("the argument was changed to %q", old)
	}
}

func TestRetryableSaysWhyNot(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) evalforge.Timestamp { return evalforge.At(now.Add(d)) }
	for _, tt := range []struct {
		name      string
		processed bool
		state     extract.State
		want      string
	}{
		{"quarantined", false, extract.State{QuarantinedAt: at(-1)}, ""},
		{"backing off", false, extract.State{RetryAt: at(time.Minute)}, ""},
		{"processed", true, extract.State{}, "trace t: nothing to retry: it is already processed"},
		{"leased", false, extract.State{LeaseOwner: "host-1", LeaseToken: "x", LeaseUntil: at(time.Minute)},
			"trace t: nothing to retry: host-1 is working on it; its lease ends at 2026-01-02T03:05:05.000000+00:00"},
		{"expired lease", false, extract.State{LeaseToken: "x", LeaseUntil: at(0)},
			"trace t: nothing to retry: it is due anyway; the next run takes it"},
		{"backoff over", false, extract.State{RetryAt: at(0)}, "trace t: nothing to retry: it is due anyway; the next run takes it"},
		{"never claimed", false, extract.State{}, "trace t: nothing to retry: it is due anyway; the next run takes it"},
	} {
		err := Retryable("t", tt.processed, tt.state, now)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want || err != nil && !errors.Is(err, extract.ErrNotRetryable) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLegibleReadsWhatItCan(t *testing.T) {
	for doc, want := range map[string]evalforge.ExtractionError{
		`{"run_id":"r","error_message":"m"}`:                              {RunID: "r", ErrorMessage: "m"},
		`{"error_message":["m"],"recorded_at":"yesterday","run_id":"r"}`:  {RunID: "r"},
		`{"run_id":"r","RUN_ID":17,"recorded_at":"2026-01-02T03:04:05Z"}`: {RunID: "r", RecordedAt: evalforge.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))},
		`[]`: {}, `{"run_id":"r"`: {}, ``: {},
	} {
		if got := Legible[evalforge.ExtractionError]([]byte(doc)); got != want {
			t.Errorf("%s: got %+v, want %+v", doc, got, want)
		}
	}
}

func TestDecodeTraceNeedsWhatExtractionReads(t *testing.T) {
	for doc, ok := range map[string]bool{
		`{"fetched_at":17,"status_code":"503","status_history":[{"timestamp":"soon"}],"service_name":"s","trace_payload":{"a":1}}`: true,
		`{"fetched_at":17,"service_name":1}`: false, `{"severity":[]}`: false, `{"failure_type":{}}`: false, `{"processed":"yes"}`: false, `[]`: false,
	} {
		tr, err := DecodeTrace("t", []byte(doc))
		if tr.TraceID != "t" || (err == nil) != ok {
			t.Errorf("%s: got %+v and error %v", doc, tr, err)
		}
		if ok && (tr.ServiceName != "s" || string(tr.Payload) != `{"a":1}`) {
			t.Errorf("%s: got %+v", doc, tr)
		}
	}
}
