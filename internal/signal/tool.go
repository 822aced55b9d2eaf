package signal

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/trace"
)

// toolCalls finds calls of tools that were not offered, and arguments that do not fit
// the declared schema.
//
// A tool counts as unknown only where the emitter declared tools, named the call and
// dropped no attributes: otherwise the absence of a name proves nothing. Arguments that
// break the schema of a tool that then answered normally did no harm that can be seen,
// so they stay below [Decisive].
func toolCalls(v *view) []Signal {
	tools := make(map[string]*trace.Tool, len(v.t.Tools))
	for i := range v.t.Tools {
		tools[v.t.Tools[i].Name] = &v.t.Tools[i]
	}
	var found []Signal
	for i := range v.calls {
		c := &v.calls[i]
		if c.Name == "" {
			continue
		}
		tool, declared := tools[c.Name]
		switch {
		case !declared && len(tools) > 0 && v.t.Dropped == 0 && v.offered(c):
			found = append(found, v.unknownTool(c))
		case trace.IsCut(c.Args): // what is missing may have been right
		case c.ArgsErr != "":
			found = append(found, v.badArgs(c, CondArgsJSON, c.ArgsErr, 0.9))
		case declared && tool.Schema != "" && c.Args != "":
			if p, ok := checkArgs(tool.Schema, c.Args); ok {
				found = append(found, v.badArgs(c, p.condition, p.what, p.weight))
			}
		}
	}
	return found
}

// offered reports whether the step that asked for c declares tools itself, or no step
// does: tools that only another agent was offered say nothing about this call.
func (v *view) offered(c *trace.Invocation) bool {
	if c.Caller >= 0 && c.Caller < len(v.t.Steps) && len(v.t.Steps[c.Caller].Declared) > 0 {
		for _, d := range v.t.Steps[c.Caller].Declared {
			if d >= 0 && d < len(v.t.Tools) && v.t.Tools[d].Name == c.Name {
				return false
			}
		}
		return true
	}
	return !slices.ContainsFunc(v.t.Steps, func(s trace.Step) bool { return len(s.Declared) > 0 })
}

func (v *view) unknownTool(c *trace.Invocation) Signal {
	s := Signal{
		Name: "unknown_tool", FailureType: evalforge.WrongTool, Condition: CondUnknownTool, Weight: 0.9,
		Step: c.Step, Cause: v.planner(c.Step, c), Quote: head(c.Name),
		Detail: fmt.Sprintf("%s calls %q, which is not among the %d declared tools", v.label(v.planner(c.Step, c)), excerpt.Clip(excerpt.Line(c.Name), 60), len(v.t.Tools)),
	}
	if c.HasResult && !callFailed(c) {
		s.Weight = 0.45 // something ran it after all: the declaration may be incomplete
	}
	return s
}

func (v *view) badArgs(c *trace.Invocation, condition, what string, weight float64) Signal {
	s := Signal{
		Name: "bad_arguments", FailureType: evalforge.WrongTool, Condition: condition, Weight: weight,
		Step: c.Step, Cause: v.planner(c.Step, c), Quote: head(c.Args),
		Detail: fmt.Sprintf("%s calls %q with arguments that do not fit: %s", v.label(v.planner(c.Step, c)), excerpt.Clip(excerpt.Line(c.Name), 60), what),
	}
	switch {
	case c.HasResult && !callFailed(c):
		s.Weight = min(s.Weight/2, 0.35)
	case v.recovers(incident{step: c.Step, call: c}):
		s.Weight = recovered
	}
	return s
}

// A misfit is one way in which arguments break a schema.
type misfit struct {
	condition string
	what      string // without values from the trace beyond names of fields
	weight    float64
}

// checkArgs compares arguments with the parts of JSON Schema that tool declarations
// use: type, required, properties, additionalProperties, enum and items. It reports the
// first misfit. What it does not understand fits.
func checkArgs(schema, args string) (misfit, bool) {
	var s argSchema
	var v any
	if json.Unmarshal([]byte(schema), &s) != nil || json.Unmarshal([]byte(args), &v) != nil {
		return misfit{}, false
	}
	return s.check(v, "", 0)
}

// maxSchemaDepth bounds how deep arguments are compared.
const maxSchemaDepth = 8

type argSchema struct {
	Type       json.RawMessage            `json:"type"`
	Required   json.RawMessage            `json:"required"` // some emitters put a boolean into each property
	Properties map[string]json.RawMessage `json:"properties"`
	Additional json.RawMessage            `json:"additionalProperties"`
	Enum       []any                      `json:"enum"`
	Items      json.RawMessage            `json:"items"`
}

func (s *argSchema) check(v any, path string, depth int) (misfit, bool) {
	if depth > maxSchemaDepth {
		return misfit{}, false
	}
	if types := s.types(); len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return hasType(v, t) }) {
		return misfit{CondArgsInvalid, fmt.Sprintf("%s is not of type %s", at(path), types[0]), 0.8}, true
	}
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(e any) bool { return sameScalar(e, v) }) {
		return misfit{CondArgsInvalid, at(path) + " is none of the allowed values", 0.8}, true
	}
	switch v := v.(type) {
	case map[string]any:
		return s.checkObject(v, path, depth)
	case []any:
		var items argSchema
		if len(s.Items) == 0 || json.Unmarshal(s.Items, &items) != nil {
			return misfit{}, false
		}
		for _, item := range v {
			if p, bad := items.check(item, path+"[]", depth+1); bad {
				return p, true
			}
		}
	}
	return misfit{}, false
}

func (s *argSchema) checkObject(v map[string]any, path string, depth int) (misfit, bool) {
	var required []string
	_ = json.Unmarshal(s.Required, &required) // another shape requires nothing
	for _, name := range required {
		if _, ok := v[name]; !ok {
			return misfit{CondArgsMissing, "required field " + at(join(path, name)) + " is missing", 0.9}, true
		}
	}
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		raw, known := s.Properties[name]
		if !known {
			if len(s.Properties) > 0 && string(s.Additional) != "true" && (len(s.Additional) == 0 || s.Additional[0] != '{') {
				weight := 0.85
				if string(s.Additional) != "false" { // by the letter of JSON Schema, absent means allowed
					weight = 0.45
				}
				return misfit{CondArgsUnknown, "field " + at(join(path, name)) + " is not declared", weight}, true
			}
			continue
		}
		var prop argSchema
		if json.Unmarshal(raw, &prop) != nil || v[name] == nil {
			continue // models write null for what they leave out
		}
		if p, bad := prop.check(v[name], join(path, name), depth+1); bad {
			return p, true
		}
	}
	return misfit{}, false
}

func (s *argSchema) types() []string {
	var one string
	var many []string
	switch {
	case json.Unmarshal(s.Type, &one) == nil && one != "":
		return []string{one}
	case json.Unmarshal(s.Type, &many) == nil:
		return many
	}
	return nil
}

func hasType(v any, t string) bool {
	switch t {
	case "object", "OBJECT":
		_, ok := v.(map[string]any)
		return ok
	case "array", "ARRAY":
		_, ok := v.([]any)
		return ok
	case "string", "STRING":
		_, ok := v.(string)
		return ok
	case "boolean", "BOOLEAN":
		_, ok := v.(bool)
		return ok
	case "number", "NUMBER":
		_, ok := v.(float64)
		return ok
	case "integer", "INTEGER":
		f, ok := v.(float64)
		return ok && f == float64(int64(f))
	case "null", "NULL":
		return v == nil
	}
	return true // not a type of JSON Schema
}

func sameScalar(a, b any) bool {
	switch a.(type) {
	case map[string]any, []any:
		return true // not compared
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func at(path string) string {
	if path == "" {
		return "the whole value"
	}
	return fmt.Sprintf("%q", excerpt.Clip(excerpt.Line(path), 60))
}
