package cli

import (
	"context"
	"errors"
	"fmt"

	gcpsecret "github.com/evalforge/evalforge/internal/gcp/secret"
)

// A readSecret is a secret setting whose value is kept elsewhere.
type readSecret struct {
	variable string
	ref      string // such as sm://projects/p/secrets/s/versions/5
	err      error  // why it could not be read
}

// readSecrets reads the secret settings of the given groups that are references, and
// returns an environment that has the secrets in their place, and nothing where one could
// not be read. From then on s keeps them out of all output.
func readSecrets(ctx context.Context, uses []group, env Env, s *scrubber) (func(string) string, []readSecret) {
	var read []readSecret
	values := map[string]string{}
	r := gcpsecret.New(env.SecretManager...)
	defer func() { _ = r.Close() }() // frees a connection; nothing can be lost
	for _, st := range settingsOf(uses) {
		variable, ref := st.find(nil, env.Getenv)
		if !st.secret || !gcpsecret.IsReference(ref) {
			continue
		}
		v, err := r.Read(ctx, ref)
		s.hide(v)
		values[variable] = v
		read = append(read, readSecret{variable, ref, err})
	}
	if len(read) == 0 {
		return env.Getenv, nil
	}
	return func(name string) string {
		if v, ok := values[name]; ok {
			return v
		}
		return env.Getenv(name)
	}, read
}

// secretErrors returns what could not be read, or nil.
func secretErrors(read []readSecret) error {
	var errs []error
	for _, s := range read {
		if s.err != nil {
			errs = append(errs, fmt.Errorf("%s=%s: %w", s.variable, s.ref, s.err))
		}
	}
	return errors.Join(errs...)
}

// checkSecrets says of each secret that is kept elsewhere whether it could be read.
func (c *call) checkSecrets() []check {
	var checks []check
	for _, s := range c.secrets {
		if s.err != nil {
			checks = append(checks, check{"secrets", checkFail, fmt.Sprintf("%s=%s cannot be read", s.variable, s.ref), s.err.Error()})
			continue
		}
		checks = append(checks, check{"secrets", checkOK, fmt.Sprintf("%s is read from %s", s.variable, s.ref), ""})
	}
	return checks
}
