package gemini

import (
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/genai"
)

// DefaultModel is asked for when the settings name none.
const DefaultModel = "gemini-2.5-flash"

// successors take over, in this order, from a model that the service does not offer
// (any more, or to this project). The first is the replacement that Google names for
// [DefaultModel], at the same price.
var successors = []string{"gemini-3.5-flash-lite", "gemini-3.1-flash-lite", "gemini-3.8-flash"}

// PricesAsOf is the date of the price table, as YYYY-MM-DD.
const PricesAsOf = "2026-11-23"

// A Price is what a model costs, in USD per million tokens. Thoughts are output.
type Price struct {
	Input  float64 // not served from the cache
	Cached float64 // served from the cache
	Output float64
}

// Cost returns the price of one call in USD.
func (p Price) Cost(prompt, cached, output int64) float64 {
	return (float64(prompt-cached)*p.Input + float64(cached)*p.Cached + float64(output)*p.Output) / 1e6
}

// A family is the models that share request settings and price. Those settings are not
// interchangeable: a thinking level is an error before Gemini 3, and sampling
// parameters are ignored or refused from 3.5 on.
type family struct {
	prefix string // of the model ids; the longest that fits decides
	// budget and level hold thinking down; thoughts cost output tokens and count against
	// the output cap. At most one is set.
	budget *int32
	level  genai.ThinkingLevel
	// headroom is added to the output cap for thoughts that cannot be turned off.
	headroom  int32
	maxOutput int32 // the service's limit
	sampling  bool  // accepts temperature
	price     Price // zero: unknown
	// next is the price from the day on, where a change is announced.
	next *priceChange
}

type priceChange struct {
	from  time.Time
	price Price
}

// families is the table of models, as of [PricesAsOf]: list prices of the standard
// tier on the global endpoint; cached input is 10 % of input. A new model needs a row
// only to be priced or to be asked with less thinking.
var families = []family{
	{prefix: "gemini-2.0-flash", maxOutput: 8192, sampling: true, price: Price{0.10, 0.025, 0.40}},
	{prefix: "gemini-2.5-flash", budget: genai.Ptr[int32](0), maxOutput: 65536, sampling: true, price: Price{0.30, 0.03, 2.50}},
	{prefix: "gemini-2.5-flash-lite", budget: genai.Ptr[int32](0), maxOutput: 65536, sampling: true, price: Price{0.10, 0.01, 0.40}},
	{prefix: "gemini-2.5-pro", budget: genai.Ptr[int32](128), headroom: 1024, maxOutput: 65536, sampling: true, price: Price{1.25, 0.125, 10}},
	{prefix: "gemini-3", level: genai.ThinkingLevelLow, headroom: 4096, maxOutput: 65536}, // every Gemini 3 has LOW
	{prefix: "gemini-3-pro", level: genai.ThinkingLevelLow, headroom: 4096, maxOutput: 65536, price: Price{2, 0.20, 12}},
	{prefix: "gemini-3.1-pro", level: genai.ThinkingLevelLow, headroom: 4096, maxOutput: 65536, price: Price{2, 0.20, 12}},
	{prefix: "gemini-3.1-flash-lite", level: genai.ThinkingLevelMinimal, maxOutput: 65536, price: Price{0.25, 0.025, 1.50}},
	{prefix: "gemini-3.5-flash", level: genai.ThinkingLevelMinimal, maxOutput: 65536, price: Price{1.50, 0.15, 9}},
	{prefix: "gemini-3.5-flash-lite", level: genai.ThinkingLevelMinimal, maxOutput: 65536, price: Price{0.30, 0.03, 2.50}},
	{prefix: "gemini-3.6-flash", level: genai.ThinkingLevelMinimal, maxOutput: 65536, price: Price{1.50, 0.15, 7.50}},
	{prefix: "gemini-3.8-flash", level: genai.ThinkingLevelLow, headroom: 4096, maxOutput: 65536, price: Price{0.75, 0.075, 3.75},
		next: &priceChange{time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Price{1.50, 0.15, 7.50}}},
}

// unknownFamily is for models that are not in the table: nothing is sent that a model
// could refuse, and there is room to think, because it may.
var unknownFamily = family{headroom: 8192, maxOutput: 65536}

// familyOf returns the request settings for a model id.
func familyOf(model string) family {
	model = bareModel(model)
	best := unknownFamily
	for _, f := range families {
		if strings.HasPrefix(model, f.prefix) && len(f.prefix) > len(best.prefix) {
			best = f
		}
	}
	return best
}

// bareModel returns the id of a model named by its resource name.
func bareModel(model string) string { return model[strings.LastIndexByte(model, '/')+1:] }

// PriceOf returns the price of a model at a time. For a model without a known price it
// returns the highest rates of the table and false, so that a budget errs on the safe
// side.
func PriceOf(model string, at time.Time) (Price, bool) {
	f := familyOf(model)
	if f.next != nil && !at.Before(f.next.from) {
		return f.next.price, true
	}
	if f.price != (Price{}) {
		return f.price, true
	}
	var dearest Price
	for _, f := range families {
		dearest.Input = max(dearest.Input, f.price.Input)
		dearest.Cached = max(dearest.Cached, f.price.Cached)
		dearest.Output = max(dearest.Output, f.price.Output)
	}
	return dearest, false
}

// A lineup is the model that is asked for, and those that take over when it is gone.
// A model that was found gone is not asked again.
type lineup struct {
	mu     sync.Mutex
	models []string // never empty; the first is in use
}

func newLineup(model string) *lineup {
	l := &lineup{models: []string{model}}
	for _, s := range successors {
		if s != bareModel(model) {
			l.models = append(l.models, s)
		}
	}
	return l
}

func (l *lineup) current() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.models[0]
}

// all returns the model in use and those that could take over.
func (l *lineup) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.models)
}

// retire replaces a model that is gone. It returns the model to ask from now on, or ""
// when none is left, and whether this call is the one that replaced it.
func (l *lineup) retire(gone string) (next string, replaced bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.models[0] != gone: // another call was faster
		return l.models[0], false
	case len(l.models) == 1:
		return "", false
	}
	l.models = l.models[1:]
	return l.models[0], true
}
