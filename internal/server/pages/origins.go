package pages

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/evalforge/evalforge/internal/excerpt"
)

// An origin is where a text stands that is not repeated where it comes again.
type origin struct {
	step int
	text string // "" if it is not known which of several it is
}

// origins are the texts of a rendered trace by the names that it refers to them with: "step 3 input", "m 4", "m 4 args".
type origins map[string]origin

func newOrigins(steps []wireStep) origins {
	o := origins{}
	for i := range steps {
		if s := &steps[i]; s.Index != nil {
			o.step(s)
		}
	}
	return o
}

// add has name stand for a text of a step, or for what another name stands for.
func (o origins) add(name string, step int, text, same string) {
	if at, ok := o[same]; ok && text == "" {
		o[name] = at
	} else if text != "" {
		o[name] = origin{step, text}
	}
}

// step adds the texts of a step, in the order in which they are rendered.
func (o origins) step(s *wireStep) {
	n := *s.Index
	at := func(what string) string { return fmt.Sprintf("step %d %s", n, what) }
	var f wireFailure
	if json.Unmarshal(s.Error, &f) == nil {
		o.add(at("error"), n, f.Message, f.MessageS)
		o.add(at("stack"), n, f.Stack, f.StackS)
	}
	o.messages(n, s.In)
	o.add(at("input"), n, s.Input, s.InputS)
	if t := s.Tool; t != nil {
		result := ""
		if t.Result != nil {
			result = *t.Result
		}
		o.add(at("args"), n, t.Args, t.ArgsS)
		o.add(at("result"), n, result, t.ResultS)
		if s.M != nil {
			o.add(message(*s.M), n, result, t.ResultS)
		}
	}
	o.messages(n, s.Out)
	o.add(at("output"), n, s.Output, s.OutS)
}

func (o origins) messages(step int, list []json.RawMessage) {
	for _, raw := range list {
		var m wireMessage
		if json.Unmarshal(raw, &m) != nil || m.M == nil {
			continue
		}
		name := message(*m.M)
		o.add(name, step, m.Text, m.TextS)
		o.add(name+" refusal", step, m.Refusal, m.RefusalS)
		if len(m.Calls) == 1 {
			o.add(name+" args", step, m.Calls[0].Args, m.Calls[0].ArgsS)
		} else if len(m.Calls) > 1 {
			o[name+" args"] = origin{step: step}
		}
		if _, ok := o[name]; !ok { // calls alone
			o[name] = origin{step: step}
		}
	}
}

func message(n int) string { return "m " + strconv.Itoa(n) }

// sameRunes is how much is shown of a text that stands in full elsewhere.
const sameRunes = 500

// block returns a block for a text that stands elsewhere, under a name: its beginning, and where.
func (o origins) block(class, label, name string) block {
	at, ok := o[name]
	if !ok {
		return block{Class: class, Label: label, Note: "the same text as in " + name}
	}
	b := block{Class: class, Label: label, Note: "the same as at", Same: &at.step, text: excerpt.Clip(at.text, sameRunes)}
	if b.text != at.text {
		b.Note = "begins so, and is the same as at"
	}
	return b
}

// before returns the numbers of the messages that a reference such as "3" or "0-8" is to.
func before(ref string) (from, to int, ok bool) {
	first, last, isRange := strings.Cut(ref, "-")
	from, err := strconv.Atoi(first)
	if to = from; err == nil && isRange {
		to, err = strconv.Atoi(last)
	}
	return from, to, err == nil && from <= to
}
