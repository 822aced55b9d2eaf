package trace

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// bom is the byte order mark in UTF-8.
const bom = "\xef\xbb\xbf"

// UTF8 returns what r says in UTF-8 without a byte order mark. Text of UTF-16 must begin with
// one, as Windows' programs write it, and have ASCII in it; other bytes are not changed.
func UTF8(r io.Reader) *bufio.Reader {
	br, ok := r.(*bufio.Reader)
	if !ok {
		br = bufio.NewReaderSize(r, 64<<10)
	}
	head, _ := br.Peek(len(bom)) // what is wrong, the caller will read
	switch {
	case bytes.HasPrefix(head, []byte(bom)):
		_, _ = br.Discard(len(bom)) // they are there
	case isUTF16(br):
		return bufio.NewReaderSize(transform.NewReader(br, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()), 64<<10)
	}
	return br
}

// isUTF16 reports whether r begins with a byte order mark of UTF-16 and, soon, a character of
// ASCII: without one it is no JSON, and most likely no text.
func isUTF16(r *bufio.Reader) bool {
	const soon = 512
	head, _ := r.Peek(2)
	high := 3 // position of a high byte
	switch {
	case bytes.Equal(head, []byte("\xff\xfe")):
	case bytes.Equal(head, []byte("\xfe\xff")):
		high = 2
	default:
		return false
	}
	head, _ = r.Peek(soon)
	for i := high; i < len(head); i += 2 {
		if head[i] == 0 {
			return true
		}
	}
	return false
}

// eventStreamFields are how the lines of an event stream begin that have no data.
var eventStreamFields = [...]string{"event:", "id:", "retry:", ": "}

// isEventStream recognises a recording of an event stream (text/event-stream).
func isEventStream(head []byte) bool {
	for _, f := range eventStreamFields {
		if bytes.HasPrefix(head, []byte(f)) {
			return true
		}
	}
	return bytes.HasPrefix(head, []byte("data:"))
}

// inLines returns what r has, of an event stream only its data.
func inLines(r *bufio.Reader) io.Reader {
	if head, _ := r.Peek(len("retry:")); isEventStream(head) {
		return &eventData{r: r}
	}
	return r
}

// An eventData reads the data of an event stream, each in its line; all other lines are
// empty.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
type eventData struct {
	r      *bufio.Reader
	within bool // a line that goes on
	kept   bool // it is data
	rest   []byte
}

func (e *eventData) Read(p []byte) (int, error) {
	for len(e.rest) == 0 {
		if err := e.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// next reads the next line, or what the buffer holds of it.
func (e *eventData) next() error {
	if !e.within {
		e.kept = true
		if head, _ := e.r.Peek(len("data:")); string(head) == "data:" {
			_, _ = e.r.Discard(len(head))
			end, _ := e.r.Peek(len(" [DONE]"))
			e.kept = !bytes.HasPrefix(bytes.TrimSpace(end), []byte("[DONE"))
		} else if head, _ = e.r.Peek(len("retry:")); isEventStream(head) {
			e.kept = false
		}
	}
	line, err := e.r.ReadSlice('\n')
	e.within = errors.Is(err, bufio.ErrBufferFull)
	if e.within {
		err = nil
	}
	switch {
	case e.kept:
		e.rest = line
	case bytes.HasSuffix(line, []byte{'\n'}):
		e.rest = []byte{'\n'}
	}
	if len(e.rest) > 0 { // the reader gives an error again
		return nil
	}
	return err
}
