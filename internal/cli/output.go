package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The values of -o.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatJSONL = "jsonl"
)

// anyFormat is what most commands can print.
func anyFormat() []string { return []string{formatTable, formatJSON, formatJSONL} }

// writeJSON writes v: indented for json, on one line for jsonl.
func writeJSON(w io.Writer, v any, format string) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if format == formatJSON {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(v)
}

// A listWriter writes a list as it comes: a JSON array, or one line for each item.
type listWriter struct {
	w      io.Writer
	format string
	n      int
}

func (l *listWriter) add(v any) error {
	if l.format == formatJSON {
		sep := ",\n"
		if l.n == 0 {
			sep = "[\n"
		}
		if _, err := io.WriteString(l.w, sep); err != nil {
			return err
		}
	}
	l.n++
	return writeJSON(l.w, v, formatJSONL)
}

func (l *listWriter) end() error {
	if l.format != formatJSON {
		return nil
	}
	text := "]\n"
	if l.n == 0 {
		text = "[]\n"
	}
	_, err := io.WriteString(l.w, text)
	return err
}

// writeFile writes a file in one step: whoever looks at name sees the old content or
// all of the new, never a part, even if the machine stops in between.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := createFile(name)
	if err != nil {
		return err
	}
	defer f.discard()
	if err := write(f.tmp); err != nil {
		return f.failed(err)
	}
	return f.keep()
}

// A newFile is a file that is written beside its name, and takes it when it is kept.
type newFile struct {
	name string
	tmp  *os.File
}

// createFile begins a file. That it can be written is known before there is anything to
// write.
func createFile(name string) (*newFile, error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, (&newFile{name: name}).failed(err)
	}
	return &newFile{name, tmp}, nil
}

// keep gives the file its name, when all of it has reached the disk.
func (f *newFile) keep() error {
	if err := f.tmp.Sync(); err != nil {
		return f.failed(err)
	}
	if err := f.tmp.Close(); err != nil {
		return f.failed(err)
	}
	if err := os.Rename(f.tmp.Name(), f.name); err != nil {
		return f.failed(err)
	}
	return nil
}

// discard forgets the file, unless it has been kept.
func (f *newFile) discard() {
	_ = f.tmp.Close()           // closed already, if it was kept
	_ = os.Remove(f.tmp.Name()) // gone already, if it was kept
}

// failed names the file that the user knows, and not the one beside it.
func (f *newFile) failed(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("write %s: %w", f.name, err)
}
