package gemini

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/genai"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/pace"
)

// A failure is why one attempt brought no analysis, and what that means for the next.
type failure struct {
	kind  extract.Kind
	err   error
	retry bool
	// wait is what the service asked to wait, where hinted.
	wait   time.Duration
	hinted bool
	busy   bool       // 503: the service has no room for the call
	quota  pace.Quota // that the service named
	gone   bool       // the model is not offered (any more): another may be
	cut    bool       // at the output limit
	final  bool       // the same question would be refused again
	answer []byte     // the text that was refused, if any
}

func failed(kind extract.Kind, format string, args ...any) *failure {
	return &failure{kind: kind, err: fmt.Errorf(format, args...)}
}

func (f *failure) retryable() *failure { f.retry = true; return f }

func (f *failure) with(answer string) *failure { f.answer = []byte(answer); return f }

// errMalformed stands for a panic of the SDK over a response.
var errMalformed = errors.New("the response has another form than the SDK expects")

// classify says what an error of the SDK means. sent is the text that the error must
// not repeat.
func (a *Analyzer) classify(ctx context.Context, err error, ex *exchange, sent []byte) *failure {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	var api genai.APIError // a value: the SDK never returns a pointer
	var cut *cutError
	switch {
	case errors.Is(err, errNotJSON):
		return a.strange("%s answered %d, but %w", a.service(), ex.status, errNotJSON)
	case errors.Is(err, errTooLong):
		return failed(extract.KindUnavailable, "%s: %w", a.service(), errTooLong).retryable()
	case errors.As(err, &cut):
		return failed(extract.KindUnavailable, "%s: %w", a.service(), cut).retryable()
	case errors.As(err, &api):
		return a.refused(api, ex, sent)
	case !ex.sent:
		return failed(extract.KindConfig, "no access token for %s: %s", a.service(), a.excerpt(rootText(err), sent)).retryable()
	case ex.status == 0:
		return failed(extract.KindUnavailable, "%s cannot be reached: %s", a.service(), a.excerpt(rootText(err), sent)).retryable()
	}
	// errMalformed, or an error of the SDK whose text would quote the response.
	return a.strange("%s answered with JSON that is no response of the model", a.service())
}

// strange is the failure of a call that was answered, but not by the model: as by a proxy, a
// login page or another server. It says nothing about the trace, so it counts as an outage.
func (a *Analyzer) strange(format string, args ...any) *failure {
	return failed(extract.KindUnavailable, format+": is there a proxy or a login page in between, or is the base URL wrong?", args...).retryable()
}

// errStrange stands for a response that is none of the model, such as {}.
var errStrange = errors.New("the response is none of the model")

// isModels reports whether a response has anything that only a model's has. An answer
// without candidates, as of a blocked prompt, still says what it took or why it is empty.
func isModels(r *genai.GenerateContentResponse) bool {
	return len(r.Candidates) > 0 || r.PromptFeedback != nil || r.UsageMetadata != nil || r.ModelVersion != "" || r.ResponseID != ""
}

// interrupted is the failure of a call whose context is done.
func interrupted(ctx context.Context) *failure {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return failed(extract.KindTimeout, "the model did not answer in time: %w", ctx.Err())
	}
	return failed(extract.KindUnavailable, "the call was given up: %w", context.Cause(ctx))
}

// refused classifies an error status.
func (a *Analyzer) refused(api genai.APIError, ex *exchange, sent []byte) *failure {
	status := http.StatusText(ex.status)
	text := ""
	if isCode(api.Status) { // a JSON error; otherwise Message is the raw body, such as a proxy's page
		status, text = api.Status, a.excerpt(api.Message, sent)
	}
	msg := fmt.Sprintf("%s answered %d %s", a.service(), ex.status, status)
	if text != "" {
		msg += " (" + text + ")" // behind a colon, a model's name would be redacted as the value of a key of "the API"
	}
	f := &failure{kind: extract.KindUnavailable, err: errors.New(msg)}
	f.wait, f.hinted = ex.retryAfter, ex.hinted
	if d, ok := retryInfo(api.Details); ok {
		f.wait, f.hinted = max(d, f.wait), true
	}
	switch code := ex.status; {
	case modelGone(api, code):
		f.kind, f.gone = extract.KindConfig, true
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound:
		f.kind = extract.KindConfig
	case code == http.StatusPaymentRequired, code == http.StatusBadRequest && api.Status == "FAILED_PRECONDITION":
		f.kind = extract.KindConfig
		f.err = fmt.Errorf("%w; check that the project has billing, and that its account and country may use the service", f.err)
	case code == http.StatusBadRequest && aboutAccess(api):
		f.kind = extract.KindConfig
	case aboutRequest(code) && (isCode(api.Status) || code != http.StatusBadRequest):
		f.kind = extract.KindRejected
	case code == http.StatusTooManyRequests:
		f.kind, f.retry, f.quota = extract.KindRateLimited, !dailyQuota(api.Details), minuteQuota(api.Details)
	case code == http.StatusServiceUnavailable:
		f.retry, f.busy = true, true
	case code == http.StatusRequestTimeout, code == 499, code >= 500: // 499: the service cancelled the call
		f.retry = true
	default: // other 4xx, and 3xx, which the service does not send
		return a.strange("%w", f.err)
	}
	return f
}

// aboutRequest reports a status that says something about this very request.
func aboutRequest(code int) bool {
	switch code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnprocessableEntity,
		http.StatusRequestHeaderFieldsTooLarge:
		return true
	}
	return false
}

// isCode reports whether s is a canonical status such as NOT_FOUND, and not the HTTP
// status line that the SDK puts in its place.
func isCode(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r != '_' && !unicode.IsUpper(r) })
}

// modelGone recognises the answers for a model that was retired, never existed, is not
// offered in the location, is blocked by an organization's policy, has a daily quota of zero, or is closed to this project ("This model models/… is no
// longer available to new users", "Publisher Model … was not found or your project does
// not have access to it"). A 404 that is not about a model is a wrong address.
func modelGone(api genai.APIError, code int) bool {
	if !isCode(api.Status) {
		return false
	}
	msg := strings.ToLower(api.Message)
	if !strings.Contains(msg, "model") && code != http.StatusTooManyRequests {
		return false
	}
	if code == http.StatusNotFound || code == http.StatusGone {
		return true
	}
	if code == http.StatusTooManyRequests {
		return noQuota(api.Details)
	}
	if code != http.StatusBadRequest && code != http.StatusForbidden {
		return false
	}
	for _, s := range []string{
		"no longer available", "not available to new", "has been retired", "is retired", "was retired", "been shut down", "discontinued",
		"disallowed gen ai model", "vertexai.allowedmodels", // an organization's policy blocks it
		"not have access to model", "not have access to the model", "not available to your project", "not available for your project",
		"not available in", "not supported in region", "not supported in location", "not supported in the location",
	} {
		if strings.Contains(msg, s) {
			return true
		}
	}
	return modelEnded.MatchString(msg) && !aboutSetting.MatchString(msg)
}

// A sentence whose subject is a model that came to its end; and one about a setting, which
// a model may not support any more.
var (
	modelEnded   = regexp.MustCompile(`\b(?:models?|gemini)\b.*\b(?:(?:is|are|was|has been|been|now) (?:deprecated|decommissioned|sunset|retired|disabled)|no longer (?:supported|served|offered|exists?)|end[- ]of[- ]life|reached its end|does not exist)\b`)
	aboutSetting = regexp.MustCompile(`\b(?:parameter|field|argument|option|setting|budget|level|schema|keyword|feature|tool|mime|temperature|top_?[kp]|penalty|modality|config)s?\b`)
)

// aboutAccess recognises the 400s that are about the caller, not the request: the
// Gemini API answers so to an invalid key, and from a country it does not serve.
func aboutAccess(api genai.APIError) bool {
	for _, d := range api.Details {
		if r, _ := d["reason"].(string); r == "API_KEY_INVALID" || r == "API_KEY_EXPIRED" {
			return true
		}
	}
	msg := strings.ToLower(api.Message)
	return strings.Contains(msg, "api key") || strings.Contains(msg, "location is not supported")
}

// retryInfo returns the delay of a google.rpc.RetryInfo.
func retryInfo(details []map[string]any) (time.Duration, bool) {
	for _, d := range details {
		if d["@type"] != "type.googleapis.com/google.rpc.RetryInfo" {
			continue
		}
		s, _ := d["retryDelay"].(string)
		if delay, err := time.ParseDuration(s); err == nil && delay >= 0 {
			return delay, true
		}
	}
	return 0, false
}

// dailyQuota recognises a quota that no backoff outlasts.
func dailyQuota(details []map[string]any) bool {
	for id := range violations(details) {
		if strings.Contains(id, "PerDay") {
			return true
		}
	}
	return false
}

// noQuota recognises a model of which a project may have nothing at all: a daily quota of
// zero, which is how free tiers leave models out.
func noQuota(details []map[string]any) bool {
	for id, value := range violations(details) {
		if value == "0" && strings.Contains(id, "PerDay") && strings.Contains(id, "PerModel") {
			return true
		}
	}
	return false
}

// minuteQuota returns the quotas of a minute that a refusal names, such as 15 for
// GenerateRequestsPerMinutePerProjectPerModel-FreeTier. Of two the smaller one counts.
func minuteQuota(details []map[string]any) (q pace.Quota) {
	for id, value := range violations(details) {
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 || !strings.Contains(id, "PerMinute") {
			continue
		}
		part := &q.Requests
		switch {
		case strings.Contains(id, "Token"):
			part = &q.Tokens
		case !strings.Contains(id, "Request"):
			continue
		}
		if *part == 0 || n < *part {
			*part = n
		}
	}
	return q
}

// violations yields the ids of the quotas that a google.rpc.QuotaFailure says are used up,
// with their values, which not every service says.
func violations(details []map[string]any) iter.Seq2[string, string] {
	return func(yield func(id, value string) bool) {
		for _, d := range details {
			list, _ := d["violations"].([]any)
			for _, v := range list {
				m, _ := v.(map[string]any)
				id, _ := m["quotaId"].(string)
				value, ok := m["quotaValue"].(string) // a 64-bit integer, in JSON a string
				if n, isNumber := m["quotaValue"].(float64); !ok && isNumber && n < 1e9 {
					value = strconv.Itoa(int(n))
				}
				if !yield(id, value) {
					return
				}
			}
		}
	}
}

// service names what is asked, for messages.
func (a *Analyzer) service() string {
	if a.opt.Backend == Vertex {
		return "Vertex AI"
	}
	return "the Gemini API"
}

// rootText returns the text of the innermost cause under the SDK's and the HTTP
// client's, which repeat the URL.
func rootText(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// Bounds of what is quoted of another's error message.
const (
	maxMessageRunes = 300
	echoBytes       = 24
)

// excerpt makes another's error message fit to be logged and stored: one line, bounded,
// without the key, and left out altogether if it repeats as little as 24 bytes of what
// was sent of the trace.
func (a *Analyzer) excerpt(s string, sent []byte) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(a.scrub(s), "\uFFFD")), " ")
	if utf8.RuneCountInString(s) > maxMessageRunes {
		s = string([]rune(s)[:maxMessageRunes-1]) + "…"
	}
	for i := 0; i+echoBytes <= len(s); i++ {
		if bytes.Contains(sent, []byte(s[i:i+echoBytes])) {
			return "(message withheld: it repeats the trace)"
		}
	}
	return s
}
