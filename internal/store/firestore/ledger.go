package firestore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// A window is a document of the ledger: what one budget counts. It holds its open
// reservations itself, so that a reservation reads and writes nothing else.
type window struct {
	Counted   extract.Amount         `json:"counted"`
	Open      map[string]reservation `json:"open"` // by id
	UpdatedAt evalforge.Timestamp    `json:"updated_at"`
}

type reservation struct {
	extract.Amount
	At evalforge.Timestamp `json:"at"`
}

func (db *DB) window(name string) *firestore.DocumentRef {
	return db.collection(states).Doc("-").Collection(db.prefix + ledger).Doc(strings.Replace(name, "/", ":", 1))
}

func readWindow(snap *firestore.DocumentSnapshot) (window, error) {
	var w window
	if snap.Exists() {
		if err := json.Unmarshal(toJSON(snap.Data()), &w); err != nil {
			return w, fmt.Errorf("%s is damaged; what it counts is not known, so nothing is spent: repair or delete it: %w", snap.Ref.Path, err)
		}
	}
	if w.Open == nil {
		w.Open = map[string]reservation{}
	}
	return w, nil
}

// forget drops the oldest open reservations beyond what the contract asks for, so that
// the document stays small whatever dies. They stay counted.
func (w *window) forget() {
	if len(w.Open) <= extract.MaxOpenReservations {
		return
	}
	ids := slices.SortedFunc(maps.Keys(w.Open), func(a, b string) int {
		return cmp.Or(cmp.Compare(w.Open[a].At.String(), w.Open[b].At.String()), cmp.Compare(a, b))
	})
	for _, id := range ids[:len(ids)-extract.MaxOpenReservations] {
		delete(w.Open, id)
	}
}

func putWindow(tx *firestore.Transaction, snap *firestore.DocumentSnapshot, w *window) error {
	w.forget()
	fields, err := document(w)
	if err != nil {
		return err
	}
	if !snap.Exists() {
		return tx.Create(snap.Ref, fields)
	}
	list := make([]firestore.Update, 0, len(fields))
	for k, v := range fields {
		list = append(list, firestore.Update{FieldPath: firestore.FieldPath{k}, Value: v})
	}
	return tx.Update(snap.Ref, list, firestore.LastUpdateTime(snap.UpdateTime))
}

// Reserve implements [extract.Ledger].
func (db *DB) Reserve(ctx context.Context, r extract.Reservation) error {
	if err := store.CheckReservation(r); err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	return db.entries.make(ctx, db, &entry{r: r})
}

// Settle implements [extract.Ledger].
func (db *DB) Settle(ctx context.Context, r extract.Reservation, took extract.Amount) error {
	if err := store.CheckSettlement(r, took); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	return db.entries.make(ctx, db, &entry{r: r, took: &took})
}

// Spend implements [extract.Ledger].
func (db *DB) Spend(ctx context.Context, name string) (extract.Spend, error) {
	if err := store.CheckWindow(name); err != nil {
		return extract.Spend{}, fmt.Errorf("spend: %w", err)
	}
	var spend extract.Spend
	err := db.retry(ctx, "spend", func(ctx context.Context) error {
		snap, err := db.get(ctx, db.window(name))
		if err != nil {
			return err
		}
		w, err := readWindow(snap)
		if err != nil {
			return err
		}
		spend = extract.Spend{Counted: w.Counted}
		for _, open := range w.Open {
			spend.Open = spend.Open.Add(open.Amount)
		}
		return nil
	})
	return spend, err
}
