package ingest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/trace"
)

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
	leave, err := r.Room.enter(ctx, len(doc.Payload))
	if err != nil {
		return fmt.Errorf("%s: waiting for room to work on it: %w", source(name, doc.Line), err)
	}
	defer leave()
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
