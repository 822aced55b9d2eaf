package redact

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// A shape matches what its regular expression matches at the start of a text.
func TestShapeMatchesLikeRegexp(t *testing.T) {
	for _, re := range []string{
		`ab[0-9]{4,6}\.[a-z]{2,}`, `(?i)key-[a-f0-9]{8}`, `(?:live|test)_[a-z]{4,8}(?:-\d)?`, `(?:-[0-9]{2}){3}[a-z]*`, `a\w{8}={0,2}`,
	} {
		sh, err := newShape("r", APIKey, re)
		if err != nil {
			t.Errorf("%s: %v", re, err)
			continue
		}
		want := regexp.MustCompile(`^(?:` + re + `)`)
		for _, s := range []string{
			"ab1234.xyz", "ab12345678.xyz", "ab123.xyz", "ab123456.x", "KEY-00FFaa11", "key-00ffaa1", "live_abcd-1", "test_abcdefghijk",
			"live_abc", "-12-34-56abc", "-12-34", "abcdefghi==", "abcdefghi", "abcdefgh", "", "a",
		} {
			end := -1
			if m := want.FindStringIndex(s); m != nil {
				end = m[1]
			}
			if got := sh.match(s, 0); got != end {
				t.Errorf("%s on %q: match ends at %d, want %d", re, s, got, end)
			}
		}
	}
}

func TestShapeRefusals(t *testing.T) {
	for re, want := range map[string]string{
		`[a-z`:                          "missing closing",
		`[a-z]{2,9}[a-f]{8}`:            "varying length",
		`abc`:                           "at least 8",
		`(?:ab|c){3}12345678`:           "only literals",
		`\bword[0-9]{8}`:                "only literals",
		strings.Repeat(`(?:aa|bc)`, 12): "alternatives",
	} {
		if _, err := newShape("the-id", APIKey, re); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the-id") {
			t.Errorf("newShape(%s): %v, want the id and %q", re, err, want)
		}
	}
	sh, err := newShape("r", APIKey, `[a-z]{10}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := newShapeTable().add(sh, nil); err == nil || !strings.Contains(err.Error(), "fixed characters") {
		t.Errorf("a shape of any letters without names: %v", err)
	}
}

// The data file compiles, and what it says is used.
func TestGitleaksRules(t *testing.T) {
	table, err := vendorShapes()
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Rules []json.RawMessage }
	if err := json.Unmarshal(gitleaksData, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Rules) < 200 || len(table.prefixed.lists) < 50 || len(table.named.lists) < 50 {
		t.Errorf("%d rules, %d prefixes, %d names: the file is not complete", len(file.Rules), len(table.prefixed.lists), len(table.named.lists))
	}
	r := newRedactor(t)
	hex37 := hex32 + "0a1b2"
	for _, tc := range []struct{ in, want string }{
		{`cloudflare: "` + hex37 + `"`, `cloudflare: "«API_KEY»"`},
		{"SONAR_LOGIN := " + hex40 + "\n", "SONAR_LOGIN := «API_KEY»\n"},
		{"sonarqube says: " + hex40, "sonarqube says: " + hex40},
		{"ReactNativeCameraKit: " + hex40, "ReactNativeCameraKit: " + hex40}, // not Meraki
		{"sgp_" + "local_" + hex40, "«API_KEY»"},
		{"AIRTABLE_KEY='" + mixed36[:17] + "'", "AIRTABLE_KEY='«API_KEY»'"},
		{"twitter: see you at the conference tomorrow", "twitter: see you at the conference tomorrow"},
	} {
		if got, _ := r.Text(tc.in); shorten(got) != tc.want {
			t.Errorf("Text(%q) = %q, want %q", tc.in, shorten(got), tc.want)
		}
	}
}

func TestKubernetesSecret(t *testing.T) {
	r := newRedactor(t)
	value := "YWRtaW46" + "cGFzc3dvcmQ="
	manifest := "apiVersion: v1\nkind: KIND\nmetadata:\n  name: db\ndata:\n  # a comment\n  extra: " + value + "\n  ca.pem: |\n    " + value + "\n    " + value + "\ntype: Opaque\n"
	want := "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  # a comment\n  extra: «SECRET»\n  ca.pem: |\n    «SECRET»\n    «SECRET»\ntype: Opaque\n"
	if got, _ := r.Text(strings.Replace(manifest, "KIND", "Secret", 1)); shorten(got) != want {
		t.Errorf("got\n%s\nwant\n%s", shorten(got), want)
	}
	config := strings.Replace(manifest, "KIND", "ConfigMap", 1)
	if got, _ := r.Text(config); got != config {
		t.Errorf("a ConfigMap changed:\n%s", got)
	}
}
