package firestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
)

const (
	// callTimeout bounds a method whose caller set no deadline. The client itself would
	// wait for ever on some calls.
	callTimeout = time.Minute
	// attemptTimeout bounds one attempt of a method: a call that hangs is made anew. It is
	// a good deal less than the 10 seconds that the engine gives a write, so that there is
	// time for that.
	attemptTimeout = 3 * time.Second
	// Waits between attempts grow from the first to the last; each is cut at random.
	firstWait, lastWait = 5 * time.Millisecond, time.Second
)

// errConflict says that a document was changed by somebody else since it was read.
var errConflict = errors.New("the documents were changed at the same time")

// errClosed is what the client's connection returns once it is closed.
var errClosed = status.Error(codes.Canceled, "grpc: the client connection is closing")

// retry calls fn until it succeeds, fails for good, or ctx is done. The client repeats
// some calls by itself, but only on some codes, and never a decision that has to be made
// anew on fresh documents. fn reads what it decides on, and recognises its own earlier
// attempt.
func (db *DB) retry(ctx context.Context, op string, fn func(context.Context) error) error {
	return db.retryRounds(ctx, op, func(ctx context.Context) error {
		ctx, cancel := db.attempt(ctx)
		defer cancel()
		return fn(ctx)
	})
}

// attempt bounds one attempt. After one that was given up on, the next has twice its time:
// the backend may be slow rather than hang, and would never come to an end.
func (db *DB) attempt(ctx context.Context) (context.Context, context.CancelFunc) {
	patience, ok := ctx.Value(patienceKey{}).(time.Duration)
	if !ok {
		patience = db.patience
	}
	return context.WithTimeout(ctx, patience)
}

// patienceKey is the key of a context's value: how long an attempt in it may take.
type patienceKey struct{}

// retryRounds is retry for what consists of many calls, of which each is bounded by itself
// (as those of getAll, query, count and write are) and not all of them together.
func (db *DB) retryRounds(ctx context.Context, op string, fn func(context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	var last error
	patience := db.patience
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		if err := ctx.Err(); err != nil {
			if last != nil {
				return fmt.Errorf("%s: %w (the last attempt failed with: %v)", op, err, last)
			}
			return fmt.Errorf("%s: %w", op, err)
		}
		err := fn(context.WithValue(ctx, patienceKey{}, patience))
		if err == nil {
			return nil
		}
		if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded {
			patience = min(2*patience, callTimeout)
		}
		if ctx.Err() == nil && !transient(err) {
			return db.explain(op, err)
		}
		last = err
		timer := time.NewTimer(wait/2 + rand.N(wait/2+1))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// transient reports whether another attempt may succeed.
func transient(err error) bool {
	if errors.Is(err, errConflict) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var kind *extract.Error
	var field *evalforge.FieldError
	if errors.As(err, &kind) || errors.As(err, &field) || errors.Is(err, extract.ErrLeaseLost) {
		return false
	}
	switch status.Code(err) {
	case codes.Aborted, codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Internal:
		return true
	case codes.Canceled: // by the other side: ours is looked at first
		return err.Error() != errClosed.Error()
	}
	return false
}

// conflict turns the error of a write whose precondition did not hold into errConflict,
// that of one which is too large into a failure of kind [extract.KindOversize], and that
// of one which Firestore will not store for another reason into one that is permanent too.
//
// When the acknowledgement of a commit is lost, the client commits the same transaction
// once more, which is over by then: that is an invalid argument to Firestore. Whether the
// write was made shows on fresh documents.
func conflict(err error) error {
	msg := strings.ToLower(status.Convert(err).Message())
	switch status.Code(err) {
	case codes.AlreadyExists, codes.FailedPrecondition, codes.NotFound:
		return fmt.Errorf("%w: %w", errConflict, err)
	case codes.InvalidArgument:
		switch {
		case strings.Contains(msg, "too big"), strings.Contains(msg, "maximum allowed size"), strings.Contains(msg, "larger than"),
			strings.Contains(msg, "maximum entity size"), strings.Contains(msg, "exceeds the maximum"):
			return &extract.Error{Kind: extract.KindOversize, Err: err}
		case strings.Contains(msg, "transaction"):
			return fmt.Errorf("%w: %w", errConflict, err)
		}
		// Whatever it is about these documents, it is so the next time, and says nothing
		// about the next trace.
		return &extract.Error{Kind: extract.KindInvalidTrace, Err: fmt.Errorf("the document cannot be stored: %w", err)}
	}
	return err
}

// explain says what err means and what to do about it.
func (db *DB) explain(op string, err error) error {
	hint := ""
	switch status.Code(err) {
	case codes.PermissionDenied:
		hint = "the credentials may not use the database; grant roles/datastore.user"
	case codes.Unauthenticated:
		hint = "there are no valid credentials; run: gcloud auth application-default login"
	case codes.FailedPrecondition:
		hint = "an index may be missing; deploy firestore.indexes.json"
	case codes.NotFound:
		hint = "the database may not exist; create it, or name another with firestore:PROJECT/DATABASE"
	}
	if hint != "" {
		return fmt.Errorf("%s: %s: %w", op, hint, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// write commits the writes that fn makes, all or none. They carry preconditions; if one
// does not hold, the error matches errConflict. fn must not read: what a transaction reads
// is locked, and stays so when its owner dies.
func (db *DB) write(ctx context.Context, fn func(*firestore.Transaction) error) error {
	ctx, cancel := db.attempt(ctx)
	defer cancel()
	return conflict(db.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error { return fn(tx) },
		firestore.MaxAttempts(1)))
}

// get reads one document; one that does not exist is no error.
func (db *DB) get(ctx context.Context, ref *firestore.DocumentRef) (*firestore.DocumentSnapshot, error) {
	snaps, err := db.getAll(ctx, []*firestore.DocumentRef{ref})
	if err != nil {
		return nil, err
	}
	return snaps[0], nil
}

// getAll reads documents in one call, all as of the same time.
func (db *DB) getAll(ctx context.Context, refs []*firestore.DocumentRef) ([]*firestore.DocumentSnapshot, error) {
	ctx, cancel := db.attempt(ctx)
	defer cancel()
	return db.client.GetAll(ctx, refs)
}

// query and count are as the functions of these names, as one attempt each.
func (db *DB) query(ctx context.Context, q firestore.Query) ([]*firestore.DocumentSnapshot, error) {
	ctx, cancel := db.attempt(ctx)
	defer cancel()
	return query(ctx, q)
}

func (db *DB) count(ctx context.Context, q firestore.Query) (int, error) {
	ctx, cancel := db.attempt(ctx)
	defer cancel()
	return count(ctx, q)
}

// query runs a query to its end.
func query(ctx context.Context, q firestore.Query) ([]*firestore.DocumentSnapshot, error) {
	it := q.Documents(ctx)
	defer it.Stop()
	var list []*firestore.DocumentSnapshot
	for {
		snap, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, snap)
	}
}

// count counts the documents of a query without reading them.
func count(ctx context.Context, q firestore.Query) (int, error) {
	res, err := q.NewAggregationQuery().WithCount("n").Get(ctx)
	if err != nil {
		return 0, err
	}
	n, ok := res["n"].(interface{ GetIntegerValue() int64 })
	if !ok {
		return 0, fmt.Errorf("count: the answer is a %T", res["n"])
	}
	return int(n.GetIntegerValue()), nil
}
