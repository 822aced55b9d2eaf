package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A check is one thing that doctor looked at.
type check struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warn, fail
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// The statuses of a check.
const (
	checkOK   = "ok"
	checkWarn = "warn" // works, but is probably not what was meant
	checkFail = "fail" // something that runs need is broken
)

func doctorCommand() command {
	var url string
	return command{
		name: "doctor", maxArgs: 0, diagnoses: true,
		short: "check configuration, store and model access, and say how to fix them",
		long: `Checks what runs and the service need: the settings, secrets that are kept elsewhere, the store and its indexes, with the gemini analyzer the access to the model (one free request) and the budgets, who may use the service, and where telemetry goes. Nothing is written to the store.
With the settings of a deployed service in the environment it checks that service. What it looks at, it looks at as this user and from this machine.
Exit status 2: something that a run needs is broken.`,
		examples: []string{"evalforge doctor", "evalforge doctor -analyzer gemini", "evalforge doctor -o json", "evalforge doctor -url https://evalforge-abc.run.app"},
		uses:     []group{groupStore, groupAnalyzer, groupPace, groupRun, groupRedaction, groupService, groupAccess, groupTelemetry}, formats: anyFormat(),
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&url, "url", "", "Also ask the service that is deployed at `URL`, without a token: it must refuse.")
		},
		run: func(ctx context.Context, c *call) error { return doctor(ctx, c, url) },
	}
}

func doctor(ctx context.Context, c *call, url string) error {
	var checks []check
	checks = append(checks, check{"program", checkOK, fmt.Sprintf("evalforge %s, %s/%s", thisVersion().Version, runtime.GOOS, runtime.GOARCH), ""})
	checks = append(checks, c.checkSettings()...)
	checks = append(checks, c.checkSecrets()...)
	checks = append(checks, c.checkStore(ctx)...)
	checks = append(checks, c.checkAnalyzer(ctx))
	checks = append(checks, c.checkBudgets()...)
	checks = append(checks, c.checkAccess()...)
	checks = append(checks, c.checkCloudRun()...)
	checks = append(checks, c.checkTelemetry(ctx)...)
	if url != "" {
		checks = append(checks, c.checkDeployed(ctx, url)...)
	}
	if err := c.writeChecks(checks); err != nil {
		return err
	}
	broken := 0
	for _, k := range checks {
		if k.Status == checkFail {
			broken++
		}
	}
	if broken > 0 {
		return withHint(fmt.Errorf("%s broken", are(broken, "thing", "things")), "the remedies are above")
	}
	return nil
}

func (c *call) writeChecks(checks []check) error {
	if c.format != formatTable {
		l := &listWriter{w: c.term.out, format: c.format}
		for _, k := range checks {
			if err := l.add(k); err != nil {
				return err
			}
		}
		return l.end()
	}
	for _, k := range checks {
		fmt.Fprintf(c.term.out, "%-4s  %-9s %s\n", k.Status, k.Name, printable(k.Detail))
		if k.Remedy != "" {
			fmt.Fprintf(c.term.out, "      %-9s → %s\n", "", printable(k.Remedy))
		}
	}
	return nil
}

// checkSettings shows what is set, and warns about settings that have another effect
// than was probably meant.
func (c *call) checkSettings() []check {
	var set []string
	for _, g := range c.cfg.given {
		set = append(set, g.source+"="+g.value)
	}
	detail := "all defaults"
	if len(set) > 0 {
		detail = strings.Join(set, " ")
	}
	checks := []check{{"settings", checkOK, detail, ""}}
	warn := func(detail, remedy string) {
		checks = append(checks, check{"settings", checkWarn, detail, remedy})
	}
	a, b := c.Getenv("GOOGLE_API_KEY"), c.Getenv("GEMINI_API_KEY")
	if a != "" && b != "" && a != b {
		warn("GOOGLE_API_KEY and GEMINI_API_KEY differ; the first is used", "unset one of them")
	}
	g := &c.cfg.gemini
	if c.cfg.analyzer == "rules" && g.apiKey.set() {
		warn("a Gemini key is set, but the rules analyzer is used", "to ask the model, use -analyzer gemini or EVALFORGE_ANALYZER=gemini")
	}
	if g.apiKey.set() && g.project != "" && g.useVertexAI == nil && c.cfg.analyzer == "gemini" {
		warn("both a key and GOOGLE_CLOUD_PROJECT are set; the Gemini API is asked with the key", "for Vertex AI set GOOGLE_GENAI_USE_VERTEXAI=true")
	}
	if l := c.Getenv("GOOGLE_CLOUD_LOCATION"); l != "" && l != g.location && c.cfg.analyzer == "gemini" {
		warn(fmt.Sprintf("GOOGLE_CLOUD_LOCATION=%s has no effect here; the location is %s", l, g.location), "set VERTEX_AI_LOCATION")
	}
	return checks
}

// checkStore opens the store, if it is there, and checks that it can be written to.
func (c *call) checkStore(ctx context.Context) []check {
	spec := c.cfg.store
	fail := func(err error, remedy string) []check {
		detail := strings.TrimPrefix(err.Error(), "store ") // the name of the check says it
		return []check{{"store", checkFail, detail, remedyOf(err, remedy)}}
	}
	missing := false
	if spec.scheme == "sqlite" {
		_, err := os.Stat(spec.rest)
		missing = errors.Is(err, fs.ErrNotExist)
		if err := tryWrite(spec.rest, missing); err != nil {
			return fail(fmt.Errorf("store %s: %w", spec, err), "make the folder and the file writable for this user, or name another file with -store sqlite:FILE")
		}
	}
	if missing {
		return []check{{"store", checkOK, fmt.Sprintf("%s does not exist yet; the first import makes it", spec), ""}}
	}
	s, err := c.open(ctx, mustExist)
	if err != nil {
		return fail(err, "")
	}
	indexes := c.checkIndexes(ctx, s.store)
	b, err := s.store.Backlog(ctx, c.Now())
	if err = s.close(err); err != nil {
		remedy := "restore it from a backup, or name another file with -store sqlite:FILE"
		if spec.scheme != "sqlite" {
			remedy = "check the database, its indexes, and what these credentials may do there"
		}
		return append(fail(fmt.Errorf("store %s: %w", spec, err), remedy), indexes...)
	}
	checks := []check{{"store", checkOK, fmt.Sprintf("%s opens, can be written to: %d waiting, %d quarantined, %d done", spec, b.Pending-b.Quarantined, b.Quarantined, b.Processed), ""}}
	checks = append(checks, indexes...)
	if b.Quarantined > 0 {
		checks = append(checks, check{"store", checkWarn, are(b.Quarantined, "trace", "traces") + " quarantined after too many failures",
			"see " + c.command("errors list") + "; bring one back with " + c.command("retry", "ID")})
	}
	return checks
}

// tryWrite checks that a database file can be written to, and its folder too: SQLite
// keeps its log beside the file. It leaves nothing behind.
func tryWrite(name string, missing bool) error {
	if !missing {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".evalforge-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkTimeout bounds the question to the model's service.
const checkTimeout = 20 * time.Second

// checkAnalyzer checks that the analyzer can work; a model is asked.
func (c *call) checkAnalyzer(ctx context.Context) check {
	if c.cfg.analyzer != "gemini" {
		return check{"analyzer", checkOK, c.describeAnalyzer() + ": offline, needs nothing", ""}
	}
	fail := func(err error) check {
		return check{"analyzer", checkFail, err.Error(), remedyOf(err, "")}
	}
	a, err := c.gemini(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = a.Close() }() // frees connections; nothing can be lost
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := a.Check(ctx); err != nil {
		return fail(fmt.Errorf("%s: %w", c.describeAnalyzer(), err))
	}
	if m := a.Model(); m != c.cfg.gemini.model {
		return check{"analyzer", checkWarn, fmt.Sprintf("model %s is gone; its successor %s answers", c.cfg.gemini.model, m), "set GEMINI_MODEL=" + m}
	}
	return check{"analyzer", checkOK, c.describeAnalyzer() + ": answers", ""}
}
