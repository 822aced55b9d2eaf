package trace

import "strings"

// Answers in pieces of Bedrock's ConverseStream: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html

func isConverseEvent(m map[string]any, _ bool) bool {
	return len(m) <= 2 && (object(m["messageStart"]) != nil || object(m["contentBlockDelta"]) != nil)
}

func joinConverseEvents(pieces []map[string]any) map[string]any {
	out := make(map[string]any)
	var blocks []*messageBlock
	for _, m := range pieces {
		for _, k := range [...]string{"contentBlockStart", "contentBlockDelta"} {
			event := object(m[k])
			if event == nil {
				continue
			}
			if b := at(&blocks, max(0, count(event, "contentBlockIndex"))); b != nil {
				b.addConverse(event)
			}
		}
		keep(out, object(m["messageStop"]), "stopReason")
		keep(out, object(m["metadata"]), "usage")
		for _, k := range sortedKeys(m) {
			if e := object(m[k]); strings.HasSuffix(k, "Exception") && e != nil {
				out["error"] = map[string]any{"type": k, "message": e["message"]}
			}
		}
	}
	var content []any
	for _, b := range blocks {
		if b != nil {
			content = append(content, b.wholeConverse())
		}
	}
	out["output"] = map[string]any{"message": map[string]any{"role": "assistant", "content": content}}
	return out
}

func (b *messageBlock) addConverse(event map[string]any) {
	if start := object(event["start"]); start != nil {
		b.start = start
	}
	delta := object(event["delta"])
	b.text.add(delta["text"])
	b.args.add(object(delta["toolUse"])["input"])
	b.thinking.add(object(delta["reasoningContent"])["text"])
}

func (b *messageBlock) wholeConverse() map[string]any {
	if call := object(b.start["toolUse"]); call != nil {
		return map[string]any{"toolUse": with(call, "input", b.args.String())}
	}
	return map[string]any{"text": b.thinking.String() + b.text.String()}
}
