package ingest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A checkpoint is how far an import has come, kept in a file so that an import that was
// stopped goes on from there. It holds names and positions, nothing of the traces.
type checkpoint struct {
	Files map[string]position `json:"files"` // by absolute path
	// Store is what the store is called, and StoreID tells it from every other.
	Store   string `json:"store,omitempty"`
	StoreID string `json:"store_id,omitempty"`
	// IDs is how many digests of the ids that were written are in the file beside it: those
	// of the documents up to the positions, in their order, and none of later ones. With
	// them, what comes next meets the same memory as if the import had not been stopped.
	IDs int64 `json:"ids,omitempty"`
}

// idsFile returns the path of the file with the digests of ids.
func idsFile(checkpoint string) string { return checkpoint + ".ids" }

const digestBytes = 8

// resume reads the checkpoint, and what it remembers into r.
func (r *run) resume() (err error) {
	if r.check, err = loadCheckpoint(r.Checkpoint); err != nil || r.Checkpoint == "" {
		return err
	}
	c := r.check
	if c.StoreID != r.StoreID && (len(c.Files) > 0 || c.StoreID != "") {
		return fmt.Errorf("checkpoint: it is of an import into %s, and this one is into %s, which is another store; import into that one, or name another checkpoint", orUnknown(c.Store), orUnknown(r.StoreName))
	}
	c.Store, c.StoreID = r.StoreName, r.StoreID
	ids, err := os.Open(idsFile(r.Checkpoint))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = io.ErrUnexpectedEOF
	case err == nil:
		defer ids.Close() // opened for reading: nothing can be lost
		in := bufio.NewReader(ids)
		var b [digestBytes]byte
		for range c.IDs {
			if _, err = io.ReadFull(in, b[:]); err != nil {
				break
			}
			r.seen.addDigest(binary.BigEndian.Uint64(b[:]))
		}
	}
	if c.IDs > 0 && err != nil { // lost with its last pages, or removed
		r.warn("checkpoint", "the file beside it is not whole; the import starts anew")
		r.seen = newRecall(recalled)
		c.Files, c.IDs = make(map[string]position), 0
	}
	return nil
}

func orUnknown(store string) string {
	if store == "" {
		return "an unnamed store"
	}
	return store
}

// wrote notes that the trace id was written.
func (r *run) wrote(id string) {
	r.seen.add(id)
	if r.Checkpoint != "" {
		r.fresh = binary.BigEndian.AppendUint64(r.fresh, digestOf(id))
	}
}

// saveIDs writes the digests that are not in their file yet. What was written there by an
// import that ended before it wrote its checkpoint is overwritten.
func (r *run) saveIDs() error {
	if len(r.settled) == 0 {
		return nil
	}
	f, err := os.OpenFile(idsFile(r.Checkpoint), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", cause(err))
	}
	_, err = f.WriteAt(r.settled, r.check.IDs*digestBytes)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("checkpoint: %w", cause(err))
	}
	r.check.IDs += int64(len(r.settled) / digestBytes)
	r.settled = r.settled[:0]
	return nil
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
	r.settled, r.fresh = append(r.settled, r.fresh...), r.fresh[:0]
	if r.unsaved++; !now && r.unsaved < r.saveEvery {
		return nil
	}
	r.unsaved = 0
	return r.saveCheckpoint()
}
