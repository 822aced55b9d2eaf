package otlp

import (
	"context"

	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/signal"
	"github.com/evalforge/evalforge/internal/trace"
)

// Into returns a receiver that stores through w what failed: a trace with an error status,
// or one with a signal that decides. Fields of o that are set are kept.
func Into(w *ingest.Writer, o Options) *Receiver {
	if o.Sink == nil {
		o.Sink = func(ctx context.Context, doc trace.Document) error { return w.Write(ctx, "otlp", doc) }
	}
	if o.Decides == nil {
		o.Decides = signalDecides
	}
	return newReceiver(o)
}

// signalDecides reports whether a signal in t decides that it failed, whatever its status.
func signalDecides(t *trace.Trace) bool {
	for _, s := range signal.Detect(t, "") {
		if s.Decides() {
			return true
		}
	}
	return false
}
