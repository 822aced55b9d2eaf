package cli

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

const intro = "EvalForge turns failed traces of LLM applications into failure patterns: for each trace what happened, why, how bad it is and what to do, with evidence that was checked against the trace, and without secrets or personal data."

// writeOverview lists the commands.
func writeOverview(w io.Writer) {
	fmt.Fprintf(w, "%s\nUsage: evalforge COMMAND [flags] [arguments]\n\n", wrap(intro, "", helpWidth))
	all := commands()
	width := 0
	for _, c := range all {
		width = max(width, len(c.name))
	}
	for _, c := range all {
		fmt.Fprintf(w, "  %-*s  %s\n", width, c.name, c.short)
	}
	fmt.Fprint(w, `
New here? Try: evalforge demo
More about a command: evalforge help COMMAND

Exit status: 0 done; 1 finished, but some traces failed or a threshold was missed;
2 could not run (usage, configuration, store).
`)
}

// help answers "evalforge help [COMMAND]".
func help(term *terminal, args []string) error {
	if len(args) == 0 {
		writeOverview(term.out)
		return nil
	}
	if sub := subcommands(args[0]); len(args) == 1 && len(sub) > 0 {
		for i, c := range sub {
			if i > 0 {
				fmt.Fprintln(term.out)
			}
			writeCommandHelp(term.out, &c)
		}
		return nil
	}
	cmd, rest, err := findCommand(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("evalforge help", "help: one word too many: %q", rest[0])
	}
	writeCommandHelp(term.out, cmd)
	return nil
}

func subcommands(head string) []command {
	return slices.DeleteFunc(commands(), func(c command) bool { return !strings.HasPrefix(c.name, head+" ") })
}

const helpWidth = 88

// writeCommandHelp explains one command.
func writeCommandHelp(w io.Writer, cmd *command) {
	args := cmd.args
	if args != "" {
		args = " " + args
	}
	fmt.Fprintf(w, "Usage: evalforge %s [flags]%s\n\n", cmd.name, args)
	io.WriteString(w, wrap(cmd.long, "", helpWidth))

	fmt.Fprint(w, "\nFlags:\n")
	if cmd.formats != nil {
		item(w, "-o FORMAT", fmt.Sprintf("What to print: %s (default %s).", strings.Join(cmd.formats, ", "), cmd.formats[0]))
	}
	own := flag.NewFlagSet("", flag.ContinueOnError)
	if cmd.flags != nil {
		cmd.flags(own)
	}
	own.VisitAll(func(f *flag.Flag) {
		value, doc := flag.UnquoteUsage(f)
		head := "-" + f.Name
		if value != "" {
			head += " " + value
		}
		if d := f.DefValue; d != "" && d != "0" && d != "false" && d != "[]" {
			doc += fmt.Sprintf(" (default %s)", d)
		}
		item(w, head, doc)
	})
	var rest []setting
	for _, s := range settingsOf(cmd.uses) {
		if s.flag == "" {
			rest = append(rest, s)
			continue
		}
		item(w, "-"+s.flag+" "+s.value, fmt.Sprintf("%s Also %s. (default %s)", s.doc, strings.Join(s.vars, ", "), s.defaultText()))
	}
	fmt.Fprint(w, "\nEnvironment:\n")
	for _, s := range rest {
		item(w, strings.Join(s.vars, ", "), fmt.Sprintf("%s (default %s)", s.doc, s.defaultText()))
	}
	if len(cmd.examples) > 0 {
		fmt.Fprint(w, "\nExamples:\n")
		for _, e := range cmd.examples {
			fmt.Fprintf(w, "  %s\n", e)
		}
	}
}

func item(w io.Writer, head, doc string) {
	fmt.Fprintf(w, "  %s\n%s", head, wrap(doc, "      ", helpWidth))
}

// defaultText says what applies when a setting is not given.
func (s *setting) defaultText() string {
	d := cmp.Or(s.def, s.shown)
	if s.cloudDef != "" {
		d += "; on Cloud Run " + s.cloudDef
	}
	return d
}

// configDoc returns docs/config.md: the settings, generated from the table.
func configDoc() string {
	var b strings.Builder
	b.WriteString(`<!-- Generated from internal/cli/settings.go by "go generate ./internal/cli". Do not edit. -->
# Configuration

Every setting, with its flag and its environment variable. A flag beats the environment, and the
environment beats the default. An empty variable counts as not set. A value that is not allowed
ends the command with exit status 2 and a message that says what is.

The value of a secret is given itself, or as sm://projects/PROJECT/secrets/SECRET/versions/VERSION or
file:///PATH: see [security.md](security.md#secrets).

On Cloud Run (` + "`K_SERVICE` or `CLOUD_RUN_JOB`" + ` is set) some defaults differ, as noted. Everywhere else a
cloud store is used only when ` + "`-store` or `EVALFORGE_STORE`" + ` names it. Every run says on stderr which
store and analyzer it uses; ` + "`evalforge doctor`" + ` shows what is set and checks that it works.
`)
	for _, g := range groups() {
		fmt.Fprintf(&b, "\n## %s\n\nUsed by: %s.\n\n", g, strings.Join(usersOf(g), ", "))
		b.WriteString("| variable | flag | value | default | what it does |\n|---|---|---|---|---|\n")
		for _, s := range settings() {
			if s.group != g {
				continue
			}
			f := ""
			if s.flag != "" {
				f = "`-" + s.flag + "`"
			}
			def := s.shown
			if s.def != "" {
				def = "`" + s.def + "`"
			}
			if s.cloudDef != "" {
				def += "; on Cloud Run `" + s.cloudDef + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n", strings.Join(s.vars, "`, `"), f,
				strings.ReplaceAll(s.value, "|", "\\|"), def, strings.ReplaceAll(s.doc, "|", "\\|"))
		}
	}
	return b.String()
}

func usersOf(g group) []string {
	if g == groupGeneral {
		return []string{"every command"}
	}
	var names []string
	for _, c := range commands() {
		if slices.Contains(c.uses, g) {
			names = append(names, "`"+c.name+"`")
		}
	}
	return names
}
