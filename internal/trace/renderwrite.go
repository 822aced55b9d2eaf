package trace

import "strconv"

// This file writes the JSON of a rendering, and cuts its texts.

func (r *renderer) open() {
	r.comma()
	r.buf = append(r.buf, '{')
}

func (r *renderer) close() { r.buf = append(r.buf, '}') }

// comma separates a value from the one before it.
func (r *renderer) comma() {
	switch r.buf[len(r.buf)-1] {
	case '{', '[', ':', ',':
	default:
		r.buf = append(r.buf, ',')
	}
}

// key writes the name of a field, which must need no escapes.
func (r *renderer) key(k string) {
	r.comma()
	r.buf = append(append(append(r.buf, '"'), k...), '"', ':')
}

func (r *renderer) str(s string) { r.buf = appendString(r.buf, s) }

func (r *renderer) int(key string, n int) {
	r.key(key)
	r.buf = strconv.AppendInt(r.buf, int64(n), 10)
}

func (r *renderer) yes(key string) {
	r.key(key)
	r.buf = append(r.buf, "true"...)
}

// fills reports whether n more bytes are too many, and then puts the rendering over its
// budget without writing them.
func (r *renderer) fills(n int) bool {
	r.full = r.full || len(r.buf)+n > r.budget
	return r.full
}

// name writes a short string under key unless it is "".
func (r *renderer) name(key, s string) {
	if s == "" || r.names == 0 && r.fills(len(s)) {
		return
	}
	r.key(key)
	r.str(r.short(s))
}

// short cuts a name, where names are cut.
func (r *renderer) short(s string) string {
	if r.names == 0 || !cuttable(s, r.names) {
		return s
	}
	short, n := cutMiddle(s, r.names)
	r.cut += n
	return short
}

// list writes n values as an array; of a long one the first and last.
func (r *renderer) list(n int, write func(i int)) {
	r.buf = append(r.buf, '[')
	for i := 0; i < n && !r.over(); i++ {
		if r.items > 0 && n > r.items && i == r.items/2 {
			skipped := n - r.items
			r.open()
			r.int("omitted", skipped)
			r.close()
			i += skipped
		}
		r.comma()
		write(i)
	}
	r.buf = append(r.buf, ']')
}

// A place is where in a rendering a text stands, for references to it. The zero place is
// none: a text there is always written.
type place struct {
	part part
	n    int // of the step or message
}

// A part is a text of a step or message.
type part uint8

const (
	nowhere part = iota
	stepInput
	stepOutput
	stepError
	stepStack
	stepArgs
	stepResult
	messageText
	messageRefusal
	messageArgs
)

func (p place) String() string {
	names := [...]struct{ before, after string }{
		stepInput: {"step ", " input"}, stepOutput: {"step ", " output"}, stepError: {"step ", " error"}, stepStack: {"step ", " stack"},
		stepArgs: {"step ", " args"}, stepResult: {"step ", " result"},
		messageText: {"m ", ""}, messageRefusal: {"m ", " refusal"}, messageArgs: {"m ", " args"},
	}
	return names[p.part].before + strconv.Itoa(p.n) + names[p.part].after
}

// content writes a text under key, cut to its cap. A long text that was written before
// is referred to by its place.
func (r *renderer) content(key, s string, at place) {
	if s == "" || r.over() {
		return
	}
	if at.part != nowhere && len(s) >= shareable && r.lengths[len(s)] > 1 {
		if before, ok := r.where[s]; ok {
			r.key(key + "_same_as")
			r.str(before.String())
			return
		}
		r.where[s] = at
	}
	weight := max(1, r.weight[s])
	if r.cap == 0 || !cuttable(s, r.cap*weight) {
		if !r.fills(len(s)) {
			r.key(key)
			r.str(s)
		}
		return
	}
	r.key(key)
	from, n := len(r.buf), 0
	r.buf, n = appendCut(r.buf, s, r.cap*weight)
	if r.cut += n; r.water != nil {
		r.water.add(s, weight, from, len(r.buf))
	}
}

// appendCut appends s as a JSON string, cut to limit bytes if that makes it shorter, and
// returns how many bytes are missing.
func appendCut(b []byte, s string, limit int) ([]byte, int) {
	if !cuttable(s, limit) {
		return appendString(b, s), 0
	}
	head, tail, n := ends(s, limit)
	return appendParts(b, head, n, tail), n
}

// appendParts appends what is left of a text without n bytes in its middle, as a JSON string.
func appendParts(b []byte, head string, n int, tail string) []byte {
	b = appendEscaped(append(b, '"'), head)
	b = appendMarker(b, n)
	return append(appendEscaped(b, tail), '"')
}
