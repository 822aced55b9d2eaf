package evalforge

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/evalforge/evalforge"

// A ban says which packages may not import what, and why. Paths under the module are
// given without its prefix; a trailing "/..." covers everything below.
type ban struct {
	importer, imported string
	except             []string // importers that may
	why                string
}

var bans = []ban{
	{"internal/...", "google.golang.org/genai", []string{"internal/gemini"},
		"one package speaks to the model, so that a change of SDK or model family stays in one place"},
	{"internal/...", "modernc.org/sqlite", []string{"internal/store/sqlite"},
		"one package speaks to SQLite: everything else works on any store"},
	{"internal/...", "cloud.google.com/go/firestore", []string{"internal/store/firestore"},
		"one package speaks to Firestore: everything else works on any store"},
	{"internal/...", "internal/store/sqlite", []string{"internal/cli"},
		"only the command line wires adapters; adapters never import each other"},
	{"internal/...", "internal/store/firestore", []string{"internal/cli"},
		"only the command line wires adapters; adapters never import each other"},
	{"internal/...", "internal/store/memory", []string{"internal/cli"},
		"only the command line wires adapters; adapters never import each other"},
	{"internal/...", "internal/gemini", []string{"internal/cli", "internal/gemini/promptcost"},
		"only the command line wires adapters; adapters never import each other"},
	{"internal/...", "internal/rules", []string{"internal/cli"},
		"only the command line wires analyzers: the engine works with any"},
	{"internal/...", "github.com/golang-jwt/jwt/v5", []string{"internal/server/auth", "internal/server/auth/authtest"},
		"one package decides who calls: a second reading of tokens would be a second set of rules"},
	{"internal/...", "cloud.google.com/go/secretmanager/apiv1", []string{"internal/gcp/secret"},
		"one package reads secrets, so that their checksums are checked and their values never shown"},
	{"internal/...", "github.com/prometheus/client_golang/prometheus", []string{"internal/gcp/telemetry"},
		"one table of metrics: what is measured elsewhere would be in neither OTLP nor the documentation"},
	{"internal/...", "go.opentelemetry.io/otel/metric", []string{"internal/gcp/telemetry"},
		"one table of metrics: what is measured elsewhere would not be documented"},
	{"internal/...", "internal/gcp/telemetry", []string{"internal/cli"},
		"the engine tells an Observer; only the command line knows who that is"},
	{"internal/...", "internal/cli", nil,
		"the command line is the top: what is below must be usable without it"},
	{"internal/trace", "internal/...", nil,
		"the trace model is the bottom: decoding must not depend on what is done with a trace"},
	{"internal/redact", "internal/...", nil,
		"the redactor is a filter over text and JSON, and must be usable before anything is understood"},
	{"cmd/...", "internal/...", []string{"cmd/evalforge → internal/cli"},
		"main only calls the command line"},
	{"internal/...", "testing", []string{"internal/store/storetest", "internal/store/firestore/emulatortest", "internal/gemini/geminitest", "internal/server/auth/authtest"},
		"code that tests must not be linked into the program"},
}

// A listed package is what "go list" says about one.
type listedPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func goList(t *testing.T, args ...string) []listedPackage {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Standard"}, args...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var list []listedPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func TestImportsFollowTheDesign(t *testing.T) {
	for _, p := range goList(t, "./...") {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imp := range p.Imports {
			to := strings.TrimPrefix(imp, module+"/")
			for _, b := range bans {
				if covers(b.importer, from) && covers(b.imported, to) &&
					!slices.Contains(b.except, from) && !slices.Contains(b.except, from+" → "+to) {
					t.Errorf("%s imports %s: %s", from, to, b.why)
				}
			}
		}
	}
}

func covers(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(path, prefix+"/")
	}
	return path == pattern
}

// The domain is imported by everything, so what it imports is in everything.
func TestDomainImportsOnlyTheSchemaLibrary(t *testing.T) {
	for _, p := range goList(t, "-deps", ".") {
		if p.Standard || p.ImportPath == module || strings.HasPrefix(p.ImportPath, "github.com/google/jsonschema-go/") {
			continue
		}
		t.Errorf("the domain depends on %s; only the standard library and the JSON Schema library are allowed", p.ImportPath)
	}
}

// Tests that the checks leave out of the run with the race detector they run without it. A
// misspelled name, or a test of that name in another package, would be run nowhere.
func TestNoTestIsLeftOutOfTheChecks(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)\nbulk='([^']+)'\n.*?-run "\^\(\$bulk\|[^"]*" \\\n\t([^\n]+)\n`).FindSubmatch(script)
	if m == nil {
		t.Fatal(".ci/run does not say what is left out, and where it is run")
	}
	found := map[string]bool{}
	for _, name := range strings.Split(string(m[1]), "|") {
		found[name] = false
	}
	test := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, f := range test.FindAllSubmatch(source, -1) {
			name := string(f[1])
			if _, left := found[name]; !left {
				continue
			}
			found[name] = true
			dir := "./" + filepath.ToSlash(filepath.Dir(path))
			if !slices.ContainsFunc(strings.Fields(string(m[2])), func(p string) bool { return p == dir || covers(p, dir) }) {
				t.Errorf("%s in %s is run nowhere by .ci/run", name, dir)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, there := range found {
		if !there {
			t.Errorf(".ci/run leaves out %s, which does not exist", name)
		}
	}
}
