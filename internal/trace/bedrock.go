package trace

// Parts of messages of Amazon Bedrock's Converse API, which name themselves by their only
// key: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html

// bedrockTools returns the tools that a request to the Converse API declares.
func bedrockTools(request map[string]any) any { return object(request["toolConfig"])["tools"] }

// bedrockInvocation returns the request and the response, or the pieces of one, that Bedrock
// logged of a call, with their JSON pointers; ok tells whether m is such a log's line.
// https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html
func bedrockInvocation(m map[string]any) (request map[string]any, response any, requestAt, responseAt string, ok bool) {
	if m["schemaType"] != "ModelInvocationLog" {
		return nil, nil, "", "", false
	}
	request = object(object(m["input"])["inputBodyJson"])
	return request, embedded(object(m["output"])["outputBodyJson"]), "/input/inputBodyJson", "/output/outputBodyJson", true
}

// bedrockPart adds part to m, to what it said, or to results, unless it is a text.
func bedrockPart(m *Message, said *lines, results []Message, part map[string]any) ([]Message, bool) {
	if call := object(part["toolUse"]); call != nil {
		c := Call{ID: scalar(call["toolUseId"]), Name: scalar(call["name"])}
		c.Args, c.ArgsErr = arguments(call["input"])
		m.Calls = append(m.Calls, c)
		return results, true
	}
	if result := object(part["toolResult"]); result != nil {
		r := Message{Role: "tool", ToolID: scalar(result["toolUseId"]), IsErr: scalar(result["status"]) == "error"}
		readContent(&r, nil, result["content"])
		return append(results, r), true
	}
	if r := object(part["reasoningContent"]); r != nil {
		said.add(scalar(object(r["reasoningText"])["text"]))
		return results, true
	}
	if len(part) == 1 {
		for _, k := range [...]string{"image", "video", "document"} {
			if o := object(part[k]); o["format"] != nil && o["source"] != nil {
				said.add("[" + k + "]")
				return results, true
			}
		}
	}
	return results, false
}

// bedrockParts returns the list of such parts that v, a string, holds, else v.
func (c *memo) bedrockParts(v any) any {
	s, ok := v.(string)
	if !ok {
		return v
	}
	if l := c.array(s); areBedrockParts(l) {
		return l
	}
	return v
}

// areBedrockParts reports whether all of l, which is not empty, are such parts.
func areBedrockParts(l []any) bool {
	for _, e := range l {
		m, _ := e.(map[string]any)
		if len(m) != 1 || first(m, "text", "toolUse", "toolResult", "reasoningContent", "image", "video", "document", "json") == nil {
			return false
		}
	}
	return len(l) > 0
}
