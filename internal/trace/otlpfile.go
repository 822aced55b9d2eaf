package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Files of OTLP in protobuf: one message, or several, each after its length in four bytes,
// as the Collector's file exporter writes them:
// https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/fileexporter
// With compression it compresses each message by itself and writes its length before it,
// messages in JSON included.
//
// Neither kind of file is held as a whole: at most one message is, and of a file that is one
// message at most what one resource sent.

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// prefix is the length of a message's length, in bytes.
const prefix = 4

// isProto reports whether a file that starts with head holds messages. Text starts with
// neither a length, whose first byte is hardly ever over 0, nor with field 1 and a control
// character after it.
func isProto(head []byte) bool {
	if len(head) < prefix+2 {
		return false
	}
	if isPrefixed(head) {
		return true
	}
	if head[0] != 0x0a { // field 1, which text could start with as well: a line break
		return false
	}
	for _, c := range head {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return true
		}
	}
	return false
}

// isPrefixed reports whether head is a length and the start of a message.
func isPrefixed(head []byte) bool {
	if len(head) <= prefix || head[0] > 8 {
		return false
	}
	message := head[prefix:]
	return message[0] == 0x0a || message[0] == '{' || bytes.HasPrefix(message, zstdMagic)
}

// protoParts reads a message of spans or of log records, whichever it is: one read as
// the other has no items with ids.
func protoParts(b []byte) ([]OTLPPart, error) {
	parts, _, err := OTLPProto(b, false)
	if len(parts) > 0 {
		return parts, nil
	}
	logs, _, lerr := OTLPProto(b, true)
	if len(logs) > 0 {
		return logs, nil
	}
	if err != nil && lerr != nil {
		return nil, err
	}
	return nil, errors.New("is OTLP in protobuf without a span or log record that has a trace id")
}

var errCutOff = errors.New("is cut off: the last message has no end")

// proto takes in a file of OTLP in protobuf.
func (s *splitter) proto(src *source) {
	next := src.field
	if isPrefixed(src.head()) {
		next = src.prefixed
	}
	blocks := blockReader{max: s.opt.MaxDocument}
	defer blocks.close()
	for n := 1; !s.done; n++ {
		m, err := next()
		if err == io.EOF {
			break
		}
		if err == nil {
			m, err = blocks.read(m)
		}
		if err == nil {
			err = s.protoMessage(m)
		}
		switch {
		case src.err != nil && src.err != io.EOF:
			s.fail(0, "cannot be read to its end: "+src.err.Error())
		case errors.Is(err, errTooLong):
			s.fail(0, fmt.Sprintf("message %d is over %d MiB long; export in smaller batches", n, s.opt.MaxDocument>>20))
		case err == errCutOff:
			s.fail(0, err.Error())
		case err != nil:
			s.fail(0, fmt.Sprintf("message %d %v", n, err))
		}
	}
	s.flush()
}

// protoMessage takes in one message.
func (s *splitter) protoMessage(m []byte) error {
	if m[0] == '{' {
		s.document(bytes.Clone(m), 0)
		return nil
	}
	parts, err := protoParts(m)
	if err != nil {
		return err
	}
	for _, p := range parts {
		signal := otlpSignals[0]
		if p.Logs {
			signal = otlpSignals[1]
		}
		for _, r := range p.Resources {
			s.part(piece{key: "otlp " + p.TraceID, list: signal.resources[0], element: r})
		}
	}
	return nil
}

// take returns the next n bytes, which are valid until the source is read on.
func (s *source) take(n int) ([]byte, error) {
	for len(s.ahead()) < n {
		if err := s.more(); err != nil {
			s.off = len(s.buf)
			return nil, errCutOff
		}
	}
	b := s.ahead()[:n]
	s.off += n
	return b, nil
}

// skip moves past n bytes.
func (s *source) skip(n uint64) error {
	for n > 0 {
		if len(s.ahead()) == 0 {
			if err := s.more(); err != nil {
				return errCutOff
			}
		}
		step := min(uint64(len(s.ahead())), n)
		s.off, n = s.off+int(step), n-step
	}
	return nil
}

// prefixed returns the next message of a file with lengths, or [io.EOF].
func (s *source) prefixed() ([]byte, error) {
	if len(s.ahead()) == 0 && s.more() != nil {
		return nil, io.EOF
	}
	head, err := s.take(prefix)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if int64(n) > int64(s.max) {
		if err := s.skip(uint64(n)); err != nil {
			return nil, err
		}
		return nil, errTooLong
	}
	return s.take(int(n))
}

// field returns the next field of a file that is one message, with its tag and length: one
// resource's spans or log records. It returns [io.EOF] at the end.
func (s *source) field() ([]byte, error) {
	for len(s.ahead()) < 1+binary.MaxVarintLen64 && s.more() == nil {
	}
	if len(s.ahead()) == 0 {
		return nil, io.EOF
	}
	n, size := binary.Uvarint(s.ahead()[1:])
	switch {
	case s.ahead()[0] != 0x0a || size <= 0:
		s.off = len(s.buf)
		for s.more() == nil {
			s.off = len(s.buf)
		}
		return nil, errors.New("has another field than OTLP's messages; the rest of the file was not read")
	case n > uint64(s.max):
		if err := s.skip(1 + uint64(size) + n); err != nil {
			return nil, err
		}
		return nil, errTooLong
	}
	return s.take(1 + size + int(n))
}

// A blockReader undoes the compression of single messages.
type blockReader struct {
	max int // of a message, in bytes
	d   *zstd.Decoder
}

func (r *blockReader) read(m []byte) ([]byte, error) {
	if len(m) == 0 {
		return nil, errors.New("is empty")
	}
	if !bytes.HasPrefix(m, zstdMagic) {
		return m, nil
	}
	if r.d == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(uint64(r.max)))
		if err != nil {
			return nil, err
		}
		r.d = d
	}
	out, err := r.d.DecodeAll(m, nil)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, errTooLong
	case err != nil:
		return nil, fmt.Errorf("cannot be decompressed: %w", err)
	case len(out) == 0:
		return nil, errors.New("is empty")
	}
	return out, nil
}

func (r *blockReader) close() {
	if r.d != nil {
		r.d.Close()
	}
}
