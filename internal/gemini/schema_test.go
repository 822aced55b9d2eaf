package gemini

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract/prompts"
)

// supported are the keywords that Gemini documents for responseJsonSchema, of those
// without references.
var supported = []string{"type", "format", "title", "description", "enum", "items", "prefixItems", "minItems", "maxItems",
	"minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required", "propertyOrdering"}

// The service refuses or ignores other keywords, and writes properties in the order of
// propertyOrdering, which must name each of them.
func TestRequestSchemaIsWhatGeminiTakes(t *testing.T) {
	schema, err := requestSchema()
	if err != nil {
		t.Fatal(err)
	}
	var walk func(path string, s map[string]any)
	walk = func(path string, s map[string]any) {
		for k := range s {
			if !slices.Contains(supported, k) {
				t.Errorf("%s: keyword %q is not supported", path, k)
			}
		}
		props, _ := s["properties"].(map[string]any)
		var names, order []string
		for k, p := range props {
			names = append(names, k)
			walk(path+"/"+k, p.(map[string]any))
		}
		list, _ := s["propertyOrdering"].([]any)
		for _, n := range list {
			order = append(order, n.(string))
		}
		slices.Sort(names)
		slices.Sort(order)
		if diff := cmp.Diff(names, order); path == "" && diff != "" {
			t.Errorf("%s: propertyOrdering (-properties +order):\n%s", path, diff)
		}
		if items, ok := s["items"].(map[string]any); ok {
			walk(path+"[]", items)
		}
	}
	walk("", schema)
	if got := schema["propertyOrdering"].([]any)[0]; got != "evidence" {
		t.Errorf("%v comes first, want the evidence", got)
	}
	// The schema that provenance records must not be changed by the request's.
	if evalforge.AnalysisSchema().Extra != nil {
		t.Error("the order leaked into the domain's schema")
	}
}

// The examples write their fields in the order that the schema asks for.
func TestExamplesFollowTheOrder(t *testing.T) {
	for i, e := range prompts.Examples() {
		d := json.NewDecoder(newReader(e.Answer))
		var keys []string
		depth := 0
		for {
			tok, err := d.Token()
			if err != nil {
				break
			}
			switch v := tok.(type) {
			case json.Delim:
				if v == '{' || v == '[' {
					depth++
				} else {
					depth--
				}
			case string:
				if depth == 1 && slices.Contains(answerOrder, v) && (len(keys) == 0 || keys[len(keys)-1] != v) {
					keys = append(keys, v)
				}
			}
		}
		if diff := cmp.Diff(answerOrder, keys); diff != "" {
			t.Errorf("example %d (-want +got):\n%s", i, diff)
		}
	}
}
