package eval

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"github.com/evalforge/evalforge/internal/trace"
)

// maxLine bounds one line of a cases file, in bytes: as long as the longest trace that
// is worth having in memory at once, times a few.
const maxLine = 64 << 20

var errLineTooLong = errors.New("line too long")

// lineReader reads lines of bounded length from plain or gzipped text.
type lineReader struct {
	r     *bufio.Reader
	limit int
	n     int // lines read so far
}

// newLineReader returns a reader of r's lines, which it gunzips if need be, in
// UTF-8 without a byte order mark.
func newLineReader(r io.Reader, limit int) (*lineReader, error) {
	br, err := gunzip(r)
	if err != nil {
		return nil, err
	}
	return &lineReader{r: trace.UTF8(br), limit: limit}, nil
}

// gunzip returns what r holds, decompressed if it begins like a gzip stream.
func gunzip(r io.Reader) (*bufio.Reader, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	if magic, _ := br.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return br, nil
	}
	zr, err := gzip.NewReader(br)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(zr, 64<<10), nil
}

// next returns the next line without its end, and io.EOF after the last. A line over
// the limit is read to its end and reported as errLineTooLong; reading can go on.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	tooLong := false
	for read := false; ; read = true {
		part, err := l.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			l.n++
			return nil, err
		}
		if errors.Is(err, io.EOF) && len(part) == 0 && !read {
			return nil, io.EOF
		}
		if len(line)+len(part) > l.limit {
			tooLong, line = true, nil
		} else if !tooLong {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		l.n++
		if tooLong {
			return nil, errLineTooLong
		}
		return bytes.TrimSpace(line), nil
	}
}
