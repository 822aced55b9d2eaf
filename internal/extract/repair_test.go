package extract_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// inTurn answers the first question with one function and the second with another, and
// keeps what it was asked to repair.
func inTurn(repairs *[]*extract.Repair, answers ...func() (*extract.Answer, error)) *scripted {
	n := 0
	return &scripted{answer: func(_ context.Context, in *extract.Input) (*extract.Answer, error) {
		*repairs = append(*repairs, in.Repair)
		n++
		return answers[min(n, len(answers))-1]()
	}}
}

func TestRefusedAnswerIsAskedForOnceMore(t *testing.T) {
	well := func() (*extract.Answer, error) {
		a := good()
		a.Latency = 2 * time.Second
		return a, nil
	}
	broken := func(breakIt func(*evalforge.Analysis)) func() (*extract.Answer, error) {
		return func() (*extract.Answer, error) {
			a := good()
			a.Raw = []byte(`{"mail": "jo.doe@example.com"}`)
			a.Latency = time.Second
			breakIt(&a.Analysis)
			return a, nil
		}
	}
	const latency = 3000 // of both calls, in milliseconds
	invented := "a passage that nobody wrote"
	noEvidence := broken(func(a *evalforge.Analysis) {
		a.Evidence.Excerpt, a.Evidence.Refs = nil, []evalforge.EvidenceRef{{Quote: invented}}
	})
	untitled := broken(func(a *evalforge.Analysis) { a.Title = " " })
	wrongStep := broken(func(a *evalforge.Analysis) { a.Summary = "Step 99 failed." })
	misquoted := broken(func(a *evalforge.Analysis) { a.Summary = `The tool said "` + invented + `".` })
	unquoted := broken(func(a *evalforge.Analysis) {
		a.Evidence.Excerpt, a.Evidence.Refs = nil, []evalforge.EvidenceRef{}
	})
	fails := func(k extract.Kind, response string) func() (*extract.Answer, error) {
		return func() (*extract.Answer, error) {
			return nil, &extract.Error{Kind: k, Err: errors.New("scripted " + string(k)), Response: []byte(response), Spent: extract.Spent{CostUSD: 0.25, Attempts: 1, Latency: time.Second}}
		}
	}
	tests := []struct {
		name    string
		answers []func() (*extract.Answer, error)
		kind    extract.Kind // of the error, or ""
		calls   int
		reason  string // part of what the second question says
		final   bool
	}{
		{name: "well", answers: []func() (*extract.Answer, error){well}, calls: 1},
		{name: "schema, then well", answers: []func() (*extract.Answer, error){untitled, well}, calls: 2, reason: "title: must not be empty"},
		{name: "invented evidence, then well", answers: []func() (*extract.Answer, error){noEvidence, well}, calls: 2, reason: "none of the 1 quotes"},
		{name: "a step that does not exist, then well", answers: []func() (*extract.Answer, error){wrongStep, well}, calls: 2, reason: "summary names step 99, which does not exist"},
		{name: "refused by the analyzer, then well", answers: []func() (*extract.Answer, error){fails(extract.KindInvalidJSON, "I am sorry"), well}, calls: 2, reason: "scripted invalid_json"},
		{name: "an invented quotation in prose, then well", answers: []func() (*extract.Answer, error){misquoted, well}, calls: 2, reason: "summary puts something in quotation marks that does not occur"},
		{name: "no evidence, then well", answers: []func() (*extract.Answer, error){unquoted, well}, calls: 2, reason: "evidence.refs is empty"},
		{name: "schema twice", answers: []func() (*extract.Answer, error){untitled}, kind: extract.KindSchema, calls: 2, reason: "title", final: true},
		{name: "invented twice", answers: []func() (*extract.Answer, error){noEvidence}, kind: extract.KindEvidence, calls: 2, reason: "quotes", final: true},
		{name: "schema, then evidence", answers: []func() (*extract.Answer, error){untitled, noEvidence}, kind: extract.KindEvidence, calls: 2, reason: "title", final: true},
		{name: "schema, then the service fails", answers: []func() (*extract.Answer, error){untitled, fails(extract.KindUnavailable, "")}, kind: extract.KindUnavailable, calls: 2, reason: "title"},
		{name: "schema, then garbage of a proxy", answers: []func() (*extract.Answer, error){untitled, fails(extract.KindInvalidJSON, "")}, kind: extract.KindInvalidJSON, calls: 2, reason: "title"},
		{name: "no answer at all", answers: []func() (*extract.Answer, error){fails(extract.KindInvalidJSON, "")}, kind: extract.KindInvalidJSON, calls: 1},
		{name: "cut at the limit", answers: []func() (*extract.Answer, error){fails(extract.KindTruncated, `{"ti`)}, kind: extract.KindTruncated, calls: 1},
		{name: "blocked", answers: []func() (*extract.Answer, error){fails(extract.KindBlocked, "x")}, kind: extract.KindBlocked, calls: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var repairs []*extract.Repair
			p := &extract.Pipeline{Analyzer: inTurn(&repairs, tt.answers...), Redactor: redactor(t), Now: time.Now}
			x, err := p.Extract(t.Context(), rawTrace("t1", 0))
			if len(repairs) != tt.calls {
				t.Fatalf("%d calls, want %d (%v)", len(repairs), tt.calls, err)
			}
			if repairs[0] != nil {
				t.Errorf("the first question is a repair: %+v", repairs[0])
			}
			spent := x.Spent
			if tt.kind != "" {
				var e *extract.Error
				if !errors.As(err, &e) || e.Kind != tt.kind || e.Final != tt.final {
					t.Fatalf("error = %v (%s, final %v), want %s, final %v", err, extract.KindOf(err), isFinal(err), tt.kind, tt.final)
				}
				spent = e.Spent
			} else if err != nil {
				t.Fatal(err)
			}
			if want := 0.25 * float64(tt.calls); spent.CostUSD != want || spent.Attempts != tt.calls {
				t.Errorf("spent %+v, want %v USD in %d attempts", spent, want, tt.calls)
			}
			if tt.calls == 1 {
				return
			}
			r := repairs[1]
			if !strings.Contains(strings.Join(r.Problems, "; "), tt.reason) {
				t.Errorf("problems = %q, want %q", r.Problems, tt.reason)
			}
			if strings.Contains(string(r.Previous), "jo.doe") || strings.Contains(strings.Join(r.Problems, ""), invented) {
				t.Errorf("the repair repeats what it must not: %s %q", r.Previous, r.Problems)
			}
			if tt.kind == "" {
				if pv := x.Pattern.Provenance; pv.Repaired == "" || pv.Attempts != 2 || pv.CostUSD != 0.5 || pv.LatencyMS != latency || x.Pattern.Confidence >= 0.9 {
					t.Errorf("provenance = %+v, confidence %v; want a repair, both calls and less confidence", pv, x.Pattern.Confidence)
				}
			}
		})
	}
}

// An answer that is only doubtful is not lost when the second one is no better, or does not
// come: it is stored without what is doubtful, with less confidence, at the price of both.
func TestDoubtfulAnswerIsStored(t *testing.T) {
	answer := func(change func(*evalforge.Analysis)) func() (*extract.Answer, error) {
		return func() (*extract.Answer, error) {
			a := good()
			a.Raw = []byte("{}")
			change(&a.Analysis)
			return a, nil
		}
	}
	misquoted := answer(func(a *evalforge.Analysis) { a.Summary = `The tool said "permission denied for user root".` })
	unquoted := answer(func(a *evalforge.Analysis) {
		a.Evidence.Excerpt, a.Evidence.Refs = nil, []evalforge.EvidenceRef{}
	})
	both := answer(func(a *evalforge.Analysis) {
		a.Title, a.Evidence.Signals = "It is «beyond any hope» now", []string{`"DROP TABLE users" was executed at step 1`}
	})
	untitled := answer(func(a *evalforge.Analysis) { a.Title = "" })
	down := func() (*extract.Answer, error) {
		return nil, &extract.Error{Kind: extract.KindUnavailable, Err: errors.New("scripted"), Spent: extract.Spent{CostUSD: 0.25, Attempts: 1}}
	}
	tests := []struct {
		name     string
		answers  []func() (*extract.Answer, error)
		repaired string
		dropped  int
		most     float64 // confidence
	}{
		{"misquoted twice", []func() (*extract.Answer, error){misquoted}, "evidence", 1, 0.72},
		{"unquoted twice", []func() (*extract.Answer, error){unquoted}, "evidence", 0, 0.4},
		{"misquoted, then worse", []func() (*extract.Answer, error){misquoted, both}, "", 1, 0.8},
		{"misquoted, then refused", []func() (*extract.Answer, error){misquoted, untitled}, "", 1, 0.8},
		{"misquoted, then the service fails", []func() (*extract.Answer, error){misquoted, down}, "", 1, 0.8},
		{"refused, then misquoted", []func() (*extract.Answer, error){untitled, both}, "schema", 2, 0.69},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var repairs []*extract.Repair
			p := &extract.Pipeline{Analyzer: inTurn(&repairs, tt.answers...), Redactor: redactor(t), Now: time.Now}
			x, err := p.Extract(t.Context(), rawTrace("t1", 0))
			if err != nil || len(repairs) != 2 {
				t.Fatalf("%v after %d calls, want a pattern after two", err, len(repairs))
			}
			pv := x.Pattern.Provenance
			if pv.Repaired != tt.repaired || pv.QuotesDropped != tt.dropped || pv.CostUSD != 0.5 || pv.Attempts != 2 || x.Spent.CostUSD != 0.5 {
				t.Errorf("provenance = %+v, spent %+v", pv, x.Spent)
			}
			if c := x.Pattern.Confidence; c > tt.most {
				t.Errorf("confidence %v, want at most %v", c, tt.most)
			}
			doc, err := json.Marshal(x.Pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, said := range []string{"permission denied", "DROP TABLE", "beyond any hope"} {
				if strings.Contains(string(doc), said) {
					t.Errorf("%q is stored", said)
				}
			}
		})
	}
}

// Quotes that are given many times, or are a word, do not make up for an invented one.
func TestQuotesAreWeighed(t *testing.T) {
	quote := func(list ...string) float64 {
		t.Helper()
		a := good()
		a.Analysis.Evidence.Excerpt, a.Analysis.Evidence.Refs = nil, nil
		for _, q := range list {
			a.Analysis.Evidence.Refs = append(a.Analysis.Evidence.Refs, evalforge.EvidenceRef{Quote: q})
		}
		x, err := (&extract.Pipeline{Analyzer: answering(a), Redactor: redactor(t), Now: time.Now}).Extract(t.Context(), rawTrace("t1", 0))
		if err != nil {
			t.Fatal(err)
		}
		return x.Pattern.Confidence
	}
	text, invented := "the catalog service answered 503", "a passage that nobody wrote"
	many := []string{text, text, "catalog service answered 503", text, text, text, "the catalog service", text, invented}
	one, pair, crowd := quote(text), quote(text, invented), quote(many...)
	if pair >= one || pair != crowd {
		t.Errorf("confidence %v with a quote, %v with an invented one beside it, %v when it is repeated", one, pair, crowd)
	}
	if word := quote("answered"); word >= pair || word <= 0.4 {
		t.Errorf("confidence %v with one word as evidence, want less than %v and more than without any", word, pair)
	}
}

func isFinal(err error) bool {
	var e *extract.Error
	return errors.As(err, &e) && e.Final
}

// What was refused twice is not paid for again by itself, and a retry by hand asks anew.
func TestAnswerRefusedTwiceQuarantines(t *testing.T) {
	s := memory.New()
	put(t, s, 1)
	var repairs []*extract.Repair
	bad := good()
	bad.Analysis.Title, bad.Raw = "", []byte("{}")
	a := inTurn(&repairs, func() (*extract.Answer, error) { return bad, nil })
	e := engine(t, s, a, extract.Options{Backoff: -1})
	run := mustRun(t, t.Context(), e, s, extract.RunRequest{})
	if diff := cmp.Diff(map[evalforge.Outcome]int{evalforge.ValidationFailed: 1}, outcomes(run)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if run.CostUSD != 0.5 {
		t.Errorf("the run cost %v, want both calls", run.CostUSD)
	}
	if run = mustRun(t, t.Context(), e, s, extract.RunRequest{}); run.PickedUpCount != 0 || len(repairs) != 2 {
		t.Errorf("%d picked up, %d calls; want the trace left alone after two", run.PickedUpCount, len(repairs))
	}
}

// There is no second question without time for it, and the trace is not given up for that.
func TestNoRepairWithoutTime(t *testing.T) {
	for name, take := range map[string]time.Duration{"little is left": 9 * time.Second, "none is left": 11 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				var repairs []*extract.Repair
				bad := good()
				bad.Analysis.Title, bad.Raw = "", []byte("{}")
				p := &extract.Pipeline{Redactor: redactor(t), Now: time.Now, Analyzer: inTurn(&repairs, func() (*extract.Answer, error) { time.Sleep(take); return bad, nil })}
				if _, err := p.Extract(ctx, rawTrace("t1", 0)); err == nil || isFinal(err) || len(repairs) != 1 {
					t.Errorf("%d calls, %v; want one and the reason of the refusal, not final", len(repairs), err)
				}
			})
		})
	}
}
