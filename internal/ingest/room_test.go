package ingest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// What is worked on at once never exceeds the room, but for a document that is larger by itself.
func TestRoom(t *testing.T) {
	const size = 100
	room := NewRoom(size)
	var inside, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		n := i * 7 % (size * 2)
		wg.Go(func() {
			leave, err := room.enter(t.Context(), n)
			if err != nil {
				t.Error(err)
				return
			}
			defer leave()
			now := inside.Add(int64(min(n, size)))
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			inside.Add(-int64(min(n, size)))
		})
	}
	wg.Wait()
	if got := most.Load(); got > size {
		t.Errorf("%d bytes were worked on at once, in a room of %d", got, size)
	}
	leave, err := room.enter(t.Context(), 3*size)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := room.enter(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting in vain ended with %v", err)
	}
	leave()
	if leave, err = room.enter(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	leave()
	if leave, err = (*Room)(nil).enter(t.Context(), 1<<40); err != nil {
		t.Fatal(err)
	}
	leave()
}
