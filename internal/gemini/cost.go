package gemini

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
)

const (
	// extraTokens is room for what stands around the text in a prompt: roles, ends of
	// turns, the frame of the schema.
	extraTokens = 256
	// likelyBytes is how many bytes a token of a prompt has on average: text has about
	// four, the JSON of traces a little less.
	likelyBytes = 3.5
	// likelyAnswer is the length of a usual answer in tokens.
	likelyAnswer = 900
)

// fixedBytes returns the size of what every request has: instruction and schema.
func fixedBytes(instruction string, schema map[string]any) int64 {
	b, err := json.Marshal(schema)
	if err != nil { // it came from JSON
		return int64(len(instruction)) + 1<<16
	}
	return int64(len(instruction) + len(b))
}

// promptTokens bounds the tokens of a request's prompt. A token stands for at least one
// byte of text, whatever the text: the tokenizer falls back to single bytes.
func (a *Analyzer) promptTokens(message string) int64 {
	return a.fixed + int64(len(message)) + extraTokens
}

// next returns the request that is about to be made.
func (c *call) next() extract.Call {
	model, wider := c.model, c.wider
	return extract.Call{Model: model, Prompt: c.a.promptTokens(c.message),
		Most: func() extract.Bound { return c.bound(model, wider) }}
}

// bound returns the worst case of a request: every byte of the prompt a token, the answer
// as long as it may be, at the standard tier. The usual price is that of the dearest model
// that could take over, or was found to answer. Until the model that is asked has answered
// at its own price, any could: the service tells only with the answer.
func (c *call) bound(model string, wider bool) extract.Bound {
	a := c.a
	prompt := a.promptTokens(c.message)
	output := int64(a.outputCap(familyOf(model), wider))
	cost := func(p Price) extract.Amount {
		return extract.Amount{NanoUSD: extract.NanoUSD(p.Cost(prompt, 0, output)), Tokens: prompt + output}
	}
	price, _ := a.price(model) // another call may have retired it just now
	usual := cost(price)
	for _, m := range a.lineup.all() {
		price, _ := a.price(m)
		usual = dearer(usual, cost(price))
	}
	for _, m := range a.lineup.others() {
		price, _ := a.price(m)
		usual = dearer(usual, cost(price))
	}
	if a.lineup.proven(model, a.now()) {
		return extract.Bound{Any: usual, Usual: usual}
	}
	return extract.Bound{Any: dearer(usual, cost(a.opt.Prices.Dearest())), Usual: usual}
}

// dearer returns the amount with more money.
func dearer(a, b extract.Amount) extract.Amount {
	if a.NanoUSD > b.NanoUSD {
		return a
	}
	return b
}

// enter passes the gate of the run, and returns what is to be called with the result.
func (c *call) enter(ctx context.Context) (leave func(ex *exchange, f *failure, err error), refused *failure) {
	began := c.a.now()
	next := c.next()
	end, err := extract.Enter(ctx, next)
	c.waited += c.a.now().Sub(began)
	if err != nil {
		return nil, &failure{kind: extract.KindOf(err), err: err}
	}
	before, bound := c.spent, next.Most()
	return func(ex *exchange, f *failure, err error) {
		tokens, usd := c.spent.Tokens, c.spent.CostUSD-before.CostUSD
		prompt := tokens.Prompt - before.Tokens.Prompt
		e := extract.CallEnd{
			Took: extract.Amount{NanoUSD: extract.NanoUSD(usd), Tokens: prompt + tokens.Output - before.Tokens.Output},
			// An answer that says what it took, a refusal, or a call that never left.
			Known:  c.counted || ex.status >= http.StatusMultipleChoices || neverLeft(ex, err),
			Prompt: prompt,
		}
		if !e.Known {
			most, longer := c.most(bound, next.Prompt)
			if longer {
				e.Took, e.Known = most, true
			}
			c.unsure(next.Prompt, most, prompt, tokens.Output-before.Tokens.Output, usd)
		}
		if f != nil && err != nil && modelsFault(f.kind) {
			e.Failed = f.err
			e.Refused = f.kind == extract.KindRateLimited || ex.status == http.StatusServiceUnavailable
			e.OverQuota, e.Quota = f.kind == extract.KindRateLimited, f.quota
			e.Exhausted = f.kind == extract.KindRateLimited && !f.retry
			if e.Refused {
				e.Wait = max(f.wait, c.backoff())
			}
		}
		end(e)
	}, nil
}

// most returns what a call whose usage is not known can have taken, and whether that is more
// than was reserved: an answer can be longer than it may be.
func (c *call) most(b extract.Bound, prompt int64) (most extract.Amount, longer bool) {
	over := c.sized + prompt - b.Any.Tokens
	if over <= 0 {
		return b.Any, false
	}
	price, _ := c.a.price(c.model)
	return b.Any.Add(extract.Amount{NanoUSD: extract.NanoUSD(price.Cost(0, 0, over)), Tokens: over}), true
}

// unsure notes what a call can have taken at most beyond what was said of it.
func (c *call) unsure(prompt int64, most extract.Amount, saidPrompt, saidOutput int64, saidUSD float64) {
	u := &c.spent.Unsure
	u.Calls++
	u.Tokens.Prompt += max(0, prompt-saidPrompt)
	u.Tokens.Output += max(0, most.Tokens-prompt-saidOutput)
	u.CostUSD += max(0, most.USD()-saidUSD)
}

// modelsFault reports a kind of failure that need not be about the trace.
func modelsFault(k extract.Kind) bool {
	return k == extract.KindRateLimited || k == extract.KindUnavailable || k == extract.KindTimeout
}

// neverLeft reports a call that cost nothing because it never reached the service, or not as
// a whole: its connection broke while the request was written.
func neverLeft(ex *exchange, err error) bool {
	var dial *net.OpError
	var dns *net.DNSError
	return err != nil && (!ex.sent || errors.As(err, &dns) || errors.As(err, &dial) && dial.Op == "dial" ||
		ex.status == 0 && ex.broke.Load() && !ex.wrote.Load())
}

// backoff is the bound of the next wait that the service did not ask for: it doubles
// with each refusal.
func (c *call) backoff() time.Duration {
	return min(c.a.opt.Backoff<<min(c.refusals, maxRefusals), maxBackoff)
}

// Estimate implements [extract.Estimator].
func (a *Analyzer) Estimate(in *extract.Input) extract.Estimate {
	msg, err := message(in, a.newMarker)
	if err != nil {
		return extract.Estimate{}
	}
	c := &call{a: a, message: msg, model: a.lineup.current()}
	prompt := int64(float64(a.fixed+int64(len(msg))) / likelyBytes)
	price, _ := a.price(c.model)
	if a.opt.Tier == Flex {
		price = price.flex(a.opt.Prices.Flex)
	}
	return extract.Estimate{
		Likely: extract.Amount{NanoUSD: extract.NanoUSD(price.Cost(prompt, 0, likelyAnswer)), Tokens: prompt + likelyAnswer},
		Most:   c.bound(c.model, false).Usual,
	}
}

// Version implements [extract.Versioned]. It names the configured model, whichever answers:
// what a successor answered is what the same settings give again, also before it is found
// out anew that the configured one is gone.
func (a *Analyzer) Version() string {
	model := a.lineup.configured
	temperature := "none"
	if t := a.temperature(model); t != nil {
		temperature = strconv.FormatFloat(*t, 'g', -1, 64)
	}
	return bareModel(model) + " prompt " + a.version + " temperature " + temperature
}

// NewEstimator returns an analyzer that has no access to any service: it can estimate,
// and say its version.
func NewEstimator(opt Options) (*Analyzer, error) {
	opt.Backend, opt.APIKey, opt.Project = GeminiAPI, "none", ""
	return offline(opt)
}
