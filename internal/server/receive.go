package server

import (
	"context"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/server/otlp"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/trace"
)

// maxOTLPBody bounds an OTLP request as sent, in bytes.
const maxOTLPBody = 16 << 20

// ownBound is the bound of a route that bounds bodies itself: the receiver refuses what is
// over [maxOTLPBody] in OTLP's own words.
const ownBound = math.MaxInt64

// When the service stops, a trace gets lastSinkTries, each bounded by lastSinkTry. Before
// that, the receiver itself tries again what could not be stored.
const (
	lastSinkTries    = 3
	lastSinkTry      = time.Second
	betweenLastTries = 200 * time.Millisecond
	// lastSpans is how long a stopping service waits for requests that are being read.
	lastSpans = time.Second
)

// A receiving is the OTLP receiver with its way into the store.
type receiving struct {
	s        *Server
	receiver *otlp.Receiver
	writer   *ingest.Writer
	// open is read-locked by requests; the flush at the end locks it for ever.
	open sync.RWMutex
}

func newReceiving(s *Server) *receiving {
	v := &receiving{s: s, writer: s.o.Importer.NewWriter()}
	v.receiver = otlp.Into(v.writer, otlp.Options{Sink: v.sink, MaxBody: maxOTLPBody, KeepAll: s.o.KeepAll, Log: s.o.Log})
	return v
}

// serve takes spans or log records in.
func (v *receiving) serve(w http.ResponseWriter, r *http.Request) error {
	if !v.open.TryRLock() {
		return problem.New(problem.Stopping, "")
	}
	defer v.open.RUnlock()
	v.receiver.ServeHTTP(w, r)
	return nil
}

// run closes traces and stores them until the service ends; then it stores what it has.
func (v *receiving) run() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	end := context.AfterFunc(v.s.ending, func() {
		t := time.AfterFunc(lastSpans, stop)
		defer t.Stop()
		v.open.Lock() // after the requests that are under way; nothing comes after them
		stop()
	})
	defer end()
	v.receiver.Run(ctx)
}

// sink stores one trace. The receiver asks again for what could not be stored, but no more
// once the service ends.
func (v *receiving) sink(ctx context.Context, doc trace.Document) error {
	if v.s.ending.Err() == nil {
		return v.store(ctx, doc, requestLimit)
	}
	for left := lastSinkTries - 1; ; left-- {
		err := v.store(ctx, doc, lastSinkTry)
		if err == nil || left == 0 {
			return err
		}
		pause(ctx, betweenLastTries, nil)
	}
}

func (v *receiving) store(ctx context.Context, doc trace.Document, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !v.s.gate.pass(ctx) {
		return errClosed
	}
	return v.writer.Write(ctx, "otlp", doc)
}
