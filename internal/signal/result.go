package signal

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/evalforge/evalforge/internal/trace"
)

// A form is how a tool's result tells that the call failed. The clearer the form, the
// less else has to speak for it.
type form int

const (
	formNone   form = iota // does not read as an error
	formPhrase             // a short text with the wording of an error somewhere in it
	formError              // begins as errors do, or is an object with a member that says so
)

// maxReport bounds, in bytes, the results whose wording is read: systems report errors
// in a line or two, and a longer text that has the words is about them.
const maxReport = 300

var (
	// resultPrefix matches results that begin as errors do.
	resultPrefix = compile(`(?i)^\W{0,3}(?:\w*(?:error|exception)\b|traceback \(|fail(?:ed|ure)\b|(?:an? |the )?(?:\w+ ){0,2}(?:error|exception) (?:occurred|while|in)\b|no such tool|unknown tool|tool (?:not found|call failed)|HTTP [45]\d\d)`)
	// statusLine matches results that begin with an HTTP status and its reason phrase.
	statusLine = compile(`(?i)^\W{0,3}(?:HTTP(?:/[\d.]+)?[ :]+|(?:error|status|code|status code|error code)[ :=]+)?[45]\d\d[ :,-]{1,3}(?:bad request|unauthori[sz]ed|payment required|forbidden|not found|method not allowed|not acceptable|proxy auth|request time-?out|conflict|gone\b|length required|precondition|(?:payload|content|request entity|uri|header\w*) too|unsupported media|unprocessable|locked|failed dependency|too (?:early|many)|upgrade required|internal|server error|client error|not implemented|bad gateway|service|gateway time-?out|http version|insufficient storage|network auth)`)
	// bareStatus matches results that begin with a registered HTTP error status and a
	// colon. They are errors when what follows means something as one.
	bareStatus = compile(`^\W{0,3}(?:HTTP(?:/[\d.]+)? )?(?:40[0-9]|41[0-8]|42[1-9]|431|451|50[0-8]|51[01]) ?[:–-] ?`)
	// exceptionName matches results that begin with the class of an exception, with or
	// without its package, as Python, Java, .NET, JavaScript and AWS SDKs print it.
	exceptionName = compile(`^\W{0,3}(?:(?:Exception in thread "[^"\n]*"|Caused by:|Uncaught|Unhandled|thrown:) ?)?(?:[a-zA-Z_$][\w$]*(?:\.|::|/))*[A-Z][\w$]*(?:Error|Exception|Fault)\b(?:$|[:(\s])`)
	// errorStart matches everyday words that are errors only where a result begins with
	// them.
	errorStart = compile(`(?i)^\W{0,3}(?:rpc error: code|\d+ validation errors? for|(?:LOADING|BUSY|CLUSTERDOWN|MASTERDOWN|MISCONF|READONLY|NOAUTH|NOPERM|WRONGPASS|WRONGTYPE|TRYAGAIN) [A-Z][\w]+ |ORA-\d{5}|unauthori[sz]ed|unauthenticated|forbidden|(?:access|permission)(?: is| was)? denied|not authori[sz]ed|authentication (?:failed|required)|login required|panic: |fatal(?: error)?: |killed\b|aborted\b|overloaded\b|connect(?:ion)? (?:E[A-Z]{4,}|refused|reset|closed|error|timed out|failed)|time[d ]?-?out\b|too many requests|rate.?limited?\b|(?:missing|invalid|unknown|unsupported|unexpected|unrecogni[sz]ed|illegal|malformed) (?:required |mandatory |keyword |query |input |request )?(?:parameter|param|argument|property|field|value|input|option|key|type|format|enum|json|request|body|tool|function|method|command)s?\b|upstream (?:connect|request) |service unavailable|bad gateway|gateway time-?out|internal (?:server )?error|E[A-Z]{4,14}(?:$|[:\s]))`)
	// errorPhrase matches the wording of operating systems, network stacks, gateways,
	// databases, runtimes, authorization and validation, wherever it stands.
	errorPhrase = compile(`(?i)\b(?:segmentation fault|core dumped|bus error|SIG(?:KILL|SEGV|ABRT)\b|signal (?:6|9|11)\b|OOM-?Killed|out of memory|memory limit|no space left on device|disk quota exceeded|stack overflow error|nil pointer|` +
		`ECONN(?:REFUSED|RESET|ABORTED)|E(?:SOCKET)?TIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EPIPE|ENOSPC|ENOMEM|EMFILE|errno -?\d+|` +
		`connection (?:was |is )?(?:refused|reset|aborted|timed out)|(?:could not|failed to|unable to|cannot|can['’]t) connect|no such host|name or service not known|getaddrinfo|network is unreachable|no route to host|socket hang up|handshake failure|certificate (?:has expired|verify failed)|upstream connect error|` +
		`timed out (?:after|waiting)|(?:request|operation|query|call|command|execution|function|task|job|read|lambda|transaction) timed out|timeout (?:exceeded|expired|of \d+|after \d+|waiting)|deadline exceeded|` +
		`service (?:is )?(?:temporarily |currently )?unavailable|bad gateway|gateway time-?out|internal server error|status code:? [45]\d\d|(?:returned|responded with|received|got)(?: an?)?(?: http)?(?: status)?(?: code)? (?:429|5\d\d)\b|(?:server|backend|database|db|cluster|replica|host|api|endpoint) is (?:down|offline|locked|overloaded|unavailable|unreachable|read-only|not responding|starting up)|too many (?:open )?(?:connections|requests|files)|rate limit(?: \w+)? (?:exceeded|reached)|quota (?:exceeded|exhausted)|deadlock (?:detected|found)|circuit ?breaker(?: is)? open|connection pool|` +
		`access denied|permission denied|is not authori[sz]ed to|(?:token|session|credentials?|api key|signature)(?: has| have| is| are| was)? (?:expired|invalid|revoked)|(?:expired|invalid|revoked) (?:\w+ )?(?:token|credentials?|api key|signature)|insufficient (?:permissions?|privileges?|scopes?)|` +
		`missing (?:required|mandatory) \w+|(?:parameter|argument|field|property|option) ['"\x60]?[\w.-]+['"\x60]? (?:is (?:required|missing|invalid|not allowed)|must be)|must be one of|is not one of|must have required property|unexpected keyword argument|(?:un(?:known|recogni[sz]ed)|no such) (?:tool|function|command)|(?:tool|function|command) ['"\x60]?[\w.-]{1,60}['"\x60]? (?:is |was )?(?:not found|not available|not registered|not defined)|command not found|` +
		`(?:process|container|pod|worker|kernel|sandbox|job) (?:was )?(?:killed|crashed|terminated|evicted)|traceback \(most recent)`)
	// about matches texts that explain errors instead of reporting one.
	about = compile(`(?i)\bhow to\b|\bwhat (?:is|does|are)\b|\bmeans\b|\bguide\b|\btutorial\b|\btroubleshoot|\bfixed\b|\bresolved\b|\brelease notes\b|\bdocumentation\b|\bclosed (?:as|issue)\b|\b0 (?:errors|failed|failures)\b|\bno errors?\b`)
)

// readResult reads a tool's result as an error, if it is one: text that begins as
// errors do, an object with a member that says so, or a short text with the wording of
// an error.
func readResult(result string) (trace.Failure, form) {
	text := strings.TrimSpace(result)
	if strings.HasPrefix(text, "{") {
		var obj map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &obj) == nil {
			return readObject(obj, text)
		}
	}
	if strings.HasPrefix(text, "[{") && issues(text) {
		return trace.Failure{Message: text}, formError
	}
	if resultPrefix.MatchString(text[:boundary(text, min(len(text), 80))]) {
		return trace.Failure{Message: text}, formError
	}
	if len(text) > maxReport || isExecution(text) { // a report of an execution has its own status
		return trace.Failure{}, formNone
	}
	if len(text) > 1 && text[0] == '"' { // a string written as JSON
		var inner string
		if json.Unmarshal([]byte(text), &inner) == nil {
			text = inner
		}
	}
	switch f := (trace.Failure{Message: text}); {
	case statusLine.MatchString(text), exceptionName.MatchString(text), errorStart.MatchString(text):
		return f, formError
	case bareStatus.MatchString(text) && textCause(text[bareStatus.FindStringIndex(text)[1]:]) != causeUnknown:
		return f, formError
	case errorPhrase.MatchString(text) && !about.MatchString(text):
		return f, formPhrase
	}
	return trace.Failure{}, formNone
}

// issues reports whether text is a list of what a validator found, as Zod and Pydantic
// write it.
func issues(text string) bool {
	type issue struct {
		Code, Type, Message, Msg string
		Path, Loc                []any
	}
	var list []issue
	if json.Unmarshal([]byte(text), &list) != nil {
		return false
	}
	return !slices.ContainsFunc(list, func(i issue) bool {
		return i.Code+i.Type == "" || i.Message+i.Msg == "" || i.Path == nil && i.Loc == nil
	})
}

// resultError reports whether a result reads as an error.
func resultError(result string) (trace.Failure, bool) {
	f, form := readResult(result)
	return f, form != formNone
}

// Members in which APIs and SDKs put what went wrong.
var (
	errorMembers   = []string{"error", "errors", "exception", "error_message", "errorMessage", "Error", "err", "fault"}
	messageMembers = []string{"message", "detail", "reason", "error_description", "title", "Message", "body"}
	statusMembers  = []string{"status", "statusCode", "status_code", "http_status", "httpStatus", "http_code", "httpCode", "responseCode", "response_code", "code"}
	wrappers       = []string{"content", "output", "result", "text"} // in which frameworks put what a tool returned
	codeMembers    = []string{"code", "error_code", "errorCode", "errno", "status", "__type", "type", "name"}
)

// codeName matches values of a code member that are errors: names of system errors,
// gRPC statuses and exceptions of SDKs.
var codeName = compile(`^(?:E(?:CONN[A-Z]+|TIMEDOUT|SOCKETTIMEDOUT|NOTFOUND|AI_AGAIN|HOSTUNREACH|NETUNREACH|PIPE|NOSPC|NOMEM|ACCES|PERM|NOENT|MFILE)|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|PERMISSION_DENIED|UNAUTHENTICATED|INVALID_ARGUMENT|INTERNAL|FAILED_PRECONDITION|DATA_LOSS|UNIMPLEMENTED|(?:[\w.#]*[.#])?[A-Z]\w*(?:Error|Exception|Fault))$`)

// readError reads the value of a member that says what went wrong: a text, an object with
// a message, or anything else.
func readError(raw json.RawMessage, f *trace.Failure) {
	var inner struct {
		Message, Type string
		Code          json.RawMessage
	}
	var plain string
	switch {
	case json.Unmarshal(raw, &plain) == nil:
		f.Message = plain
		if !strings.Contains(plain, " ") {
			f.Code = plain
		}
	case json.Unmarshal(raw, &inner) == nil && inner.Message != "":
		f.Message, f.Type, f.Code = inner.Message, inner.Type, strings.Trim(string(inner.Code), `"`)
		if n, err := strconv.Atoi(f.Code); err == nil && n >= 400 && n < 600 && f.HTTP == 0 {
			f.HTTP = n
		}
	default:
		f.Message = string(raw)
	}
}

// readObject is readResult of a JSON object, which text is.
func readObject(obj map[string]json.RawMessage, text string) (trace.Failure, form) {
	f := trace.Failure{HTTP: statusMember(obj)}
	for _, key := range errorMembers {
		raw, ok := obj[key]
		if !ok {
			continue
		}
		switch s := string(raw); s {
		case "null", "false", `""`, "{}", "[]", "0":
			continue
		}
		readError(raw, &f)
		if m := stringMember(obj, "message", "detail", "reason"); m != "" && m != f.Message {
			f.Message += ": " + m
		}
		return f, formError
	}
	if f.HTTP != 0 {
		if f.Message = stringMember(obj, messageMembers...); f.Message == "" {
			f.Message = text
		}
		return f, formError
	}
	for _, key := range codeMembers {
		if code := stringMember(obj, key); codeName.MatchString(code) {
			f.Code, f.Message = code, stringMember(obj, messageMembers...)
			if f.Message == "" {
				f.Message = text
			}
			return f, formError
		}
	}
	for _, key := range []string{"ok", "success", "succeeded"} {
		if string(obj[key]) == "false" {
			return trace.Failure{Message: text}, formError
		}
	}
	for _, key := range []string{"isError", "is_error"} {
		if string(obj[key]) == "true" {
			return trace.Failure{Message: text}, formError
		}
	}
	switch strings.ToLower(stringMember(obj, "status")) {
	case "error", "failed", "failure":
		return trace.Failure{Message: text}, formError
	}
	for _, key := range wrappers {
		if inner := stringMember(obj, key); inner != "" {
			return readResult(inner)
		}
		var nested map[string]json.RawMessage
		if raw, ok := obj[key]; ok && json.Unmarshal(raw, &nested) == nil && len(nested) > 0 && len(raw) < len(text) {
			return readObject(nested, string(raw))
		}
	}
	return trace.Failure{}, formNone
}

// statusMember returns the HTTP error status among the members of an object, or 0. A
// member named just code or status may be something else, so it takes one with a
// message beside it, or an object that holds little more.
func statusMember(obj map[string]json.RawMessage) int {
	for _, key := range statusMembers {
		n, err := strconv.Atoi(strings.Trim(string(obj[key]), `"`))
		if err != nil || n < 400 || n > 599 {
			continue
		}
		if (key == "code" || key == "status") && len(obj) > 2 && stringMember(obj, messageMembers...) == "" {
			continue
		}
		return n
	}
	return 0
}

func stringMember(obj map[string]json.RawMessage, keys ...string) string {
	for _, k := range keys {
		var s string
		if raw, ok := obj[k]; ok && json.Unmarshal(raw, &s) == nil && s != "" {
			return s
		}
	}
	return ""
}

var (
	// concession matches answers that own up to something that did not work.
	concession = compile(`(?i)\b(?:sorry|apologi[sz]e|unfortunately|i'm afraid|unable|could ?n['’o]?t|can ?not|can['’]?t|(?:was|were|am|is|are)(?:n['’]t| not) (?:able|possible|available|responding|working|reachable)|did(?:n['’]t| not) (?:work|succeed|go through|complete|respond|load)|not been able|failed|failure|errors?|problems?|try again|unavailable|unreachable|crashed|timed out|time[- ]?out|outage|denied|rejected|refused|went wrong|no luck|gave up)\b`)
	// probing matches names of tools whose work is to report errors of other things.
	probing = compile(`(?i)health|ping|probe|uptime|monitor|diagnos|\blogs?\b|_logs?$|^logs?_|lint|status_?check|check_?status|incident|test`)
)

// settled reports whether an error that only reads like one is how the matter ended:
// the answer concedes that something failed, or no call succeeded after it. An error
// that is what the tool was asked for never is.
func (v *view) settled(in incident) bool {
	if in.call != nil && probing.MatchString(in.call.Name) {
		return false
	}
	a := v.answer()
	answered := a.step > in.step
	if answered && concession.MatchString(scanned(a.text)) {
		return true
	}
	if answered && (in.form == formPhrase || in.call != nil && searchTool.MatchString(in.call.Name)) { // may be what was found
		return false
	}
	return !slices.ContainsFunc(v.calls, func(c trace.Invocation) bool {
		return c.Step > in.step && c.HasResult && !callFailed(&c)
	})
}
