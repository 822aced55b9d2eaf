package memory

import (
	"context"
	"fmt"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// A window is what one budget counts.
type window struct {
	counted extract.Amount
	open    map[string]extract.Amount // by the id of the reservation
}

// Reserve implements [extract.Ledger].
func (s *Store) Reserve(ctx context.Context, r extract.Reservation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := store.CheckReservation(r); err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	counted := map[string]extract.Amount{}
	for _, w := range r.Windows {
		if have := s.windows[w.Name]; have != nil {
			if _, ok := have.open[r.ID]; ok {
				return nil
			}
			counted[w.Name] = have.counted
		}
	}
	if err := store.OverBudget(r, counted); err != nil {
		return err
	}
	for _, w := range r.Windows {
		have := s.windows[w.Name]
		if have == nil {
			have = &window{open: map[string]extract.Amount{}}
			s.windows[w.Name] = have
		}
		have.counted = have.counted.Add(r.Most)
		have.open[r.ID] = r.Most
	}
	return nil
}

// Settle implements [extract.Ledger].
func (s *Store) Settle(ctx context.Context, r extract.Reservation, took extract.Amount) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := store.CheckSettlement(r, took); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range r.Windows {
		have := s.windows[w.Name]
		if have == nil {
			continue
		}
		if most, ok := have.open[r.ID]; ok {
			have.counted = have.counted.Sub(most).Add(took)
			delete(have.open, r.ID)
		}
	}
	return nil
}

// Spend implements [extract.Ledger].
func (s *Store) Spend(ctx context.Context, name string) (extract.Spend, error) {
	if err := ctx.Err(); err != nil {
		return extract.Spend{}, err
	}
	if err := store.CheckWindow(name); err != nil {
		return extract.Spend{}, fmt.Errorf("spend: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.windows[name]
	if have == nil {
		return extract.Spend{}, nil
	}
	spend := extract.Spend{Counted: have.counted}
	for _, most := range have.open {
		spend.Open = spend.Open.Add(most)
	}
	return spend, nil
}
