package gemini

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/evalforge/evalforge"
)

// answerOrder is the order in which the model writes the fields of its answer: what it
// has seen before what it concludes, and how sure it is at the very end. It is sent as
// propertyOrdering, because the SDK does not keep the order of object keys.
var answerOrder = []string{
	"evidence", "failing_step", "summary", "root_cause_hypothesis", "failure_type",
	"trigger_condition", "severity", "title", "recommended_actions",
	"reproduction_context", "confidence_rationale", "confidence",
}

// requestSchema returns the schema of an analysis in the form that Gemini takes as
// responseJsonSchema: plain JSON values, inlined, with propertyOrdering. Nullable
// fields are type lists that contain "null", as Gemini documents them. Descriptions are
// left out: they are billed with every request, and the instruction says the same.
func requestSchema() (map[string]any, error) {
	s := evalforge.AnalysisSchema()
	lean(s)
	s.Extra = map[string]any{"propertyOrdering": answerOrder}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	return m, nil
}

// lean removes from s and the schemas below it what costs tokens in every request and is
// said by the instruction: descriptions, the order of the few properties below, and the
// bounds of numbers.
func lean(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	s.Description, s.PropertyOrder = "", nil
	s.Minimum, s.Maximum = nil, nil
	lean(s.Items)
	for _, p := range s.Properties {
		lean(p)
	}
}

// problems names what makes v break s, by path. jsonschema decides whether a value is
// valid; its messages quote the value, which is trace content, so they are not used.
func problems(s *jsonschema.Schema, v any, path string) []string {
	types := s.Types
	if s.Type != "" {
		types = []string{s.Type}
	}
	if got := jsonType(v); len(types) > 0 && !slices.Contains(types, got) && !(got == "integer" && slices.Contains(types, "number")) {
		return []string{fmt.Sprintf("%s is of type %s, want %s", name(path), got, strings.Join(types, " or "))}
	}
	if s.Enum != nil && !slices.ContainsFunc(s.Enum, func(e any) bool { return fmt.Sprint(e) == v }) { // typed strings
		return []string{fmt.Sprintf("%s is none of the %d allowed values", name(path), len(s.Enum))}
	}
	var list []string
	switch v := v.(type) {
	case float64:
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			list = append(list, name(path)+" is out of range")
		}
	case []any:
		if s.MinItems != nil && len(v) < *s.MinItems {
			list = append(list, fmt.Sprintf("%s has %d items, want at least %d", name(path), len(v), *s.MinItems))
		}
		for i, item := range v {
			if s.Items != nil {
				list = append(list, problems(s.Items, item, fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	case map[string]any:
		for _, req := range s.Required {
			if _, ok := v[req]; !ok {
				list = append(list, name(join(path, req))+" is missing")
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if p := s.Properties[key]; p != nil {
				list = append(list, problems(p, v[key], join(path, key))...)
			} else if s.AdditionalProperties != nil {
				list = append(list, fmt.Sprintf("%s has an unknown field %.40q", name(path), key))
			}
		}
	}
	return list
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func name(path string) string {
	if path == "" {
		return "the answer"
	}
	return path
}

func jsonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}
