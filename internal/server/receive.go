package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/server/otlp"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

// maxOTLPBody bounds an OTLP request as sent, in bytes.
const maxOTLPBody = 16 << 20

// The pace of a receiver whose store fails: it keeps the trace and tries again, while senders are told to wait
// once its memory is full.
const (
	firstSinkWait = time.Second
	lastSinkWait  = 30 * time.Second
	// When the service stops, there are lastSinkTries more, each bounded by lastSinkTry.
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
	v.receiver = otlp.New(otlp.Options{Sink: v.sink, Decides: decides, MaxBody: maxOTLPBody, Log: s.o.Log})
	return v
}

// decides reports whether a trace without an error status failed all the same.
func decides(t *trace.Trace) bool {
	for _, g := range signal.Detect(t, "") {
		if g.Decides() {
			return true
		}
	}
	return false
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

// sink stores one trace. While the store fails it tries again; once the service ends, a few times more.
func (v *receiving) sink(ctx context.Context, doc trace.Document) error {
	wait, left := firstSinkWait, lastSinkTries
	for {
		last := v.s.ending.Err() != nil
		err := v.store(ctx, doc, last)
		if err == nil {
			return nil
		}
		if !last {
			v.s.o.Log.WarnContext(ctx, "a received trace could not be stored yet; trying again", "trace_id", doc.TraceID, "error", err, "wait", wait)
			pause(v.s.ending, wait, nil)
			wait = min(2*wait, lastSinkWait)
			continue
		}
		if left--; left == 0 {
			return err
		}
		pause(ctx, betweenLastTries, nil)
	}
}

func (v *receiving) store(ctx context.Context, doc trace.Document, last bool) error {
	limit := requestLimit
	if last {
		limit = lastSinkTry
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !v.s.gate.pass(ctx) {
		return errClosed
	}
	return v.writer.Write(ctx, "otlp", doc)
}
