package pages

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/evalforge/evalforge/internal/excerpt"
)

// The compacted trace, as package trace renders it for analyzers. A timeline shows these
// texts and no others: what a quote was checked against.
type wireTrace struct {
	ToolSchemas []wireSchema      `json:"tool_schemas"`
	Labels      []wireLabel       `json:"labels"`
	Warnings    []json.RawMessage `json:"warnings"`
	Dropped     int               `json:"dropped_attributes"`
	Steps       []wireStep        `json:"steps"`
}

type wireSchema struct{ Name, Description, Schema string }

type wireLabel struct {
	Name, Value, Explanation, Source string
	Score                            *float64
	Step                             *int
	Omitted                          int
}

// A wireStep is one entry of the steps: a step, or a note that stands for several.
type wireStep struct {
	Index *int   `json:"i"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	// The content, in the order in which it is shown.
	Error  json.RawMessage            `json:"error"`
	In     []json.RawMessage          `json:"in"`
	Input  string                     `json:"input"`
	InputS string                     `json:"input_same_as"`
	Tool   *wireTool                  `json:"tool"`
	M      *int                       `json:"m"` // the message that is the tool's result
	Out    []json.RawMessage          `json:"out"`
	Output string                     `json:"output"`
	OutS   string                     `json:"output_same_as"`
	Text   string                     `json:"text"`
	Attrs  map[string]json.RawMessage `json:"attrs"`

	OmittedSteps  int    `json:"omitted_steps"`
	RepeatedSteps int    `json:"repeated_steps"`
	From          int    `json:"from"`
	To            int    `json:"to"`
	IdenticalTo   string `json:"identical_to"`
}

type wireTool struct {
	Name      string  `json:"name"`
	Args      string  `json:"args"`
	ArgsS     string  `json:"args_same_as"`
	ArgsError string  `json:"args_error"`
	Result    *string `json:"result"`
	ResultS   string  `json:"result_same_as"`
	IsError   bool    `json:"is_error"`
}

type wireFailure struct {
	Type, Code string
	HTTP       int
	Message    string
	MessageS   string `json:"message_same_as"`
	Stack      string
	StackS     string `json:"stack_same_as"`
}

type wireMessage struct {
	M               *int
	Role, Name      string
	Call            string // that it answers
	Text            string
	TextS           string `json:"text_same_as"`
	Refusal         string
	RefusalS        string `json:"refusal_same_as"`
	IsError         bool   `json:"is_error"`
	Calls           []wireTool
	OmittedMessages int `json:"omitted_messages"`
	Omitted         int `json:"omitted"`
}

// blocks returns the texts of a step in reading order.
func (s *wireStep) blocks(o origins) []block {
	var list []block
	add := func(class, label, text, same string) {
		if text != "" {
			list = append(list, block{Class: class, Label: label, text: text})
		} else if same != "" {
			list = append(list, o.block(class, label, same))
		}
	}
	s.failure(add)
	list = append(list, o.conversation(s.In)...)
	add("in", "input", s.Input, s.InputS)
	if t := s.Tool; t != nil {
		add("call", join("call", t.Name), t.Args, t.ArgsS)
		add("error", "the arguments are wrong", t.ArgsError, "")
		class := "result"
		if t.IsError {
			class = "error"
		}
		switch {
		case t.Result != nil && *t.Result == "":
			list = append(list, block{Class: class, Label: join("result", t.Name), Note: "empty"})
		case t.Result != nil:
			add(class, join("result", t.Name), *t.Result, "")
		default:
			add(class, join("result", t.Name), "", t.ResultS)
		}
	}
	list = append(list, o.said(s.Kind, s.Out)...)
	add("out", "output", s.Output, s.OutS)
	add("out", "text", s.Text, "")
	return list
}

// attrs returns the attributes of a step.
func (s *wireStep) attrs() []block {
	var list []block
	for _, k := range sortedKeys(s.Attrs) {
		list = append(list, block{Class: "attr", Label: k, text: text(s.Attrs[k])})
	}
	return list
}

func (s *wireStep) failure(add func(class, label, text, same string)) {
	if len(s.Error) == 0 {
		return
	}
	var f wireFailure
	if json.Unmarshal(s.Error, &f) != nil {
		add("error", "error", text(s.Error), "")
		return
	}
	what := []string{}
	for _, part := range []string{f.Type, f.Code} {
		if part != "" {
			what = append(what, part)
		}
	}
	if f.HTTP > 0 {
		what = append(what, fmt.Sprint("HTTP ", f.HTTP))
	}
	if len(what) > 0 {
		add("error", "error", strings.Join(what, " · "), "")
	}
	add("error", "error message", f.Message, f.MessageS)
	add("error", "stack", f.Stack, f.StackS)
}

// conversation returns the texts of the messages that a step was given; of those that came before, a note.
func (o origins) conversation(list []json.RawMessage) []block {
	var blocks []block
	count, last := 0, -1
	for _, raw := range list {
		if from, to, ok := reference(raw); ok {
			count, last = count+to-from+1, to
			continue
		}
		blocks = append(blocks, o.texts("in", "", raw)...)
	}
	if count == 0 {
		return blocks
	}
	note := block{Class: "before", Label: "conversation so far", Note: fmt.Sprintf("%d %s, shown where they came first", count, plural(count, "message"))}
	if at, ok := o[message(last)]; ok {
		note.Same = &at.step
		if note.Note += "; the last one at"; count == 1 {
			note.Note = "one message, shown where it came first, at"
		}
		if len(blocks) == 0 { // else what is new says enough
			note.text = excerpt.Clip(at.text, sameRunes)
		}
	}
	return append([]block{note}, blocks...)
}

// maxAgain bounds the messages that a step says again and that are shown.
const maxAgain = 5

// said returns the texts of the messages that a step made; of those that came before, their beginnings.
func (o origins) said(kind string, list []json.RawMessage) []block {
	role := ""
	if kind == "llm" || kind == "agent" {
		role = "assistant"
	}
	var blocks []block
	for _, raw := range list {
		from, to, ok := reference(raw)
		if !ok {
			blocks = append(blocks, o.texts("out", role, raw)...)
			continue
		}
		if n := to - from + 1 - maxAgain; n > 0 {
			blocks = append(blocks, block{Class: "before", Label: "says again", Note: fmt.Sprintf("%d %s, shown where they came first", n, plural(n, "message"))})
			from += n
		}
		for n := from; n <= to; n++ {
			blocks = append(blocks, o.block("out", "says again", message(n)))
		}
	}
	return blocks
}

// reference returns the numbers of the messages that raw refers to, if it is no message itself.
func reference(raw json.RawMessage) (from, to int, ok bool) {
	var ref string
	if json.Unmarshal(raw, &ref) != nil {
		return 0, 0, false
	}
	return before(ref)
}

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

// texts returns the texts of a message, which has the role if it says none.
func (o origins) texts(class, role string, raw json.RawMessage) []block {
	var m wireMessage
	if json.Unmarshal(raw, &m) != nil {
		return []block{{Class: class, Label: class, text: text(raw)}}
	}
	if m.Role == "" {
		if m.Role = role; m.Call != "" {
			m.Role = "tool"
		}
	}
	return m.blocks(o)
}

func (m *wireMessage) blocks(o origins) []block {
	if n := m.OmittedMessages + m.Omitted; n > 0 {
		return []block{{Class: "cut", Label: "cut", Note: fmt.Sprintf("%d messages are left out: the trace is longer than what is sent to an analyzer", n)}}
	}
	var list []block
	add := func(class, label, text, same string) {
		if text != "" {
			list = append(list, block{Class: class, Label: label, text: text})
		} else if same != "" {
			list = append(list, o.block(class, label, same))
		}
	}
	class := m.Role
	if m.IsError {
		class = "error"
	}
	add(class, join(m.Role, m.Name), m.Text, m.TextS)
	add("error", join(m.Role, "refuses"), m.Refusal, m.RefusalS)
	for _, c := range m.Calls {
		n, label := len(list), join(join(m.Role, "calls"), c.Name)
		if add("call", label, c.Args, c.ArgsS); len(list) == n {
			list = append(list, block{Class: "call", Label: label})
		}
		add("error", "the arguments are wrong", c.ArgsError, "")
	}
	return list
}

// text returns a JSON string's value, and any other JSON as it is.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func join(a, b string) string { return strings.TrimSpace(a + " " + b) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
