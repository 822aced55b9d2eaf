package trace

import (
	"reflect"
	"strings"
)

// A memo remembers what the JSON texts of one trace hold: with every call of a model an
// emitter writes the whole history again, so that nearly all of them come more than once.
// The nil memo remembers nothing.
type memo struct {
	w        *workspace // for what the texts hold
	messages map[memoKey][]Message
	objects  map[objectKey][]Message
	values   map[string]any
	tools    map[string][]Tool
	toolSets map[*any][]Tool    // by the first element of their list
	schemas  map[Tool]Tool      // by what is declared, its schema as it is written, after its key
	history  map[string]history // the last list of messages, by the role of those that name none
	mends    map[string]mending
	cuts     map[int]int // how many of mends are known to be cut, by their length in characters
	spans    []*span     // of the trace
	longest  int         // of their texts, in characters; 0 as long as nobody asked
	// keep holds the maps whose addresses are keys, so that none is used twice.
	keep []map[string]any
}

// An objectKey is a message by the address of its map, and the role it has if it names
// none.
type objectKey struct {
	role    string
	address uintptr
}

// A history is a list of messages that was read: what the next call of the model is given
// starts with it as a rule.
type history struct {
	text     string // of the list, without the bracket that ends it
	messages []Message
}

// A memoKey is the text of one message and the role it has if it names none.
type memoKey struct{ role, text string }

// reset makes c forget everything.
func (c *memo) reset() {
	c.w, c.spans, c.longest = nil, nil, 0
	c.mends, c.cuts = emptied(c.mends), emptied(c.cuts)
	c.messages, c.objects, c.history = emptied(c.messages), emptied(c.objects), emptied(c.history)
	c.values, c.tools = emptied(c.values), emptied(c.tools)
	c.toolSets, c.schemas = emptied(c.toolSets), emptied(c.schemas)
	c.keep = cleared(c.keep, keptEntries)
}

// remember puts v into *m, which is made when something is first put into it: most traces
// need few of them.
func remember[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}

// shortText is the length in bytes up to which reading again costs less than looking up.
const shortText = 64

// embedded is [embedded] with what was read before looked up.
func (c *memo) embedded(v any) any {
	s, ok := v.(string)
	if c == nil || !ok {
		return embedded(v)
	}
	if len(s) <= shortText {
		return c.w.embedded(v)
	}
	inner, known := c.values[s]
	if !known {
		inner = c.w.embedded(v)
		remember(&c.values, s, inner)
	}
	return inner
}

// object is [object] with what was read before looked up.
func (c *memo) object(v any) map[string]any {
	m, _ := c.embedded(v).(map[string]any)
	return m
}

// array is [list] with what was read before looked up.
func (c *memo) array(v any) []any {
	l, _ := c.embedded(v).([]any)
	return l
}

// arguments is [arguments] with what was read before looked up.
func (c *memo) arguments(v any) (args, problem string) {
	inner := c.embedded(v)
	if left, ok := c.cutByEmitter(inner); ok {
		return canonical(left), ""
	}
	return (*workspace)(nil).argumentsIn(v, inner)
}

// indexed is [indexed] in the memory of the trace.
func (c *memo) indexed(attrs map[string]any, prefix string) []any {
	if c == nil {
		return indexed(attrs, prefix)
	}
	return c.w.indexed(attrs, prefix)
}

// parseMessage reads the message m, if it is one. Equal texts in a document are the same
// map, which is what is remembered.
func (c *memo) parseMessage(m map[string]any, role string) []Message {
	if c == nil || m == nil {
		if !isMessage(m) {
			return nil
		}
		return parseMessage(m, role)
	}
	key := objectKey{role, reflect.ValueOf(m).Pointer()}
	ms, known := c.objects[key]
	if !known {
		if isMessage(m) {
			ms = parseMessage(m, role)
		}
		remember(&c.objects, key, ms)
		c.keep = append(c.keep, m)
	}
	return ms
}

// list reads the JSON array of messages s. It reports false where it is not one that it
// knows how to take apart. The messages belong to the memo.
func (c *memo) list(s, role string) ([]Message, bool) {
	p := parser{s: s, i: 1}
	var out []Message
	more := true
	if h := c.history[role]; h.text != "" && strings.HasPrefix(s, h.text) {
		p.i = len(h.text)
		out = append(make([]Message, 0, len(h.messages)+strings.Count(s[p.i:], `"role"`)), h.messages...)
		more = p.take(',')
	}
	for more {
		ms, ok := c.entry(&p, role)
		if !ok {
			return nil, false
		}
		if out == nil {
			out = make([]Message, 0, 1+strings.Count(s, `"role"`))
		}
		out = append(out, ms...)
		more = p.take(',')
	}
	end := p.i
	if !p.take(']') {
		return nil, false
	}
	if p.space(); p.i < len(s) || len(out) == 0 { // a list of something else has its own meaning
		return nil, false
	}
	remember(&c.history, role, history{s[:end], out})
	return out, true
}

// entry reads the object at p, an entry of a list of messages.
func (c *memo) entry(p *parser, role string) (ms []Message, ok bool) {
	if p.next() != '{' {
		return nil, false
	}
	start := p.i
	if !p.skip() {
		return nil, false
	}
	key := memoKey{role, p.s[start:p.i]}
	ms, known := c.messages[key]
	if !known {
		v, ok := c.w.parseText(key.text)
		if !ok {
			return nil, false
		}
		if m, _ := v.(map[string]any); isMessage(m) {
			ms = parseMessage(m, role)
		}
		remember(&c.messages, key, ms)
	}
	return ms, true
}

// request reads the text of a request to a model, {"messages": […], "tools": […], …}. It
// reports false where v is none that it knows how to take apart.
func (c *memo) request(v any, role string) (ms []Message, tools []Tool, ok bool) {
	s, _ := v.(string)
	if s = strings.TrimSpace(s); c == nil || len(s) < shortText || s[0] != '{' {
		return nil, nil, false
	}
	m, ok := fields(s)
	if !ok || !strings.HasPrefix(m["messages"], "[") {
		return nil, nil, false
	}
	for _, k := range [...]string{
		"choices", "candidates", "generations", "output", // it is a response
		"system", "system_instruction", "systemInstruction", "instructions", // the system prompt is not among the messages
	} {
		if m[k] != "" {
			return nil, nil, false
		}
	}
	if ms, ok = c.list(m["messages"], role); !ok || ms == nil {
		return nil, nil, false
	}
	for _, k := range [...]string{"tools", "functions"} {
		if t := m[k]; t != "" && tools == nil {
			tools = c.parseTools(t)
		}
	}
	return ms, tools, true
}

// fields returns the texts of the fields of s, a JSON object, as long as nothing is odd
// about it.
func fields(s string) (map[string]string, bool) {
	p := parser{s: s}
	if !p.take('{') {
		return nil, false
	}
	out := make(map[string]string)
	if p.take('}') {
		return out, true
	}
	for {
		if p.next() != '"' {
			return nil, false
		}
		k, ok := p.str()
		if !ok || !p.take(':') {
			return nil, false
		}
		p.space()
		start := p.i
		if !p.skip() {
			return nil, false
		}
		out[k] = s[start:p.i]
		if p.take(',') {
			continue
		}
		if !p.take('}') {
			return nil, false
		}
		p.space()
		return out, p.i == len(s)
	}
}

// parseTools is [parseTools] with what was read before looked up.
func (c *memo) parseTools(v any) []Tool {
	if l, ok := v.([]any); ok && c != nil && len(l) > 0 {
		tools, known := c.toolSets[&l[0]]
		if !known {
			tools = c.parseToolList(l)
			remember(&c.toolSets, &l[0], tools)
		}
		return tools
	}
	s, ok := v.(string)
	if c == nil || !ok {
		return parseTools(v)
	}
	tools, known := c.tools[s]
	if !known {
		if tools = c.w.parseTools(v); tools == nil {
			tools = c.cutTools(s)
		}
		remember(&c.tools, s, tools)
	}
	return tools
}

// cutTools reads declared tools whose text was cut, without the one that the cut goes through.
func (c *memo) cutTools(s string) []Tool {
	v, cut, ok := c.mended(s)
	if !ok {
		return nil
	}
	tools := c.w.parseTools(v)
	if c.note(s, cut); cut && len(tools) > 0 {
		tools = tools[:len(tools)-1]
	}
	return tools
}

// parseToolList reads a list of definitions, each of which may be a text of its own.
func (c *memo) parseToolList(l []any) []Tool {
	var out []Tool
	for _, e := range l {
		if s, ok := e.(string); !ok || !strings.HasPrefix(s, "{") {
			return c.w.parseTools(l)
		}
		out = append(out, c.parseTools(e)...)
	}
	return out
}

// parseTool is [workspace.parseTool] for a declaration of which name, description and schema are
// texts, as attributes are.
func (c *memo) parseTool(m map[string]any) Tool {
	key := Tool{Name: scalar(m["name"]), Description: scalar(m["description"])}
	for k, v := range m {
		s, ok := v.(string)
		if c == nil {
			return (*workspace)(nil).parseTool(m)
		}
		if !ok || len(m) > 3 {
			return c.w.parseTool(m)
		}
		if k != "name" && k != "description" {
			key.Schema = k + s
		}
	}
	t, known := c.schemas[key]
	if !known {
		t = c.w.parseTool(m)
		remember(&c.schemas, key, t)
	}
	return t
}
