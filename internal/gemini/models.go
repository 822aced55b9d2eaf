package gemini

import (
	"slices"
	"strings"

	"google.golang.org/genai"
)

// DefaultModel is asked for when the settings name none.
const DefaultModel = "gemini-2.5-flash"

// successors take over, in this order, from a model that the service does not offer
// (any more, or to this project). The first is the replacement that Google names for
// [DefaultModel], at the same price.
var successors = []string{"gemini-3.5-flash-lite", "gemini-3.1-flash-lite", "gemini-3.8-flash"}

// DefaultSuccessors returns the models that take over, in order, unless
// [Options.Successors] says otherwise.
func DefaultSuccessors() []string { return slices.Clone(successors) }

// A family is the models that share request settings. Those settings are not
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
}

// families is the table of models. A new model needs a row only to be asked with less
// thinking; prices are in prices.json.
var families = []family{
	{prefix: "gemini-2.0-flash", maxOutput: 8192, sampling: true},
	{prefix: "gemini-2.5-flash", budget: genai.Ptr[int32](0), maxOutput: 65536, sampling: true},
	{prefix: "gemini-2.5-flash-lite", budget: genai.Ptr[int32](0), maxOutput: 65536, sampling: true},
	{prefix: "gemini-2.5-pro", budget: genai.Ptr[int32](128), headroom: 1024, maxOutput: 65536, sampling: true},
	{prefix: "gemini-3", level: genai.ThinkingLevelLow, headroom: 4096, maxOutput: 65536}, // every Gemini 3 has LOW
	{prefix: "gemini-3-pro", level: genai.ThinkingLevelLow, headroom: 4096, maxOutput: 65536},
	{prefix: "gemini-3.1-pro", level: genai.ThinkingLevelLow, headroom: 4096, maxOutput: 65536},
	{prefix: "gemini-3.1-flash-lite", level: genai.ThinkingLevelMinimal, maxOutput: 65536},
	{prefix: "gemini-3.5-flash", level: genai.ThinkingLevelMinimal, maxOutput: 65536},
	{prefix: "gemini-3.5-flash-lite", level: genai.ThinkingLevelMinimal, maxOutput: 65536},
	{prefix: "gemini-3.6-flash", level: genai.ThinkingLevelMinimal, maxOutput: 65536},
	{prefix: "gemini-3.8-flash", level: genai.ThinkingLevelLow, headroom: 4096, maxOutput: 65536},
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
