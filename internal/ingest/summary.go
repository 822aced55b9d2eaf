package ingest

import (
	"fmt"
)

// Progress is how far an import has come.
type Progress struct {
	Files, FilesTotal int
	Documents         int
	Bytes             int64 // as stored, compressed files compressed
	BytesTotal        int64 // -1 when standard input is among the sources
	// Gathered counts the bytes of traces in pieces, which are put together when the file
	// they are in has been read, and Joined those that have been.
	Gathered, Joined int64
}

// Percent is how much of the work is done, rounded down; false when it is not known how
// much there is.
func (p Progress) Percent() (int, bool) {
	total := p.BytesTotal + p.Gathered
	if p.BytesTotal <= 0 {
		return 0, false
	}
	return int(min(100, 100*(p.Bytes+p.Joined)/total)), true
}

// A Summary is what an import did. Every document read is in exactly one of Created,
// Replaced, Unchanged, Merged and Failed. All text in it is redacted.
type Summary struct {
	RunID     string `json:"runId"` // of the error documents: import_YYYYMMDD_HHMMSS_<8 hex>
	Files     int    `json:"files"` // read, standard input included
	Ignored   int    `json:"ignored"`
	Read      int    `json:"read"` // documents, those that failed included
	Created   int    `json:"created"`
	Replaced  int    `json:"replaced"`
	Unchanged int    `json:"unchanged"`
	Merged    int    `json:"merged"` // joined to a trace that the same import wrote
	Failed    int    `json:"failed"` // documents, or whole files where none could be told
	// Bytes counts what was read of the files, compressed ones as they are stored.
	Bytes      int64          `json:"bytes"`
	Redactions map[string]int `json:"redactions"` // values replaced, by kind
	// Warnings and Failures are the first [MaxListed] each; WarningsOmitted counts the
	// other warnings, and Failed all failures.
	Warnings        []string  `json:"warnings"`
	WarningsOmitted int       `json:"warningsOmitted"`
	Failures        []Failure `json:"failures"`
}

// MaxListed bounds the lists of a [Summary].
const MaxListed = 1000

// A Failure is an input that did not become a raw trace.
type Failure struct {
	File   string `json:"file"`
	Line   int    `json:"line"` // from 1; 0 when the whole file is meant
	Reason string `json:"reason"`
}

// Source returns "file:line", or only the file.
func (f Failure) Source() string { return source(f.File, f.Line) }

func source(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}
