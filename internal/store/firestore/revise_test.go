package firestore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/firestore"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// TestGoldenMoney: the documents of the ledger, of kept answers and of the history.
func TestGoldenMoney(t *testing.T) {
	db := open(t, emulator.Project())
	r := extract.Reservation{ID: "reservation-1", At: minute(1), Most: extract.Amount{NanoUSD: 123_456_789, Tokens: 4096},
		Windows: []extract.Window{{Name: "run/run_1"}, {Name: "day/2026-01-02"}}}
	settled := r
	settled.ID = "reservation-2"
	for _, err := range []error{
		db.Reserve(t.Context(), r), db.Reserve(t.Context(), settled),
		db.Settle(t.Context(), settled, extract.Amount{NanoUSD: 1_000, Tokens: 10}),
		db.SaveAnswer(t.Context(), extract.KeptAnswer{Key: strings.Repeat("0f", 32), TraceID: "trace-1", Digest: strings.Repeat("1e", 32),
			SavedAt: evalforge.At(minute(2)), Analysis: analysis(), Model: "m", ModelVersion: "m-001", CostUSD: 1, Attempts: 1}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.PutTrace(t.Context(), raw("trace-1", 0)); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		commitPattern(t, db, "trace-1", n)
		if err := db.Reopen(t.Context(), "trace-1", minute(10+n)); err != nil {
			t.Fatal(err)
		}
	}
	docs := map[string]any{}
	for _, ref := range []struct{ name, path string }{
		{"ledger/run", "-/" + db.prefix + "ledger/run:run_1"},
		{"ledger/day", "-/" + db.prefix + "ledger/day:2026-01-02"},
		{"answers/one", "-/" + db.prefix + "answers/" + strings.Repeat("0f", 32)},
		{"history/1", "trace-1/" + db.prefix + "history/1"},
	} {
		snap, err := db.client.Doc(db.prefix + states + "/" + ref.path).Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		docs[ref.name] = typed(snap.Data())
	}
	golden(t, "money", docs)
}

func commitPattern(t *testing.T, db *DB, id string, n int) {
	t.Helper()
	claims, err := db.Claim(t.Context(), extract.ClaimRequest{RunID: "run_" + strings.Repeat("x", n+1), Owner: "o", Limit: 1,
		Now: minute(n + 1), LeaseUntil: minute(n + 5), NewToken: func() string { return "token" + strings.Repeat("x", n+1) }})
	if err != nil || len(claims) != 1 {
		t.Fatalf("got %d claims and error %v", len(claims), err)
	}
	p := evalforge.Pattern{PatternID: evalforge.PatternID(id), SourceTraceID: id, Analysis: analysis(),
		ExtractedAt: evalforge.At(minute(n + 2)), Fingerprint: "fp-1"}
	if err := db.Commit(t.Context(), claims[0].Lease, extract.Result{Pattern: &p, Digest: claims[0].Digest, At: minute(n + 2)}); err != nil {
		t.Fatal(err)
	}
}

// However many reservations are never settled, the document of a window stays small, and
// what it counts right.
func TestWindowStaysSmall(t *testing.T) {
	w := window{Open: map[string]reservation{}}
	for n := range extract.MaxOpenReservations + 5 {
		id := strings.Repeat("i", 60) + string(rune('a'+n%26)) + versionText(minute(n))[:10]
		w.Open[id+versionText(minute(n))] = reservation{extract.Amount{NanoUSD: 1 << 40, Tokens: 1 << 30}, stamp(minute(n))}
	}
	w.forget()
	if len(w.Open) != extract.MaxOpenReservations {
		t.Errorf("%d are remembered, want %d", len(w.Open), extract.MaxOpenReservations)
	}
	for id, r := range w.Open {
		if r.At.Before(minute(5)) {
			t.Errorf("%s of %s is remembered, and younger ones were forgotten", id, r.At)
		}
	}
	fields, err := document(w)
	if err != nil {
		t.Fatal(err)
	}
	if n := store.NativeSize(fields); n > store.MaxNative/2 {
		t.Errorf("the document has %d bytes", n)
	}
}

// tellMoney is the part of the story about budgets, kept answers and history. Trace a is
// processed.
func tellMoney(ctx context.Context, db *DB, check func(string, error)) {
	r := extract.Reservation{ID: "r", At: minute(6), Most: extract.Amount{NanoUSD: 60, Tokens: 6},
		Windows: []extract.Window{{Name: "run/run_1", Limit: extract.Amount{NanoUSD: 100}}, {Name: "day/2026-01-02"}}}
	check("reserve", db.Reserve(ctx, r))
	second := r
	second.ID = "s"
	var over *extract.OverBudgetError
	if err := db.Reserve(ctx, second); !errors.As(err, &over) {
		check("reserve over the budget", fmt.Errorf("got %v", err))
	}
	check("settle", db.Settle(ctx, r, extract.Amount{NanoUSD: 10, Tokens: 1}))
	check("reserve", db.Reserve(ctx, second))
	spend, err := db.Spend(ctx, "day/2026-01-02")
	check("spend", err)
	if want := (extract.Spend{Counted: extract.Amount{NanoUSD: 70, Tokens: 7}, Open: extract.Amount{NanoUSD: 60, Tokens: 6}}); spend != want {
		check("spend", fmt.Errorf("got %+v, want %+v", spend, want))
	}
	kept := extract.KeptAnswer{Key: strings.Repeat("a1", 32), TraceID: "a", SavedAt: evalforge.At(minute(6)), Analysis: analysis()}
	check("save answer", db.SaveAnswer(ctx, kept))
	got, err := db.Answer(ctx, kept.Key)
	check("answer", err)
	if got.TraceID != "a" {
		check("answer", fmt.Errorf("got %+v", got))
	}
	check("reopen", db.Reopen(ctx, "a", minute(7)))
	claims, err := db.Claim(ctx, extract.ClaimRequest{RunID: "run_3", Owner: "w", Limit: 1, TraceIDs: []string{"a"}, Now: minute(8), LeaseUntil: minute(9),
		NewToken: func() string { return "anew" }})
	check("claim", err)
	if len(claims) != 1 {
		check("claim", fmt.Errorf("got %d claims", len(claims)))
		return
	}
	p := evalforge.Pattern{PatternID: evalforge.PatternID("a"), SourceTraceID: "a", Analysis: analysis(), ExtractedAt: evalforge.At(minute(8))}
	check("commit anew", db.Commit(ctx, claims[0].Lease, extract.Result{Pattern: &p, Digest: claims[0].Digest, At: minute(8)}))
	history, err := db.History(ctx, "a", 5)
	check("history", err)
	if len(history) != 1 || !history[0].ExtractedAt.Equal(minute(2)) {
		check("history", fmt.Errorf("got %d patterns", len(history)))
	}
}

// BenchmarkLedger is the reservation and the settlement of one call, of many workers in
// two processes. One operation is one call of each worker.
func BenchmarkLedger(b *testing.B) {
	for _, workers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			project := emulator.Project()
			processes := []*DB{open(b, project), open(b, project)}
			n := 0
			for b.Loop() {
				n++
				var wg sync.WaitGroup
				for w := range workers {
					wg.Go(func() {
						db := processes[w%len(processes)]
						r := extract.Reservation{ID: fmt.Sprintf("%d-%d", n, w), At: t0, Most: extract.Amount{NanoUSD: 9, Tokens: 9},
							Windows: []extract.Window{{Name: fmt.Sprintf("run/run_%d", w%len(processes))}, {Name: "day/2026-01-02", Limit: extract.Amount{NanoUSD: 1 << 50}}}}
						if err := db.Reserve(b.Context(), r); err != nil {
							b.Error(err)
						}
						if err := db.Settle(b.Context(), r, extract.Amount{NanoUSD: 1}); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
			b.ReportMetric(float64(b.N*workers)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// TestHistoryOfAnother: a pattern that another service made, and that cannot be read as a
// whole, does not hide the history of its trace once it is replaced.
func TestHistoryOfAnother(t *testing.T) {
	db := open(t, emulator.Project())
	done := raw("a", 0)
	ingest(t, db, done)
	for ref, fields := range map[*firestore.DocumentRef]map[string]any{
		db.raw("a"):                      {"processed": true},
		db.collection(patterns).Doc("a"): {"title": 17, "summary": "kept", "extracted_at": minute(1)},
	} {
		if _, err := ref.Set(t.Context(), fields, firestore.MergeAll); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Reopen(t.Context(), "a", minute(2)); err != nil {
		t.Fatal(err)
	}
	commitPattern(t, db, "a", 3)
	list, err := db.History(t.Context(), "a", 10)
	if err != nil || len(list) != 1 || list[0].Summary != "kept" || list[0].SourceTraceID != "a" {
		t.Errorf("history %+v, error %v; want the replaced pattern", list, err)
	}
}

// TestPatternThatIsGone: a trace that ingestion writes again as it was is extracted again
// when somebody has deleted its pattern, and else it is not.
func TestPatternThatIsGone(t *testing.T) {
	db := open(t, emulator.Project())
	analyzer := &script{}
	for n, want := range []int64{1, 1, 2} {
		if n == 2 {
			if _, err := db.collection(patterns).Doc("a").Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ingest(t, db, raw("a", 0))
		run(t, engine(t, db, analyzer, extract.Options{}), 10)
		if got := analyzer.calls.Load(); got != want {
			t.Errorf("after run %d: %d calls of the model, want %d", n+1, got, want)
		}
		if _, err := db.Pattern(t.Context(), "a"); err != nil {
			t.Errorf("after run %d: %v", n+1, err)
		}
	}
}
