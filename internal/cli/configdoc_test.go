package cli

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/config.md")

// The documentation of the settings is what the table says.
func TestConfigDoc(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "config.md")
	got := configDoc()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not current; run: go generate ./internal/cli (-file +table)\n%s", file, diff)
	}
}

// Every setting can be given, is explained, and has a default that it accepts.
func TestSettingsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings() {
		if len(s.vars) == 0 || s.doc == "" || s.value == "" || s.set == nil {
			t.Errorf("%s: a variable, a doc, a value and a parser are needed", s.name())
		}
		if !strings.HasSuffix(s.doc, ".") {
			t.Errorf("%s: the doc is no sentence: %q", s.name(), s.doc)
		}
		if (s.def == "") == (s.shown == "") {
			t.Errorf("%s: exactly one of a default and a description of it is needed", s.name())
		}
		if s.secret && s.flag != "" {
			t.Errorf("%s: a secret on the command line is seen by every process of the machine", s.name())
		}
		for _, name := range append([]string{"-" + s.flag}, s.vars...) {
			if name != "-" && seen[name] {
				t.Errorf("%s is defined twice", name)
			}
			seen[name] = true
		}
		for _, def := range []string{s.def, s.cloudDef} {
			if def == "" {
				continue
			}
			if err := s.set(&config{}, def); err != nil {
				t.Errorf("%s: the default %q %v", s.name(), def, err)
			}
		}
	}
}

// Every command can be explained, and takes no flag that a setting has.
func TestCommandsAreComplete(t *testing.T) {
	for _, c := range commands() {
		if c.short == "" || c.long == "" || len(c.examples) == 0 || c.run == nil {
			t.Errorf("%s: a short and a long description and an example are needed", c.name)
		}
		c.flagSet() // panics when a flag is defined twice
		for _, e := range c.examples {
			if !strings.Contains(e, "evalforge "+c.name) {
				t.Errorf("%s: the example %q does not show it", c.name, e)
			}
		}
	}
}
