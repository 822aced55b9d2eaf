package cli

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/evalforge/evalforge/internal/server/auth"
	"github.com/evalforge/evalforge/internal/server/route"
)

// An accessConfig says who may use the service.
type accessConfig struct {
	mode            auth.Mode // "" follows from where the service runs
	audiences       []string
	issuer, keysURL string
	allow           map[route.Role]auth.List
}

// setRole returns the set function of the setting that gives a role.
func setRole(role route.Role) func(*config, string) error {
	return func(c *config, v string) error {
		l, err := auth.ParseList(v)
		if err != nil {
			return err
		}
		if c.access.allow == nil {
			c.access.allow = make(map[route.Role]auth.List)
		}
		c.access.allow[role] = l
		return nil
	}
}

// guard returns what decides who may use the service that is bound to listen, as
// host:port. It refuses settings that would leave the service open.
func (c *call) guard(listen string) (*auth.Auth, error) {
	a, err := auth.New(auth.Options{
		Mode: c.cfg.access.mode, CloudRun: c.cfg.cloudRun, Listen: listen,
		Audiences: c.cfg.access.audiences, Issuer: c.cfg.access.issuer, KeysURL: c.cfg.access.keysURL,
		Allow: c.cfg.access.allow, Now: c.Now,
		// Not redacted: of whom it says that they were refused, the name has to be known. It
		// logs nothing else of a caller.
		Log: slog.New(c.logTo),
	})
	if err != nil {
		return nil, withHint(fmt.Errorf("access: %w", err), "docs/security.md explains the ways to know who calls")
	}
	return a, nil
}

// checkAccess checks who may use the service that these settings make.
func (c *call) checkAccess() []check {
	away := c.cfg.access.mode == auth.IAM && !c.cfg.cloudRun
	if away { // the settings of a service, checked from elsewhere
		on := *c.cfg
		on.cloudRun = true
		c = &call{Env: c.Env, cfg: &on, logTo: c.logTo}
	}
	a, err := c.guard(c.listenAddress())
	if err != nil {
		return []check{{"access", checkFail, strings.TrimPrefix(err.Error(), "access: "), remedyOf(err, "")}}
	}
	if a.Mode() == auth.None {
		return []check{{"access", checkOK, "none: everybody on this machine may do everything, and nobody else anything", ""}}
	}
	var who, unused []string
	for _, role := range route.Roles() {
		l := a.Allowed(role)
		if len(l) == 0 {
			unused = append(unused, string(role))
			continue
		}
		who = append(who, fmt.Sprintf("%s %s", role, l))
	}
	where := ""
	if away {
		where = " (as on Cloud Run: iam works nowhere else)"
	}
	checks := []check{{"access", checkOK, fmt.Sprintf("%s%s: %s", a.Mode(), where, strings.Join(who, "; ")), ""}}
	if slices.Contains(unused, string(route.Viewer)) && slices.Contains(unused, string(route.Operator)) {
		checks = append(checks, check{"access", checkWarn, "nobody may read patterns, runs and errors", "set EVALFORGE_VIEWERS, such as @example.com"})
	}
	if slices.Contains(unused, string(route.Invoker)) {
		checks = append(checks, check{"access", checkWarn, "nobody may start runs", "set EVALFORGE_INVOKERS to the scheduler's service account"})
	}
	return checks
}
