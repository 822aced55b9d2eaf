package store

import (
	"fmt"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

// Retention is how long stores keep answers of models, and reservations that nobody settled,
// at least: the calls for which they are worth something are over by then.
const Retention = 90 * 24 * time.Hour

// CheckAnswerKey reports a key that is not 64 lower-case hex digits.
func CheckAnswerKey(key string) error {
	const want = 64
	ok := len(key) == want
	for _, c := range key {
		ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'f')
	}
	if !ok {
		return &evalforge.FieldError{Field: "key", Problem: fmt.Sprintf("must be %d hex digits in lower case", want)}
	}
	return nil
}

// EncodeKeptAnswer returns the JSON of an answer. It refuses one that cannot be found
// again, or be deleted with its trace.
func EncodeKeptAnswer(a extract.KeptAnswer) ([]byte, error) {
	if err := CheckAnswerKey(a.Key); err != nil {
		return nil, err
	}
	if err := evalforge.ValidateTraceID(a.TraceID); err != nil {
		return nil, err
	}
	if a.SavedAt.IsZero() {
		return nil, &evalforge.FieldError{Field: "saved_at", Problem: "must be set"}
	}
	return Encode(a)
}

// HistoryLimit checks how many replaced patterns are asked for.
func HistoryLimit(limit int) error {
	if limit < 1 || limit > extract.MaxHistory {
		return &evalforge.FieldError{Field: "limit", Problem: fmt.Sprintf("is %d; allowed are 1 to %d", limit, extract.MaxHistory)}
	}
	return nil
}

// Unprocessed is the error for a trace that cannot be reopened.
func Unprocessed(traceID string) error {
	return fmt.Errorf("trace %s: %w", traceID, extract.ErrNotProcessed)
}
