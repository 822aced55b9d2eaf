package ingest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Extensions are the endings of the files that are read from a folder. A file that is
// named itself is read whatever its ending.
func Extensions() []string {
	return []string{".json", ".jsonl", ".ndjson", ".gz", ".zst", ".traj", ".pb"}
}

// stdin is the source that stands for standard input.
const stdin = "-"

// file is one input.
type file struct {
	path     string // as it is opened; may hold anything
	name     string // as it is shown, redacted
	size     int64  // in bytes, -1 when unknown
	modified time.Time
}

// find returns the files of sources. It fails on the first source that does not exist.
func (r *run) find(sources []string) ([]file, error) {
	if len(sources) == 0 {
		return nil, errors.New(`nothing to import: name files or folders, or "-" for standard input`)
	}
	var files []file
	fromStdin := false
	for _, path := range sources {
		if path == stdin {
			if fromStdin {
				return nil, errors.New(`"-" is given twice, but standard input can be read only once`)
			}
			fromStdin = true
			files = append(files, file{path: stdin, name: "stdin", size: -1})
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; nothing was imported", r.cleanPath(path), cause(err))
		}
		if !info.IsDir() {
			files = append(files, r.named(path, info))
			continue
		}
		if files, err = r.walk(files, path); err != nil {
			return nil, fmt.Errorf("%w; nothing was imported", err)
		}
	}
	return files, nil
}

// walk appends the trace files under dir. Links to folders are not followed, so that it
// always ends.
func (r *run) walk(files []file, dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.cleanPath(dir), cause(err))
	}
	for _, e := range entries { // in lexical order
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if e.IsDir() {
			if files, err = r.walk(files, path); err != nil {
				return nil, err
			}
			continue
		}
		info, err := os.Stat(path) // of what a link leads to
		switch {
		case err != nil:
			r.ignore(path, cause(err).Error())
		case !info.Mode().IsRegular():
			r.ignore(path, "it is no regular file")
		case !hasExtension(path):
			r.ignore(path, "its name ends in none of "+strings.Join(Extensions(), ", ")+"; name it to import it all the same")
		default:
			files = append(files, r.named(path, info))
		}
	}
	return files, nil
}

func (r *run) named(path string, info fs.FileInfo) file {
	f := file{path: path, name: r.cleanPath(path), size: info.Size(), modified: info.ModTime()}
	if !info.Mode().IsRegular() { // a pipe
		f.size = -1
	}
	return f
}

func (r *run) ignore(path, why string) {
	r.sum.Ignored++
	r.warn(r.cleanPath(path), "ignored: "+why)
}

func hasExtension(path string) bool {
	for _, ext := range Extensions() {
		if strings.EqualFold(filepath.Ext(path), ext) {
			return true
		}
	}
	return false
}

func (r *run) open(f file) (io.ReadCloser, error) {
	if f.path == stdin {
		if r.Stdin == nil {
			return nil, errors.New("there is no standard input to read")
		}
		return io.NopCloser(r.Stdin), nil
	}
	in, err := os.Open(f.path)
	if err != nil {
		return nil, cause(err)
	}
	return in, nil
}

// cause takes the path out of an error of package os, which would show it unredacted.
func cause(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
