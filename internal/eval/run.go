package eval

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/excerpt"
	"github.com/evalforge/evalforge/internal/extract"
)

// An Extractor makes a pattern of a trace, as [extract.Pipeline] does. It is used by
// [Options.Concurrency] goroutines at once.
type Extractor interface {
	Extract(ctx context.Context, raw evalforge.RawTrace) (extract.Extraction, error)
}

// Options configure [Run].
type Options struct {
	Concurrency int           // cases extracted at the same time; less than 1 means 1
	Timeout     time.Duration // of each case; 0 means none
	// Progress, if not nil, is called after each case with the number done so far, by one
	// goroutine at a time.
	Progress  func(done int)
	KeepCases bool // fill [Report.Results]
}

// Run extracts a pattern for each case and scores it. It holds no more cases in memory
// than are extracted at the same time.
//
// A failed extraction or an unusable case is part of the report and does not end the
// run. When ctx is done, Run returns its error with a report over the cases that were
// finished by then.
func Run(ctx context.Context, cases iter.Seq2[Case, error], x Extractor, opt Options) (Report, error) {
	s := scorer{x: x, opt: opt, tally: newTally()}
	var g errgroup.Group
	g.SetLimit(max(1, opt.Concurrency))
	n := 0
	for c, err := range cases {
		if ctx.Err() != nil {
			break
		}
		n++
		place := n
		if err != nil {
			s.invalid(err)
			continue
		}
		g.Go(func() error { // waits for a free place
			s.score(ctx, place, c)
			return nil
		})
	}
	_ = g.Wait() // no goroutine returns an error
	rep := s.tally.report()
	slices.SortFunc(s.results, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	for _, r := range s.results {
		rep.Results = append(rep.Results, r.Result)
	}
	return rep, context.Cause(ctx)
}

// scorer collects what the goroutines of one run find.
type scorer struct {
	x   Extractor
	opt Options

	mu      sync.Mutex
	tally   *tally
	results []numbered
	done    int
}

// numbered is a result with its place in the input.
type numbered struct {
	n int
	Result
}

func (s *scorer) score(ctx context.Context, n int, c Case) {
	ext, err := s.extract(ctx, c)
	if ctx.Err() != nil && err != nil {
		return // interrupted: says nothing about the extractor
	}
	j := judge(c, ext, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.add(j)
	if s.opt.KeepCases {
		s.results = append(s.results, numbered{n, j.Result})
	}
	s.progress()
}

func (s *scorer) extract(ctx context.Context, c Case) (extract.Extraction, error) {
	if s.opt.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.opt.Timeout)
		defer cancel()
	}
	return s.x.Extract(ctx, c.Trace)
}

func (s *scorer) invalid(err error) {
	f := CaseFailure{Kind: KindInvalidCase, Error: excerpt.Clip(excerpt.Line(err.Error()), maxErrorRunes)}
	if ce := (*CaseError)(nil); errors.As(err, &ce) {
		f.ID, f.Source = ce.ID, ce.source()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.invalid(f)
	s.progress()
}

// progress is called with the lock held.
func (s *scorer) progress() {
	s.done++
	if s.opt.Progress != nil {
		s.opt.Progress(s.done)
	}
}
