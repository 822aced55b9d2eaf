package trace

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	// httpStatus matches an HTTP error status where messages name it.
	httpStatus = regexp.MustCompile(`^\s*(?:\w*(?:Error|Exception): )?([45]\d\d)\b|(?i)\b(?:status(?:[ _-]?code)?|error code|http(?:/\d(?:\.\d)?)?|http error|response code)["']?[ :=]+([45]\d\d)\b`)
	// errorCode matches a provider's error code where a message quotes its JSON.
	errorCode = regexp.MustCompile(`["']code["']: ?["']([\w.-]{3,60})["']`)
)

// failureFrom reads an error in any spelling: text, or an object with type, code and
// message. It returns nil when v says nothing.
func failureFrom(v any) *Failure {
	if v == nil {
		return nil
	}
	var f Failure
	switch v := embedded(v).(type) {
	case string:
		f.Message = v
	case map[string]any:
		http := -1
		for range maxEmbedded { // a client's error around the provider's answer around its error
			inner := object(v["error"])
			if inner == nil {
				break
			}
			http = max(http, count(v, "status", "status_code", "statusCode", "http_status"))
			v = inner
		}
		f = Failure{
			Type:    firstText(v, "type", "error_type", "name", "class", "exception.type", "error.type"),
			Code:    firstText(v, "code", "error_code"),
			Message: firstText(v, "message", "error_message", "detail", "description", "reason", "msg", "exception.message", "value"),
			Stack:   firstText(v, "stack", "stacktrace", "traceback", "exception.stacktrace"),
		}
		if f.Message == "" && len(v) > 0 {
			f.Message = text(v["message"])
			if f.Message == "" && f.Type == "" && f.Code == "" {
				f.Message = canonical(v)
			}
		}
		if s := max(http, count(v, "status", "status_code", "statusCode", "http_status")); s >= 400 && s < 600 {
			f.HTTP = s
		}
	case []any:
		if len(v) > 0 {
			f.Message = canonical(v)
		}
	}
	if f == (Failure{}) {
		return nil
	}
	f.infer()
	return &f
}

// infer completes a failure from what its own text says.
func (f *Failure) infer() {
	if f.HTTP == 0 {
		if n, err := strconv.Atoi(f.Code); err == nil && n >= 400 && n < 600 {
			f.HTTP = n
		}
	}
	head := f.Message
	if len(head) > 2000 {
		head = head[:2000]
	}
	if f.HTTP == 0 {
		if m := httpStatus.FindStringSubmatch(head); m != nil {
			f.HTTP, _ = strconv.Atoi(m[1] + m[2])
		}
	}
	if f.Code == "" {
		if m := errorCode.FindStringSubmatch(head); m != nil {
			f.Code = m[1]
		}
	}
}

// failureOf returns the error that a span recorded, or nil. A span that says it is fine
// has none, whatever exceptions it saw on the way.
func failureOf(sp *span) *Failure {
	if sp.status == OK {
		return nil
	}
	var f Failure
	if sp.failure != nil {
		f = *sp.failure
	} else if g := failureFrom(sp.err); g != nil {
		f = *g
	}
	for _, e := range sp.events {
		t, m := firstText(e.attrs, "exception.type"), firstText(e.attrs, "exception.message")
		if t == "" && m == "" && e.name != "exception" {
			continue
		}
		set(&f.Type, t)
		set(&f.Message, m)
		set(&f.Stack, firstText(e.attrs, "exception.stacktrace"))
	}
	fill(&f.Type, sp.getText("error.type", "exception.type", "error_type"))
	fill(&f.Message, sp.getText("error.message", "exception.message", "error.msg", "error_message"))
	fill(&f.Stack, sp.getText("error.stack", "exception.stacktrace", "error.stacktrace"))
	fill(&f.Code, sp.getText("error.code", "gen_ai.error.code"))
	if sp.status == Error {
		fill(&f.Message, sp.statusText)
		if s := sp.getText("error"); s != "true" && s != "1" {
			fill(&f.Message, s)
		}
	}
	fill(&f.Message, loggedError(sp))
	if sp.status == Error || f != (Failure{}) {
		if s := sp.lookup().count("http.response.status_code", "http.status_code", "http_status", "status_code", "error.status_code"); s >= 400 && s < 600 {
			f.HTTP = s
		}
	}
	if f == (Failure{}) {
		return nil
	}
	f.infer()
	return &f
}

// set replaces *dst by s unless that is "".
func set(dst *string, s string) {
	if s != "" {
		*dst = s
	}
}

// fill sets *dst to s when it is "".
func fill(dst *string, s string) {
	if *dst == "" {
		*dst = s
	}
}

// maxEcho bounds how many ancestors are asked whether they repeat an error.
const maxEcho = 64

// settleErrors leaves each error on the deepest step that has it: emitters record one
// error again on every span that it passes through. What only the ancestor says moves
// down; its status stays. parents are positions in steps, which are in pre-order.
func settleErrors(steps []Step, parents []int) {
	look := newEchoes(steps)
	var told []bool // a step below has an error
	for i := len(steps) - 1; i >= 0; i-- {
		f := steps[i].Err
		below := told != nil && told[i]
		if f == nil && steps[i].Status == Error && !below {
			f = &Failure{}
		}
		if p := parents[i]; p >= 0 && (f != nil || below) {
			if told == nil {
				told = make([]bool, i)
			}
			told[p] = true
		}
		if f == nil {
			continue
		}
		for p, n := parents[i], 0; p >= 0 && n < maxEcho; p, n = parents[p], n+1 {
			up := steps[p].Err
			if up == nil {
				continue
			}
			if !look.echo(up, f) {
				break
			}
			set := func(dst *string, s string) { fill(dst, s) }
			if len(up.Message) > len(f.Message) && f.Stack == "" {
				f.Message = up.Message
			}
			set(&f.Type, up.Type)
			set(&f.Code, up.Code)
			set(&f.Message, up.Message)
			set(&f.Stack, up.Stack)
			if f.HTTP == 0 {
				f.HTTP = up.HTTP
			}
			steps[p].Err = nil
		}
		if *f != (Failure{}) {
			steps[i].Err = f
		}
	}
}

// Bounds of looking for one error's text in another's, in bytes: what is searched all
// together, beside so many times the texts themselves, and what of a text is searched when
// that is used up. Only a long text above thousands of others comes near, which would be
// searched for each of them.
const (
	maxSearched   = 16 << 20
	timesSearched = 16
	searchedHead  = 4 << 10
)

// echoes tells which errors say the same.
type echoes struct{ left int }

func newEchoes(steps []Step) *echoes {
	e := &echoes{left: maxSearched}
	for i := range steps {
		if f := steps[i].Err; f != nil {
			e.left += timesSearched * len(f.Message)
		}
	}
	return e
}

// echo reports whether up, an ancestor's error, is f again.
func (e *echoes) echo(up, f *Failure) bool {
	a, b := up.Message, f.Message
	if b == "" && a != "" && isClass(f.Type) && isClass(up.Type) && className(up.Type) != className(f.Type) {
		return false // another exception, of which that one says nothing
	}
	if e.left -= len(a) + len(b); e.left < 0 {
		a, b = headOf(a, searchedHead), headOf(b, searchedHead)
	}
	return a == "" || strings.Contains(a, b) || strings.Contains(b, a)
}

// isClass reports whether an error's type is the name of an exception's class, not a
// provider's word for it.
func isClass(name string) bool {
	return strings.HasSuffix(name, "Error") || strings.HasSuffix(name, "Exception")
}

// className returns the name of a class without the package that it may stand in.
func className(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

var (
	// typedError matches an error as Go, JavaScript and Python print it: a type, then
	// what it says.
	typedError = regexp.MustCompile(`^((?:\w+\.)*\w*(?:Error|Exception|Timeout|Interrupt|Exit))(?:: |\()`)
	// stackStart matches where a stack trace begins that was appended to an error's text.
	stackStart = regexp.MustCompile(`\n    at |Traceback \(most recent call last\):|\ngoroutine \d+ \[`)
)

// failureFromText reads an error that was written as one text: its type before the
// message, and the stack behind it.
func failureFromText(s string) Failure {
	var f Failure
	if i := stackStart.FindStringIndex(s); i != nil {
		s, f.Stack = s[:i[0]], strings.TrimLeft(s[i[0]:], "\n")
	}
	s = strings.TrimSpace(s)
	if m := typedError.FindStringSubmatch(s); m != nil {
		f.Type = m[1]
		rest := s[len(m[0]):]
		if strings.HasSuffix(m[0], "(") { // Python's repr
			rest = strings.TrimSuffix(rest, ")")
			if n := len(rest); n > 1 && (rest[0] == '"' || rest[0] == '\'') && rest[n-1] == rest[0] {
				rest = rest[1 : n-1]
			}
		}
		s = rest
	}
	f.Message = s
	if f.Message == "" && f.Stack != "" { // Python prints the error in the last line
		lines := strings.Split(strings.TrimSpace(f.Stack), "\n")
		g := failureFromText(lines[len(lines)-1])
		f.Message = g.Message
		fill(&f.Type, g.Type)
	}
	f.infer()
	return f
}
