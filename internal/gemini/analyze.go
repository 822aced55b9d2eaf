package gemini

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genai"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

const (
	// maxAttempts bounds the calls for one trace; Google asks for no more than two
	// retries. A call that found its model gone does not count: it costs nothing, and no
	// model is asked twice after that.
	maxAttempts = 3
	// maxRefusals bounds, in a run with a gate, the calls for one trace that the service
	// refused for quota: they cost nothing, are no fault of the trace, and the gate does
	// the waiting, for all traces at once.
	maxRefusals = 10
	// maxBackoff bounds one wait that the service did not ask for.
	maxBackoff = 30 * time.Second
	// minCall is the least time worth starting a call in: a call that is cancelled may be
	// billed all the same.
	minCall = 250 * time.Millisecond
	// maxAnalyze bounds an analysis whose caller set no deadline.
	maxAnalyze = 10 * time.Minute
)

// Analyze implements [extract.Analyzer].
func (a *Analyzer) Analyze(ctx context.Context, in *extract.Input) (*extract.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, maxAnalyze)
	defer cancel()
	start := a.now()
	msg, err := message(in, a.newMarker)
	if err != nil {
		return nil, &extract.Error{Kind: extract.KindInternal, Err: fmt.Errorf("gemini: prompt: %w", err)}
	}
	c := call{a: a, in: in, message: msg}
	an, raw, f := c.run(ctx)
	c.spent.Latency = a.now().Sub(start) - c.waited
	if f != nil {
		// An answer that was cut with all the room that there is would be cut again.
		final := f.final || f.cut && (c.wider || !c.canWiden())
		return nil, &extract.Error{Kind: f.kind, Err: f.err, Response: f.answer, Spent: c.spent, Final: final}
	}
	return &extract.Answer{
		Analysis:     an,
		Model:        c.model,
		ModelVersion: c.modelVersion,
		PromptSHA256: a.version,
		Temperature:  a.temperature(c.model),
		Tokens:       c.spent.Tokens,
		CostUSD:      c.spent.CostUSD,
		Attempts:     c.spent.Attempts,
		Unsure:       c.spent.Unsure,
		Finish:       c.finish,
		Latency:      c.spent.Latency,
		Raw:          raw,
	}, nil
}

// A call is the analysis of one trace: all its attempts.
type call struct {
	a            *Analyzer
	in           *extract.Input
	message      string
	model        string // asked last
	modelVersion string // answered last
	finish       string // of the answer, where it was not complete
	wider        bool   // the output cap was doubled
	spent        extract.Spent
	counted      bool          // the last response said what it took, believably
	sized        int64         // tokens of the last response, by the size of its text
	refusals     int           // for quota
	waited       time.Duration // for turns
}

// run makes attempts until one succeeds, the failure is one that a repetition cannot
// cure, or attempts or time run out.
func (c *call) run(ctx context.Context) (evalforge.Analysis, []byte, *failure) {
	a := c.a
	for n := 1; ; n++ {
		began := a.now()
		an, raw, f := c.attempt(ctx)
		if f == nil {
			return an, raw, nil
		}
		a.log.DebugContext(ctx, "model call failed", "trace_id", c.in.TraceID, "model", c.model,
			"attempt", n, "kind", f.kind, "error", f.err, "took", a.now().Sub(began))
		if f.gone {
			if !a.advance(ctx, c.model, f) {
				return an, nil, noModel(f)
			}
			n--
			continue
		}
		if f.kind == extract.KindRateLimited && f.retry && extract.Gated(ctx) && c.refusals < maxRefusals {
			c.refusals++
			n--
			continue
		}
		if n >= maxAttempts {
			return an, nil, after(n, f)
		}
		// A cut answer would be cut again, and a longer one takes about as long again.
		if f.kind == extract.KindTruncated && !c.wider && c.canWiden() && a.remaining(ctx) > a.now().Sub(began)+minCall {
			c.wider = true
			continue
		}
		if !f.retry {
			return an, nil, after(n, f)
		}
		if f.busy && f.hinted && extract.Gated(ctx) {
			continue // the gate waits for as long as the service asks, and not in the trace's time
		}
		if f := a.pause(ctx, n, f); f != nil {
			return an, nil, after(n, f)
		}
	}
}

// after says after how many attempts a failure was final.
func after(n int, f *failure) *failure {
	if n > 1 {
		f.err = fmt.Errorf("after %d attempts: %w", n, f.err)
	}
	return f
}

// attempt sends one request and reads its answer. Whatever comes back is counted.
func (c *call) attempt(ctx context.Context) (evalforge.Analysis, []byte, *failure) {
	a := c.a
	c.model = a.lineup.current()
	if ctx.Err() != nil {
		return evalforge.Analysis{}, nil, interrupted(ctx)
	}
	leave, refused := c.enter(ctx)
	if refused != nil {
		return evalforge.Analysis{}, nil, refused
	}
	ctx, ex := watch(ctx)
	contents := []*genai.Content{genai.NewContentFromText(c.message, genai.RoleUser)}
	c.spent.Attempts++
	c.counted, c.sized = false, 0
	resp, err := guard(func() (*genai.GenerateContentResponse, error) {
		return a.client.Models.GenerateContent(ctx, c.model, contents, a.config(c.model, c.wider))
	})
	if err == nil && !isModels(resp) {
		err = errStrange
	}
	if err != nil {
		f := a.classify(ctx, err, ex, c.in.Compacted.JSON)
		leave(ex, f, err)
		return evalforge.Analysis{}, nil, f
	}
	c.modelVersion = bareModel(resp.ModelVersion)
	a.noteRouting(ctx, c.model, c.modelVersion)
	if c.modelVersion != "" { // else it is no proof of anything
		a.lineup.answered(c.model, a.now(), a.isDearer(c.modelVersion, c.model))
	}
	c.count(resp)
	leave(ex, nil, nil)
	an, raw, f := a.read(resp)
	if f == nil {
		c.finish = finishOf(resp)
	}
	return an, raw, f
}

// guard calls the SDK, which panics on JSON of another form than it expects (v1.77.0,
// on {"candidates":"x"} from the Gemini API). The panic's value may quote the response.
func guard[T any](call func() (T, error)) (v T, err error) {
	defer func() {
		if recover() != nil {
			err = errMalformed
		}
	}()
	return call()
}

// servedAsFlex reports a call that is billed in the Flex tier. Vertex AI says so in the
// answer, and one that does not is counted in full. The Gemini API does not say, but
// refuses what it cannot serve in that tier.
func (a *Analyzer) servedAsFlex(u *genai.GenerateContentResponseUsageMetadata) bool {
	if a.opt.Backend == Vertex {
		return u.TrafficType == genai.TrafficTypeOnDemandFlex
	}
	return a.opt.Tier == Flex
}

// price returns the standard price of a model now.
func (a *Analyzer) price(model string) (Price, bool) { return a.opt.Prices.Of(model, a.now()) }

// config returns the settings of one request. It is made anew each time, because the
// SDK writes into it, and never has HTTPOptions, which the SDK would share.
func (a *Analyzer) config(model string, wider bool) *genai.GenerateContentConfig {
	f := familyOf(model)
	cfg := &genai.GenerateContentConfig{
		SystemInstruction:     genai.NewContentFromText(a.instruction, genai.RoleUser),
		MaxOutputTokens:       a.outputCap(f, wider),
		ResponseMIMEType:      "application/json",
		ResponseJsonSchema:    a.schema,
		SafetySettings:        safetyOff(),
		AutomaticContinuation: genai.Ptr(false), // it would send, and bill, again by itself
	}
	if a.opt.Backend == GeminiAPI && a.opt.Tier == Flex {
		cfg.ServiceTier = genai.ServiceTierFlex
	}
	if t := a.temperature(model); t != nil {
		cfg.Temperature = genai.Ptr(float32(*t))
	}
	if f.budget != nil || f.level != "" {
		cfg.ThinkingConfig = &genai.ThinkingConfig{ThinkingBudget: f.budget, ThinkingLevel: f.level}
	}
	return cfg
}

// temperature returns what a model is sent, or nil if it takes none.
func (a *Analyzer) temperature(model string) *float64 {
	if !familyOf(model).sampling {
		return nil
	}
	return a.opt.Temperature
}

// outputCap returns the output limit of a request, doubled on the second try.
func (a *Analyzer) outputCap(f family, wider bool) int32 {
	n := int32(a.opt.MaxOutputTokens) + f.headroom
	if wider {
		n *= 2
	}
	return min(n, f.maxOutput)
}

func (c *call) canWiden() bool {
	f := familyOf(c.model)
	return c.a.outputCap(f, true) > c.a.outputCap(f, false)
}

// safetyOff switches the adjustable filters off: traces of failures hold what they look
// for, and an analysis of it is not an instance of it.
func safetyOff() []*genai.SafetySetting {
	var list []*genai.SafetySetting
	for _, c := range []genai.HarmCategory{
		genai.HarmCategoryHarassment, genai.HarmCategoryHateSpeech,
		genai.HarmCategorySexuallyExplicit, genai.HarmCategoryDangerousContent,
	} {
		list = append(list, &genai.SafetySetting{Category: c, Threshold: genai.HarmBlockThresholdOff})
	}
	return list
}

// advance moves on from a model that is gone, and reports whether there is another.
func (a *Analyzer) advance(ctx context.Context, gone string, f *failure) bool {
	next, replaced := a.lineup.retire(gone)
	if next == "" {
		return false
	}
	if replaced {
		price, known := a.price(next)
		a.log.WarnContext(ctx, "model is not available; its successor takes over: set GEMINI_MODEL to choose another",
			"model", gone, "successor", next, "usd_per_million_in", price.Input, "usd_per_million_out", price.Output,
			"price_known", known, "reason", f.err)
	}
	return true
}

// noteRouting warns, once for each pair, when another model answered than the one that
// was asked: the Gemini API routes requests for retired models to others, and bills those.
func (a *Analyzer) noteRouting(ctx context.Context, asked, answered string) {
	if answered == "" || strings.HasPrefix(answered, bareModel(asked)) || !a.lineup.reroute(asked, answered) {
		return
	}
	price, known := a.price(answered)
	a.log.WarnContext(ctx, "the service answers with another model than the one that is asked: set GEMINI_MODEL to choose one that is offered",
		"model", asked, "answered", answered, "usd_per_million_in", price.Input, "usd_per_million_out", price.Output, "price_known", known)
}

// billed returns the price of a call that one model answered and another one was asked for.
// A model without a known price is counted at the highest rates, also where the one that was
// asked is cheap: services route requests for old models to newer, dearer ones. Only where
// the answer names no other model is it billed as the one that was asked.
func (a *Analyzer) billed(answered, asked string) Price {
	price, known := a.price(answered)
	if !known && strings.HasPrefix(answered, bareModel(asked)) || answered == "" {
		price, _ = a.price(asked)
	}
	return price
}

// isDearer reports whether the model that answered costs more than the one that was asked.
func (a *Analyzer) isDearer(answered, asked string) bool {
	price, own := a.billed(answered, asked), a.billed("", asked)
	return price.Input > own.Input || price.Cached > own.Cached || price.Output > own.Output
}

func noModel(f *failure) *failure {
	f.err = fmt.Errorf("no model is left to ask; set GEMINI_MODEL, or VERTEX_AI_LOCATION=global: %w", f.err)
	return f
}

// errNoTime marks the end of attempts for lack of time.
var errNoTime = errors.New("no time is left for another attempt")

// pause waits before the attempt after the nth. It returns why it must not be made.
//
// The wait is what the service asked for, at least the backoff after a 429, plus full
// jitter: uniform between 0 and the backoff, which doubles each time. A wait that would
// outlast the deadline is not begun.
func (a *Analyzer) pause(ctx context.Context, n int, f *failure) *failure {
	backoff := min(a.opt.Backoff<<(n-1), maxBackoff)
	least := f.wait
	if f.kind == extract.KindRateLimited {
		least = max(least, a.opt.Backoff)
	}
	left := a.remaining(ctx) - minCall
	if least >= left {
		if f.hinted {
			f.err = fmt.Errorf("%w; it asks to wait %v, and %w", f.err, f.wait, errNoTime)
		} else {
			f.err = fmt.Errorf("%w; %w", f.err, errNoTime)
		}
		return f
	}
	if err := a.sleep(ctx, min(least+a.jitter(backoff), left)); err != nil {
		return interrupted(ctx)
	}
	return nil
}

// remaining returns the time until ctx's deadline.
func (a *Analyzer) remaining(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline() // Analyze and Check set one
	return deadline.Sub(a.now())
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
