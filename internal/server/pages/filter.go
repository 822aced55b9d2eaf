package pages

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/extract"
)

// A filter is the part of the address of a list of patterns that chooses them: what a
// bookmark keeps.
type filter struct {
	Text, Type, Severity, Confidence, Service, Model, Run, Trigger, Fingerprint string

	Since, Until string // days, both included
	Evidence     string // verified, unverified or ""
	Sort         string
}

// fields lists f's parts by the names they have in addresses.
func (f *filter) fields() []struct {
	name, label string
	value       *string
} {
	return []struct {
		name, label string
		value       *string
	}{
		{"q", "Text", &f.Text}, {"type", "Type", &f.Type}, {"severity", "Severity", &f.Severity},
		{"confidence", "Confidence at least", &f.Confidence}, {"service", "Service", &f.Service}, {"model", "Model", &f.Model},
		{"run", "Run", &f.Run}, {"trigger", "Trigger", &f.Trigger}, {"fingerprint", "Fingerprint", &f.Fingerprint},
		{"since", "From", &f.Since}, {"until", "To", &f.Until}, {"evidence", "Evidence", &f.Evidence}, {"sort", "Sort", &f.Sort},
	}
}

// label returns what people call the part with that name in addresses, or the name if it is no part.
func (f *filter) label(name string) string {
	for _, field := range f.fields() {
		if field.name == name {
			return field.label
		}
	}
	return name
}

// maxFilterBytes bounds each part of a filter.
const maxFilterBytes = 500

// parseFilter reads a filter, and reports a part that is too long or no text.
func parseFilter(v url.Values) (filter, error) {
	var f filter
	for _, field := range f.fields() {
		*field.value = strings.TrimSpace(v.Get(field.name))
		if len(*field.value) > maxFilterBytes {
			return f, &evalforge.FieldError{Field: field.name, Problem: fmt.Sprintf("is longer than %d bytes", maxFilterBytes)}
		}
	}
	return f, nil
}

// query returns the query that f stands for.
func (f filter) query() (extract.PatternQuery, error) {
	q := extract.PatternQuery{
		Text: f.Text, FailureType: evalforge.FailureType(f.Type), Severity: evalforge.Severity(f.Severity), Service: f.Service, Model: f.Model,
		RunID: f.Run, TriggerCondition: f.Trigger, Fingerprint: f.Fingerprint, Sort: extract.Sort(f.Sort),
	}
	var err error
	if f.Type != "" {
		if err := q.FailureType.Validate(); err != nil {
			return q, err
		}
	}
	if f.Severity != "" {
		if err := q.Severity.Validate(); err != nil {
			return q, err
		}
	}
	if f.Confidence != "" {
		if q.MinConfidence, err = confidence(f.Confidence); err != nil {
			return q, err
		}
	}
	if q.Since, err = day("since", f.Since); err != nil {
		return q, err
	}
	if q.Until, err = day("until", f.Until); err != nil {
		return q, err
	}
	if !q.Until.IsZero() {
		q.Until = q.Until.AddDate(0, 0, 1)
	}
	switch f.Evidence {
	case "":
	case "verified", "unverified":
		yes := f.Evidence == "verified"
		q.Verified = &yes
	default:
		return q, &evalforge.FieldError{Field: "evidence", Problem: "is neither verified nor unverified"}
	}
	return q, q.Check()
}

// confidence reads a confidence as people write it: 0.8, 80 or 80 %. A number over 1 is one of percent.
func confidence(s string) (float64, error) {
	digits, percent := strings.CutSuffix(s, "%")
	c, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent || c > 1 {
		c /= 100
	}
	if err != nil || !(c >= 0 && c <= 1) {
		return 0, &evalforge.FieldError{Field: "confidence", Problem: "is neither a percentage, such as 80 %, nor a number from 0 to 1"}
	}
	return c, nil
}

// stray matches percent signs, with what they escape.
var stray = regexp.MustCompile(`%([0-9a-fA-F]{2})?`)

// typed returns the parameters of an address as people type it: a percent sign that escapes nothing, and a semicolon,
// stand for themselves.
func typed(query string) url.Values {
	query = stray.ReplaceAllStringFunc(query, func(m string) string {
		if m == "%" {
			return "%25"
		}
		return m
	})
	v, err := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B"))
	if err != nil { // nothing is left that could be wrong
		return url.Values{}
	}
	return v
}

// ignored returns what of an address's parameters chooses nothing, in the order of their names; a page says so, and an
// export is refused for it.
func (f *filter) ignored(v url.Values) []*evalforge.FieldError {
	known := []string{"after"}
	for _, field := range f.fields() {
		known = append(known, field.name)
	}
	var list []*evalforge.FieldError
	for _, name := range sortedKeys(v) {
		switch {
		case !slices.Contains(known, name):
			list = append(list, &evalforge.FieldError{Field: excerpt.Clip(strings.ToValidUTF8(name, "\uFFFD"), 80), Problem: "is no filter here, and chooses nothing"})
		case len(v[name]) > 1:
			list = append(list, &evalforge.FieldError{Field: name, Problem: "is given more than once: only the first counts"})
		}
	}
	if f.Text != "" && len(extract.Words(f.Text)) == 0 {
		list = append(list, &evalforge.FieldError{Field: "q", Problem: "has no letter or digit to look for, and chooses nothing"})
	}
	return list
}

func day(field, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, &evalforge.FieldError{Field: field, Problem: "is no day such as 2026-01-31"}
	}
	return t, nil
}

// values returns f for an address.
func (f filter) values() url.Values {
	v := url.Values{}
	for _, field := range f.fields() {
		if *field.value != "" {
			v.Set(field.name, *field.value)
		}
	}
	return v
}

// path returns the address of the list that f chooses.
func (f filter) path() string { return address("/patterns", f.values()) }

func address(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// A chip is one part of a filter that is set, with the address of the list without it.
type chip struct{ Label, Value, Without string }

// chips lists what f filters by; the order is no filter.
func (f filter) chips() []chip {
	var list []chip
	for _, field := range f.fields() {
		if *field.value == "" || field.name == "sort" {
			continue
		}
		v := f.values()
		v.Del(field.name)
		shown := *field.value
		if slices.Contains([]string{"type", "severity", "evidence"}, field.name) {
			shown = words(shown)
		}
		list = append(list, chip{field.label, visible(shown), address("/patterns", v)})
	}
	return list
}
