package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A checkpoint is how far an import has come, kept in a file so that an import that was
// stopped goes on from there. It holds names and positions, nothing of the traces.
type checkpoint struct {
	Files map[string]position `json:"files"` // by absolute path
}

// A position is how far a file was read. It counts for the file only while size and time
// are the same.
type position struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Done     bool      `json:"done,omitempty"`
	Offset   int64     `json:"offset,omitempty"` // in the decompressed file
	Line     int       `json:"line,omitempty"`   // at offset
	// Gathered is how many of the traces that lie in pieces behind offset are stored.
	Gathered int `json:"gathered,omitempty"`
}

// checkpointEvery is after how many documents the checkpoint is written.
const checkpointEvery = 500

// loadCheckpoint reads the checkpoint at path, or starts one.
func loadCheckpoint(path string) (*checkpoint, error) {
	c := &checkpoint{Files: make(map[string]position)}
	if path == "" {
		return c, nil
	}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("checkpoint: %w", cause(err))
	}
	c.Files = nil
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // it is replaced and removed, so it must be one
	if err := d.Decode(c); err != nil || c.Files == nil {
		return nil, errors.New("checkpoint: the file is none that an import has written; remove it or name another")
	}
	return c, nil
}

// save replaces the file at path.
func (c *checkpoint) save(path string) error {
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".checkpoint-*")
	if err != nil {
		return fmt.Errorf("checkpoint: %w", cause(err))
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // it may not be there any more
		return fmt.Errorf("checkpoint: %w", cause(err))
	}
	return nil
}

// key returns the name under which f is in a checkpoint, or "" for what cannot be read
// twice.
func (f file) key() string {
	if f.path == stdin || f.size < 0 {
		return ""
	}
	abs, err := filepath.Abs(f.path)
	if err != nil {
		return ""
	}
	return abs
}

// position returns how far f was read by an import that was stopped.
func (r *run) position(f file) position {
	at := position{Size: f.size, Modified: f.modified}
	if old, ok := r.check.Files[f.key()]; ok && f.key() != "" && old.Size == at.Size && old.Modified.Equal(at.Modified) {
		return old
	}
	return at
}

// passed notes that f was read up to at.
func (r *run) passed(f file, at position, now bool) error {
	if r.Checkpoint == "" || f.key() == "" {
		return nil
	}
	r.check.Files[f.key()] = at
	if r.unsaved++; !now && r.unsaved < checkpointEvery {
		return nil
	}
	r.unsaved = 0
	return r.check.save(r.Checkpoint)
}
