package store

import (
	"bytes"
	"encoding/json"
	"fmt"

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
	var fields map[string]json.RawMessage
	if json.Unmarshal(doc, &fields) != nil {
		return part
	}
	for k, v := range fields {
		var alone T
		field, err := Encode(map[string]json.RawMessage{k: v})
		if err != nil || json.Unmarshal(field, &alone) != nil {
			delete(fields, k)
		}
	}
	if rest, err := Encode(fields); err != nil || json.Unmarshal(rest, &part) != nil {
		return *new(T)
	}
	return part
}

// DecodeTrace reads the JSON text of a raw trace. The document id always wins over
// the trace_id in the text. On an error the trace has what could be decoded.
func DecodeTrace(id string, doc []byte) (evalforge.RawTrace, error) {
	t, err := Decode[evalforge.RawTrace]("raw_traces", id, doc)
	t.TraceID = id
	return t, err
}

// NotFound is the error for a document that does not exist.
func NotFound(collection, id string) error {
	return fmt.Errorf("%s/%s: %w", collection, id, evalforge.ErrNotFound)
}
