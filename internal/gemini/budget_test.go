package gemini_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A bill is what a service charges, whatever becomes of its answers.
type bill struct {
	mu    sync.Mutex
	took  extract.Amount
	calls int
}

func (b *bill) charge(model string, prompt, output int64) {
	price, _ := gemini.PriceOf(model, time.Now())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.took = b.took.Add(extract.Amount{NanoUSD: extract.NanoUSD(price.Cost(prompt, 0, output)), Tokens: prompt + output})
}

func (b *bill) total() (took extract.Amount, calls int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.took, b.calls
}

// dear answers with the most that a request can cost, as every byte a token and an
// answer as long as allowed can make it; the answer comes, does not, or breaks off. With a
// model it is that one which answers, whichever is asked.
func dear(bills []*bill, how int, model string) geminitest.Reply {
	return func(w http.ResponseWriter, r *geminitest.Request) {
		model := cmp.Or(model, r.Model)
		limit, _ := r.Config["maxOutputTokens"].(float64)
		schema, _ := json.Marshal(r.Config["responseJsonSchema"])
		prompt, output := int64(len(r.Instruction)+len(r.Message)+len(schema)), int64(limit)
		for _, b := range bills {
			b.charge(model, prompt, output)
		}
		switch how {
		case 0:
			geminitest.Never()(w, r)
		case 1:
			geminitest.Half()(w, r)
		case 2:
			geminitest.Drop()(w, r)
		case 3: // no word of what it took
			geminitest.JSON(http.StatusOK, map[string]any{"candidates": []any{}})(w, r)
		default:
			text := geminitest.Encode(geminitest.Plausible(r))
			if how == 4 {
				text = "I am sorry."
			}
			geminitest.JSON(http.StatusOK, map[string]any{
				"candidates": []any{map[string]any{"finishReason": "STOP",
					"content": map[string]any{"role": "model", "parts": []any{map[string]any{"text": text}}}}},
				"usageMetadata": map[string]any{"promptTokenCount": prompt, "candidatesTokenCount": output / 3, "thoughtsTokenCount": output - output/3},
				"modelVersion":  model,
			})(w, r)
		}
	}
}

// A mortal is a store as one process sees it, which dies after some calls: from then on
// it reaches nothing.
type mortal struct {
	extract.Store
	left atomic.Int64
	die  context.CancelFunc
}

var errDead = errors.New("the process is dead")

func (m *mortal) alive() error {
	if m.left.Add(-1) < 0 {
		m.die()
		return errDead
	}
	return nil
}

func (m *mortal) Claim(ctx context.Context, r extract.ClaimRequest) ([]extract.Claim, error) {
	if err := m.alive(); err != nil {
		return nil, err
	}
	return m.Store.Claim(ctx, r)
}

func (m *mortal) Commit(ctx context.Context, l extract.Lease, r extract.Result) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.Store.Commit(ctx, l, r)
}

func (m *mortal) Fail(ctx context.Context, l extract.Lease, f extract.Failure) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.Store.Fail(ctx, l, f)
}

func (m *mortal) Release(ctx context.Context, l extract.Lease) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.Store.Release(ctx, l)
}

func (m *mortal) SaveRun(ctx context.Context, r evalforge.Run) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.Store.SaveRun(ctx, r)
}

func (m *mortal) Reserve(ctx context.Context, r extract.Reservation) error {
	before := m.alive()
	if before != nil && rand.N(2) == 0 {
		return before
	}
	err := m.Store.Reserve(ctx, r)
	return errors.Join(err, before) // it may have died after it reached the store
}

func (m *mortal) Settle(ctx context.Context, r extract.Reservation, took extract.Amount) error {
	before := m.alive()
	if before != nil && rand.N(2) == 0 {
		return before
	}
	err := m.Store.Settle(ctx, r, took)
	return errors.Join(err, before)
}

// TestSpendNeverExceedsTheBudget: eight workers in four processes, which die at any step,
// with a service that charges the most that it can, for every call, the answers that come
// late, broken or never included.
func TestSpendNeverExceedsTheBudget(t *testing.T) {
	red, err := redact.New(redact.Options{Key: []byte("synthetic test key")})
	if err != nil {
		t.Fatal(err)
	}
	const processes, workers, traces = 4, 2, 8
	const dearestCall = 120_000_000 // of the requests here
	var spentMost, capMost float64
	var calls int
	var ended atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		store := memory.New()
		for i := range traces {
			payload, _ := json.Marshal(map[string]any{"messages": []map[string]any{
				{"role": "user", "content": fmt.Sprintf("Where is parcel %d?", i)},
				{"role": "assistant", "content": "The catalog service answered 503, so I cannot say. " + strings.Repeat("Sorry. ", rapid.IntRange(0, 400).Draw(rt, "length"))},
			}})
			if _, err := store.PutTrace(t.Context(), evalforge.RawTrace{TraceID: fmt.Sprintf("t%02d", i), FetchedAt: evalforge.At(time.Unix(1767322800, 0)),
				FailureType: "unknown", Payload: payload, RecurrenceCount: 1}); err != nil {
				rt.Fatal(err)
			}
		}
		// A worst case is about 5 cents: the budgets have room for a few calls.
		day := extract.Amount{NanoUSD: rapid.SampledFrom([]int64{0, 50_000_000, 300_000_000, 600_000_000, 2_000_000_000}).Draw(rt, "day USD"), Tokens: rapid.SampledFrom([]int64{0, 0, 100_000, 1_000_000}).Draw(rt, "day tokens")}
		one := extract.Amount{NanoUSD: rapid.SampledFrom([]int64{0, 100_000_000, 300_000_000, 400_000_001}).Draw(rt, "run USD"), Tokens: rapid.SampledFrom([]int64{0, 0, 50_000, 200_000}).Draw(rt, "run tokens")}
		answers := rapid.SampledFrom([]string{"", "", "gemini-3.5-flash", "gemini-3.1-pro"}).Draw(rt, "model that answers")
		// A budget that is too small for one call of the dearest model is held to for the
		// usual ones: each process may find out at the price of one.
		slack := func(limit extract.Amount, n int64) extract.Amount {
			if limit.NanoUSD > 0 && limit.NanoUSD < dearestCall && answers != "" {
				limit.NanoUSD += n * dearestCall
			}
			return limit
		}
		today := extract.DayWindow(time.Now())
		all := new(bill)
		var wg sync.WaitGroup
		for p := range processes {
			mine := new(bill)
			script := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 20).Draw(rt, "script")
			var replies []geminitest.Reply
			for _, s := range script {
				switch s {
				case 10:
					replies = append(replies, geminitest.RateLimited(0, ""))
				case 11:
					replies = append(replies, geminitest.Status(503, "UNAVAILABLE", "scripted"))
				case 12:
					replies = append(replies, geminitest.ModelGone())
				default:
					replies = append(replies, dear([]*bill{mine, all}, s, answers))
				}
			}
			srv := geminitest.NewServer(t, replies...)
			a, err := gemini.New(t.Context(), gemini.Options{Backend: gemini.GeminiAPI, BaseURL: srv.URL, APIKey: "synthetic-key",
				Backoff: time.Millisecond, MaxOutputTokens: 4096})
			if err != nil {
				rt.Fatal(err)
			}
			ctx, die := context.WithCancel(t.Context())
			m := &mortal{Store: store, die: die}
			m.left.Store(int64(rapid.SampledFrom([]int{1, 2, 3, 4, 5, 7, 11, 20, 33, 60, 1000}).Draw(rt, "calls to the store")))
			wg.Go(func() {
				defer a.Close()
				defer die()
				e := &extract.Engine{Queue: m, Ledger: m, Log: slog.New(slog.DiscardHandler), Owner: fmt.Sprint(p),
					Pipeline: &extract.Pipeline{Analyzer: a, Redactor: red, Now: time.Now},
					Options: extract.Options{Concurrency: workers, TraceTimeout: 40 * time.Millisecond, Grace: 5 * time.Millisecond, Backoff: -1,
						Budgets: extract.Budgets{Run: one, Day: day}}}
				run, _ := e.Run(ctx, extract.RunRequest{}) // of a dead process, an error
				if strings.Contains(run.ThrottleReason, "budget of the") {
					ended.Add(1)
				}
				if got, _ := mine.total(); got.Over(slack(one, 1)) {
					t.Errorf("a run was charged %s, over its budget of %s", got, one)
				}
				if err := run.Check(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, n := all.total()
		if got.Over(slack(day, processes)) {
			rt.Errorf("the day was charged %s, over its budget of %s", got, day)
		}
		if day == (extract.Amount{}) || day != slack(day, 1) || one != slack(one, 1) || today != extract.DayWindow(time.Now()) {
			return
		}
		counted, err := store.Spend(t.Context(), today)
		if err != nil {
			rt.Fatal(err)
		}
		if c := counted.Counted; c.NanoUSD < got.NanoUSD || c.Tokens < got.Tokens {
			rt.Errorf("the ledger counts %s, the service charged %s", c, got)
		}
		if day.NanoUSD > 0 {
			spentMost, capMost, calls = spentMost+got.USD(), capMost+day.USD(), calls+n
		}
	})
	t.Logf("$%.2f in %d calls charged of budgets of $%.2f; %d runs ended for a budget", spentMost, calls, capMost, ended.Load())
}

// answering answers well, with this usage and model version.
func answering(usage map[string]any, version string) geminitest.Reply {
	return func(w http.ResponseWriter, r *geminitest.Request) {
		geminitest.JSON(http.StatusOK, map[string]any{
			"candidates": []any{map[string]any{"finishReason": "STOP", "content": map[string]any{"role": "model",
				"parts": []any{map[string]any{"text": geminitest.Encode(geminitest.Plausible(r))}}}}},
			"usageMetadata": usage, "modelVersion": version,
		})(w, r)
	}
}

// An answer whose usage leaves out the prompt does not say what it took.
func TestUsageWithoutPromptIsTheWorstCase(t *testing.T) {
	for _, usage := range []map[string]any{nil, {}, {"totalTokenCount": 5000}, {"candidatesTokenCount": 5}} {
		r := newReuseRig(t, answering(usage, gemini.DefaultModel))
		r.engine.Options.Budgets.Run.NanoUSD = 300_000_000
		r.put(storm("one", 1, 429))
		run := r.run(extract.RunRequest{})
		spend, err := r.store.Spend(t.Context(), extract.RunWindow(run.RunID))
		if err != nil || run.StoredCount != 1 || spend.Counted.NanoUSD < 20_000_000 || spend.Counted.Tokens < 10_000 {
			t.Errorf("usage %v: counted %s, %v; want the worst case", usage, spend.Counted, err)
		}
	}
}

// Usage with a part left out, or too small for the text, is not taken for all that a call took.
func TestUsageThatCannotBeAllIsTheWorstCase(t *testing.T) {
	for name, tt := range map[string]struct {
		usage map[string]any
		known bool
		least int64 // tokens that are counted
	}{
		"no output":           {map[string]any{"promptTokenCount": 9000, "totalTokenCount": 9000}, false, 10_000},
		"no output, no total": {map[string]any{"promptTokenCount": 9000}, false, 10_000},
		"output in the total": {map[string]any{"promptTokenCount": 9000, "totalTokenCount": 17_192}, true, 17_192},
		"more in the total":   {map[string]any{"promptTokenCount": 9000, "candidatesTokenCount": 400, "totalTokenCount": 17_192}, true, 17_192},
		"one token each":      {map[string]any{"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}, false, 10_000},
		"a small prompt":      {map[string]any{"promptTokenCount": 1, "candidatesTokenCount": 900, "totalTokenCount": 901}, false, 10_000},
		"prompt of tools":     {map[string]any{"promptTokenCount": 5000, "toolUsePromptTokenCount": 4000, "candidatesTokenCount": 900}, true, 9900},
		"as usual":            {map[string]any{"promptTokenCount": 9000, "candidatesTokenCount": 900, "totalTokenCount": 9900}, true, 9900},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReuseRig(t, answering(tt.usage, gemini.DefaultModel))
			r.engine.Options.Budgets.Run.NanoUSD = 300_000_000
			r.put(storm("one", 1, 429))
			run := r.run(extract.RunRequest{})
			spend, err := r.store.Spend(t.Context(), extract.RunWindow(run.RunID))
			if err != nil || run.StoredCount != 1 || spend.Counted.Tokens < tt.least || tt.known && spend.Counted.Tokens > tt.least {
				t.Errorf("%d stored, counted %s, %v; want 1 and %d tokens", run.StoredCount, spend.Counted, err, tt.least)
			}
			if got := run.UnsureCostUSD == 0; got != tt.known {
				t.Errorf("known: got %v ($%v unsure), want %v", got, run.UnsureCostUSD, tt.known)
			}
			if got, sum := spend.Counted.USD(), run.CostUSD+run.UnsureCostUSD; got-sum > 1e-6 || sum-got > 1e-6 {
				t.Errorf("the budget counts $%v, the summary says $%v", got, sum)
			}
		})
	}
}

// A service that answers with a dearer model from the first call on, for all workers at
// once, is paid at most what the budget allows, and so is one that changes between models.
func TestDearerModelsStayWithinTheBudget(t *testing.T) {
	const prompt, output = 12_000, 8192
	for _, tt := range []struct {
		name     string
		versions []string
		limit    int64 // in NanoUSD
		over     int64 // by which it may be exceeded
		alone    bool  // no two calls at once
	}{
		{"dearer", []string{"gemini-3.1-pro"}, 600_000_000, 0, false},
		{"changing", []string{"gemini-3.1-pro", gemini.DefaultModel}, 600_000_000, 0, false},
		{"no room for one", []string{"gemini-3.1-pro"}, 100_000_000, 30_000_000, true},
		{"no room for one, as itself", []string{gemini.DefaultModel}, 80_000_000, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := new(bill)
			var calls, flying, most atomic.Int64
			r := newReuseRig(t, func(w http.ResponseWriter, q *geminitest.Request) {
				if n := flying.Add(1); n > most.Load() {
					most.Store(n)
				}
				defer flying.Add(-1)
				time.Sleep(10 * time.Millisecond) // so that others start
				version := tt.versions[int(calls.Add(1)-1)%len(tt.versions)]
				b.charge(version, prompt, output)
				answering(map[string]any{"promptTokenCount": prompt, "candidatesTokenCount": output}, version)(w, q)
			})
			limit := extract.Amount{NanoUSD: tt.limit}
			r.engine.Options.Budgets.Run = limit
			for i := range 12 {
				r.put(storm(fmt.Sprintf("t%02d", i), i, 400+i))
			}
			run := r.run(extract.RunRequest{})
			took, n := b.total()
			limit.NanoUSD += tt.over
			if took.Over(limit) || n == 0 || !run.Throttled {
				t.Errorf("%d calls were charged %s, the budget is %s; throttled %v", n, took, limit, run.Throttled)
			}
			if tt.alone && most.Load() > 1 {
				t.Errorf("%d calls at once before it was known what they cost", most.Load())
			}
		})
	}
}

// Once a dearer model was found to answer in the place of the one that is asked, its price
// is what is reserved.
func TestReservesThePriceOfTheModelThatAnswers(t *testing.T) {
	b := new(bill)
	reply := answering(map[string]any{"promptTokenCount": 12_000, "candidatesTokenCount": 8192}, "gemini-3.1-pro")
	r := newReuseRig(t, func(w http.ResponseWriter, q *geminitest.Request) {
		b.charge("gemini-3.1-pro", 12_000, 8192)
		reply(w, q)
	})
	r.engine.Options.Concurrency = 1
	r.engine.Options.Budgets.Run.NanoUSD = 300_000_000
	for i := range 6 {
		r.put(storm(fmt.Sprintf("t%d", i), i, 400+i))
	}
	r.run(extract.RunRequest{})
	if took, calls := b.total(); calls != 2 || took.Over(r.engine.Options.Budgets.Run) {
		t.Errorf("%d calls were charged %s, want two, which fit into the budget", calls, took)
	}
}
