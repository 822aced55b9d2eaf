// Package redact replaces secrets and personal data by placeholders.
//
// A [Redactor] is the one choke point that every text passes before it is cut, sent to
// a model, stored, logged or exported, and that every model answer passes again.
package redact

// Version names the redaction policy: provenance records it, so that patterns made
// under an older policy can be found.
const Version = "1"

// A Kind is a class of redacted values, as it stands in placeholders.
type Kind string

// Counts is how many values of each kind were replaced.
type Counts map[Kind]int

// Options configure a [Redactor].
type Options struct {
	// Key is the installation's key. Placeholders carry four hex digits of an HMAC of
	// the value under it, so that equal values stay joinable inside one installation
	// and cannot be guessed back outside. It must not be empty.
	Key []byte
	// Secrets are values of the service's own (API keys, tokens) that are replaced
	// wherever they occur, whatever they look like. Values under 8 bytes are ignored.
	Secrets []string
}
