package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evalforge/evalforge/internal/gemini/geminitest"
)

// plainCanary is content that no redactor hides: plain words. What must not carry content
// at all must not carry these.
const plainCanary = "quokkacanary marmalade"

// indiscreet are answers of a model that repeat the trace wherever they can.
func indiscreet() []geminitest.Reply {
	reply := func(f func(r *geminitest.Request) geminitest.Reply) geminitest.Reply {
		return func(w http.ResponseWriter, r *geminitest.Request) { f(r)(w, r) }
	}
	return []geminitest.Reply{
		geminitest.Well(),
		reply(func(r *geminitest.Request) geminitest.Reply { return geminitest.Text(string(r.Trace())) }),
		reply(func(r *geminitest.Request) geminitest.Reply {
			a := geminitest.Plausible(r)
			a.TriggerCondition, a.FailureType = plainCanary+" {1}", plainCanary
			return geminitest.Analysis(a)
		}),
		reply(func(r *geminitest.Request) geminitest.Reply {
			a := geminitest.Plausible(r)
			for i := range a.Evidence.Refs {
				a.Evidence.Refs[i].Quote = "never said: " + plainCanary
			}
			a.Evidence.Excerpt = nil
			return geminitest.Analysis(a)
		}),
		reply(func(r *geminitest.Request) geminitest.Reply {
			return geminitest.Status(http.StatusBadRequest, "INVALID_ARGUMENT", "cannot parse: "+string(r.Trace()))
		}),
		reply(func(r *geminitest.Request) geminitest.Reply {
			return geminitest.Status(http.StatusServiceUnavailable, plainCanary, string(r.Trace()))
		}),
		reply(func(r *geminitest.Request) geminitest.Reply {
			return geminitest.Finish("MAX_TOKENS", string(r.Trace()))
		}),
		reply(func(r *geminitest.Request) geminitest.Reply { return geminitest.Blocked(plainCanary) }),
	}
}

// Nothing that the program emits to be looked at by operators (logs at their most
// talkative, metrics, spans, error texts) carries content of a trace, whatever the trace
// and the model do.
func TestNothingEmittedCarriesContent(t *testing.T) {
	var mu sync.Mutex
	emitted := map[string]*bytes.Buffer{} // by where
	exported := map[string]bool{}
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body := emitted["export "+r.URL.Path]
		if body == nil {
			body = new(bytes.Buffer)
			emitted["export "+r.URL.Path] = body
		}
		if _, err := body.ReadFrom(r.Body); err != nil {
			t.Error(err)
		}
		exported[r.URL.Path] = true
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL) // the SDK reads the process's environment

	var input strings.Builder
	n := 0
	replies := indiscreet()
	for _, p := range geminitest.Positions() {
		if p.Name == "trace id" {
			continue // ids are for operators to see; import replaces those that hold a secret
		}
		for range 3 { // the answers go round, so that each position meets several
			line, err := json.Marshal(p.Put(fmt.Sprintf("own-%d", n), fmt.Sprintf("%s answer%d in %s", plainCanary, n%len(replies), p.Name)))
			if err != nil {
				t.Fatal(err)
			}
			input.Write(append(line, '\n'))
			n++
		}
	}
	// The trace says which answer it gets, so that the order of the calls does not matter.
	model := geminitest.NewServer(t, func(w http.ResponseWriter, r *geminitest.Request) {
		which := 0
		for i := range replies {
			if strings.Contains(r.Message, fmt.Sprint("answer", i)) {
				which = i
			}
		}
		replies[which](w, r)
	})
	dir := t.TempDir()
	env := getenv(map[string]string{
		"GOOGLE_GEMINI_BASE_URL": model.URL, "GEMINI_API_KEY": "AIzaSy" + "CanaryCanaryCanaryCanaryCanary123", "EVALFORGE_ANALYZER": "gemini",
		"EVALFORGE_STORE": "sqlite:" + filepath.Join(dir, "c.db"), "EVALFORGE_LOG_LEVEL": "debug", "BATCH_SIZE": "500",
		"EVALFORGE_RETRY_BACKOFF": "0", "EVALFORGE_CONCURRENCY": "16", "PER_TRACE_TIMEOUT_SEC": "3", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL,
	})
	log := new(bytes.Buffer)
	emitted["log"] = log
	stdin := strings.NewReader(input.String())
	// A run may end early, when the model is down too often in a row.
	for _, args := range [][]string{{"import", "-"}, {"run"}, {"run"}, {"run", "-analyzer", "rules"}} {
		var out bytes.Buffer
		if status := Main(context.Background(), args, Env{Getenv: env, Stdin: stdin, Stdout: &out, Stderr: log, Now: time.Now}); status == statusFailed {
			t.Fatalf("%v failed:\n%s", args, log)
		}
	}
	var errs bytes.Buffer
	if status := Main(context.Background(), []string{"errors", "list", "-o", "json"}, Env{Getenv: env, Stdout: &errs, Stderr: log, Now: time.Now}); status != statusDone {
		t.Fatal(log)
	}
	emitted["texts of errors"] = errorTexts(t, errs.Bytes())
	metrics := new(bytes.Buffer)
	emitted["metrics"] = metrics
	serveCanaries(t, env, log, metrics)

	mu.Lock()
	defer mu.Unlock()
	if !exported["/v1/traces"] || !exported["/v1/metrics"] {
		t.Errorf("exported: %v", exported)
	}
	for where, text := range emitted {
		if text.Len() == 0 {
			t.Errorf("%s: nothing was emitted", where)
		}
		for _, word := range strings.Fields(plainCanary) {
			if i := strings.Index(text.String(), word); i >= 0 {
				t.Errorf("%s: content of a trace: …%q…", where, text.String()[max(0, i-300):min(text.Len(), i+100)])
			}
		}
	}
}

// errorTexts returns what error documents say, but for the excerpt of the answer, which
// is there to be read by whoever may read patterns.
func errorTexts(t *testing.T, list []byte) *bytes.Buffer {
	t.Helper()
	var docs []map[string]any
	if err := json.Unmarshal(list, &docs); err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	kinds := map[any]bool{}
	var texts bytes.Buffer
	for _, d := range docs {
		delete(d, "model_response_excerpt")
		kinds[d["error_type"]] = true
		fmt.Fprintln(&texts, d)
	}
	if len(kinds) < 3 {
		t.Errorf("errors of the kinds %v only", kinds)
	}
	return &texts
}

// serveCanaries has a service take traces in over HTTP, work on them and say how it is.
func serveCanaries(t *testing.T, env func(string) string, log, metrics *bytes.Buffer) {
	t.Helper()
	base, stop := startService(t, env, log, "-analyzer", "rules")
	ask := func(method, path, media, body string) []byte {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", media)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ask("POST", "/api/v1/traces", "application/x-ndjson", `{"trace_id":"own-http","trace_payload":{"messages":[{"role":"user","content":"`+plainCanary+`"},{"role":"assistant","content":"It answered 503."}]}}`+"\n")
	ask("POST", "/api/v1/traces", "application/x-ndjson", `{"trace_id":"own-bad","trace_payload":"`+plainCanary+"\n")
	ask("POST", "/v1/traces", "application/json", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"`+plainCanary+`","status":{"code":2,"message":"`+plainCanary+`"}}]}]}]}`)
	ask("POST", "/v1/traces", "application/json", `{"resourceSpans":"`+plainCanary+`"}`)
	ask("POST", "/extraction/run-once", "application/json", `{"batchSize":500}`)
	ask("GET", "/api/v1/patterns?text=marmalade", "", "")
	metrics.Write(ask("GET", "/metrics", "", ""))
	stop()
}
