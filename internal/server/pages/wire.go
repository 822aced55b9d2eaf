package pages

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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
}

type wireMessage struct {
	Role, Name      string
	Text            string
	TextS           string `json:"text_same_as"`
	Refusal         string
	IsError         bool `json:"is_error"`
	Calls           []wireTool
	OmittedMessages int `json:"omitted_messages"`
	Omitted         int `json:"omitted"`
}

// blocks returns the texts of a step in reading order.
func (s *wireStep) blocks() []block {
	var list []block
	add := func(class, label, text, same string) {
		if text != "" {
			list = append(list, block{Class: class, Label: label, text: text})
		} else if same != "" {
			list = append(list, block{Class: class, Label: label, Note: "the same text as in " + same})
		}
	}
	s.failure(add)
	list = append(list, messages("in", s.In)...)
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
	list = append(list, messages("out", s.Out)...)
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
	add("error", "stack", f.Stack, "")
}

// messages returns the texts of messages; of those that came before, a note.
func messages(class string, list []json.RawMessage) []block {
	var blocks []block
	var before []string
	for _, raw := range list {
		var ref string
		if json.Unmarshal(raw, &ref) == nil {
			before = append(before, ref)
			continue
		}
		var m wireMessage
		if json.Unmarshal(raw, &m) != nil {
			blocks = append(blocks, block{Class: class, Label: class, text: text(raw)})
			continue
		}
		blocks = append(blocks, m.blocks()...)
	}
	if len(before) > 0 {
		note := block{Class: "before", Label: "conversation so far", Note: "message " + strings.Join(before, ", ") + ", shown where they came first"}
		return append([]block{note}, blocks...)
	}
	return blocks
}

func (m *wireMessage) blocks() []block {
	if n := m.OmittedMessages + m.Omitted; n > 0 {
		return []block{{Class: "cut", Label: "cut", Note: fmt.Sprintf("%d messages are left out: the trace is longer than what is sent to an analyzer", n)}}
	}
	var list []block
	class := m.Role
	if m.IsError {
		class = "error"
	}
	if m.Text != "" {
		list = append(list, block{Class: class, Label: join(m.Role, m.Name), text: m.Text})
	} else if m.TextS != "" {
		list = append(list, block{Class: class, Label: join(m.Role, m.Name), Note: "the same text as in " + m.TextS})
	}
	if m.Refusal != "" {
		list = append(list, block{Class: "error", Label: join(m.Role, "refuses"), text: m.Refusal})
	}
	for _, c := range m.Calls {
		b := block{Class: "call", Label: join(m.Role+" calls", c.Name), text: c.Args}
		if c.Args == "" && c.ArgsS != "" {
			b.Note = "the same arguments as in " + c.ArgsS
		}
		list = append(list, b)
		if c.ArgsError != "" {
			list = append(list, block{Class: "error", Label: "the arguments are wrong", text: c.ArgsError})
		}
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
