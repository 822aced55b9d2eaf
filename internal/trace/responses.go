package trace

import "strings"

// Items of OpenAI's Responses API, which a conversation consists of beside its messages:
// https://platform.openai.com/docs/api-reference/responses/object
//
// Tools that the provider runs itself are one item, the call with its result.

// isResponseItem recognises an item that is no message.
func isResponseItem(m map[string]any) bool {
	if m["role"] != nil {
		return false
	}
	switch kind := scalar(m["type"]); kind {
	case "function_call", "function_call_output", "item_reference", "mcp_list_tools", "mcp_approval_request":
		return true
	case "reasoning":
		return first(m, "summary", "encrypted_content", "content") != nil
	default:
		return (strings.HasSuffix(kind, "_call") || strings.HasSuffix(kind, "_call_output")) && first(m, "id", "call_id") != nil && first(m, "status", "call_id", "output", "action", "error", "arguments") != nil
	}
}

// isHostedCall reports whether an item is a call that the provider carried out.
func isHostedCall(m map[string]any) bool {
	return isResponseItem(m) && m["call_id"] == nil && strings.HasSuffix(scalar(m["type"]), "_call")
}

// parseResponseItem reads an item that is no message: as the model's message with its call,
// and the tool's with the result if the item has it.
func parseResponseItem(m map[string]any) []Message {
	kind := scalar(m["type"])
	switch {
	case kind == "function_call":
		return []Message{{Role: "assistant", Calls: []Call{parseCall(m)}}}
	case strings.HasSuffix(kind, "_call_output"):
		if out := object(m["output"]); scalar(out["type"]) == "computer_screenshot" {
			m = with(m, "output", "[computer_screenshot]")
		}
		return []Message{toolResult(m)}
	case kind == "reasoning":
		said := Message{Role: "assistant"}
		readContent(&said, nil, m["summary"])
		readContent(&said, nil, m["content"])
		return []Message{said}
	case !strings.HasSuffix(kind, "_call"): // about the request, not of the conversation
		return []Message{{Role: "assistant"}}
	}
	c := Call{ID: firstText(m, "call_id", "id"), Name: firstText(m, "name")}
	if c.Name == "" {
		c.Name = strings.TrimSuffix(kind, "_call")
	}
	c.Args = responseItemArgs(m)
	said := Message{Role: "assistant", Calls: []Call{c}}
	if m["call_id"] != nil { // the result comes in an item of its own
		return []Message{said}
	}
	r := Message{Role: "tool", Name: c.Name, ToolID: c.ID, IsErr: m["error"] != nil || scalar(m["status"]) == "failed"}
	switch v := first(m, "error", "output", "results", "outputs").(type) {
	case []any:
		for _, e := range v {
			if logs := scalar(object(e)["logs"]); logs != "" { // what code printed
				e = logs
			}
			readContent(&r, nil, e)
		}
	case map[string]any:
		r.Text = anyOf(scalar(v["message"]), canonical(v))
	default:
		r.Text = text(v)
	}
	if r.Text == "" {
		r.Text = scalar(m["status"])
	}
	return []Message{said, r}
}

// responseItemArgs returns what a tool of the provider was asked for. What a custom tool is
// given is text, not JSON.
func responseItemArgs(m map[string]any) string {
	if v := first(m, "arguments", "input", "action"); v != nil {
		args, _ := arguments(v)
		return args
	}
	args := make(map[string]any)
	for _, k := range [...]string{"queries", "code"} {
		if m[k] != nil {
			args[k] = m[k]
		}
	}
	if len(args) == 0 {
		return ""
	}
	return canonical(args)
}
