package trace

import "strings"

// Answers in pieces of OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses-streaming

func isResponseEvent(m map[string]any, _ bool) bool {
	kind, _ := m["type"].(string)
	return strings.HasPrefix(kind, "response.") && first(m, "response", "item", "delta", "item_id", "output_index") != nil
}

// A responseItem is one item of the response's output in the making.
type responseItem struct {
	item       map[string]any
	done       bool
	text, args pieced
}

func joinResponseEvents(pieces []map[string]any) map[string]any {
	out := map[string]any{"object": "response"}
	var items []*responseItem
	for _, m := range pieces {
		if r := object(m["response"]); r != nil {
			keep(out, r, sortedKeys(r)...)
			continue
		}
		if m["type"] == "error" {
			out["error"] = first(m, "error")
			if out["error"] == nil {
				out["error"] = map[string]any{"code": m["code"], "message": m["message"]}
			}
			continue
		}
		if it := at(&items, count(m, "output_index")); it != nil {
			it.add(m)
		}
	}
	if len(list(out["output"])) > 0 { // the last event has it whole
		return out
	}
	output := []any{}
	for _, it := range items {
		if it != nil {
			output = append(output, it.whole())
		}
	}
	out["output"] = output
	return out
}

func (it *responseItem) add(m map[string]any) {
	if item := object(m["item"]); item != nil {
		it.item, it.done = item, m["type"] == "response.output_item.done"
		return
	}
	switch m["type"] {
	case "response.output_text.delta", "response.refusal.delta":
		it.text.add(m["delta"])
	case "response.function_call_arguments.delta", "response.mcp_call_arguments.delta", "response.custom_tool_call_input.delta":
		it.args.add(m["delta"])
	}
}

// whole returns the item: as it was when it was done, else what came of it.
func (it *responseItem) whole() map[string]any {
	if it.done {
		return it.item
	}
	out := map[string]any{"type": "message", "role": "assistant"}
	keep(out, it.item, sortedKeys(it.item)...)
	if out["type"] != "message" {
		delete(out, "role")
	}
	it.text.put(out, "content")
	it.args.put(out, "arguments")
	return out
}
