package firestore

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

func minute(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }

// raw returns a trace as ingestion writes it, fetched n seconds into the story.
func raw(id string, n int) evalforge.RawTrace {
	return evalforge.RawTrace{
		TraceID: id, FetchedAt: evalforge.At(t0.Add(time.Duration(n) * time.Second)), FailureType: "hallucination", Severity: "high",
		ServiceName: "support-bot", RecurrenceCount: 1, Status: "new",
		Payload: json.RawMessage(`{"prompt":"what is the fare?","response":"it is free","model":"m"}`),
	}
}

// ingestMany writes raw documents as ingestion does, many at a time.
func ingestMany(t testing.TB, db *DB, traces []evalforge.RawTrace) {
	t.Helper()
	err := each(slices.Collect(slices.Chunk(traces, 400)), func(chunk []evalforge.RawTrace) error {
		return db.client.RunTransaction(t.Context(), func(_ context.Context, tx *firestore.Transaction) error {
			for _, tr := range chunk {
				fields, err := document(tr, "quality_score")
				if err != nil {
					return err
				}
				if err := tx.Set(db.raw(tr.TraceID), fields); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A script is an analyzer that answers at once, and counts.
type script struct {
	calls atomic.Int64
	err   func(in *extract.Input) error // nil: every answer is good
}

func (*script) Name() string  { return "rules" }
func (*script) Model() string { return "" }

func (s *script) Analyze(_ context.Context, in *extract.Input) (*extract.Answer, error) {
	s.calls.Add(1)
	if s.err != nil {
		if err := s.err(in); err != nil {
			return nil, err
		}
	}
	return &extract.Answer{Analysis: analysis(), Attempts: 1}, nil
}

func analysis() evalforge.Analysis {
	return evalforge.Analysis{
		Title: "Invented fare", FailureType: evalforge.Hallucination, TriggerCondition: "fact not in context",
		Summary: "The bot named a fare it had not looked up.", RootCauseHypothesis: "No tool for fares.",
		Evidence:            evalforge.Evidence{Signals: []string{"no tool call before the answer"}, Refs: []evalforge.EvidenceRef{}},
		RecommendedActions:  []string{"Give it the fare tool."},
		ReproductionContext: evalforge.ReproductionContext{InputPattern: "a question about fares", ToolsInvolved: []string{}},
		Severity:            evalforge.High, Confidence: 1, ConfidenceRationale: "Certain.",
	}
}

func engine(t testing.TB, db *DB, a extract.Analyzer, o extract.Options) *extract.Engine {
	t.Helper()
	r, err := redact.New(redact.Options{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return &extract.Engine{Queue: db, Options: o, Owner: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Pipeline: &extract.Pipeline{Analyzer: a, Redactor: r, Now: time.Now}}
}

// run makes one run, which must succeed.
func run(t testing.TB, e *extract.Engine, batch int) evalforge.Run {
	t.Helper()
	r, err := e.Run(t.Context(), extract.RunRequest{BatchSize: batch})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	return r
}

// A meter counts what Firestore bills: documents returned (at least one per query), one
// read per 1,000 documents counted, and documents written; and the bytes received, and the
// queries of raw traces.
type meter struct{ reads, writes, calls, bytes, scans atomic.Int64 }

func (m *meter) String() string {
	return fmt.Sprintf("%d reads, %d writes, %d calls", m.reads.Load(), m.writes.Load(), m.calls.Load())
}

func (m *meter) options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			m.calls.Add(1)
			switch req := req.(type) {
			case *pb.CommitRequest:
				m.writes.Add(int64(len(req.Writes)))
			case *pb.BatchWriteRequest:
				m.writes.Add(int64(len(req.Writes)))
			}
			return invoke(ctx, method, req, reply, cc, o...)
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			m.calls.Add(1)
			s, err := stream(ctx, d, cc, method, o...)
			return &meteredStream{ClientStream: s, m: m}, err
		}),
	}
}

type meteredStream struct {
	grpc.ClientStream
	m    *meter
	docs int64
	once sync.Once
}

func (s *meteredStream) SendMsg(msg any) error {
	q, agg := (*pb.StructuredQuery)(nil), false
	switch msg := msg.(type) {
	case *pb.RunQueryRequest:
		q = msg.GetStructuredQuery()
	case *pb.RunAggregationQueryRequest:
		q, agg = msg.GetStructuredAggregationQuery().GetStructuredQuery(), true
	}
	if q != nil && (agg || q.From[0].CollectionId == DefaultPrefix+rawTraces) {
		s.m.scans.Add(1)
	}
	return s.ClientStream.SendMsg(msg)
}

func (s *meteredStream) RecvMsg(msg any) error {
	err := s.ClientStream.RecvMsg(msg)
	if err != nil {
		s.once.Do(func() {
			if s.docs == 0 {
				s.m.reads.Add(1)
			}
		})
		return err
	}
	if msg, ok := msg.(proto.Message); ok {
		s.m.bytes.Add(int64(proto.Size(msg)))
	}
	n := int64(0)
	switch msg := msg.(type) {
	case *pb.RunQueryResponse:
		if msg.Document != nil {
			n = 1
		}
	case *pb.BatchGetDocumentsResponse:
		n = 1
	case *pb.RunAggregationQueryResponse:
		for _, v := range msg.GetResult().GetAggregateFields() {
			n += max(1, (v.GetIntegerValue()+999)/1000)
		}
	}
	s.docs += n
	s.m.reads.Add(n)
	return nil
}
