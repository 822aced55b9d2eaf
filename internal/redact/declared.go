package redact

import "strings"

// maxDeclaredBytes bounds the schema of a value that is read to tell it from a value, and
// maxDeclaredDepth the schemas in it.
const (
	maxDeclaredBytes = 1024
	maxDeclaredDepth = 3
)

// schemaTypes are the types of JSON Schema.
var schemaTypes = words(`string number integer boolean array object null`)

// declares reports whether the object at s[i] is a JSON Schema that says what a value looks
// like, and has no place for one: {"type": "string", "title": "Password"}. Such stands under
// the names of values in the arguments of a tool, and nothing in it is a secret.
func declares(s string, i int) bool {
	d := declaration{s[:min(len(s), i+maxDeclaredBytes)], i}
	return d.schema(maxDeclaredDepth)
}

// A declaration is read from s[i] on.
type declaration struct {
	s string
	i int
}

// next skips white space and reports whether c follows, and is skipped, too.
func (d *declaration) next(c byte) bool {
	d.i = skipSpace(d.s, d.i)
	if at(d.s, d.i) != c || d.i >= len(d.s) {
		return false
	}
	d.i++
	return true
}

// text reads a string without escapes.
func (d *declaration) text() (string, bool) {
	if !d.next('"') {
		return "", false
	}
	end := strings.IndexAny(d.s[d.i:], `"\`)
	if end < 0 || d.s[d.i+end] == '\\' {
		return "", false
	}
	text := d.s[d.i : d.i+end]
	d.i += end + 1
	return text, true
}

// each reads what read reads, one after the other with commas between, up to end.
func (d *declaration) each(end byte, read func() bool) bool {
	if d.next(end) {
		return true
	}
	for read() {
		if d.next(end) {
			return true
		}
		if !d.next(',') {
			break
		}
	}
	return false
}

// schema reads a schema that says of which type its value is, with at most depth schemas in
// each other.
func (d *declaration) schema(depth int) bool {
	typed := false
	return depth > 0 && d.next('{') && d.each('}', func() bool {
		key, ok := d.text()
		if !ok || !d.next(':') {
			return false
		}
		switch key {
		case "type":
			typed = true
			if d.next('[') {
				return d.each(']', d.typeName)
			}
			return d.typeName()
		case "$ref":
			typed = true
			ref, ok := d.text()
			return ok && strings.HasPrefix(ref, "#/")
		case "anyOf", "oneOf", "allOf":
			typed = true
			return d.next('[') && d.each(']', func() bool { return d.schema(depth - 1) })
		case "items":
			return d.schema(depth - 1)
		case "title", "description", "format":
			text, ok := d.text()
			return ok && !isCredential(text)
		case "pattern":
			text, ok := d.text()
			return ok && strings.HasPrefix(text, "^")
		case "minLength", "maxLength", "minItems", "maxItems", "nullable", "readOnly", "writeOnly", "deprecated", "required", "optional", "sensitive":
			return d.literal()
		case "default":
			return d.keyword() // digits may be a code
		}
		return false
	}) && typed
}

func (d *declaration) typeName() bool {
	name, ok := d.text()
	return ok && schemaTypes[name]
}

// literal reads true, false, null or a length.
func (d *declaration) literal() bool {
	word := d.word()
	return isKeyword(word) || len(word) < len("false") && allDigits(word)
}

// keyword reads true, false or null.
func (d *declaration) keyword() bool { return isKeyword(d.word()) }

func isKeyword(word string) bool { return word == "true" || word == "false" || word == "null" }

// word reads what stands without quotes, as far as it could be any of these.
func (d *declaration) word() string {
	d.i = skipSpace(d.s, d.i)
	end := wordSet.run(d.s, d.i, len("false"))
	word := d.s[d.i:end]
	d.i = end
	return word
}
