package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/server/problem"
)

// readJSON reads a request's body into v, a pointer to a struct. An empty body is an empty
// object. Fields that v does not have are refused: one that was misspelled, such as dryrn,
// would otherwise change what is paid for.
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
	return nil
}

// wantJSON refuses a body that says it is no JSON. One that says nothing is taken for JSON, and so is
// application/octet-stream, which Cloud Scheduler sends unless it is told otherwise.
func wantJSON(r *http.Request) error {
	ct := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(ct)
	switch {
	case ct == "", media == "application/json", media == "application/octet-stream":
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
