package ingest

import (
	"context"
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
		return r.sum, r.cutShort(ctx, name, err)
	}
	return r.sum, nil
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
