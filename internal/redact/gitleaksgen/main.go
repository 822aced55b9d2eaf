// Command gitleaksgen turns the rules of gitleaks (MIT licence) into the data file that
// package redact embeds. To refresh the shapes of vendors' keys, in internal/redact:
//
//	go run ./gitleaksgen -version v8.30.1
//
// It downloads that version of the module, reads its config/gitleaks.toml, and writes
// gitleaks.json. Rules that package redact has in code, because they are no shapes of
// keys, are listed below; a rule that cannot be converted is an error, so that a new
// kind of rule is seen by a person.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

const module = "github.com/zricethezav/gitleaks/v8"

// inCode are the rules that package redact has in code, or that are about files.
var inCode = []string{
	"azure-ad-client-secret", "curl-auth-header", "curl-auth-user", "facebook-access-token", "freemius-secret-key",
	"generic-api-key", "gitlab-session-cookie", "hashicorp-tf-api-token", "hashicorp-tf-password", "jwt", "jwt-base64",
	"kubernetes-secret-yaml", "maxmind-license-key", "microsoft-teams-webhook", "nuget-config-password", "pkcs12-file",
	"private-key", "sentry-org-token", "sidekiq-sensitive-url", "slack-webhook-url",
}

// A rule is what is kept of a gitleaks rule.
type rule struct {
	ID      string   `json:"id"`
	Names   []string `json:"names,omitempty"`   // the value counts only behind one of these
	Shape   string   `json:"shape"`             // of the value, a regular expression
	Entropy float64  `json:"entropy,omitempty"` // bits per character, at least
}

type file struct {
	Source  string `json:"source"`
	Licence string `json:"licence"`
	Rules   []rule `json:"rules"`
}

func main() {
	version := flag.String("version", "", "the `VERSION` of gitleaks, such as v8.30.1")
	out := flag.String("o", "gitleaks.json", "the `FILE` to write")
	flag.Parse()
	if err := run(*version, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gitleaksgen:", err)
		os.Exit(1)
	}
}

func run(version, out string) error {
	if version == "" {
		return fmt.Errorf("-version is missing, such as -version v8.30.1")
	}
	listing, err := exec.Command("go", "mod", "download", "-json", module+"@"+version).Output()
	if err != nil {
		return fmt.Errorf("download %s@%s: %w", module, version, err)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(listing, &m); err != nil {
		return err
	}
	var config struct {
		Rules []struct {
			ID, Regex string
			Entropy   float64
		}
	}
	if _, err := toml.DecodeFile(filepath.Join(m.Dir, "config", "gitleaks.toml"), &config); err != nil {
		return err
	}
	f := file{Source: module + "@" + version + " config/gitleaks.toml", Licence: "MIT, Copyright (c) 2019 Zachary Rice"}
	for _, r := range config.Rules {
		if slices.Contains(inCode, r.ID) {
			continue
		}
		converted, err := convert(r.ID, r.Regex)
		if err != nil {
			return err
		}
		for _, c := range converted {
			c.Entropy = r.Entropy
			f.Rules = append(f.Rules, c)
		}
	}
	// One rule a line, so that a refresh can be reviewed.
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"source\": %q, \"licence\": %q, \"rules\": [\n", f.Source, f.Licence)
	for i, r := range f.Rules {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			return err
		}
		if i < len(f.Rules)-1 {
			b.Truncate(b.Len() - 1)
			b.WriteString(",\n")
		}
	}
	b.WriteString("]}\n")
	return os.WriteFile(out, b.Bytes(), 0o644)
}

// The parts of which gitleaks makes its rules.
const (
	operator = `)(?:[ \t\w.-]{0,20})[\s'"]{0,3}` // between a name and a value, the beginning
	assigned = `(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}(`
)

var (
	literalStart = regexp.MustCompile(`^(?:\(\?i\))?(?:\\b)?\(*(?:\?:)?\(*(?:\?:)?[A-Za-z0-9]`)
	ending       = regexp.MustCompile(`\(\?:\[(?:\\x60'"\\s;\]\|\\\\\[nr\]\|\$(?:\|\\b)?|\^[^\]]*\]\|\\z)\)$`)
)

// convert returns the rules that the regular expression of a gitleaks rule stands for.
func convert(id, re string) ([]rule, error) {
	if id == "atlassian-api-token" { // two rules in one
		named, prefixed, ok := strings.Cut(re, `|\b(ATATT3`)
		if !ok {
			return nil, fmt.Errorf("rule %s has changed: %s", id, re)
		}
		a, err := convert(id+"-1", named)
		if err != nil {
			return nil, err
		}
		b, err := convert(id+"-2", `\b(ATATT3`+prefixed)
		return append(a, b...), err
	}
	if id == "sourcegraph-access-token" { // a commit's hash looks the same
		if !strings.Contains(re, `(sgp_(?:[a-fA-F0-9]{16}|local)_[a-fA-F0-9]{40}|sgp_[a-fA-F0-9]{40}|[a-fA-F0-9]{40})`) {
			return nil, fmt.Errorf("rule %s has changed: %s", id, re)
		}
		return []rule{
			{ID: id + "-1", Shape: `(?i)sgp_(?:(?:[a-f0-9]{16}|local)_)?[a-f0-9]{40}`},
			{ID: id + "-2", Names: []string{"sourcegraph"}, Shape: `(?i)[a-f0-9]{40}`},
		}, nil
	}
	stripped := ending.ReplaceAllString(re, "")
	if name, shape, ok := strings.Cut(stripped, assigned); ok {
		if !strings.Contains(name, operator) {
			return nil, fmt.Errorf("rule %s: unknown form of a name: %s", id, name)
		}
		shape = strings.TrimSuffix(shape, ")")
		if strings.HasPrefix(re, "(?i)") {
			shape = "(?i)" + shape
		}
		names, err := nameList(name)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", id, err)
		}
		return []rule{{ID: id, Names: names, Shape: shape}}, nil
	}
	if !literalStart.MatchString(re) {
		return nil, fmt.Errorf("rule %s has no prefix and no name: %s", id, re)
	}
	stripped = strings.ReplaceAll(stripped, `\b`, "")
	return []rule{{ID: id, Shape: stripped}}, nil
}

// maxNames bounds the names of one rule.
const maxNames = 128

// nameList returns the names that the first part of a rule stands for, in lower case.
func nameList(part string) ([]string, error) {
	name := part[:strings.Index(part, operator)+1]
	for _, lead := range []string{`(?i)`, `[\w.-]{0,50}?`, `(?i:`, `[\w.-]{0,50}?`} {
		name = strings.TrimPrefix(name, lead)
	}
	parsed, err := syntax.Parse(name, syntax.Perl)
	if err != nil {
		return nil, err
	}
	list, err := writeOut(parsed)
	if err != nil {
		return nil, fmt.Errorf("name %s: %w", name, err)
	}
	for i := range list {
		list[i] = strings.ToLower(list[i])
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// writeOut returns all texts that re matches.
func writeOut(re *syntax.Regexp) ([]string, error) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, nil
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, nil
	case syntax.OpAnyCharNotNL, syntax.OpAnyChar:
		return []string{"."}, nil
	case syntax.OpCharClass:
		var list []string
		for i := 0; i < len(re.Rune); i += 2 {
			for c := re.Rune[i]; c <= re.Rune[i+1] && len(list) <= maxNames; c++ {
				list = append(list, string(c))
			}
		}
		return list, nil
	case syntax.OpCapture:
		return writeOut(re.Sub[0])
	case syntax.OpQuest:
		list, err := writeOut(re.Sub[0])
		return append(list, ""), err
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			list, err := writeOut(sub)
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
		}
		return all, nil
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			list, err := writeOut(sub)
			if err != nil {
				return nil, err
			}
			var next []string
			for _, head := range all {
				for _, tail := range list {
					next = append(next, head+tail)
				}
			}
			if all = next; len(all) > maxNames {
				return nil, fmt.Errorf("it stands for more than %d names", maxNames)
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("it stands for more names than can be listed")
}
