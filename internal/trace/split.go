package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/evalforge/evalforge"
)

// MaxDocument bounds one JSON value of an input file: 256 MiB.
const MaxDocument = 256 << 20

// SplitOptions say how [Split] reads a file.
type SplitOptions struct {
	// Format is the format that the traces must have, one of [Formats], or "" for any.
	// [FormatOTLP] and [FormatSpans] admit all their dialects. Raw-trace documents are
	// held to it by their payload.
	Format string
	// MaxDocument bounds one JSON value, in bytes; 0 means [MaxDocument].
	MaxDocument int
	// Offset and Line are where to start: [Document.Next] and [Document.NextLine] of an
	// earlier pass over the same file. 0 is its start.
	Offset int64
	Line   int
	// Skip is how many of the traces that the file holds in pieces are left out: the last
	// [Document.Gathered] of an earlier pass that started at the same offset.
	Skip int
	// MaxHeld is how much of traces in pieces is held in memory, in bytes; 0 means 32 MiB.
	MaxHeld int
	// TempDir is where pieces are kept that are too much for memory, unredacted and in a file
	// without a name; "" is the system's folder for temporary files.
	TempDir string
	// Gathered, if not nil, is told the size of each piece of a trace that waits for the end
	// of the file, in bytes.
	Gathered func(n int)
}

// A Document is one trace of an input file.
type Document struct {
	TraceID string // as the source names it, or ""
	Service string
	Format  string
	// Payload is a JSON object that [Decode] understands and that is valid UTF-8. A list
	// of messages comes as {"messages": […]}, one of spans as {"spans": […]}, a bare
	// string as {"text": …}. Only a raw-trace document may have any other value, or none.
	Payload json.RawMessage
	// Raw is set when the source was a raw-trace document. Its Payload is Payload.
	Raw   *evalforge.RawTrace
	Start time.Time // zero when unknown
	Line  int       // in the (decompressed) file, from 1; 0 in a file of protobuf
	// Next and NextLine are where in the decompressed file, in bytes, the rest can be read
	// on without what came before; 0 where it cannot.
	Next     int64
	NextLine int
	// Gathered is how many of the traces that the file holds in pieces have been put together,
	// this one included if it is one. They come in the same order in each pass.
	Gathered int
	Warnings []string // they hold nothing of the trace's content
}

// A SplitError is a part of an input file that holds no trace. It holds nothing of the
// file's content.
type SplitError struct {
	File   string
	Line   int // from 1; 0 when the whole file is meant
	Reason string
}

func (e *SplitError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Reason
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

// Split reads the traces in r, named name in errors: JSON Lines, one JSON value, several
// one after the other, an array of traces, or an OTLP export, whose spans and log records
// are gathered by trace id over the whole file. Lines that are single messages or
// single spans are gathered likewise. Gzip and zstd are recognised and undone, and OTLP in
// protobuf is read as well as in JSON: one message, or those of the Collector's file exporter,
// of which each may be compressed. So are batches of SDKs and pages of exports.
//
// Errors are [*SplitError]; after one the sequence goes on with what follows in the
// file, unless reading itself failed. Memory is bounded by [SplitOptions.MaxDocument]:
// what is gathered goes to disk when it is more than 32 MiB, and comes back trace by trace
// at the end of the file. A trace with more than [MaxDocument] in pieces comes in several
// documents, for [Merge].
func Split(name string, r io.Reader, opt SplitOptions) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		s := splitter{name: name, opt: opt, yield: yield}
		if s.opt.MaxDocument <= 0 {
			s.opt.MaxDocument = MaxDocument
		}
		if s.opt.MaxHeld <= 0 {
			s.opt.MaxHeld = maxHeld
		}
		s.run(r)
	}
}

// A splitter is one pass over one file.
type splitter struct {
	name  string
	opt   SplitOptions
	yield func(Document, error) bool
	done  bool // the consumer wants no more
	found int  // documents and errors so far
	// next and nextLine are the end of the value at hand; nested counts the lists that it
	// is being taken out of.
	next     int64
	nextLine int
	nested   int
	emitted  int // traces put together from pieces, those that are skipped included
	gathered
	bad badLines
}

// maxBad is how many lines in a row are reported one by one; further ones are counted.
const maxBad = 20

// badLines are lines in a row that could not be read.
type badLines struct{ n, first, last int }

func (s *splitter) run(r io.Reader) {
	src, err := newSource(r, s.opt.MaxDocument)
	if err != nil {
		s.fail(0, "cannot be read: "+err.Error())
		return
	}
	if s.opt.Offset > 0 {
		if err := src.discard(s.opt.Offset, s.opt.Line); err != nil {
			if err != io.EOF {
				s.fail(s.opt.Line, "cannot be read: "+err.Error())
			}
			return
		}
	} else if isProto(src.head()) {
		s.proto(src)
		return
	}
	for !s.done {
		if err := src.skipSpace(); err != nil {
			if err != io.EOF {
				s.fail(src.line, "cannot be read: "+err.Error())
			}
			break
		}
		line := src.line
		raw, err := src.value()
		if err != nil {
			if !s.recover(src, line, err) {
				break
			}
			continue
		}
		s.endBadLines()
		s.next, s.nextLine = src.position(), src.line
		s.document(raw, line)
	}
	s.next = 0
	s.endBadLines()
	s.flush()
	if s.found == 0 && s.emitted == 0 && !s.done {
		s.fail(0, "is empty; want a trace as JSON or JSON Lines")
	}
}

// recover reports err, met in the value that starts at line, and moves src on to where
// the next value may start. It reports false when reading cannot go on.
func (s *splitter) recover(src *source, line int, err error) bool {
	if src.err != nil && src.err != io.EOF && !errors.Is(err, errTooLong) {
		s.fail(line, "cannot be read to its end: "+src.err.Error())
		return false
	}
	var reason string
	var syntax *json.SyntaxError
	sameLine := true
	switch {
	case errors.Is(err, errTooLong):
		reason = fmt.Sprintf("is over %d MiB long; split it, or leave out what the agent did not see", s.opt.MaxDocument>>20)
		if s.opt.MaxDocument < 1<<20 {
			reason = fmt.Sprintf("is over %d bytes long; split it, or leave out what the agent did not see", s.opt.MaxDocument)
		}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		reason = "is cut off: the JSON value that starts here has no end"
		sameLine = src.onOneLine(len(src.ahead()))
	case errors.As(err, &syntax):
		sameLine = src.onOneLine(int(syntax.Offset) - 1)
		reason = fmt.Sprintf("is not valid JSON, at byte %d: %s", syntax.Offset, syntaxProblem(syntax))
		if !sameLine {
			reason = fmt.Sprintf("is not valid JSON: the value that starts here breaks in line %d: %s", src.lineAt(int(syntax.Offset)-1), syntaxProblem(syntax))
		}
	default:
		reason = "is not valid JSON: " + err.Error()
	}
	if !s.badLine(line, reason) {
		return false
	}
	src.skipLine()
	for !sameLine { // the inner lines of a value that spans several are no values
		c, err := src.peek()
		if err != nil || c == '{' || c == '[' {
			break
		}
		src.skipLine()
	}
	return true
}

// syntaxProblem says what is wrong, without quoting the file.
func syntaxProblem(e *json.SyntaxError) string {
	msg := e.Error()
	if _, where, ok := strings.Cut(msg, "' "); ok && strings.HasPrefix(msg, "invalid character ") {
		return "unexpected character " + where
	}
	return msg
}

// badLine reports a line that is no JSON, until there are too many in a row.
func (s *splitter) badLine(line int, reason string) bool {
	s.bad.n++
	if s.bad.n == maxBad+1 {
		s.bad.first = line
	}
	s.bad.last = line
	if s.bad.n > maxBad {
		return !s.done
	}
	s.fail(line, reason)
	return !s.done
}

func (s *splitter) endBadLines() {
	if n := s.bad.n - maxBad; n > 0 {
		s.fail(s.bad.first, fmt.Sprintf("%d more lines, up to line %d, are not valid JSON either", n, s.bad.last))
	}
	s.bad = badLines{}
}

func (s *splitter) fail(line int, reason string) {
	if s.done {
		return
	}
	s.found++
	s.done = !s.yield(Document{}, &SplitError{File: s.name, Line: line, Reason: reason})
}

func (s *splitter) emit(d Document) {
	if s.done {
		return
	}
	if want := s.opt.Format; want != "" && !admits(want, d.Format) {
		s.fail(d.Line, fmt.Sprintf("is of the format %s, not %s; import it without -format, or with the right one", d.Format, want))
		return
	}
	s.found++
	d.Gathered = s.emitted
	if !s.isGathering() && s.emitted == 0 && s.nested == 0 {
		d.Next, d.NextLine = s.next, s.nextLine
	}
	s.done = !s.yield(d, nil)
}

// admits reports whether a document of the format got is one of the format want.
func admits(want, got string) bool {
	if want == got {
		return true
	}
	for _, d := range decoders() {
		if d.format == got {
			return d.family == want
		}
	}
	for _, d := range dialects() {
		if d.format == got {
			return want == FormatOTLP
		}
	}
	return false
}

// document takes in one top-level value of the file.
func (s *splitter) document(raw []byte, line int) {
	var warnings []string
	if !utf8.Valid(raw) {
		n := invalidBytes(string(raw))
		raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
		warnings = append(warnings, fmt.Sprintf("%d bytes that are not UTF-8 were replaced by U+FFFD", n))
	}
	v, err := parseJSON(raw)
	if err != nil { // unreachable: the value was scanned already
		s.fail(line, err.Error())
		return
	}
	s.value(v, raw, line, warnings, 0)
}

// invalidBytes counts the bytes of s that are no UTF-8.
func invalidBytes(s string) int {
	n := 0
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			n++
		}
		s = s[size:]
	}
	return n
}

// maxNested bounds how deep lists of traces are taken apart.
const maxNested = 4

// value takes in v, whose text is raw.
func (s *splitter) value(v any, raw []byte, line int, warnings []string, depth int) {
	if _, ok := v.(map[string]any); !ok && depth == 0 && s.stray(line) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		s.object(v, raw, line, warnings, depth)
	case []any:
		s.array(v, raw, line, warnings, depth)
	case string:
		if inner := embedded(v); depth < maxNested {
			switch inner.(type) {
			case map[string]any, []any:
				s.value(inner, []byte(canonical(inner)), line, warnings, depth+1)
				return
			}
		}
		s.plain(append(append([]byte(`{"text":`), raw...), '}'), line, warnings)
	case nil:
		s.fail(line, "is null; a trace is a JSON object or an array")
	case bool:
		s.fail(line, "is a boolean; a trace is a JSON object or an array")
	default:
		s.fail(line, "is a number; a trace is a JSON object or an array")
	}
}

// plain emits payload, one trace in any format.
func (s *splitter) plain(payload []byte, line int, warnings []string) {
	v, err := parseJSON(payload)
	if err != nil { // unreachable: payload was put together from valid parts
		s.fail(line, err.Error())
		return
	}
	s.trace(v, payload, line, warnings)
}

// trace emits v, whose text is payload, as one trace.
func (s *splitter) trace(v any, payload []byte, line int, warnings []string) {
	s.decoded(decodeValue(v, payload), payload, line, warnings)
}

// decoded emits t, whose text is payload.
func (s *splitter) decoded(t *Trace, payload []byte, line int, warnings []string) {
	s.emit(Document{
		TraceID: t.ID, Service: t.Service, Format: t.Format, Payload: payload,
		Start: t.Start, Line: line, Warnings: append(warnings, t.Warnings...),
	})
}

func (s *splitter) object(m map[string]any, raw []byte, line int, warnings []string, depth int) {
	if len(m) == 0 {
		s.fail(line, "is an empty object; there is nothing to analyze")
		return
	}
	if _, ok := m["trace_payload"]; ok {
		s.rawTrace(m, raw, line, warnings)
		return
	}
	if inner := m["trace"]; m["expected"] != nil && object(inner) != nil && depth < maxNested { // an evaluation case
		s.value(object(inner), []byte(canonical(object(inner))), line, warnings, depth+1)
		return
	}
	if isOTLP(m) {
		s.gatherOTLP(m, line, warnings)
		return
	}
	if l := tracesUnder(m); len(l) > 0 && (object(l[0]) != nil || list(l[0]) != nil) && depth < maxNested {
		s.elements(l, nil, line, warnings, depth)
		return
	}
	if s.takeApart(m, line, warnings) {
		return
	}
	if s.gather(m, raw, line, warnings) {
		return
	}
	if s.splitSpans(m, line, warnings) {
		return
	}
	if id := scalar(m["trace_id"]); id != "" && (m["failure_type"] != nil || m["fetched_at"] != nil) && decodeValue(m, raw).Format == FormatOpaque {
		s.rawTrace(m, raw, line, warnings)
		return
	}
	if depth == 0 && s.log != "" && decodeValue(m, raw).Format == FormatOpaque && s.stray(line) {
		return
	}
	t, within := decodeWithin(m, raw)
	if within != "" && depth < maxNested && isMapOfTraces(m) {
		var l []any
		for _, k := range sortedKeys(m) {
			l = append(l, m[k])
		}
		s.elements(l, nil, line, warnings, depth)
		return
	}
	if inner := embedded(m[within]); within != "" && depth < maxNested { // which may hold several
		s.value(inner, []byte(canonical(inner)), line, warnings, depth+1)
		return
	}
	s.decoded(t, raw, line, warnings)
}

// isMapOfTraces reports whether each field of m is a trace of its own: those of a database,
// by id.
func isMapOfTraces(m map[string]any) bool {
	for _, v := range m {
		if object(v) == nil || decodeValue(v, nil).Format == FormatOpaque {
			return false
		}
	}
	return len(m) > 1
}

// tracesUnder returns the list of traces that m is: under "traces", or, of an answer of an
// API, under "data" where its first item is a trace.
func tracesUnder(m map[string]any) []any {
	if l := list(m["traces"]); l != nil {
		return l
	}
	l := list(m["data"])
	if len(l) == 0 || isSpanList(m) {
		return nil
	}
	w := workspaces.Get().(*workspace)
	defer w.release()
	if item := object(l[0]); item == nil || w.understood(expand(item)) == nil {
		return nil
	}
	return l
}

func (s *splitter) array(l []any, raw []byte, line int, warnings []string, depth int) {
	switch {
	case len(l) == 0:
		s.fail(line, "is an empty array; there is nothing to analyze")
	case wrapList(l) != "":
		s.plain(append(append([]byte(`{"`+wrapList(l)+`":`), raw...), '}'), line, warnings)
	case looksLikeChat(l):
		s.plain(append(append([]byte(`{"messages":`), raw...), '}'), line, warnings)
	case isOTLP(l):
		for _, e := range l {
			if m := object(e); m != nil && isOTLP(m) {
				s.gatherOTLP(m, line, warnings)
			}
		}
	case isSpanList(l):
		wrapped := map[string]any{"spans": l}
		if !s.splitSpans(wrapped, line, warnings) {
			s.trace(wrapped, append(append([]byte(`{"spans":`), raw...), '}'), line, warnings)
		}
	case depth >= maxNested:
		s.fail(line, "nests arrays too deep; a trace is a JSON object")
	default:
		s.elements(l, raw, line, warnings, depth)
	}
}

// wrapList returns the field in which a document has l, if that is a trace, or "".
func wrapList(l []any) string {
	for _, d := range decoders() {
		if d.wrap != nil {
			if field := d.wrap(l); field != "" {
				return field
			}
		}
	}
	return ""
}

// elements takes in each element of an array as a trace of its own. raw is the array's
// text, which gives the elements their lines, or nil.
func (s *splitter) elements(l []any, raw []byte, line int, warnings []string, depth int) {
	s.nested++
	defer func() { s.nested-- }()
	var texts []json.RawMessage
	if raw != nil {
		_ = json.Unmarshal(raw, &texts) // raw is valid
	}
	at := bytes.IndexByte(raw, '[') + 1
	for i, e := range l {
		if s.done {
			return
		}
		if i >= len(texts) {
			s.value(e, []byte(canonical(e)), line, warnings, depth+1)
			continue
		}
		for at < len(raw) && strings.IndexByte(" \t\r\n,", raw[at]) >= 0 {
			at++
		}
		start := at
		at = min(at+len(texts[i]), len(raw))
		elementLine := line + bytes.Count(raw[:start], []byte("\n"))
		s.value(e, texts[i], elementLine, warnings, depth+1)
	}
}

// rawTrace emits a raw-trace document. Fields of the wrong type are left out with a
// warning: whether what remains is fit for analysis is for the analysis to say.
func (s *splitter) rawTrace(m map[string]any, raw []byte, line int, warnings []string) {
	var t evalforge.RawTrace
	err := json.Unmarshal(raw, &t)
	for n := 0; err != nil && n < 20; n++ {
		var wrong *json.UnmarshalTypeError
		field := ""
		if errors.As(err, &wrong) {
			field = topField(wrong.Field)
		} else {
			for _, k := range [...]string{"fetched_at", "processed_at", "status_history"} {
				if m[k] != nil {
					field = k
					break
				}
			}
		}
		if _, ok := m[field]; !ok || field == "" {
			break
		}
		warnings = append(warnings, fmt.Sprintf("%s has a value of the wrong type or form and was left out", field))
		delete(m, field)
		t = evalforge.RawTrace{}
		err = json.Unmarshal([]byte(canonical(m)), &t)
	}
	if err != nil {
		s.fail(line, "is no raw-trace document: its fields have values of the wrong type")
		return
	}
	if string(bytes.TrimSpace(t.Payload)) == "null" {
		t.Payload = nil
	}
	d := Document{
		TraceID: t.TraceID, Service: t.ServiceName, Format: FormatOpaque, Payload: t.Payload,
		Raw: &t, Start: t.FetchedAt.Time, Line: line, Warnings: warnings,
	}
	if p := m["trace_payload"]; p != nil {
		inner := decodeValue(p, nil)
		d.Format = inner.Format
		d.Warnings = append(d.Warnings, inner.Warnings...)
		if !inner.Start.IsZero() {
			d.Start = inner.Start
		}
		fill(&d.Service, inner.Service)
	}
	s.emit(d)
}

// topField returns the first element of a dotted path.
func topField(path string) string {
	for i := range len(path) {
		if path[i] == '.' {
			return path[:i]
		}
	}
	return path
}
