package firestore

import (
	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/store"
)

// expiryField says when Firestore may delete a document, where its expiry (TTL) is turned
// on for the field, as deploy/terraform does. Firestore takes only a native timestamp for
// it; no service reads it.
const expiryField = "expire_at"

// Retention is how long records of runs, records of errors and kept answers stay, counted
// from when they were written. Patterns and raw traces have no expiry.
const Retention = store.Retention

// expire dates a document that was made at a time.
func expire(fields map[string]any, made evalforge.Timestamp) {
	fields[expiryField] = made.Add(Retention).UTC()
}
