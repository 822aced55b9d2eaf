package ingest

import (
	"context"
	"fmt"
	"io"
)

// ImportReader imports what in holds, compressed or not, as Import does with a file. Messages call
// it name. It fails when the store does or when ctx is done; what the summary counts is
// stored even so. [Importer.Checkpoint] is not used.
func (im *Importer) ImportReader(ctx context.Context, name string, in io.Reader) (Summary, error) {
	one := *im
	one.Stdin, one.Checkpoint = in, ""
	r := one.newRun()
	r.check = &checkpoint{}
	r.prog.FilesTotal, r.prog.BytesTotal = 1, -1
	if err := r.file(ctx, file{path: stdin, name: r.clean(name), size: -1}); err != nil {
		at := fmt.Sprintf("%s, after %d documents", name, r.sum.Read)
		if ctx.Err() != nil {
			return r.sum, &stoppedError{at, err}
		}
		return r.sum, fmt.Errorf("import failed at %s: %w; import again when that is put right: what is stored already is left as it is", at, err)
	}
	return r.sum, nil
}
