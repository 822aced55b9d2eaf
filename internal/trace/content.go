package trace

import "strings"

// This file reads what a message says: a text, or a list of typed parts.

// readContent adds content, text or a list of typed parts, to m, and returns results
// with the tool results among the parts appended.
func readContent(m *Message, results []Message, content any) []Message {
	parts, ok := content.([]any)
	if !ok {
		if o, isObject := content.(map[string]any); isObject {
			parts = []any{o}
		} else {
			if s := scalar(content); s != "" {
				m.Text = join(m.Text, s)
			}
			return results
		}
	}
	var said lines
	said.add(m.Text)
	for _, p := range parts {
		if s, ok := p.(string); ok {
			said.add(s)
			continue
		}
		part := object(p)
		if part == nil {
			continue
		}
		if inner := object(part["message_content"]); inner != nil {
			part = inner
		}
		results = readPart(m, &said, results, part)
	}
	m.Text = said.text()
	return results
}

// lines are texts that become one, each from a line of its own; empty ones are none.
type lines struct {
	first string
	rest  strings.Builder
}

func (l *lines) add(s string) {
	switch {
	case s == "":
	case l.first == "" && l.rest.Len() == 0:
		l.first = s
	default:
		if l.rest.Len() == 0 {
			l.rest.WriteString(l.first)
		}
		l.rest.WriteByte('\n')
		l.rest.WriteString(s)
	}
}

func (l *lines) text() string {
	if l.rest.Len() == 0 {
		return l.first
	}
	return l.rest.String()
}

// readPart adds one typed part of a message to m, to what it said, or to results.
func readPart(m *Message, said *lines, results []Message, part map[string]any) []Message {
	kind := scalar(part["type"])
	if results, ok := bedrockPart(m, said, results, part); ok {
		return results
	}
	switch {
	case part["functionCall"] != nil, part["function_call"] != nil: // Gemini
		if fc := object(first(part, "functionCall", "function_call")); fc != nil {
			m.Calls = append(m.Calls, parseCall(fc))
		}
		return results
	case part["functionResponse"] != nil, part["function_response"] != nil:
		if fr := object(first(part, "functionResponse", "function_response")); fr != nil {
			r := toolResult(fr)
			r.IsErr = r.IsErr || object(fr["response"])["error"] != nil // as its API has it
			results = append(results, r)
		}
		return results
	}
	switch kind {
	case "tool_call", "tool_use", "tool-call", "toolCall", "server_tool_call", "server_tool_use", "mcp_tool_use":
		m.Calls = append(m.Calls, parseCall(part))
	case "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result", "bash_code_execution_tool_result",
		"text_editor_code_execution_tool_result", "mcp_tool_result", "tool_call_response", "tool_result", "tool-result", "toolResult", "server_tool_call_response":
		results = append(results, toolResult(part))
	case "document":
		said.add(documentText(part))
	case "refusal":
		m.Refusal = join(m.Refusal, firstText(part, "refusal", "content", "text"))
	case "image", "image_url", "input_image", "audio", "input_audio", "file", "input_file", "blob", "uri", "video", "redacted_thinking":
		said.add("[" + kind + "]")
	default:
		v := first(part, "text", "content", "thinking", "reasoning", "value", cutField)
		if o, ok := v.(map[string]any); ok && scalar(o["value"]) != "" { // OpenAI's Assistants, with annotations
			v = o["value"]
		}
		if v == nil && len(part) == 1 && scalar(part["data"]) != "" { // AutoGen's image
			v = "[data]"
		} else if v == nil && len(part) > 0 {
			v = part
		}
		said.add(text(v))
	}
	return results
}

// documentText returns what a part of a message says that is a document: its text, if it is
// one.
func documentText(part map[string]any) string {
	source := object(part["source"])
	if s := anyOf(firstText(part, "text", "content"), scalar(source["content"])); s != "" {
		return s
	}
	if scalar(source["type"]) == "text" {
		return scalar(source["data"])
	}
	return "[document]"
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	if b == "" {
		return a
	}
	return a + "\n" + b
}
