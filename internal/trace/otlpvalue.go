package trace

// An attrMap is an OTLP list of attributes, decoded.
type attrMap map[string]any

// otlpValue reads the value of key, "attributes" or "body": as OTLP's if it is that,
// else as any other.
func (p *parser) otlpValue(key string) (any, bool) {
	start, depth, values, fields := p.i, p.depth, len(p.values), len(p.fields)
	if key == "body" {
		if p.next() == '{' {
			if v, ok := p.anyValue(); ok {
				return v, true
			}
		}
	} else if p.next() == '[' {
		if m, ok := p.keyValues(); ok {
			return attrMap(m), true
		}
	}
	p.i, p.depth, p.values, p.fields = start, depth, p.values[:values], p.fields[:fields]
	return p.value()
}

// keyValues reads a list of {"key": …, "value": …}.
func (p *parser) keyValues() (map[string]any, bool) {
	if !p.take('[') {
		return nil, false
	}
	base := len(p.fields)
	if p.take(']') {
		return p.takeFields(base), true
	}
	for {
		if !p.take('{') || !p.field("key") || p.next() != '"' {
			return nil, false
		}
		k, ok := p.str()
		if !ok || k == "" {
			return nil, false
		}
		var v any
		if p.take(',') {
			if !p.field("value") || p.next() != '{' {
				return nil, false
			}
			if v, ok = p.anyValue(); !ok {
				return nil, false
			}
		}
		p.fields = append(p.fields, field{k, v})
		if !p.take('}') {
			return nil, false
		}
		if p.take(',') {
			continue
		}
		return p.takeFields(base), p.take(']')
	}
}

// field moves past a field's name and colon, if the field is name.
func (p *parser) field(name string) bool {
	if p.next() != '"' {
		return false
	}
	k, ok := p.str()
	return ok && k == name && p.take(':')
}

// anyValue reads an OTLP AnyValue, as the function anyValue decodes it.
func (p *parser) anyValue() (v any, ok bool) {
	if p.depth++; p.depth > maxDepth || !p.take('{') || p.next() != '"' {
		return nil, false
	}
	k, ok := p.str()
	if !ok || !p.take(':') {
		return nil, false
	}
	switch k {
	case "stringValue", "string_value", "intValue", "int_value", "doubleValue", "double_value", "boolValue", "bool_value", "bytesValue", "bytes_value":
		v, ok = p.value()
	case "kvlistValue", "kvlist_value":
		if !p.take('{') {
			return nil, false
		}
		m := p.w.newObject(0)
		if !p.take('}') {
			if !p.field("values") {
				return nil, false
			}
			if m, ok = p.keyValues(); !ok || !p.take('}') {
				return nil, false
			}
		}
		v = m
	case "arrayValue", "array_value":
		v, ok = p.anyValues()
	default:
		return nil, false
	}
	if !ok || !p.take('}') {
		return nil, false
	}
	p.depth--
	return v, true
}

func (p *parser) anyValues() (any, bool) {
	if !p.take('{') {
		return nil, false
	}
	base := len(p.values)
	if p.take('}') {
		return p.takeValues(base), true
	}
	if !p.field("values") || !p.take('[') {
		return nil, false
	}
	if !p.take(']') {
		for {
			if p.next() != '{' {
				return nil, false
			}
			v, ok := p.anyValue()
			if !ok {
				return nil, false
			}
			p.values = append(p.values, v)
			if p.take(',') {
				continue
			}
			if !p.take(']') {
				return nil, false
			}
			break
		}
	}
	return p.takeValues(base), p.take('}')
}
