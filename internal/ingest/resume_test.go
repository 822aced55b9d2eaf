package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/memory"
)

// A killedStore is that of a process which is killed at its nth write: what the process
// does after that changes nothing, neither here nor in the files of its checkpoint.
type killedStore struct {
	*memory.Store
	n       int
	written bool // the write is made before the process ends
	dir     string
	files   map[string][]byte // of dir, at that moment
	ids     map[string]bool   // that were to be written
}

var errKilled = errors.New("killed")

func (k *killedStore) PutTrace(ctx context.Context, t evalforge.RawTrace) (res extract.PutResult, err error) {
	k.n--
	k.ids[t.TraceID] = true
	if k.n > 0 {
		return k.Store.PutTrace(ctx, t)
	}
	if k.n == 0 {
		if k.written {
			if _, err := k.Store.PutTrace(ctx, t); err != nil {
				return "", err
			}
		}
		k.files = make(map[string][]byte)
		entries, err := os.ReadDir(k.dir)
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			if k.files[e.Name()], err = os.ReadFile(filepath.Join(k.dir, e.Name())); err != nil {
				return "", err
			}
		}
	}
	return "", errKilled
}

// stored returns the payloads of all traces in s.
func stored(t *testing.T, s *memory.Store, ids map[string]bool) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for id := range ids {
		raw, err := s.Trace(t.Context(), id)
		if err != nil && !errors.Is(err, evalforge.ErrNotFound) {
			t.Fatal(err)
		}
		out[id] = string(raw.Payload)
	}
	return out
}

// A killed import that is resumed leaves what one that was not killed does, wherever that
// happens: also of a trace whose parts are in several files, or far from each other in one.
func TestKilledImportIsResumed(t *testing.T) {
	part := func(ids ...string) string { return strings.ReplaceAll(spanDoc(ids...), "\n", " ") }
	var lines []string
	for i := range 12 {
		lines = append(lines, raw(fmt.Sprintf("m-%d", i%10), fmt.Sprint("text ", i)))
	}
	lines[6] = part("4", "5")
	sources := write(t, map[string]string{"a.json": part("1", "2"), "b.jsonl": strings.Join(lines, "\n"), "c.json": part("3")})

	whole, s := newImporter(t)
	ids := make(map[string]bool)
	const never = 1 << 30
	whole.Store = &killedStore{Store: s, n: never, ids: ids}
	sum, err := whole.Import(t.Context(), sources)
	if err != nil {
		t.Fatal(err)
	}
	want := stored(t, s, ids)
	if len(ids) < 11 {
		t.Fatalf("only %d traces: %v", len(ids), ids)
	}
	for n := 1; n <= sum.Read; n++ {
		for _, written := range []bool{false, true} {
			im, s := newImporter(t)
			dir := t.TempDir()
			im.Checkpoint, im.every = filepath.Join(dir, "checkpoint"), 3
			killed := &killedStore{Store: s, n: n, written: written, dir: dir, ids: make(map[string]bool)}
			im.Store = killed
			if _, err := im.Import(t.Context(), sources); !errors.Is(err, errKilled) {
				t.Fatalf("write %d: %v", n, err)
			}
			for name := range maps.Keys(killed.files) {
				if err := os.WriteFile(filepath.Join(dir, name), killed.files[name], 0o600); err != nil {
					t.Fatal(err)
				}
			}
			killed.n = never
			if _, err := im.Import(t.Context(), sources); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, stored(t, s, killed.ids)); diff != "" {
				t.Fatalf("killed at write %d (made: %v), then resumed (-uninterrupted +resumed):\n%s", n, written, diff)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		}
	}
}

func TestCheckpointOfAnotherStoreIsRefused(t *testing.T) {
	im, s := newImporter(t)
	dir := write(t, map[string]string{"a.jsonl": raw("a", "x") + "\n" + raw("b", "x")})
	im.Checkpoint = filepath.Join(t.TempDir(), "checkpoint")
	im.StoreName, im.StoreID = "sqlite:one.db", "1"
	im.Store = &failingStore{s, 1, context.DeadlineExceeded}
	if _, err := im.Import(t.Context(), dir); err == nil {
		t.Fatal("the import was to fail")
	}
	im.StoreName, im.StoreID = "sqlite:two.db", "2"
	im.Store = noStore{}
	_, err := im.Import(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "sqlite:one.db") || !strings.Contains(err.Error(), "sqlite:two.db") {
		t.Errorf("got %v, want an error that names both stores", err)
	}
}
