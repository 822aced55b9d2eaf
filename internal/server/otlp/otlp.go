// Package otlp receives traces over OTLP/HTTP: POST /v1/traces and /v1/logs, in protobuf
// or JSON, gzipped or not (https://opentelemetry.io/docs/specs/otlp/#otlphttp). An SDK or
// a Collector needs nothing but OTEL_EXPORTER_OTLP_ENDPOINT.
//
// Spans of one trace come in any order and in many requests, children before their
// parents. A [Receiver] collects them, closes a trace a grace period after its root has
// ended or when nothing came for a while, and hands the failed ones to its sink. Its
// memory is bounded: the oldest incomplete trace is closed early when it must be. Senders
// never wait for the sink. A trace that it cannot store is kept and tried again; while what
// waits fills its share of the memory, senders are told to come again later, which they do
// with what they have, so that an outage of the store loses nothing that was accepted.
//
// [Into] makes the receiver of an installation, which stores what it keeps as an import
// does.
package otlp

import (
	"container/list"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evalforge/evalforge/internal/trace"
)

// A Sink stores a trace that is worth keeping. Its document comes as the sender sent it:
// the sink redacts. It is called from one goroutine, and again with the same document if
// it returns an error, until the receiver ends.
type Sink func(ctx context.Context, doc trace.Document) error

// Options configure a [Receiver]. The zero value of each field but Sink takes its default.
type Options struct {
	Sink Sink
	// Decides says whether a trace without an error status is a failure all the same: a
	// deciding signal. Nil: none is.
	Decides func(*trace.Trace) bool
	// KeepAll keeps every trace, failed or not.
	KeepAll bool
	// Grace is how long after its last span a trace whose root has ended is closed;
	// default 5 s, an SDK's default delay between exports.
	Grace time.Duration
	// Idle is how long after its last span any trace is closed; default 2 min.
	Idle time.Duration
	// MaxBody bounds a request's body as sent, MaxDecoded as decompressed, in bytes;
	// defaults 16 and 64 MiB. All that are decompressed at the same time take at most twice
	// MaxDecoded; what is more is told to come again.
	MaxBody, MaxDecoded int
	// MaxTrace bounds one trace in bytes; one that is longer is stored in parts, all of which
	// are kept if one of them failed, as far as an eighth of MaxMemory goes. Default 16 MiB.
	MaxTrace int
	// MaxMemory bounds all traces that are held, in bytes; default 256 MiB. Up to a
	// quarter of it may wait for the sink.
	MaxMemory int
	// MaxRequests bounds the requests that are decoded at the same time, each of which takes
	// a small multiple of its body; further ones are told to come again. Default 8.
	MaxRequests int
	// Log gets what the sink could not take. Optional.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	duration := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	size := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	duration(&o.Grace, 5*time.Second)
	duration(&o.Idle, 2*time.Minute)
	size(&o.MaxBody, 16<<20)
	size(&o.MaxDecoded, 64<<20)
	size(&o.MaxTrace, 16<<20)
	size(&o.MaxMemory, 256<<20)
	size(&o.MaxRequests, 8)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Receiver is an [http.Handler]. [Receiver.Run] must run for traces to be closed.
type Receiver struct {
	opt   Options
	slots chan struct{}
	// reading counts the bytes of bodies that are read and not taken in yet.
	reading atomic.Int64
	// unpacked counts the bytes of bodies that were decompressed and are being decoded.
	unpacked atomic.Int64
	wake     chan struct{} // something was queued

	mu     sync.Mutex
	traces map[string]*assembly
	order  *list.List // of *assembly, by when they were first heard of
	due    []*assembly
	bytes  int // held by traces
	queue  []*assembly
	queued int // bytes held by queue
	stats  Stats

	// kept are the last traces that were stored, in two generations of keptIDs.
	kept, keptBefore map[string]bool

	outage int       // how often in a row the sink failed
	resume time.Time // when it is tried again
}

// Stats counts what a receiver did since it was made.
type Stats struct {
	Spans, Records int64 // accepted
	Rejected       int64 // spans and records without a trace id
	Kept, Dropped  int64 // traces, or parts of them
	Evicted        int64 // traces closed early for want of memory
	Refused        int64 // requests told to come again later
	Retries        int64 // attempts to store a trace that failed, and were made anew
	SinkErrors     int64 // traces that the sink could not store, and were lost
	OpenTraces     int   // now
	Bytes          int   // held now, by open traces and by those that wait for the sink
}

// An assembly is what is known of a trace that is not closed.
type assembly struct {
	id          string
	spans, logs []json.RawMessage
	bytes       int
	root        bool
	failed      bool
	start       time.Time
	last        time.Time // when something came
	place       *list.Element
	// full are the parts of MaxTrace that came before, which wait to learn whether the trace
	// fails, and fullBytes what they take.
	full      []*assembly
	fullBytes int
	// attempts counts how often the sink failed to store it; kept is what Stats.Kept was when
	// it first did.
	attempts int
	kept     int64
}

// overhead is counted for a trace beside its spans, in bytes: map, list and slices.
const overhead = 512

// newReceiver returns a receiver.
func newReceiver(o Options) *Receiver {
	o = o.withDefaults()
	return &Receiver{
		opt:    o,
		slots:  make(chan struct{}, o.MaxRequests),
		wake:   make(chan struct{}, 1),
		traces: make(map[string]*assembly),
		order:  list.New(),
	}
}

// Stats returns what the receiver did so far.
func (r *Receiver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.OpenTraces, s.Bytes = len(r.traces), r.bytes+r.queued
	return s
}

// waiting is the share of the memory that may wait for the sink. What is more there came
// from open traces, so that the sum stays within the bound: nothing is taken in until the
// sink has caught up.
const waiting = 4

// readingShare is the share of MaxMemory, beside it, that bodies may take which are being
// read; one body always has room.
const readingShare = 4

// full reports whether so much waits for the sink that nothing more can be taken in.
func (r *Receiver) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queued > r.opt.MaxMemory/waiting {
		r.stats.Refused++
		return true
	}
	return false
}

// add takes in the parts of one request.
func (r *Receiver) add(parts []trace.OTLPPart, rejected int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Rejected += int64(rejected)
	for i := range parts {
		r.addPart(&parts[i], now)
	}
	for r.bytes > r.opt.MaxMemory-r.opt.MaxMemory/waiting && r.order.Len() > 0 {
		r.stats.Evicted++
		r.close(r.order.Front().Value.(*assembly))
	}
}

func (r *Receiver) addPart(p *trace.OTLPPart, now time.Time) {
	a := r.traces[p.TraceID]
	if a == nil {
		a = &assembly{id: p.TraceID}
		a.place = r.order.PushBack(a)
		r.traces[p.TraceID] = a
		a.bytes = overhead
		r.bytes += overhead
	}
	n := p.Size() + 24*len(p.Resources)
	a.bytes += n
	r.bytes += n
	if p.Logs {
		a.logs = append(a.logs, p.Resources...)
		r.stats.Records += int64(p.Items)
	} else {
		a.spans = append(a.spans, p.Resources...)
		r.stats.Spans += int64(p.Items)
	}
	a.root, a.failed = a.root || p.Root, a.failed || p.Failed
	if !p.Start.IsZero() && (a.start.IsZero() || p.Start.Before(a.start)) {
		a.start = p.Start
	}
	a.last = now
	if a.bytes > r.opt.MaxTrace {
		r.part(a)
	}
}

// fullShare is the share of MaxMemory that the parts of one trace may take which wait to
// learn whether it fails.
const fullShare = 8

// part makes a part of what is held of a, which stays open for what comes. r.mu is held.
func (r *Receiver) part(a *assembly) {
	a.full = append(a.full, &assembly{id: a.id, spans: a.spans, logs: a.logs, bytes: a.bytes, start: a.start})
	a.fullBytes += a.bytes
	a.spans, a.logs, a.bytes = nil, nil, overhead
	r.bytes += overhead
	if a.failed || r.opt.KeepAll {
		r.release(a, len(a.full))
		return
	}
	for a.fullBytes > r.opt.MaxMemory/fullShare {
		r.release(a, 1)
	}
}

// release moves the first n parts of a to the queue, to be kept if a failed. r.mu is held.
func (r *Receiver) release(a *assembly, n int) {
	for _, p := range a.full[:n] {
		p.failed = a.failed
		a.fullBytes -= p.bytes
		r.enqueue(p)
	}
	a.full = append([]*assembly(nil), a.full[n:]...)
}

// close moves a and its parts to the queue. r.mu is held.
func (r *Receiver) close(a *assembly) {
	delete(r.traces, a.id)
	r.order.Remove(a.place)
	r.release(a, len(a.full))
	if len(a.spans)+len(a.logs) > 0 {
		r.enqueue(a)
	} else { // all of it is in parts
		r.bytes -= a.bytes
	}
}

// enqueue moves a, a trace or a part of one, to the queue. r.mu is held. One that is neither
// failed nor to be looked at is dropped at once.
func (r *Receiver) enqueue(a *assembly) {
	r.bytes -= a.bytes
	a.failed = a.failed || r.kept[a.id] || r.keptBefore[a.id]
	if !r.opt.KeepAll && !a.failed && r.opt.Decides == nil {
		r.stats.Dropped++
		return
	}
	r.queued += a.bytes
	r.queue = append(r.queue, a)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// closeDue closes the traces whose time has come.
func (r *Receiver) closeDue(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := r.due[:0]
	for _, a := range r.traces {
		quiet := now.Sub(a.last)
		if a.root && quiet >= r.opt.Grace || quiet >= r.opt.Idle {
			due = append(due, a)
		}
	}
	for _, a := range due {
		r.close(a)
	}
	clear(due)
	r.due = due[:0]
}

// next takes the oldest trace off the queue, or returns nil when the sink is to be left
// alone for a while.
func (r *Receiver) next(now time.Time) *assembly {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.resume) {
		return nil
	}
	if len(r.queue) == 0 {
		r.queue = nil
		return nil
	}
	a := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	return a
}

// Run closes traces and hands them to the sink until ctx is done; then it closes all that
// are open, hands those over too, once each, and returns. ctx's end does not reach the
// sink: what was accepted is stored.
func (r *Receiver) Run(ctx context.Context) {
	tick := time.NewTicker(max(min(r.opt.Grace, r.opt.Idle)/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.closeAll()
			r.drain(context.WithoutCancel(ctx), true)
			return
		case <-tick.C:
			r.closeDue(time.Now())
		case <-r.wake:
		}
		r.drain(context.WithoutCancel(ctx), false)
	}
}

// closeAll closes what is open, for the last drain, which waits for nothing.
func (r *Receiver) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.order.Len() > 0 {
		r.close(r.order.Front().Value.(*assembly))
	}
	r.resume = time.Time{}
}

// The pace of attempts while the sink fails, and how many a trace gets while the sink
// stores others: it is the trace then that cannot be stored.
const (
	firstPause  = time.Second
	lastPause   = 30 * time.Second
	maxAttempts = 10
)

// drain hands the queue to the sink until it is empty or the sink fails; the last time, it
// hands over everything once.
func (r *Receiver) drain(ctx context.Context, last bool) {
	for {
		a := r.next(time.Now())
		if a == nil {
			return
		}
		kept, err := r.settle(ctx, a)
		lost := r.settled(a, kept, err, last)
		switch {
		case lost:
			r.opt.Log.ErrorContext(ctx, "a received trace could not be stored and is lost", "trace_id", a.id, "attempts", a.attempts, "error", err)
		case err != nil:
			r.opt.Log.WarnContext(ctx, "a received trace could not be stored yet; it is kept and tried again", "trace_id", a.id, "error", err)
		}
	}
}

// keptIDs is how many stored traces a receiver remembers at least, in some 100 bytes each:
// what comes late of them is stored too, whether it failed or not.
const keptIDs = 1 << 15

// remember notes that a trace was stored. r.mu is held.
func (r *Receiver) remember(id string) {
	if len(r.kept) >= keptIDs {
		r.keptBefore, r.kept = r.kept, nil
	}
	if r.kept == nil {
		r.kept = make(map[string]bool)
	}
	r.kept[id] = true
}

func (r *Receiver) wasKept(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept[id] || r.keptBefore[id]
}

// settled notes what became of a, and puts it back if it is to be tried again. It reports
// whether a is lost.
func (r *Receiver) settled(a *assembly, kept bool, err error, last bool) (lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.queued -= a.bytes
		r.outage = 0
		if kept {
			r.stats.Kept++
			r.remember(a.id)
		} else {
			r.stats.Dropped++
		}
		return false
	}
	if a.attempts == 0 {
		a.kept = r.stats.Kept
	}
	a.attempts++
	if last || a.attempts >= maxAttempts && r.stats.Kept > a.kept {
		r.queued -= a.bytes
		r.stats.SinkErrors++
		return true
	}
	r.stats.Retries++
	r.queue = append(r.queue, a)
	pause := lastPause
	if r.outage < 5 {
		pause = min(pause, firstPause<<r.outage)
	}
	r.outage++
	r.resume = time.Now().Add(pause)
	return false
}

// settle keeps or drops a closed trace.
func (r *Receiver) settle(ctx context.Context, a *assembly) (kept bool, err error) {
	payload := trace.JoinOTLP(a.spans, a.logs)
	t, err := trace.Decode(payload)
	if err != nil {
		return false, err
	}
	if !r.opt.KeepAll && !a.failed && !r.wasKept(a.id) && !r.opt.Decides(t) {
		return false, nil
	}
	return true, r.opt.Sink(ctx, trace.Document{
		TraceID: a.id, Service: t.Service, Format: t.Format, Payload: payload, Start: a.start, Warnings: t.Warnings,
	})
}
