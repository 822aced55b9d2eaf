package trace

// Requests to Gemini as its SDKs and Google Cloud record them beside those of the REST API:
// https://ai.google.dev/api/generate-content,
// https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/request-response-logging

// geminiRequest returns a request with the fields that the REST API has: the SDKs take a
// text or parts for contents, and have the rest in a configuration.
func geminiRequest(m map[string]any) map[string]any {
	contents, ok := m["contents"]
	if !ok {
		return m
	}
	if whole := geminiContents(contents); whole != nil {
		m = with(m, "contents", whole)
	}
	config := object(first(m, "config", "generation_config", "generationConfig"))
	for _, k := range [...]string{"system_instruction", "systemInstruction", "tools"} {
		if v := config[k]; v != nil && m[k] == nil {
			m = with(m, k, v)
		}
	}
	return m
}

// geminiContents returns the contents that a text, a part, or a list of them stands for, or
// nil where v is a list of contents already.
func geminiContents(v any) []any {
	var parts []any
	switch v := v.(type) {
	case string:
		parts = []any{map[string]any{"text": v}}
	case map[string]any:
		if v["parts"] != nil {
			return []any{v}
		}
		parts = []any{v}
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				e = map[string]any{"text": s}
			}
			if m := object(e); m == nil || first(m, "parts", "role") != nil {
				return nil
			}
			parts = append(parts, e)
		}
	}
	if parts == nil {
		return nil
	}
	return []any{map[string]any{"role": "user", "parts": parts}}
}

// geminiRefusal returns why a prompt was not answered, or "".
func geminiRefusal(response map[string]any) string {
	return firstText(object(first(response, "promptFeedback", "prompt_feedback")), "blockReason", "block_reason")
}

// batchStatus returns the error in the status of a line of a batch of Vertex AI, or "".
func batchStatus(line map[string]any) string {
	if line["processed_time"] == nil {
		return ""
	}
	return scalar(line["status"])
}
