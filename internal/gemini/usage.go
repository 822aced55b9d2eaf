package gemini

import (
	"google.golang.org/genai"

	"github.com/evalforge/evalforge"
)

// count adds what a response says it took to what was spent, and notes whether that can be
// all of it. The price is that of the model that answered: the Gemini API routes retired
// models to others, and bills those.
func (c *call) count(resp *genai.GenerateContentResponse) {
	text, cut := "", false
	if len(resp.Candidates) > 0 && resp.Candidates[0] != nil {
		text, cut = textOf(resp.Candidates[0]), resp.Candidates[0].FinishReason == genai.FinishReasonMaxTokens
	}
	c.sized = int64(EstimateTokens(text))
	u := resp.UsageMetadata
	if u == nil {
		return
	}
	t := tokensOf(u)
	c.counted = believable(t.Prompt, int64(EstimateTokens(c.message))) && believable(t.Output, c.sized) && !(cut && t.Output == 0)
	c.spent.Tokens = c.spent.Tokens.Add(t)
	c.spent.CostUSD += c.answeredPrice(u).Cost(t.Prompt, t.Cached, t.Output)
}

// tokensOf returns the tokens that a response is billed for. Fields are left out at times:
// what the total has beyond the prompt is output.
func tokensOf(u *genai.GenerateContentResponseUsageMetadata) evalforge.Tokens {
	pos := func(n int32) int64 { return max(0, int64(n)) }
	t := evalforge.Tokens{
		Prompt: pos(u.PromptTokenCount) + pos(u.ToolUsePromptTokenCount),
		Output: pos(u.CandidatesTokenCount) + pos(u.ThoughtsTokenCount),
	}
	if t.Prompt > 0 {
		t.Output = max(t.Output, pos(u.TotalTokenCount)-t.Prompt)
	}
	t.Cached = min(pos(u.CachedContentTokenCount), t.Prompt)
	return t
}

// believable reports whether a text of an estimated size can have as few tokens as a response
// says. A tokenizer makes a token of sixteen letters at times, and of four usually; the
// estimate is within a factor of two of it. No prompt is empty: a zero is one that was left out.
func believable(said, estimated int64) bool { return said >= (estimated+7)/8 }

// answeredPrice returns the price at which a call was billed.
func (c *call) answeredPrice(u *genai.GenerateContentResponseUsageMetadata) Price {
	price := c.a.billed(c.modelVersion, c.model)
	if c.a.servedAsFlex(u) {
		price = price.flex(c.a.opt.Prices.Flex)
	}
	return price
}
