package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/server/problem"
)

// readJSON reads a request's body into v, a pointer to a struct. An empty body is an empty
// object. Fields that v does not have, to the letter, are refused, and so are those that come twice: one that was
// misspelled, such as dryrn, would otherwise change what is paid for.
func readJSON(r *http.Request, v any) error {
	if err := wantJSON(r); err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return jsonError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return problem.New(problem.BadRequest, "after the JSON value comes something else")
	}
	return exactNames(body, v)
}

// exactNames refuses names of a valid JSON object that are not those of v's fields to the letter, and those that come
// twice: encoding/json takes Batchsize for batchSize, and the last of two.
func exactNames(body []byte, v any) error {
	fields := reflect.TypeOf(v).Elem()
	count := map[string]int{}
	for i := range fields.NumField() {
		count[fields.Field(i).Tag.Get("json")] = 0
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil // null
	}
	var wrong []problem.FieldError
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return nil // it was valid before
		}
		if _, ok := count[name]; !ok {
			wrong = append(wrong, problem.FieldError{Field: excerpt.Clip(name, 80), Problem: "is not known here: names are the same in capitals, too"})
			continue
		}
		if count[name]++; count[name] == 2 {
			wrong = append(wrong, problem.FieldError{Field: name, Problem: "is given more than once"})
		}
	}
	return invalid(wrong)
}

// A whole is a whole number, as JSON Schema has it: 1.0 is one.
type whole int

// UnmarshalJSON makes n the whole number that b is.
func (n *whole) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		kinds := map[byte]string{'"': "string", 't': "bool", 'f': "bool", '[': "list", '{': "object"}
		return &json.UnmarshalTypeError{Value: cmp.Or(kinds[b[0]], "broken number"), Type: reflect.TypeFor[int]()}
	}
	*n = whole(f)
	return nil
}

// wantJSON refuses a body that says it is no JSON. One that says nothing is taken for JSON, and so is
// application/octet-stream, which Cloud Scheduler sends unless it is told otherwise. No body is of no kind: many
// programs name one with every POST.
func wantJSON(r *http.Request) error {
	ct := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(ct)
	switch {
	case r.ContentLength == 0, ct == "", media == "application/json", media == "application/octet-stream":
		return nil
	case err == nil && strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
		return nil
	}
	return problem.New(problem.UnsupportedMedia, fmt.Sprintf("the Content-Type is %.80q", ct)).WithHint("send JSON, with Content-Type: application/json")
}

// bodyError says why a body could not be read.
func bodyError(err error) error {
	var large *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &large):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return problem.New(problem.RequestTimeout, "the body did not come in time")
	}
	return problem.New(problem.BadRequest, "the body could not be read to its end")
}

// jsonError says what is wrong with a body, without quoting it.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return problem.New(problem.BadRequest, fmt.Sprintf("the body is not valid JSON: %s, at byte %d", syntax, syntax.Offset))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return problem.New(problem.BadRequest, "the body is not valid JSON: it ends too early")
	case errors.As(err, &kind) && kind.Field == "":
		return problem.New(problem.Invalid, "the body must be a JSON object, not a "+kind.Value)
	case errors.As(err, &kind):
		return invalid([]problem.FieldError{{Field: kind.Field, Problem: fmt.Sprintf("must be %s, not a %s", kindName(kind.Type.Kind().String()), kind.Value)}})
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalid([]problem.FieldError{{Field: strings.Trim(excerpt.Clip(name, 80), `"`), Problem: "is not known here"}})
	}
	return problem.New(problem.BadRequest, "the body is not valid JSON")
}

// kindName names a Go type for people who do not know it.
func kindName(kind string) string {
	switch kind {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	case "slice":
		return "a list"
	default:
		return "a " + kind
	}
}

// invalid is the answer to values that are not allowed, or nil for none.
func invalid(wrong []problem.FieldError) error {
	if len(wrong) == 0 {
		return nil
	}
	p := problem.New(problem.Invalid, "")
	for i, w := range wrong {
		if i > 0 {
			p.Detail += "; "
		}
		p.Detail += w.Field + " " + w.Problem
	}
	p.Errors = wrong
	return p
}
