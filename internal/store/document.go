package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/evalforge/evalforge"
)

// Encode returns the JSON text of a document. Unlike [json.Marshal] it leaves <, > and
// & as they are: documents are read by people and compared by other services.
func Encode(doc any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode reads the JSON text of a document of the given collection.
func Decode[T any](collection, id string, doc []byte) (T, error) {
	var v T
	if err := json.Unmarshal(doc, &v); err != nil {
		return v, fmt.Errorf("%s/%s cannot be decoded: %w", collection, id, err)
	}
	return v, nil
}

// Legible reads what can be read of the JSON text of a document: where [Decode] refuses it,
// the fields that are as they should be.
func Legible[T any](doc []byte) T {
	var whole, part T
	if json.Unmarshal(doc, &whole) == nil {
		return whole
	}
	if json.Unmarshal(readable[T](doc), &part) != nil {
		return *new(T)
	}
	return part
}

// readable returns the JSON text of a document without the fields that do not fit T, save
// those that are needed. What is no document is returned as it is.
func readable[T any](doc []byte, needed ...string) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(doc, &fields) != nil {
		return doc
	}
	maps.DeleteFunc(fields, func(name string, value json.RawMessage) bool {
		var alone T
		field, err := Encode(map[string]json.RawMessage{name: value})
		return !slices.Contains(needed, name) && (err != nil || json.Unmarshal(field, &alone) != nil)
	})
	rest, err := Encode(fields)
	if err != nil {
		return doc
	}
	return rest
}

// DecodeTrace reads the JSON text of a raw trace. The document id always wins over
// the trace_id in the text. Fields of wrong types that say nothing to extraction, such as
// a status_code that is a string, are left out; where another one is wrong, the trace has
// what could be decoded.
func DecodeTrace(id string, doc []byte) (evalforge.RawTrace, error) {
	t, err := Decode[evalforge.RawTrace]("raw_traces", id, doc)
	if err != nil {
		t, err = Decode[evalforge.RawTrace]("raw_traces", id, readable[evalforge.RawTrace](doc, "failure_type", "severity", "service_name", "processed"))
	}
	t.TraceID = id
	return t, err
}

// NotFound is the error for a document that does not exist.
func NotFound(collection, id string) error {
	return fmt.Errorf("%s/%s: %w", collection, id, evalforge.ErrNotFound)
}
