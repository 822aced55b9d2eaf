package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

const (
	sqlWindow = `SELECT w.nano_usd, w.tokens, EXISTS (SELECT 1 FROM ledger_reservations r WHERE r.name = w.name AND r.id = ?2)
		FROM ledger_windows w WHERE w.name = ?1`

	sqlCount = `INSERT INTO ledger_windows (name, nano_usd, tokens) VALUES (?1, ?2, ?3)
		ON CONFLICT (name) DO UPDATE SET nano_usd = nano_usd + ?2, tokens = tokens + ?3`

	sqlOpenReservation = `INSERT INTO ledger_reservations (id, name, at, nano_usd, tokens) VALUES (?1, ?2, ?3, ?4, ?5)`

	sqlSettleWindow = `UPDATE ledger_windows SET
			nano_usd = ledger_windows.nano_usd - r.nano_usd + ?3, tokens = ledger_windows.tokens - r.tokens + ?4
		FROM (SELECT nano_usd, tokens FROM ledger_reservations WHERE name = ?2 AND id = ?1) r
		WHERE ledger_windows.name = ?2`

	sqlCloseReservation = `DELETE FROM ledger_reservations WHERE name = ?2 AND id = ?1`

	sqlSpend = `SELECT w.nano_usd, w.tokens,
			(SELECT coalesce(sum(nano_usd), 0) FROM ledger_reservations r WHERE r.name = w.name),
			(SELECT coalesce(sum(tokens), 0) FROM ledger_reservations r WHERE r.name = w.name)
		FROM ledger_windows w WHERE w.name = ?1`
)

// errReserved ends the transaction of a reservation that is there already.
var errReserved = errors.New("already reserved")

// Reserve implements [extract.Ledger].
func (db *DB) Reserve(ctx context.Context, r extract.Reservation) error {
	if err := store.CheckReservation(r); err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	var over *extract.OverBudgetError
	err := db.write(ctx, func(tx *sql.Tx) error {
		counted := map[string]extract.Amount{}
		for _, w := range r.Windows {
			var a extract.Amount
			var open bool
			err := tx.QueryRowContext(ctx, sqlWindow, w.Name, r.ID).Scan(&a.NanoUSD, &a.Tokens, &open)
			switch {
			case errors.Is(err, sql.ErrNoRows):
			case err != nil:
				return err
			case open:
				return errReserved
			}
			counted[w.Name] = a
		}
		if err := store.OverBudget(r, counted); err != nil {
			return err
		}
		for _, w := range r.Windows {
			if _, err := tx.ExecContext(ctx, sqlCount, w.Name, r.Most.NanoUSD, r.Most.Tokens); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, sqlOpenReservation, r.ID, w.Name, text(r.At), r.Most.NanoUSD, r.Most.Tokens); err != nil {
				return err
			}
		}
		return expire(ctx, tx, sqlExpireReservations, r.At)
	})
	switch {
	case errors.Is(err, errReserved):
		return nil
	case errors.As(err, &over):
		return over
	}
	return db.explain(ctx, "reserve", err)
}

// Settle implements [extract.Ledger].
func (db *DB) Settle(ctx context.Context, r extract.Reservation, took extract.Amount) error {
	if err := store.CheckSettlement(r, took); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	err := db.write(ctx, func(tx *sql.Tx) error {
		for _, w := range r.Windows {
			if _, err := tx.ExecContext(ctx, sqlSettleWindow, r.ID, w.Name, took.NanoUSD, took.Tokens); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, sqlCloseReservation, r.ID, w.Name); err != nil {
				return err
			}
		}
		return nil
	})
	return db.explain(ctx, "settle", err)
}

// Spend implements [extract.Ledger].
func (db *DB) Spend(ctx context.Context, window string) (extract.Spend, error) {
	if err := store.CheckWindow(window); err != nil {
		return extract.Spend{}, fmt.Errorf("spend: %w", err)
	}
	var s extract.Spend
	err := db.r.QueryRowContext(ctx, sqlSpend, window).Scan(&s.Counted.NanoUSD, &s.Counted.Tokens, &s.Open.NanoUSD, &s.Open.Tokens)
	if errors.Is(err, sql.ErrNoRows) {
		return extract.Spend{}, nil
	}
	return s, db.explain(ctx, "spend", err)
}
