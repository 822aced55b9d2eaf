package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

// BenchmarkColdStart measures the wall time from starting the program, as it is released, until /ready says yes,
// with the size of the program and the memory that it takes then. With Firestore, that is the emulator on this machine.
func BenchmarkColdStart(b *testing.B) {
	exe := filepath.Join(b.TempDir(), "evalforge")
	// Other flags would compile every dependency anew.
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", exe, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(exe)
	if err != nil {
		b.Fatal(err)
	}
	size := float64(info.Size()) / (1 << 20)
	b.Run("sqlite", func(b *testing.B) { coldStarts(b, exe, size, nil, "serve") })
	b.Run("firestore+gemini", func(b *testing.B) {
		srv := geminitest.NewServer(b)
		env := []string{"FIRESTORE_EMULATOR_HOST=" + emulator.Host(b), "GEMINI_API_KEY=for-tests-only", "GOOGLE_GEMINI_BASE_URL=" + srv.URL}
		coldStarts(b, exe, size, env, "serve", "-store", "firestore:"+emulator.Project(), "-analyzer", "gemini")
	})
}

func coldStarts(b *testing.B, exe string, size float64, env []string, args ...string) {
	dir := b.TempDir()
	best, worst := time.Hour, time.Duration(0)
	var total, cpu time.Duration
	var rss float64
	for b.Loop() {
		took, used, kib := coldStart(b, exe, dir, env, args)
		best, worst, total, cpu, rss = min(best, took), max(worst, took), total+took, cpu+used, kib
	}
	b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms-to-ready")
	b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms")
	b.ReportMetric(float64(best.Milliseconds()), "best-ms")
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
	b.ReportMetric(rss/1024, "RSS-MiB")
	b.ReportMetric(size, "binary-MiB")
	b.ReportMetric(0, "ns/op")
}

// coldStart starts the program once, and returns the time until it is ready, the processor time that it took, and its
// resident memory in KiB.
func coldStart(b *testing.B, exe, dir string, env, args []string) (took, cpu time.Duration, kib float64) {
	b.Helper()
	cmd := exec.Command(exe, append(args, "-addr", "127.0.0.1:0")...)
	cmd.Dir, cmd.Env = dir, append([]string{"HOME=" + dir}, env...)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // its data is thrown away
		_ = cmd.Wait()
		cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}()
	url := ""
	for in := bufio.NewScanner(pipe); url == "" && in.Scan(); {
		if m := listening.FindStringSubmatch(in.Text()); m != nil {
			url = m[1]
		}
	}
	for {
		resp, err := http.Get(url + "/ready")
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return time.Since(began), 0, residentKiB(b, cmd.Process.Pid)
		}
		if time.Since(began) > time.Minute {
			b.Fatal("it is not ready after a minute")
		}
	}
}

// residentKiB is the resident memory of a process, or 0 where /proc does not say.
func residentKiB(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib
}
