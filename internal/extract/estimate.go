package extract

import "github.com/evalforge/evalforge"

// estimate says what working on the claims would take, or nil if the analyzer asks no
// model. It makes no call, and leaves out what would not be sent to one: traces that
// cannot be analyzed, and unchanged ones.
func (r *run) estimate(claims []Claim) *evalforge.RunEstimate {
	e, ok := r.Pipeline.Analyzer.(Estimator)
	if !ok {
		return nil
	}
	var calls int
	var likely, most Amount
	for _, c := range claims {
		if c.Err != nil || c.ExtractedDigest != "" && c.ExtractedDigest == c.Digest {
			continue
		}
		in, err := r.Pipeline.Prepare(c.Trace)
		if err != nil {
			continue
		}
		one := e.Estimate(in)
		calls++
		likely, most = likely.Add(one.Likely), most.Add(one.Most)
	}
	return &evalforge.RunEstimate{Calls: calls, Tokens: likely.Tokens, CostUSD: likely.USD(), MostCostUSD: most.USD()}
}
