package server_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

// BenchmarkReadersDuringRun measures what 500 readers and a run do to each other: the readers ask again as soon as
// they are answered, from within the same process, and the run asks a model that takes a quarter of a second. It reports
// the 99th percentiles of reading without and with a run, and what a run takes without and with readers.
func BenchmarkReadersDuringRun(b *testing.B) {
	const readers, batch = 500, 40
	reply := geminitest.Well()
	release := func(w http.ResponseWriter, r *geminitest.Request) {
		t := time.NewTimer(250 * time.Millisecond)
		defer t.Stop()
		<-t.C
		reply(w, r)
	}
	for b.Loop() {
		var gemini func(*service) = withGemini(release)
		s, _ := serve(b, inFile)
		s.fill(500)
		gemini(s) // the runs from here on ask the model
		s.traces(3 * batch)
		run := func() time.Duration {
			began := time.Now()
			rec, err := s.runner.Run(b.Context(), extract.RunRequest{BatchSize: batch, Trigger: evalforge.Manual})
			if err != nil || rec.StoredCount != batch {
				b.Fatalf("the run did %+v, %v", rec, err)
			}
			return time.Since(began)
		}
		alone := run()
		ctx, stop := context.WithCancel(b.Context())
		r := readWith(ctx, s, readers)
		idle := r.during(func() { <-time.After(alone) })
		var with time.Duration
		busy := r.during(func() { with = run() })
		stop()
		r.wg.Wait()
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

// A readership reads until it is told to stop, and notes what each read took.
type readership struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	took []time.Duration
}

func readWith(ctx context.Context, s *service, readers int) *readership {
	r := new(readership)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: readers}}
	paths := []string{"/api/v1/patterns?limit=20", "/api/v1/patterns/more-00001", "/api/v1/runs?limit=5", "/health"}
	for i := range readers {
		r.wg.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				began := time.Now()
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+paths[n%len(paths)], nil)
				if err != nil {
					s.t.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err != nil {
					if ctx.Err() == nil {
						s.t.Error(err)
					}
					return
				}
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					s.t.Errorf("GET %s: %s", req.URL.Path, resp.Status)
				}
				if err == nil {
					r.mu.Lock()
					r.took = append(r.took, time.Since(began))
					r.mu.Unlock()
				}
			}
		})
	}
	return r
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
