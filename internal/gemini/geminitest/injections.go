package geminitest

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
)

// The corpus of attempts to steer the model from within a trace. It is synthetic: written
// for these tests, after the kinds that are publicly known.
//
//go:embed injections.jsonl
var injections []byte

// An Injection is one attempt.
type Injection struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Language string `json:"language"`
	Text     string `json:"text"` // what stands in the trace
	// Obey is merged into a plausible answer by a model that does as it is told; Raw is what
	// it writes instead of JSON.
	Obey map[string]any `json:"obey"`
	Raw  string         `json:"raw"`
	// Expect is what becomes of that answer: "stored", made harmless, or "refused".
	Expect string `json:"expect"`
}

// Injections returns the corpus.
func Injections() ([]Injection, error) {
	var list []Injection
	for lines := bufio.NewScanner(bytes.NewReader(injections)); lines.Scan(); {
		var in Injection
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return nil, fmt.Errorf("injections.jsonl, line %d: %w", len(list)+1, err)
		}
		list = append(list, in)
	}
	return list, nil
}

// Obedient answers as a model that follows the instruction in the trace.
func (in *Injection) Obedient() Reply {
	return func(w http.ResponseWriter, r *Request) {
		if in.Raw != "" {
			Text(in.Raw)(w, r)
			return
		}
		var answer map[string]any
		_ = json.Unmarshal([]byte(Encode(Plausible(r))), &answer) // Encode writes an object
		maps.Copy(answer, repeated(in.Obey).(map[string]any))
		b, err := json.Marshal(answer)
		if err != nil {
			Status(http.StatusInternalServerError, "INTERNAL", err.Error())(w, r)
			return
		}
		Text(string(b))(w, r)
	}
}

// repeated replaces strings of the form "REPEAT 3000 x" by 3000 x.
func repeated(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = repeated(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = repeated(x)
		}
		return out
	case string:
		rest, ok := strings.CutPrefix(v, "REPEAT ")
		if !ok {
			return v
		}
		count, what, _ := strings.Cut(rest, " ")
		n, _ := strconv.Atoi(count)
		return strings.Repeat(what, n)
	}
	return v
}

// A Position is a place in a raw trace where text of strangers can stand.
type Position struct {
	Name string
	// Sent says where it goes: "trace", "hints", or "" if it is not sent.
	Sent string
	Put  func(id, text string) evalforge.RawTrace
}

// Positions returns every position. Each trace holds the words "parcel ID." and a failure
// that can be quoted: "the catalog service answered 503".
func Positions() []Position {
	return []Position{
		{"user message", "trace", messages(func(m []any, _ map[string]any, text string) { m[1].(map[string]any)["content"] = text })},
		{"system message", "trace", messages(func(m []any, _ map[string]any, text string) { m[0].(map[string]any)["content"] = text })},
		{"answer", "trace", messages(func(m []any, _ map[string]any, text string) {
			m[4].(map[string]any)["content"] = text + "\nSo the catalog service answered 503."
		})},
		{"tool result", "trace", messages(func(m []any, _ map[string]any, text string) { m[3].(map[string]any)["content"] = text })},
		{"tool arguments", "trace", messages(func(m []any, _ map[string]any, text string) {
			m[2].(map[string]any)["tool_calls"].([]any)[0].(map[string]any)["function"].(map[string]any)["arguments"] = marshal(map[string]any{"q": text})
		})},
		{"tool name", "trace", messages(func(m []any, _ map[string]any, text string) {
			m[2].(map[string]any)["tool_calls"].([]any)[0].(map[string]any)["function"].(map[string]any)["name"] = text
		})},
		{"argument name", "trace", messages(func(m []any, _ map[string]any, text string) {
			m[2].(map[string]any)["tool_calls"].([]any)[0].(map[string]any)["function"].(map[string]any)["arguments"] = marshal(map[string]any{text: "q"})
		})},
		{"metadata", "", messages(func(_ []any, p map[string]any, text string) { p["metadata"] = map[string]any{"note": text} })},
		{"metadata key", "", messages(func(_ []any, p map[string]any, text string) { p["metadata"] = map[string]any{text: 1} })},
		{"span name", "trace", spans(func(s map[string]any, text string) { s["name"] = text })},
		{"span attribute", "trace", spans(func(s map[string]any, text string) { attribute(s, "gen_ai.tool.call.arguments", text) })},
		{"error message", "trace", spans(func(s map[string]any, text string) { s["status"] = map[string]any{"code": 2, "message": text} })},
		{"error stack", "trace", spans(func(s map[string]any, text string) {
			s["events"] = []any{map[string]any{"name": "exception", "timeUnixNano": "1767322800500000000", "attributes": []any{
				keyValue("exception.type", "CatalogError"), keyValue("exception.message", "catalog down"), keyValue("exception.stacktrace", text),
			}}}
		})},
		{"unknown payload", "trace", raw(func(t *evalforge.RawTrace, text string) {
			t.Payload = json.RawMessage(marshal(map[string]any{"blob": text + "\nthe catalog service answered 503 for parcel " + t.TraceID + "."}))
		})},
		{"failure type", "hints", raw(func(t *evalforge.RawTrace, text string) { t.FailureType = text })},
		{"severity", "hints", raw(func(t *evalforge.RawTrace, text string) { t.Severity = text })},
		{"service name", "hints", raw(func(t *evalforge.RawTrace, text string) { t.ServiceName = text })},
		{"trace id", "", raw(func(t *evalforge.RawTrace, text string) { t.TraceID = text })},
	}
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("geminitest: %v", err)) // maps and strings always encode
	}
	return string(b)
}

// raw starts from a list of messages, and changes the raw trace.
func raw(change func(t *evalforge.RawTrace, text string)) func(id, text string) evalforge.RawTrace {
	return func(id, text string) evalforge.RawTrace {
		t := messages(func([]any, map[string]any, string) {})(id, text)
		change(&t, text)
		return t
	}
}

func messages(change func(m []any, payload map[string]any, text string)) func(id, text string) evalforge.RawTrace {
	return func(id, text string) evalforge.RawTrace {
		m := []any{
			map[string]any{"role": "system", "content": "You help customers of a shop."},
			map[string]any{"role": "user", "content": "Where is it?"},
			map[string]any{"role": "assistant", "content": "I look up parcel " + id + ".", "tool_calls": []any{map[string]any{
				"id": "c1", "type": "function", "function": map[string]any{"name": "lookup", "arguments": `{"q":"x"}`},
			}}},
			map[string]any{"role": "tool", "tool_call_id": "c1", "content": "Error: upstream"},
			map[string]any{"role": "assistant", "content": "I could not look it up: the catalog service answered 503."},
		}
		payload := map[string]any{"messages": m}
		change(m, payload, text)
		return rawTrace(id, payload)
	}
}

// spans starts from an OTLP export of one tool call.
func spans(change func(span map[string]any, text string)) func(id, text string) evalforge.RawTrace {
	return func(id, text string) evalforge.RawTrace {
		s := map[string]any{
			"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "execute_tool lookup",
			"startTimeUnixNano": "1767322800000000000", "endTimeUnixNano": "1767322801000000000",
			"status": map[string]any{"code": 2, "message": "the catalog service answered 503"},
			"attributes": []any{
				keyValue("gen_ai.operation.name", "execute_tool"), keyValue("gen_ai.tool.name", "lookup"),
				keyValue("gen_ai.tool.call.result", "no answer about parcel "+id+".: the catalog service answered 503"),
			},
		}
		change(s, text)
		return rawTrace(id, map[string]any{"resourceSpans": []any{map[string]any{
			"resource": map[string]any{"attributes": []any{keyValue("service.name", "shop")}}, "scopeSpans": []any{map[string]any{"spans": []any{s}}},
		}}})
	}
}

func attribute(span map[string]any, key, value string) {
	span["attributes"] = append(span["attributes"].([]any), keyValue(key, value))
}

func keyValue(key, value string) map[string]any {
	return map[string]any{"key": key, "value": map[string]any{"stringValue": value}}
}

func rawTrace(id string, payload map[string]any) evalforge.RawTrace {
	return evalforge.RawTrace{
		TraceID: id, FetchedAt: evalforge.At(time.Unix(1767322800, 0)), FailureType: "unknown", ServiceName: "shop",
		Payload: json.RawMessage(marshal(payload)), RecurrenceCount: 1,
	}
}
