package store

import (
	"fmt"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

const (
	maxReservationID = 64
	maxWindowName    = 200
)

// CheckReservation reports a reservation that cannot be made.
func CheckReservation(r extract.Reservation) error {
	switch {
	case r.ID == "" || len(r.ID) > maxReservationID:
		return &evalforge.FieldError{Field: "id", Problem: fmt.Sprintf("is %d bytes long; a reservation needs 1 to %d", len(r.ID), maxReservationID)}
	case r.At.IsZero():
		return &evalforge.FieldError{Field: "at", Problem: "must be set"}
	case len(r.Windows) == 0 || len(r.Windows) > extract.MaxWindows:
		return &evalforge.FieldError{Field: "windows", Problem: fmt.Sprintf("are %d; a reservation has 1 to %d", len(r.Windows), extract.MaxWindows)}
	}
	seen := map[string]bool{}
	for _, w := range r.Windows {
		if err := CheckWindow(w.Name); err != nil {
			return err
		}
		if seen[w.Name] {
			return &evalforge.FieldError{Field: "windows", Problem: fmt.Sprintf("name %s twice", w.Name)}
		}
		seen[w.Name] = true
		if err := checkAmount("limit", w.Limit); err != nil {
			return err
		}
	}
	return checkAmount("most", r.Most)
}

// CheckSettlement reports a settlement that cannot be made.
func CheckSettlement(r extract.Reservation, took extract.Amount) error {
	if err := CheckReservation(r); err != nil {
		return err
	}
	return checkAmount("took", took)
}

// CheckWindow reports a name that is not of the form KIND/REST.
func CheckWindow(name string) error {
	kind, rest, ok := strings.Cut(name, "/")
	if !ok || kind == "" || rest == "" || strings.ContainsRune(rest, '/') || len(name) > maxWindowName || evalforge.ValidateTraceID(rest) != nil {
		return &evalforge.FieldError{Field: "window", Problem: fmt.Sprintf("%.60q is not of the form run/RUN_ID or day/YYYY-MM-DD, in at most %d bytes", name, maxWindowName)}
	}
	return nil
}

func checkAmount(field string, a extract.Amount) error {
	if a.NanoUSD < 0 || a.Tokens < 0 {
		return &evalforge.FieldError{Field: field, Problem: "must not be negative"}
	}
	return nil
}

// OverBudget returns why a reservation does not fit into one of its windows, given what
// each counts, or nil.
func OverBudget(r extract.Reservation, counted map[string]extract.Amount) error {
	for _, w := range r.Windows {
		if have := counted[w.Name]; have.Add(r.Most).Over(w.Limit) {
			return &extract.OverBudgetError{Window: w, Counted: have, Most: r.Most}
		}
	}
	return nil
}
