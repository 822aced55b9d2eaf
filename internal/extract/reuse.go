package extract

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/redact"
)

// A Versioned analyzer says what its answers depend on beside the input: its model,
// prompt and settings. Its answers can be kept, and used again for equal inputs.
type Versioned interface {
	Version() string
}

// A Reuse keeps a model's answers and uses them again: for the same input, as after a
// crash between answer and commit, and for copies of it, which differ only in values
// such as ids and times (see template). Equal inputs that are worked on at the same time
// wait for one answer. It is used by many goroutines at once.
type Reuse struct {
	answers Answers
	log     *slog.Logger

	mu      sync.Mutex
	flights map[string]*flight // by key
}

// NewReuse returns a Reuse over kept answers.
func NewReuse(a Answers, log *slog.Logger) *Reuse {
	return &Reuse{answers: a, log: log, flights: map[string]*flight{}}
}

// A flight is an answer that is being waited for.
type flight struct {
	done chan struct{}
	kept *KeptAnswer // an answer or a final refusal; nil after any other failure
}

// join returns the flight of a key, and whether the caller leads it and must land it.
func (r *Reuse) join(key string) (f *flight, lead bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[key]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	r.flights[key] = f
	return f, true
}

func (r *Reuse) land(key string, f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.flights, key)
	close(f.done)
}

// find returns the answer kept under a key that may be used, or nil. A store that fails costs a call.
func (r *Reuse) find(ctx context.Context, key string) *KeptAnswer {
	a, err := r.answers.Answer(ctx, key)
	if err != nil {
		if !errors.Is(err, evalforge.ErrNotFound) {
			r.log.WarnContext(ctx, "kept answers could not be looked up", "error", err)
		}
		return nil
	}
	if since, ok := ctx.Value(keptSinceKey{}).(time.Time); ok && a.SavedAt.Before(since) {
		return nil
	}
	return &a
}

func (r *Reuse) save(ctx context.Context, a KeptAnswer) {
	// What was paid for is kept, even when the trace's time is up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := r.answers.SaveAnswer(ctx, a); err != nil {
		r.log.WarnContext(ctx, "an answer could not be kept", "error", err)
	}
}

// An identity is what the answers for an input are kept under.
type identity struct {
	exact   string // of this very input
	copies  string // of all its copies
	refused string // of all its copies, for a refusal
	values  *template
}

// identify returns the identity of an input, or false if its answer is not to be kept.
func (p *Pipeline) identify(in *Input) (identity, bool) {
	v, ok := p.Analyzer.(Versioned)
	if !ok || p.Reuse == nil {
		return identity{}, false
	}
	signals, err := json.Marshal(in.Signals)
	if err != nil {
		return identity{}, false
	}
	hints, err := json.Marshal([]string{in.FailureType, in.Severity, in.ServiceName})
	if err != nil {
		return identity{}, false
	}
	sent := bytes.Join([][]byte{hints, signals, in.Compacted.JSON}, []byte("\n"))
	t := newTemplate(sent)
	key := func(kind string, text []byte) string {
		h := sha256.New()
		for _, s := range []string{kind, templateVersion, p.Analyzer.Name(), v.Version(), evalforge.AnalysisSchemaSHA256(), redact.Version} {
			h.Write([]byte(s))
			h.Write([]byte{0})
		}
		h.Write(text)
		return hex.EncodeToString(h.Sum(nil))
	}
	return identity{exact: key("exact", sent), copies: key("copies", t.text), refused: key("refused", t.text), values: t}, true
}

type keptSinceKey struct{}

// keptSince returns a context in which answers that were kept before t are not used.
func keptSince(ctx context.Context, t time.Time) context.Context {
	if t.IsZero() {
		return ctx
	}
	return context.WithValue(ctx, keptSinceKey{}, t)
}

// answerOnce returns the answer for an input: a kept one, the one that another worker is
// waiting for, or a new one.
func (p *Pipeline) answerOnce(ctx context.Context, in *Input) (*finished, error) {
	id, ok := p.identify(in)
	if !ok {
		return p.answer(ctx, in)
	}
	for {
		f, lead := p.Reuse.join(id.copies)
		if lead {
			return p.lead(ctx, in, id, f)
		}
		err := patiently(ctx, func() error {
			select {
			case <-f.done:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil {
			return nil, asError(ctx, err)
		}
		if f.kept == nil {
			continue // whoever led it failed; now it is for one of us
		}
		if f.kept.Refused != nil {
			return nil, refusedLike(id, f.kept)
		}
		if done := p.again(in, id, f.kept); done != nil {
			return done, nil
		}
		return p.askAnew(ctx, in, id, nil)
	}
}

// lead gets the answer that others wait for.
func (p *Pipeline) lead(ctx context.Context, in *Input, id identity, f *flight) (*finished, error) {
	defer p.Reuse.land(id.copies, f)
	for _, key := range []string{id.copies, id.exact} {
		kept := p.Reuse.find(ctx, key)
		if kept == nil {
			continue
		}
		if done := p.again(in, id, kept); done != nil {
			f.kept = kept
			return done, nil
		}
	}
	if kept := p.findRefusal(ctx, id); kept != nil {
		f.kept = kept
		return nil, refusedLike(id, kept)
	}
	return p.askAnew(ctx, in, id, f)
}

// askAnew asks for a new answer and keeps it.
func (p *Pipeline) askAnew(ctx context.Context, in *Input, id identity, f *flight) (*finished, error) {
	done, err := p.answer(ctx, in)
	if err != nil {
		if kept := p.keepRefusal(ctx, in, id, err); kept != nil && f != nil {
			f.kept = kept
		}
		return nil, err
	}
	if kept, ok := p.keep(in, id, done); ok {
		p.Reuse.save(ctx, kept)
		if f != nil && kept.Key == id.copies {
			f.kept = &kept
		}
	}
	return done, nil
}

// keep returns an accepted answer as it is kept: redacted, without the values of its
// trace, under the key of all copies if nothing in it is of this one alone.
func (p *Pipeline) keep(in *Input, id identity, done *finished) (KeptAnswer, bool) {
	ans := done.answer
	a := clone(ans.Analysis)
	if _, err := p.redactAnalysis(&a); err != nil {
		return KeptAnswer{}, false
	}
	text, err := json.Marshal(a)
	if err != nil {
		return KeptAnswer{}, false
	}
	general, complete := id.values.generalize(text)
	if !complete {
		complete = onlyAdvises(id, a)
	}
	var template evalforge.Analysis
	if json.Unmarshal(general, &template) != nil {
		return KeptAnswer{}, false
	}
	key := id.exact
	if complete {
		key = id.copies
	}
	spent := done.spent
	return KeptAnswer{
		Key: key, TraceID: in.TraceID, Digest: id.exact, SavedAt: evalforge.At(p.Now()), Analysis: template,
		Model: ans.Model, ModelVersion: ans.ModelVersion, PromptSHA256: ans.PromptSHA256, Temperature: ans.Temperature,
		Finish: ans.Finish, Repaired: done.repaired,
		Tokens: spent.Tokens, CostUSD: spent.CostUSD, Attempts: spent.Attempts, LatencyMS: spent.Latency.Milliseconds(),
		Quotes: len(done.pattern.Evidence.Refs),
	}, true
}

// onlyAdvises reports that the values which an analysis has and its trace has not stand in
// the recommended actions: "retry for up to 30s" says nothing of this trace.
func onlyAdvises(id identity, a evalforge.Analysis) bool {
	a.RecommendedActions = nil
	text, err := json.Marshal(a)
	if err != nil {
		return false
	}
	_, complete := id.values.generalize(text)
	return complete
}

// again makes the pattern of a trace from a kept answer, as if it had just been given. It
// returns nil where that does not hold for this trace: each quote that was found in the
// first copy must be found in this one, too.
func (p *Pipeline) again(in *Input, id identity, kept *KeptAnswer) *finished {
	general, err := json.Marshal(kept.Analysis)
	if err != nil {
		return nil
	}
	text, ok := id.values.fill(general)
	var a evalforge.Analysis
	if !ok || json.Unmarshal(text, &a) != nil {
		return nil
	}
	ans := &Answer{
		Analysis: a, Model: kept.Model, ModelVersion: kept.ModelVersion, PromptSHA256: kept.PromptSHA256,
		Temperature: kept.Temperature, Finish: kept.Finish,
	}
	start := p.Now()
	done, refused := p.finish(in, ans, kept.Repaired)
	in.stages.Finish += p.since(start)
	if refused != nil || len(done.pattern.Evidence.Refs) != kept.Quotes {
		return nil
	}
	pv := &done.pattern.Provenance
	if kept.TraceID == in.TraceID { // it was paid for, by a run that did not come to an end
		pv.Tokens, pv.CostUSD, pv.Attempts, pv.LatencyMS = kept.Tokens, kept.CostUSD, kept.Attempts, kept.LatencyMS
	} else {
		pv.DerivedFrom = kept.TraceID
	}
	return done
}
