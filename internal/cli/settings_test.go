package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
)

func getenv(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func allGroups() []group { return groups() }

func TestResolvePrecedence(t *testing.T) {
	for _, tc := range []struct {
		name  string
		flags map[string]string
		env   map[string]string
		want  int
	}{
		{"default", nil, nil, extract.DefaultBatchSize},
		{"environment beats default", nil, map[string]string{"BATCH_SIZE": "7"}, 7},
		{"flag beats environment", map[string]string{"batch": "3"}, map[string]string{"BATCH_SIZE": "7"}, 3},
		{"empty is not set", nil, map[string]string{"BATCH_SIZE": " "}, extract.DefaultBatchSize},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := resolve(allGroups(), tc.flags, getenv(tc.env))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.engine.BatchSize; got != tc.want {
				t.Errorf("batch size %d, want %d", got, tc.want)
			}
		})
	}
}

func TestResolveDefaults(t *testing.T) {
	for _, tc := range []struct {
		name            string
		env             map[string]string
		store, analyzer string
	}{
		{"laptop", nil, "sqlite:evalforge.db", "rules"},
		{"laptop with a project and a key", map[string]string{"GOOGLE_CLOUD_PROJECT": "p", "GEMINI_API_KEY": "k"}, "sqlite:evalforge.db", "rules"},
		{"Cloud Run service", map[string]string{"K_SERVICE": "s"}, "firestore:", "gemini"},
		{"Cloud Run job", map[string]string{"CLOUD_RUN_JOB": "j"}, "firestore:", "gemini"},
		{"Cloud Run with a store of its own", map[string]string{"K_SERVICE": "s", "EVALFORGE_STORE": "mem:"}, "mem:", "gemini"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := resolve(allGroups(), nil, getenv(tc.env))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.store.String(); got != tc.store {
				t.Errorf("store %s, want %s", got, tc.store)
			}
			if c.analyzer != tc.analyzer {
				t.Errorf("analyzer %s, want %s", c.analyzer, tc.analyzer)
			}
		})
	}
}

func TestResolveValues(t *testing.T) {
	c, err := resolve(allGroups(), nil, getenv(map[string]string{
		"PER_TRACE_TIMEOUT_SEC": "2.5", "EVALFORGE_RETRY_BACKOFF": "0", "GEMINI_TEMPERATURE": "0",
		"EVALFORGE_REDACTION_KEY": "000102030405060708090a0b0c0d0e0f", "GOOGLE_API_KEY": "first-key", "GEMINI_API_KEY": "second-key",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.engine.TraceTimeout, 2500*time.Millisecond; got != want {
		t.Errorf("timeout %v, want %v", got, want)
	}
	if c.engine.Backoff >= 0 {
		t.Errorf("backoff %v, want none, which the engine is told by a negative value", c.engine.Backoff)
	}
	if c.gemini.temperature == nil || *c.gemini.temperature != 0 {
		t.Errorf("temperature %v, want 0", c.gemini.temperature)
	}
	if got := len(c.redactionKey); got != 16 {
		t.Errorf("a hex key of %d bytes, want 16", got)
	}
	if got := c.gemini.apiKey.reveal(); got != "first-key" {
		t.Errorf("key %q: GOOGLE_API_KEY wins, as in Google's SDK", got)
	}
}

func TestResolveRefuses(t *testing.T) {
	for name, bad := range map[string][]string{
		"BATCH_SIZE":                   {"0", "501", "x", "1.5"},
		"PER_TRACE_TIMEOUT_SEC":        {"0", "-1", "3601", "NaN", "15s"},
		"GEMINI_TEMPERATURE":           {"-0.1", "2.1", "warm"},
		"GEMINI_MAX_OUTPUT_TOKENS":     {"0", "65537"},
		"EVALFORGE_TRACE_BUDGET_BYTES": {"1023", "102401"},
		"EVALFORGE_RETRY_BACKOFF":      {"5", "-1s", "2h"},
		"GOOGLE_GEMINI_BASE_URL":       {"localhost", "ftp://x", "http://"},
		"GOOGLE_GENAI_USE_VERTEXAI":    {"maybe"},
		"EVALFORGE_STORE":              {"x", "sqlite:", "mem:x", "redis:x"},
		"EVALFORGE_CONCURRENCY":        {"0", "65"},
		"EVALFORGE_MAX_ATTEMPTS":       {"0", "101"},
		"EVALFORGE_LOG_LEVEL":          {"loud"},
	} {
		for _, v := range bad {
			_, err := resolve(allGroups(), nil, getenv(map[string]string{name: v}))
			if err == nil {
				t.Errorf("%s=%s is accepted", name, v)
				continue
			}
			if !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), fmt.Sprintf("%q", v)) {
				t.Errorf("%s=%s: %v: does not name the variable and the value", name, v, err)
			}
		}
	}
}

// Passwords in an address do not come back in an error or from doctor.
func TestAddressesAreShownWithoutPassword(t *testing.T) {
	const address = "http://me:hunter2@proxy.example/path"
	c, err := resolve(allGroups(), nil, getenv(map[string]string{"GOOGLE_GEMINI_BASE_URL": address}))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.given); strings.Contains(got, "hunter2") {
		t.Errorf("%s holds the password", got)
	}
	_, err = resolve(allGroups(), nil, getenv(map[string]string{"GOOGLE_GEMINI_BASE_URL": "ftp" + address}))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v: want an error without the password", err)
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := newSecret("AIza-very-secret")
	b, err := json.Marshal(struct{ Key secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), fmt.Sprintf("%+v", geminiConfig{apiKey: s}), string(b)} {
		if strings.Contains(got, "very") {
			t.Errorf("printed as %s", got)
		}
	}
}

func TestUseVertex(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  map[string]string
		want bool
		err  string
	}{
		{"key", map[string]string{"GEMINI_API_KEY": "k"}, false, ""},
		{"project", map[string]string{"GOOGLE_CLOUD_PROJECT": "p"}, true, ""},
		{"key and project", map[string]string{"GEMINI_API_KEY": "k", "GOOGLE_CLOUD_PROJECT": "p"}, false, ""},
		{"key, project and told so", map[string]string{"GEMINI_API_KEY": "k", "GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_GENAI_USE_VERTEXAI": "True"}, true, ""},
		{"key for Vertex AI", map[string]string{"GEMINI_API_KEY": "k", "GOOGLE_GENAI_USE_VERTEXAI": "1"}, true, ""},
		{"nothing", nil, false, "neither an API key nor"},
		{"told so without a project", map[string]string{"GOOGLE_GENAI_USE_VERTEXAI": "true"}, false, "needs a Google Cloud project"},
		{"project, but told not to", map[string]string{"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_GENAI_USE_VERTEXAI": "false"}, false, "neither an API key nor"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := resolve(allGroups(), nil, getenv(tc.env))
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.gemini.useVertex()
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("%v, %v; want %v", got, err, tc.want)
			}
		})
	}
}
