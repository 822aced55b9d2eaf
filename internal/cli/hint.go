package cli

import (
	"strings"

	"github.com/evalforge/evalforge/internal/extract"
)

// command returns a command line, for a hint, that works on the call's store: name is the
// command, args what follows its flags. A store that the environment names is left out,
// because the next command finds it there, too.
func (c *call) command(name string, args ...string) string {
	words := []string{"evalforge", name}
	for _, g := range c.cfg.given {
		if g.source == "-store" {
			words = append(words, "-store", shellWord(c.cfg.store.String()))
		}
	}
	for _, a := range args {
		words = append(words, shellWord(a))
	}
	return strings.Join(words, " ")
}

// hint is a hint to look into the store with a command: what before and after say
// around it. No other command can look into a store that ends with this one.
func (c *call) hint(before, after, name string, args ...string) string {
	if c.cfg.store.scheme == "mem" {
		return "the store mem: is gone when a command ends; to look into it with the next one, use -store sqlite:FILE"
	}
	return before + c.command(name, args...) + after
}

// doctorHint is a hint to check what this call uses.
func (c *call) doctorHint(what string) string {
	var args []string
	for _, g := range c.cfg.given {
		if g.source == "-analyzer" || g.source == "-model" {
			args = append(args, g.source, g.value)
		}
	}
	return c.command("doctor", args...) + " checks " + what
}

// shellWord quotes s for a shell, if it needs that. Words in capitals, such as FILE,
// stand for something.
func shellWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"\\$`&|;<>()*?[]{}~#!") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// remedyOf returns the hints that err carries, or other.
func remedyOf(err error, other string) string {
	if hints := hintsOf(err); len(hints) > 0 {
		return strings.Join(hints, "; ")
	}
	return other
}

// retryReason says why a store has nothing to retry, without the id, which is said
// before it.
func retryReason(err error) string {
	if _, why, ok := strings.Cut(err.Error(), extract.ErrNotRetryable.Error()+": "); ok {
		return extract.ErrNotRetryable.Error() + ": " + why
	}
	return err.Error()
}
