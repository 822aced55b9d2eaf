package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Rules are the operator's own additions to the policy.
type Rules struct {
	// Rules are shapes of values.
	Rules []Rule `json:"rules"`
	// Always are names of keys whose value goes, by the kind of the value.
	Always map[Kind][]string `json:"always"`
	// Never are names of keys whose values are ids, times or counts: digits under them are
	// left alone. A value that is unmistakable in shape still goes.
	Never []string `json:"never"`
}

// A Rule is the shape of a value.
type Rule struct {
	// ID names the rule in errors.
	ID string `json:"id"`
	// Kind stands in placeholders: capitals and '_', at most 32; [Secret] if empty.
	Kind Kind `json:"kind"`
	// Pattern is a regular expression of bounded runs: literals, classes, repetitions of
	// one character or class, groups and alternatives. It matches whole words, begins
	// with at least two fixed characters unless there are Names, and takes at least 8
	// characters in all.
	Pattern string `json:"pattern"`
	// Names are words in the name of a value (acme in "acme_key = …"), of at least three
	// letters. With names only the value of something so named counts.
	Names []string `json:"names"`
}

// ParseRules reads rules as JSON:
//
//	{"rules": [{"id": "acme-key", "kind": "API_KEY", "pattern": "acme_[a-z0-9]{24}"}],
//	 "always": {"NAME": ["nickname"]}, "never": ["build_number"]}
//
// Everything is checked; an error says what is wrong with which rule.
func ParseRules(data []byte) (*Rules, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var rules Rules
	if err := d.Decode(&rules); err != nil {
		return nil, fmt.Errorf("redaction rules: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("redaction rules: there is text after the end of the object")
	}
	if err := rules.apply(newPolicy(), newShapeTable()); err != nil {
		return nil, err
	}
	return &rules, nil
}

// apply adds the rules to a policy and to shapes.
func (r *Rules) apply(p *policy, t *shapeTable) error {
	for i, rule := range r.Rules {
		if rule.ID == "" {
			return fmt.Errorf("redaction rules: rule %d has no id", i+1)
		}
		if rule.Kind == "" {
			rule.Kind = Secret
		}
		if !validKind(rule.Kind) {
			return fmt.Errorf("redaction rules: rule %s: the kind %q is not of capitals and '_', at most %d", rule.ID, rule.Kind, maxKindBytes-1)
		}
		sh, err := newShape(rule.ID, rule.Kind, rule.Pattern)
		if err != nil {
			return fmt.Errorf("redaction rules: %w", err)
		}
		sh.custom = true
		if err := t.add(sh, rule.Names); err != nil {
			return fmt.Errorf("redaction rules: %w", err)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Always)) {
		if !validKind(kind) {
			return fmt.Errorf("redaction rules: always: the kind %q is not of capitals and '_', at most %d", kind, maxKindBytes-1)
		}
		for _, name := range r.Always[kind] {
			folded := fold(name)
			if folded == "" || strings.Contains(name, ".") {
				return fmt.Errorf("redaction rules: always: %q is no name of a key; of a dotted one give the last part", name)
			}
			info := p.exact[folded]
			info.treatment, info.kind = always, kind
			p.exact[folded] = info
		}
	}
	for _, name := range r.Never {
		folded := fold(name)
		if folded == "" || strings.Contains(name, ".") {
			return fmt.Errorf("redaction rules: never: %q is no name of a key; of a dotted one give the last part", name)
		}
		if info := p.exact[folded]; info.treatment == always {
			return fmt.Errorf("redaction rules: never: the value of %q always goes, as %s; this cannot be switched off", name, info.kind)
		}
		p.exact[folded] = keyInfo{treatment: identifier, flags: spared}
	}
	return nil
}

// validKind reports whether k can stand in a placeholder.
func validKind(k Kind) bool {
	if k == "" || len(k) >= maxKindBytes {
		return false
	}
	for _, c := range []byte(k) {
		if !isUpper(c) && c != '_' {
			return false
		}
	}
	return true
}
