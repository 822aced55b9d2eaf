package trace

import "strings"

// Conversations as ShareGPT and the tools that fine-tune models write them, {"from": "human",
// "value": "hi"}: https://docs.axolotl.ai/docs/dataset-formats/conversation.html,
// https://llamafactory.readthedocs.io/en/latest/getting_started/data_preparation.html
//
// Calls and results of tools have speakers of their own, or stand in tags in what is said, as
// Hermes' function calling has them.

// shareGPTKeys are the fields in which documents keep such a conversation; a list of turns
// comes under the first.
var shareGPTKeys = [...]string{"conversations", "conversation", "items", "messages"}

// shareGPTRole returns the role of what a speaker says; that of a call in a turn of its own
// is "". It reports false for no speaker.
func shareGPTRole(from string) (role string, ok bool) {
	switch from {
	case "system":
		return "system", true
	case "human", "user":
		return "user", true
	case "gpt", "chatgpt", "assistant", "model", "bot", "bing", "bard":
		return "assistant", true
	case "observation", "tool", "function_response", "tool_response", "function":
		return "tool", true
	case "function_call", "tool_call":
		return "", true
	}
	return "", false
}

// shareGPTTurns returns the turns in doc and their JSON pointer, or nil.
func shareGPTTurns(doc any) ([]any, string) {
	switch doc := doc.(type) {
	case []any:
		if shareGPTList(doc) != "" {
			return doc, ""
		}
	case map[string]any:
		for _, k := range shareGPTKeys {
			if l := list(doc[k]); shareGPTList(l) != "" {
				return l, pointer("", k)
			}
		}
	}
	return nil, ""
}

// shareGPTList returns the field that a document has l in, if that is a list of turns.
func shareGPTList(l []any) string {
	const enough = 10
	for _, e := range l[:min(len(l), enough)] {
		m, _ := e.(map[string]any)
		from, _ := m["from"].(string)
		if _, ok := shareGPTRole(from); !ok || m["value"] == nil {
			return ""
		}
	}
	if len(l) == 0 {
		return ""
	}
	return shareGPTKeys[0]
}

func isShareGPT(doc any) bool {
	l, _ := shareGPTTurns(doc)
	return l != nil
}

func decodeShareGPT(b *builder, doc any) {
	turns, base := shareGPTTurns(doc)
	d := chatDecoder{b: b}
	m, _ := doc.(map[string]any)
	tools := parseTools(first(m, "tools", "functions"))
	messages := make([]any, len(turns))
	for i, e := range turns {
		messages[i] = e
		if turn := object(e); turn != nil {
			tools = append(tools, hermesTools(turn)...)
			messages[i] = shareGPTMessage(turn)
		}
	}
	d.tools = b.declare(tools)
	if m != nil {
		d.header(m)
		fill(&b.t.ID, firstText(m, "id"))
	}
	d.decode(messages, base)
	if m != nil {
		d.footer(m, len(messages))
	}
}

// shareGPTMessage returns the message that a turn is.
func shareGPTMessage(turn map[string]any) map[string]any {
	from, value := scalar(turn["from"]), turn["value"]
	role, known := shareGPTRole(from)
	switch {
	case !known:
		role = from
	case role == "": // what is said is the call, or a list of calls
		calls := list(value)
		if m := object(value); m != nil {
			calls = []any{m}
		}
		if calls != nil {
			return map[string]any{"role": "assistant", "tool_calls": calls}
		}
		role = "assistant"
	case role == "assistant":
		if said, calls := tagged(scalar(value), "tool_call"); calls != nil {
			return map[string]any{"role": role, "content": said, "tool_calls": calls}
		}
	case role == "tool":
		if _, results := tagged(scalar(value), "tool_response"); results != nil {
			return map[string]any{"role": role, "tool_results": results}
		}
	}
	return map[string]any{"role": role, "content": text(value)}
}

// hermesTools returns the tools that a system's turn declares.
func hermesTools(turn map[string]any) []Tool {
	if turn["from"] != "system" {
		return nil
	}
	_, declared := tagged(scalar(turn["value"]), "tools")
	var tools []Tool
	for _, d := range declared {
		tools = append(tools, parseTools(d)...)
	}
	return tools
}

// tagged returns what the elements of that name in s hold as JSON, and what stands around
// them. Others stay where they are.
func tagged(s, name string) (rest string, found []any) {
	open, end := "<"+name+">", "</"+name+">"
	var around lines
	for {
		before, after, ok := strings.Cut(s, open)
		inner, next, closed := strings.Cut(after, end)
		v := embedded(strings.TrimSpace(inner))
		if _, isText := v.(string); !ok || !closed || isText {
			break
		}
		around.add(strings.TrimSpace(before))
		found, s = append(found, v), next
	}
	around.add(strings.TrimSpace(s))
	return around.text(), found
}
