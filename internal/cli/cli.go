// Package cli is the command line of EvalForge: its commands, the table of settings,
// and the wiring of stores and analyzers to the engine. It is the only package that
// knows every adapter.
//
// [Main] is the whole program apart from signals. What it touches of the outside world
// comes in through [Env], so that tests run it in their own process. Reading order:
// cli.go (how a command line becomes a call), settings.go (what can be set), config.go (what
// that comes to), wire.go (what is built from it), then one file per command.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/option"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gcp/logging"
)

// Env is the outside world of one call of the program.
type Env struct {
	Getenv func(string) string
	Stdin  io.Reader
	// Stdout gets data, Stderr everything else. Colour, progress bars and the width of
	// text follow what they are: a terminal or not.
	Stdout, Stderr io.Writer
	Now            func() time.Time
	// SecretManager says how Google's Secret Manager is reached; nil means as usual.
	SecretManager []option.ClientOption
}

// Exit statuses of [Main].
const (
	statusDone   = 0 // everything asked for was done
	statusSome   = 1 // finished, but some traces failed, or a threshold was missed
	statusFailed = 2 // could not run: usage, configuration, store
)

// Main runs the command line args, which do not include the program's name, and returns
// the exit status. Canceling ctx stops the command in an orderly way.
func Main(ctx context.Context, args []string, env Env) int {
	term := newTerminal(env)
	term.json.Store(onCloudRun(env.Getenv)) // the settings may say otherwise
	s := newScrubber(env.Getenv)
	said := make(chan struct{})
	quiet := context.AfterFunc(ctx, func() {
		defer close(said)
		term.note("evalforge: stopping: what is under way is finished or given back; interrupt again to stop at once")
	})
	defer func() {
		if !quiet() {
			<-said // nothing is written once Main has returned
		}
	}()
	return term.report(dispatch(ctx, args, env, term, s), s)
}

// A command is one thing the program can do.
type command struct {
	name     string // one word, or a group and a word: "patterns list"
	args     string // positional arguments for the usage line, such as "ID…"
	short    string // one line, for the list of commands
	long     string // what it does, in full
	examples []string
	uses     []group  // the settings that apply
	formats  []string // values of -o, the default first; none: the command has no -o
	// minArgs and maxArgs bound the positional arguments; maxArgs < 0 is no bound.
	minArgs, maxArgs int
	// serves marks the command that is a service, diagnoses the one that reports what is
	// wrong with the settings instead of refusing them.
	serves, diagnoses bool
	flags             func(*flag.FlagSet) // declares the command's own flags, if not nil
	run               func(ctx context.Context, c *call) error
}

// A call is one command about to run.
type call struct {
	Env
	term   *terminal
	cfg    *config
	args   []string // positional
	format string   // value of -o
	// log redacts what it is given, under the store's key as soon as the store is open, and
	// writes it to logTo.
	log   *slog.Logger
	logTo slog.Handler
	json  bool // the log is JSON, for machines

	secrets  []readSecret
	observer extract.Observer // nil: none
}

// commands returns every command, in the order of the help text. Each call makes new
// ones: a command's flags live in its closure.
func commands() []command {
	return []command{
		demoCommand(),
		importCommand(),
		runCommand(),
		serveCommand(),
		patternsListCommand(), patternsShowCommand(), patternsExportCommand(),
		runsListCommand(), runsShowCommand(),
		errorsListCommand(),
		retryCommand(),
		rerunCommand(),
		forgetCommand(),
		evalCommand(),
		redactCommand(),
		doctorCommand(),
		versionCommand(),
	}
}

func dispatch(ctx context.Context, args []string, env Env, term *terminal, s *scrubber) error {
	if len(args) == 0 {
		writeOverview(term.err)
		return &problem{status: statusFailed}
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return help(term, args[1:])
	case "-version", "--version":
		args = append([]string{"version"}, args[1:]...)
	}
	cmd, rest, err := findCommand(args)
	if err != nil {
		return err
	}
	return cmd.call(ctx, rest, env, term, s)
}

// findCommand returns the command that args begin with, and the arguments after it.
func findCommand(args []string) (*command, []string, error) {
	all := commands()
	var names, subs []string
	for i, c := range all {
		head, sub, grouped := strings.Cut(c.name, " ")
		if !slices.Contains(names, head) {
			names = append(names, head)
		}
		if head != args[0] {
			continue
		}
		if !grouped {
			return &all[i], args[1:], nil
		}
		if len(args) > 1 && args[1] == sub {
			return &all[i], args[2:], nil
		}
		subs = append(subs, sub)
	}
	switch {
	case subs == nil:
		return nil, nil, unknown("command", args[0], append(names, "help"), "evalforge help")
	case len(args) == 1 || isHelpFlag(args[1]):
		return nil, nil, usagef("evalforge help "+args[0]+" "+subs[0], "%q needs a second word: %s", args[0], strings.Join(subs, ", "))
	default:
		return nil, nil, unknown(args[0]+" command", args[1], subs, "evalforge help")
	}
}

func isHelpFlag(s string) bool { return s == "-h" || s == "-help" || s == "--help" }

// call parses args and the environment and runs cmd.
func (cmd *command) call(ctx context.Context, args []string, env Env, term *terminal, s *scrubber) error {
	fs, given, format := cmd.flagSet()
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			writeCommandHelp(term.out, cmd)
			return nil
		}
		return cmd.flagError(fs, err)
	}
	if err := cmd.checkArgs(fs, args); err != nil {
		return err
	}
	if cmd.formats != nil && !slices.Contains(cmd.formats, *format) {
		return usagef(cmd.helpCommand(), "-o: %q is none of %s", *format, strings.Join(cmd.formats, ", "))
	}
	getenv, secrets := readSecrets(ctx, cmd.uses, env, s)
	if err := secretErrors(secrets); err != nil && !cmd.diagnoses {
		return err
	}
	env.Getenv = getenv
	cfg, err := resolve(cmd.uses, given, env.Getenv)
	if err != nil {
		return err
	}
	c := &call{Env: env, term: term, cfg: cfg, args: fs.Args(), format: *format, secrets: secrets}
	c.json = cfg.logFormat == "json" || cfg.logFormat == "auto" && (cfg.cloudRun || cmd.serves && !term.live)
	if c.json && cmd.serves && !c.given("EVALFORGE_LOG_LEVEL", "-log-level") {
		cfg.logLevel = slog.LevelInfo
	}
	term.json.Store(c.json)
	c.logTo = c.newLogHandler(s)
	r, err := c.looseRedactor()
	if err != nil {
		return err
	}
	c.log = slog.New(r.Handler(c.logTo))
	return cmd.run(ctx, c)
}

// given reports whether one of the flags or variables sets something.
func (c *call) given(sources ...string) bool {
	return slices.ContainsFunc(c.cfg.given, func(g givenSetting) bool { return slices.Contains(sources, g.source) })
}

// flagSet returns the command's flags, where the settings that are given as flags will
// be found, and the value of -o.
func (cmd *command) flagSet() (fs *flag.FlagSet, given map[string]string, format *string) {
	fs = flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	given = map[string]string{}
	for _, s := range settingsOf(cmd.uses) {
		if s.flag != "" {
			fs.Func(s.flag, s.doc, func(v string) error { given[s.flag] = v; return nil })
		}
	}
	format = new(string)
	if cmd.formats != nil {
		fs.StringVar(format, "o", cmd.formats[0], "")
	}
	if cmd.flags != nil {
		cmd.flags(fs)
	}
	return fs, given, format
}

func (cmd *command) helpCommand() string { return "evalforge help " + cmd.name }

// flagError says better what package flag said: it names the nearest flag.
func (cmd *command) flagError(fs *flag.FlagSet, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !ok {
		return usagef(cmd.helpCommand(), "%s: %w", cmd.name, err)
	}
	var names []string
	fs.VisitAll(func(f *flag.Flag) { names = append(names, "-"+f.Name) })
	return unknown(cmd.name+" flag", "-"+name, names, cmd.helpCommand())
}

// checkArgs checks the number of positional arguments, and that no flag hides among
// them: package flag stops at the first argument, and what follows would silently mean
// something else.
func (cmd *command) checkArgs(fs *flag.FlagSet, args []string) error {
	dashes := fs.NArg() < len(args) && args[len(args)-fs.NArg()-1] == "--"
	if !dashes {
		for i, a := range fs.Args() {
			if i > 0 && len(a) > 1 && a[0] == '-' {
				return usagef(cmd.helpCommand(), "%s: the flag %s comes after the argument %q; flags go first", cmd.name, a, fs.Arg(0))
			}
		}
	}
	switch n := fs.NArg(); {
	case n < cmd.minArgs:
		return usagef(cmd.helpCommand(), "%s: an argument is missing: %s", cmd.name, cmd.args)
	case cmd.maxArgs >= 0 && n > cmd.maxArgs && cmd.maxArgs == 0:
		return usagef(cmd.helpCommand(), "%s takes no arguments, got %q", cmd.name, fs.Arg(0))
	case cmd.maxArgs >= 0 && n > cmd.maxArgs:
		return usagef(cmd.helpCommand(), "%s: one argument too many: %q", cmd.name, fs.Arg(cmd.maxArgs))
	}
	return nil
}

// newLogHandler returns what a call's log is written by: text for people, JSON on Cloud
// Run.
func (c *call) newLogHandler(s *scrubber) slog.Handler {
	if c.json {
		return logging.New(c.term.err, logging.Options{
			Level: c.cfg.logLevel, Project: c.Getenv("GOOGLE_CLOUD_PROJECT"), Replace: s.attr,
		})
	}
	return slog.NewTextHandler(c.term.err, &slog.HandlerOptions{Level: c.cfg.logLevel, ReplaceAttr: s.attr})
}

// badFlag reports a value of a command's own flag that is not allowed.
func (c *call) badFlag(name, format string, args ...any) error {
	return usagef("", "-%s: %s", name, fmt.Sprintf(format, args...))
}
