package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// A spill keeps what a file holds in pieces on disk, in buckets by trace: all parts of a
// trace are in one bucket, and a bucket fits into memory. It is one temporary file, which
// has no name any more once it is open, so that nothing is left of it when the process
// ends, however it ends. What is in it is not redacted.
type spill struct {
	file    *os.File
	size    int64
	depth   int // how often what is in it was distributed before
	buckets [spillBuckets]bucket
}

// A bucket is a list of records, in the order in which they came.
type bucket struct {
	buf    []byte  // records that are not on disk yet
	chunks []chunk // where the others are
	size   int64
	key    string // of the first record
	many   bool   // there are other keys
}

type chunk struct {
	at int64
	n  int
}

const (
	spillBuckets = 128
	// spillChunk is what a bucket writes at a time, in bytes.
	spillChunk = 16 << 10
	// maxSpillDepth bounds how often a bucket that does not fit is distributed again.
	maxSpillDepth = 3
)

func newSpill(dir string, depth int) (*spill, error) {
	f, err := os.CreateTemp(dir, "evalforge-*.spill")
	if err != nil {
		return nil, fmt.Errorf("no temporary file: %w", err)
	}
	_ = os.Remove(f.Name()) // where an open file keeps its name, close removes it
	return &spill{file: f, depth: depth}, nil
}

func (s *spill) close() error {
	err := s.file.Close()
	_ = os.Remove(s.file.Name()) // it is gone already, but on systems that keep it
	return err
}

// A piece is one part of a trace.
type piece struct {
	key      string // of the trace
	list     string // the list it belongs to, or "" for a piece that is only warnings
	session  string
	line     int
	element  []byte
	warnings []string
}

// add puts p into its bucket.
func (s *spill) add(p piece) error {
	b := &s.buckets[s.bucketOf(p.key)]
	if b.size == 0 {
		b.key = p.key
	}
	b.many = b.many || b.key != p.key
	before := len(b.buf)
	b.buf = p.append(b.buf)
	b.size += int64(len(b.buf) - before)
	if len(b.buf) < spillChunk {
		return nil
	}
	if _, err := s.file.WriteAt(b.buf, s.size); err != nil {
		return err
	}
	b.chunks = append(b.chunks, chunk{s.size, len(b.buf)})
	s.size += int64(len(b.buf))
	if b.buf = b.buf[:0]; cap(b.buf) > 4*spillChunk {
		b.buf = nil
	}
	return nil
}

// bucketOf returns the bucket of a key; each depth distributes keys differently.
func (s *spill) bucketOf(key string) int {
	h := fnv.New64a()
	h.Write([]byte{byte(s.depth)})
	io.WriteString(h, key) // cannot fail
	return int(h.Sum64() >> 32 % spillBuckets)
}

// each calls do with the pieces of b, in their order, until it reports an error. A piece
// is valid until do returns.
func (s *spill) each(b *bucket, do func(piece) error) error {
	var block []byte
	for _, c := range b.chunks {
		if cap(block) < c.n {
			block = make([]byte, c.n)
		}
		block = block[:c.n]
		if _, err := s.file.ReadAt(block, c.at); err != nil {
			return err
		}
		if err := eachPiece(block, do); err != nil {
			return err
		}
	}
	return eachPiece(b.buf, do)
}

func eachPiece(block []byte, do func(piece) error) error {
	for len(block) > 0 {
		p, n := readPiece(block)
		if n == 0 {
			return errors.New("a temporary file has changed")
		}
		if err := do(p); err != nil {
			return err
		}
		block = block[n:]
	}
	return nil
}

// append appends p as a record: its length, two numbers, and its fields, each after its
// length.
func (p piece) append(b []byte) []byte {
	r := binary.AppendUvarint(nil, uint64(p.line))
	r = binary.AppendUvarint(r, uint64(len(p.warnings)))
	for _, s := range append([]string{p.key, p.list, p.session}, p.warnings...) {
		r = append(binary.AppendUvarint(r, uint64(len(s))), s...)
	}
	r = binary.AppendUvarint(r, uint64(len(p.element)))
	b = binary.AppendUvarint(b, uint64(len(r)+len(p.element)))
	return append(append(b, r...), p.element...)
}

// readPiece reads the record at the start of b and returns its length, 0 when it is none.
func readPiece(b []byte) (p piece, n int) {
	size, head := binary.Uvarint(b)
	if head <= 0 || size > uint64(len(b)-head) {
		return p, 0
	}
	r := bytes.NewReader(b[head : head+int(size)])
	ok := true
	number := func() int {
		v, err := binary.ReadUvarint(r)
		ok = ok && err == nil && v <= size
		return int(v)
	}
	field := func() []byte {
		n := number()
		if !ok || n > r.Len() {
			ok = false
			return nil
		}
		at := head + int(size) - r.Len()
		_, _ = r.Seek(int64(n), io.SeekCurrent) // within its bounds
		return b[at : at+n]
	}
	line, err := binary.ReadUvarint(r)
	warnings := number()
	p.line = int(line)
	p.key, p.list, p.session = string(field()), string(field()), string(field())
	for range warnings {
		if !ok {
			break
		}
		p.warnings = append(p.warnings, string(field()))
	}
	p.element = field()
	if !ok || err != nil {
		return p, 0
	}
	return p, head + int(size)
}
