package geminitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
)

// What each answer with usage reports.
const (
	PromptTokens  = 3000 // with CachedTokens
	CachedTokens  = 2048
	AnswerTokens  = 400
	ThoughtTokens = 25
	// VersionSuffix follows the requested model in modelVersion.
	VersionSuffix = "-001"
)

// JSON answers with a status and a value.
func JSON(code int, v any) Reply {
	return func(w http.ResponseWriter, _ *Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v) // the client hung up: nothing to tell it
	}
}

// Finish answers with one candidate that ended for a reason, STOP being the good one.
// An empty text is a candidate without content.
func Finish(reason, text string) Reply {
	return func(w http.ResponseWriter, r *Request) {
		c := map[string]any{"finishReason": reason, "index": 0}
		if text != "" {
			c["content"] = map[string]any{"role": "model", "parts": []any{
				map[string]any{"text": "a thought, not part of the answer", "thought": true},
				map[string]any{"text": text},
			}}
		}
		JSON(http.StatusOK, map[string]any{
			"candidates": []any{c}, "usageMetadata": usage(AnswerTokens), "modelVersion": r.Model + VersionSuffix,
		})(w, r)
	}
}

func usage(answer int) map[string]any {
	return map[string]any{
		"promptTokenCount": PromptTokens, "cachedContentTokenCount": CachedTokens,
		"candidatesTokenCount": answer, "thoughtsTokenCount": ThoughtTokens,
		"totalTokenCount": PromptTokens + answer + ThoughtTokens,
	}
}

// Text answers completely, with this text.
func Text(text string) Reply { return Finish("STOP", text) }

// Analysis answers with an analysis.
func Analysis(a evalforge.Analysis) Reply { return Text(Encode(a)) }

// Well answers with a valid analysis of the trace in the request: it quotes the trace,
// names a step of it, and says what the first hint speaks for.
func Well() Reply {
	return func(w http.ResponseWriter, r *Request) { Analysis(Plausible(r))(w, r) }
}

// Status answers with an error as the service words it.
func Status(code int, status, message string, details ...any) Reply {
	return JSON(code, errorBody(code, status, message, details))
}

func errorBody(code int, status, message string, details []any) map[string]any {
	e := map[string]any{"code": code, "status": status, "message": message}
	if len(details) > 0 {
		e["details"] = details
	}
	return map[string]any{"error": e}
}

// RateLimited answers 429. A retryInfo above zero goes into the error's details, a
// retryAfter that is not "" into the Retry-After header.
func RateLimited(retryInfo time.Duration, retryAfter string) Reply {
	return func(w http.ResponseWriter, r *Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		var details []any
		if retryInfo > 0 {
			details = append(details, map[string]any{
				"@type":      "type.googleapis.com/google.rpc.RetryInfo",
				"retryDelay": fmt.Sprintf("%gs", retryInfo.Seconds()),
			})
		}
		Status(http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", details...)(w, r)
	}
}

// DailyQuota answers 429 for a quota that lasts the day, as the free tier does.
func DailyQuota() Reply {
	return Status(http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", map[string]any{
		"@type":      "type.googleapis.com/google.rpc.QuotaFailure",
		"violations": []any{map[string]any{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}},
	})
}

// InvalidKey answers as the Gemini API does to a key that is none.
func InvalidKey() Reply {
	return Status(http.StatusBadRequest, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", map[string]any{
		"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com",
	})
}

// ModelGone answers as both services do for a model that the caller cannot have.
func ModelGone() Reply {
	return func(w http.ResponseWriter, r *Request) {
		msg := fmt.Sprintf("This model models/%s is no longer available to new users. Please update your code to use a newer model.", r.Model)
		if r.Vertex {
			msg = fmt.Sprintf("Publisher Model `publishers/google/models/%s` was not found or your project does not have access to it.", r.Model)
		}
		Status(http.StatusNotFound, "NOT_FOUND", msg)(w, r)
	}
}

// HTML answers with a status and a page, as proxies and front ends do.
func HTML(code int) Reply {
	return func(w http.ResponseWriter, _ *Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		fmt.Fprintf(w, "<html><title>%d</title><p>page body, not for logs</html>", code)
	}
}

// Garbage answers 200 with something that is not JSON.
func Garbage() Reply {
	return func(w http.ResponseWriter, _ *Request) { fmt.Fprint(w, "\x00\x01 <<garbage>> {") }
}

// ErrorIn200 answers 200 with an error in the body.
func ErrorIn200(code int, status, message string) Reply {
	return JSON(http.StatusOK, errorBody(code, status, message, nil))
}

// NoCandidates answers 200 with {}.
func NoCandidates() Reply { return JSON(http.StatusOK, map[string]any{}) }

// EmptyBody answers 200 with nothing.
func EmptyBody() Reply {
	return func(w http.ResponseWriter, _ *Request) { w.WriteHeader(http.StatusOK) }
}

// Blocked answers that the prompt was blocked. The prompt is billed.
func Blocked(reason string) Reply {
	return func(w http.ResponseWriter, r *Request) {
		JSON(http.StatusOK, map[string]any{
			"promptFeedback": map[string]any{"blockReason": reason},
			"usageMetadata":  map[string]any{"promptTokenCount": PromptTokens, "totalTokenCount": PromptTokens},
			"modelVersion":   r.Model + VersionSuffix,
		})(w, r)
	}
}

// Half announces an answer, sends half of it and cuts the connection.
func Half() Reply {
	return func(w http.ResponseWriter, r *Request) {
		body := `{"candidates":[{"finishReason":"STOP","content":{"parts":[{"text":"{\"evidence\"`
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(2*len(body)))
		fmt.Fprint(w, body)
		_ = http.NewResponseController(w).Flush() // the client hung up: nothing to send
		panic(http.ErrAbortHandler)
	}
}

// Drop cuts the connection without an answer.
func Drop() Reply {
	return func(http.ResponseWriter, *Request) { panic(http.ErrAbortHandler) }
}

// Never does not answer. It returns when the client hangs up or the server closes.
func Never() Reply {
	return func(_ http.ResponseWriter, r *Request) { <-r.ctx.Done() }
}

// Late waits for release before it answers.
func Late(release <-chan struct{}, then Reply) Reply {
	return func(w http.ResponseWriter, r *Request) {
		select {
		case <-release:
			then(w, r)
		case <-r.ctx.Done():
		}
	}
}

// Encode returns an analysis as a model writes it: without the fields that only the
// engine sets.
func Encode(a evalforge.Analysis) string {
	b, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("geminitest: %v", err)) // an analysis always encodes, unless its confidence is no number
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		panic(fmt.Sprintf("geminitest: %v", err))
	}
	ev := m["evidence"].(map[string]any)
	refs, _ := ev["refs"].([]any)
	for _, r := range refs {
		for _, k := range []string{"span_id", "verified", "match", "offset"} {
			delete(r.(map[string]any), k)
		}
	}
	if refs == nil {
		ev["refs"] = []any{}
	}
	if f, ok := m["failing_step"].(map[string]any); ok {
		m["failing_step"] = map[string]any{"index": f["index"]}
	}
	out, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("geminitest: %v", err))
	}
	return string(out)
}

// Plausible returns a valid analysis of the trace in r.
func Plausible(r *Request) evalforge.Analysis {
	a := evalforge.Analysis{
		Title:               "Scripted finding",
		FailureType:         evalforge.Other,
		TriggerCondition:    "no detectable error in the trace",
		Summary:             "A scripted answer of the test server.",
		RootCauseHypothesis: "None: the test server does not judge traces.",
		Evidence:            evalforge.Evidence{Signals: []string{"scripted"}, Refs: []evalforge.EvidenceRef{}},
		RecommendedActions:  []string{"Read the trace"},
		ReproductionContext: evalforge.ReproductionContext{InputPattern: "any", ToolsInvolved: []string{}},
		Severity:            evalforge.Medium,
		Confidence:          0.7,
		ConfidenceRationale: "Scripted.",
	}
	var h struct {
		Signals []struct {
			SpeaksFor evalforge.FailureType `json:"speaks_for"`
			Suggests  string                `json:"suggests"`
		} `json:"signals"`
	}
	_ = json.Unmarshal(r.Hints(), &h) // no hints: the answer stays as it is
	for _, s := range h.Signals {
		if s.SpeaksFor != "" && s.Suggests != "" {
			a.FailureType, a.TriggerCondition = s.SpeaksFor, s.Suggests
			break
		}
	}
	var tr any
	if json.Unmarshal(r.Trace(), &tr) != nil {
		return a
	}
	if step, quote := passage(tr, nil); quote != "" {
		a.Evidence.Refs = append(a.Evidence.Refs, evalforge.EvidenceRef{Step: step, Quote: quote})
		if step != nil {
			a.FailingStep = &evalforge.FailingStep{Index: *step}
		}
	}
	return a
}

// notContent are the keys of a rendered trace whose values are not the trace's own words.
var notContent = map[string]bool{"format": true, "kind": true, "role": true, "identical_to": true, "warnings": true}

// passage returns the longest quotable text below v, at most 200 bytes, with the index
// of the step around it. Texts outside any step lose against those inside.
func passage(v any, step *int) (at *int, quote string) {
	better := func(s *int, q string) {
		if inside := s != nil; q != "" && (quote == "" || inside != (at != nil) && inside || inside == (at != nil) && len(q) > len(quote)) {
			at, quote = s, q
		}
	}
	switch v := v.(type) {
	case map[string]any:
		if i, ok := v["i"].(float64); ok {
			n := int(i)
			step = &n
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !notContent[k] {
				better(passage(v[k], step))
			}
		}
	case []any:
		for _, x := range v {
			better(passage(x, step))
		}
	case string:
		q := strings.TrimSpace(v)
		if len(q) > 200 {
			q = strings.TrimSpace(strings.ToValidUTF8(q[:200], ""))
		}
		if len(q) >= 16 && !strings.Contains(q, "[REDACTED:") {
			return step, q
		}
	}
	return at, quote
}
