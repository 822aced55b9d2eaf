// Package emulatortest runs Google's Firestore emulator for tests. The emulator is a part
// of a Google Cloud SDK installation (gcloud components install cloud-firestore-emulator,
// or the package google-cloud-cli-firestore-emulator) and needs Java.
//
// A package's tests share one:
//
//	var emulator emulatortest.Emulator
//
//	func TestMain(m *testing.M) { os.Exit(emulator.Main(m)) }
//
//	func TestX(t *testing.T) { host, project := emulator.Host(t), emulator.Project() … }
//
// It is started by the first test that asks for it. An emulator that is already running
// is used instead if FIRESTORE_EMULATOR_HOST names it.
package emulatortest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	hostEnv    = "FIRESTORE_EMULATOR_HOST"
	requireEnv = "EVALFORGE_REQUIRE_EMULATOR"
	jar        = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
	mainClass  = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
)

// errMissing says that there is no emulator on this machine.
var errMissing = errors.New("the Firestore emulator is missing: install the Google Cloud SDK with its component cloud-firestore-emulator, and Java, or set " + hostEnv + " to a running one")

// An Emulator is one process, started when first asked for. The zero value is ready.
type Emulator struct {
	once sync.Once
	host string
	err  error
	stop func()
}

// Main runs a package's tests and ends the emulator. It takes [FIRESTORE_EMULATOR_HOST]
// out of the environment, so that tests reach the emulator over connections of their own.
func (e *Emulator) Main(m *testing.M) int {
	e.host = os.Getenv(hostEnv)
	os.Unsetenv(hostEnv)
	defer func() {
		if e.stop != nil {
			e.stop()
		}
	}()
	return m.Run()
}

// Host returns the emulator's address. Without an emulator the test is skipped, or fails
// if EVALFORGE_REQUIRE_EMULATOR is 1.
func (e *Emulator) Host(t testing.TB) string {
	t.Helper()
	e.once.Do(func() {
		if e.host == "" {
			e.host, e.stop, e.err = start()
		}
	})
	switch {
	case e.err == nil:
		return e.host
	case errors.Is(e.err, errMissing) && os.Getenv(requireEnv) != "1":
		fmt.Fprintf(os.Stderr, "\n*** SKIPPED %s: %v ***\n\n", t.Name(), e.err)
		t.Skip(e.err)
	}
	t.Fatal(e.err)
	return ""
}

// Project returns the id of a project that nobody has used: every project of the emulator
// is empty at first.
func (e *Emulator) Project() string { return "test-" + strings.ToLower(rand.Text()[:20]) }

// start starts an emulator on a free port and waits until it answers.
func start() (host string, stop func(), err error) {
	path, err := findJar()
	if err != nil {
		return "", nil, err
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", nil, errMissing
	}
	// The port is free now; should another process take it before the emulator does,
	// another is tried.
	for range 3 {
		if host, stop, err = startOn(java, path); err == nil {
			return host, stop, nil
		}
	}
	return "", nil, err
}

func findJar() (string, error) {
	var roots []string
	if gcloud, err := exec.LookPath("gcloud"); err == nil {
		if real, err := filepath.EvalSymlinks(gcloud); err == nil {
			roots = append(roots, filepath.Dir(filepath.Dir(real)))
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, filepath.Join(home, "google-cloud-sdk"))
	}
	roots = append(roots, "/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk", "/opt/google-cloud-sdk")
	for _, root := range roots {
		if path := filepath.Join(root, jar); isFile(path) {
			return path, nil
		}
	}
	if out, err := exec.Command("gcloud", "info", "--format=value(installation.sdk_root)").Output(); err == nil {
		if path := filepath.Join(strings.TrimSpace(string(out)), jar); isFile(path) {
			return path, nil
		}
	}
	return "", errMissing
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func startOn(java, jar string) (host string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	host = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(host)
	cmd := exec.Command(java, "-Duser.language=en", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx2g",
		"-cp", jar, mainClass, "--host=127.0.0.1", "--port="+port)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	dieWithParent(cmd)

	started, ended := make(chan error), make(chan struct{})
	go func() {
		// A process that dies with its parent dies with the thread that started it.
		runtime.LockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed: the error says no more than that
		}
	}()
	if err := <-started; err != nil {
		return "", nil, fmt.Errorf("start the Firestore emulator: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill() // it may have ended already
		<-ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := waitReady(ctx, "http://"+host+"/", ended); err != nil {
		stop()
		return "", nil, fmt.Errorf("the Firestore emulator did not start: %w; it printed:\n%s", err, output.String())
	}
	return host, stop, nil
}

func waitReady(ctx context.Context, url string, ended <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, url) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errors.New("it ended")
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16))
	return err == nil && strings.TrimSpace(string(body)) == "Ok"
}
