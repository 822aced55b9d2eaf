package evalforge

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestRawTraceValidate(t *testing.T) {
	tests := []struct {
		name, id, payload, field string // field "" means valid
	}{
		{"object", "t1", `{"a":1}`, ""},
		{"no id", "", `{"a":1}`, "trace_id"},
		{"slash in id", "a/b", `{"a":1}`, "trace_id"},
		{"reserved id", "__x__", `{"a":1}`, "trace_id"},
		{"dot", ".", `{"a":1}`, "trace_id"},
		{"long id", strings.Repeat("x", 1501), `{"a":1}`, "trace_id"},
		{"no payload", "t1", ``, "trace_payload"},
		{"null payload", "t1", `null`, "trace_payload"},
		{"empty payload", "t1", ` { } `, "trace_payload"},
		{"list payload", "t1", `[1]`, "trace_payload"},
		{"string payload", "t1", `"{}"`, "trace_payload"},
		{"broken payload", "t1", `{"a":`, "trace_payload"},
	}
	for _, tt := range tests {
		err := (&RawTrace{TraceID: tt.id, Payload: json.RawMessage(tt.payload)}).Validate()
		var fe *FieldError
		switch {
		case tt.field == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.field != "" && (!errors.As(err, &fe) || fe.Field != tt.field):
			t.Errorf("%s: got %v, want an error on %s", tt.name, err, tt.field)
		}
	}
}

func TestDigestIsOfWhatTheAnalyzerIsGiven(t *testing.T) {
	base := RawTrace{TraceID: "a", FailureType: "llm_error", Payload: json.RawMessage(`{"x": 1, "y": [2, 9007199254740993]}`)}
	same := base
	same.TraceID, same.RecurrenceCount, same.Processed = "b", 7, true
	same.Payload = json.RawMessage("{\"y\":[2,9007199254740993],\n\"x\":1}")
	if base.Digest() != same.Digest() {
		t.Error("the digest depends on key order, white space or bookkeeping fields")
	}
	for name, change := range map[string]func(*RawTrace){
		"payload":      func(r *RawTrace) { r.Payload = json.RawMessage(`{"x": 1, "y": [2, 9007199254740992]}`) },
		"failure type": func(r *RawTrace) { r.FailureType = "" },
		"service":      func(r *RawTrace) { r.ServiceName = "s" },
	} {
		other := base
		change(&other)
		if other.Digest() == base.Digest() {
			t.Errorf("another %s has the same digest", name)
		}
	}
}
