package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

// readersEnv makes this test binary the readers of [BenchmarkReadersDuringRun]: it holds the service's address.
const readersEnv = "EVALFORGE_TEST_READERS_OF"

func TestMain(m *testing.M) {
	if url := os.Getenv(readersEnv); url != "" {
		readAlways(url)
		return
	}
	os.Exit(m.Run())
}

// readers is how many there are.
const readers = 500

// modelTime is what the model takes for an answer; real ones take longer.
const modelTime = 500 * time.Millisecond

// BenchmarkReadersDuringRun measures what 500 readers and a run do to each other. The readers are another process
// on the same machine, and ask again as soon as they are answered. It reports the 99th percentiles of reading without
// and with a run, and what a run takes without and with readers.
func BenchmarkReadersDuringRun(b *testing.B) {
	const batch = 20
	well := geminitest.Well()
	late := func(w http.ResponseWriter, r *geminitest.Request) {
		t := time.NewTimer(modelTime)
		defer t.Stop()
		<-t.C
		well(w, r)
	}
	for b.Loop() {
		s, _ := serve(b, inFile)
		s.fill(500)
		withGemini(late)(s) // the runs from here on ask the model
		s.traces(2 * batch)
		run := func() time.Duration {
			began := time.Now()
			rec, err := s.runner.Run(b.Context(), extract.RunRequest{BatchSize: batch})
			if err != nil || rec.StoredCount != batch {
				b.Fatalf("the run did %+v, %v", rec, err)
			}
			return time.Since(began)
		}
		alone := run()
		r := readFrom(b, s.url)
		idle := r.during(func() { <-time.After(alone) })
		var with time.Duration
		busy := r.during(func() { with = run() })
		r.stop()
		b.ReportMetric(float64(percentile(idle, 99).Milliseconds()), "idle-p99-ms")
		b.ReportMetric(float64(percentile(busy, 99).Milliseconds()), "busy-p99-ms")
		b.ReportMetric(float64(percentile(busy, 99))/float64(percentile(idle, 99)), "p99-ratio")
		b.ReportMetric(float64(len(busy))/with.Seconds(), "reads/s")
		b.ReportMetric(alone.Seconds(), "run-alone-s")
		b.ReportMetric(with.Seconds(), "run-with-readers-s")
		b.ReportMetric(float64(with)/float64(alone), "run-ratio")
		b.ReportMetric(0, "ns/op")
	}
}

// readAlways reads from a service with many readers, and prints what each read took in nanoseconds, until it is killed.
func readAlways(url string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: readers}}
	paths := []string{"/api/v1/patterns?limit=20", "/api/v1/patterns/more-00001", "/api/v1/runs?limit=5", "/health"}
	took := make(chan time.Duration, readers)
	for i := range readers {
		go func() {
			for n := i; ; n++ {
				began := time.Now()
				resp, err := client.Get(url + paths[n%len(paths)])
				if err != nil {
					continue // the service has ended, and so will this process
				}
				if resp.StatusCode != http.StatusOK {
					fmt.Fprintln(os.Stderr, resp.Status)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				took <- time.Since(began)
			}
		}()
	}
	for out := json.NewEncoder(os.Stdout); ; {
		if err := out.Encode(<-took); err != nil {
			return
		}
	}
}

// A readership is a process that reads.
type readership struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	took []time.Duration
}

func readFrom(b *testing.B, url string) *readership {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	r := &readership{cmd: exec.Command(exe)}
	r.cmd.Env = append(os.Environ(), readersEnv+"="+url)
	r.cmd.Stderr = os.Stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.stop)
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			var d time.Duration
			if json.Unmarshal(in.Bytes(), &d) == nil {
				r.mu.Lock()
				r.took = append(r.took, d)
				r.mu.Unlock()
			}
		}
	}()
	return r
}

func (r *readership) stop() {
	_ = r.cmd.Process.Kill() // it does not end by itself
	_ = r.cmd.Wait()
}

// during returns what the reads took that ended while f ran.
func (r *readership) during(f func()) []time.Duration {
	r.mu.Lock()
	r.took = nil
	r.mu.Unlock()
	f()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.took)
}

func percentile(d []time.Duration, p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)*p/100]
}
