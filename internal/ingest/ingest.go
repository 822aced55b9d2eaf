// Package ingest reads traces from files, folders or standard input into a store.
//
// An [Importer] does what an ingestion service would: it splits each input into traces,
// redacts them, and writes one raw-trace document for each. Nothing unredacted reaches
// the store, the log or an error. What cannot be read is recorded as an error document
// and counted, and the import goes on; importing the same input again changes nothing.
package ingest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
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
	// Suffix ends the id of the import, under which errors are recorded: 8 hex digits,
	// random if empty.
	Suffix string
}

// Progress is how far an import has come.
type Progress struct {
	Files, FilesTotal int
	Documents         int
	Bytes             int64 // as stored, compressed files compressed
	BytesTotal        int64 // -1 when standard input is among the sources
	// Gathered counts the bytes of traces in pieces, which are put together when the file
	// they are in has been read, and Joined those that have been.
	Gathered, Joined int64
}

// Percent is how much of the work is done, rounded down; false when it is not known how
// much there is.
func (p Progress) Percent() (int, bool) {
	total := p.BytesTotal + p.Gathered
	if p.BytesTotal <= 0 {
		return 0, false
	}
	return int(min(100, 100*(p.Bytes+p.Joined)/total)), true
}

// A Summary is what an import did. Every document read is in exactly one of Created,
// Replaced, Unchanged, Merged and Failed. All text in it is redacted.
type Summary struct {
	RunID     string `json:"runId"` // of the error documents: import_YYYYMMDD_HHMMSS_<8 hex>
	Files     int    `json:"files"` // read, standard input included
	Ignored   int    `json:"ignored"`
	Read      int    `json:"read"` // documents, those that failed included
	Created   int    `json:"created"`
	Replaced  int    `json:"replaced"`
	Unchanged int    `json:"unchanged"`
	Merged    int    `json:"merged"` // joined to a trace that the same import wrote
	Failed    int    `json:"failed"` // documents, or whole files where none could be told
	// Bytes counts what was read of the files, compressed ones as they are stored.
	Bytes      int64          `json:"bytes"`
	Redactions map[string]int `json:"redactions"` // values replaced, by kind
	// Warnings and Failures are the first [MaxListed] each; WarningsOmitted counts the
	// other warnings, and Failed all failures.
	Warnings        []string  `json:"warnings"`
	WarningsOmitted int       `json:"warningsOmitted"`
	Failures        []Failure `json:"failures"`
}

// MaxListed bounds the lists of a [Summary].
const MaxListed = 1000

// A Failure is an input that did not become a raw trace.
type Failure struct {
	File   string `json:"file"`
	Line   int    `json:"line"` // from 1; 0 when the whole file is meant
	Reason string `json:"reason"`
}

// Source returns "file:line", or only the file.
func (f Failure) Source() string { return source(f.File, f.Line) }

func source(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
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
	if r.check, err = loadCheckpoint(im.Checkpoint); err != nil {
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
			at := fmt.Sprintf("%s, file %d of %d, after %d documents", f.name, i+1, len(files), r.sum.Read)
			if ctx.Err() != nil {
				return r.sum, &stoppedError{at, err}
			}
			return r.sum, fmt.Errorf("import failed at %s: %w; import again when that is put right: what is stored already is left as it is", at, err)
		}
	}
	if im.Checkpoint != "" {
		if err := os.Remove(im.Checkpoint); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.warn("checkpoint", "could not be removed: "+cause(err).Error())
		}
	}
	return r.sum, nil
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

func (r *run) saveCheckpoint() error {
	if r.Checkpoint == "" {
		return nil
	}
	return r.check.save(r.Checkpoint)
}

func (im *Importer) newRun() *run {
	suffix := im.Suffix
	if suffix == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		suffix = hex.EncodeToString(b[:])
	}
	r := &run{Importer: im, log: im.Log, seen: newRecall(recalled), errIDs: newRecall(recalled)}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.sum = Summary{
		RunID:      "import_" + im.Now().UTC().Format("20060102_150405") + "_" + suffix,
		Redactions: map[string]int{}, Warnings: []string{}, Failures: []Failure{},
	}
	return r
}

// run is one import under way.
type run struct {
	*Importer
	log     *slog.Logger
	sum     Summary
	prog    Progress
	seen    *recall // ids of the traces written in this import
	check   *checkpoint
	unsaved int     // positions noted since the checkpoint was written
	errIDs  *recall // ids of error documents written
}

// recalled is how many ids an import remembers at least.
const recalled = 1 << 20

// file imports one file. It returns the errors that end the import.
func (r *run) file(ctx context.Context, f file) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	at := r.position(f)
	if at.Done {
		r.prog.Files++
		r.advance(f.size)
		return nil
	}
	in, err := r.open(f)
	if err != nil {
		r.sum.Read++
		r.fail(ctx, f.name, 0, evalforge.Unknown, err)
		return nil
	}
	defer in.Close() // opened for reading: nothing can be lost
	counted := &countingReader{r: in, tick: r.advance}
	r.sum.Files++
	opt := r.Split
	opt.Offset, opt.Line, opt.Skip = at.Offset, at.Line, at.Gathered
	opt.Gathered = func(n int) { r.prog.Gathered += int64(n) }
	for doc, err := range trace.Split(f.name, counted, opt) {
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		r.sum.Read++
		if err != nil {
			r.undecodable(ctx, f.name, err)
		} else if err := r.document(ctx, f.name, doc); err != nil {
			r.sum.Read-- // neither stored nor failed: the store could not say
			return err
		} else if doc.Next > 0 || doc.Gathered > at.Gathered {
			if doc.Next > 0 {
				at.Offset, at.Line = doc.Next, doc.NextLine
			}
			if doc.Gathered > at.Gathered {
				r.prog.Joined += int64(len(doc.Payload))
			}
			at.Gathered = doc.Gathered
			if err := r.passed(f, at, false); err != nil {
				return err
			}
		}
		r.advance(counted.take())
	}
	r.prog.Joined = r.prog.Gathered
	r.prog.Files++
	r.advance(counted.take())
	at.Done = true
	return r.passed(f, at, true)
}

func (r *run) advance(bytes int64) {
	r.sum.Bytes += bytes
	r.prog.Bytes, r.prog.Documents = r.sum.Bytes, r.sum.Read
	if r.Progress != nil {
		r.Progress(r.prog)
	}
}

// undecodable records an input that is no trace.
func (r *run) undecodable(ctx context.Context, name string, err error) {
	line := 0
	if se := (*trace.SplitError)(nil); errors.As(err, &se) {
		line, err = se.Line, errors.New(se.Reason+jsonRemedy(se.Reason))
	}
	r.fail(ctx, name, line, evalforge.InvalidJSON, err)
}

// jsonRemedy says what to do about an input that is no JSON.
func jsonRemedy(reason string) string {
	switch {
	case strings.HasPrefix(reason, "is not valid JSON"):
		return "; correct it there, or export it again as JSON or JSON Lines, and import it again"
	case strings.HasPrefix(reason, "is cut off"):
		return "; export it again in full, and import it again"
	}
	return ""
}

// document imports one document. It returns the errors that end the import.
func (r *run) document(ctx context.Context, name string, doc trace.Document) error {
	at := source(name, doc.Line)
	for _, w := range doc.Warnings {
		r.warn(at, w)
	}
	raw, warnings, err := r.prepare(doc)
	for _, w := range warnings {
		r.warn(at, w)
	}
	if err != nil {
		r.fail(ctx, name, doc.Line, evalforge.SchemaValidation, err)
		return nil
	}
	again := r.seen.has(raw.TraceID)
	merged := false
	if doc.Raw == nil { // a raw-trace document is always the whole trace
		if merged, err = r.join(ctx, &raw, again); err != nil {
			return err
		}
	}
	if again && !merged {
		other, err := r.isOther(ctx, raw)
		if err != nil {
			return err
		}
		if other { // replacing the first would lose it, and the next import would put it back
			raw.TraceID = distinctID(raw)
			r.warn(at, fmt.Sprintf("has the trace id of another trace of this import; it is imported as %s", raw.TraceID))
		}
	}
	res, err := r.Store.PutTrace(ctx, raw)
	switch {
	case err != nil && extract.KindOf(err) == extract.KindOversize:
		r.fail(ctx, name, doc.Line, evalforge.Oversize, fmt.Errorf("trace %s: %w", raw.TraceID, err))
		return nil
	case err != nil:
		return fmt.Errorf("store trace %s from %s: %w", raw.TraceID, at, err)
	}
	r.seen.add(raw.TraceID)
	switch {
	case again && merged:
		r.sum.Merged++
	case res == extract.Created:
		r.sum.Created++
	case res == extract.Unchanged:
		r.sum.Unchanged++
	default:
		r.sum.Replaced++
	}
	return nil
}

// isOther reports whether another trace than raw is stored under its id.
func (r *run) isOther(ctx context.Context, raw evalforge.RawTrace) (bool, error) {
	first, err := r.Store.Trace(ctx, raw.TraceID)
	switch {
	case errors.Is(err, evalforge.ErrNotFound): // deleted since, or never stored
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look up trace %s: %w", raw.TraceID, err)
	}
	return first.Digest() != raw.Digest(), nil
}

// fail counts, lists and records an input that did not become a raw trace. When even
// the record cannot be written, the summary still has the failure.
func (r *run) fail(ctx context.Context, name string, line int, typ evalforge.ErrorType, reason error) {
	f := Failure{File: name, Line: line, Reason: r.clean(reason.Error())}
	r.sum.Failed++
	if len(r.sum.Failures) < MaxListed {
		r.sum.Failures = append(r.sum.Failures, f)
	}
	r.log.WarnContext(ctx, "not imported", "source", f.Source(), "reason", f.Reason)
	err := r.Store.RecordError(ctx, evalforge.ExtractionError{
		RunID:         r.sum.RunID,
		SourceTraceID: r.sourceID(name, line),
		ErrorType:     typ,
		ErrorMessage:  f.Source() + ": " + f.Reason,
		RecordedAt:    evalforge.At(r.Now()),
	})
	if err != nil {
		r.warn(f.Source(), "its failure could not be recorded in the store: "+err.Error())
	}
}

func (r *run) warn(at, text string) {
	text = r.clean(text)
	r.log.Warn(text, "source", at)
	if len(r.sum.Warnings) == MaxListed {
		r.sum.WarningsOmitted++
		return
	}
	r.sum.Warnings = append(r.sum.Warnings, at+": "+text)
}

func (r *run) count(c redact.Counts) {
	for k, n := range c {
		r.sum.Redactions[string(k)] += n
	}
}

// countingReader counts the bytes read through it.
type countingReader struct {
	r    io.Reader
	n    int64
	tick func(n int64) // told from time to time what was read
}

// tickEvery is after how many bytes it is told.
const tickEvery = 1 << 20

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.n += int64(n); c.n >= tickEvery {
		c.tick(c.take())
	}
	return n, err
}

// take returns the bytes read since the last call.
func (c *countingReader) take() int64 {
	n := c.n
	c.n = 0
	return n
}
