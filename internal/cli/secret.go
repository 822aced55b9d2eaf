package cli

import (
	"log/slog"
)

// A secret is a value that is never printed. It is kept behind a pointer, because
// package fmt prints what is inside of unexported fields without asking.
type secret struct{ value *string }

func newSecret(v string) secret { return secret{&v} }

const (
	secretText = "<secret>"
	// minSecret is the length in bytes from which a secret is looked for in output: what
	// is shorter would blank out words.
	minSecret = 8
)

func (s secret) String() string { return secretText }

func (s secret) GoString() string { return secretText }

func (s secret) LogValue() slog.Value { return slog.StringValue(secretText) }

// MarshalText keeps the value out of every encoder that respects it.
func (s secret) MarshalText() ([]byte, error) { return []byte(secretText), nil }

// reveal returns the value, for the one who has to use it.
func (s secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// set reports whether there is a value.
func (s secret) set() bool { return s.reveal() != "" }
