// Package ingest reads traces from files, folders or standard input into a store.
//
// An [Importer] does what an ingestion service would: it splits each input into traces,
// redacts them, and writes one raw-trace document for each. Nothing unredacted reaches
// the store, the log or an error. What cannot be read is recorded as an error document
// and counted, and the import goes on; importing the same input again changes nothing.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/trace"
)

// A Store is what an import needs of an [extract.Store].
type Store interface {
	PutTrace(ctx context.Context, t evalforge.RawTrace) (extract.PutResult, error)
	Trace(ctx context.Context, id string) (evalforge.RawTrace, error)
	RecordError(ctx context.Context, e evalforge.ExtractionError) error
}

// A Redactor replaces secrets and personal data, as [redact.Redactor] does.
type Redactor interface {
	Text(s string) (string, redact.Counts)
	JSON(b []byte) ([]byte, redact.Counts, error)
}

// An Importer imports traces. The zero value of each optional field is fine.
type Importer struct {
	Store    Store
	Redactor Redactor
	Now      func() time.Time
	// Split says how inputs are read.
	Split trace.SplitOptions
	// Stdin is read for the source "-". Optional unless that source is given.
	Stdin io.Reader
	// Log gets failures and warnings as they happen, which the summary repeats. Optional.
	Log *slog.Logger
	// Progress, if not nil, is called after each document and each file.
	Progress func(Progress)
	// Checkpoint, if not "", is a file in which the import keeps how far it has come. An
	// import that finds it there goes on where the one before was stopped; one that comes
	// to its end removes it.
	Checkpoint string
	// Room, if not nil, bounds what this and other imports work on at the same time.
	Room *Room
	// Suffix ends the id of the import, under which errors are recorded: 8 hex digits,
	// random if empty.
	Suffix string
}

// Import reads each source: a file, "-" for standard input, or a folder, of which it
// reads the trace files ([Extensions]) in lexical order with its subfolders, hidden
// files left out. Files may be compressed with gzip or zstd.
//
// Before anything is written it fails on a source that does not exist. Later it fails
// only when the store does or when ctx is done, with a summary of what was imported
// until then; it stops between documents, never inside one. The caller decides what
// Failed means for it.
//
// Memory does not grow with the input: at most one document ([trace.MaxDocument]) is held
// at a time, in several forms, with the stored trace that it is merged into, besides what
// [trace.Split] gathers, and up to 40 MiB of digests of ids. A trace that has the id of another one
// more than a million traces before it replaces that instead of being told apart.
func (im *Importer) Import(ctx context.Context, sources ...string) (Summary, error) {
	r := im.newRun()
	files, err := r.find(sources)
	if err != nil {
		return r.sum, err
	}
	if r.check, err = loadCheckpoint(im.Checkpoint); err == nil {
		err = r.saveCheckpoint() // it must be possible before there is much to lose
	}
	if err != nil {
		return r.sum, fmt.Errorf("%w; nothing was imported", err)
	}
	r.prog.FilesTotal = len(files)
	for _, f := range files {
		if f.size < 0 || r.prog.BytesTotal < 0 {
			r.prog.BytesTotal = -1
			continue
		}
		r.prog.BytesTotal += f.size
	}
	for i, f := range files {
		if err := r.file(ctx, f); err != nil {
			err = errors.Join(err, r.saveCheckpoint())
			return r.sum, r.cutShort(ctx, fmt.Sprintf("%s, file %d of %d", f.name, i+1, len(files)), err)
		}
	}
	if im.Checkpoint != "" {
		if err := os.Remove(im.Checkpoint); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.warn("checkpoint", "could not be removed: "+cause(err).Error())
		}
	}
	return r.sum, nil
}

// cutShort is the error of an import that ends early with err, in source.
func (r *run) cutShort(ctx context.Context, source string, err error) error {
	at := fmt.Sprintf("%s, after %d documents", source, r.sum.Read)
	if r.sum.Read == 1 {
		at = source + ", after 1 document"
	}
	if ctx.Err() != nil {
		return &stoppedError{at, err}
	}
	return fmt.Errorf("import failed at %s: %w; import again when that is put right: what is stored already is left as it is", at, err)
}

// A stoppedError ends an import whose context is done.
type stoppedError struct {
	at  string // how far it came
	err error  // of the context, with what went wrong on the way out
}

func (e *stoppedError) Error() string {
	return "import stopped at " + e.at + "; run it again to import the rest: what is stored already is left as it is"
}

func (e *stoppedError) Unwrap() error { return e.err }
