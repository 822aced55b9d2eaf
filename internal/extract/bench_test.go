package extract_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/rules"
	"github.com/evalforge/evalforge/internal/store/sqlite"
)

// conversation returns a synthetic trace of about size bytes: a support conversation
// with tool calls, personal data in it, and a failing tool at its end.
func conversation(id string, size int) evalforge.RawTrace {
	type m = map[string]any
	messages := []m{{"role": "system", "content": "You help customers with their parcels. Look parcels up before you answer."}}
	for n, bytes := 0, 0; bytes < size; n++ {
		call := fmt.Sprintf("call_%s_%d", id, n)
		turn := []m{
			{"role": "user", "content": fmt.Sprintf("My name is in the account of jo.%d@example.com. Where is parcel %s-%d? %s", n, id, n, strings.Repeat("It was due last week and I am waiting at home. ", 4))},
			{"role": "assistant", "content": nil, "tool_calls": []m{{"id": call, "type": "function",
				"function": m{"name": "lookup_parcel", "arguments": fmt.Sprintf(`{"parcel":"%s-%d","depth":%d}`, id, n, n)}}}},
			{"role": "tool", "tool_call_id": call, "content": fmt.Sprintf(`{"status":"in transit","scans":[%s],"n":%d}`, strings.TrimSuffix(strings.Repeat(`{"place":"depot","ok":true},`, 20), ","), n)},
			{"role": "assistant", "content": fmt.Sprintf("Parcel %d left the depot this morning and is on its way to you.", n)},
		}
		messages = append(messages, turn...)
		for _, t := range turn {
			b, err := json.Marshal(t)
			if err != nil {
				panic(err)
			}
			bytes += len(b)
		}
	}
	messages = append(messages,
		m{"role": "assistant", "content": nil, "tool_calls": []m{{"id": "call_last", "type": "function", "function": m{"name": "lookup_parcel", "arguments": `{"parcel":"last"}`}}}},
		m{"role": "tool", "tool_call_id": "call_last", "content": "Error: 503 Service Unavailable: the catalog service answered 503"},
		m{"role": "assistant", "content": "I could not look it up: the catalog service answered 503."})
	payload, err := json.Marshal(m{"messages": messages})
	if err != nil {
		panic(err)
	}
	return evalforge.RawTrace{TraceID: id, FetchedAt: evalforge.At(time.Unix(1767322800, 0)), FailureType: "unknown", Payload: payload, RecurrenceCount: 1}
}

func benchEngine(b *testing.B, s extract.Store, a extract.Analyzer) *extract.Engine {
	b.Helper()
	r, err := redact.New(redact.Options{Key: []byte("synthetic benchmark key")})
	if err != nil {
		b.Fatal(err)
	}
	return &extract.Engine{Queue: s, Log: slog.New(slog.DiscardHandler), Owner: "bench",
		Pipeline: &extract.Pipeline{Analyzer: a, Redactor: r, Now: time.Now}}
}

func openSQLite(b *testing.B) extract.Store {
	b.Helper()
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// A backlog puts traces of one size into a store, each newer than the one before.
type backlog struct {
	b    *testing.B
	s    extract.Store
	t    evalforge.RawTrace
	made int
}

func newBacklog(b *testing.B, s extract.Store, n, size int) *backlog {
	l := &backlog{b: b, s: s, t: conversation("t", size)}
	l.add(n)
	return l
}

func (l *backlog) add(n int) {
	l.b.Helper()
	for range n {
		l.t.TraceID = fmt.Sprintf("t%06d", l.made)
		l.t.FetchedAt = evalforge.At(time.Unix(1767322800+int64(l.made), 0))
		l.made++
		if _, err := l.s.PutTrace(l.b.Context(), l.t); err != nil {
			l.b.Fatal(err)
		}
	}
}

// batches makes runs of batch traces out of a backlog of constant size.
func (l *backlog) batches(e *extract.Engine, batch int) {
	for l.b.Loop() {
		run, err := e.Run(l.b.Context(), extract.RunRequest{BatchSize: batch})
		if err != nil || run.StoredCount != batch {
			l.b.Fatalf("%d stored of %d, %v", run.StoredCount, run.PickedUpCount, err)
		}
		l.b.StopTimer()
		l.add(batch)
		l.b.StartTimer()
	}
}

// BenchmarkEngine is the whole path of a median trace (20 KB) on SQLite, without a
// model's latency: claim, redact, decode, compact, signals, the rules analyzer,
// verification, commit. One operation is a run of 50 traces.
func BenchmarkEngine(b *testing.B) {
	const batch = 50
	s := openSQLite(b)
	l := newBacklog(b, s, batch, 20<<10)
	b.ReportAllocs()
	l.batches(benchEngine(b, s, rules.New()), batch)
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "traces/s")
}

// BenchmarkPickUp is one run's batch of 50 small traces out of backlogs of two sizes: the
// time per run must not depend on the backlog. One operation is one run.
func BenchmarkPickUp(b *testing.B) {
	for _, size := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("backlog=%d", size), func(b *testing.B) {
			s := openSQLite(b)
			newBacklog(b, s, size, 200).batches(benchEngine(b, s, answering(good())), 50)
		})
	}
}
