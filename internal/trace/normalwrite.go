package trace

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// A normalWriter writes the normal form: fields in the order of their names, and none
// that says nothing. Texts are cut to cap bytes times their weight, and names, ids and the
// like to names bytes, unless those are 0.
type normalWriter struct {
	buf        []byte
	cap, names int
	weight     map[string]int
	cut        int            // bytes that were cut off
	texts      map[string]int // if not nil, gets the length of each text
}

// write replaces what was written by the normal form of t.
func (w *normalWriter) write(t *Trace) {
	w.buf, w.cut = w.buf[:0], 0
	w.open()
	if t.Cut != (Cut{}) {
		w.key("cut")
		w.open()
		w.int("bytes", t.Cut.Bytes)
		w.int("entries", t.Cut.Entries)
		w.int("steps", t.Cut.Steps)
		w.close()
	}
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
	warnings := t.ownWarnings()
	w.list("warnings", len(warnings), func(i int) { w.buf = appendString(w.buf, w.name(warnings[i])) })
	w.close()
}

func (w *normalWriter) label(l *Label) {
	w.open()
	w.text("explanation", l.Explanation)
	w.string("name", l.Name)
	if l.Score != nil {
		if b, err := json.Marshal(*l.Score); err == nil { // else it is no number in JSON
			w.key("score")
			w.buf = append(w.buf, b...)
		}
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
	w.ranges("declared", s.Declared)
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
	w.ranges("in", s.In)
	w.int("index", s.Index)
	w.text("input", s.Input)
	w.string("kind", string(s.Kind))
	w.string("model", s.Model)
	w.string("name", s.Name)
	w.ranges("out", s.Out)
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
		w.buf = append(appendString(w.buf, w.name(k)), ':')
		w.buf = appendString(w.buf, w.name(attrs[k]))
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

// string writes a name, an id or the like.
func (w *normalWriter) string(key, s string) {
	if s != "" {
		w.key(key)
		w.buf = appendString(w.buf, w.name(s))
	}
}

// name returns s with at most w.names bytes. What is cut off is replaced by a digest, so
// that what was different stays different, and what refers to an id still does.
func (w *normalWriter) name(s string) string {
	if w.names == 0 || len(s) <= w.names {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	const digest = 8
	head := headOf(s, max(0, w.names-2*digest-len("…")))
	w.cut += len(s) - len(head)
	return head + "…" + hex.EncodeToString(sum[:digest])
}

// text writes content, which may be cut.
func (w *normalWriter) text(key, s string) {
	if s == "" {
		return
	}
	if w.texts != nil {
		w.texts[s] = len(s)
	}
	if w.cap > 0 {
		if limit := w.cap * max(1, w.weight[s]); cuttable(s, limit) {
			var missing int
			s, missing = cutMiddle(s, limit)
			w.cut += missing
		}
	}
	w.key(key)
	w.buf = appendString(w.buf, s)
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
	if b, err := at.MarshalJSON(); err == nil { // else a year that RFC 3339 has no form for
		w.key(key)
		w.buf = append(w.buf, b...)
	}
}

// ranges writes positions as the first and the last of each run of them: the history
// that a model is given again and again is one run.
func (w *normalWriter) ranges(key string, ns []int) {
	if len(ns) == 0 {
		return
	}
	w.key(key)
	w.buf = append(w.buf, '[')
	for i := 0; i < len(ns); {
		last := i
		for last+1 < len(ns) && ns[last+1] == ns[last]+1 {
			last++
		}
		w.comma()
		w.buf = strconv.AppendInt(w.buf, int64(ns[i]), 10)
		w.buf = strconv.AppendInt(append(w.buf, ','), int64(ns[last]), 10)
		i = last + 1
	}
	w.buf = append(w.buf, ']')
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
