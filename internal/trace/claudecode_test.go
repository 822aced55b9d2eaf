package trace

import "testing"

// Claude Code writes an entry for each block of a message as it is streamed, and its usage, so
// far, on each: what the message took is on the last, and counts once.
func TestClaudeUsageIsTheLast(t *testing.T) {
	tr, err := Decode([]byte(`{"messages":[
		{"type":"user","uuid":"u0","sessionId":"s","message":{"role":"user","content":"Go on."}},
		{"type":"assistant","uuid":"u1","sessionId":"s","message":{"id":"m1","role":"assistant","content":[{"type":"text","text":"I"}],"usage":{"input_tokens":3,"output_tokens":1,"cache_read_input_tokens":5}}},
		{"type":"assistant","uuid":"u2","sessionId":"s","message":{"id":"m1","role":"assistant","content":[{"type":"text","text":"go"}],"usage":{"input_tokens":3,"output_tokens":77}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tr.Steps[1].Tokens, (Tokens{In: 3, Out: 77, Cached: 5}); got != want {
		t.Errorf("the message's first step has %+v, want %+v", got, want)
	}
	if got := tr.Steps[2].Tokens; got != unknownTokens {
		t.Errorf("its second step has %+v, want none", got)
	}
}
