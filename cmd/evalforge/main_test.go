package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

// The scripts run this test binary under the name of the program.
func TestMain(m *testing.M) {
	testscript.Main(withEmulator{m}, map[string]func(){"evalforge": main})
}

// TestScripts runs testdata/script: what each command does, failures included, as a
// user sees it. The scripts see no variable of the environment that runs the tests.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			// HOME is there, so that nothing looks for credentials elsewhere.
			e.Setenv("EVALFORGE_REDACTION_KEY", "a key that is for scripts only")
			e.Values[geminiKey{}] = &service{t: t}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, errors.New("unknown condition " + strconv.Quote(cond))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"absent": absent,
			"gemini": startGemini,
			"asked":  asked,
		},
	})
}

// exits runs a program and checks its exit status: exits STATUS PROGRAM [ARGUMENTS…].
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM [ARGUMENTS…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// absent checks that no line of a file occurs in other files: absent LINES FILE….
// Blank lines are left out. FILE may be a pattern, and must match something.
func absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: absent LINES FILE…")
	}
	var files []string
	for _, pattern := range args[1:] {
		match, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if pattern == "stdout" || pattern == "stderr" {
			match = []string{pattern}
		}
		if len(match) == 0 {
			ts.Fatalf("%s matches no file", pattern)
		}
		files = append(files, match...)
	}
	for _, line := range strings.Split(ts.ReadFile(args[0]), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		for _, f := range files {
			if strings.Contains(ts.ReadFile(f), line) {
				ts.Fatalf("%s holds %q", f, line)
			}
		}
	}
}

// geminiKey is where a script's values have its [service].
type geminiKey struct{}

// A service is the Gemini service of one script.
type service struct {
	t   *testing.T // outlives the script
	srv *geminitest.Server
}

// startGemini starts a Gemini service and sets the variables that lead to it:
// gemini HOW….  Each request gets the next answer, the last one again and again.
func startGemini(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(geminiKey{}).(*service)
	answers := map[string]geminitest.Reply{
		"well":        geminitest.Well(),
		"garbage":     geminitest.Garbage(),
		"blocked":     geminitest.Blocked("SAFETY"),
		"unavailable": geminitest.Status(503, "UNAVAILABLE", "The model is overloaded."),
		"badkey":      geminitest.InvalidKey(),
		"never":       geminitest.Never(),
		"leaky":       geminitest.Text("The user is ann.doe@corp.example, password=hunter2-is-not-enough"),
	}
	var script []geminitest.Reply
	for _, a := range args {
		r, ok := answers[a]
		if !ok || neg {
			ts.Fatalf("gemini: no answer %q", a)
		}
		script = append(script, r)
	}
	s.srv = geminitest.NewServer(s.t, script...)
	if len(args) > 0 && args[0] == "badkey" {
		s.srv.OnProbe(geminitest.InvalidKey())
	}
	ts.Setenv("GOOGLE_GEMINI_BASE_URL", s.srv.URL)
	ts.Setenv("GEMINI_API_KEY", "AIzaSyScriptScriptScriptScriptScript123")
}

// asked writes the bodies of all requests to the Gemini service into a file:
// asked FILE COUNT.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: asked FILE COUNT")
	}
	srv := ts.Value(geminiKey{}).(*service).srv
	if srv == nil {
		ts.Fatalf("no gemini was started")
	}
	requests := srv.Requests()
	if got := strconv.Itoa(len(requests)); got != args[1] {
		ts.Fatalf("gemini was asked %s times, want %s", got, args[1])
	}
	var b strings.Builder
	for _, r := range requests {
		b.Write(r.Body)
		b.WriteString("\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}
