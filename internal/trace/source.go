package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

var errTooLong = errors.New("value too long")

// A source reads JSON values one after the other and can go back to the start of one
// that turned out to be broken.
type source struct {
	r    io.Reader
	buf  []byte // bytes read, of which those before off are done with
	off  int
	next int   // what the decoder under way was given, from off
	line int   // line at off, from 1
	gone int64 // bytes that were before buf
	max  int
	err  error // from r
	// wasted counts the bytes that were scanned for values that turned out to be broken.
	// Past maxWasted only values that end on their own line are looked for, so that a
	// broken file takes time in proportion to its length.
	wasted int
}

const maxWasted = 64 << 20

// maxWindow bounds the memory of zstd, in bytes; it is what the zstd command writes at
// most unless it is told otherwise.
const maxWindow = 128 << 20

// minHead is how much of a file is read to tell what it is, in bytes.
const minHead = 64

// newSource returns a source of at most max bytes per value, decompressing gzip and zstd, and
// in UTF-8.
func newSource(r io.Reader, max int) (*source, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	s := &source{r: br, line: 1, max: max}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, err
		}
		s.r = zr
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One goroutine, which ends with the file, and a window that no file can blow up.
		zr, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		s.r = zr
	}
	s.r = inLines(UTF8(s.r))
	if err := s.more(); err != nil && err != io.EOF {
		return nil, err
	}
	for len(s.ahead()) < minHead && s.more() == nil {
	}
	return s, nil
}

// head returns the start of what lies ahead, to tell what it is.
func (s *source) head() []byte { return s.ahead()[:min(len(s.ahead()), 512)] }

// ahead returns what was read and is not done with.
func (s *source) ahead() []byte { return s.buf[s.off:] }

// more reads on; it reads something or returns an error.
func (s *source) more() error {
	if s.err != nil {
		return s.err
	}
	if s.off > 64<<10 && s.off > len(s.buf)/2 {
		s.gone += int64(s.off)
		s.buf = append(s.buf[:0], s.buf[s.off:]...)
		s.off = 0
	}
	const chunk = 32 << 10
	if cap(s.buf)-len(s.buf) < chunk {
		bigger := make([]byte, len(s.buf), 2*cap(s.buf)+chunk)
		copy(bigger, s.buf)
		s.buf = bigger
	}
	for range 100 {
		n, err := s.r.Read(s.buf[len(s.buf) : len(s.buf)+chunk])
		s.buf = s.buf[:len(s.buf)+n]
		if err != nil {
			s.err = err
			if n > 0 {
				return nil
			}
			return err
		}
		if n > 0 {
			return nil
		}
	}
	s.err = io.ErrNoProgress
	return s.err
}

// position returns how many bytes are done with.
func (s *source) position() int64 { return s.gone + int64(s.off) }

// discard moves to position n, which is in the given line.
func (s *source) discard(n int64, line int) error {
	for s.position() < n {
		if len(s.ahead()) == 0 {
			if err := s.more(); err != nil {
				return err
			}
		}
		s.off += int(min(int64(len(s.ahead())), n-s.position()))
	}
	s.line = line
	return nil
}

// peek returns the next byte.
func (s *source) peek() (byte, error) {
	for len(s.ahead()) == 0 {
		if err := s.more(); err != nil {
			return 0, err
		}
	}
	return s.buf[s.off], nil
}

// skipSpace moves to the next byte that is not white space (or a record separator, RFC
// 7464).
func (s *source) skipSpace() error {
	for {
		c, err := s.peek()
		if err != nil {
			return err
		}
		switch c {
		case '\n':
			s.line++
		case ' ', '\t', '\r', 0x1e:
		case bom[0]: // of a file that was put behind another
			if !s.startsWith(bom) {
				return nil
			}
			s.off += len(bom) - 1
		default:
			return nil
		}
		s.off++
	}
}

// startsWith reports whether the next bytes are those of prefix.
func (s *source) startsWith(prefix string) bool {
	for len(s.ahead()) < len(prefix) {
		if s.more() != nil {
			return false
		}
	}
	return string(s.ahead()[:len(prefix)]) == prefix
}

// skipLine moves to the start of the next line, or the end.
func (s *source) skipLine() {
	for {
		if i := bytes.IndexByte(s.ahead(), '\n'); i >= 0 {
			s.off += i + 1
			s.line++
			return
		}
		s.off = len(s.buf)
		if s.more() != nil {
			return
		}
	}
}

// value reads the JSON value that starts here. On an error the source stays where it is.
func (s *source) value() ([]byte, error) {
	s.next = 0
	d := json.NewDecoder(reader{s})
	if s.wasted > maxWasted {
		d = json.NewDecoder(&lineReader{r: reader{s}})
	}
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		s.wasted += s.next
		return nil, err
	}
	n := int(d.InputOffset())
	s.line += bytes.Count(s.ahead()[:n], []byte("\n"))
	s.off += n
	return raw, nil
}

// onOneLine reports whether the next n bytes hold no line break.
func (s *source) onOneLine(n int) bool {
	return bytes.IndexByte(s.ahead()[:max(0, min(n, len(s.ahead())))], '\n') < 0
}

// lineAt returns the line of the nth byte from here.
func (s *source) lineAt(n int) int {
	return s.line + bytes.Count(s.ahead()[:max(0, min(n, len(s.ahead())))], []byte("\n"))
}

// reader gives a decoder what lies ahead, without taking it.
type reader struct{ s *source }

func (r reader) Read(p []byte) (int, error) {
	s := r.s
	for s.off+s.next >= len(s.buf) {
		if s.next > s.max {
			return 0, errTooLong
		}
		if err := s.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.off+s.next:])
	s.next += n
	return n, nil
}

// A lineReader reads up to the end of the line.
type lineReader struct {
	r    reader
	done bool
}

func (l *lineReader) Read(p []byte) (int, error) {
	if l.done {
		return 0, io.EOF
	}
	n, err := l.r.Read(p)
	if i := bytes.IndexByte(p[:n], '\n'); i >= 0 {
		l.done = true
		l.r.s.next -= n - i - 1
		n = i + 1
	}
	return n, err
}
