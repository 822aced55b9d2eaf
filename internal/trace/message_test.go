package trace

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawMessage draws a message that is about as OpenAI writes them: each field may be
// missing, null or of another type, and there may be others.
func drawMessage(t *rapid.T) map[string]any {
	text := rapid.SampledFrom([]string{"", "x", "user", "42", `{"a": 1}`, `["b"]`})
	odd := rapid.SampledFrom([]any{nil, true, json.Number("7"), []any{}, []any{"x"}, map[string]any{}, map[string]any{"a": "b"}})
	draw := func(m map[string]any, key string, usual *rapid.Generator[any]) {
		switch rapid.IntRange(0, 9).Draw(t, key) {
		case 0, 1:
		case 2:
			m[key] = odd.Draw(t, "odd "+key)
		default:
			m[key] = usual.Draw(t, "usual "+key)
		}
	}
	m := make(map[string]any)
	draw(m, "role", rapid.SampledFrom([]any{"user", "assistant", "tool", "system", "developer", "function", "Planner", ""}))
	draw(m, "content", text.AsAny())
	for _, key := range []string{"name", "tool_call_id", "id", "timestamp", "refusal"} {
		if rapid.Bool().Draw(t, "has "+key) {
			draw(m, key, text.AsAny())
		}
	}
	if rapid.Bool().Draw(t, "calls") {
		calls := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "number") {
			c, f := make(map[string]any), make(map[string]any)
			draw(f, "name", text.AsAny())
			draw(f, "arguments", text.AsAny())
			draw(c, "id", text.AsAny())
			draw(c, "type", rapid.SampledFrom([]any{"function", "custom"}))
			draw(c, "function", rapid.Just[any](f))
			calls = append(calls, c)
		}
		m["tool_calls"] = calls
	}
	if rapid.IntRange(0, 4).Draw(t, "more") == 0 {
		key := rapid.SampledFrom([]string{"type", "kind", "data", "parts", "message", "is_error", "call_id", "output"}).Draw(t, "key")
		draw(m, key, text.AsAny())
	}
	return m
}

// What plainMessage reads is what the reader of all dialects reads.
func TestPlainMessage(t *testing.T) {
	plain := 0
	rapid.Check(t, func(t *rapid.T) {
		for range 30 {
			m := drawMessage(t)
			got, ok := plainMessage(m)
			if !ok {
				continue
			}
			plain++
			if diff := cmp.Diff(anyMessage(m, "user"), []Message{got}); diff != "" {
				t.Fatalf("%v (-any dialect +plain):\n%s", m, diff)
			}
			if !isMessage(m) || isResponseItem(m) || finishReason(m) != "" {
				t.Fatalf("%v is no message, or one that says more", m)
			}
		}
	})
	if plain == 0 {
		t.Error("no message was a plain one")
	}
}

// A result is joined to its call, however many calls have none.
func TestCallsWithoutResults(t *testing.T) {
	var messages []any
	say := func(m map[string]any) { messages = append(messages, m) }
	call := func(id, args string) {
		say(map[string]any{"role": "assistant", "tool_calls": []any{map[string]any{"id": id, "function": map[string]any{"name": "find", "arguments": args}}}})
	}
	for i := range 3 * maxPending {
		call(pointer("lost", i), "{}")
	}
	for i := range maxPending {
		say(map[string]any{"role": "tool", "tool_call_id": pointer("unknown", i), "content": "x"})
	}
	call("c", `{"a":1}`)
	say(map[string]any{"role": "tool", "tool_call_id": "c", "content": "found"})
	tr := decodeValue(map[string]any{"messages": messages}, nil)
	last := tr.Steps[len(tr.Steps)-1].Tool
	if last == nil || last.Args != `{"a":1}` || last.Name != "find" {
		t.Errorf("the last result is of %+v", last)
	}
}
