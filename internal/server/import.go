package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/ingest"
	"github.com/evalforge/evalforge/internal/server/problem"
	"github.com/evalforge/evalforge/internal/trace"
)

// importPath takes traces in.
const importPath = "/api/v1/traces"

// Bounds of an import over the network. A file may be larger: "evalforge import" reads it.
const (
	maxImportBody = 256 << 20 // as sent, compressed or not
	maxDocument   = 8 << 20   // one trace, decompressed, and all that are worked on at once
	maxHeld       = 8 << 20   // what an import holds in memory of traces that come in pieces
	maxImports    = 4         // at once, each of which reads one trace ahead
	maxListed     = 20        // failures that a refusal lists
)

// smallImport is how long a body is, in bytes, that is read before it takes a place among the imports: a sender that
// stops in the middle of it keeps nobody waiting.
const smallImport = 1 << 20

// importWait is how long an import waits for another one to end. It is not read meanwhile.
const importWait = 15 * time.Second

// importTraces stores the traces of the body, in any format that "evalforge import" reads, redacted. It reads while
// the sender sends.
func (s *Server) importTraces(w http.ResponseWriter, r *http.Request) error {
	split, err := splitOptions(r)
	if err != nil {
		return err
	}
	sent := io.Reader(r.Body)
	if 0 <= r.ContentLength && r.ContentLength <= smallImport {
		all, err := io.ReadAll(r.Body)
		if err != nil {
			return bodyError(err)
		}
		sent = bytes.NewReader(all)
	}
	wait := time.NewTimer(importWait)
	defer wait.Stop()
	select {
	case s.imports <- struct{}{}:
		defer func() { <-s.imports }()
	case <-r.Context().Done(): // the caller has gone
		return r.Context().Err()
	case <-wait.C:
		return problem.New(problem.Busy, fmt.Sprintf("%d imports are under way", maxImports))
	}
	im := *s.o.Importer
	im.Store, im.Split = answered{im.Store}, split
	body := &boundReader{ctx: r.Context(), r: sent}
	sum, err := im.ImportReader(r.Context(), "body", body)
	switch {
	case body.err != nil:
		// The rest never came; what came before is stored.
		return s.incomplete(bodyError(body.err), sum)
	case errors.Is(r.Context().Err(), context.Canceled):
		return s.incomplete(problem.New(problem.ClientGone, ""), sum)
	case r.Context().Err() != nil:
		return s.incomplete(problem.New(problem.RequestTimeout, "the import did not end in time"), sum)
	case err != nil:
		return s.incomplete(&because{problem.New(problem.StoreUnavailable, "the store failed during the import"), err}, sum)
	case sum.Read == sum.Failed:
		return nothingImported(sum)
	}
	return writeJSON(w, http.StatusOK, sum)
}

// splitOptions reads how the body is to be taken.
func splitOptions(r *http.Request) (trace.SplitOptions, error) {
	q, err := queryOf(r, []string{"format"})
	if err != nil {
		return trace.SplitOptions{}, err
	}
	opt := trace.SplitOptions{MaxDocument: maxDocument, MaxHeld: maxHeld}
	if f := q.text("format"); f != "" && f != "auto" {
		if opt.Format = f; !slices.Contains(trace.Formats(), f) {
			q.refuse("format", "is none of auto, %s", strings.Join(trace.Formats(), ", "))
		}
	}
	switch enc := r.Header.Get("Content-Encoding"); enc {
	case "", "identity", "gzip", "zstd": // the reader recognises these by itself
	default:
		return opt, problem.New(problem.UnsupportedMedia, fmt.Sprintf("the Content-Encoding is %.40q", enc)).WithHint("send gzip, zstd, or nothing compressed")
	}
	return opt, q.err()
}

// incomplete is err with what was stored nonetheless.
func (s *Server) incomplete(err error, sum ingest.Summary) error {
	p := *problemOf(err)
	if p.Detail == "" {
		p.Detail = p.Title
	}
	p.Detail += fmt.Sprintf("; %d of the %d traces read until then are stored, and sending all again does not store them twice", sum.Read-sum.Failed, sum.Read)
	return &because{&p, err}
}

// nothingImported refuses a body that holds nothing that could be stored.
func nothingImported(sum ingest.Summary) error {
	p := problem.New(problem.Invalid, "the body holds no trace").WithHint("send JSON, JSON Lines or OTLP, one trace or many; docs/api.md has examples")
	for i, f := range sum.Failures {
		if i == maxListed {
			break
		}
		if i == 0 {
			p.Detail = "nothing was imported: " + f.Reason
		}
		p.Errors = append(p.Errors, problem.FieldError{Field: f.Source(), Problem: f.Reason})
	}
	return p
}

// answered is a store for an import whose caller waits for the answer: what was not imported is said there, and
// not recorded.
type answered struct{ ingest.Store }

func (answered) RecordError(context.Context, evalforge.ExtractionError) error { return nil }

// A boundReader ends with its context, and remembers what broke it off. Little input may decompress to very
// much, which then is read long after the sender has gone.
type boundReader struct {
	ctx context.Context
	r   io.Reader
	err error // not io.EOF
}

func (b *boundReader) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}
