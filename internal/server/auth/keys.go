package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How the keys of an issuer are kept. A key that the issuer withdraws is refused after
// keysFresh at the latest. When the issuer cannot be reached, the keys at hand serve for
// keysStale.
const (
	keysFresh = time.Hour
	keysStale = 24 * time.Hour
	// keysPause is the least time between two fetches: tokens with made-up key ids must
	// not make this service hammer the issuer.
	keysPause   = 10 * time.Second
	keysTimeout = 5 * time.Second
	maxKeys     = 1 << 20 // bytes of a key set
)

var (
	errUnknownKey = errors.New("the issuer has no such key")
	errNoKeys     = errors.New("the keys of the issuer cannot be fetched")
)

// A keySet is the published keys of an issuer, fetched when they are first needed and
// again when they are old or a token names a key that is not among them.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time

	// fetching is held while keys are asked for: who needs a key that is not at hand
	// meanwhile waits for the answer.
	fetching sync.Mutex

	mu      sync.RWMutex // guards what follows; held for moments only
	keys    jose.JSONWebKeySet
	fetched time.Time // when keys came
	tried   time.Time // when they were last asked for
	err     error     // of the last try
}

func newKeySet(url string, client *http.Client, now func() time.Time) *keySet {
	return &keySet{url: url, client: cmp.Or(client, &http.Client{CheckRedirect: noRedirect}), now: now}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// key returns the public key that kid names, for the algorithm alg.
func (s *keySet) key(ctx context.Context, kid, alg string) (any, error) {
	if kid == "" {
		return nil, errUnknownKey
	}
	if k, age := s.find(kid, alg); k != nil && age <= keysFresh {
		return k, nil
	}
	s.fetching.Lock()
	defer s.fetching.Unlock()
	s.refresh(ctx)
	k, age := s.find(kid, alg)
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case k != nil && age <= keysStale:
		return k, nil
	case s.err != nil: // the key may be a new one
		return nil, fmt.Errorf("%w: %w", errNoKeys, s.err)
	}
	return nil, errUnknownKey
}

// find returns the public key that kid names, or nil, and how long ago the keys came. A
// key for another use or algorithm does not count.
func (s *keySet) find(kid, alg string) (key any, age time.Duration) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	age = s.now().Sub(s.fetched)
	for _, k := range s.keys.Key(kid) {
		if k.IsPublic() && k.Valid() && (k.Use == "" || k.Use == "sig") && (k.Algorithm == "" || k.Algorithm == alg) {
			return k.Key, age
		}
	}
	return nil, age
}

// refresh fetches the keys, unless that was done a moment ago. s.fetching is held. A
// caller that gives up does not end the fetch, which is for others too.
func (s *keySet) refresh(ctx context.Context) {
	now := s.now()
	if now.Sub(s.tried) < keysPause { // tried is only written here
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried, s.err = now, err
	if err == nil {
		s.keys, s.fetched = keys, now
	}
}

func (s *keySet) fetch(ctx context.Context) (keys jose.JSONWebKeySet, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return keys, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return keys, err
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	if resp.StatusCode != http.StatusOK {
		return keys, fmt.Errorf("%s answered %s", s.url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeys))
	if err != nil {
		return keys, fmt.Errorf("reading %s: %w", s.url, err)
	}
	if err := json.Unmarshal(body, &keys); err != nil {
		return jose.JSONWebKeySet{}, fmt.Errorf("%s is no JSON Web Key Set: %w", s.url, err)
	}
	if len(keys.Keys) == 0 {
		return keys, fmt.Errorf("%s has no keys", s.url)
	}
	return keys, nil
}
