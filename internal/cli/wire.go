package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/redact"
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
		return storeSpec{}, fmt.Errorf("names no kind of store; allowed are sqlite:FILE and mem: (for a file, write sqlite:%s)", v)
	case scheme == "sqlite" && rest == "":
		return storeSpec{}, errors.New("names no file; write sqlite:FILE, such as sqlite:evalforge.db")
	case scheme == "mem" && rest != "":
		return storeSpec{}, errors.New("has something after the colon; write only mem:, colon included")
	case scheme == "sqlite", scheme == "mem", scheme == "firestore":
		return storeSpec{scheme, rest}, nil
	}
	return storeSpec{}, errors.New("is of an unknown kind; only sqlite:FILE and mem: are allowed")
}

// An openMode says whether a store may be made.
type openMode int

const (
	mayCreate openMode = iota
	// mustExist is for commands that only read: they must not leave an empty file behind
	// for a mistyped name.
	mustExist
)

// openStore opens the store that spec names. This is the one place that knows them all.
func openStore(ctx context.Context, spec storeSpec, mode openMode) (extract.Store, error) {
	switch spec.scheme {
	case "mem":
		return memory.New(), nil
	case "sqlite":
		if _, err := os.Stat(spec.rest); mode == mustExist && errors.Is(err, fs.ErrNotExist) {
			return nil, withHint(fmt.Errorf("store %s: there is no such file", spec),
				"import traces first (evalforge import FILE), name another file with -store sqlite:FILE, or see it work: evalforge demo")
		}
		db, err := sqlite.Open(ctx, spec.rest)
		if err != nil {
			return nil, withHint(fmt.Errorf("store %s: %w", spec, err),
				"check that the folder exists and can be written to, and that the file is one that evalforge made; -store sqlite:FILE names another")
		}
		return db, nil
	default:
		return nil, withHint(fmt.Errorf("store %s: this build has no Firestore", spec),
			"set -store or EVALFORGE_STORE to sqlite:FILE")
	}
}

// session is what most commands work with: an open store and a redactor under its key.
type session struct {
	store    extract.Store
	redactor *redact.Redactor
	clean    cleaner
}

// open opens the call's store.
func (c *call) open(ctx context.Context, mode openMode) (*session, error) {
	return c.openSpec(ctx, c.cfg.store, mode)
}

func (c *call) openSpec(ctx context.Context, spec storeSpec, mode openMode) (*session, error) {
	store, err := openStore(ctx, spec, mode)
	if err != nil {
		return nil, err
	}
	s := &session{store: store}
	key := c.cfg.redactionKey
	if key == nil {
		if key, err = store.InstallationKey(ctx); err != nil {
			return nil, s.close(withHint(fmt.Errorf("store %s: reading the redaction key: %w", spec, err),
				"check that the store can be written to: evalforge doctor"))
		}
	}
	if s.redactor, err = c.newRedactor(key); err != nil {
		return nil, s.close(err)
	}
	s.clean = cleaner{s.redactor}
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
	if k := c.cfg.gemini.apiKey; k.set() {
		o.Secrets = append(o.Secrets, k.reveal())
	}
	r, err := redact.New(o)
	if err != nil {
		return nil, fmt.Errorf("redaction: %w", err)
	}
	return r, nil
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
func (c *call) engine(q extract.Queue, p *extract.Pipeline) *extract.Engine {
	return &extract.Engine{Queue: q, Pipeline: p, Log: c.log, Options: c.cfg.engine, Owner: owner()}
}

// owner names this process in leases.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}
