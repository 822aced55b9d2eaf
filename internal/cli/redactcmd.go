package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/trace"
)

// maxRedactLine bounds a line, a key block or a JSON document of the filter, in bytes:
// no more is held in memory at a time.
const maxRedactLine = 64 << 20

func redactCommand() command {
	var format string
	var report bool
	formats := []string{"auto", "json", "text"}
	return command{
		name: "redact", args: "[FILE|-]", maxArgs: 1,
		short: "replace secrets and personal data in text or JSON, as a filter",
		long: `Copies a file, or standard input, to standard output with secrets and personal data replaced by placeholders. JSON (one document, or one per line) stays valid JSON; everything else is taken line by line, private key blocks as a whole.
Equal values get equal placeholders within one call; set EVALFORGE_REDACTION_KEY to have them equal in all calls.`,
		examples: []string{"evalforge redact app.log > clean.log", "kubectl logs agent | evalforge redact | less", "evalforge redact -report traces.jsonl"},
		uses:     []group{groupRedaction},
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&format, "format", "auto", "What the input is: auto, json or text (`FORMAT`).")
			fs.BoolVar(&report, "report", false, "Print how many values of each kind were found, as JSON and without the values, instead of the redacted text.")
		},
		run: func(_ context.Context, c *call) error {
			if !slices.Contains(formats, format) {
				return c.badFlag("format", "%q is none of %s", format, strings.Join(formats, ", "))
			}
			r, err := c.looseRedactor()
			if err != nil {
				return err
			}
			name, in := "stdin", c.Stdin
			if len(c.args) > 0 && c.args[0] != "-" {
				f, err := openInput("redact", c.args[0])
				if err != nil {
					return err
				}
				defer f.Close() // opened for reading: nothing can be lost
				name, in = c.args[0], f
			}
			out := bufio.NewWriter(c.term.out)
			if report {
				out = bufio.NewWriter(io.Discard)
			}
			f := &filter{r: r, in: trace.UTF8(in), out: out, name: name, counts: redact.Counts{}}
			err = f.run(format)
			if ferr := out.Flush(); err == nil && ferr != nil {
				err = fmt.Errorf("write: %w", ferr)
			}
			if err != nil {
				return err
			}
			if report {
				return f.report(c.term.out)
			}
			c.term.note("redacted: %s", tally(f.counts.Strings()))
			return nil
		},
	}
}

// A filter redacts a stream.
type filter struct {
	r      *redact.Redactor
	in     *bufio.Reader
	out    *bufio.Writer
	name   string
	line   int // lines read
	counts redact.Counts
}

func (f *filter) run(format string) error {
	first, err := f.readLine()
	if errors.Is(err, io.EOF) && len(first) == 0 {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if format == "json" || format == "auto" && beginsDocument(first) {
		return f.documents(first)
	}
	return f.lines(first, format == "auto")
}

// beginsDocument reports whether line is the beginning of a JSON document that goes on
// in the next lines. A line that is JSON by itself, or not at all, is not.
func beginsDocument(line []byte) bool {
	s := bytes.TrimSpace(line)
	if len(s) == 0 || (s[0] != '{' && s[0] != '[') || json.Valid(s) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(s))
	d.UseNumber()
	for {
		if _, err := d.Token(); err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
}

// documents redacts a sequence of JSON values.
func (f *filter) documents(first []byte) error {
	limited := &io.LimitedReader{R: io.MultiReader(bytes.NewReader(first), f.in), N: maxRedactLine}
	d := json.NewDecoder(limited)
	for {
		var doc json.RawMessage
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) && limited.N > 0 {
			return nil
		}
		if err != nil && limited.N <= 0 {
			return withHint(fmt.Errorf("%s: a document is over %d MiB long", f.name, maxRedactLine>>20), "split it, or try -format text")
		}
		if err != nil {
			return withHint(fmt.Errorf("%s: byte %d: not valid JSON: %w; what comes before was written", f.name, d.InputOffset(), err), "try -format text")
		}
		limited.N = maxRedactLine
		if err := f.document(doc); err != nil {
			return err
		}
		if err := f.out.WriteByte('\n'); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
}

func (f *filter) document(doc []byte) error {
	out, n, err := f.r.JSON(doc)
	if err != nil {
		return fmt.Errorf("%s:%d: %w", f.name, f.line, err)
	}
	f.counts.Add(n)
	return f.write(out)
}

// Marks of a private key block, which spans lines.
const (
	keyBegin = "-----BEGIN "
	keyEnd   = "-----END "
)

// lines redacts line by line; with auto, a line that is JSON stays JSON.
func (f *filter) lines(line []byte, auto bool) error {
	var err error
	for len(line) > 0 {
		if bytes.Contains(line, []byte(keyBegin)) && !bytes.Contains(line, []byte(keyEnd)) {
			if line, err = f.readBlock(line); err != nil {
				return err
			}
		}
		if err := f.textOrJSON(line, auto); err != nil {
			return err
		}
		if f.in.Buffered() == 0 { // nothing more for now: show what is done, for a pipe that goes on
			if err := f.out.Flush(); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
		line, err = f.readLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

func (f *filter) textOrJSON(line []byte, auto bool) error {
	body := bytes.TrimRight(line, "\r\n")
	end := line[len(body):]
	if s := bytes.TrimSpace(body); auto && len(s) > 0 && (s[0] == '{' || s[0] == '[') && json.Valid(s) {
		if err := f.document(s); err != nil {
			return err
		}
		return f.write(end)
	}
	text, n := f.r.Text(string(body))
	f.counts.Add(n)
	if err := f.write([]byte(text)); err != nil {
		return err
	}
	return f.write(end)
}

// readBlock reads on to the end of the key block that line begins, or of the input.
func (f *filter) readBlock(line []byte) ([]byte, error) {
	block := bytes.Clone(line)
	for {
		next, err := f.readLine()
		block = append(block, next...)
		switch {
		case errors.Is(err, io.EOF) || bytes.Contains(next, []byte(keyEnd)):
			return block, nil
		case err != nil:
			return nil, err
		case len(block) > maxRedactLine:
			return nil, fmt.Errorf("%s:%d: a key block does not end within %d MiB", f.name, f.line, maxRedactLine>>20)
		}
	}
}

// readLine returns the next line with its end; the last one may have none, and comes
// with io.EOF.
func (f *filter) readLine() ([]byte, error) {
	f.line++
	var line []byte
	for {
		part, err := f.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return line, err
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%s: read: %w", f.name, err)
		case len(line) > maxRedactLine:
			return nil, fmt.Errorf("%s:%d: the line is over %d MiB long", f.name, f.line, maxRedactLine>>20)
		}
	}
}

func (f *filter) write(b []byte) error {
	if _, err := f.out.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// report prints the counts by kind, and nothing of the content.
func (f *filter) report(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(struct {
		Policy string         `json:"policy"`
		Total  int            `json:"total"`
		Kinds  map[string]int `json:"kinds"`
	}{redact.Version, f.counts.Total(), f.counts.Strings()}); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
