package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

// canaries are one value of each kind, by how it stands in a text; put together here, so
// that no scanner takes this file for a leak.
func canaries() map[string]string {
	return map[string]string{
		"maria.p@" + "realmail-zq.org":                   "mail %s-x",
		"+49 171 " + "9876543":                           "call %s",
		"4539 1488 " + "0343 6467":                       "%s",
		"536-22-" + "1789":                               "sess-%s-x",
		"DE89370400" + "440532013000":                    "to %s",
		"203.0.113." + "177":                             "from %s:443",
		"2001:db8:85a3::" + "8a2e:370:7334":              "user:%s",
		"3c:22:fb:" + "9a:1b:7e":                         "mac %s",
		"AKIA" + "Q7ZPLANTEDKEYS22":                      "key %s-x",
		"ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a":  "%s",
		"hunter2" + "secretpw":                           "pw: %s",
		"MIIEpAIBAAKCAQEA3Tz2" + "mr7SZiAMfQyuvBjM9Oi":   "-----BEGIN RSA " + "PRIVATE KEY-----\n%s\n-----END RSA " + "PRIVATE KEY-----",
		"dba:" + "c0rrecthorse9":                         "postgres://%s@db.internal/app",
		"B01ABCDEF/" + "a1B2c3D4e5F6g7H8i9J0k1L2":        "https://hooks.slack.com/services/T01ABCDEF/%s",
		"eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NSJ9": "Authorization: Bearer %s.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg",
	}
}

// canaryPositions are the places of a stored trace at which text of users and tools comes in.
var canaryPositions = []string{
	"message", "arguments", "result", "attribute", "error", "id", "key", "service_name", "failure_type",
}

// canaryTrace is a line of a file to import that holds text at a position.
func canaryTrace(t *testing.T, id, position, text string) string {
	t.Helper()
	at := func(p, otherwise string) string {
		if p == position {
			return text
		}
		return otherwise
	}
	line, err := json.Marshal(map[string]any{
		"trace_id": id, "fetched_at": "2026-01-01T00:00:00Z",
		"failure_type": at("failure_type", "unknown"), "service_name": at("service_name", "shop"),
		"trace_payload": map[string]any{
			"messages": []any{
				map[string]any{"role": "user", "content": at("message", "Where is my order?")},
				map[string]any{"role": "assistant", "content": "", "tool_calls": []any{map[string]any{
					"id": at("id", "c1"), "type": "function", "function": map[string]any{"name": "find", "arguments": at("arguments", "{}")},
				}}},
				map[string]any{"role": "tool", "tool_call_id": at("id", "c1"), "content": at("result", "Error: not found")},
			},
			"error_message": at("error", "not found"),
			"spans":         []any{map[string]any{"span_id": "s1", "operation": "find", "attributes": map[string]any{"detail": at("attribute", "none")}}},
			"metadata":      map[string]any{at("key", "owner"): 1},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(line) + "\n"
}

// One value of each kind in each position and at three depths of JSON in strings is
// found nowhere: not in the database, in no output or log, not with the model.
func TestCanaries(t *testing.T) {
	var input strings.Builder
	traces := 0
	for _, position := range canaryPositions {
		for depth := range 3 {
			var lines []string
			forms := canaries()
			for _, value := range slices.Sorted(maps.Keys(forms)) {
				lines = append(lines, fmt.Sprintf(forms[value], value))
			}
			text := strings.Join(lines, "\n")
			for range depth {
				doc, err := json.Marshal(map[string]string{"note": "see\n" + text})
				if err != nil {
					t.Fatal(err)
				}
				text = string(doc)
			}
			input.WriteString(canaryTrace(t, fmt.Sprintf("%s-%d", position, depth), position, text))
			traces++
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "in.jsonl")
	if err := os.WriteFile(file, []byte(input.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := geminitest.NewServer(t, geminitest.Well())
	env := getenv(map[string]string{
		"GOOGLE_GEMINI_BASE_URL": srv.URL, "GEMINI_API_KEY": "AIzaSy" + "CanaryCanaryCanaryCanaryCanary123",
		"EVALFORGE_REDACTION_KEY": "a key that is for canaries only",
	})
	seen := make(map[string]string) // by where
	for _, args := range [][]string{
		{"import", "-log-level", "debug", file},
		{"run", "-log-level", "debug", "-analyzer", "gemini", "-batch", fmt.Sprint(traces)},
		{"patterns", "export"}, {"patterns", "list", "-o", "json"}, {"errors", "list", "-o", "jsonl"}, {"runs", "list", "-o", "json"},
	} {
		name := strings.Join(args[:min(2, len(args))], " ")
		store := []string{"-store", "sqlite:" + filepath.Join(dir, "c.db")}
		words := 1
		if args[0] != "import" && args[0] != "run" {
			words = 2
		}
		all := append(append(append([]string(nil), args[:words]...), store...), args[words:]...)
		var stdout, stderr bytes.Buffer
		if status := Main(context.Background(), all, Env{Getenv: env, Stdout: &stdout, Stderr: &stderr, Now: time.Now}); status != statusDone {
			t.Fatalf("%s: exit status %d\n%s", name, status, stderr.String())
		}
		seen["output of "+name] = stdout.String()
		seen["log of "+name] = stderr.String()
	}
	asked := 0
	for i, r := range srv.Requests() {
		seen[fmt.Sprintf("request %d", i)] = string(r.Body)
		asked++
	}
	if asked < traces {
		t.Errorf("the model was asked %d times, want %d or more", asked, traces)
	}
	files, err := filepath.Glob(filepath.Join(dir, "c.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		seen[filepath.Base(f)] = string(b)
	}
	for where, text := range seen {
		for value := range canaries() {
			if i := strings.Index(text, value); i >= 0 {
				t.Errorf("%s holds %q: …%q", where, value, text[max(0, i-60):i+len(value)])
			}
		}
	}
}
