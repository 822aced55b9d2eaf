package cli

import (
	"encoding/json"
	"fmt"
	"io"
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
func writeFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
