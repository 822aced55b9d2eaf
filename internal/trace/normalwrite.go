package trace

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// A normalWriter writes the normal form: fields in the order of their names, and none
// that says nothing. Texts are cut to cap bytes times their weight, if cap is not 0.
type normalWriter struct {
	buf    []byte
	cap    int
	weight map[string]int
	err    error
}

// write replaces what was written by the normal form of t.
func (w *normalWriter) write(t *Trace) {
	w.buf, w.err = w.buf[:0], nil
	w.open()
	w.int("dropped_attributes", t.Dropped)
	w.int(normalMark, normalVersion)
	w.string("format", t.Format)
	w.string("id", t.ID)
	w.list("labels", len(t.Labels), func(i int) { w.label(&t.Labels[i]) })
	w.list("messages", len(t.Messages), func(i int) { w.message(&t.Messages[i]) })
	w.string("service", t.Service)
	w.string("session_id", t.Session)
	w.time("start_time", t.Start)
	w.list("steps", len(t.Steps), func(i int) { w.step(&t.Steps[i]) })
	w.list("tools", len(t.Tools), func(i int) { w.tool(&t.Tools[i]) })
	w.list("warnings", len(t.Warnings), func(i int) { w.buf = appendString(w.buf, t.Warnings[i]) })
	w.close()
}

func (w *normalWriter) label(l *Label) {
	w.open()
	w.text("explanation", l.Explanation)
	w.string("name", l.Name)
	if l.Score != nil {
		b, err := json.Marshal(*l.Score)
		if err != nil && w.err == nil { // no number in JSON
			w.err = fmt.Errorf("write trace: the score of label %q: %w", l.Name, err)
		}
		w.key("score")
		w.buf = append(w.buf, b...)
	}
	w.string("source", l.Source)
	w.string("span_id", l.StepID)
	w.text("value", l.Value)
	w.close()
}

func (w *normalWriter) message(m *Message) {
	w.open()
	w.list("calls", len(m.Calls), func(i int) {
		c := &m.Calls[i]
		w.open()
		w.text("arguments", c.Args)
		w.string("arguments_error", c.ArgsErr)
		w.string("id", c.ID)
		w.string("name", c.Name)
		w.close()
	})
	w.bool("is_error", m.IsErr)
	w.string("name", m.Name)
	w.text("refusal", m.Refusal)
	w.string("role", m.Role)
	w.text("text", m.Text)
	w.string("tool_call_id", m.ToolID)
	w.close()
}

func (w *normalWriter) tool(t *Tool) {
	w.open()
	w.text("description", t.Description)
	w.string("name", t.Name)
	w.text("schema", t.Schema)
	w.close()
}

func (w *normalWriter) step(s *Step) {
	w.open()
	w.string("agent", s.Agent)
	w.attributes(s.Attrs)
	w.ints("declared", s.Declared)
	w.int("depth", s.Depth)
	w.int("duration_ns", int(s.Dur))
	if f := s.Err; f != nil {
		w.key("error")
		w.open()
		w.string("code", f.Code)
		w.int("http_status", f.HTTP)
		w.text("message", f.Message)
		w.text("stack", f.Stack)
		w.string("type", f.Type)
		w.close()
	}
	w.string("finish_reason", s.Finish)
	w.string("id", s.ID)
	w.ints("in", s.In)
	w.int("index", s.Index)
	w.text("input", s.Input)
	w.string("kind", string(s.Kind))
	w.string("model", s.Model)
	w.string("name", s.Name)
	w.ints("out", s.Out)
	w.text("output", s.Output)
	w.string("parent_id", s.Parent)
	w.string("source", s.Source)
	w.time("start_time", s.Start)
	w.string("status", string(s.Status))
	if io := s.Tool; io != nil {
		w.key("tool")
		w.open()
		w.text("arguments", io.Args)
		w.string("arguments_error", io.ArgsErr)
		w.string("call_id", io.CallID)
		w.bool("has_result", io.HasResult)
		w.bool("is_error", io.IsErr)
		w.string("name", io.Name)
		w.text("result", io.Result)
		w.close()
	}
	w.key("usage")
	w.open()
	w.int("cached", s.Tokens.Cached)
	w.int("in", s.Tokens.In)
	w.int("out", s.Tokens.Out)
	w.close()
	w.close()
}

func (w *normalWriter) attributes(attrs map[string]string) {
	if len(attrs) == 0 {
		return
	}
	keys := make([]string, 0, len(attrs))
	for k := range attrs {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	w.key("attributes")
	w.open()
	for _, k := range keys {
		w.comma()
		w.buf = append(appendString(w.buf, k), ':')
		w.buf = appendString(w.buf, attrs[k])
	}
	w.close()
}

func (w *normalWriter) open() {
	w.comma()
	w.buf = append(w.buf, '{')
}

func (w *normalWriter) close() { w.buf = append(w.buf, '}') }

// comma separates a value from the one before it.
func (w *normalWriter) comma() {
	if n := len(w.buf); n > 0 {
		switch w.buf[n-1] {
		case '{', '[', ':', ',':
		default:
			w.buf = append(w.buf, ',')
		}
	}
}

func (w *normalWriter) key(k string) {
	w.comma()
	w.buf = append(append(append(w.buf, '"'), k...), '"', ':')
}

func (w *normalWriter) string(key, s string) {
	if s != "" {
		w.key(key)
		w.buf = appendString(w.buf, s)
	}
}

// text writes content, which may be cut.
func (w *normalWriter) text(key, s string) {
	if w.cap > 0 {
		if limit := w.cap * max(1, w.weight[s]); cuttable(s, limit) {
			s, _ = cutMiddle(s, limit)
		}
	}
	w.string(key, s)
}

func (w *normalWriter) int(key string, n int) {
	if n != 0 {
		w.key(key)
		w.buf = strconv.AppendInt(w.buf, int64(n), 10)
	}
}

func (w *normalWriter) bool(key string, v bool) {
	if v {
		w.key(key)
		w.buf = append(w.buf, "true"...)
	}
}

func (w *normalWriter) time(key string, at time.Time) {
	if at.IsZero() {
		return
	}
	b, err := at.MarshalJSON()
	if err != nil && w.err == nil { // a year that RFC 3339 has no form for
		w.err = fmt.Errorf("write trace: %s: %w", key, err)
	}
	w.key(key)
	w.buf = append(w.buf, b...)
}

func (w *normalWriter) ints(key string, ns []int) {
	w.list(key, len(ns), func(i int) { w.buf = strconv.AppendInt(w.buf, int64(ns[i]), 10) })
}

// list writes n values as an array, unless there are none.
func (w *normalWriter) list(key string, n int, write func(i int)) {
	if n == 0 {
		return
	}
	w.key(key)
	w.buf = append(w.buf, '[')
	for i := range n {
		w.comma()
		write(i)
	}
	w.buf = append(w.buf, ']')
}
