package main

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

const twoTraces = `{"trace_id": "t-1", "trace_payload": {"messages": [{"role": "user", "content": "Where is my parcel, please?"}, {"role": "assistant", "content": "I do not know where it is"}]}}
{"trace_id": "t-2", "trace_payload": {"messages": [{"role": "user", "content": "Where is my second parcel?"}, {"role": "assistant", "content": "I do not know that either"}]}}
`

// start begins a run over two traces against a Gemini service, and returns when the
// service was asked about the first. The service answers when release is closed.
func start(t *testing.T, release <-chan struct{}) (cmd *exec.Cmd, stdout *bytes.Buffer, stderr *bufio.Reader) {
	t.Helper()
	asked := make(chan struct{}, 2)
	late := geminitest.Late(release, geminitest.Well())
	srv := geminitest.NewServer(t, func(w http.ResponseWriter, r *geminitest.Request) {
		asked <- struct{}{}
		late(w, r)
	})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "traces.jsonl"), []byte(twoTraces), 0o600); err != nil {
		t.Fatal(err)
	}
	program := func(args ...string) *exec.Cmd {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(exe)
		c.Args = append([]string{"evalforge"}, args...) // the name by which TestMain runs main
		c.Dir = dir
		c.Env = []string{"GEMINI_API_KEY=for-tests-only", "GOOGLE_GEMINI_BASE_URL=" + srv.URL, "HOME=" + dir}
		return c
	}
	if out, err := program("import", "traces.jsonl").CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
	cmd, stdout = program("run", "-analyzer", "gemini"), new(bytes.Buffer)
	cmd.Stdout = stdout
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // ended already, if all is well
	<-asked
	return cmd, stdout, bufio.NewReader(pipe)
}

// interrupt sends a signal and waits until the program says that it is stopping.
func interrupt(t *testing.T, cmd *exec.Cmd, stderr *bufio.Reader, sig os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := stderr.ReadString('\n')
		if err != nil {
			t.Fatalf("the program did not say that it is stopping: %v", err)
		}
		if strings.Contains(line, "stopping") {
			return
		}
	}
}

// The first signal stops a run in an orderly way: the trace under way is finished, no
// other is begun, and the summary is printed.
func TestSignalStopsInAnOrderlyWay(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			release := make(chan struct{})
			cmd, stdout, stderr := start(t, release)
			interrupt(t, cmd, stderr, sig)
			close(release)
			var rest bytes.Buffer
			if _, err := rest.ReadFrom(stderr); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit status 1", err)
			}
			for _, want := range []string{"Picked up 1 = 1 stored.\n", "Ended early: the run was stopped.\n"} {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("stdout has no %q:\n%s", want, stdout)
				}
			}
			if want := "evalforge: error: the run ended before its batch was done"; !strings.Contains(rest.String(), want) {
				t.Errorf("stderr has no %q:\n%s", want, rest.String())
			}
		})
	}
}

// The second signal ends the program at once.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	cmd, _, stderr := start(t, nil) // never answered
	interrupt(t, cmd, stderr, os.Interrupt)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error is its state
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want by the signal", cmd.ProcessState)
	}
}
