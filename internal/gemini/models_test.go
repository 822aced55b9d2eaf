package gemini

import (
	"testing"
	"time"
)

func TestPriceOf(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	next := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		model string
		at    time.Time
		want  Price
		known bool
	}{
		{"gemini-2.5-flash", now, Price{0.30, 0.03, 2.50}, true},
		{"gemini-2.5-flash-001", now, Price{0.30, 0.03, 2.50}, true},
		{"models/gemini-2.5-flash-lite", now, Price{0.10, 0.01, 0.40}, true},
		{"gemini-3.5-flash-lite", next, Price{0.30, 0.03, 2.50}, true},
		{"gemini-3.5-flash", now, Price{1.50, 0.15, 9}, true},
		{"gemini-3.8-flash", next.Add(-time.Second), Price{0.75, 0.075, 3.75}, true},
		{"gemini-3.8-flash", next, Price{1.50, 0.15, 7.50}, true},
		{"gemini-3-pro-preview", now, Price{2, 0.20, 12}, true},
		{"gemini-3.9-flash", now, Price{2, 0.20, 12}, false},
		{"somebody-elses", now, Price{2, 0.20, 12}, false},
		{"", now, Price{2, 0.20, 12}, false},
	}
	for _, tt := range tests {
		if got, known := PriceOf(tt.model, tt.at); got != tt.want || known != tt.known {
			t.Errorf("PriceOf(%q) = %v, %v; want %v, %v", tt.model, got, known, tt.want, tt.known)
		}
	}
}

func TestCost(t *testing.T) {
	p := Price{Input: 1, Cached: 0.1, Output: 10}
	if got, want := p.Cost(1_000_000, 400_000, 100_000), 0.6+0.04+1; !near(got, want) {
		t.Errorf("cost = %v, want %v", got, want)
	}
}

// Successors must be priced, and not be asked with settings meant for unknown models.
func TestSuccessorsAreInTheTable(t *testing.T) {
	for _, m := range append([]string{DefaultModel}, successors...) {
		if _, known := PriceOf(m, time.Now()); !known || familyOf(m).prefix != m {
			t.Errorf("%s has no row of its own", m)
		}
	}
	for _, f := range families {
		if f.budget != nil && f.level != "" {
			t.Errorf("%s: both a thinking budget and a level: the service refuses that", f.prefix)
		}
	}
}
