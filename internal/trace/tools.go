package trace

// This file reads the declarations of tools.

// maxToolName bounds the names of tools that are declared by nothing else, in bytes.
const maxToolName = 200

// parseTools reads declared tools: a list, an object by name, or one definition, in any
// dialect.
func parseTools(v any) []Tool { return (*workspace)(nil).parseTools(v) }

// parseTools is the function of the same name in the memory of w.
func (w *workspace) parseTools(v any) []Tool {
	var tools []Tool
	switch v := w.embedded(v).(type) {
	case []any:
		for _, e := range v {
			if m := w.object(e); m != nil {
				if fds := list(first(m, "functionDeclarations", "function_declarations")); fds != nil {
					tools = append(tools, w.parseTools(fds)...)
				} else if t := w.parseTool(m); t.Name != "" {
					tools = append(tools, t)
				}
			} else if s, ok := e.(string); ok && s != "" && len(s) <= maxToolName {
				tools = append(tools, Tool{Name: s})
			}
		}
	case map[string]any:
		if t := w.parseTool(v); t.Name != "" {
			return []Tool{t}
		}
	}
	return tools
}

func (w *workspace) parseTool(m map[string]any) Tool {
	if inner := w.object(m["tool"]); inner != nil {
		m = inner
	}
	if s := w.object(first(m, "json_schema", "toolSpec")); s != nil && m["name"] == nil {
		m = s
	}
	if f := w.object(m["function"]); f != nil {
		m = f
	}
	t := Tool{Name: scalar(m["name"]), Description: scalar(m["description"])}
	if t.Name == "" {
		return t
	}
	s := first(m, "parameters", "input_schema", "inputSchema", "parametersJsonSchema", "parameters_json_schema", "arguments", "schema", "json_schema")
	if o := w.object(s); o != nil {
		if inner := w.object(first(o, "jsonSchema", "json")); inner != nil && o["type"] == nil {
			o = inner
		}
		t.Schema = canonical(jsonSchema(o))
	}
	return t
}

// jsonSchema returns o when it is a JSON Schema; a plain map from parameter to its
// description, {"x": {"type": "string", "required": true}}, it turns into one.
func jsonSchema(o map[string]any) map[string]any {
	if o["type"] != nil || o["properties"] != nil || o["$ref"] != nil || len(o) == 0 {
		return o
	}
	props := make(map[string]any, len(o))
	required := []any{}
	for _, k := range sortedKeys(o) {
		p, ok := o[k].(map[string]any)
		if !ok {
			return o
		}
		prop := make(map[string]any, len(p))
		for pk, pv := range p {
			if b, ok := pv.(bool); ok && pk == "required" {
				if b {
					required = append(required, k)
				}
				continue
			}
			prop[pk] = pv
		}
		props[k] = prop
	}
	return map[string]any{"type": "object", "properties": props, "required": required}
}
