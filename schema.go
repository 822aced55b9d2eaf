package evalforge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

// AnalysisSchema returns the JSON Schema of [Analysis], derived from the Go type. It
// is what models are asked to answer in, and what their answers are checked against.
// Fields that only the engine sets are left out of it. It uses no keyword beyond those
// that Gemini's responseJsonSchema documents, which excludes pattern and minLength:
// [Analysis.Validate] checks what it cannot say. The caller may change the result.
func AnalysisSchema() *jsonschema.Schema {
	s := inferSchema(reflect.TypeFor[Analysis]())
	for _, name := range []string{"span_id", "verified", "match", "offset"} {
		remove(s.Properties["evidence"].Properties["refs"].Items, name)
	}
	for _, name := range []string{"span_id", "name", "agent"} {
		remove(s.Properties["failing_step"], name)
	}
	return s
}

// PatternSchema returns the JSON Schema of a stored [Pattern].
func PatternSchema() *jsonschema.Schema { return inferSchema(reflect.TypeFor[Pattern]()) }

// AnalysisSchemaSHA256 returns the digest of [AnalysisSchema], as provenance records it.
func AnalysisSchemaSHA256() string { return analysisSchemaSHA256() }

var analysisSchemaSHA256 = sync.OnceValue(func() string { return SchemaSHA256(AnalysisSchema()) })

// SchemaSHA256 returns the digest, in hex, that provenance records for s.
func SchemaSHA256(s *jsonschema.Schema) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("evalforge: schema does not marshal: %v", err)) // a static type: cannot happen at run time
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func inferSchema(t reflect.Type) *jsonschema.Schema {
	enum := func(typ string, vals []any) *jsonschema.Schema {
		return &jsonschema.Schema{Type: typ, Enum: vals}
	}
	opts := &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[FailureType](): enum("string", anys(FailureTypes())),
		reflect.TypeFor[Severity]():    enum("string", anys(Severities())),
		reflect.TypeFor[Timestamp]():   {Type: "string", Format: "date-time"},
	}}
	s, err := jsonschema.ForType(t, opts)
	if err != nil {
		panic(fmt.Sprintf("evalforge: no schema for %v: %v", t, err)) // static types: covered by a test
	}
	tighten(s)
	ev := s.Properties["evidence"]
	ev.Properties["signals"].MinItems = jsonschema.Ptr(1)
	s.Properties["recommended_actions"].MinItems = jsonschema.Ptr(1)
	conf := s.Properties["confidence"]
	conf.Minimum, conf.Maximum = jsonschema.Ptr(0.0), jsonschema.Ptr(1.0)
	return s
}

// tighten makes every list a list: the schema inferred for a Go slice also allows
// null, which readers of stored documents do not.
func tighten(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if s.Items != nil && len(s.Types) > 0 {
		s.Type, s.Types = "array", nil
	}
	tighten(s.Items)
	for _, p := range s.Properties {
		tighten(p)
	}
}

func remove(s *jsonschema.Schema, name string) {
	delete(s.Properties, name)
	s.Required = without(s.Required, name)
	s.PropertyOrder = without(s.PropertyOrder, name)
}

func without(list []string, name string) []string {
	var out []string
	for _, s := range list {
		if s != name {
			out = append(out, s)
		}
	}
	return out
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}
