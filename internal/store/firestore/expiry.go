package firestore

import (
	"time"

	"github.com/evalforge/evalforge"
)

// expiryField says when Firestore may delete a document, where its expiry (TTL) is turned
// on for the field, as deploy/terraform does. Firestore takes only a native timestamp for
// it; no service reads it.
const expiryField = "expire_at"

// retention is how long records of runs, records of errors and kept answers stay, counted
// from when they were written. Patterns and raw traces have no expiry.
const retention = 90 * 24 * time.Hour

// expire dates a document that was made at a time.
func expire(fields map[string]any, made evalforge.Timestamp) {
	fields[expiryField] = made.Add(retention).UTC()
}
