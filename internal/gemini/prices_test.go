package gemini

import (
	"strings"
	"testing"
	"time"
)

func TestOwnPrices(t *testing.T) {
	p, err := ParsePrices([]byte(`{"as_of": "2027-02-01", "models": [
		{"prefix": "gemini-2.5-flash", "input": 0.2, "cached": 0, "output": 2},
		{"prefix": "house-model", "from": "2027-03-01", "input": 5, "cached": 1, "output": 50}]}`))
	if err != nil {
		t.Fatal(err)
	}
	before, after := time.Date(2027, 2, 28, 23, 59, 59, 0, time.UTC), time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		model string
		at    time.Time
		want  Price
		known bool
	}{
		{"gemini-2.5-flash", before, Price{0.2, 0, 2}, true},
		{"gemini-2.5-flash-lite", before, Price{0.10, 0.01, 0.40}, true}, // the built-in row is more exact
		{"gemini-2.5-pro", before, Price{1.25, 0.125, 10}, true},
		{"house-model-2", before, Price{5, 1, 50}, false}, // not yet: the dearest
		{"house-model-2", after, Price{5, 1, 50}, true},
	} {
		if got, known := p.Of(tt.model, tt.at); got != tt.want || known != tt.known {
			t.Errorf("Of(%s, %v) = %v, %v; want %v, %v", tt.model, tt.at, got, known, tt.want, tt.known)
		}
	}
	if p.AsOf != "2027-02-01" || p.Flex != DefaultPrices().Flex {
		t.Errorf("as of %s, flex %v", p.AsOf, p.Flex)
	}
	if got, _ := PriceOf("gemini-2.5-flash", before); got.Input != 0.30 {
		t.Errorf("the built-in table was changed: %v", got)
	}
}

func TestBadPrices(t *testing.T) {
	row := func(s string) string { return `{"as_of": "2027-02-01", "models": [` + s + `]}` }
	for text, want := range map[string]string{
		``:                                "no table of prices",
		`{"as_of": "2027-02-01"}`:         "no model",
		`{"as_of": "soon", "models": []}`: "as_of",
		row(`{"prefix": "", "input": 1, "output": 1}`):                                           "models[0]: prefix",
		row(`{"prefix": "a/b", "input": 1, "output": 1}`):                                        "prefix",
		row(`{"prefix": "a", "input": -1, "output": 1}`):                                         "-1 is no price",
		row(`{"prefix": "a", "input": 1, "output": 99999}`):                                      "99999 is no price",
		row(`{"prefix": "a", "output": 1}`):                                                      "above 0",
		row(`{"prefix": "a", "from": "1.1.", "input": 1, "output": 1}`):                          "from",
		row(`{"prefix": "a", "in": 1}`):                                                          "unknown field",
		row(`{"prefix": "a", "input": 1, "output": 1, "cached": 2}`):                             "dearer than other input",
		row(`{"prefix": "a", "input": 1, "output": 1},{"prefix": "a", "input": 2, "output": 1}`): "models[1]: prefix \"a\" has another price",
		row(`{"prefix": "a", "input": 1, "output": 1}`) + " x":                                   "",
		`{"as_of": "2027-02-01", "flex": 2, "models": []}`:                                       "flex",
		row(`{"prefix": "a", "input": 1, "output": 1}`) + "{}":                                   "more follows",
		strings.Replace(row(`{"prefix":"a","input":1,"output":1}`), `"2`, `"X`, 1):               "as_of",
	} {
		if _, err := ParsePrices([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

// A row with a day replaces the built-in ones from that day on, and input whose cached
// price is not said has no discount: neither may make a call look cheaper than it is.
func TestOwnPricesFromADayOn(t *testing.T) {
	p, err := ParsePrices([]byte(`{"as_of": "2026-12-01", "models": [
		{"prefix": "gemini-2.5-flash", "from": "2027-02-01", "input": 0.6, "output": 5},
		{"prefix": "gemini-3.8-flash", "from": "2026-12-15", "input": 1, "cached": 0.1, "output": 5}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		model, day string
		want       Price
	}{
		{"gemini-2.5-flash", "2027-01-31", Price{0.30, 0.03, 2.50}},
		{"gemini-2.5-flash", "2027-02-01", Price{0.6, 0.6, 5}},
		{"gemini-3.8-flash", "2026-12-14", Price{0.75, 0.075, 3.75}},
		{"gemini-3.8-flash", "2027-01-02", Price{1, 0.1, 5}}, // the built-in change of that year is replaced
	} {
		at, err := time.Parse(time.DateOnly, tt.day)
		if err != nil {
			t.Fatal(err)
		}
		if got, known := p.Of(tt.model, at); got != tt.want || !known {
			t.Errorf("Of(%s, %s) = %v, %v; want %v", tt.model, tt.day, got, known, tt.want)
		}
	}
}
