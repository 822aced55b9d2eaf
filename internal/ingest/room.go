package ingest

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// A Room bounds what imports work on at the same time. A document takes up to some fifteen
// times its size while it is decoded and written anew, so a few large ones at once take more
// than a small instance has. It is safe for concurrent use.
type Room struct {
	size int64
	sem  *semaphore.Weighted
}

// NewRoom returns a room for size bytes of documents.
func NewRoom(size int) *Room {
	return &Room{int64(size), semaphore.NewWeighted(int64(size))}
}

// enter waits until there is room for a document of n bytes; one that is larger than all
// of it has it to itself. It fails when ctx is done first. A nil Room has room for all.
func (m *Room) enter(ctx context.Context, n int) (leave func(), err error) {
	if m == nil {
		return func() {}, nil
	}
	need := min(int64(n), m.size)
	if err := m.sem.Acquire(ctx, need); err != nil {
		return nil, err
	}
	return func() { m.sem.Release(need) }, nil
}
