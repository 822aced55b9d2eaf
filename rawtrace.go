package evalforge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A RawTrace is one document of the raw_traces collection: a failed trace as an
// ingestion service wrote it, in any of the payload formats that package trace
// decodes. The document id is TraceID.
type RawTrace struct {
	TraceID     string    `json:"trace_id"`
	FetchedAt   Timestamp `json:"fetched_at"`
	FailureType string    `json:"failure_type"` // free text from ingestion: a hint, not a [FailureType]
	Severity    string    `json:"severity"`     // free text from ingestion, may be ""
	ServiceName string    `json:"service_name"` // may be ""
	// Payload is the trace itself. A trace whose payload is not a non-empty JSON object
	// is skipped.
	Payload         json.RawMessage `json:"trace_payload"`
	Processed       bool            `json:"processed"`
	RecurrenceCount int             `json:"recurrence_count"` // at least 1
	Status          string          `json:"status,omitempty"` // new, triaged, exported
	StatusHistory   []StatusChange  `json:"status_history,omitempty"`
	ExportStatus    string          `json:"export_status,omitempty"` // pending, succeeded, failed

	ExportDestination string     `json:"export_destination,omitempty"`
	ExportReference   string     `json:"export_reference,omitempty"`
	StatusCode        *int       `json:"status_code,omitempty"`
	QualityScore      *float64   `json:"quality_score,omitempty"`
	UserHash          string     `json:"user_hash,omitempty"` // SHA-256, hex
	ProcessedAt       *Timestamp `json:"processed_at,omitempty"`
}

// A StatusChange is one entry of a raw trace's status history.
type StatusChange struct {
	Status          string    `json:"status"` // new, re-observed, exported
	Actor           string    `json:"actor"`
	Timestamp       Timestamp `json:"timestamp"`
	RecurrenceCount *int      `json:"recurrence_count,omitempty"`
	Destination     string    `json:"destination,omitempty"`
}

// MaxTraceIDBytes bounds a trace id: it is a document id, which Firestore limits to
// 1,500 bytes.
const MaxTraceIDBytes = 1500

// ValidateTraceID reports an id that cannot be a document id: empty, over
// [MaxTraceIDBytes], with a slash, "." or "..", or of the reserved form __x__.
func ValidateTraceID(id string) error {
	problem := ""
	switch {
	case id == "":
		problem = "must not be empty"
	case len(id) > MaxTraceIDBytes:
		problem = fmt.Sprintf("is %d bytes long; at most %d are allowed", len(id), MaxTraceIDBytes)
	case strings.Contains(id, "/"):
		problem = `must not contain "/"`
	case id == "." || id == "..":
		problem = `must not be "." or ".."`
	case len(id) >= 4 && strings.HasPrefix(id, "__") && strings.HasSuffix(id, "__"):
		problem = "must not have the reserved form __…__"
	default:
		return nil
	}
	return &FieldError{Field: "trace_id", Problem: problem}
}

// Validate reports why t cannot be analyzed: an id that is no document id, or a
// payload that is missing, empty or not a JSON object.
func (t *RawTrace) Validate() error {
	if err := ValidateTraceID(t.TraceID); err != nil {
		return err
	}
	p := bytes.TrimSpace(t.Payload)
	if len(p) == 0 || string(p) == "null" {
		return &FieldError{Field: "trace_payload", Problem: "is missing; a trace needs a non-empty JSON object"}
	}
	if p[0] != '{' {
		return &FieldError{Field: "trace_payload", Problem: "must be a JSON object, got " + jsonKind(p)}
	}
	if !json.Valid(p) {
		return &FieldError{Field: "trace_payload", Problem: "is not valid JSON"}
	}
	if len(bytes.TrimSpace(p[1:len(p)-1])) == 0 {
		return &FieldError{Field: "trace_payload", Problem: "is an empty object; there is nothing to analyze"}
	}
	return nil
}

func jsonKind(p []byte) string {
	switch p[0] {
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return "a number"
	}
	return "something that is not JSON"
}

// Digest identifies what an analyzer is given of t: the SHA-256, in hex, of its
// failure type, severity, service name and payload. It does not depend on the order
// of object keys or on white space, so a store that keeps maps gives the same digest
// as one that keeps text, nor on fields that re-ingestion changes.
func (t *RawTrace) Digest() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	enc.SetEscapeHTML(false)
	// Errors of enc are impossible: strings always encode, and a hash never fails to write.
	_ = enc.Encode([]string{t.FailureType, t.Severity, t.ServiceName})
	d := json.NewDecoder(bytes.NewReader(t.Payload))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		h.Write(t.Payload)
	} else {
		_ = enc.Encode(v) // maps are written in key order
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A FieldError is a value that a document must not have.
type FieldError struct {
	Field   string // dotted path, as in the stored document
	Problem string // what is wrong, without the value where that could be trace content
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// ErrNotFound is what stores return, wrapped, for a document that does not exist.
var ErrNotFound = errors.New("not found")
