package pages

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
)

// The address of a list is all there is to its filter.
func TestFilterSurvivesItsAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want filter
		for _, field := range want.fields() {
			*field.value = strings.TrimSpace(rapid.StringN(0, 20, maxFilterBytes).Draw(t, field.name))
		}
		u, err := url.Parse(want.path())
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseFilter(u.Query())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		for _, c := range got.chips() {
			if u, err := url.Parse(c.Without); err != nil || len(u.Query()) >= len(got.values()) {
				t.Errorf("%+v leads to %s", c, c.Without)
			}
		}
	})
}

func TestFilterValues(t *testing.T) {
	for query, field := range map[string]string{
		"type=odd": "failure_type", "severity=odd": "severity", "confidence=odd": "confidence", "confidence=200": "confidence", "confidence=NaN": "confidence", "confidence=-1": "confidence", "confidence=%": "confidence",
		"since=yesterday": "since", "until=2026-13-01": "until", "evidence=maybe": "evidence", "sort=odd": "sort", "q=" + strings.Repeat("x", maxFilterBytes+1): "q",
	} {
		f, err := parseFilter(typed(query))
		if err == nil {
			_, err = f.query()
		}
		var fe *evalforge.FieldError
		if !errors.As(err, &fe) || fe.Field != field {
			t.Errorf("%.40s: got error %v, want one of the field %s", query, err, field)
		}
	}
}

// Confidence is read as the pages write it, also where an address is typed by hand.
func TestFilterConfidence(t *testing.T) {
	for query, want := range map[string]float64{
		"confidence=0.8": 0.8, "confidence=80": 0.8, "confidence=80%25": 0.8, "confidence=80%": 0.8, "confidence=80+%25&sort=newest": 0.8, "confidence=80%&sort=newest": 0.8,
		"confidence=1": 1, "confidence=1%": 0.01, "confidence=100": 1, "confidence=0": 0, "confidence=": 0,
	} {
		f, err := parseFilter(typed(query))
		if err != nil {
			t.Fatal(err)
		}
		if q, err := f.query(); err != nil || q.MinConfidence != want {
			t.Errorf("%s: got %v, %v, want %v", query, q.MinConfidence, err, want)
		}
	}
}

// Whatever is in an address and chooses nothing is named.
func TestFilterSaysWhatItIgnores(t *testing.T) {
	for query, want := range map[string][]string{
		"type=pii_leak&q=a&after=x": nil, "foo=1": {"foo"}, "type=pii_leak&type=toxicity": {"type"}, "q=%F0%9F%98%80": {"q"}, "q=-----": {"q"}, "q=+": nil,
		"b;=1&a%zz=2": {"a%zz", "b;"},
	} {
		v := typed(query)
		f, err := parseFilter(v)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, no := range f.ignored(v) {
			got = append(got, no.Field)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", query, d)
		}
	}
}

// A range of days has its last day in it.
func TestFilterDays(t *testing.T) {
	q, err := filter{Since: "2026-01-30", Until: "2026-01-31"}.query()
	if err != nil || q.Since.Format("2006-01-02T15") != "2026-01-30T00" || q.Until.Format("2006-01-02T15") != "2026-02-01T00" {
		t.Errorf("got %v to %v, error %v", q.Since, q.Until, err)
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("type=pii_leak&since=2026-01-01&q=%00%ff")
	f.Fuzz(func(t *testing.T, query string) {
		v := typed(query)
		filter, err := parseFilter(v)
		filter.ignored(v)
		if err == nil {
			_, err = filter.query()
		}
		var fe *evalforge.FieldError
		if err != nil && !errors.As(err, &fe) {
			t.Errorf("%q: got error %v, want a field error", query, err)
		}
	})
}
