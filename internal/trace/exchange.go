package trace

import (
	"strings"
)

// Requests to a model's API with what it answered, as proxies, gateways and loggers record
// them ({"request": {…}, "response": {…}}), as OpenAI's and Anthropic's batches have them in
// each line (https://platform.openai.com/docs/guides/batch,
// https://docs.claude.com/en/docs/build-with-claude/batch-processing), and answers that were
// kept alone. The messages of the request are steps, and the answer is one. Of several
// exchanges of one trace each is a step, because each request has the whole history.

// An exchange is one request and its answer, of which either may be missing.
type exchange struct {
	doc               map[string]any // around both
	request, response map[string]any
	requestAt         string // JSON pointers
	responseAt        string
	reply             map[string]any // what an HTTP client recorded around the response
	replyAt           string
	pieces            any // what the response is put together from, or nil
}

// The fields in which recorders put a request and a response, what they wrap a body in, and
// in which a request has what was said.
var (
	requestKeys  = [...]string{"request", "request_body", "requestBody", "req", "params", "body", "kwargs", "full_request", "request_payload"}
	responseKeys = [...]string{"response", "response_body", "responseBody", "resp", "result", "completion", "full_response", "response_payload"}
	bodyKeys     = [...]string{"body", "json", "data", "content", "payload", "message"}
	requestLists = [...]string{"messages", "input", "contents", "prompt"}
	streamKeys   = [...]string{"chunks", "response_chunks", "responseChunks", "stream", "streamed_data", "events", "deltas"}
	lineKeys     = [...]string{messageList}
)

// exchangeOf returns the exchange that doc is; ok tells whether it is one.
func exchangeOf(doc any) (x exchange, ok bool) {
	m, _ := doc.(map[string]any)
	in := lookupIn(m)
	if m == nil || in.get("role") != nil && !isModelResponse(m) || in.first("span_id", "spanId", "run_type", "traceId") != nil {
		return x, false
	}
	x.doc = m
	if request, response, requestAt, responseAt, ok := bedrockInvocation(m); ok {
		x.request, x.requestAt, x.pieces, x.responseAt = request, requestAt, response, responseAt
		x.response, _ = response.(map[string]any)
		return x, request != nil || response != nil
	}
	for _, k := range requestKeys {
		if !in.has(k) {
			continue
		}
		if x.request, x.requestAt = bodyOf(m, k, isModelRequest); x.request != nil {
			break
		}
	}
	for _, k := range responseKeys {
		if !in.has(k) {
			continue
		}
		if x.response, x.responseAt = bodyOf(m, k, isModelResponse); x.response != nil || object(m[k]) != nil {
			x.reply, x.replyAt = object(m[k]), pointer("", k)
			break
		}
	}
	if x.response == nil {
		x.findStream(in)
	}
	if x.request == nil && (x.response != nil || x.pieces != nil && !isStream(m[messageList])) && isModelRequest(m) {
		x.request = m // the response stands in the request
	}
	switch {
	case x.response == nil && x.request == nil && isAnswer(m):
		x.response = m
		if isModelRequest(m) { // the Responses API's may have its input
			x.request = m
		}
		return x, true
	case x.pieces != nil:
		return x, true
	case scalar(m["custom_id"]) != "", scalar(m["key"]) != "" && len(m) <= 3:
		return x, x.request != nil || x.response != nil || x.reply != nil || object(m["error"]) != nil
	case x.request == nil:
		return x, false
	}
	return x, x.response != nil || x.reply != nil || first(m, "error", "status_code", "statusCode", "url", "endpoint") != nil || in.text(responseKeys[:]...) != ""
}

// findStream looks for a response that was recorded in pieces in doc.
func (x *exchange) findStream(doc lookup) {
	_ = x.streamIn(doc, "", lineKeys[:]) || x.streamIn(doc, "", streamKeys[:]) || x.streamIn(doc, "", responseKeys[:]) ||
		x.reply != nil && (x.streamIn(lookupIn(x.reply), x.replyAt, streamKeys[:]) || x.streamIn(lookupIn(x.reply), x.replyAt, bodyKeys[:]))
}

// streamIn looks for the pieces in the fields of m, which stands at the JSON pointer base.
// Pieces that were put together before are as good.
func (x *exchange) streamIn(m lookup, base string, keys []string) bool {
	for _, k := range keys {
		v := m.get(k)
		if v == nil {
			continue
		}
		v = embedded(v)
		r, whole := v.(map[string]any)
		if whole {
			v = []any{r} // of Ollama the last piece
		}
		if isStream(v) {
			x.pieces = v
		} else if whole && isModelResponse(r) {
			x.pieces, x.response = r, r
		} else {
			continue
		}
		x.responseAt = pointer(base, k)
		return true
	}
	return false
}

// putTogether makes the response of its pieces.
func (x *exchange) putTogether() {
	if x.response == nil && x.pieces != nil {
		x.response = unstreamed(x.pieces)
	}
}

// streamList returns the field in which a document has the pieces of an answer, if l is them.
func streamList(l []any) string {
	if isStream(l) {
		return responseKeys[0]
	}
	return ""
}

// streamLine returns the id of the answer that m, a line of a log, is a piece of. Pieces that
// name none are of the one before.
func streamLine(m map[string]any, last string) (string, bool) {
	piece := streamPiece(m)
	if !isStream([]any{piece, nil}) && (last == "" || !endsStream(piece, last)) {
		return "", false
	}
	return anyOf(firstText(object(first(piece, "message", "response")), "id"), firstText(piece, "id", "responseId"), last), true
}

// isAnswer recognises an answer that was kept alone.
func isAnswer(m map[string]any) bool {
	if !isModelResponse(m) || m["messages"] != nil {
		return false
	}
	object := scalar(m["object"])
	return object == "response" || strings.HasPrefix(object, "chat.completion") || m["type"] == "message" || m["type"] == "error" || list(m["candidates"]) != nil
}

// bodyOf returns the object under key, or in one of the fields that wrap a body there, that
// is what is asked for, and its JSON pointer.
func bodyOf(m map[string]any, key string, is func(map[string]any) bool) (map[string]any, string) {
	if m[key] == nil {
		return nil, ""
	}
	o := object(m[key])
	if o == nil { // Google Cloud logs a list of what was sent, as a rule of one
		if l := list(m[key]); len(l) == 1 {
			o = object(l[0])
		}
	}
	if is(o) {
		return o, pointer("", key)
	}
	for _, k := range bodyKeys {
		if inner := object(o[k]); is(inner) {
			return inner, pointer("", key, k)
		}
	}
	return nil, ""
}

// isModelRequest recognises what is sent to a model's API.
func isModelRequest(m map[string]any) bool {
	if m == nil {
		return false
	}
	for _, k := range [...]string{"messages", "input", "contents"} {
		if looksLikeChat(list(m[k])) {
			return true
		}
	}
	if v := m["contents"]; v != nil && geminiContents(v) != nil {
		return true
	}
	return m["model"] != nil && (scalar(m["input"]) != "" || m["prompt"] != nil)
}

// isModelResponse recognises what a model's API answers, an error included.
func isModelResponse(m map[string]any) bool {
	switch {
	case m == nil:
		return false
	case m["object"] == "response" && m["output"] != nil, m["type"] == "error" && m["error"] != nil:
		return true
	case m["type"] == "message" && m["role"] == "assistant":
		return m["stop_reason"] != nil || m["usage"] != nil
	case list(m["choices"]) != nil, list(m["candidates"]) != nil, object(m["error"]) != nil, geminiRefusal(m) != "":
		return true
	}
	return object(object(m["output"])["message"]) != nil
}

// exchangeList is where a document has the exchanges of one trace.
const exchangeList = "exchanges"

// exchangeParts takes an exchange that names its trace as a part of that.
func exchangeParts(m map[string]any) (parts []fragment, skipped int) {
	id := traceID(m)
	if id == "" {
		return nil, 0
	}
	if _, ok := exchangeOf(m); !ok {
		return nil, 0
	}
	return []fragment{{trace: id, list: exchangeList, item: m}}, 0
}

// exchangesOf returns the exchanges of doc, with the JSON pointer of each.
func exchangesOf(doc any) (xs []exchange, sources []string, strays int) {
	if l, ok := doc.([]any); ok {
		if isStream(l) {
			return []exchange{{pieces: l}}, []string{""}, 0
		}
	}
	if x, ok := exchangeOf(doc); ok {
		return []exchange{x}, []string{""}, 0
	}
	m, _ := doc.(map[string]any)
	for i, e := range list(m[exchangeList]) {
		if x, ok := exchangeOf(object(e)); ok {
			xs, sources = append(xs, x), append(sources, pointer("", exchangeList, i))
		} else {
			strays++
		}
	}
	return xs, sources, strays
}

func isExchange(doc any) bool {
	xs, _, _ := exchangesOf(doc)
	return xs != nil
}

func decodeExchange(b *builder, doc any) {
	xs, sources, strays := exchangesOf(doc)
	b.warnItems(strays)
	for i := range xs {
		x := &xs[i]
		x.putTogether()
		x.request = geminiRequest(x.request)
		x.requestAt, x.responseAt = sources[i]+x.requestAt, sources[i]+x.responseAt
		d := chatDecoder{b: b}
		d.tools = b.declare(parseTools(first(x.request, "tools", "functions")))
		if tools := bedrockTools(x.request); tools != nil {
			d.tools = b.declare(parseTools(tools))
		}
		if i == 0 {
			d.header(x.doc)
			fill(&b.t.ID, anyOf(firstText(x.doc, "custom_id", "key", "requestId"), firstText(x.response, "id", "responseId")))
		}
		if x.request != nil {
			d.since = b.pool(systemPrompt(x.request))
		}
		if len(xs) == 1 {
			x.readRequest(&d)
		} else {
			d.since = append(d.since, b.pool(x.given())...)
		}
		x.readResponse(&d)
	}
}

// given returns the messages of the request, its system prompt apart.
func (x *exchange) given() []Message {
	for _, k := range requestLists {
		if ms := parseMessages(list(x.request[k]), "user"); ms != nil {
			return ms
		}
		if s := scalar(x.request[k]); s != "" {
			return []Message{{Role: "user", Text: s}}
		}
	}
	return nil
}

// readRequest makes a step of each message of the request.
func (x *exchange) readRequest(d *chatDecoder) {
	for _, k := range requestLists {
		if l := list(x.request[k]); looksLikeChat(l) {
			d.decode(l, pointer(x.requestAt, k))
			return
		}
		if s := scalar(x.request[k]); s != "" {
			out := d.b.pool([]Message{{Role: "user", Text: s}})
			d.b.t.Steps = append(d.b.t.Steps, Step{Kind: KindInput, Name: "user", Tokens: unknownTokens, Out: out, Source: pointer(x.requestAt, k)})
			d.since = append(d.since, out...)
			return
		}
	}
}

// readResponse makes the last step of the answer, or of the error that came in its place.
// What the provider's own tools did before it are steps, too.
func (x *exchange) readResponse(d *chatDecoder) {
	t := d.b.t
	n := len(t.Steps)
	if n > 0 {
		n = t.Steps[n-1].Index + 1
	}
	s := Step{
		Kind: KindLLM, Name: "response", Tokens: readTokens(object(first(x.response, usageKeys[:]...))),
		Declared: d.tools, Finish: finishReason(x.response), Source: x.responseAt,
		Model: anyOf(firstText(x.response, "model", "modelVersion", "model_version"), firstText(x.request, "model", "modelId"), firstText(x.doc, "model", "modelId")),
		Err:   x.failure(),
	}
	s.Start = instant(first(x.doc, "timestamp", "start_time", "startTime", "created_at", "request_created_at", "logging_time", "processed_time"))
	if ms, ok := number(first(x.doc, "latency_ms", "duration_ms", "response_time_ms")); ok {
		s.Dur = milliseconds(ms)
	}
	var out []Message
	if items := list(x.response["output"]); items != nil {
		for i, e := range items {
			if m := object(e); isHostedCall(m) {
				step := Step{Index: n, Tokens: unknownTokens, Source: pointer(x.responseAt, "output", i)}
				d.hostedEntry(&step, parseMessage(m, "assistant"))
				t.Steps = append(t.Steps, step)
				n++
			} else if isMessage(m) {
				out = append(out, parseMessage(m, "assistant")...)
			}
		}
	} else {
		out = answer(x.response)
	}
	if said := firstText(x.doc, responseKeys[:]...); said != "" && x.reply == nil && x.pieces == nil {
		out = []Message{{Role: "assistant", Text: said}}
	}
	s.Index, s.In, s.Out = n, d.since, d.b.pool(out)
	if s.Err != nil {
		s.Status = Error
	} else if s.Out == nil && s.Finish == "" && x.response == nil {
		return // only the request is known
	}
	t.Steps = append(t.Steps, s)
	if t.Start.IsZero() {
		t.Start = instant(first(x.response, "created", "created_at"))
	}
}

// failure returns the error that was answered, or that kept an answer from coming.
func (x *exchange) failure() *Failure {
	f := failureFrom(first(x.response, "error"))
	if f == nil {
		f = failureFrom(first(x.reply, "error"))
	}
	if f == nil {
		f = failureFrom(first(x.doc, "error", "exception"))
	}
	switch kind := scalar(x.reply["type"]); kind { // of a batch
	case "errored", "canceled", "expired":
		if f == nil {
			f = &Failure{Type: kind, Message: "the request of the batch was " + kind}
		}
	}
	if code := scalar(x.doc["errorCode"]); code != "" && f == nil {
		f = &Failure{Type: code}
	}
	if s := batchStatus(x.doc); s != "" && f == nil && x.response == nil {
		read := failureFromText(s)
		f = &read
	}
	if scalar(x.response["status"]) == "failed" && f == nil {
		f = &Failure{Type: "failed"}
	}
	http := max(count(x.reply, "status_code", "statusCode", "status"), count(x.doc, "status_code", "statusCode", "response_status"))
	if http >= 400 && http < 600 {
		if f == nil {
			f = &Failure{Message: scalar(first(x.reply, "body", "text"))}
		}
		f.HTTP = http
	}
	return f
}
