package eval

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/trace"
)

// A CaseError is a line that is no usable case. Its text never holds content of the
// trace.
type CaseError struct {
	File  string
	Line  int    // from 1; 0 when the file as a whole is at fault
	ID    string // of the case, or "" when the line did not give one
	Field string // dotted path, or "" when the line as a whole is at fault
	Err   error  // what is wrong and how to put it right
}

func (e *CaseError) Error() string {
	where := e.source()
	if e.Field != "" {
		where += ": " + e.Field
	}
	return where + ": " + e.Err.Error()
}

func (e *CaseError) Unwrap() error { return e.Err }

func (e *CaseError) source() string {
	if e.Line == 0 {
		return e.File
	}
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}

// ReadCases streams the cases of a JSON Lines file, gunzipping it if need be. Name is
// the file's name for errors; fsys is the folder that the trace_file paths of the cases
// start from, or nil when there is none. Unknown fields are ignored and blank lines
// skipped.
//
// A line that is no case is yielded as a [*CaseError], and reading goes on with the
// next line. An error of r itself ends the sequence. Lines are at most 64 MiB long; no
// more than one is held at a time.
func ReadCases(name string, r io.Reader, fsys fs.FS) iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		lines, err := newLineReader(r, maxLine)
		if err != nil {
			yield(Case{}, &CaseError{File: name, Err: fmt.Errorf("read gzip: %w; check that the file is complete", err)})
			return
		}
		rd := caseReader{name: name, fsys: fsys}
		for seen := false; ; {
			line, err := lines.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.Is(err, errLineTooLong):
				err := fmt.Errorf("is over %d MiB long; put the trace in a file of its own and name it in trace_file", maxLine>>20)
				if !yield(Case{}, &CaseError{File: name, Line: lines.n, Err: err}) {
					return
				}
				continue
			case err != nil:
				yield(Case{}, &CaseError{File: name, Line: lines.n, Err: fmt.Errorf("read: %w; the lines from here on are missing", err)})
				return
			case len(line) == 0:
				continue
			}
			if !seen {
				seen = true
				if err := wholeFile(line); err != nil {
					yield(Case{}, &CaseError{File: name, Line: lines.n, Err: err})
					return
				}
			}
			if !yield(rd.read(line, lines.n)) {
				return
			}
		}
	}
}

// wholeFile recognises, by its first line, a file in another layout than JSON Lines, in
// which every single line would be an error.
func wholeFile(first []byte) error {
	switch {
	case first[0] == '[':
		return errors.New("the file is one JSON array, but one case per line is needed; convert it with: jq -c '.[]' FILE")
	case string(first) == "{":
		return errors.New("the cases are spread over several lines, but one case per line is needed; convert them with: jq -c . FILE")
	}
	return nil
}

// caseReader decodes the lines of one file.
type caseReader struct {
	name string
	fsys fs.FS
}

func (rd *caseReader) read(line []byte, n int) (Case, error) {
	fail := func(id, field string, err error) (Case, error) {
		if fe := (*evalforge.FieldError)(nil); errors.As(err, &fe) {
			if field != "" {
				field += "."
			}
			field, err = field+fe.Field, errors.New(fe.Problem)
		}
		return Case{}, &CaseError{File: rd.name, Line: n, ID: id, Field: field, Err: err}
	}
	var in caseLine
	if err := decode(line, &in); err != nil {
		return fail("", "", err)
	}
	if in.ID == "" {
		return fail("", "id", errors.New("is missing; give each case an id of its own"))
	}
	c := Case{ID: in.ID, Source: fmt.Sprintf("%s:%d", rd.name, n)}
	if len(in.Expected) == 0 || string(in.Expected) == "null" {
		return fail(in.ID, "expected", errors.New(`is missing; say what is known, at least {"is_failure": true}`))
	}
	if err := decode(in.Expected, &c.Expected); err != nil {
		return fail(in.ID, "expected", err)
	}
	if err := c.Expected.validate(); err != nil {
		return fail(in.ID, "", err)
	}
	field := "trace"
	var err error
	switch hasTrace := len(in.Trace) > 0 && string(in.Trace) != "null"; {
	case hasTrace && in.TraceFile != "":
		err = errors.New("is given beside trace_file; keep one of them")
	case hasTrace:
		c.Trace, err = oneTrace(in.Trace)
	case in.TraceFile != "":
		field = "trace_file"
		c.Trace, err = rd.fileTrace(in.TraceFile)
	default:
		err = errors.New("is missing; give the trace itself, or a file in trace_file")
	}
	if err != nil {
		return fail(in.ID, field, err)
	}
	if c.Trace.TraceID == "" {
		c.Trace.TraceID = traceID(c.ID)
	}
	return c, nil
}

// traceID makes a trace id of a case's id, which need not be fit to be a document id.
func traceID(id string) string {
	if evalforge.ValidateTraceID(id) == nil {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "case_" + hex.EncodeToString(sum[:8])
}

// fileTrace returns the trace in the file at path.
func (rd *caseReader) fileTrace(path string) (evalforge.RawTrace, error) {
	if rd.fsys == nil {
		return evalforge.RawTrace{}, errors.New("cannot be used here, because the cases do not come from a file; give the trace itself")
	}
	if !fs.ValidPath(path) {
		return evalforge.RawTrace{}, errors.New(`must be a path relative to the folder of the cases file, with "/" and without "..": the file may not lie outside it`)
	}
	f, err := rd.fsys.Open(path)
	if err != nil {
		return evalforge.RawTrace{}, fmt.Errorf("%w; the path is relative to the folder of the cases file", err)
	}
	defer f.Close() // opened for reading: nothing can be lost
	doc, err := readAll(f)
	if err != nil {
		return evalforge.RawTrace{}, fmt.Errorf("read %s: %w", path, err)
	}
	return oneTrace(doc)
}

// readAll reads a trace file, gunzipping it if need be.
func readAll(r io.Reader) ([]byte, error) {
	br, err := gunzip(r)
	if err != nil {
		return nil, err
	}
	doc, err := io.ReadAll(io.LimitReader(br, maxLine+1))
	if err == nil && len(doc) > maxLine {
		err = fmt.Errorf("the trace is over %d MiB long", maxLine>>20)
	}
	return doc, err
}

// oneTrace returns the one trace that doc holds, in whatever format, as a raw-trace
// document. Whether it can be analyzed is the extractor's to say, and part of what is
// scored.
func oneTrace(doc []byte) (evalforge.RawTrace, error) {
	var raw evalforge.RawTrace
	n := 0
	for doc, err := range trace.Split("", bytes.NewReader(doc), trace.SplitOptions{}) {
		if err != nil {
			return raw, unreadable(err)
		}
		n++
		next := wrap(doc)
		switch {
		case n == 1:
			raw = next
		case next.TraceID != raw.TraceID:
			return raw, errors.New("holds several traces; a case needs exactly one: make a case of each")
		default:
			if raw.Payload, err = trace.Merge(raw.Payload, next.Payload); err != nil {
				return raw, fmt.Errorf("holds several documents that are not parts of one trace: %w", err)
			}
		}
	}
	return raw, nil
}

// unreadable rewords an error of [trace.Split]: the caller names the file.
func unreadable(err error) error {
	var se *trace.SplitError
	switch {
	case !errors.As(err, &se):
		return fmt.Errorf("cannot be read as a trace: %w", err)
	case se.Line > 1:
		return fmt.Errorf("cannot be read as a trace: line %d %s", se.Line, se.Reason)
	}
	return fmt.Errorf("cannot be read as a trace: it %s", se.Reason)
}

func wrap(doc trace.Document) evalforge.RawTrace {
	if doc.Raw != nil {
		return *doc.Raw
	}
	return evalforge.RawTrace{
		TraceID: doc.TraceID, FetchedAt: evalforge.At(doc.Start), FailureType: "unknown",
		ServiceName: doc.Service, Payload: doc.Payload, RecurrenceCount: 1,
	}
}

// decode decodes JSON, with errors that name the place and not the content.
func decode(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("is not valid JSON at byte %d: %w; each line must be one whole JSON object", syntax.Offset, err)
	case errors.As(err, &typ) && typ.Field == "":
		return fmt.Errorf("must be a JSON object, got %s", typ.Value)
	case errors.As(err, &typ):
		return &evalforge.FieldError{Field: typ.Field, Problem: fmt.Sprintf("must be %s, got %s", jsonType(typ.Type.Kind().String()), typ.Value)}
	}
	return err
}

// jsonType names a Go kind in JSON's words.
func jsonType(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "string":
		return "a string"
	case "slice":
		return "a list"
	case "int", "int64":
		return "a whole number"
	case "float64":
		return "a number"
	}
	return "an object"
}
