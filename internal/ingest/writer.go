package ingest

import (
	"context"

	"github.com/evalforge/evalforge/internal/trace"
)

// A Writer stores traces that come one at a time, from a receiver. It does with each what
// an import does with a document of a file: redact, complete what is stored of the same
// trace already, make it fit, write.
//
// A Writer is used by one goroutine.
type Writer struct{ run *run }

// NewWriter returns a writer that records failures under one import id.
func (im *Importer) NewWriter() *Writer {
	w := &Writer{run: im.newRun()}
	w.run.seen = nil // traces come for as long as the process lives
	return w
}

// Write stores doc, which comes from name, such as "otlp". A trace that cannot be stored
// is recorded, and is no error: errors are the store's.
func (w *Writer) Write(ctx context.Context, name string, doc trace.Document) error {
	w.run.sum.Read++
	w.run.sum.Warnings, w.run.sum.Failures = nil, nil // they are logged; the lists would grow for ever
	return w.run.document(ctx, name, doc)
}
