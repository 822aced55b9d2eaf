package firestore

import (
	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/store"
)

// expiryField says when Firestore may delete a document, where its expiry (TTL) is turned
// on for the field, as deploy/terraform does. Firestore takes only a native timestamp for
// it; no service reads it.
const expiryField = "expire_at"

// expire dates a document that was made at a time: it stays for [store.Retention].
func expire(fields map[string]any, made evalforge.Timestamp) {
	fields[expiryField] = made.Add(store.Retention).UTC()
}
