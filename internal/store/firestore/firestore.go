// Package firestore keeps everything in Google Cloud Firestore: the store for production,
// beside the services that write and read the same documents, and for any number of
// workers on any number of machines. It is the only importer of the Firestore client.
//
// What is written goes in one atomic commit whose preconditions are the versions of the
// documents that were read for it, so no lock is ever held: not across a model's call, nor
// when a worker dies. A commit that lost a race is repeated on fresh documents; one whose
// acknowledgement was lost is recognised by what it left, and not repeated.
package firestore

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/option"

	"github.com/evalforge/evalforge/internal/extract"
)

// DefaultPrefix is the prefix of collection names that the existing services use.
const DefaultPrefix = "evalforge_"

// DefaultDatabase is the name of the database that a project has without naming one.
const DefaultDatabase = firestore.DefaultDatabaseID

// Options say which documents a [DB] works on. The variable FIRESTORE_EMULATOR_HOST, if
// set, makes it work on an emulator.
type Options struct {
	Project  string // Google Cloud project; "" is detected from the environment's credentials
	Database string // "" is [DefaultDatabase]
	Prefix   string // of collection names; "" is [DefaultPrefix]
	// Task and Tasks are this worker's number among workers on the same backlog, from 0,
	// and how many there are. They only spread where each starts to look, so that the
	// workers of one job do not all reach for the same trace; any number may run, with
	// any numbers.
	Task, Tasks int
	// Client are further options of the client, such as a connection of its own.
	Client []option.ClientOption
}

// A DB is an open store. These are its collections; each name has the prefix in front:
//
//	raw_traces/{trace_id}          as ingestion writes them; we set processed and processed_at
//	failure_patterns/{trace_id}    patterns
//	extraction_runs/{run_id}       records of runs
//	extraction_errors/{run_id}:{trace_id}
//	extraction_state/{trace_id}    ours alone: leases, attempts, backoff, quarantine, the queue
//	extraction_state/-/meta/key    the installation's key: see [DB.InstallationKey]
//	extraction_state/-/meta/scan   how far the backlog is known: see position
//	extraction_state/-/{prefix}ledger/{window}       budgets: see window
//	extraction_state/-/{prefix}answers/{key}         answers of models
//	extraction_state/{trace_id}/{prefix}history/{n}  patterns that were replaced
//
// What is below - is in collections below a document that does not exist, so that no trace
// id can be theirs and no query of states returns them.
//
// A state document has the fields of [extract.State], and those of the queue: see state.
type DB struct {
	client  *firestore.Client
	project string
	name    string
	prefix  string

	patience time.Duration // attemptTimeout
	finder   finder
	entries  entries

	keyMu sync.Mutex
	key   []byte
}

var _ extract.Store = (*DB)(nil)

// Open returns the store. It makes no call: a wrong name or missing right shows at the
// first use.
func Open(ctx context.Context, o Options) (*DB, error) {
	name := cmp.Or(o.Database, DefaultDatabase)
	if strings.ContainsAny(o.Project+name, "/ ") {
		return nil, fmt.Errorf("open store: %q is not a database of a project; use firestore:PROJECT/DATABASE", o.Project+"/"+name)
	}
	prefix := cmp.Or(o.Prefix, DefaultPrefix)
	if strings.Contains(prefix, "/") || strings.HasPrefix(prefix, "__") {
		return nil, fmt.Errorf("open store: %q cannot begin the name of a collection; use letters, digits and _", prefix)
	}
	client, err := firestore.NewClientWithDatabase(ctx, cmp.Or(o.Project, firestore.DetectProjectID), name, o.Client...)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db := &DB{client: client, project: o.Project, name: name, prefix: prefix, patience: attemptTimeout, entries: entries{making: make(chan struct{}, 1)}}
	db.finder = newFinder(db, o.Task, o.Tasks)
	return db, nil
}

// Close releases the connection.
func (db *DB) Close() error {
	if err := db.client.Close(); err != nil && !errors.Is(err, errClosed) {
		return fmt.Errorf("close store %s: %w", db, err)
	}
	return nil
}

// String names the store as settings do.
func (db *DB) String() string { return "firestore:" + db.project + "/" + db.name }

// collection returns one by its name without the prefix.
func (db *DB) collection(name string) *firestore.CollectionRef {
	return db.client.Collection(db.prefix + name)
}

// The collections.
const (
	rawTraces = "raw_traces"
	patterns  = "failure_patterns"
	runs      = "extraction_runs"
	errorDocs = "extraction_errors"
	states    = "extraction_state"
)

// The collections below states. Their names have the prefix too: what is exempt from
// indexing is said for all collections of a name.
const (
	ledger  = "ledger"
	answers = "answers"
	history = "history"
)

func (db *DB) raw(id string) *firestore.DocumentRef   { return db.collection(rawTraces).Doc(id) }
func (db *DB) state(id string) *firestore.DocumentRef { return db.collection(states).Doc(id) }

func (db *DB) meta(id string) *firestore.DocumentRef {
	return db.collection(states).Doc("-").Collection("meta").Doc(id)
}

// path is a document's path for messages and for its size.
func (db *DB) path(collection, id string) string { return db.prefix + collection + "/" + id }

// InstallationKey implements [extract.Store]. Whoever may read the database may read the
// key, and with it test whether a placeholder stands for a value that they guess; the same
// people can read the raw traces. Set EVALFORGE_REDACTION_KEY to keep it elsewhere.
func (db *DB) InstallationKey(ctx context.Context) ([]byte, error) {
	db.keyMu.Lock()
	defer db.keyMu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if db.key == nil {
		key, err := db.loadKey(ctx)
		if err != nil {
			return nil, err
		}
		db.key = key
	}
	return append([]byte(nil), db.key...), nil
}

func (db *DB) loadKey(ctx context.Context) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails, by its documentation
	var key []byte
	err := db.retry(ctx, "installation key", func(ctx context.Context) error {
		snap, err := db.get(ctx, db.meta("key"))
		if err != nil {
			return err
		}
		if snap.Exists() {
			text, _ := snap.Data()["key"].(string)
			if key, err = base64.StdEncoding.DecodeString(text); err != nil || len(key) != len(fresh) {
				return fmt.Errorf("%s is damaged: its field key must be 32 bytes in base64; restore it, or delete the document to get a new key", db.meta("key").Path)
			}
			return nil
		}
		// Another process may be faster; its key is the one.
		if _, err := db.meta("key").Create(ctx, map[string]any{"key": base64.StdEncoding.EncodeToString(fresh)}); err != nil {
			return conflict(err)
		}
		key = fresh
		return nil
	})
	return key, err
}

// text is t as it is stored.
func text(t time.Time) string { return stamp(t).String() }
