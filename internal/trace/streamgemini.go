package trace

import "slices"

// Answers in pieces of Gemini's streamGenerateContent: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent

func isCandidatesPart(m map[string]any, only bool) bool {
	if only && len(m) == 1 && object(m["error"]) != nil {
		return true
	}
	candidates, ok := m["candidates"].([]any)
	return ok && (only || !slices.ContainsFunc(candidates, func(c any) bool {
		m, _ := c.(map[string]any)
		return first(m, "finishReason", "finish_reason") != nil
	}))
}

// A candidateParts is one candidate in the making.
type candidateParts struct {
	parts  []any
	text   map[string]any // the part whose text goes on, which said holds, or nil
	said   pieced
	finish any
}

func joinCandidates(pieces []map[string]any) map[string]any {
	out := make(map[string]any)
	var candidates []*candidateParts
	for _, m := range pieces {
		keep(out, m, "responseId", "modelVersion", "usageMetadata", "usage_metadata", "model_version", "promptFeedback", "createTime", "error")
		for i, e := range list(m["candidates"]) {
			o := object(e)
			if n := count(o, "index"); n >= 0 {
				i = n
			}
			if c := at(&candidates, i); c != nil {
				c.add(o)
			}
		}
	}
	var all []any
	for _, c := range candidates {
		if c != nil {
			c.endText()
			all = append(all, map[string]any{"finishReason": c.finish, "content": map[string]any{"role": "model", "parts": c.parts}})
		}
	}
	out["candidates"] = all
	return out
}

// add takes a piece in. A text goes on in the next piece.
func (c *candidateParts) add(m map[string]any) {
	if v := first(m, "finishReason", "finish_reason"); v != nil {
		c.finish = v
	}
	for _, e := range list(object(m["content"])["parts"]) {
		part := object(e)
		if part == nil {
			continue
		}
		said, isText := part["text"].(string)
		if !isText || c.text != nil && truth(c.text["thought"]) != truth(part["thought"]) {
			c.endText()
		}
		if !isText {
			c.parts = append(c.parts, part)
			continue
		}
		if c.text == nil {
			c.text = part
		}
		c.said.WriteString(said)
	}
}

// endText ends the part whose text goes on.
func (c *candidateParts) endText() {
	if c.text != nil {
		c.parts = append(c.parts, with(c.text, "text", c.said.String()))
	}
	c.text, c.said = nil, pieced{}
}
