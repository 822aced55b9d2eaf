package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/evalforge/evalforge/internal/clean"
	"github.com/evalforge/evalforge/internal/extract"
	gcpsecret "github.com/evalforge/evalforge/internal/gcp/secret"
	"github.com/evalforge/evalforge/internal/pace"
	"github.com/evalforge/evalforge/internal/redact"
	"github.com/evalforge/evalforge/internal/store/firestore"
	"github.com/evalforge/evalforge/internal/store/memory"
	"github.com/evalforge/evalforge/internal/store/sqlite"
)

// A storeSpec names a store: "scheme:rest".
type storeSpec struct{ scheme, rest string }

func (s storeSpec) String() string { return s.scheme + ":" + s.rest }

func parseStore(v string) (storeSpec, error) {
	scheme, rest, ok := strings.Cut(v, ":")
	switch {
	case !ok:
		return storeSpec{}, fmt.Errorf("names no kind of store; allowed are sqlite:FILE, firestore:PROJECT/DATABASE and mem: (for a file, write sqlite:%s)", v)
	case scheme == "sqlite" && rest == "":
		return storeSpec{}, errors.New("names no file; write sqlite:FILE, such as sqlite:evalforge.db")
	case scheme == "mem" && rest != "":
		return storeSpec{}, errors.New("has something after the colon; write only mem:, colon included")
	case scheme == "firestore" && strings.Count(rest, "/") > 1:
		return storeSpec{}, errors.New("has more than a project and a database; write firestore:PROJECT/DATABASE")
	case scheme == "sqlite", scheme == "mem", scheme == "firestore":
		return storeSpec{scheme, rest}, nil
	}
	return storeSpec{}, errors.New("is of an unknown kind; only sqlite:FILE, firestore:PROJECT/DATABASE and mem: are allowed")
}

// complete names the project and the database of a Firestore store in full, as far as the
// settings say them, so that what is printed is what is used.
func (s storeSpec) complete(project, database string) storeSpec {
	if s.scheme != "firestore" {
		return s
	}
	p, d, _ := strings.Cut(s.rest, "/")
	if p, d = cmp.Or(p, project), cmp.Or(d, database); p != "" {
		s.rest = p + "/" + d
	}
	return s
}

// An openMode says whether a store may be made.
type openMode int

const (
	mayCreate openMode = iota
	// mustExist is for all commands that do not bring traces in: they must not leave an
	// empty file behind for a mistyped name.
	mustExist
)

// openStore opens the store that spec names. This is the one place that knows them all.
func (c *call) openStore(ctx context.Context, spec storeSpec, mode openMode) (extract.Store, error) {
	switch spec.scheme {
	case "mem":
		return memory.New(), nil
	case "sqlite":
		if _, err := os.Stat(spec.rest); mode == mustExist && errors.Is(err, fs.ErrNotExist) {
			return nil, withHint(fmt.Errorf("store %s: there is no such file", spec),
				"import traces first: "+c.command("import", "FILE"),
				"check the name: -store sqlite:FILE, or EVALFORGE_STORE",
				"or see it work: evalforge demo")
		}
		db, err := sqlite.Open(ctx, spec.rest)
		if err != nil {
			return nil, withHint(fmt.Errorf("store %s: %w", spec, err),
				"check that the folder exists, that the file is one that evalforge made, and that this user may write to both; of a file that is read-only, use a copy")
		}
		return db, nil
	default:
		db, err := firestore.Open(ctx, c.firestoreOptions(spec))
		if err != nil {
			return nil, withHint(fmt.Errorf("store %s: %w", spec, err),
				"check the project (firestore:PROJECT/DATABASE, or GOOGLE_CLOUD_PROJECT) and the credentials (gcloud auth application-default login)",
				"to keep the data in a file set -store or EVALFORGE_STORE to sqlite:FILE")
		}
		return db, nil
	}
}

// firestoreOptions returns what spec, the settings and the environment say. The tasks of a
// Cloud Run job start to look at different places of the backlog.
func (c *call) firestoreOptions(spec storeSpec) firestore.Options {
	project, database, _ := strings.Cut(spec.rest, "/")
	o := firestore.Options{
		Project:  project,
		Database: cmp.Or(database, c.cfg.firestore.database),
		Prefix:   c.cfg.firestore.prefix,
	}
	// Without numbers, or with odd ones, every task starts at the head: slower, not wrong.
	index, ierr := strconv.Atoi(c.Getenv("CLOUD_RUN_TASK_INDEX"))
	count, cerr := strconv.Atoi(c.Getenv("CLOUD_RUN_TASK_COUNT"))
	if ierr == nil && cerr == nil {
		o.Task, o.Tasks = index, count
	}
	return o
}

// session is what most commands work with: an open store and a redactor under its key.
type session struct {
	store    extract.Store
	redactor *redact.Redactor
	clean    clean.Cleaner
}

// open opens the call's store.
func (c *call) open(ctx context.Context, mode openMode) (*session, error) {
	return c.openSpec(ctx, c.cfg.store, mode)
}

func (c *call) openSpec(ctx context.Context, spec storeSpec, mode openMode) (*session, error) {
	store, err := c.openStore(ctx, spec, mode)
	if err != nil {
		return nil, err
	}
	s := &session{store: store}
	key := c.cfg.redactionKey
	if key == nil {
		if key, err = store.InstallationKey(ctx); err != nil {
			return nil, s.close(withHint(fmt.Errorf("store %s: reading the redaction key: %w", spec, err),
				"check that the store can be written to: "+c.command("doctor")))
		}
	}
	if s.redactor, err = c.newRedactor(key); err != nil {
		return nil, s.close(err)
	}
	s.clean = clean.New(s.redactor)
	c.log = slog.New(s.redactor.Handler(c.logTo)) // placeholders are the store's own from now on
	return s, nil
}

// close closes the store. It returns err, joined with the store's if that fails too.
func (s *session) close(err error) error {
	if cerr := s.store.Close(); cerr != nil {
		return errors.Join(err, fmt.Errorf("closing the store: %w", cerr))
	}
	return err
}

// newRedactor returns the redactor of this call. It also knows the service's own
// secrets.
func (c *call) newRedactor(key []byte) (*redact.Redactor, error) {
	o := redact.Options{Key: key, Rules: c.cfg.redactionRules, PhoneRegions: c.cfg.phoneRegions}
	o.Secrets = c.ownSecrets()
	r, err := redact.New(o)
	if err != nil {
		return nil, fmt.Errorf("redaction: %w", err)
	}
	return r, nil
}

// ownSecrets returns the keys that this installation uses, also those that this command
// does not need: an import may meet the key of the runs.
func (c *call) ownSecrets() []string {
	var own []string
	if k := c.cfg.gemini.apiKey; k.set() {
		own = append(own, k.reveal())
	}
	for _, s := range settings() {
		if !s.secret || s.value != "KEY" {
			continue
		}
		for _, name := range s.vars {
			if v := c.Getenv(name); v != "" && !gcpsecret.IsReference(v) && !slices.Contains(own, v) {
				own = append(own, v)
			}
		}
	}
	return own
}

// looseRedactor is for commands without a store. Without a configured key, equal values
// get equal placeholders within this call only.
func (c *call) looseRedactor() (*redact.Redactor, error) {
	key := c.cfg.redactionKey
	if key == nil {
		key = make([]byte, 32)
		rand.Read(key) // never fails, by its documentation
	}
	return c.newRedactor(key)
}

// pipeline returns the path of one trace.
func (c *call) pipeline(a extract.Analyzer, r *redact.Redactor) *extract.Pipeline {
	return &extract.Pipeline{Analyzer: a, Redactor: r, Budget: c.cfg.budget, Now: c.Now}
}

// engine returns the engine of a run.
func (c *call) engine(s extract.Store, p *extract.Pipeline) *extract.Engine {
	if c.cfg.reuse {
		p.Reuse = extract.NewReuse(s, c.log)
	}
	limits := c.cfg.pace
	limits.Concurrency = c.cfg.engine.Concurrency
	return &extract.Engine{
		Queue: s, Ledger: s, Pipeline: p, Pace: pace.NewLimiter(limits),
		Log: c.log, Options: c.cfg.engine, Observer: c.observer, Owner: owner(),
	}
}

// owner names this process in leases.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}
